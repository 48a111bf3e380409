//! Why sealing or opening failed, by who must act.

use std::io;

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

impl SealError {
    pub(crate) fn key(what: &'static str, reason: &str) -> Self {
        Self::Key { what, reason: reason.to_owned() }
    }
}

/// Why a cover, piece or receipt was refused. Each has its own plain words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not addressed to this certificate.
    #[error("the cover is not addressed to this recipient")]
    NotForUs,
    /// The site's statement inside names other recipients: a recipient took it out and sealed it anew (surreptitious forwarding).
    #[error("the site did not seal this cover for this recipient: somebody else passed it on")]
    PassedOn,
    /// There is no signature at all.
    #[error("{0} is not signed")]
    Unsigned(&'static str),
    /// Signed by nobody we pinned.
    #[error("the cover is not signed by a site that this reader knows")]
    UnknownSite,
    /// The signer that it names is pinned, and did not sign it.
    #[error("{0} bears the name of a signer who is known here, and not their signature")]
    WrongSignature(&'static str),
    /// The certificate of the site was not valid when it signed.
    #[error("the certificate of the site was not valid when the cover was signed")]
    SiteNotValid,
    /// Signed by none of the recipients.
    #[error("the receipt is not signed by a recipient of the delivery")]
    UnknownRecipient,
    /// Bytes do not match a digest, tag or signature.
    #[error("{0} was changed or damaged on the way")]
    Damaged(&'static str),
    /// Structure not as the format says.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// EnvelopedData without authentication (EFAIL).
    #[error("the cover is encrypted without authentication and is refused")]
    Unauthenticated,
    /// The cover's key is wrapped for this recipient in a way that is not safe enough.
    #[error(
        "the cover's key is wrapped by RSA PKCS #1 v1.5, or OAEP with another hash than SHA-256, and is refused"
    )]
    KeyWrapping,
    /// An enrolment message of somebody who does not hold the code, or for other keys.
    #[error("the message was not made with this code, or is about other keys: somebody else wrote it")]
    NotEnrolled,
    /// A format newer than this program.
    #[error("format {0} is not known to this program; update it")]
    UnknownFormat(u32),
    /// A piece that the cover names is not there.
    #[error("piece {0} is missing")]
    MissingPiece(u32),
    /// The header is right and the rest is not what the site signed. Its key is not tried: whoever has the content key could make it fit.
    #[error(
        "piece {0} is not the one that the site signed: it was changed or damaged on the way, or made by somebody who has the \
         content key"
    )]
    UnsignedPiece(u32),
    /// The file is another piece of the same delivery.
    #[error("piece {found} came in the place of piece {expected}")]
    WrongPiece {
        /// The number the cover gives to this place.
        expected: u32,
        /// The number in the piece's header.
        found: u32,
    },
    /// The file is a piece of another delivery.
    #[error("piece {0} belongs to another delivery")]
    WrongDelivery(u32),
}
