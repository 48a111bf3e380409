//! The objects in the folder of a delivery, each known by a linear scan of its data set.

use super::dicom_file::front;
use compressor::Uid;
use compressor::dataset::{Encoding, Outline, ScanError, locate, outline_here};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One file that is a SOP instance.
pub(super) struct Object {
    /// Its name below the folder, `s01/0001.dcm`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) sop_class: Uid,
    pub(super) sop_instance: Uid,
    pub(super) transfer_syntax: Uid,
    /// Where its data set begins.
    pub(super) data_set_at: u64,
    /// Bytes of its data set.
    pub(super) bytes: u64,
    /// What a scan of it told.
    pub(super) outline: Outline,
}

/// Files that cannot stand as SOP instances of their own elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) count: usize,
    why: &'static str,
}

impl fmt::Display for Left {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.count, self.why)
    }
}

const UNIDENTIFIED: &str = "left in the folder, without SOP class or instance UID, or damaged";
const CONFLICT: &str = "left in the folder, with the SOP Instance UID of another image: compare them";

/// In the order of their names; and what is left.
pub(super) fn of(folder: &Path) -> io::Result<(Vec<Object>, Vec<Left>)> {
    let (mut objects, mut unidentified, mut conflicts) = (Vec::new(), 0, 0);
    for (name, path) in files(folder)? {
        if name.contains("-conflict") {
            conflicts += 1;
        } else if let Some(object) = object(name, path)? {
            objects.push(object);
        } else {
            unidentified += 1;
        }
    }
    let left = [Left { count: unidentified, why: UNIDENTIFIED }, Left { count: conflicts, why: CONFLICT }];
    Ok((objects, left.into_iter().filter(|left| left.count > 0).collect()))
}

/// Of objects with one SOP Instance UID the first; those with other content than that are left.
pub(super) fn each_once(objects: Vec<Object>) -> io::Result<(Vec<Object>, Option<Left>)> {
    let (mut kept, mut at, mut conflicts) = (Vec::<Object>::new(), HashMap::new(), 0);
    for object in objects {
        match at.entry(object.sop_instance.clone()) {
            Entry::Vacant(free) => {
                free.insert(kept.len());
                kept.push(object);
            }
            Entry::Occupied(taken) => {
                let first = kept.get(*taken.get());
                let is_same = first.map_or(Ok(true), |first| first.is_same(&object))?;
                conflicts += usize::from(!is_same);
            }
        }
    }
    Ok((kept, (conflicts > 0).then_some(Left { count: conflicts, why: CONFLICT })))
}

impl Object {
    /// Whether it is byte for byte the same object.
    fn is_same(&self, other: &Self) -> io::Result<bool> {
        if (self.bytes, &self.transfer_syntax) != (other.bytes, &other.transfer_syntax) {
            return Ok(false);
        }
        let (mut ours, mut theirs) = (BufReader::new(self.data_set()?), BufReader::new(other.data_set()?));
        loop {
            let (here, there) = (ours.fill_buf()?, theirs.fill_buf()?);
            let common = here.len().min(there.len());
            if common == 0 {
                return Ok(here.is_empty() && there.is_empty());
            }
            if here.get(..common) != there.get(..common) {
                return Ok(false);
            }
            ours.consume(common);
            theirs.consume(common);
        }
    }

    /// The file, standing at its data set.
    pub(super) fn data_set(&self) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.data_set_at))?;
        Ok(file)
    }

    /// Preamble and meta group for its data set.
    pub(super) fn front(&self) -> io::Result<Vec<u8>> {
        front(self.sop_class.as_str(), self.sop_instance.as_str(), self.transfer_syntax.as_str())
    }

    /// How its data set is encoded.
    pub(super) fn encoding(&self) -> Encoding {
        Encoding::of_transfer_syntax(&self.transfer_syntax)
    }

    /// Whether a zero goes behind its data set: what is deflated may have an odd length, and nothing odd is sent (PS3.5 A.5).
    pub(super) fn is_padded(&self) -> bool {
        self.encoding() == Encoding::Deflated && self.bytes % 2 == 1
    }
}

fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for series in fs::read_dir(folder)? {
        let series = series?;
        if !series.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(series.path())? {
            let file = file?;
            let name = [series.file_name(), file.file_name()].map(|name| name.to_string_lossy().into_owned());
            files.push((name.join("/"), file.path()));
        }
    }
    files.sort();
    Ok(files)
}

fn object(name: String, path: PathBuf) -> io::Result<Option<Object>> {
    let mut file = File::open(&path)?;
    let file_bytes = file.metadata()?.len();
    let Some(part) = locate(&mut file, file_bytes)? else { return Ok(None) };
    file.seek(SeekFrom::Start(part.prefix_bytes))?;
    let bytes = file_bytes.saturating_sub(part.prefix_bytes);
    let encoding = Encoding::of_transfer_syntax(&part.transfer_syntax);
    let outline = match outline_here(&mut file, bytes, encoding) {
        Ok(outline) => outline,
        Err(ScanError::Damaged { .. }) => return Ok(None),
        Err(ScanError::Io(error)) => return Err(error),
    };
    let (Some(sop_class), Some(sop_instance)) = (outline.sop_class.clone(), outline.sop_instance.clone())
    else {
        return Ok(None);
    };
    Ok(Some(Object {
        name,
        path,
        sop_class,
        sop_instance,
        transfer_syntax: part.transfer_syntax,
        data_set_at: part.prefix_bytes,
        bytes,
        outline,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A file in Explicit VR Little Endian with a SOP class, this instance and this comment.
    fn put(folder: &Path, name: &str, instance: &[u8; 6], comment: &[u8; 4]) {
        const CLASS: &str = "1.2.840.10008.5.1.4.1.1.4";
        let uid = std::str::from_utf8(instance).unwrap().trim_end_matches('\0');
        let mut file = front(CLASS, uid, "1.2.840.10008.1.2.1").unwrap();
        file.extend_from_slice(b"\x08\x00\x16\x00UI\x1a\x00");
        file.extend_from_slice(CLASS.as_bytes());
        file.extend_from_slice(b"\0\x08\x00\x18\x00UI\x06\x00");
        file.extend_from_slice(instance);
        file.extend_from_slice(b"\x20\x00\x00\x40LT\x04\x00");
        file.extend_from_slice(comment);
        let path = folder.join("s01").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }

    #[test]
    fn of_two_with_one_uid_the_first_is_kept_and_other_content_is_said() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "0001.dcm", b"1.2.3\0", b"one ");
        put(folder.path(), "0002.dcm", b"1.2.3\0", b"one ");
        put(folder.path(), "0003.dcm", b"1.2.4\0", b"two ");
        let (objects, left) = of(folder.path()).unwrap();
        assert_eq!((objects.len(), left), (3, Vec::new()));
        let names = |objects: &[Object]| objects.iter().map(|object| object.name.clone()).collect::<Vec<_>>();
        let (kept, conflicts) = each_once(objects).unwrap();
        assert_eq!(
            (names(&kept), conflicts),
            (vec!["s01/0001.dcm".to_owned(), "s01/0003.dcm".to_owned()], None)
        );
        put(folder.path(), "0002.dcm", b"1.2.3\0", b"else");
        put(folder.path(), "0004.dcm", b"1.2.4\0", b"more");
        let (kept, conflicts) = each_once(of(folder.path()).unwrap().0).unwrap();
        assert_eq!(names(&kept), ["s01/0001.dcm", "s01/0003.dcm"]);
        assert_eq!(conflicts, Some(Left { count: 2, why: CONFLICT }));
    }
}
