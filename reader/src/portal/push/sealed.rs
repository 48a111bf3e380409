//! A message that the phone's browser alone opens: aes128gcm (RFC 8188) under a key agreed with the phone (RFC 8291).

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand::{self, SystemRandom};

const SALT_BYTES: usize = 16;
/// Record size: one record holds it all (RFC 8291 4).
const RECORD_BYTES: u32 = 4096;
/// Ends the last record (RFC 8188 2).
const LAST: u8 = 2;
const KEY_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// The body of the request; none for a key that is no point of P-256.
pub(crate) fn seal(text: &[u8], theirs: &[u8], auth: &[u8]) -> Option<Vec<u8>> {
    let ours = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).ok()?;
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).ok()?;
    let public = ours.compute_public_key().ok()?;
    let info = [b"WebPush: info\0", theirs, public.as_ref()].concat();
    let secret = agree_ephemeral(ours, UnparsedPublicKey::new(&ECDH_P256, theirs), Unspecified, |shared| {
        expand::<SECRET_BYTES>(&Salt::new(HKDF_SHA256, auth).extract(shared), &info)
    });
    let keys = Salt::new(HKDF_SHA256, &salt).extract(&secret.ok()?);
    let key = expand::<KEY_BYTES>(&keys, b"Content-Encoding: aes128gcm\0").ok()?;
    let nonce = expand::<NONCE_LEN>(&keys, b"Content-Encoding: nonce\0").ok()?;
    let mut record = [text, &[LAST]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record).ok()?;
    let length = u8::try_from(public.as_ref().len()).ok()?;
    Some([&salt, RECORD_BYTES.to_be_bytes().as_slice(), &[length], public.as_ref(), &record].concat())
}

fn expand<const BYTES: usize>(key: &Prk, info: &[u8]) -> Result<[u8; BYTES], Unspecified> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut output = [0; BYTES];
    key.expand(&[info], Length(BYTES))?.fill(&mut output)?;
    Ok(output)
}
