//! The hospital's end: keys, a sealed delivery, and its mails.

use crate::dovecot::openssl;
use crate::study;
use compressor::bundle::{
    BundleFile, Near, Options, ResidualPart, SegmentSource, Source, pack, read_manifest,
};
use seal::cover::{Completeness, ContentKeyText, Cover};
use seal::ids::{CaseId, DeliveryId, Digest};
use seal::mail::{Address, Message, MessageId, Part, Site};
use seal::native::{Certificate, SealedPieces, Sealing, SiteKey, seal_delivery};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) const SITE: &str = "hospital.example";
/// So small that a few slices fill several pieces.
const PIECE_BYTES_MAX: usize = 40_000;

/// A folder with a P-256 key and certificate, `key.pem` and `cert.pem`, made by the openssl command.
pub(crate) struct Keypair(tempfile::TempDir);

impl Keypair {
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -keyout key.pem -out cert.pem";
        openssl(folder.path(), &format!("{request} -subj /CN={name}"));
        Self(folder)
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    pub(crate) fn certificate_path(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::from_pem(&fs::read_to_string(self.certificate_path()).unwrap()).unwrap()
    }

    fn site_key(&self) -> SiteKey {
        let pem = |path| fs::read_to_string(path).unwrap();
        SiteKey::from_pem(&pem(self.key()), &pem(self.certificate_path())).unwrap()
    }
}

/// What a delivery is about.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) case: u8,
    pub(crate) delivery: u8,
    pub(crate) sequence: u32,
    /// Digest of the cover before, for all but the first.
    pub(crate) previous: Digest,
}

impl Plan {
    pub(crate) fn case(self) -> CaseId {
        CaseId([self.case; 16])
    }

    pub(crate) fn delivery(self) -> DeliveryId {
        DeliveryId([self.delivery; 16])
    }
}

/// A sealed delivery.
pub(crate) struct Delivery {
    pub(crate) plan: Plan,
    pub(crate) sealed: SealedPieces,
    _folder: tempfile::TempDir,
}

impl Delivery {
    /// Slices of one series for one doctor.
    pub(crate) fn of_slices(plan: Plan, site: &Keypair, doctor: &Keypair, slices: &[Vec<u8>]) -> Self {
        let sources: Vec<_> = slices.iter().map(|bytes| study::source(bytes, false)).collect();
        Self::seal(plan, site, doctor, &sources)
    }

    pub(crate) fn seal(plan: Plan, site: &Keypair, doctor: &Keypair, sources: &[Source<'_>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bundle = bundle(folder.path(), sources, &Options::lossless(1));
        let lengths = bundle.segment_lengths().to_vec();
        let cover = cover(plan, &[doctor.certificate()], sources.len() as u32);
        Self::of_segments(plan, site, doctor, folder, cover, &lengths, &mut bundle)
    }

    /// Slices within a bound, cut before the residual, or the residual alone.
    pub(crate) fn cut(
        plan: Plan,
        site: &Keypair,
        doctor: &Keypair,
        slices: &[Vec<u8>],
        residual_of: Option<DeliveryId>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources: Vec<_> = slices.iter().map(|bytes| study::source(bytes, false)).collect();
        let options = Options { near: Near::Fixed(3), residual: true, ..Options::lossless(1) };
        let mut bundle = bundle(folder.path(), &sources, &options);
        let manifest = read_manifest(&mut bundle).unwrap();
        let (mut lengths, first) = (bundle.segment_lengths().to_vec(), manifest.first_residual() as usize);
        let cover = cover(plan, &[doctor.certificate()], slices.len() as u32);
        if residual_of.is_some() {
            lengths.drain(1..first);
            let mut part = ResidualPart::new(&mut bundle, &manifest);
            return Self::of_segments(
                plan,
                site,
                doctor,
                folder,
                Cover { residual_of, ..cover },
                &lengths,
                &mut part,
            );
        }
        lengths.truncate(first);
        let cover = Cover { residual_until: Some(now() + 3600), ..cover };
        Self::of_segments(plan, site, doctor, folder, cover, &lengths, &mut bundle)
    }

    fn of_segments(
        plan: Plan,
        site: &Keypair,
        doctor: &Keypair,
        folder: tempfile::TempDir,
        cover: Cover,
        lengths: &[u32],
        segments: &mut dyn SegmentSource,
    ) -> Self {
        let (site_key, recipients) = (site.site_key(), [doctor.certificate()]);
        let sealing = Sealing { site: &site_key, recipients: &recipients, piece_bytes_max: PIECE_BYTES_MAX };
        let sealed_folder = folder.path().join("sealed");
        fs::create_dir(&sealed_folder).unwrap();
        let sealed = seal_delivery(lengths, segments, cover, &sealing, &sealed_folder).unwrap();
        Self { plan, sealed, _folder: folder }
    }

    pub(crate) fn pieces(&self) -> u32 {
        self.sealed.piece_bytes().len() as u32
    }

    pub(crate) fn piece(&self, number: u32) -> Vec<u8> {
        read(self.sealed.open_piece(number).unwrap())
    }

    pub(crate) fn cover(&self) -> Vec<u8> {
        read(self.sealed.open_cover().unwrap())
    }

    pub(crate) fn piece_mail(&self, number: u32) -> Vec<u8> {
        self.mail(Part::Piece(number), &self.piece(number))
    }

    pub(crate) fn cover_mail(&self) -> Vec<u8> {
        self.mail(Part::Cover, &self.cover())
    }

    /// Pieces in order, the cover last.
    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        (1..=self.pieces()).map(|number| self.piece_mail(number)).chain([self.cover_mail()]).collect()
    }

    /// A mail with the Message-ID of a part and any body: forged, if the body is not that of the part.
    pub(crate) fn mail(&self, part: Part, body: &[u8]) -> Vec<u8> {
        let (delivery, site) = (self.plan.delivery(), Site::parse(SITE).unwrap());
        let id = match part {
            Part::Piece(number) => MessageId::piece(delivery, number, &site),
            _ => MessageId::cover(delivery, &site),
        };
        mail(id, body)
    }
}

pub(crate) fn mail(id: MessageId, body: &[u8]) -> Vec<u8> {
    let from = Address::parse("scanpost@hospital.example").unwrap();
    let message = Message::new(id, &from, now(), body.len() as u64).unwrap();
    message.lines(body).map(Result::unwrap).collect::<Vec<_>>().concat()
}

fn bundle(folder: &Path, sources: &[Source<'_>], options: &Options) -> BundleFile {
    let path = folder.join("bundle");
    let mut file = fs::File::create(&path).unwrap();
    pack(sources, &mut file, options, &mut |_| {}).unwrap();
    BundleFile::open(&path).unwrap()
}

fn cover(plan: Plan, recipients: &[Certificate], instances: u32) -> Cover {
    Cover {
        format: seal::cover::FORMAT,
        case: plan.case(),
        delivery: plan.delivery(),
        sequence: plan.sequence,
        previous: (plan.sequence > 1).then_some(plan.previous),
        residual_of: None,
        residual_until: None,
        answers: None,
        content: Digest([0; 32]),
        site: SITE.into(),
        sealed_at: now(),
        recipients: recipients.iter().map(Certificate::digest).collect(),
        completeness: Completeness::Proved { instances },
        policy: "near 0".into(),
        content_key: ContentKeyText(String::new()),
        index: Digest([0; 32]),
        manifest: Digest([0; 32]),
        pieces: Vec::new(),
    }
}

/// Certificates made a moment ago are valid from then on.
fn now() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64
}

fn read(mut file: fs::File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}
