//! Seals and opens answers (SPEC 7.3): ECDH with a key of the delivery's own, which dies with its case.

use crate::answer::{Answer, AnswerPoint, PLAIN_BYTES, SALT, SealedAnswer, key_info};
use crate::certificate::POINT_BYTES;
use crate::error::{Refusal, SealError};
use crate::receipt::Receipt;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

/// Bytes of a private key.
pub const ANSWER_KEY_BYTES: usize = 32;

const ANSWER: &str = "the answer";
const KEY: &str = "the key of the answers";

/// The key that the answers to one delivery are sealed to.
pub struct AnswerKey(PrivateKey);

impl AnswerKey {
    /// A new one.
    ///
    /// # Errors
    /// [`SealError::Key`] where the library makes none.
    pub fn generate() -> Result<Self, SealError> {
        PrivateKey::generate(&ECDH_P256).map(Self).map_err(|_| SealError::key(KEY, "cannot be made"))
    }

    /// Reads what [`AnswerKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let key = PrivateKey::from_private_key(&ECDH_P256, bytes);
        key.map(Self).map_err(|_| SealError::key(KEY, "not a P-256 key"))
    }

    /// The private key, to be kept encrypted.
    ///
    /// # Errors
    /// [`SealError::Key`] where the library does not give it.
    pub fn to_bytes(&self) -> Result<Zeroizing<[u8; ANSWER_KEY_BYTES]>, SealError> {
        let bytes: EcPrivateKeyBin<'_> =
            self.0.as_be_bytes().map_err(|_| SealError::key(KEY, "cannot be kept"))?;
        let bytes = bytes.as_ref().try_into().map_err(|_| SealError::key(KEY, "not a P-256 key"))?;
        Ok(Zeroizing::new(bytes))
    }

    /// What the cover names.
    ///
    /// # Errors
    /// [`SealError::Key`] where the library does not give it.
    pub fn point(&self) -> Result<AnswerPoint, SealError> {
        point_of(&self.0).map(AnswerPoint)
    }

    /// Opens the answer in a receipt whose signature was checked.
    ///
    /// # Errors
    /// [`SealError::Refused`] for a receipt without one, or one that is not for this key or no answer.
    pub fn open(&self, receipt: &Receipt) -> Result<Answer, SealError> {
        let malformed = || SealError::from(Refusal::Malformed(ANSWER));
        let sealed = receipt.sealed.as_ref().ok_or_else(malformed)?;
        let (sender, ciphertext) = sealed.0.split_first_chunk::<POINT_BYTES>().ok_or_else(malformed)?;
        let key = derive(&self.0, sender, receipt, sender, &self.point()?).map_err(|_| malformed())?;
        let mut bytes = Zeroizing::new(ciphertext.to_vec());
        let plain = key.open_in_place(only_nonce(), Aad::empty(), &mut bytes).map_err(|_| malformed())?;
        let plain: &[u8; PLAIN_BYTES] = (&*plain).try_into().map_err(|_| malformed())?;
        Ok(Answer::parse(plain)?)
    }
}

/// Seals an answer for the receipt that will carry it, to the point that the cover of its delivery names.
///
/// # Errors
/// [`SealError::Key`] for a point that is none.
pub fn seal_answer(answer: &Answer, receipt: &Receipt, to: &AnswerPoint) -> Result<SealedAnswer, SealError> {
    let cannot = |_| SealError::key(KEY, "cannot be sealed to");
    let own = PrivateKey::generate(&ECDH_P256).map_err(cannot)?;
    let sender = point_of(&own)?;
    let key = derive(&own, &to.0, receipt, &sender, to).map_err(cannot)?;
    let mut bytes = Zeroizing::new(answer.to_plain().to_vec());
    key.seal_in_place_append_tag(only_nonce(), Aad::empty(), &mut *bytes).map_err(cannot)?;
    SealedAnswer::new(&[&sender[..], &bytes].concat()).ok_or(Refusal::Malformed(ANSWER).into())
}

fn derive(
    own: &PrivateKey,
    peer: &[u8; POINT_BYTES],
    receipt: &Receipt,
    sender: &[u8; POINT_BYTES],
    site: &AnswerPoint,
) -> Result<LessSafeKey, Unspecified> {
    let info = key_info(receipt.delivery, &receipt.cover, &receipt.recipient, sender, site);
    agree(own, UnparsedPublicKey::new(&ECDH_P256, peer), Unspecified, |secret| {
        let mut bytes = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, SALT).extract(secret).expand(&[&info], HKDF_SHA256)?.fill(&mut *bytes)?;
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*bytes)?))
    })
}

/// The sender's key, and so that of the cipher, is used once.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn point_of(key: &PrivateKey) -> Result<[u8; POINT_BYTES], SealError> {
    let public = key.compute_public_key().map_err(|_| SealError::key(KEY, "has no public half"))?;
    public.as_ref().try_into().map_err(|_| SealError::key(KEY, "not a P-256 key"))
}
