//! One copy of a data set from front to back: edits at the top level, remapped UIDs everywhere, lengths mended on the way out.
//!
//! What is not edited is copied byte for byte, so that a data set in which nothing changes comes out as it went in.

use super::element::{Head, New, padded, put_u32, write, write_head, write_item};
use super::{Refused, Renames, Rewritten};
use crate::Uid;
use crate::dataset::element::{ITEM, ITEM_END, SEQUENCE_END, Syntax};
use crate::limits::{ELEMENTS_MAX, REWRITE_GROWTH_MAX, SEQUENCE_DEPTH_MAX};
use std::collections::BTreeMap;

/// SOP Instance UID and Series Instance UID, which at the top level are the data set's own name and no reference.
const OWN_NAMES: [u32; 2] = [0x0008_0018, 0x0020_000E];
/// SOP Class UID, Referenced SOP Class UID, Study Instance UID and Frame of Reference UID, which stay whatever their value is.
const NEVER_RENAMED: [u32; 4] = [0x0008_0016, 0x0008_1150, 0x0020_000D, 0x0020_0052];
/// Frame Type (PS3.3 C.8.16.1), which says of a frame what Image Type says of the image.
const FRAME_TYPE: u32 = 0x0008_9007;
/// Pixel Data (PS3.3 C.7.6.3).
const PIXEL_DATA: u32 = 0x7FE0_0010;
/// Bytes of an item's head or of a delimiter.
const ITEM_HEAD_BYTES: usize = 8;
/// Bytes of an element of VR UI, whose length has 16 bits where it is written with its VR; longer ones of unknown VR are none.
const UIDS_BYTES_MAX: usize = u16::MAX as usize;
/// Bytes of the length of a group, VR UL (PS3.5 7.2).
const GROUP_LENGTH_BYTES: usize = 4;
/// Growth that is never held against a data set: the attributes of a derived image.
const GROWTH_FREE_BYTES: usize = 64 << 10;

/// What happens to elements of the top level, in the order of tags.
pub(super) type Edits = BTreeMap<u32, Edit>;

/// VR and length of Pixel Data (7FE0,0010).
pub(super) type PixelData = ([u8; 2], Option<u32>);

/// Makes a value from the one that is there.
pub(super) type NewValue = dyn Fn(Option<&[u8]>) -> Option<Vec<u8>>;

/// What happens to one element.
pub(super) enum Edit {
    /// Another value, made from the value that is there, padding included. `None` leaves the element as it is, or out.
    Value([u8; 2], Box<NewValue>),
    /// One more item behind those that are there.
    Item(Vec<New>),
    /// The element goes.
    Drop,
}

impl Edit {
    /// A UID in place of any other.
    pub(super) fn uid(uid: Uid) -> Self {
        Self::Value(*b"UI", Box::new(move |_| Some(uid.as_str().into())))
    }
}

/// A copy in progress.
pub(super) struct Copier<'r> {
    renames: &'r Renames,
    /// Frame types become DERIVED.
    pub(super) derived: bool,
    /// VR and length of native pixels in place of compressed ones, or the other way round: fragments have no length.
    pub(super) pixel_data: Option<PixelData>,
    out: Vec<u8>,
    out_bytes_max: usize,
    elements: usize,
    remapped: usize,
    unread: usize,
}

/// The group that is being copied: where its length lies in the copy, and how much of it was read and written.
#[derive(Default)]
struct Group {
    number: Option<u32>,
    length_at: Option<usize>,
    left: usize,
    written: usize,
}

impl<'r> Copier<'r> {
    pub(super) fn new(renames: &'r Renames, bytes: usize) -> Self {
        let out_bytes_max = bytes.saturating_mul(REWRITE_GROWTH_MAX).saturating_add(GROWTH_FREE_BYTES);
        let (out, derived, pixel_data) = (Vec::new(), false, None);
        Self { renames, derived, pixel_data, out, out_bytes_max, elements: 0, remapped: 0, unread: 0 }
    }

    /// Copies the top level. With `value_follows`, the bytes end with the head of an element.
    pub(super) fn data_set(
        mut self,
        bytes: &[u8],
        syntax: Syntax,
        edits: &Edits,
        value_follows: bool,
    ) -> Result<Rewritten, Refused> {
        self.out.reserve(bytes.len());
        let last = self.top(bytes, syntax, edits)?;
        if last.is_some() != value_follows {
            return Err(Refused("ends elsewhere than at its bulk value"));
        }
        let value_bytes = last.and_then(|last| last.length).map(|length| length as u64);
        Ok(Rewritten { bytes: self.out, remapped: self.remapped, unread: self.unread, value_bytes })
    }

    /// The head at the very end of `bytes`, whose value follows them.
    pub(super) fn last_head(mut self, bytes: &[u8], syntax: Syntax) -> Result<Option<Head>, Refused> {
        self.top(bytes, syntax, &Edits::new())
    }

    fn top(&mut self, bytes: &[u8], syntax: Syntax, edits: &Edits) -> Result<Option<Head>, Refused> {
        let mut rest = bytes;
        let mut group = Group::default();
        let mut waiting = edits.iter().peekable();
        // Fewer bytes than a head are padding at the end of a file.
        while rest.len() >= ITEM_HEAD_BYTES {
            let head = self.head(rest, syntax)?;
            while let Some((tag, edit)) = waiting.next_if(|(tag, _)| **tag < head.tag) {
                self.begin(&mut group, *tag, rest.len(), syntax);
                self.insert(*tag, edit, syntax)?;
            }
            self.begin(&mut group, head.tag, rest.len(), syntax);
            if rest.len() == head.bytes && head.length != Some(0) {
                match self.pixel_data {
                    Some((vr, length))
                        if head.tag == PIXEL_DATA && head.length.is_none() == length.is_some() =>
                    {
                        write_head(&mut self.out, PIXEL_DATA, vr, length, syntax)?;
                    }
                    Some(_) => return Err(Refused("no such pixels")),
                    None => self.take(&mut rest, head.bytes).map(drop)?,
                }
                self.end(&group, 0, syntax);
                return Ok(Some(head));
            }
            match edits.get(&head.tag) {
                Some(_) if waiting.peek().is_none_or(|(tag, _)| **tag != head.tag) => {
                    return Err(Refused("elements out of order"));
                }
                Some(edit) => {
                    waiting.next();
                    self.edit(&mut rest, head, edit, syntax)?;
                }
                None if OWN_NAMES.contains(&head.tag) => self.verbatim(&mut rest, head)?,
                None => {
                    self.note_group_length(&mut group, head);
                    self.element(&mut rest, head, syntax, 0)?;
                }
            }
        }
        for (tag, edit) in waiting {
            self.begin(&mut group, *tag, rest.len(), syntax);
            self.insert(*tag, edit, syntax)?;
        }
        self.end(&group, rest.len(), syntax);
        let padding = rest.len();
        self.take(&mut rest, padding)?;
        Ok(None)
    }

    fn head(&mut self, rest: &[u8], syntax: Syntax) -> Result<Head, Refused> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX || self.out.len() > self.out_bytes_max {
            return Err(Refused("more than a header may hold"));
        }
        Head::read(rest, syntax)
    }

    /// Takes bytes off `rest` and copies them.
    fn take<'b>(&mut self, rest: &mut &'b [u8], bytes: usize) -> Result<&'b [u8], Refused> {
        let (taken, left) = rest.split_at_checked(bytes).ok_or(Refused("length beyond the end"))?;
        self.out.extend(taken);
        *rest = left;
        Ok(taken)
    }

    fn verbatim(&mut self, rest: &mut &[u8], head: Head) -> Result<(), Refused> {
        let length = head.length.ok_or(Refused("UID without a length"))?;
        self.take(rest, head.bytes + length).map(drop)
    }

    fn insert(&mut self, tag: u32, edit: &Edit, syntax: Syntax) -> Result<(), Refused> {
        match edit {
            Edit::Value(vr, value) => match value(None) {
                Some(value) => write(&mut self.out, tag, *vr, &padded(&value, *vr), syntax),
                None => Ok(()),
            },
            Edit::Item(elements) => {
                let mut item = Vec::new();
                write_item(&mut item, elements, syntax)?;
                write(&mut self.out, tag, *b"SQ", &item, syntax)
            }
            Edit::Drop => Ok(()),
        }
    }

    fn edit(&mut self, rest: &mut &[u8], head: Head, edit: &Edit, syntax: Syntax) -> Result<(), Refused> {
        if let Edit::Item(elements) = edit {
            return self.append(rest, head, elements, syntax);
        }
        let start = self.out.len();
        let length = head.length.ok_or(Refused("text without a length"))?;
        let whole = self.take(rest, head.bytes + length)?;
        match edit {
            Edit::Value(vr, value) => {
                let Some(value) = value(whole.get(head.bytes..)) else { return Ok(()) };
                self.out.truncate(start);
                write(&mut self.out, head.tag, *vr, &padded(&value, *vr), syntax)
            }
            Edit::Item(_) | Edit::Drop => {
                self.out.truncate(start);
                Ok(())
            }
        }
    }

    /// Copies a sequence and puts one more item behind its last. One without a length gets one.
    fn append(
        &mut self,
        rest: &mut &[u8],
        head: Head,
        elements: &[New],
        syntax: Syntax,
    ) -> Result<(), Refused> {
        let inside = head.inside(syntax);
        let start = self.out.len();
        self.take(rest, head.bytes)?;
        let content = self.out.len();
        match head.length {
            Some(length) => self.sequence(rest, head, length, inside, 0)?,
            None => {
                self.items(rest, inside, 0, true)?;
                self.out.truncate(self.out.len() - ITEM_HEAD_BYTES);
            }
        }
        write_item(&mut self.out, elements, inside)?;
        let length = self.out.len() - content;
        head.patch(&mut self.out, start, length, syntax)
    }

    /// Copies one element, its head included.
    fn element(&mut self, rest: &mut &[u8], head: Head, syntax: Syntax, depth: usize) -> Result<(), Refused> {
        let start = self.out.len();
        self.take(rest, head.bytes)?;
        let Some(length) = head.length else {
            let fragments = !head.is_sequence() && !head.is_unknown();
            return if fragments {
                self.fragments(rest, syntax)
            } else {
                self.items(rest, head.inside(syntax), depth, true)
            };
        };
        let value = rest.get(..length).ok_or(Refused("length beyond the end"))?;
        if head.is_sequence() || (head.is_unknown() && starts_an_item(value, head.inside(syntax))) {
            let content = self.out.len();
            self.sequence(rest, head, length, head.inside(syntax), depth)?;
            let copied = self.out.len() - content;
            return if copied == length { Ok(()) } else { head.patch(&mut self.out, start, copied, syntax) };
        }
        *rest = rest.get(length..).unwrap_or_default();
        self.value(head, value, start, syntax)
    }

    /// Copies a value that is no sequence.
    fn value(&mut self, head: Head, value: &[u8], start: usize, syntax: Syntax) -> Result<(), Refused> {
        let new = if self.derived && head.tag == FRAME_TYPE {
            derived_type(value).map(|value| (padded(&value, *b"CS"), 0))
        } else if head.may_be_uid() && value.len() <= UIDS_BYTES_MAX && !NEVER_RENAMED.contains(&head.tag) {
            self.renames.value(value).map(|(value, count)| (padded(&value, *b"UI"), count))
        } else {
            None
        };
        let Some((new, count)) = new else {
            self.out.extend(value);
            return Ok(());
        };
        self.remapped += count;
        self.out.extend(&new);
        head.patch(&mut self.out, start, new.len(), syntax)
    }

    /// Copies the items of a sequence of known length; as they are where they cannot be read.
    fn sequence(
        &mut self,
        rest: &mut &[u8],
        head: Head,
        length: usize,
        inside: Syntax,
        depth: usize,
    ) -> Result<(), Refused> {
        let (value, left) = rest.split_at_checked(length).ok_or(Refused("length beyond the end"))?;
        let (start, remapped) = (self.out.len(), self.remapped);
        let mut items = value;
        if self.items(&mut items, inside, depth, false).is_err() {
            self.out.truncate(start);
            self.out.extend(value);
            self.remapped = remapped;
            self.unread += usize::from(head.is_sequence());
        }
        *rest = left;
        Ok(())
    }

    /// Copies items to the delimiter, or to the end of `rest`.
    fn items(
        &mut self,
        rest: &mut &[u8],
        syntax: Syntax,
        depth: usize,
        delimited: bool,
    ) -> Result<(), Refused> {
        if depth >= SEQUENCE_DEPTH_MAX {
            return Err(Refused("sequences too deep"));
        }
        while delimited || !rest.is_empty() {
            let head = self.head(rest, syntax)?;
            let start = self.out.len();
            self.take(rest, head.bytes)?;
            match (head.tag, head.length) {
                (SEQUENCE_END, _) if delimited => return Ok(()),
                (ITEM, None) => self.elements(rest, syntax, depth + 1, true)?,
                (ITEM, Some(length)) => {
                    let (item, left) =
                        rest.split_at_checked(length).ok_or(Refused("length beyond the end"))?;
                    let content = self.out.len();
                    self.elements(&mut { item }, syntax, depth + 1, false)?;
                    let copied = self.out.len() - content;
                    head.patch(&mut self.out, start, copied, syntax)?;
                    *rest = left;
                }
                _ => return Err(Refused("neither item nor delimiter in a sequence")),
            }
        }
        Ok(())
    }

    /// Copies the elements of an item.
    fn elements(
        &mut self,
        rest: &mut &[u8],
        syntax: Syntax,
        depth: usize,
        delimited: bool,
    ) -> Result<(), Refused> {
        let mut group = Group::default();
        while delimited || !rest.is_empty() {
            let head = self.head(rest, syntax)?;
            if delimited && head.tag == ITEM_END {
                break;
            }
            self.begin(&mut group, head.tag, rest.len(), syntax);
            self.note_group_length(&mut group, head);
            self.element(rest, head, syntax, depth)?;
        }
        self.end(&group, rest.len(), syntax);
        if delimited { self.take(rest, ITEM_HEAD_BYTES).map(drop) } else { Ok(()) }
    }

    /// Copies fragments of encapsulated pixels inside a sequence, as an icon has them (PS3.5 A.4).
    fn fragments(&mut self, rest: &mut &[u8], syntax: Syntax) -> Result<(), Refused> {
        loop {
            let head = self.head(rest, syntax)?;
            self.take(rest, head.bytes)?;
            match (head.tag, head.length) {
                (SEQUENCE_END, _) => return Ok(()),
                (ITEM, Some(length)) => self.take(rest, length).map(drop)?,
                _ => return Err(Refused("neither fragment nor delimiter in pixels")),
            }
        }
    }

    /// Begins the group of `tag` where it is another than the last.
    fn begin(&mut self, group: &mut Group, tag: u32, left: usize, syntax: Syntax) {
        if group.number != Some(tag >> 16) {
            self.end(group, left, syntax);
            *group = Group { number: Some(tag >> 16), length_at: None, left, written: self.out.len() };
        }
    }

    /// Remembers where the length of a group is about to be copied to.
    fn note_group_length(&self, group: &mut Group, head: Head) {
        if head.tag & 0xFFFF == 0 && head.length == Some(GROUP_LENGTH_BYTES) {
            group.length_at = Some(self.out.len() + head.bytes);
        }
    }

    /// Adds to the length of a group what it has grown (PS3.5 7.2). One that was wrong stays as wrong as it was.
    fn end(&mut self, group: &Group, left: usize, syntax: Syntax) {
        let (read, written) = (group.left.wrapping_sub(left), self.out.len().wrapping_sub(group.written));
        let Some(place) = group.length_at.and_then(|at| self.out.get_mut(at..)?.first_chunk_mut()) else {
            return;
        };
        let grown = (written as u32).wrapping_sub(read as u32);
        *place = put_u32(syntax.u32(*place).wrapping_add(grown), syntax);
    }
}

/// Whether a value begins like a sequence.
fn starts_an_item(value: &[u8], syntax: Syntax) -> bool {
    value.first_chunk().is_some_and(|tag| syntax.tag(*tag) == ITEM)
}

/// Value 1 becomes DERIVED (PS3.3 C.7.6.1.1.2), the others stay.
pub(super) fn derived_type(value: &[u8]) -> Option<Vec<u8>> {
    let rest = value.iter().position(|byte| *byte == b'\\').and_then(|first| value.get(first..));
    Some([b"DERIVED", rest.unwrap_or_default().trim_ascii_end()].concat())
}
