//! The output folder: where cases lie, what is remembered, and the lock that keeps two runs apart.
//!
//! ```text
//! OUTPUT/CASE/0001/delivery.json      one delivery, there whole or not at all
//! OUTPUT/CASE/0001/s01/0001.dcm
//! OUTPUT/CASE/0001-exact/…            its files as they came, pulled after the shown ones
//! OUTPUT/.incoming/DELIVERY/piece-…   ciphertext on its way, and the folder being unpacked
//! OUTPUT/.state/DELIVERY/receipt-sent
//! OUTPUT/.state/DELIVERY/exact-asked
//! OUTPUT/.state/DELIVERY/forwarded/…  what another system has acknowledged
//! OUTPUT/.state/DELIVERY/images-deleted
//! OUTPUT/.lock
//! ```
//! Every name is made of our own numbers and of ids that are hex digits: no string of a peer becomes a path.

use super::durable;
use super::error::PullError;
use super::exact::Exact;
use super::forward::Target;
use crate::config::Images;
use seal::answer::AnswerPoint;
use seal::cover::{Completeness, Cover};
use seal::ids::{CaseId, DeliveryId, Digest};
use seal::native::VerifiedCover;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// `delivery.json`, and the content of `receipt-sent`: what a later run must know. Nothing in it tells of the patient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its case.
    pub case: CaseId,
    /// Its place in the case, from 1.
    pub sequence: u32,
    /// The site's name as it stands in the signed cover.
    pub site: String,
    /// SHA-256 of the site certificate that signed the cover.
    pub signer: Digest,
    /// SHA-256 of the cover's DER.
    pub cover: Digest,
    /// SHA-256 of the certificate that it was sealed for and opened by; unknown of what an earlier version pulled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recipient: Option<Digest>,
    /// Whether what was sent is all there is.
    pub completeness: Completeness,
    /// The delivery whose residual this one brought: this folder holds the files of that one as they came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub residual_of: Option<DeliveryId>,
    /// The point that answers to it are sealed to; none where the site takes none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answers: Option<AnswerPoint>,
    /// Where its files are as they came.
    #[serde(default)]
    pub exact: Exact,
    /// Instances in this folder.
    pub instances: u32,
    /// When the site sealed it, seconds since 1970-01-01 UTC.
    pub sealed_at: i64,
    /// When this reader put it here, seconds since 1970-01-01 UTC.
    pub received: i64,
}

impl Record {
    /// What will be remembered of a delivery once it is in its place.
    pub(crate) fn new(verified: &VerifiedCover, exact: Exact, instances: u32, received: i64) -> Self {
        let Cover {
            delivery, case, sequence, residual_of, answers, completeness, sealed_at, ref site, ..
        } = verified.cover;
        let (signer, cover) = (verified.signer, verified.digest);
        Self {
            delivery,
            case,
            sequence,
            site: site.clone(),
            signer,
            cover,
            recipient: Some(verified.recipient),
            completeness,
            residual_of,
            answers,
            exact,
            instances,
            sealed_at,
            received,
        }
    }
}

/// What earlier runs did.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Deliveries whose folder is in its final place.
    pub(crate) placed: BTreeMap<DeliveryId, Record>,
    /// Cover digest of every sequence number ever placed, also where the folder has been deleted since.
    pub(crate) seen: BTreeMap<(CaseId, u32), Digest>,
}

impl Known {
    /// Adds a delivery that is now in its place.
    pub(crate) fn add(&mut self, record: Record) {
        self.seen.insert((record.case, record.sequence), record.cover);
        self.placed.insert(record.delivery, record);
    }

    /// Deliveries that are in their place, in the order in which they were sealed.
    pub(crate) fn in_order(&self) -> Vec<&Record> {
        let mut records: Vec<&Record> = self.placed.values().collect();
        records.sort_by_key(|record| (record.sealed_at, record.sequence, record.delivery));
        records
    }

    /// Sequence numbers below `sequence` that are not here, though a higher one is.
    pub(crate) fn gaps(&self, case: CaseId, sequence: u32) -> Vec<u32> {
        (1..sequence)
            .filter(|number| !self.seen.contains_key(&(case, *number)))
            .take(GAPS_SHOWN_MAX)
            .collect()
    }
}

/// Gaps named in one line; a sequence number of 4 billion must not print as many.
const GAPS_SHOWN_MAX: usize = 10;

/// The output folder, locked for this run.
#[derive(Debug)]
pub(crate) struct Output {
    root: PathBuf,
    _lock: File,
}

impl Output {
    /// Creates the folder where needed and waits until no other run works in it.
    ///
    /// # Errors
    /// [`PullError::Output`].
    pub(crate) fn lock(root: &Path) -> Result<Self, PullError> {
        let output = prepare(root).and_then(|()| lock_file(&root.join(".lock")));
        let lock = output.map_err(PullError::output("cannot use the output folder"))?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// Final folder of a delivery.
    pub(crate) fn place(&self, case: CaseId, sequence: u32) -> PathBuf {
        self.case(case).join(format!("{sequence:04}"))
    }

    /// Folder for the exact files of a delivery whose place holds the shown ones.
    pub(crate) fn exact_place(&self, case: CaseId, sequence: u32) -> PathBuf {
        self.case(case).join(format!("{sequence:04}{EXACT_SUFFIX}"))
    }

    /// Folders of a delivery that are there: as shown, and as it came where that was written beside.
    pub(crate) fn folders(&self, record: &Record) -> impl Iterator<Item = PathBuf> + use<> {
        let (case, sequence) = (record.case, record.sequence);
        [self.place(case, sequence), self.exact_place(case, sequence)]
            .into_iter()
            .filter(|path| path.is_dir())
    }

    /// Whether exact files are wanted of a delivery that is in its place as shown and can give them.
    pub(crate) fn lacks_exact(&self, images: Images, record: &Record) -> bool {
        images == Images::Exact
            && record.exact == Exact::InMailbox
            && !self.exact_place(record.case, record.sequence).exists()
            && !self.images_deleted(record.delivery)
    }

    /// Whether the images of a delivery were deleted since it was put into its place.
    pub(crate) fn images_deleted(&self, delivery: DeliveryId) -> bool {
        self.deleted(delivery).exists()
    }

    /// Deletes what is in the folders of a delivery, but what says that it came; gives whether there was anything. That it is deleted is remembered first, so
    /// that nobody takes the half of it that a crash leaves for all.
    ///
    /// # Errors
    /// Any I/O error.
    pub(crate) fn delete_images(&self, record: &Record) -> io::Result<bool> {
        if !self.images_deleted(record.delivery) {
            self.remember(&self.deleted(record.delivery), record)?;
        }
        let mut were_there = false;
        for folder in self.folders(record) {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                match path.file_name() {
                    Some(name) if name == RECORD_FILE => continue,
                    _ if path.is_dir() => fs::remove_dir_all(path)?,
                    _ => fs::remove_file(path)?,
                }
                were_there = true;
            }
        }
        Ok(were_there)
    }

    /// Folder of a case.
    pub(crate) fn case(&self, case: CaseId) -> PathBuf {
        self.root.join(case.to_string())
    }

    /// Folder for what has arrived of a delivery so far.
    pub(crate) fn incoming(&self, delivery: DeliveryId) -> PathBuf {
        self.root.join(".incoming").join(delivery.to_string())
    }

    /// Reads what earlier runs left.
    ///
    /// # Errors
    /// Any I/O error. A folder without a readable `delivery.json` is passed over and logged.
    pub(crate) fn known(&self) -> io::Result<Known> {
        let mut known = Known::default();
        for case in ids_in(&self.root, CaseId::parse)? {
            self.add_placed(case, &mut known)?;
        }
        for delivery in ids_in(&self.root.join(".state"), DeliveryId::parse)? {
            if let Some(record) = read_record(&self.marker(delivery)) {
                known.seen.entry((record.case, record.sequence)).or_insert(record.cover);
            }
        }
        Ok(known)
    }

    fn add_placed(&self, case: CaseId, known: &mut Known) -> io::Result<()> {
        for sequence in ids_in(&self.case(case), |name| name.parse::<u32>().ok())? {
            let folder = self.place(case, sequence);
            match read_record(&folder.join(RECORD_FILE)) {
                Some(record) if (record.case, record.sequence) == (case, sequence) => known.add(record),
                _ => tracing::warn!(%case, sequence, "a folder of this case has no readable {RECORD_FILE}"),
            }
        }
        Ok(())
    }

    /// Whether the receipt of a delivery was sent.
    pub(crate) fn receipt_sent(&self, delivery: DeliveryId) -> bool {
        self.marker(delivery).exists()
    }

    /// Remembers that the receipt of a delivery was sent.
    ///
    /// # Errors
    /// Any I/O error.
    pub(crate) fn remember_receipt(&self, record: &Record) -> io::Result<()> {
        self.remember(&self.marker(record.delivery), record)
    }

    /// Whether the exact files of a delivery were asked for.
    pub(crate) fn exact_asked(&self, delivery: DeliveryId) -> bool {
        self.asked(delivery).exists()
    }

    /// Remembers that the exact files of a delivery were asked for.
    ///
    /// # Errors
    /// Any I/O error.
    pub(crate) fn remember_asked(&self, record: &Record) -> io::Result<()> {
        self.remember(&self.asked(record.delivery), record)
    }

    /// What `to` has acknowledged of a folder of a delivery.
    pub(crate) fn forwarded(&self, delivery: DeliveryId, folder: &Path, to: &Target) -> PathBuf {
        let target = Digest::of(to.to_string().as_bytes());
        let exact = if folder.to_string_lossy().ends_with(EXACT_SUFFIX) { EXACT_SUFFIX } else { "" };
        self.root.join(".state").join(delivery.to_string()).join("forwarded").join(format!("{target}{exact}"))
    }

    /// A file without a name, on the disk that holds the images.
    ///
    /// # Errors
    /// Any I/O error.
    pub(crate) fn nameless(&self) -> io::Result<File> {
        tempfile::tempfile_in(self.root.join(".incoming"))
    }

    fn remember(&self, marker: &Path, record: &Record) -> io::Result<()> {
        marker.parent().map_or(Ok(()), durable::create_folder)?;
        durable::write_file(marker, &to_json(record)?)
    }

    /// Throws away what arrived of deliveries that are no longer in the mailbox or are in their place already.
    ///
    /// # Errors
    /// Any I/O error.
    pub(crate) fn sweep(&self, keep: impl Fn(DeliveryId) -> bool) -> io::Result<()> {
        ids_in(&self.root.join(".incoming"), DeliveryId::parse)?
            .into_iter()
            .filter(|delivery| !keep(*delivery))
            .try_for_each(|delivery| fs::remove_dir_all(self.incoming(delivery)))
    }

    fn marker(&self, delivery: DeliveryId) -> PathBuf {
        self.root.join(".state").join(delivery.to_string()).join("receipt-sent")
    }

    fn deleted(&self, delivery: DeliveryId) -> PathBuf {
        self.root.join(".state").join(delivery.to_string()).join("images-deleted")
    }

    fn asked(&self, delivery: DeliveryId) -> PathBuf {
        self.root.join(".state").join(delivery.to_string()).join("exact-asked")
    }
}

/// Behind the number of a delivery: its files as they came, where those as shown have its place.
const EXACT_SUFFIX: &str = "-exact";
/// Name of a [`Record`] in the folder of its delivery.
pub(crate) const RECORD_FILE: &str = "delivery.json";

/// Pretty JSON with a final newline: people open these files.
pub(crate) fn to_json(record: &Record) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(record)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn prepare(root: &Path) -> io::Result<()> {
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent)?;
    }
    durable::create_folder(root)?;
    durable::create_folder(&root.join(".incoming"))?;
    durable::create_folder(&root.join(".state"))
}

fn lock_file(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            tracing::warn!("another pull works in this output folder; waiting for it to end");
            file.lock().map(|()| file)
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Names in a folder that are what `parse` wants; none where the folder is not there.
fn ids_in<T>(folder: &Path, parse: impl Fn(&str) -> Option<T>) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_str().and_then(&parse)));
    names.filter_map(Result::transpose).collect()
}

fn read_record(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#[path = "output_tests.rs"]
mod tests;
