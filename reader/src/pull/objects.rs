//! The objects in the folder of a delivery, each known by a linear scan of its data set.

use super::dicom_file::front;
use compressor::Uid;
use compressor::dataset::{Encoding, Outline, ScanError, locate, outline_here};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
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

impl Object {
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
