//! A linear reader and a writer for flat lists of elements in Implicit VR Little Endian (PS3.5 7.1.3).

/// Bytes of an element's tag and length.
const HEADER_BYTES: usize = 8;
/// The length that stands for "undefined" (PS3.5 7.1.1); a flat list never holds one.
const LENGTH_UNDEFINED: u32 = 0xFFFF_FFFF;

/// Group of items and delimiters (PS3.5 7.5).
const DELIMITER_GROUP: u16 = 0xFFFE;
const ITEM: u16 = 0xE000;
const ITEM_END: u16 = 0xE00D;
const SEQUENCE_END: u16 = 0xE0DD;

/// One element; the value is borrowed from the bytes that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Tag, group in the upper half.
    pub tag: u32,
    /// Value as it stands, with its padding.
    pub value: &'a [u8],
}

impl Element<'_> {
    /// The value as one US (PS3.5 6.2).
    pub fn u16(&self) -> Option<u16> {
        Some(u16::from_le_bytes(self.value.try_into().ok()?))
    }
}

/// The bytes are not a flat list of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged element {tag:08x} at byte {offset}")]
pub struct Damaged {
    /// Where the element starts.
    pub offset: usize,
    /// Its tag, 0 where not even that could be read.
    pub tag: u32,
}

/// Reads elements one after the other, each byte once, nothing copied. Ends after the first damaged element.
pub struct Elements<'a> {
    bytes: &'a [u8],
    offset: usize,
    previous: Option<u32>,
    passes_sequences: bool,
}

impl<'a> Elements<'a> {
    /// Elements of a whole command set or identifier.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, previous: None, passes_sequences: false }
    }

    /// Of an identifier. `quirk_unasked_sequence`: some PACS answer with sequences of undefined length; those are passed over, read once,
    /// and come as elements without value.
    pub fn passing_sequences(bytes: &'a [u8]) -> Self {
        Self { passes_sequences: true, ..Self::of(bytes) }
    }

    fn damaged(&mut self, tag: u32) -> Option<Result<Element<'a>, Damaged>> {
        self.bytes = &[];
        Some(Err(Damaged { offset: self.offset, tag }))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let Some((&[g0, g1, e0, e1, l0, l1, l2, l3], rest)) = self.bytes.split_first_chunk::<HEADER_BYTES>()
        else {
            return self.damaged(0);
        };
        let tag = u32::from(u16::from_le_bytes([g0, g1])) << 16 | u32::from(u16::from_le_bytes([e0, e1]));
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        // Ascending tags (PS3.5 7.1) rule out a second value for a key, which two readers might choose differently.
        if self.previous.is_some_and(|previous| previous >= tag) {
            return self.damaged(tag);
        }
        let split = match length {
            LENGTH_UNDEFINED if self.passes_sequences => behind_sequence(rest).map(|rest| (&[][..], rest)),
            LENGTH_UNDEFINED => None,
            _ => usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)),
        };
        let Some((value, rest)) = split else { return self.damaged(tag) };
        self.offset += self.bytes.len() - rest.len();
        self.bytes = rest;
        self.previous = Some(tag);
        Some(Ok(Element { tag, value }))
    }
}

/// What follows a sequence of undefined length, whatever is nested in it (PS3.5 7.5).
fn behind_sequence(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut open = 1_usize;
    while open > 0 {
        let (&[g0, g1, e0, e1, l0, l1, l2, l3], rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        bytes = match (u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]), length) {
            (DELIMITER_GROUP, SEQUENCE_END, _) => {
                open -= 1;
                rest
            }
            // The elements of an item are walked, whether its length is told or not.
            (DELIMITER_GROUP, ITEM | ITEM_END, _) => rest,
            (_, _, LENGTH_UNDEFINED) => {
                open += 1;
                rest
            }
            _ => rest.split_at_checked(usize::try_from(length).ok()?)?.1,
        };
    }
    Some(bytes)
}

/// Appends an element; an odd value gets `padding` (PS3.5 6.2: NUL for UI, space for text).
pub fn push(bytes: &mut Vec<u8>, tag: u32, value: &[u8], padding: u8) {
    let odd = value.len() % 2;
    let [g0, g1, e0, e1] = tag.to_be_bytes();
    bytes.extend_from_slice(&[g1, g0, e1, e0]);
    // Values written here are UIDs, numbers and constant texts of some tens of bytes.
    let length = u32::try_from(value.len() + odd).unwrap_or(0);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(value);
    bytes.extend(std::iter::repeat_n(padding, odd));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_odd_values_are_padded() {
        let mut bytes = Vec::new();
        push(&mut bytes, 0x0000_0100, &1_u16.to_le_bytes(), 0);
        push(&mut bytes, 0x0008_0018, b"1.2.3", 0);
        let elements: Vec<_> = Elements::of(&bytes).map(Result::unwrap).collect();
        assert_eq!(elements[0].u16(), Some(1));
        assert_eq!(elements[1], Element { tag: 0x0008_0018, value: b"1.2.3\0" });
        assert_eq!(&bytes[10..18], &[0x08, 0x00, 0x18, 0x00, 6, 0, 0, 0]);
    }

    #[test]
    fn a_length_beyond_the_bytes_is_damage_at_its_place() {
        let bytes = [0, 0, 0, 1, 200, 0, 0, 0, 1];
        let read: Vec<_> = Elements::of(&bytes).collect();
        assert_eq!(read, [Err(Damaged { offset: 0, tag: 0x0000_0100 })]);
    }

    #[test]
    fn undefined_length_repeated_tags_and_a_torn_header_are_damage() {
        let undefined = [8, 0, 0x40, 0x11, 0xFF, 0xFF, 0xFF, 0xFF];
        assert!(Elements::of(&undefined).next().unwrap().is_err());
        let mut twice = Vec::new();
        push(&mut twice, 0x0000_0100, &[1, 0], 0);
        push(&mut twice, 0x0000_0100, &[2, 0], 0);
        assert_eq!(Elements::of(&twice).last(), Some(Err(Damaged { offset: 10, tag: 0x0000_0100 })));
        assert!(Elements::of(&[0, 0, 0]).next().unwrap().is_err());
    }

    #[test]
    fn a_sequence_of_undefined_length_is_passed_over_whatever_is_nested_in_it() {
        let header = |group: u16, element: u16, length: u32| {
            let (group, element) = (group.to_le_bytes(), element.to_le_bytes());
            [&group[..], &element[..], &length.to_le_bytes()[..]].concat()
        };
        let mut bytes = header(0x0008, 0x1110, LENGTH_UNDEFINED);
        bytes.extend(header(DELIMITER_GROUP, ITEM, LENGTH_UNDEFINED));
        bytes.extend(header(0x0008, 0x1140, LENGTH_UNDEFINED));
        bytes.extend(header(DELIMITER_GROUP, ITEM, 10));
        bytes.extend([&header(0x0008, 0x1155, 2)[..], b"1\0"].concat());
        bytes.extend(header(DELIMITER_GROUP, SEQUENCE_END, 0));
        bytes.extend(header(DELIMITER_GROUP, ITEM_END, 0));
        bytes.extend(header(DELIMITER_GROUP, SEQUENCE_END, 0));
        push(&mut bytes, 0x0020_000D, b"1.2", 0);
        let read: Vec<_> = Elements::passing_sequences(&bytes).map(Result::unwrap).collect();
        assert_eq!(read.last(), Some(&Element { tag: 0x0020_000D, value: b"1.2\0" }));
        assert_eq!(read.len(), 2);
        assert!(Elements::passing_sequences(&bytes[..40]).next().unwrap().is_err());
        assert!(Elements::of(&bytes).next().unwrap().is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            proptest::prop_assert!(Elements::of(&bytes).count() <= bytes.len() / HEADER_BYTES + 1);
            proptest::prop_assert!(Elements::passing_sequences(&bytes).count() <= bytes.len() / HEADER_BYTES + 1);
        }
    }
}
