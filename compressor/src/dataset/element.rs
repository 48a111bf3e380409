//! The head of one data element: tag, value representation, length (PS3.5 7.1).

use super::cursor::{Cursor, Forward};
use super::{Encoding, ScanError};

/// Item (PS3.5 7.5).
pub(crate) const ITEM: u32 = 0xFFFE_E000;
/// Item Delimitation Item.
pub(crate) const ITEM_END: u32 = 0xFFFE_E00D;
/// Sequence Delimitation Item.
pub(crate) const SEQUENCE_END: u32 = 0xFFFE_E0DD;
/// Length that stands for "until the delimiter" (PS3.5 7.1.1).
pub(crate) const LENGTH_UNDEFINED: u32 = 0xFFFF_FFFF;

/// How elements are written at one level of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Elements carry their VR.
    pub(crate) explicit: bool,
    /// Numbers are big endian.
    pub(crate) big_endian: bool,
}

impl Syntax {
    /// What a value of VR UN and undefined length is written in (PS3.5 6.2.2).
    pub(crate) const OF_UNKNOWN: Self = Self { explicit: false, big_endian: false };

    /// How the elements of a data set are written; a deflated one is not seen through.
    pub(crate) fn of(encoding: Encoding) -> Option<Self> {
        (encoding != Encoding::Deflated).then_some(Self {
            explicit: encoding != Encoding::ImplicitLittle,
            big_endian: encoding == Encoding::ExplicitBig,
        })
    }

    pub(crate) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(crate) fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(crate) fn f64(self, bytes: [u8; 8]) -> f64 {
        if self.big_endian { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) }
    }

    pub(crate) fn tag(self, [a, b, c, d]: [u8; 4]) -> u32 {
        u32::from(self.u16([a, b])) << 16 | u32::from(self.u16([c, d]))
    }
}

/// The head of one element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// Group in the upper half.
    pub(super) tag: u32,
    /// Bytes of the value; `None` = until its delimiter.
    pub(super) length: Option<u64>,
    /// Its VR; zeros where none is written.
    pub(super) vr: [u8; 2],
}

impl Element {
    /// Whether this VR is written.
    pub(super) fn is(self, vr: &[u8; 2]) -> bool {
        self.vr == *vr
    }

    /// Reads the head of an element, or of an item or delimiter, which have no VR in any syntax (PS3.5 7.5).
    pub(super) fn read<F: Forward>(cursor: &mut Cursor<F>, syntax: Syntax) -> Result<Self, ScanError> {
        let tag = syntax.tag(cursor.read()?);
        cursor.tag = tag;
        let second: [u8; 4] = cursor.read()?;
        let [v, r, c, d] = second;
        if !syntax.explicit || tag >> 16 == 0xFFFE || quirk_vr_missing([v, r]) {
            return Ok(Self { tag, length: defined(syntax.u32(second)), vr: [0; 2] });
        }
        let length =
            if is_short([v, r], [c, d]) { syntax.u16([c, d]).into() } else { syntax.u32(cursor.read()?) };
        Ok(Self { tag, length: defined(length), vr: [v, r] })
    }
}

fn defined(length: u32) -> Option<u64> {
    (length != LENGTH_UNDEFINED).then_some(length.into())
}

/// Some writers leave the VR out in a data set that they declare explicit: where no two capitals stand, the four bytes
/// are the length of an implicit element.
pub(crate) fn quirk_vr_missing(vr: [u8; 2]) -> bool {
    !vr.iter().all(u8::is_ascii_uppercase)
}

/// Whether a VR has a 16-bit length right behind it. All others, those to come as well, have two zero bytes and 32 bits
/// (PS3.5 7.1.2); an unknown one without the two zeros is taken as short.
pub(crate) fn is_short(vr: [u8; 2], reserved: [u8; 2]) -> bool {
    match &vr {
        b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT"
        | b"UV" => false,
        b"AE" | b"AS" | b"AT" | b"CS" | b"DA" | b"DS" | b"DT" | b"FD" | b"FL" | b"IS" | b"LO" | b"LT"
        | b"PN" | b"SH" | b"SL" | b"SS" | b"ST" | b"TM" | b"UI" | b"UL" | b"US" => true,
        _ => reserved != [0, 0],
    }
}
