//! Where the data set lies in a DICOM file: behind preamble and meta group (PS3.10 7.1).

use super::cursor::{Cursor, Forward, Seekable};
use super::element::{Element, Syntax};
use super::{Encoding, ScanError, outline_here};
use crate::Uid;
use crate::limits::META_ELEMENTS_MAX;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes of the preamble, before the prefix `DICM`.
const PREAMBLE_BYTES: u64 = 128;
/// Preamble and prefix.
const PREFIX_BYTES: u64 = 132;
/// Transfer Syntax UID (PS3.10 7.1).
const TRANSFER_SYNTAX: u32 = 0x0002_0010;
/// Longest UID with padding.
const UID_BYTES_MAX: usize = 66;
/// The meta group is always Explicit VR Little Endian (PS3.10 7.1).
const META_SYNTAX: Syntax = Syntax { explicit: true, big_endian: false };
/// What a data set without meta group is tried as. Implicit first: an explicit one never passes as implicit, since its VR
/// would be part of a length beyond the end.
const GUESSES: [&str; 3] = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"];

/// Where the data set of a file starts and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// Bytes of preamble and meta group in front of the data set.
    pub prefix_bytes: u64,
    /// Transfer syntax of the data set: the declared one, else the first that reads it.
    pub transfer_syntax: Uid,
}

/// Finds the data set in a file of `file_bytes`. `None`: not DICOM in any form, with or without preamble and meta group.
///
/// # Errors
/// The file cannot be read.
pub fn locate<R: Read + Seek>(file: &mut R, file_bytes: u64) -> io::Result<Option<FilePart>> {
    let meta_start = if has_prefix(file, file_bytes)? { PREFIX_BYTES } else { 0 };
    file.seek(SeekFrom::Start(meta_start))?;
    let mut cursor = Cursor::new(Seekable::new(&mut *file), file_bytes.saturating_sub(meta_start));
    let (meta_bytes, declared) = match read_meta(&mut cursor) {
        Ok(meta) => meta,
        Err(ScanError::Io(error)) => return Err(error),
        Err(ScanError::Damaged { .. }) => (0, None),
    };
    let prefix_bytes = meta_start + meta_bytes;
    let transfer_syntax = match declared {
        Some(declared) => Some(declared),
        None => guess(file, prefix_bytes, file_bytes)?,
    };
    Ok(transfer_syntax.map(|transfer_syntax| FilePart { prefix_bytes, transfer_syntax }))
}

/// Where the elements of the meta group lie in the first bytes of a file; nothing where it has none.
pub(crate) fn meta_group(start: &[u8]) -> Range<usize> {
    let mut file = io::Cursor::new(start);
    let prefixed = has_prefix(&mut file, start.len() as u64).unwrap_or_default();
    let meta_start = if prefixed { PREFIX_BYTES as usize } else { 0 };
    let rest = start.get(meta_start..).unwrap_or_default();
    let mut cursor = Cursor::new(Seekable::new(io::Cursor::new(rest)), rest.len() as u64);
    let meta_bytes = read_meta(&mut cursor).map_or(0, |(bytes, _)| bytes as usize);
    meta_start..meta_start + meta_bytes
}

fn has_prefix<R: Read + Seek>(file: &mut R, file_bytes: u64) -> io::Result<bool> {
    if file_bytes < PREFIX_BYTES {
        return Ok(false);
    }
    let mut prefix = [0; 4];
    file.seek(SeekFrom::Start(PREAMBLE_BYTES))?;
    file.read_exact(&mut prefix)?;
    Ok(&prefix == b"DICM")
}

/// Bytes of the meta group and the transfer syntax it declares. Stops at the first element of another group: the group's
/// own length is often wrong.
fn read_meta<F: Forward>(cursor: &mut Cursor<F>) -> Result<(u64, Option<Uid>), ScanError> {
    let (mut meta_bytes, mut declared) = (0, None);
    for _ in 0..META_ELEMENTS_MAX {
        if cursor.left() == 0 {
            break;
        }
        let element = Element::read(cursor, META_SYNTAX)?;
        let (0x0002, Some(length)) = (element.tag >> 16, element.length) else { break };
        if element.tag == TRANSFER_SYNTAX && length <= UID_BYTES_MAX as u64 {
            declared = read_uid(cursor, length as usize)?;
        } else {
            cursor.skip(length)?;
        }
        meta_bytes = cursor.position();
    }
    Ok((meta_bytes, declared))
}

fn read_uid<F: Forward>(cursor: &mut Cursor<F>, length: usize) -> Result<Option<Uid>, ScanError> {
    let mut buffer = [0; UID_BYTES_MAX];
    let value = buffer.get_mut(..length).unwrap_or_default();
    cursor.read_into(value)?;
    Ok(std::str::from_utf8(value).ok().and_then(|text| Uid::parse(text).ok()))
}

/// The first usual transfer syntax in which the data set can be scanned and has an instance or at least one image.
fn guess<R: Read + Seek>(file: &mut R, start: u64, file_bytes: u64) -> io::Result<Option<Uid>> {
    for guess in GUESSES {
        let Ok(uid) = Uid::parse(guess) else { continue };
        file.seek(SeekFrom::Start(start))?;
        match outline_here(file, file_bytes - start, Encoding::of_transfer_syntax(&uid)) {
            Ok(found) if found != super::Outline::default() => return Ok(Some(uid)),
            Ok(_) | Err(ScanError::Damaged { .. }) => {}
            Err(ScanError::Io(error)) => return Err(error),
        }
    }
    Ok(None)
}
