//! A whole data set in memory as a tree, for objects that are read and not seen: reports, documents. Values stay where they lie.

use super::cursor::Cursor;
use super::element::{Element, ITEM, ITEM_END, SEQUENCE_END, Syntax};
use super::{Encoding, Outline, ScanError, Walk, meta_group};
use crate::limits::{DOCUMENT_BYTES_MAX, ELEMENTS_MAX, SEQUENCE_DEPTH_MAX, TREE_ELEMENTS_MAX};
use std::borrow::Cow;
use std::io::Read;

/// A deflated data set grows by so much at a time.
const INFLATED_STEP_BYTES: usize = 1 << 20;

/// Bytes of a data set alone, without preamble, meta group and deflation.
pub struct Bare<'b> {
    bytes: Cow<'b, [u8]>,
    syntax: Syntax,
    /// It does not inflate to its end, or to more than is read.
    is_cut: bool,
}

impl<'b> Bare<'b> {
    /// Of source bytes, with or without preamble and meta group.
    pub fn of(source: &'b [u8], encoding: Encoding) -> Self {
        let bytes = source.get(meta_group(source).end..).unwrap_or_default();
        let Some(syntax) = Syntax::of(encoding) else { return Self::inflated(bytes) };
        Self { bytes: Cow::Borrowed(bytes), syntax, is_cut: false }
    }

    /// PS3.5 A.5.
    fn inflated(deflated: &[u8]) -> Self {
        let (mut bytes, mut all) = (Vec::new(), flate2::bufread::DeflateDecoder::new(deflated));
        let mut is_cut = false;
        while bytes.len() < DOCUMENT_BYTES_MAX {
            // In steps: a vector that doubles would take twice the limit.
            bytes.reserve_exact(INFLATED_STEP_BYTES);
            let read = (&mut all).take(INFLATED_STEP_BYTES as u64).read_to_end(&mut bytes);
            is_cut = read.is_err();
            if read.unwrap_or_default() < INFLATED_STEP_BYTES {
                break;
            }
        }
        is_cut |= all.read(&mut [0]).unwrap_or(1) > 0;
        Self { bytes: Cow::Owned(bytes), syntax: Syntax { explicit: true, big_endian: false }, is_cut }
    }

    /// What it is and whose, also where it is damaged behind that: nothing of it where it is damaged before.
    pub fn outline(&self) -> Outline {
        let bytes: &[u8] = &self.bytes;
        let walk = Walk::new(Cursor::new(bytes, bytes.len() as u64), self.syntax);
        walk.identify().unwrap_or_default()
    }

    /// All of it. `sequences` are those that are looked into where no VR is written.
    pub fn tree(&self, sequences: &[u32]) -> Tree<'_> {
        let bytes: &[u8] = &self.bytes;
        let mut reader = Reader {
            bytes,
            cursor: Cursor::new(bytes, bytes.len() as u64),
            padding: bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1),
            sequences,
            read: 0,
            kept: 0,
            is_cut: self.is_cut,
        };
        let mut top = Item { syntax: self.syntax, fields: Vec::new() };
        let result = reader.elements(&mut top, None, 0);
        Tree { top, is_damaged: result.is_err() || reader.is_cut }
    }
}

/// A data set, as far as it could be read.
pub struct Tree<'b> {
    /// Its top level.
    pub top: Item<'b>,
    /// Reading ended before the data set: lengths that cannot be, or a limit. What lies behind is not in the tree.
    pub is_damaged: bool,
}

/// Elements of one level.
pub struct Item<'b> {
    syntax: Syntax,
    fields: Vec<(u32, Content<'b>)>,
}

enum Content<'b> {
    Value(&'b [u8]),
    Items(Vec<Item<'b>>),
}

impl<'b> Item<'b> {
    fn content(&self, tag: u32) -> Option<&Content<'b>> {
        self.fields.iter().find(|(known, _)| *known == tag).map(|(_, content)| content)
    }

    /// The value of an element that is no sequence.
    pub fn value(&self, tag: u32) -> Option<&'b [u8]> {
        if let Content::Value(value) = self.content(tag)? { Some(value) } else { None }
    }

    /// The items of a sequence; none where there is no such sequence.
    pub fn items(&self, tag: u32) -> &[Self] {
        if let Some(Content::Items(items)) = self.content(tag) { items } else { &[] }
    }

    /// Numbers of a value of VR US.
    pub fn words(&self, tag: u32) -> impl Iterator<Item = u16> {
        self.value(tag).unwrap_or_default().as_chunks().0.iter().map(|bytes| self.syntax.u16(*bytes))
    }

    /// Numbers of a value of VR UL.
    pub fn longs(&self, tag: u32) -> impl Iterator<Item = u32> {
        self.value(tag).unwrap_or_default().as_chunks().0.iter().map(|bytes| self.syntax.u32(*bytes))
    }
}

struct Reader<'r, 'b> {
    bytes: &'b [u8],
    cursor: Cursor<&'b [u8]>,
    /// From here on there is nothing but zeros, or nothing at all.
    padding: u64,
    sequences: &'r [u32],
    read: usize,
    kept: usize,
    is_cut: bool,
}

impl<'b> Reader<'_, 'b> {
    /// Into `item`, up to position `end` or to the delimiter of the item.
    fn elements(&mut self, item: &mut Item<'b>, end: Option<u64>, depth: usize) -> Result<(), ScanError> {
        let end_of_level = end.unwrap_or(if depth > 0 { u64::MAX } else { self.padding });
        while self.cursor.position() < end_of_level {
            let element = self.head(item.syntax)?;
            if element.tag == ITEM_END && depth > 0 {
                return Ok(());
            }
            self.keep()?;
            match element.length {
                Some(length) if !self.is_sequence(element) => {
                    self.fits(length, end)?;
                    let value = self.value(length)?;
                    item.fields.push((element.tag, Content::Value(value)));
                }
                length => {
                    let end = self.end(length, end)?;
                    let syntax = if element.is(b"UN") { Syntax::OF_UNKNOWN } else { item.syntax };
                    let mut items = Vec::new();
                    let result = self.items(&mut items, syntax, end, depth + 1);
                    // What was read of a damaged one stays.
                    item.fields.push((element.tag, Content::Items(items)));
                    result?;
                }
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        items: &mut Vec<Item<'b>>,
        syntax: Syntax,
        end: Option<u64>,
        depth: usize,
    ) -> Result<(), ScanError> {
        if depth > SEQUENCE_DEPTH_MAX {
            return Err(self.cursor.damaged("sequences too deep"));
        }
        while end.is_none_or(|end| self.cursor.position() < end) {
            let item = self.head(syntax)?;
            match item.tag {
                SEQUENCE_END => return Ok(()),
                ITEM => {
                    let end = self.end(item.length, end)?;
                    self.keep()?;
                    let mut own = Item { syntax, fields: Vec::new() };
                    let result = self.elements(&mut own, end, depth);
                    items.push(own);
                    result?;
                }
                _ => return Err(self.cursor.damaged("neither item nor delimiter in a sequence")),
            }
        }
        Ok(())
    }

    fn fits(&self, length: u64, end: Option<u64>) -> Result<(), ScanError> {
        let left = end.map_or(self.cursor.left(), |end| end.saturating_sub(self.cursor.position()));
        if length > left {
            return Err(self.cursor.damaged("longer than what it lies in"));
        }
        Ok(())
    }

    /// Where a sequence or an item of such a length ends. Of one that was cut with the data set the beginning is read.
    fn end(&mut self, length: Option<u64>, around: Option<u64>) -> Result<Option<u64>, ScanError> {
        let Some(length) = length else { return Ok(None) };
        if length > self.cursor.left() {
            self.is_cut = true;
            return Ok(Some(self.cursor.position() + self.cursor.left()));
        }
        self.fits(length, around)?;
        Ok(Some(self.cursor.position() + length))
    }

    fn is_sequence(&self, element: Element) -> bool {
        element.is(b"SQ")
            || (element.is(&[0; 2]) || element.is(b"UN")) && self.sequences.contains(&element.tag)
    }

    fn keep(&mut self) -> Result<(), ScanError> {
        self.kept += 1;
        if self.kept > TREE_ELEMENTS_MAX {
            return Err(self.cursor.damaged("too many elements"));
        }
        Ok(())
    }

    fn head(&mut self, syntax: Syntax) -> Result<Element, ScanError> {
        self.read += 1;
        if self.read > ELEMENTS_MAX {
            return Err(self.cursor.damaged("too many elements"));
        }
        Element::read(&mut self.cursor, syntax)
    }

    fn value(&mut self, length: u64) -> Result<&'b [u8], ScanError> {
        let start = self.cursor.position();
        self.cursor.skip(length)?;
        let range = usize::try_from(start).ok().zip(usize::try_from(start + length).ok());
        Ok(range.and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or_default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::sample::Writer;
    use super::*;
    use proptest::prelude::*;

    const CONTENT: u32 = 0x0040_A730;
    const TEXT: u32 = 0x0040_A160;
    const ENCODINGS: [Encoding; 3] =
        [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig];

    fn item(writer: Writer, content: &[u8], defined: bool) -> Writer {
        if defined {
            return writer.head(ITEM, "", content.len() as u32).raw(content);
        }
        writer.head(ITEM, "", u32::MAX).raw(content).head(ITEM_END, "", 0)
    }

    fn sequence(writer: Writer, content: &[u8], defined: bool) -> Writer {
        if defined {
            return writer.head(CONTENT, "SQ", content.len() as u32).raw(content);
        }
        writer.head(CONTENT, "SQ", u32::MAX).raw(content).head(SEQUENCE_END, "", 0)
    }

    fn text(encoding: Encoding, words: &[u8]) -> Vec<u8> {
        Writer::new(encoding).element(TEXT, "UT", words).bytes
    }

    /// A text within so many sequences.
    fn nested(encoding: Encoding, depth: usize, defined: bool) -> Vec<u8> {
        (0..depth).fold(text(encoding, b"deep"), |inner, _| {
            let content = item(Writer::new(encoding), &inner, defined).bytes;
            sequence(Writer::new(encoding), &content, defined).bytes
        })
    }

    fn texts(item: &Item<'_>, found: &mut Vec<Vec<u8>>) {
        found.extend(item.value(TEXT).map(<[u8]>::to_vec));
        item.items(CONTENT).iter().for_each(|inner| texts(inner, found));
    }

    fn read(bytes: &[u8], encoding: Encoding) -> (Vec<Vec<u8>>, bool) {
        let bare = Bare::of(bytes, encoding);
        let (tree, mut found) = (bare.tree(&[CONTENT]), Vec::new());
        texts(&tree.top, &mut found);
        (found, tree.is_damaged)
    }

    #[test]
    fn sequences_of_every_kind_are_looked_into() {
        for encoding in ENCODINGS {
            for defined in [true, false] {
                let two = [text(encoding, b"one "), text(encoding, b"two ")].map(|text| {
                    let writer = Writer::new(encoding);
                    item(writer, &text, defined).bytes
                });
                let bytes = sequence(Writer::new(encoding).identity(7), &two.concat(), defined).bytes;
                assert_eq!(read(&bytes, encoding), (vec![b"one ".to_vec(), b"two ".to_vec()], false));
                assert_eq!(Bare::of(&bytes, encoding).outline().instance_number, Some(7));
            }
        }
    }

    #[test]
    fn a_sequence_of_unknown_vr_is_written_as_implicit() {
        let inner = item(Writer::new(Encoding::ImplicitLittle), &text(Encoding::ImplicitLittle, b"in"), true);
        let bytes = Writer::new(Encoding::ExplicitLittle).element(CONTENT, "UN", &inner.bytes).bytes;
        assert_eq!(read(&bytes, Encoding::ExplicitLittle), (vec![b"in".to_vec()], false));
    }

    #[test]
    fn what_lies_too_deep_ends_the_reading_and_is_told() {
        for defined in [true, false] {
            let fits = nested(Encoding::ExplicitLittle, SEQUENCE_DEPTH_MAX, defined);
            assert_eq!(read(&fits, Encoding::ExplicitLittle), (vec![b"deep".to_vec()], false));
            let deep = nested(Encoding::ExplicitLittle, SEQUENCE_DEPTH_MAX + 1, defined);
            assert_eq!(read(&deep, Encoding::ExplicitLittle), (vec![], true));
        }
        // The call stack has an end too.
        let deep = nested(Encoding::ExplicitLittle, 2_000, false);
        assert!(read(&deep, Encoding::ExplicitLittle).1);
    }

    #[test]
    fn what_is_before_the_damage_stays() {
        let encoding = Encoding::ExplicitLittle;
        for (defined, outer) in [(true, true), (true, false), (false, true), (false, false)] {
            let [first, second] = [b"told", b"lost"]
                .map(|words| item(Writer::new(encoding), &text(encoding, words), defined).bytes);
            let whole = sequence(Writer::new(encoding), &[first, second.clone()].concat(), outer).bytes;
            assert_eq!(read(&whole, encoding), (vec![b"told".to_vec(), b"lost".to_vec()], false));
            // Bytes behind the first text: a delimiter each where no length is written.
            let behind = second.len() + if defined { 0 } else { 8 } + if outer { 0 } else { 8 };
            for cut in 1..whole.len() - 12 {
                let (found, is_damaged) = read(whole.get(..whole.len() - cut).unwrap(), encoding);
                assert!(found.first().is_none_or(|text| text == b"told"), "{cut}");
                assert_eq!(!found.is_empty(), cut <= behind, "{cut}");
                assert!(is_damaged, "{cut}");
            }
        }
    }

    #[test]
    fn an_element_longer_than_its_item_is_damage() {
        let encoding = Encoding::ExplicitLittle;
        let lying = Writer::new(encoding).head(TEXT, "UT", 40).raw(b"four").bytes;
        let bytes = sequence(Writer::new(encoding), &item(Writer::new(encoding), &lying, true).bytes, true);
        let bytes = bytes.element(0x0040_DB00, "CS", &[b'X'; 60]).bytes;
        assert_eq!(read(&bytes, encoding), (vec![], true));
    }

    #[test]
    fn zeros_before_the_end_are_walked_over_once() {
        let words = text(Encoding::ExplicitLittle, b"told");
        for (behind, is_damaged) in [([].as_slice(), false), (b"\x01", true)] {
            let bytes = [words.as_slice(), &vec![0; 3 << 20], behind].concat();
            assert_eq!(read(&bytes, Encoding::ExplicitLittle), (vec![b"told".to_vec()], is_damaged));
        }
    }

    #[test]
    fn a_deflated_data_set_is_inflated_and_a_cut_one_is_told() {
        let bytes = nested(Encoding::ExplicitLittle, 3, true);
        let mut deflated = Vec::new();
        let mut encoder = flate2::bufread::DeflateEncoder::new(bytes.as_slice(), flate2::Compression::fast());
        encoder.read_to_end(&mut deflated).unwrap();
        assert_eq!(read(&deflated, Encoding::Deflated), (vec![b"deep".to_vec()], false));
        assert!(read(deflated.get(..deflated.len() - 3).unwrap(), Encoding::Deflated).1);
        assert!(read(b"no stream at all", Encoding::Deflated).1);
        // More than is read.
        let mut bomb = Vec::new();
        let zeros = std::io::repeat(0).take(DOCUMENT_BYTES_MAX as u64 + 1);
        let zeros = std::io::BufReader::new(bytes.as_slice().chain(zeros));
        flate2::bufread::DeflateEncoder::new(zeros, flate2::Compression::fast())
            .read_to_end(&mut bomb)
            .unwrap();
        assert_eq!(read(&bomb, Encoding::Deflated), (vec![b"deep".to_vec()], true));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..300, with: u8) {
            for encoding in [ENCODINGS.as_slice(), &[Encoding::Deflated]].concat() {
                read(&bytes, encoding);
                let mut nested = nested(Encoding::ExplicitLittle, 5, at % 2 == 0);
                if let Some(byte) = nested.get_mut(at) { *byte = with; }
                read(&nested, encoding);
            }
        }
    }
}
