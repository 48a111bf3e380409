//! Signs and opens receipts (SPEC 7).

use super::keys::{DoctorKey, verifies};
use crate::certificate::Recipient;
use crate::cms::signed;
use crate::error::{Refusal, SealError};
use crate::limits::RECEIPT_DER_BYTES_MAX;
use crate::receipt::Receipt;

const RECEIPT: &str = "the receipt";

/// Signs a receipt: DER of CMS SignedData without certificates (SPEC 7).
///
/// # Errors
/// [`SealError::Key`].
pub fn sign_receipt(receipt: &Receipt, doctor: &DoctorKey) -> Result<Vec<u8>, SealError> {
    if receipt.recipient != doctor.certificate().digest() {
        return Err(SealError::key(RECEIPT, "its recipient is not the owner of the key"));
    }
    let json = serde_json::to_vec(receipt).map_err(std::io::Error::from)?;
    Ok(doctor.signer()?.sign(&json, receipt.at, false)?.to_vec())
}

/// Checks a receipt's signature against the pinned identities and that it speaks for a recipient with that identity. Whether a
/// certificate has expired since does not matter: it was valid when the delivery was sealed for it.
///
/// # Errors
/// [`SealError::Refused`].
pub fn open_receipt(der: &[u8], recipients: &[Recipient]) -> Result<Receipt, SealError> {
    if der.len() > RECEIPT_DER_BYTES_MAX {
        return Err(Refusal::Malformed(RECEIPT).into());
    }
    let signed = signed::parse(der, RECEIPT)?;
    let named: Vec<_> = recipients.iter().filter(|recipient| signed.is_by(recipient.identity())).collect();
    if named.is_empty() {
        return Err(Refusal::UnknownRecipient.into());
    }
    let mut signers =
        named.into_iter().filter(|signer| verifies(&signed.verification, signer.identity())).peekable();
    if signers.peek().is_none() {
        return Err(Refusal::Damaged(RECEIPT).into());
    }
    let receipt = Receipt::parse(signed.content)?;
    if signers.any(|signer| receipt.recipient == signer.certificate().digest()) {
        Ok(receipt)
    } else {
        Err(Refusal::UnknownRecipient.into())
    }
}
