//! Sealing and opening with aws-lc-rs.

use crate::cover::Cover;
use crate::ids::{DeliveryId, Digest};
use crate::receipt::Receipt;
use compressor::bundle::SegmentSource;
use std::io;
use std::path::{Path, PathBuf};

/// A delivery sealed and durable on disk. Only [`seal_delivery`] and [`SealedPieces::reopen`] make one, so whatever takes it cannot be
/// handed anything plain.
#[derive(Debug)]
pub struct SealedPieces {
    folder: PathBuf,
    delivery: DeliveryId,
    pieces: Vec<u64>,
    cover_bytes: u64,
    cover_digest: Digest,
}

/// What [`seal_delivery`] needs besides bundle and cover: who signs, and for whom.
pub struct Sealing<'a> {
    /// The site's signing key and certificate.
    pub site: &'a SiteKey,
    /// Certificates of all recipients.
    pub recipients: &'a [Certificate],
    /// Largest piece before base64, in bytes.
    pub piece_bytes_max: usize,
}

/// The site's P-256 signing key with its certificate.
pub struct SiteKey {
    _todo: (),
}

/// The doctor's P-256 key with its certificate: opens covers and signs receipts.
pub struct DoctorKey {
    _todo: (),
}

/// An X.509 certificate of a recipient or a site, P-256.
#[derive(Clone, Debug)]
pub struct Certificate {
    _todo: (),
}

/// Why sealing or opening failed, by who must act.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A key or certificate of ours cannot be used: the operator must replace it.
    #[error("{what}: {reason}")]
    Key {
        /// Which one.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Disk.
    #[error("cannot read or write sealed data: {0}")]
    Io(#[from] io::Error),
    /// What came is not genuine or is damaged: nothing of it may be used.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
}

/// Why a cover, piece or receipt was refused. Each has its own plain words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not addressed to this certificate.
    #[error("the cover is not addressed to this recipient")]
    NotForUs,
    /// Signed by nobody we pinned.
    #[error("the cover is not signed by a site that this reader knows")]
    UnknownSite,
    /// Bytes do not match a digest, tag or signature.
    #[error("{0} was changed or damaged on the way")]
    Damaged(&'static str),
    /// Structure not as the format says.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// EnvelopedData without authentication (EFAIL).
    #[error("the cover is encrypted without authentication and is refused")]
    Unauthenticated,
    /// A format newer than this program.
    #[error("the cover has format {0}, which this program does not know; update it")]
    UnknownFormat(u32),
}

impl Certificate {
    /// Reads one PEM certificate.
    ///
    /// # Errors
    /// [`SealError::Key`] if it is not a P-256 certificate.
    pub fn from_pem(pem: &str) -> Result<Self, SealError> {
        let _ = pem;
        todo!()
    }
    /// SHA-256 of its DER.
    pub fn digest(&self) -> Digest {
        todo!()
    }
    /// Not-after, seconds since 1970-01-01 UTC.
    pub fn not_after(&self) -> i64 {
        todo!()
    }
}

impl SiteKey {
    /// Reads a PKCS#8 PEM key and its certificate.
    ///
    /// # Errors
    /// [`SealError::Key`] if they do not belong together.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, SealError> {
        let _ = (key, certificate);
        todo!()
    }
}

impl DoctorKey {
    /// Reads a PKCS#8 PEM key and its certificate.
    ///
    /// # Errors
    /// [`SealError::Key`] if they do not belong together.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, SealError> {
        let _ = (key, certificate);
        todo!()
    }
    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        todo!()
    }
}

/// Seals all segments of a bundle into pieces in `folder`, then the cover: `piece-00001` …, `cover.p7m`, each durable, `cover.p7m` last.
///
/// `segment_lengths` are the plain lengths in order. `cover` gives all fields but content key, index, manifest and pieces, which are
/// filled in here. A folder with a half-made delivery is emptied first and sealed anew with new salts.
///
/// # Errors
/// [`SealError`].
pub fn seal_delivery(
    segment_lengths: &[u32],
    segments: &mut dyn SegmentSource,
    cover: Cover,
    sealing: &Sealing<'_>,
    folder: &Path,
) -> Result<SealedPieces, SealError> {
    let _ = (segment_lengths, segments, cover, sealing, folder);
    todo!()
}

impl SealedPieces {
    /// Finds a delivery that [`seal_delivery`] finished earlier; none if `cover.p7m` is not there.
    ///
    /// # Errors
    /// [`SealError::Io`].
    pub fn reopen(folder: &Path, delivery: DeliveryId) -> Result<Option<Self>, SealError> {
        let _ = (folder, delivery);
        todo!()
    }
    /// The delivery.
    pub fn delivery(&self) -> DeliveryId {
        self.delivery
    }
    /// Bytes of each piece before base64, in order.
    pub fn piece_bytes(&self) -> &[u64] {
        &self.pieces
    }
    /// Bytes of the cover before base64.
    pub fn cover_bytes(&self) -> u64 {
        self.cover_bytes
    }
    /// SHA-256 of the cover's DER.
    pub fn cover_digest(&self) -> Digest {
        self.cover_digest
    }
    /// Opens piece `number` (from 1) for sending.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open_piece(&self, number: u32) -> io::Result<std::fs::File> {
        let _ = (&self.folder, number);
        todo!()
    }
    /// Opens the cover for sending.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open_cover(&self) -> io::Result<std::fs::File> {
        todo!()
    }
}

/// A cover whose decryption, signature, addressee and format were checked: proof that the check ran.
#[derive(Debug)]
pub struct VerifiedCover {
    /// What the site signed.
    pub cover: Cover,
    /// SHA-256 of the DER.
    pub digest: Digest,
    /// SHA-256 of the site certificate that signed it.
    pub signer: Digest,
}

/// Opens and checks a cover (SPEC 5.3).
///
/// # Errors
/// [`SealError::Refused`].
pub fn open_cover(der: &[u8], doctor: &DoctorKey, sites: &[Certificate]) -> Result<VerifiedCover, SealError> {
    let _ = (der, doctor, sites);
    todo!()
}

/// Opens the segments of a delivery from its piece files, which are checked against the cover here.
pub struct OpenedPieces {
    _todo: (),
}

impl OpenedPieces {
    /// `pieces`: one file for each piece, in order. Checks length and digest of each, then header, index and manifest against the cover.
    ///
    /// # Errors
    /// [`SealError`]; `Damaged` names piece, index or manifest.
    pub fn open(cover: &VerifiedCover, pieces: &[PathBuf]) -> Result<Self, SealError> {
        let _ = (cover, pieces);
        todo!()
    }
}

impl SegmentSource for OpenedPieces {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        let _ = number;
        todo!()
    }
}

/// Signs a receipt: DER of CMS SignedData without certificates (SPEC 7).
///
/// # Errors
/// [`SealError::Key`].
pub fn sign_receipt(receipt: &Receipt, doctor: &DoctorKey) -> Result<Vec<u8>, SealError> {
    let _ = (receipt, doctor);
    todo!()
}

/// Checks a receipt's signature against the pinned certificates and that its `recipient` is the signer.
///
/// # Errors
/// [`SealError::Refused`].
pub fn open_receipt(der: &[u8], recipients: &[Certificate]) -> Result<Receipt, SealError> {
    let _ = (der, recipients);
    todo!()
}
