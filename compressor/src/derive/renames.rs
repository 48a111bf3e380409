//! New UIDs, made from what they stand for, and the map from old to new (SPEC 6.3).

use crate::Uid;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Root of UIDs that are one number of 128 bits (PS3.5 B.2).
const ROOT: &str = "2.25.";

/// The UID of something that was made from `source` and is told apart by `digests`: `2.25.` and the first 128 bits of
/// SHA-256(characters of the source UID, one zero byte, the digests one after the other), big endian, as a decimal number.
pub fn derived_uid<'d>(source: &Uid, digests: impl IntoIterator<Item = &'d [u8; 32]>) -> Uid {
    let mut hasher = Sha256::new();
    hasher.update(source.as_str());
    hasher.update([0]);
    digests.into_iter().for_each(|digest| hasher.update(digest));
    let hash = hasher.finalize();
    let number = hash.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    Uid::of_number(ROOT, number)
}

/// Which UIDs stand for something else now.
#[derive(Clone, Debug, Default)]
pub struct Renames(HashMap<Vec<u8>, Uid>);

impl Renames {
    /// Adds a SOP instance or a series. The first name given to a source stays: of two instances with one UID, references can
    /// follow one alone.
    pub fn add(&mut self, source: &Uid, renamed: Uid) {
        self.0.entry(source.as_str().as_bytes().to_vec()).or_insert(renamed);
    }

    /// Whether nothing was renamed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of an element with all UIDs in it replaced, unpadded; `None` where it names nothing that was renamed.
    pub(super) fn value(&self, value: &[u8]) -> Option<(Vec<u8>, usize)> {
        let end = value.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
        let value = value.get(..end)?;
        let parts = || value.split(|byte| *byte == b'\\');
        let found = parts().filter(|part| self.0.contains_key(*part)).count();
        if found == 0 {
            return None;
        }
        let renamed = parts().map(|part| self.0.get(part).map_or(part, |uid| uid.as_str().as_bytes()));
        Some((renamed.collect::<Vec<_>>().join(&b'\\'), found))
    }
}
