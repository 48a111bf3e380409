//! The head of one element in bytes that are at hand, and new elements written beside it (PS3.5 7.1).

use super::Refused;
use crate::dataset::element::{ITEM, LENGTH_UNDEFINED, Syntax, is_short, quirk_vr_missing};

/// Pixels and other bulk data of an image (PS3.3 C.7.6.3, C.7.6.24): never a sequence.
const PIXEL_GROUP: u32 = 0x7FE0;
const TOO_LONG: Refused = Refused("value grows too long");

/// The head of one element as it lies in the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Group in the upper half.
    pub(super) tag: u32,
    /// `None` in Implicit VR, of items, and where it was left out.
    pub(super) vr: Option<[u8; 2]>,
    /// Bytes of the value; `None` = until its delimiter.
    pub(super) length: Option<usize>,
    /// Bytes of the head itself; the last of them are the length.
    pub(super) bytes: usize,
    /// The length has 32 bits, not 16.
    wide: bool,
}

impl Head {
    /// Reads the head at the start of `bytes`.
    pub(super) fn read(bytes: &[u8], syntax: Syntax) -> Result<Self, Refused> {
        let cut = Refused("element cut short");
        let start: &[u8; 8] = bytes.first_chunk().ok_or(cut)?;
        let [a, b, c, d, v, r, l, m] = *start;
        let tag = syntax.tag([a, b, c, d]);
        let implicit = !syntax.explicit || tag >> 16 == 0xFFFE || quirk_vr_missing([v, r]);
        if implicit {
            return Ok(Self::new(tag, None, syntax.u32([v, r, l, m]), 8, true));
        }
        if is_short([v, r], [l, m]) {
            return Ok(Self::new(tag, Some([v, r]), syntax.u16([l, m]).into(), 8, false));
        }
        let length = bytes.get(8..).and_then(<[u8]>::first_chunk).ok_or(cut)?;
        Ok(Self::new(tag, Some([v, r]), syntax.u32(*length), 12, true))
    }

    fn new(tag: u32, vr: Option<[u8; 2]>, length: u32, bytes: usize, wide: bool) -> Self {
        let undefined = wide && length == LENGTH_UNDEFINED;
        Self { tag, vr, length: (!undefined).then_some(length as usize), bytes, wide }
    }

    /// Puts the length of a new value into the copy of this head that begins at `start`.
    pub(super) fn patch(
        &self,
        out: &mut [u8],
        start: usize,
        length: usize,
        syntax: Syntax,
    ) -> Result<(), Refused> {
        let end = start + self.bytes;
        if self.wide {
            let length = u32::try_from(length).ok().filter(|length| *length != LENGTH_UNDEFINED);
            let bytes = put_u32(length.ok_or(TOO_LONG)?, syntax);
            out.get_mut(end - 4..end).ok_or(TOO_LONG)?.copy_from_slice(&bytes);
        } else {
            let bytes = put_u16(u16::try_from(length).map_err(|_| TOO_LONG)?, syntax);
            out.get_mut(end - 2..end).ok_or(TOO_LONG)?.copy_from_slice(&bytes);
        }
        Ok(())
    }

    /// How the items in the value are written (PS3.5 6.2.2).
    pub(super) fn inside(&self, outside: Syntax) -> Syntax {
        if self.vr == Some(*b"UN") { Syntax::OF_UNKNOWN } else { outside }
    }

    /// SQ by its VR.
    pub(super) fn is_sequence(&self) -> bool {
        self.vr == Some(*b"SQ")
    }

    /// A value whose VR is not known here: it may be a sequence, or a UID.
    pub(super) fn is_unknown(&self) -> bool {
        self.vr.is_none_or(|vr| vr == *b"UN")
    }

    /// Not pixels, nor a VR that is no sequence.
    pub(super) fn may_be_sequence(&self) -> bool {
        self.tag >> 16 != PIXEL_GROUP && (self.is_sequence() || self.is_unknown())
    }

    /// A UID for certain, or a standard element of unknown VR, which is one where its value is a UID of the study.
    pub(super) fn may_be_uid(&self) -> bool {
        let standard = self.tag >> 16 & 1 == 0;
        self.vr == Some(*b"UI") || (self.is_unknown() && standard)
    }
}

pub(super) fn put_u16(number: u16, syntax: Syntax) -> [u8; 2] {
    if syntax.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
}

pub(super) fn put_u32(number: u32, syntax: Syntax) -> [u8; 4] {
    if syntax.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
}

/// A value to be written.
pub(super) enum New {
    /// Text of the default repertoire, unpadded.
    Text(u32, &'static [u8; 2], String),
    /// A sequence of one item.
    Item(u32, Vec<New>),
}

/// Writes an item of these elements.
pub(super) fn write_item(out: &mut Vec<u8>, elements: &[New], syntax: Syntax) -> Result<(), Refused> {
    let mut content = Vec::new();
    for element in elements {
        match element {
            New::Text(tag, vr, text) => {
                write(&mut content, *tag, **vr, &padded(text.as_bytes(), **vr), syntax)?
            }
            New::Item(tag, elements) => {
                let mut item = Vec::new();
                write_item(&mut item, elements, syntax)?;
                write(&mut content, *tag, *b"SQ", &item, syntax)?;
            }
        }
    }
    write_tag(out, ITEM, syntax);
    out.extend(put_u32(content.len() as u32, syntax));
    out.extend(content);
    Ok(())
}

/// Writes one element.
pub(super) fn write(
    out: &mut Vec<u8>,
    tag: u32,
    vr: [u8; 2],
    value: &[u8],
    syntax: Syntax,
) -> Result<(), Refused> {
    let length = u32::try_from(value.len()).map_err(|_| TOO_LONG)?;
    write_head(out, tag, vr, Some(length), syntax)?;
    out.extend(value);
    Ok(())
}

/// Writes the head of an element; without a length one of undefined length, which no VR with a short length can have.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    tag: u32,
    vr: [u8; 2],
    length: Option<u32>,
    syntax: Syntax,
) -> Result<(), Refused> {
    let start = out.len();
    write_tag(out, tag, syntax);
    if syntax.explicit {
        out.extend(vr);
    }
    let (bytes, wide) = match (syntax.explicit, is_short(vr, [0, 0])) {
        (false, _) => (8, true),
        (true, true) => (8, false),
        (true, false) => (12, true),
    };
    match length {
        Some(length) => {
            out.resize(start + bytes, 0);
            Head { tag, vr: None, length: None, bytes, wide }.patch(out, start, length as usize, syntax)
        }
        None if wide => {
            out.resize(start + bytes - 4, 0);
            out.extend(put_u32(LENGTH_UNDEFINED, syntax));
            Ok(())
        }
        None => Err(TOO_LONG),
    }
}

fn write_tag(out: &mut Vec<u8>, tag: u32, syntax: Syntax) {
    out.extend(put_u16((tag >> 16) as u16, syntax));
    out.extend(put_u16(tag as u16, syntax));
}

/// Even length: a NUL behind a UID, a space behind text (PS3.5 6.2).
pub(super) fn padded(value: &[u8], vr: [u8; 2]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == *b"UI" { 0 } else { b' ' });
    }
    value
}
