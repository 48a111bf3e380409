//! The key of one piece: seals and opens its segments (SPEC 2).

use crate::cover::CONTENT_KEY_BYTES;
use crate::piece::{Header, nonce};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// Key and header of a piece.
pub(super) struct PieceKey {
    key: LessSafeKey,
    header: Header,
}

impl PieceKey {
    /// Derives it from the content key (SPEC 2.1).
    pub(super) fn derive(content_key: &[u8; CONTENT_KEY_BYTES], header: Header) -> Result<Self, Unspecified> {
        let extracted = Salt::new(HKDF_SHA256, &header.salt).extract(content_key);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        extracted.expand(&[&header.key_info()], HKDF_SHA256)?.fill(&mut *bytes)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*bytes)?), header })
    }

    /// Seals a segment in place and appends the tag. The caller never gives the same counter twice.
    pub(super) fn seal(&self, segment: u32, counter: u64, bytes: &mut Vec<u8>) -> Result<(), Unspecified> {
        self.key.seal_in_place_append_tag(self.nonce(counter), self.bound(segment), bytes)
    }

    /// Opens a sealed segment in place and takes the tag off.
    pub(super) fn open(&self, segment: u32, counter: u64, bytes: &mut Vec<u8>) -> Result<(), Unspecified> {
        let plain = self.key.open_in_place(self.nonce(counter), self.bound(segment), bytes)?.len();
        bytes.truncate(plain);
        Ok(())
    }

    fn nonce(&self, counter: u64) -> Nonce {
        Nonce::assume_unique_for_key(nonce(counter))
    }

    fn bound(&self, segment: u32) -> Aad<impl AsRef<[u8]> + use<>> {
        Aad::from(self.header.associated_data(segment))
    }
}
