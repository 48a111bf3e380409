//! Sealing and opening with aws-lc-rs.

mod answers;
mod enrol;
mod envelope;
mod folder;
mod keys;
mod message;
mod opened;
mod piece_key;
mod pkcs12;
mod receipts;
mod sealed;

pub use crate::certificate::{Certificate, Recipient};
pub use crate::error::{Refusal, SealError};
pub use crate::statement::MAC_BYTES;
pub use answers::{ANSWER_KEY_BYTES, AnswerKey, seal_answer};
pub use enrol::{
    CodeKeys, Enrolled, SignedNotice, new_code, open_confirmation, open_renewal, open_request,
    open_revocation, sign_confirmation, sign_renewal, sign_request, sign_revocation,
};
pub use envelope::{VerifiedCover, check_recipients, open_cover};
pub use keys::{DoctorKey, SiteKey};
pub use message::{Addressee, SealedMessage, seal_message};
pub use opened::{OpenedPieces, check_piece};
pub use pkcs12::identity_file;
pub use receipts::{SignedReceipt, open_receipt, open_signed_receipt, sign_receipt, verify_receipt};
pub use sealed::{SealedPieces, Sealing, seal_delivery};

/// Random bytes from the system.
///
/// # Errors
/// [`SealError::Io`] where it has none.
pub fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| std::io::Error::other("no random bytes from the system"))?;
    Ok(bytes)
}
