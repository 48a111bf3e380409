//! The walk over all elements of a data set, without recursion: levels of open sequences lie on a bounded stack.

use super::cursor::{Cursor, Forward};
use super::element::{Element, ITEM, ITEM_END, SEQUENCE_END, Syntax};
use super::values::Values;
use super::{Bulk, BulkKind, Outline, ScanError};
use crate::limits::{BULK_BYTES_MIN, ELEMENTS_MAX, SEQUENCE_DEPTH_MAX};
use std::collections::BTreeMap;
use std::ops::Range;

/// Pixel Data (PS3.3 C.7.6.3).
const PIXEL_DATA: u32 = 0x7FE0_0010;
/// Float Pixel Data and Double Float Pixel Data (PS3.3 C.7.6.24, C.7.6.25).
const FLOAT_PIXEL_DATA: [u32; 2] = [0x7FE0_0008, 0x7FE0_0009];
/// Last group that holds anything an outline wants besides the bulk value.
const LAST_GROUP: u32 = 0x0028;
/// The shortest element: fewer bytes at the end of a file are padding.
const ELEMENT_BYTES_MIN: u64 = 8;

/// One open level below the top: a sequence expects items, an item expects elements.
#[derive(Clone, Copy)]
enum Level {
    Sequence(Syntax),
    Item(Syntax),
}

/// A walk in progress.
pub(super) struct Walk<F> {
    cursor: Cursor<F>,
    syntax: Syntax,
    levels: Vec<Level>,
    elements: usize,
    values: Values,
    pixels: Option<Bulk>,
    largest: Option<Range<u64>>,
}

impl<F: Forward> Walk<F> {
    pub(super) fn new(cursor: Cursor<F>, syntax: Syntax) -> Self {
        let (values, levels) = (Values::default(), Vec::new());
        Self { cursor, syntax, levels, elements: 0, values, pixels: None, largest: None }
    }

    /// Walks to the end. Damage behind the pixels is no matter: it is carried as it is.
    pub(super) fn outline(mut self) -> Result<Outline, ScanError> {
        while self.cursor.left() >= ELEMENT_BYTES_MIN {
            match self.top_element() {
                Err(ScanError::Damaged { .. }) if self.pixels.is_some() => break,
                result => result?,
            };
        }
        let bulk = self.pixels.or(self.largest.map(|range| Bulk { range, kind: BulkKind::Other }));
        Ok(self.values.outline(bulk, self.syntax.big_endian))
    }

    /// Where the values of some elements of the top level lie, up to the last of them or the end.
    pub(super) fn ranges(mut self, wanted: &[u32]) -> Result<BTreeMap<u32, Range<u64>>, ScanError> {
        let (mut ranges, last) = (BTreeMap::new(), wanted.iter().max().copied().unwrap_or_default());
        while self.cursor.left() >= ELEMENT_BYTES_MIN {
            let element = self.head(self.syntax)?;
            if element.tag > last {
                break;
            }
            let start = self.cursor.position();
            self.value(element)?;
            // What has no length ends with its delimiter (PS3.5 7.5).
            let delimiter_bytes = if element.length.is_none() { ELEMENT_BYTES_MIN } else { 0 };
            if wanted.contains(&element.tag) {
                let end = self.cursor.position().saturating_sub(delimiter_bytes).max(start);
                ranges.insert(element.tag, start..end);
            }
        }
        Ok(ranges)
    }

    /// Walks over the groups that hold values of an outline and no further. Where a deflate stream ends is known only by
    /// reaching it, so an end is no damage once the instance is known.
    pub(super) fn identify(mut self) -> Result<Outline, ScanError> {
        match self.identifying_elements() {
            Err(ScanError::Damaged { .. }) if self.values.identified() => {}
            result => result?,
        }
        Ok(self.values.outline(None, false))
    }

    fn identifying_elements(&mut self) -> Result<(), ScanError> {
        loop {
            let element = self.head(self.syntax)?;
            if element.tag >> 16 > LAST_GROUP {
                return Ok(());
            }
            self.value(element)?;
        }
    }

    fn top_element(&mut self) -> Result<(), ScanError> {
        let element = self.head(self.syntax)?;
        let start = self.cursor.position();
        self.value(element)?;
        self.note_bulk(element, start..self.cursor.position());
        Ok(())
    }

    /// Walks over the value of an element of the top level.
    fn value(&mut self, element: Element) -> Result<(), ScanError> {
        self.values.note(element.tag);
        match element.length {
            Some(length) => self.values.read(&mut self.cursor, self.syntax, element.tag, length),
            None => self.until_delimiter(element),
        }
    }

    /// Reads the next head, while there may be more.
    fn head(&mut self, syntax: Syntax) -> Result<Element, ScanError> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(self.cursor.damaged("too many elements"));
        }
        Element::read(&mut self.cursor, syntax)
    }

    /// Walks over a value of undefined length: a sequence, or encapsulated pixels, which look the same from here
    /// (PS3.5 7.5.1, A.4).
    fn until_delimiter(&mut self, element: Element) -> Result<(), ScanError> {
        self.open(Level::Sequence(inside(element, self.syntax)))?;
        while let Some(level) = self.levels.last().copied() {
            match level {
                Level::Sequence(syntax) => self.item(syntax)?,
                Level::Item(syntax) => self.nested_element(syntax)?,
            }
        }
        Ok(())
    }

    fn item(&mut self, syntax: Syntax) -> Result<(), ScanError> {
        let item = self.head(syntax)?;
        match (item.tag, item.length) {
            (SEQUENCE_END, _) => self.close(),
            (ITEM, Some(length)) => self.cursor.skip(length)?,
            (ITEM, None) => self.open(Level::Item(syntax))?,
            _ => return Err(self.cursor.damaged("neither item nor delimiter in a sequence")),
        }
        Ok(())
    }

    fn nested_element(&mut self, syntax: Syntax) -> Result<(), ScanError> {
        let element = self.head(syntax)?;
        match element.length {
            _ if element.tag == ITEM_END => self.close(),
            Some(length) => self.cursor.skip(length)?,
            None => self.open(Level::Sequence(inside(element, syntax)))?,
        }
        Ok(())
    }

    fn open(&mut self, level: Level) -> Result<(), ScanError> {
        // A sequence and its item are two levels of this stack, one of nesting.
        if self.levels.len() >= 2 * SEQUENCE_DEPTH_MAX {
            return Err(self.cursor.damaged("sequences too deep"));
        }
        self.levels.push(level);
        Ok(())
    }

    fn close(&mut self) {
        self.levels.pop();
    }

    /// Keeps the first value of pixels, and the largest of the others (SPEC 1.2).
    fn note_bulk(&mut self, element: Element, range: Range<u64>) {
        let bytes = range.end - range.start;
        let is_pixels = element.tag == PIXEL_DATA || FLOAT_PIXEL_DATA.contains(&element.tag);
        if is_pixels && bytes > 0 && self.pixels.is_none() {
            let kind = match element.length {
                _ if element.tag != PIXEL_DATA => BulkKind::Other,
                Some(_) => BulkKind::Native,
                None => BulkKind::Encapsulated,
            };
            self.pixels = Some(Bulk { range, kind });
        } else if bytes >= BULK_BYTES_MIN && self.largest.as_ref().is_none_or(|l| bytes > l.end - l.start) {
            self.largest = Some(range);
        }
    }
}

/// How the content of an element is written (PS3.5 6.2.2).
fn inside(element: Element, outside: Syntax) -> Syntax {
    if element.is(b"UN") { Syntax::OF_UNKNOWN } else { outside }
}
