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
/// Item Delimitation Item, with its length.
const ITEM_END: [u8; 8] = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0];
/// Concept Name Code Sequence, whose items are codes.
const CONCEPT_NAMES: u32 = 0x0040_A043;
/// Longest value of an element with a short length (PS3.5 7.1.2), which is even; in Implicit VR a text may be longer.
const SHORT_BYTES_MAX: usize = 65_534;

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
const CONCEPT_NAME: Key = must(CONCEPT_NAMES, *b"SQ");
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
            may(CONCEPT_NAMES, *b"SQ"),
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
    let is_short = |key: &Key| key.vr != *b"SQ";
    let mut short = keys.iter().filter(|key| is_short(key)).map(|key| key.tag).chain([CHARACTER_SET]);
    if short.any(|tag| values.get(&tag).is_some_and(|value| value.len() > SHORT_BYTES_MAX)) {
        return Ok(None);
    }
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
        let value =
            if is_short(key) { Some(value.to_vec()) } else { explicit_items(key.tag, value, encoding) };
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
fn explicit_items(tag: u32, items: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::ExplicitLittle => Some(items.to_vec()),
        Encoding::ImplicitLittle if tag == CONCEPT_NAMES => code_items(items),
        _ => items.is_empty().then(Vec::new),
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
            if value.len() > SHORT_BYTES_MAX {
                return None;
            }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::dataset::outline_here;
    use crate::dataset::sample::Writer;
    use std::io::Cursor;

    const UNDEFINED: u32 = u32::MAX;
    const PRESENTATION: &str = "1.2.840.10008.5.1.4.1.1.11.1";
    const PDF: &str = "1.2.840.10008.5.1.4.1.1.104.1";

    fn leaf_of(class: &str, encoding: Encoding, data_set: &[u8]) -> Option<Leaf> {
        let bytes = data_set.len() as u64;
        let outline = outline_here(&mut Cursor::new(data_set), bytes, encoding).unwrap();
        leaf(&mut Cursor::new(data_set), bytes, encoding, &Uid::parse(class).unwrap(), &outline).unwrap()
    }

    /// A document with a title of so many bytes.
    fn document(encoding: Encoding, title_bytes: usize) -> Vec<u8> {
        Writer::new(encoding)
            .element(0x0020_0013, "IS", b"1 ")
            .element(0x0042_0010, "ST", &vec![b'a'; title_bytes])
            .element(0x0042_0012, "LO", b"application/pdf ")
            .bytes
    }

    #[test]
    fn a_text_that_is_too_long_for_its_record_has_none() {
        let implicit =
            |bytes| leaf_of(PDF, Encoding::ImplicitLittle, &document(Encoding::ImplicitLittle, bytes));
        let longest = implicit(SHORT_BYTES_MAX).unwrap();
        let explicit =
            leaf_of(PDF, Encoding::ExplicitLittle, &document(Encoding::ExplicitLittle, SHORT_BYTES_MAX));
        assert!(longest.elements == explicit.unwrap().elements && longest.elements.len() > SHORT_BYTES_MAX);
        assert!(implicit(SHORT_BYTES_MAX + 2).is_none() && implicit(200_000).is_none());
    }

    /// A presentation state of one series; told: the lengths of the outer sequence and its item are.
    fn presentation(encoding: Encoding, told: bool) -> (Vec<u8>, Vec<u8>) {
        let new = || Writer::new(encoding);
        let image = new().element(0x0008_1155, "UI", b"1.2.3\0").bytes;
        // The item ends with a sequence that has no length, and thus with the delimiter of that.
        let images =
            new().head(0x0008_1140, "SQ", UNDEFINED).element(ITEM, "", &image).head(0xFFFE_E0DD, "", 0).bytes;
        let item = new().element(ITEM, "", &images).bytes;
        let series = match told {
            true => new().element(0x0008_1115, "SQ", &item),
            false => new().head(0x0008_1115, "SQ", UNDEFINED).raw(&item).head(0xFFFE_E0DD, "", 0),
        };
        let rest = new()
            .element(0x0020_0013, "IS", b"1 ")
            .element(0x0070_0080, "CS", b"LABEL ")
            .element(0x0070_0082, "DA", b"20260101")
            .element(0x0070_0083, "TM", b"1015")
            .bytes;
        ([series.bytes, rest].concat(), item)
    }

    #[test]
    fn a_sequence_keeps_what_is_in_it_and_loses_its_own_delimiter() {
        for told in [true, false] {
            let (data_set, item) = presentation(Encoding::ExplicitLittle, told);
            let leaf = leaf_of(PRESENTATION, Encoding::ExplicitLittle, &data_set).unwrap();
            let mut expected = Vec::new();
            put_sequence(&mut expected, 0x0008_1115, u32::try_from(item.len()).unwrap());
            expected.extend_from_slice(&item);
            assert!(leaf.elements.starts_with(&expected), "{told}");
        }
    }

    #[test]
    fn an_implicit_sequence_of_other_things_than_codes_has_no_record() {
        for told in [true, false] {
            let (data_set, _) = presentation(Encoding::ImplicitLittle, told);
            assert!(leaf_of(PRESENTATION, Encoding::ImplicitLittle, &data_set).is_none(), "{told}");
        }
    }

    #[test]
    fn a_code_in_implicit_vr_is_that_of_explicit_vr() {
        const KEY_OBJECT: &str = "1.2.840.10008.5.1.4.1.1.88.59";
        let of = |encoding| {
            let new = || Writer::new(encoding);
            let code = new().element(0x0008_0100, "SH", b"113000").element(0x0008_0102, "SH", b"DCM ");
            let code = code.element(0x0008_0104, "LO", b"Of Interest ").bytes;
            let item = new().element(ITEM, "", &code).bytes;
            let data_set = new()
                .element(0x0008_0023, "DA", b"20260101")
                .element(0x0008_0033, "TM", b"1015")
                .element(0x0020_0013, "IS", b"1 ")
                .element(CONCEPT_NAMES, "SQ", &item)
                .bytes;
            leaf_of(KEY_OBJECT, encoding, &data_set).unwrap().elements
        };
        assert_eq!(of(Encoding::ImplicitLittle), of(Encoding::ExplicitLittle));
    }
}
