//! `DICOM.ZIP`: every image of a delivery as a DICOM file, with a DICOMDIR (PS3.10 8, PS3.11 STD-GEN-SEC-ZIP-MAIL, PS3.12 Annex V).

use super::directory;
use super::survey::Survey;
use crate::spool::Received;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Folder of the images within the file-set; a File ID has components of 8 characters at most (PS3.10 8.2).
pub(super) const FOLDER: &str = "DICOM";
/// Name of the directory (PS3.10 8.6).
const DIRECTORY: &str = "DICOMDIR";

/// The ZIP file; none if it would have more than `bytes_max` bytes.
///
/// # Errors
/// The spool cannot be read.
pub(super) fn zip(
    survey: &Survey,
    received: Received<'_>,
    file_set: &str,
    bytes_max: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut full = false;
    match write(survey, received, file_set, &mut Bounded::new(bytes_max, &mut full)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) if full => Ok(None),
        Err(error) => Err(error),
    }
}

/// Component of the File ID of image `number`, from 1.
pub(super) fn name(number: usize) -> String {
    format!("IM{number:06}")
}

fn write(
    survey: &Survey,
    received: Received<'_>,
    file_set: &str,
    out: &mut Bounded<'_>,
) -> io::Result<Vec<u8>> {
    // No times and no names but these: nothing of the site lies in the file.
    let options = SimpleFileOptions::default();
    let mut zip = ZipWriter::new(&mut *out);
    zip.start_file(DIRECTORY, options).map_err(io::Error::other)?;
    zip.write_all(&directory::of(survey, file_set)?)?;
    for (number, image) in (1..).zip(survey.images()) {
        zip.start_file(format!("{FOLDER}/{}", name(number)), options).map_err(io::Error::other)?;
        io::copy(&mut image.file(received)?, &mut zip)?;
    }
    zip.finish().map_err(io::Error::other)?;
    Ok(std::mem::take(out.bytes.get_mut()))
}

/// Memory that says when it is full.
struct Bounded<'a> {
    bytes: Cursor<Vec<u8>>,
    bytes_max: usize,
    full: &'a mut bool,
}

impl<'a> Bounded<'a> {
    fn new(bytes_max: usize, full: &'a mut bool) -> Self {
        Self { bytes: Cursor::default(), bytes_max, full }
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.position() + bytes.len() as u64 > self.bytes_max as u64 {
            *self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}
