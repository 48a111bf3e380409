//! `scanpost-pack decode`.

use crate::report::{self, Report};
use crate::{info, meta};
use anyhow::Context;
use compressor::bundle::{self, Unpacking, Wanted, is_safe_name};
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 256 << 10;

/// Unpacks a bundle and reports.
pub(crate) fn run(
    input: &Path,
    output: &Path,
    wanted: Wanted,
    threads: usize,
    json: bool,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let (manifest, mut bundle) = info::open(input)?;
    let folder = Folder { path: output.to_owned(), open: Rc::default() };
    let unpacked = bundle::unpack(&manifest, &mut bundle, wanted, threads, &mut |unpacking| {
        folder.keep_last()?;
        folder.create(unpacking)
    });
    if unpacked.is_err() {
        folder.drop_last();
    }
    let unpacked = unpacked?;
    folder.keep_last().context("cannot rename the last file")?;
    let mut report = Report::of(&manifest, info::summary(&manifest, &bundle));
    report.set_seconds(&[], start.elapsed().as_secs_f64());
    report.set_unpacked(unpacked);
    report::print(&report, json)
}

/// The folder that is filled. Each file has a temporary name until its digest was compared.
struct Folder {
    path: PathBuf,
    open: Rc<RefCell<Option<OpenFile>>>,
}

struct OpenFile {
    out: BufWriter<File>,
    part: PathBuf,
    target: PathBuf,
}

impl Folder {
    fn create(&self, unpacking: &Unpacking<'_>) -> io::Result<Box<dyn Write>> {
        let target = self.path.join(name(unpacking)?);
        if target.symlink_metadata().is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file to be written is there already",
            ));
        }
        fs::create_dir_all(target.parent().unwrap_or(&self.path))?;
        let mut part = target.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create_new(&part)?);
        if unpacking.instance.name.is_none() {
            out.write_all(&meta::file_start(unpacking))?;
        }
        *self.open.borrow_mut() = Some(OpenFile { out, part, target });
        Ok(Box::new(Handle(Rc::clone(&self.open))))
    }

    /// The file last written is right: it gets its name.
    fn keep_last(&self) -> io::Result<()> {
        let Some(mut last) = self.open.borrow_mut().take() else { return Ok(()) };
        last.out.flush()?;
        drop(last.out);
        fs::rename(last.part, last.target)
    }

    fn drop_last(&self) {
        if let Some(last) = self.open.borrow_mut().take() {
            let _ = fs::remove_file(last.part);
        }
    }
}

/// The name that a file was packed under, or one made of its place in the bundle.
fn name(unpacking: &Unpacking<'_>) -> io::Result<String> {
    match &unpacking.instance.name {
        Some(name) if is_safe_name(name) => Ok(name.clone()),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "a name leads outside the folder")),
        None => {
            Ok(format!("series-{:03}/{:05}.dcm", unpacking.series_index + 1, unpacking.instance_index + 1))
        }
    }
}

/// Writes to the file that is open.
struct Handle(Rc<RefCell<Option<OpenFile>>>);

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().as_mut().ok_or(io::ErrorKind::NotConnected)?.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().as_mut().ok_or(io::ErrorKind::NotConnected)?.out.flush()
    }
}
