//! An Explicit VR Little Endian data set as Implicit VR Little Endian, which every peer must take (PS3.5 10.1): heads are written anew, values
//! are copied as they are.

use super::ScanError;
use super::cursor::{Cursor, Forward, Seekable};
use super::element::{Element, ITEM, ITEM_END, LENGTH_UNDEFINED, SEQUENCE_END, Syntax};
use crate::limits::{ELEMENTS_MAX, SEQUENCE_DEPTH_MAX};
use std::io::{Read, Seek, Write};

/// Bytes of a value that are copied at once.
const COPY_BYTES: usize = 64 << 10;
/// The shortest element: fewer bytes at the end of a file are padding.
const ELEMENT_BYTES_MIN: u64 = 8;
/// Pixel Data (PS3.3 C.7.6.3).
const PIXEL_DATA: u32 = 0x7FE0_0010;

/// Writes the data set that starts where `source` stands and has `bytes` bytes. Sequences and items get undefined lengths, since those that are told count other
/// heads; group lengths, which are retired (PS3.5 7.2), go for the same reason.
///
/// # Errors
/// [`ScanError`]: then what was written is no data set.
pub fn write_implicit<R: Read + Seek>(
    source: &mut R,
    bytes: u64,
    out: &mut dyn Write,
) -> Result<(), ScanError> {
    let cursor = Cursor::new(Seekable::new(source), bytes);
    Writing { cursor, out, levels: Vec::new(), elements: 0 }.all()
}

struct Writing<'o, F> {
    cursor: Cursor<F>,
    out: &'o mut dyn Write,
    levels: Vec<Level>,
    elements: usize,
}

/// An open sequence or item.
#[derive(Clone, Copy)]
struct Level {
    /// Of items; else one item, of elements.
    is_sequence: bool,
    /// Where it ends, if its length is told.
    end: Option<u64>,
    syntax: Syntax,
}

impl<F: Forward> Writing<'_, F> {
    fn all(mut self) -> Result<(), ScanError> {
        loop {
            self.close_ended()?;
            if self.levels.is_empty() && self.cursor.left() < ELEMENT_BYTES_MIN {
                return Ok(());
            }
            let (in_sequence, syntax) = match self.levels.last() {
                Some(level) => (level.is_sequence, level.syntax),
                None => (false, Syntax { explicit: true, big_endian: false }),
            };
            self.elements += 1;
            if self.elements > ELEMENTS_MAX {
                return Err(self.cursor.damaged("too many elements"));
            }
            let element = Element::read(&mut self.cursor, syntax)?;
            if in_sequence { self.item(element, syntax)? } else { self.element(element, syntax)? }
        }
    }

    fn item(&mut self, item: Element, syntax: Syntax) -> Result<(), ScanError> {
        match item.tag {
            SEQUENCE_END => self.close(),
            ITEM => self.open(item, false, syntax),
            _ => Err(self.cursor.damaged("neither item nor delimiter in a sequence")),
        }
    }

    fn element(&mut self, element: Element, syntax: Syntax) -> Result<(), ScanError> {
        match element.length {
            _ if element.tag == ITEM_END && !self.levels.is_empty() => self.close(),
            Some(length) if element.tag & 0xFFFF == 0 => self.cursor.skip(length),
            Some(length) if !element.is(b"SQ") => self.copy(element.tag, length),
            None if element.tag == PIXEL_DATA => {
                Err(self.cursor.damaged("encapsulated pixels in a data set that is said to have none"))
            }
            _ => {
                let inside = if element.is(b"UN") { Syntax::OF_UNKNOWN } else { syntax };
                self.open(element, true, inside)
            }
        }
    }

    fn open(&mut self, head: Element, is_sequence: bool, syntax: Syntax) -> Result<(), ScanError> {
        // A sequence and its item are two levels of this stack, one of nesting.
        if self.levels.len() >= 2 * SEQUENCE_DEPTH_MAX {
            return Err(self.cursor.damaged("sequences too deep"));
        }
        self.head(head.tag, LENGTH_UNDEFINED)?;
        let end = head.length.map(|length| self.cursor.position().saturating_add(length));
        self.levels.push(Level { is_sequence, end, syntax });
        Ok(())
    }

    fn close(&mut self) -> Result<(), ScanError> {
        match self.levels.pop() {
            Some(level) => self.head(if level.is_sequence { SEQUENCE_END } else { ITEM_END }, 0),
            None => Ok(()),
        }
    }

    fn close_ended(&mut self) -> Result<(), ScanError> {
        while let Some(end) = self.levels.last().and_then(|level| level.end) {
            match self.cursor.position() {
                position if position > end => return Err(self.cursor.damaged("a value beyond its sequence")),
                position if position == end => self.close()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn copy(&mut self, tag: u32, length: u64) -> Result<(), ScanError> {
        let told = u32::try_from(length).ok().filter(|told| *told != LENGTH_UNDEFINED);
        self.head(tag, told.ok_or_else(|| self.cursor.damaged("a value that is too long"))?)?;
        let (mut left, mut buffer) =
            (length, vec![0; COPY_BYTES.min(usize::try_from(length).unwrap_or(COPY_BYTES))]);
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let part = buffer.get_mut(..step).unwrap_or_default();
            self.cursor.read_into(part)?;
            self.out.write_all(part)?;
            left -= step as u64;
        }
        Ok(())
    }

    fn head(&mut self, tag: u32, length: u32) -> Result<(), ScanError> {
        self.out.write_all(&((tag >> 16) as u16).to_le_bytes())?;
        self.out.write_all(&(tag as u16).to_le_bytes())?;
        Ok(self.out.write_all(&length.to_le_bytes())?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::Encoding;
    use super::super::sample::Writer;
    use super::*;
    use std::io::Cursor as Bytes;

    const UNDEFINED: u32 = LENGTH_UNDEFINED;

    fn written(explicit: &[u8]) -> Result<Vec<u8>, ScanError> {
        let mut out = Vec::new();
        write_implicit(&mut Bytes::new(explicit), explicit.len() as u64, &mut out)?;
        Ok(out)
    }

    /// One sequence in another, one of unknown VR, pixels of 16 bits and a text of 70 kB; told: the lengths of sequences and items are.
    fn sample(encoding: Encoding, told: bool) -> Vec<u8> {
        let new = || Writer::new(encoding);
        let nested = |inner: Vec<u8>, tag: u32, writer: Writer| {
            if told {
                let item = new().element(ITEM, "", &inner).bytes;
                return writer.element(tag, "SQ", &item);
            }
            let item = new().head(ITEM, "", UNDEFINED).raw(&inner).head(ITEM_END, "", 0).bytes;
            writer.head(tag, "SQ", UNDEFINED).raw(&item).head(SEQUENCE_END, "", 0)
        };
        let inner = new().element(0x0008_1150, "UI", b"1.2.8\0").element(0x0008_1155, "UI", b"1.2.3\0").bytes;
        let outer = nested(inner, 0x0008_1199, new().element(0x0008_0100, "SH", b"x ")).bytes;
        let writer = new().identity(1).element(0x0028_0106, "US", &[1, 0]);
        let writer = nested(outer, 0x0040_A730, writer);
        let implicit = Writer::new(Encoding::ImplicitLittle).element(0x0009_1001, "", b"abcd").bytes;
        writer
            .head(0x0041_1010, "UN", UNDEFINED)
            .head(ITEM, "", UNDEFINED)
            .raw(&implicit)
            .head(ITEM_END, "", 0)
            .head(SEQUENCE_END, "", 0)
            .element(0x4008_0300, "UT", &[b'a'; 70_000])
            .element(PIXEL_DATA, "OW", &[1, 2, 3, 4])
            .bytes
    }

    #[test]
    fn it_is_what_an_implicit_writer_writes_whether_lengths_are_told_or_not() {
        let expected = sample(Encoding::ImplicitLittle, false);
        for told in [true, false] {
            assert!(written(&sample(Encoding::ExplicitLittle, told)).unwrap() == expected, "{told}");
        }
    }

    #[test]
    fn group_lengths_and_padding_behind_the_end_go() {
        let with = Writer::new(Encoding::ExplicitLittle).element(0x0008_0000, "UL", &[9, 0, 0, 0]);
        let with = with.element(0x0008_0060, "CS", b"MR").raw(&[0; 5]).bytes;
        let without = Writer::new(Encoding::ImplicitLittle).element(0x0008_0060, "CS", b"MR").bytes;
        assert_eq!(written(&with).unwrap(), without);
    }

    #[test]
    fn what_lies_about_lengths_is_damaged() {
        let new = || Writer::new(Encoding::ExplicitLittle);
        let beyond = new().head(0x0008_1199, "SQ", 12).head(ITEM, "", 40).raw(&[0; 60]).bytes;
        let encapsulated = new().head(PIXEL_DATA, "OB", UNDEFINED).head(SEQUENCE_END, "", 0).bytes;
        let open = new().head(0x0008_1199, "SQ", UNDEFINED).bytes;
        let strange = new().head(0x0008_1199, "SQ", 8).element(0x0008_0060, "CS", b"").bytes;
        for damaged in [beyond, encapsulated, open, strange] {
            assert!(matches!(written(&damaged), Err(ScanError::Damaged { .. })));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_change_ends(at in 0_usize..400, byte in proptest::num::u8::ANY) {
            let mut bytes = sample(Encoding::ExplicitLittle, true);
            bytes[at] = byte;
            let _ = written(&bytes);
        }
    }
}
