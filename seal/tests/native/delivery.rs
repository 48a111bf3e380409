//! Deliveries to test with: parties, segments, covers.

use compressor::bundle::SegmentSource;
use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, SerialNumber,
    date_time_ymd,
};
use seal::cover::{self, Completeness, ContentKeyText, Cover};
use seal::ids::{CaseId, DeliveryId, Digest};
use seal::native::{Certificate, DoctorKey, Recipient, SealedPieces, Sealing, SiteKey, seal_delivery};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// 2026-11-22 18:51:05 UTC.
pub(crate) const NOW: i64 = 1_795_373_465;
pub(crate) const DELIVERY: DeliveryId = DeliveryId([0xDE; 16]);

/// Key and certificate of a site or a doctor, as PEM.
pub(crate) struct Party {
    pub(crate) key: String,
    pub(crate) certificate: String,
}

/// Plain segments in memory.
pub(crate) struct Segments(pub(crate) Vec<Vec<u8>>);

/// A delivery in a folder of its own.
pub(crate) struct Sealed {
    pub(crate) folder: TempDir,
    pub(crate) pieces: SealedPieces,
}

impl Party {
    pub(crate) fn new(name: &str) -> Self {
        Self::valid_in(name, 2020, 2100)
    }

    /// With an RSA key of 3072 bits.
    pub(crate) fn rsa(name: &str) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072).unwrap();
        Self::certified(&key, name, 2020, 2100)
    }

    /// Valid from the first day of one year to the first day of another.
    pub(crate) fn valid_in(name: &str, from: i32, to: i32) -> Self {
        Self::certified(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), name, from, to)
    }

    /// Another certificate with the same name and serial number, for the same key, valid in other years.
    pub(crate) fn renewed(&self, name: &str, from: i32, to: i32) -> Self {
        Self::certified(&KeyPair::from_pem(&self.key).unwrap(), name, from, to)
    }

    /// The name decides the serial number, so that two parties of one name are named alike in CMS.
    fn certified(key: &KeyPair, name: &str, from: i32, to: i32) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from_slice(&Digest::of(name.as_bytes()).0[..8]));
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let certificate = params.self_signed(key).unwrap().pem();
        Self { key: key.serialize_pem(), certificate }
    }

    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::from_pem(&self.certificate).unwrap()
    }

    pub(crate) fn recipient(&self) -> Recipient {
        Recipient::new(self.certificate(), None).unwrap()
    }

    pub(crate) fn doctor(&self) -> DoctorKey {
        DoctorKey::from_pem(&self.key, &self.certificate).unwrap()
    }

    pub(crate) fn site(&self) -> SiteKey {
        SiteKey::from_pem(&self.key, &self.certificate).unwrap()
    }
}

impl Segments {
    /// Segments of these lengths, each with its own bytes.
    pub(crate) fn of(lengths: &[usize]) -> Self {
        let segment =
            |(number, &length): (usize, &usize)| (0..length).map(|i| (i * 31 + number * 7) as u8).collect();
        Self(lengths.iter().enumerate().map(segment).collect())
    }

    pub(crate) fn lengths(&self) -> Vec<u32> {
        self.0.iter().map(|segment| segment.len() as u32).collect()
    }
}

impl SegmentSource for Segments {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        self.0.get(number as usize).cloned().ok_or_else(|| io::Error::other("the disk went away"))
    }
}

impl Sealed {
    pub(crate) fn cover(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("cover.p7m")).unwrap()
    }

    pub(crate) fn piece_paths(&self) -> Vec<PathBuf> {
        let number = self.pieces.piece_bytes().len();
        (1..=number).map(|number| self.folder.path().join(format!("piece-{number:05}"))).collect()
    }
}

/// What the gateway knows before sealing.
pub(crate) fn draft(delivery: DeliveryId, recipients: &[Certificate]) -> Cover {
    Cover {
        format: cover::FORMAT,
        case: CaseId([0xCA; 16]),
        delivery,
        sequence: 1,
        previous: None,
        residual_of: None,
        residual_until: None,
        answers: None,
        content: Digest([1; 32]),
        site: "hospital.example".into(),
        sealed_at: NOW,
        recipients: recipients.iter().map(Certificate::digest).collect(),
        completeness: Completeness::Proved { instances: 3 },
        policy: "near 0".into(),
        content_key: ContentKeyText(String::new()),
        index: Digest([0; 32]),
        manifest: Digest([0; 32]),
        pieces: Vec::new(),
    }
}

/// Seals segments for these doctors into `folder`.
pub(crate) fn seal_into(
    folder: &Path,
    segments: &mut Segments,
    site: &Party,
    doctors: &[&Party],
    piece_bytes_max: usize,
) -> Result<SealedPieces, seal::native::SealError> {
    let recipients: Vec<Certificate> = doctors.iter().map(|doctor| doctor.certificate()).collect();
    let sealing = Sealing { site: &site.site(), recipients: &recipients, piece_bytes_max };
    seal_delivery(&segments.lengths(), segments, draft(DELIVERY, &recipients), &sealing, folder)
}

/// Three pieces: index, manifest and one segment; two segments; one segment.
pub(crate) fn three_pieces(site: &Party, doctors: &[&Party]) -> (Sealed, Segments) {
    let mut segments = Segments::of(&[40, 300, 500, 100, 700]);
    let folder = TempDir::new().unwrap();
    let pieces = seal_into(folder.path(), &mut segments, site, doctors, 720).unwrap();
    assert_eq!(pieces.piece_bytes().len(), 3);
    (Sealed { folder, pieces }, segments)
}
