//! Honest headers for images that were compressed within a bound: the attributes of a derived, irreversibly compressed image
//! (PS3.3 C.7.6.1.1.2, C.7.6.1.1.5, C.12.4), new UIDs, and references in other data sets that follow them (SPEC 6).
//!
//! Pure functions on the bytes of a data set in Implicit VR Little Endian, Explicit VR Little Endian or Big Endian.
//! Everything that is not named in SPEC 6 is copied byte for byte.

mod attributes;
mod element;
mod renames;
mod rewrite;
#[cfg(test)]
mod tests;

pub use attributes::{Decompressed, Derivation, METHOD};
pub use renames::{Renames, derived_uid};

use crate::Uid;
use crate::dataset::element::Syntax;
use crate::dataset::{Encoding, meta_group};
use attributes::FRAGMENT_LENGTHS;
use rewrite::{Copier, Edit, Edits, PixelData};

/// Media Storage SOP Instance UID and Transfer Syntax UID (PS3.10 7.1).
const MEDIA_STORAGE_SOP_INSTANCE: u32 = 0x0002_0003;
const TRANSFER_SYNTAX: u32 = 0x0002_0010;
/// Explicit VR Little Endian, in which the meta group (PS3.10 7.1) and whatever has compressed pixels (PS3.5 A.4) are written.
const EXPLICIT_LITTLE: Syntax = Syntax { explicit: true, big_endian: false };

/// Bytes that were rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The new bytes.
    pub bytes: Vec<u8>,
    /// UIDs that were replaced because they name something that was renamed.
    pub remapped: usize,
    /// Sequences of defined length that could not be read: copied as they came, whatever they refer to.
    pub unread: usize,
    /// Declared length of the value that follows the bytes; `None` where none follows, or one of undefined length.
    pub value_bytes: Option<u64>,
}

/// Why bytes cannot be rewritten. They are not repeated here, since they came from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header cannot be rewritten: {0}")]
pub struct Refused(pub &'static str);

/// Rewrites the head of a derived image: its data set up to the value of its pixels, from the first byte of the data set.
///
/// # Errors
/// [`Refused`] where the bytes are no head in this encoding, or its elements are out of order.
pub fn derive(
    head: &[u8],
    encoding: Encoding,
    derivation: &Derivation<'_>,
    renames: &Renames,
) -> Result<Rewritten, Refused> {
    let syntax = Syntax::of(encoding).ok_or(Refused("deflated"))?;
    let mut copier = Copier::new(renames, head.len());
    copier.derived = !derivation.exact;
    if let Some(decompressed) = &derivation.decompressed {
        copier.pixel_data = Some(decompressed.pixel_data().ok_or(Refused("pixels too long"))?);
    }
    copier.data_set(head, syntax, &derivation.edits(), true)
}

/// Whether [`derive`] takes a head. To be asked before pixels are coded with loss: what cannot be marked must not lose.
pub fn is_derivable(head: &[u8], encoding: Encoding, decompressed: Option<Decompressed>) -> bool {
    let derivation = Derivation { decompressed, ..Derivation::default() };
    derive(head, encoding, &derivation, &Renames::default()).is_ok()
}

/// The head of a data set in Explicit VR Little Endian whose compressed pixels are written as the native ones that they stand for. Nothing says
/// that anything was derived: these are the same pixels.
///
/// # Errors
/// [`Refused`] where the bytes are no head up to compressed pixels, or no native value is so long.
pub fn decompress(head: &[u8], decompressed: &Decompressed) -> Result<Vec<u8>, Refused> {
    recode(head, decompressed.pixel_data().ok_or(Refused("pixels too long"))?)
}

/// The head of a data set in Explicit VR Little Endian whose native pixels are written as fragments (PS3.5 A.4).
///
/// # Errors
/// [`Refused`] where the bytes are no head up to native pixels.
pub fn encapsulate(head: &[u8]) -> Result<Vec<u8>, Refused> {
    recode(head, (*b"OB", None))
}

fn recode(head: &[u8], pixel_data: PixelData) -> Result<Vec<u8>, Refused> {
    let none = Renames::default();
    let mut copier = Copier::new(&none, head.len());
    copier.pixel_data = Some(pixel_data);
    let edits = Edits::from(FRAGMENT_LENGTHS.map(|tag| (tag, Edit::Drop)));
    Ok(copier.data_set(head, EXPLICIT_LITTLE, &edits, true)?.bytes)
}

/// Replaces each reference to something renamed. `bytes` are a data set, or its head up to a bulk value where `value_follows`.
/// Bytes without such a reference come back as they are.
///
/// # Errors
/// [`Refused`] where the bytes are no data set in this encoding.
pub fn remap(
    bytes: &[u8],
    encoding: Encoding,
    value_follows: bool,
    renames: &Renames,
) -> Result<Rewritten, Refused> {
    let syntax = Syntax::of(encoding).ok_or(Refused("deflated"))?;
    Copier::new(renames, bytes.len()).data_set(bytes, syntax, &Edits::new(), value_follows)
}

/// Whether the value behind a head may be a sequence, and so hold references: not pixels, nor a VR that is none.
pub fn may_refer(head: &[u8], encoding: Encoding) -> bool {
    let none = Renames::default();
    let syntax = Syntax::of(encoding);
    let last =
        syntax.and_then(|syntax| Copier::new(&none, head.len()).last_head(head, syntax).ok().flatten());
    last.is_some_and(|last| last.may_be_sequence())
}

/// Splits the first bytes of a whole file into preamble with meta group, and data set. The second part is all of it where the
/// file has no meta group.
pub fn split_file(start: &[u8]) -> (&[u8], &[u8]) {
    start.split_at_checked(meta_group(start).end).unwrap_or((&[], start))
}

/// Preamble and meta group with another Media Storage SOP Instance UID and transfer syntax, and the group length that follows.
///
/// # Errors
/// [`Refused`] where the meta group cannot be read.
pub fn rename_file(
    preamble_and_meta: &[u8],
    sop_instance: Option<&Uid>,
    transfer_syntax: &Uid,
) -> Result<Vec<u8>, Refused> {
    let group = meta_group(preamble_and_meta);
    let (preamble, meta) = preamble_and_meta.split_at_checked(group.start).unwrap_or_default();
    if meta.is_empty() {
        return Ok(preamble_and_meta.to_vec());
    }
    let none = Renames::default();
    let mut edits = Edits::from([(TRANSFER_SYNTAX, Edit::uid(transfer_syntax.clone()))]);
    edits.extend(sop_instance.map(|uid| (MEDIA_STORAGE_SOP_INSTANCE, Edit::uid(uid.clone()))));
    let meta = Copier::new(&none, meta.len()).data_set(meta, EXPLICIT_LITTLE, &edits, false)?;
    Ok([preamble, &meta.bytes].concat())
}
