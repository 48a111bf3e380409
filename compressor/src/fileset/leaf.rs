//! The record of one file in its series, by its SOP class (PS3.3 F.4, F.5), with the keys that its type must have, copied as they stand in the object.

use super::{character_set, put, put_sequence, put_text};
use crate::Uid;
use crate::dataset::{BulkKind, Encoding, Outline, ScanError, values_of};
use std::io::{Read, Seek};

/// A number for what has none; the key must be there (PS3.3 F.5.4).
const NO_NUMBER: i32 = 0;
/// Specific Character Set (PS3.3 C.12.1.1.2).
const CHARACTER_SET: u32 = 0x0008_0005;
/// Verification Flag, the sequence that says by whom, and when, which stands in the record where the flag says VERIFIED (PS3.3 F.5.16, C.17.2).
const VERIFICATION_FLAG: u32 = 0x0040_A493;
const VERIFYING_OBSERVERS: u32 = 0x0040_A073;
const VERIFICATION_DATE_TIME: u32 = 0x0040_A030;
/// Item (PS3.5 7.5).
const ITEM: u32 = 0xFFFE_E000;
/// Item and Sequence Delimitation Item, with their length.
const ITEM_END: [u8; 8] = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0];
const SEQUENCE_END: [u8; 8] = [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];

/// Record type and keys.
pub struct Leaf {
    pub(super) kind: &'static str,
    pub(super) elements: Vec<u8>,
}

impl Leaf {
    /// IMAGE (PS3.3 F.5.4).
    pub fn image(outline: &Outline) -> Self {
        let mut elements = character_set();
        let number = outline.instance_number.unwrap_or(NO_NUMBER);
        put_text(&mut elements, 0x0020_0013, *b"IS", &number.to_string());
        Self { kind: "IMAGE", elements }
    }
}

/// A key of a record.
struct Key {
    tag: u32,
    vr: [u8; 2],
    /// It must have a value (type 1).
    must: bool,
}

const fn must(tag: u32, vr: [u8; 2]) -> Key {
    Key { tag, vr, must: true }
}

const fn may(tag: u32, vr: [u8; 2]) -> Key {
    Key { tag, vr, must: false }
}

const NUMBER: Key = must(0x0020_0013, *b"IS");
const CONTENT_DATE: Key = must(0x0008_0023, *b"DA");
const CONTENT_TIME: Key = must(0x0008_0033, *b"TM");
const CONCEPT_NAME: Key = must(0x0040_A043, *b"SQ");
const CONTENT_LABEL: Key = must(0x0070_0080, *b"CS");
const CONTENT_DESCRIPTION: Key = may(0x0070_0081, *b"LO");
const CREATOR: Key = may(0x0070_0084, *b"PN");

/// SOP classes, or what they begin with, by the sections of PS3.3 F.5; the first that fits.
const KINDS: &[(&str, &str, &[Key])] = &[
    ("1.2.840.10008.5.1.4.1.1.88.59", "KEY OBJECT DOC", &[CONTENT_DATE, CONTENT_TIME, NUMBER, CONCEPT_NAME]),
    (
        "1.2.840.10008.5.1.4.1.1.88.",
        "SR DOCUMENT",
        &[
            CONTENT_DATE,
            CONTENT_TIME,
            NUMBER,
            CONCEPT_NAME,
            may(VERIFICATION_DATE_TIME, *b"DT"),
            must(0x0040_A491, *b"CS"),
            must(VERIFICATION_FLAG, *b"CS"),
        ],
    ),
    (
        "1.2.840.10008.5.1.4.1.1.11.",
        "PRESENTATION",
        &[
            must(0x0008_1115, *b"SQ"),
            NUMBER,
            CONTENT_LABEL,
            CONTENT_DESCRIPTION,
            must(0x0070_0082, *b"DA"),
            must(0x0070_0083, *b"TM"),
            CREATOR,
        ],
    ),
    ("1.2.840.10008.5.1.4.1.1.9.", "WAVEFORM", &[CONTENT_DATE, CONTENT_TIME, NUMBER]),
    ("1.2.840.10008.5.1.4.1.1.481.2", "RT DOSE", &[NUMBER, must(0x3004_000A, *b"CS")]),
    (
        "1.2.840.10008.5.1.4.1.1.481.3",
        "RT STRUCTURE SET",
        &[NUMBER, must(0x3006_0002, *b"SH"), may(0x3006_0008, *b"DA"), may(0x3006_0009, *b"TM")],
    ),
    ("1.2.840.10008.5.1.4.1.1.481.5", "RT PLAN", RT_PLAN),
    ("1.2.840.10008.5.1.4.1.1.481.8", "RT PLAN", RT_PLAN),
    (
        "1.2.840.10008.5.1.4.1.1.104.",
        "ENCAP DOC",
        &[
            may(0x0008_0023, *b"DA"),
            may(0x0008_0033, *b"TM"),
            NUMBER,
            may(0x0040_A043, *b"SQ"),
            may(0x0042_0010, *b"ST"),
            must(0x0042_0012, *b"LO"),
        ],
    ),
    ("1.2.840.10008.5.1.4.1.1.66.1", "REGISTRATION", REGISTRATION),
    ("1.2.840.10008.5.1.4.1.1.66.3", "REGISTRATION", REGISTRATION),
    ("1.2.840.10008.5.1.4.1.1.66.2", "FIDUCIAL", REGISTRATION),
];
const RT_PLAN: &[Key] =
    &[NUMBER, must(0x300A_0002, *b"SH"), may(0x300A_0006, *b"DA"), may(0x300A_0007, *b"TM")];
const REGISTRATION: &[Key] =
    &[CONTENT_DATE, CONTENT_TIME, NUMBER, CONTENT_LABEL, CONTENT_DESCRIPTION, CREATOR];

/// The record of an object whose data set starts where `source` stands and has `bytes` bytes; none for one that has no record of a type that is known here, or
/// not the keys that its type must have.
///
/// # Errors
/// [`ScanError::Io`].
pub fn leaf<R: Read + Seek>(
    source: &mut R,
    bytes: u64,
    encoding: Encoding,
    class: &Uid,
    outline: &Outline,
) -> Result<Option<Leaf>, ScanError> {
    let is_of = |prefix: &str| match prefix.strip_suffix('.') {
        Some(_) => class.as_str().starts_with(prefix),
        None => class.as_str() == prefix,
    };
    let Some((_, kind, keys)) = KINDS.iter().find(|(prefix, ..)| is_of(prefix)) else {
        let pixels = |kind| matches!(kind, BulkKind::Native | BulkKind::Encapsulated);
        // A deflated one is not seen through as far as its pixels.
        let is_image =
            encoding == Encoding::Deflated || outline.bulk.as_ref().is_some_and(|bulk| pixels(bulk.kind));
        return Ok(is_image.then(|| Leaf::image(outline)));
    };
    let wanted: Vec<u32> =
        keys.iter().map(|key| key.tag).chain([CHARACTER_SET, VERIFYING_OBSERVERS]).collect();
    let mut values = match values_of(source, bytes, encoding, &wanted) {
        Err(ScanError::Damaged { .. }) => return Ok(None),
        values => values?,
    };
    if values.get(&VERIFICATION_FLAG).is_some_and(|flag| flag.starts_with(b"VERIFIED")) {
        let verified =
            values.remove(&VERIFYING_OBSERVERS).as_deref().and_then(|observers| latest(observers, encoding));
        let Some(verified) = verified else { return Ok(None) };
        values.insert(VERIFICATION_DATE_TIME, verified);
    }
    let mut elements = Vec::new();
    if let Some(set) = values.get(&CHARACTER_SET) {
        put(&mut elements, CHARACTER_SET, *b"CS", set);
    }
    let mut sorted: Vec<&Key> = keys.iter().collect();
    sorted.sort_by_key(|key| key.tag);
    for key in sorted {
        let value = values.get(&key.tag).map(Vec::as_slice);
        if value.is_none() && key.tag == VERIFICATION_DATE_TIME {
            continue;
        }
        let value = value.unwrap_or_default();
        let value = if key.vr == *b"SQ" { explicit_items(value, encoding) } else { Some(value.to_vec()) };
        match value.filter(|value| !(key.must && value.is_empty())) {
            Some(value) if key.vr == *b"SQ" => {
                put_sequence(&mut elements, key.tag, u32::try_from(value.len()).unwrap_or_default());
                elements.extend_from_slice(&value);
            }
            Some(value) => put(&mut elements, key.tag, key.vr, &value),
            None => return Ok(None),
        }
    }
    Ok(Some(Leaf { kind, elements }))
}

/// The items of a sequence in Explicit VR Little Endian; none where that cannot be told.
fn explicit_items(value: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    let items = value.strip_suffix(&SEQUENCE_END).unwrap_or(value);
    match encoding {
        Encoding::ExplicitLittle => Some(items.to_vec()),
        Encoding::ImplicitLittle => code_items(items),
        Encoding::ExplicitBig | Encoding::Deflated => items.is_empty().then(Vec::new),
    }
}

/// Items of a code (PS3.3 8.8) that were implicit; elements beyond the four are left out.
fn code_items(mut items: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while !items.is_empty() {
        let (tag, length, rest) = head(items)?;
        if tag != ITEM {
            return None;
        }
        let (mut item, behind) = if length == u32::MAX {
            let end = rest.windows(ITEM_END.len()).position(|window| window == ITEM_END)?;
            (rest.get(..end)?, rest.get(end + ITEM_END.len()..)?)
        } else {
            rest.split_at_checked(usize::try_from(length).ok()?)?
        };
        let mut code = Vec::new();
        while !item.is_empty() {
            let (tag, length, rest) = head(item)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            match tag {
                0x0008_0100 | 0x0008_0102 | 0x0008_0103 => put(&mut code, tag, *b"SH", value),
                0x0008_0104 => put(&mut code, tag, *b"LO", value),
                _ => {}
            }
            item = rest;
        }
        out.extend_from_slice(&super::ITEM);
        out.extend_from_slice(&u32::try_from(code.len()).ok()?.to_le_bytes());
        out.extend_from_slice(&code);
        items = behind;
    }
    Some(out)
}

/// The latest Verification DateTime in a sequence of verifying observers, whatever else stands in it.
fn latest(observers: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    const TAG: [u8; 4] = [0x40, 0x00, 0x30, 0xA0];
    let value = |at: usize| {
        let rest = observers.get(at + TAG.len()..)?;
        let (&[a, b, c, d], rest) = rest.split_first_chunk()?;
        let length = match encoding {
            Encoding::ImplicitLittle => usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?,
            _ if [a, b] == *b"DT" => usize::from(u16::from_le_bytes([c, d])),
            _ => return None,
        };
        let value = rest.get(..length)?;
        let is_time = value.iter().all(|byte| byte.is_ascii_digit() || b".+- \0".contains(byte));
        (is_time && !value.is_empty()).then(|| value.to_vec())
    };
    observers
        .windows(TAG.len())
        .enumerate()
        .filter(|(_, window)| *window == TAG)
        .filter_map(|(at, _)| value(at))
        .max()
}

/// Tag and length of an implicit element, and what follows.
fn head(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (&[g0, g1, e0, e1, l0, l1, l2, l3], rest) = bytes.split_first_chunk()?;
    let tag = u32::from(u16::from_le_bytes([g0, g1])) << 16 | u32::from(u16::from_le_bytes([e0, e1]));
    Some((tag, u32::from_le_bytes([l0, l1, l2, l3]), rest))
}
