//! `DICOM.ZIP`: every image of a delivery as a DICOM file, with a DICOMDIR (PS3.10 8, PS3.11 STD-GEN-SEC-ZIP-MAIL, PS3.12 Annex V).

use super::survey::{Survey, front};
use crate::spool::Received;
use compressor::Purpose;
use compressor::fileset::{DIRECTORY_CLASS, DIRECTORY_NAME, Leaf, Member, directory, file_name};
use dimse::uid::EXPLICIT_LITTLE;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

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

fn write(
    survey: &Survey,
    received: Received<'_>,
    file_set: &str,
    out: &mut Bounded<'_>,
) -> io::Result<Vec<u8>> {
    // No times and no names but these: nothing of the site lies in the file.
    let options = SimpleFileOptions::default();
    let mut zip = ZipWriter::new(&mut *out);
    zip.start_file(DIRECTORY_NAME, options).map_err(io::Error::other)?;
    let front = front(DIRECTORY_CLASS, file_set, EXPLICIT_LITTLE)?;
    zip.write_all(&directory(front, &members(survey), Purpose::Seal)?)?;
    for (number, image) in (1..).zip(survey.images()) {
        zip.start_file(file_name(number), options).map_err(io::Error::other)?;
        io::copy(&mut image.file(received)?, &mut zip)?;
    }
    zip.finish().map_err(io::Error::other)?;
    Ok(std::mem::take(out.bytes.get_mut()))
}

fn members(survey: &Survey) -> Vec<Member> {
    let member = |(number, image): (usize, &super::survey::Image)| Member {
        number,
        sop_class: image.instance.sop_class.clone(),
        sop_instance: image.instance.sop_instance.clone(),
        transfer_syntax: image.instance.transfer_syntax.clone(),
        leaf: Leaf::image(&image.outline),
        outline: image.outline.clone(),
    };
    (1..).zip(survey.images()).map(member).collect()
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
