//! A sealed delivery in a folder of its own.

use crate::config::Server;
use crate::submit::{MailServer, Recipient, RecordError, SubmissionRecord, Target, Timeouts};
use compressor::bundle::SegmentSource;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use seal::cover::{self, Completeness, ContentKeyText, Cover};
use seal::ids::{CaseId, DeliveryId, Digest};
use seal::mail::{Address, Part, Site};
use seal::native::{Certificate, SealedPieces, Sealing, SiteKey, seal_delivery};
use std::collections::HashSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

pub(super) const DELIVERY: DeliveryId = DeliveryId([0xDE; 16]);
const SEGMENT_BYTES: u32 = 150_000;
const PIECE_BYTES_MAX: usize = 200_000;

pub(super) struct Sealed {
    pub(super) folder: TempDir,
    pub(super) pieces: SealedPieces,
}

struct Segments;

impl SegmentSource for Segments {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        Ok((0..SEGMENT_BYTES).map(|i| (i * 31 + number) as u8).collect())
    }
}

/// Three pieces of 150 kB each, and a cover.
pub(super) fn sealed() -> Sealed {
    let folder = TempDir::new().unwrap();
    let (site_key, site_certificate) = party();
    let doctors = [Certificate::from_pem(&party().1).unwrap()];
    let site = SiteKey::from_pem(&site_key, &site_certificate).unwrap();
    let sealing = Sealing { site: &site, recipients: &doctors, piece_bytes_max: PIECE_BYTES_MAX };
    let cover = draft(&doctors);
    let pieces = seal_delivery(&[SEGMENT_BYTES; 3], &mut Segments, cover, &sealing, folder.path()).unwrap();
    assert_eq!(pieces.piece_bytes().len(), 3);
    Sealed { folder, pieces }
}

impl Sealed {
    /// The bytes that a message of this part must carry.
    pub(super) fn bytes(&self, part: &str) -> Vec<u8> {
        let name = match part {
            "cover" => "cover.p7m".to_owned(),
            number => format!("piece-{:0>5}", number),
        };
        std::fs::read(self.folder.path().join(name)).unwrap()
    }
}

/// Key and certificate as PEM.
pub(crate) fn party() -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2050, 1, 1));
    let certificate = params.self_signed(&key).unwrap().pem();
    (key.serialize_pem(), certificate)
}

fn draft(recipients: &[Certificate]) -> Cover {
    Cover {
        format: cover::FORMAT,
        case: CaseId([0xCA; 16]),
        delivery: DELIVERY,
        sequence: 1,
        previous: None,
        residual_of: None,
        residual_until: None,
        answers: None,
        content: Digest([1; 32]),
        site: "hospital.example".into(),
        sealed_at: 1_795_373_465,
        recipients: recipients.iter().map(Certificate::digest).collect(),
        completeness: Completeness::Proved { instances: 3 },
        policy: "near 0".into(),
        content_key: ContentKeyText(String::new()),
        index: Digest([0; 32]),
        manifest: Digest([0; 32]),
        pieces: Vec::new(),
    }
}

/// Waits of a fifth of a second.
pub(super) fn impatient() -> Timeouts {
    let wait = Duration::from_millis(200);
    Timeouts { connect: wait * 20, command: wait, data: wait, block: wait, after_dot: wait }
}

pub(super) fn patient() -> Timeouts {
    Timeouts::default()
}

pub(super) struct Sender {
    pub(super) server: MailServer,
    site: Site,
    from: Address,
    recipients: Vec<Recipient>,
}

impl Sender {
    /// To the mailboxes of a and b.
    pub(super) fn new(port: u16, ca: &Path, timeouts: Timeouts) -> Self {
        let site = Site::parse("hospital.example").unwrap();
        let password_file = ca.with_file_name("password");
        std::fs::write(&password_file, "correct horse\n").unwrap();
        std::fs::set_permissions(&password_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = Server {
            host: "localhost".into(),
            port,
            user: "scanpost".into(),
            password_file,
            ca: Some(ca.to_owned()),
            ..Server::default()
        };
        let recipient = |name: &str| Recipient {
            name: name.into(),
            mailbox: Address::parse(&format!("{name}@clinic.example")).unwrap(),
        };
        Self {
            server: MailServer::new(&config, &site, timeouts).unwrap(),
            site,
            from: Address::parse("scanpost@hospital.example").unwrap(),
            recipients: vec![recipient("a"), recipient("b")],
        }
    }

    pub(super) fn target(&self) -> Target<'_> {
        let Self { server, site, from, recipients } = self;
        Target { server, site, from, date: 1_795_373_465, recipients }
    }
}

/// A record in memory, in the order of acceptance.
#[derive(Default)]
pub(super) struct Memory(pub(super) Mutex<Vec<(Part, String)>>);

impl Memory {
    pub(super) fn of(&self, name: &str) -> Vec<Part> {
        self.0.lock().unwrap().iter().filter(|(_, theirs)| theirs == name).map(|(part, _)| *part).collect()
    }
}

impl SubmissionRecord for Memory {
    async fn accepted(&self) -> Result<HashSet<(Part, String)>, RecordError> {
        Ok(self.0.lock().unwrap().iter().cloned().collect())
    }

    async fn accept(&self, part: Part, recipients: &[String]) -> Result<(), RecordError> {
        self.0.lock().unwrap().extend(recipients.iter().map(|name| (part, name.clone())));
        Ok(())
    }
}
