//! A bundle file opened for reading: any segment, in any order (SPEC 5).

use super::writer::{ENTRY_BYTES, Entry, FOOT_BYTES, HEAD_BYTES, MAGIC, MAGIC_END};
use super::{ReadSeek, SegmentSource};
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENTS_MAX};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// A bundle file opened for reading (SPEC 5).
pub struct BundleFile {
    file: Box<dyn ReadSeek + Send>,
    entries: Vec<Entry>,
    lengths: Vec<u32>,
}

impl BundleFile {
    /// Opens a bundle file and checks its frame and table. Its format number is that of the manifest.
    ///
    /// # Errors
    /// I/O errors; `InvalidData` for anything that is not a bundle.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::read_from(Box::new(File::open(path)?))
    }

    /// [`BundleFile::open`] for a bundle that lies elsewhere, or is encrypted where it lies.
    ///
    /// # Errors
    /// As [`BundleFile::open`].
    pub fn read_from(mut file: Box<dyn ReadSeek + Send>) -> io::Result<Self> {
        let file_bytes = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        if file_bytes < HEAD_BYTES + FOOT_BYTES {
            return Err(invalid("too short for a bundle"));
        }
        if &read::<8>(&mut file)? != MAGIC {
            return Err(invalid("not a bundle"));
        }
        let (table, count) = read_foot(&mut file, file_bytes)?;
        let entries = read_table(&mut file, table, count)?;
        let lengths = entries.iter().map(|entry| entry.length).collect();
        Ok(Self { file, entries, lengths })
    }

    /// Coded length of every segment in order, the manifest first.
    pub fn segment_lengths(&self) -> &[u32] {
        &self.lengths
    }
}

impl SegmentSource for BundleFile {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        let entry = *self.entries.get(number as usize).ok_or_else(|| invalid("no such segment"))?;
        let mut bytes = vec![0; entry.length as usize];
        self.file.seek(SeekFrom::Start(entry.offset))?;
        self.file.read_exact(&mut bytes)?;
        if Sha256::digest(&bytes).as_slice() != entry.sha256 {
            return Err(invalid("damaged segment"));
        }
        Ok(bytes)
    }
}

/// Offset of the table and number of its entries, which must fill the file up to the foot.
fn read_foot(file: &mut (impl Read + Seek), file_bytes: u64) -> io::Result<(u64, u32)> {
    file.seek(SeekFrom::Start(file_bytes - FOOT_BYTES))?;
    let table = u64::from_le_bytes(read(file)?);
    let count = u32::from_le_bytes(read(file)?);
    let end = table.checked_add(u64::from(count) * ENTRY_BYTES as u64 + FOOT_BYTES);
    let fits = end == Some(file_bytes) && (1..=SEGMENTS_MAX).contains(&count) && table >= HEAD_BYTES;
    if &read::<8>(file)? != MAGIC_END || !fits {
        return Err(invalid("bundle cut short, or its table damaged"));
    }
    Ok((table, count))
}

fn read_table(file: &mut (impl Read + Seek), table: u64, count: u32) -> io::Result<Vec<Entry>> {
    file.seek(SeekFrom::Start(table))?;
    let mut source = BufReader::new(file);
    (0..count).map(|_| read_entry(&mut source, table)).collect()
}

fn read_entry<R: Read>(source: &mut R, table: u64) -> io::Result<Entry> {
    let offset = u64::from_le_bytes(read(source)?);
    let length = u32::from_le_bytes(read(source)?);
    let sha256 = read(source)?;
    let ends_before_table = offset.checked_add(length.into()).is_some_and(|end| end <= table);
    if offset < HEAD_BYTES || !ends_before_table || length as usize > SEGMENT_BYTES_MAX {
        return Err(invalid("table points outside the bundle"));
    }
    Ok(Entry { offset, length, sha256 })
}

fn read<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
