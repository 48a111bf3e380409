//! Unpacks a delivery beside its place, makes every byte durable, then moves it there with one rename.

use super::dicom_file::{self, Wrapping};
use super::durable;
use super::error::PullError;
use super::output::{Output, RECORD_FILE, Record, to_json};
use super::progress::Progress;
use compressor::Purpose;
use compressor::bundle::{Manifest, Note, SegmentSource, Unpacked, Unpacking, Wanted, unpack};
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the hospital has to say, beside the folders of the series; UTF-8.
const NOTE_FILE: &str = "note.txt";
/// Bytes gathered before a write: a head MR slice of 256 × 256 fits.
const WRITE_BYTES: usize = 1 << 17;

/// Writes all instances and the record into `place`; gives what became of the instances. Until the last step nothing is there.
///
/// # Errors
/// [`PullError::Refused`] for a damaged bundle, [`PullError::Output`] for the disk.
pub(crate) fn place(
    output: &Output,
    record: &Record,
    place: &Path,
    manifest: &Manifest,
    segments: &mut dyn SegmentSource,
    wanted: Wanted,
    progress: &Progress,
) -> Result<Unpacked, PullError> {
    let incoming = output.incoming(record.delivery);
    let folder = incoming.join("unpacked");
    empty(&folder).map_err(PullError::output("cannot make a folder to unpack into"))?;
    let written = write_instances(&folder, manifest, segments, wanted, progress);
    if written.is_err() {
        // Nothing readable of a refused delivery stays behind; what cannot be removed now, the next try empties.
        let _ = fs::remove_dir_all(&folder);
    }
    let unpacked = written?;
    finish(&folder, output, record, manifest.note.as_ref(), place)
        .map_err(PullError::output("cannot put the delivery into its place"))?;
    fs::remove_dir_all(incoming).map_err(PullError::output("cannot remove the pieces"))?;
    Ok(unpacked)
}

fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    durable::create_folder(folder)
}

fn write_instances(
    folder: &Path,
    manifest: &Manifest,
    segments: &mut dyn SegmentSource,
    wanted: Wanted,
    progress: &Progress,
) -> Result<Unpacked, PullError> {
    let mut writer = InstanceWriter { folder, current: None };
    progress.unpacking(manifest.series.iter().map(|series| series.instances.len() as u64).sum());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let unpacked = unpack(manifest, segments, wanted, threads, &mut |unpacking| {
        progress.advance(1);
        writer.begin(unpacking)
    })?;
    writer.end().map_err(PullError::output("cannot write an instance"))?;
    Ok(unpacked)
}

fn finish(
    folder: &Path,
    output: &Output,
    record: &Record,
    note: Option<&Note>,
    place: &Path,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        durable::sync_folder(&entry?.path())?;
    }
    if let Some(note) = note {
        durable::write_file(&folder.join(NOTE_FILE), note.expose_for(Purpose::Show).as_bytes())?;
    }
    durable::write_file(&folder.join(RECORD_FILE), &to_json(record)?)?;
    durable::create_folder(&output.case(record.case))?;
    durable::rename(folder, place)
}

/// Writes one instance after the other; each is durable before the next begins.
struct InstanceWriter<'a> {
    folder: &'a Path,
    current: Option<SharedFile>,
}

impl InstanceWriter<'_> {
    fn begin(&mut self, unpacking: &Unpacking<'_>) -> io::Result<Box<dyn Write>> {
        self.end()?;
        let mut file = SharedFile::create(&self.path(unpacking)?)?;
        if Wrapping::of(unpacking.instance) == Wrapping::DataSet {
            dicom_file::write_front(&mut file, unpacking)?;
        }
        self.current = Some(file.clone());
        Ok(Box::new(file))
    }

    fn end(&mut self) -> io::Result<()> {
        self.current.take().map_or(Ok(()), |file| file.sync())
    }

    fn path(&self, unpacking: &Unpacking<'_>) -> io::Result<PathBuf> {
        let Unpacking { instance, series_index, instance_index, .. } = unpacking;
        let (series, file) = dicom_file::name(instance, *series_index, *instance_index);
        let series = self.folder.join(series);
        durable::create_folder(&series)?;
        Ok(series.join(file))
    }
}

/// A file that `unpack` writes and that is made durable here, where an error still counts.
#[derive(Clone)]
struct SharedFile(Rc<RefCell<BufWriter<File>>>);

impl SharedFile {
    fn create(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        Ok(Self(Rc::new(RefCell::new(BufWriter::with_capacity(WRITE_BYTES, file)))))
    }

    fn sync(&self) -> io::Result<()> {
        let mut file = self.0.borrow_mut();
        file.flush()?;
        file.get_ref().sync_all()
    }
}

impl Write for SharedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

/// What the reader of the images must know about how they were written.
pub(crate) fn notes(manifest: &Manifest, wanted: Wanted, unpacked: Unpacked) -> Vec<String> {
    let instances = || manifest.series.iter().flat_map(|series| &series.instances);
    let opaque = instances().filter(|instance| Wrapping::of(instance) == Wrapping::Opaque).count();
    let conflicts = instances().filter(|instance| instance.conflict).count();
    let mut notes = Vec::new();
    if opaque > 0 {
        notes.push(format!("{opaque} without SOP class or instance UID, written as .bin"));
    }
    if manifest.note.is_some() {
        notes.push("the hospital has something to say: note.txt".into());
    }
    let keys: u32 = manifest.series.iter().map(|series| series.key_images).sum();
    if keys > 0 {
        notes.push(format!("{keys} of them are key images: the first ones of their series"));
    }
    if conflicts > 0 {
        notes.push(format!(
            "{conflicts} with the SOP Instance UID of another and other content, written as -conflict"
        ));
    }
    if !manifest.is_of_one_patient() {
        notes.push("the images name more than one patient: look at each of them".into());
    }
    match wanted {
        Wanted::Shown => notes.extend(derived_notes(manifest, unpacked)),
        Wanted::Exact => notes.push("exact: every file is as it came, each compared with its SHA-256".into()),
    }
    notes
}

/// Images that are not bit for bit what came, and what that means for who reads them.
fn derived_notes(manifest: &Manifest, Unpacked { derived, unread, .. }: Unpacked) -> Vec<String> {
    let mut notes = Vec::new();
    if derived > 0 {
        notes.push(format!("{derived} compressed within a stated bound, marked as derived, under new UIDs"));
    }
    if manifest.series.iter().any(|series| series.reference_only) {
        notes.push("for reference only in part: compression ratio above the national ceiling".into());
    }
    if unread > 0 {
        notes.push(format!(
            "{unread} may refer to images by UIDs that are not here: they could not be read in whole"
        ));
    }
    notes
}
