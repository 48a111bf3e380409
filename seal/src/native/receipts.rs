//! Signs and opens receipts (SPEC 7).

use super::keys::{DoctorKey, verifies};
use crate::certificate::Recipient;
use crate::cms::signed::{self, Verification};
use crate::error::{Refusal, SealError};
use crate::limits::RECEIPT_DER_BYTES_MAX;
use crate::receipt::Receipt;

const RECEIPT: &str = "the receipt";

/// A receipt and the signature on it: enough to prove it again without its DER, see [`verify_receipt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReceipt {
    /// What was signed.
    pub receipt: Receipt,
    /// DER of ECDSA-Sig-Value.
    pub signature: Vec<u8>,
}

/// Signs a receipt: DER of CMS SignedData without certificates (SPEC 7).
///
/// # Errors
/// [`SealError::Key`].
pub fn sign_receipt(receipt: &Receipt, doctor: &DoctorKey) -> Result<Vec<u8>, SealError> {
    if receipt.recipient != doctor.certificate().digest() {
        return Err(SealError::key(RECEIPT, "its recipient is not the owner of the key"));
    }
    Ok(doctor.signer()?.sign(&receipt.content()?, receipt.at, false)?.to_vec())
}

/// Checks a receipt's signature against the pinned identities and that it speaks for a recipient with that identity. Whether a
/// certificate has expired since does not matter: it was valid when the delivery was sealed for it.
///
/// # Errors
/// [`SealError::Refused`].
pub fn open_receipt(der: &[u8], recipients: &[Recipient]) -> Result<Receipt, SealError> {
    open(der, recipients).map(|(receipt, _)| receipt)
}

/// [`open_receipt`] for whoever must hand the proof on: a receipt whose signed bytes are not those that [`sign_receipt`] makes of its
/// fields (SPEC 7) is refused, since it could not be proved again.
///
/// # Errors
/// [`SealError::Refused`].
pub fn open_signed_receipt(der: &[u8], recipients: &[Recipient]) -> Result<SignedReceipt, SealError> {
    let (receipt, verification) = open(der, recipients)?;
    if verification.message != message(&receipt)? {
        return Err(Refusal::Malformed(RECEIPT).into());
    }
    Ok(SignedReceipt { receipt, signature: verification.signature })
}

/// Proves the fields of a receipt by the signature alone: the signed bytes are made again, and nothing that came from outside is parsed.
///
/// # Errors
/// [`SealError::Refused`].
pub fn verify_receipt(signed: &SignedReceipt, recipient: &Recipient) -> Result<(), SealError> {
    if signed.receipt.recipient != recipient.certificate().digest() {
        return Err(Refusal::UnknownRecipient.into());
    }
    let verification =
        Verification { message: message(&signed.receipt)?, signature: signed.signature.clone() };
    if verifies(&verification, recipient.identity()) {
        Ok(())
    } else {
        Err(Refusal::WrongSignature(RECEIPT).into())
    }
}

fn open(der: &[u8], recipients: &[Recipient]) -> Result<(Receipt, Verification), SealError> {
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
        return Err(Refusal::WrongSignature(RECEIPT).into());
    }
    let receipt = Receipt::parse(signed.content)?;
    if signers.any(|signer| receipt.recipient == signer.certificate().digest()) {
        Ok((receipt, signed.verification))
    } else {
        Err(Refusal::UnknownRecipient.into())
    }
}

/// The signed attributes of a receipt.
fn message(receipt: &Receipt) -> Result<Vec<u8>, Refusal> {
    receipt.attested()?.message().map_err(|_| Refusal::Malformed(RECEIPT))
}
