//! `scanpost-reader export`: what is here of a case as one ZIP file, a DICOM file-set with a DICOMDIR (PS3.10 8, PS3.12 V), which viewers and archives open.

use super::dicom_file::front;
use super::durable;
use super::error::PullError;
use super::objects::{self, Left, Object};
use super::output::Output;
use crate::config::Config;
use compressor::fileset::{DIRECTORY_CLASS, DIRECTORY_NAME, Member, directory, file_name, leaf};
use compressor::{Purpose, dataset::ScanError};
use dimse::uid::EXPLICIT_LITTLE;
use seal::ids::{CaseId, Digest};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Where the format of a ZIP file needs its longer form.
const ZIP64_BYTES: u64 = u32::MAX as u64;

/// What was exported.
#[derive(Debug, PartialEq, Eq)]
pub struct Exported {
    /// Files in the set.
    files: usize,
    /// Files in the set that its directory cannot name.
    unlisted: usize,
    left: Vec<Left>,
}

impl Exported {
    /// Whether all that is here of the case is in the file and named by its directory.
    pub fn is_whole(&self) -> bool {
        self.unlisted == 0 && self.left.is_empty()
    }
}

impl fmt::Display for Exported {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} files", self.files)?;
        if self.unlisted > 0 {
            write!(
                out,
                "; {} of them are not in DICOMDIR, which has no record for such objects",
                self.unlisted
            )?;
        }
        self.left.iter().try_for_each(|left| write!(out, "; {left}"))
    }
}

/// Writes a case into a new file, for the owner alone; it is there whole or not at all.
///
/// # Errors
/// [`PullError::UnknownCase`]; [`PullError::Output`], also where `zip` is there already.
pub fn export(config: &Config, case: CaseId, zip: &Path) -> Result<Exported, PullError> {
    let unreadable = PullError::output("cannot read the case");
    let output = Output::lock(&config.output)?;
    let known = output.known().map_err(&unreadable)?;
    let (mut objects, mut left) = (Vec::new(), Vec::new());
    for record in known.in_order().into_iter().filter(|record| record.case == case) {
        for folder in output.folders(record) {
            let (of_folder, left_in_it) = objects::of(&folder).map_err(&unreadable)?;
            objects.extend(of_folder);
            left.extend(left_in_it);
        }
    }
    let (mut objects, conflicts) = objects::each_once(objects).map_err(&unreadable)?;
    left.extend(conflicts);
    if objects.is_empty() {
        return Err(PullError::UnknownCase);
    }
    // A stable sort: what has no numbers stays in the order of its folder.
    objects.sort_by_key(|object| {
        let number = |number: Option<i32>| number.unwrap_or(i32::MAX);
        let outline = &object.outline;
        let series = (number(outline.series_number), outline.series.clone());
        (outline.study.clone(), series, number(outline.instance_number))
    });
    if zip.exists() {
        return Err(PullError::output("cannot write the file")(io::ErrorKind::AlreadyExists.into()));
    }
    let mut unlisted = 0;
    durable::write_new(zip, |file| {
        unlisted = write(file, case, &objects)?;
        Ok(())
    })
    .map_err(PullError::output("cannot write the file"))?;
    Ok(Exported { files: objects.len(), unlisted, left })
}

/// Gives how many files the directory does not name.
fn write(file: &mut File, case: CaseId, objects: &[Object]) -> io::Result<usize> {
    let mut members = Vec::new();
    for (number, object) in (1..).zip(objects) {
        members.extend(member(number, object)?);
    }
    let front_of_directory = front(DIRECTORY_CLASS, &set_uid(case, objects), EXPLICIT_LITTLE)?;
    // No times and no names but these: nothing of this machine lies in the file.
    let options = SimpleFileOptions::default();
    let mut zip = ZipWriter::new(io::BufWriter::new(file));
    zip.start_file(DIRECTORY_NAME, options).map_err(io::Error::other)?;
    zip.write_all(&directory(front_of_directory, &members, Purpose::Show)?)?;
    for (number, object) in (1..).zip(objects) {
        let front = object.front()?;
        let options = options.large_file(front.len() as u64 + object.bytes >= ZIP64_BYTES);
        zip.start_file(file_name(number), options).map_err(io::Error::other)?;
        zip.write_all(&front)?;
        io::copy(&mut object.data_set()?.take(object.bytes), &mut zip)?;
    }
    zip.finish().map_err(io::Error::other)?.flush()?;
    Ok(objects.len() - members.len())
}

fn member(number: usize, object: &Object) -> io::Result<Option<Member>> {
    let (class, outline) = (&object.sop_class, &object.outline);
    let leaf = match leaf(&mut object.data_set()?, object.bytes, object.encoding(), class, outline) {
        Ok(leaf) => leaf,
        Err(ScanError::Io(error)) => return Err(error),
        Err(ScanError::Damaged { .. }) => None,
    };
    Ok(leaf.map(|leaf| Member {
        number,
        sop_class: class.clone(),
        sop_instance: object.sop_instance.clone(),
        transfer_syntax: object.transfer_syntax.clone(),
        outline: outline.clone(),
        leaf,
    }))
}

/// The same for the same objects of the same case: `2.25.` and 128 bits of a SHA-256 (PS3.5 B.2).
fn set_uid(case: CaseId, objects: &[Object]) -> String {
    let uids: Vec<&str> = objects.iter().map(|object| object.sop_instance.as_str()).collect();
    let Digest(digest) = Digest::of(format!("{case}\\{}", uids.join("\\")).as_bytes());
    let number = digest.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("2.25.{number}")
}
