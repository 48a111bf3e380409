//! Fetches the pieces of a delivery, two at a time, each checked against the cover before it gets its name.

use super::durable;
use super::error::PullError;
use super::progress::Progress;
use super::session::{Session, is_of_message};
use seal::cover::{Cover, PieceEntry};
use seal::ids::Digest;
use seal::mail::Part;
use seal::mailbox::{Found, MailboxError};
use seal::native::Refusal;
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes hashed at once of a piece that is on disk already.
const READ_BYTES: usize = 1 << 17;

/// What one run fetched of a delivery.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Every piece of the delivery in order, on disk and checked; or [`PullError::Refused`] where no candidate of a piece is
    /// genuine, [`PullError::Incomplete`] where a piece has none, or one that was moved before it could be read.
    pub(crate) files: Result<Vec<PathBuf>, PullError>,
    /// Bytes fetched by this run.
    pub(crate) bytes: u64,
}

/// Fetches what is not in `folder` yet. What could be fetched and is genuine stays there also when something is missing.
///
/// # Errors
/// [`PullError`] where mailbox or disk fail.
pub(crate) async fn pieces(
    session: &mut Session,
    cover: &Cover,
    found: &[Found],
    folder: &Path,
    progress: &Progress,
) -> Result<Fetched, PullError> {
    durable::create_folder(folder).map_err(PullError::output("cannot make the folder for pieces"))?;
    let jobs = jobs(cover, found, folder)?;
    let files = jobs.iter().map(|job| job.path.clone()).collect();
    let mut queue: VecDeque<Job> = jobs.into_iter().filter(|job| !job.here).collect();
    progress.fetching(queue.iter().map(|job| u64::from(job.bytes)).sum());
    let mut missing = take_missing(&mut queue);
    let done = two_lanes(session, queue, progress).await?;
    let bytes = done.iter().map(|piece| piece.bytes).sum();
    let numbers = |state| done.iter().filter(move |piece| piece.state == state).map(|piece| piece.number);
    missing.extend(numbers(State::Moved));
    missing.sort_unstable();
    let files = match numbers(State::Unsigned).min() {
        Some(number) => Err(PullError::Refused(Refusal::UnsignedPiece(number).to_string())),
        None if !missing.is_empty() => {
            Err(PullError::Incomplete { missing, pieces: cover.pieces.len() as u32 })
        }
        None => Ok(files),
    };
    Ok(Fetched { files, bytes })
}

/// A piece to fetch.
struct Job {
    number: u32,
    bytes: u32,
    digest: Digest,
    candidates: Vec<Found>,
    path: PathBuf,
    /// Fetched by an earlier run.
    here: bool,
}

struct Done {
    number: u32,
    bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Genuine,
    /// Not read: a candidate was no longer where it was found.
    Moved,
    /// No candidate is what the site signed.
    Unsigned,
}

fn jobs(cover: &Cover, found: &[Found], folder: &Path) -> Result<Vec<Job>, PullError> {
    (1_u32..).zip(&cover.pieces).map(|(number, entry)| job(number, entry, found, folder)).collect()
}

fn job(number: u32, entry: &PieceEntry, found: &[Found], folder: &Path) -> Result<Job, PullError> {
    let malformed = || PullError::Refused(format!("the cover's digest of piece {number} is malformed"));
    let digest = entry.digest().ok_or_else(malformed)?;
    let candidates = found.iter().filter(|found| found.id.part() == Part::Piece(number)).cloned().collect();
    let path = folder.join(format!("piece-{number:05}"));
    let here =
        is_genuine(&path, entry.bytes(), digest).map_err(PullError::output("cannot read a fetched piece"))?;
    Ok(Job { number, bytes: entry.bytes(), digest, candidates, path, here })
}

fn is_genuine(path: &Path, bytes: u32, digest: Digest) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    if file.metadata()?.len() != u64::from(bytes) {
        return Ok(false);
    }
    let (mut hasher, mut block) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        let count = file.read(&mut block)?;
        match block.get(..count) {
            Some([]) | None => return Ok(Digest(hasher.finalize().into()) == digest),
            Some(read) => hasher.update(read),
        }
    }
}

fn take_missing(queue: &mut VecDeque<Job>) -> Vec<u32> {
    let missing = queue.iter().filter(|job| job.candidates.is_empty()).map(|job| job.number).collect();
    queue.retain(|job| !job.candidates.is_empty());
    missing
}

/// Two connections hide each other's waits: 120 MB over loopback took 2.7 s instead of 5.0 s. No more, because many servers
/// count them; one where a second is refused.
async fn two_lanes(
    session: &mut Session,
    queue: VecDeque<Job>,
    progress: &Progress,
) -> Result<Vec<Done>, PullError> {
    let mut second = session.another();
    let two = queue.len() > 1 && second.connect().await.is_ok();
    let queue = RefCell::new(queue);
    let other = async { if two { lane(&mut second, &queue, progress).await } else { Ok(Vec::new()) } };
    let (first, other) = tokio::join!(lane(session, &queue, progress), other);
    second.close().await;
    let (mut first, other) = (first?, other?);
    first.extend(other);
    Ok(first)
}

async fn lane(
    session: &mut Session,
    queue: &RefCell<VecDeque<Job>>,
    progress: &Progress,
) -> Result<Vec<Done>, PullError> {
    let mut done = Vec::new();
    let next = || queue.borrow_mut().pop_front();
    while let Some(job) = next() {
        done.push(fetch(session, &job, progress).await?);
    }
    Ok(done)
}

/// Tries each candidate: the digest decides which one is genuine.
async fn fetch(session: &mut Session, job: &Job, progress: &Progress) -> Result<Done, PullError> {
    let (mut bytes, mut state) = (0, State::Unsigned);
    for found in &job.candidates {
        let mut part = PartFile::create(job, progress)?;
        match session.fetch(found, &mut part, u64::from(job.bytes)).await {
            Err(error) if is_of_message(&error) => {
                tracing::warn!(piece = job.number, %error, "not this one");
                if matches!(error, MailboxError::Gone) {
                    state = State::Moved;
                }
            }
            Err(MailboxError::Disk(source)) => return Err(PullError::output("cannot write a piece")(source)),
            fetched => {
                bytes += fetched?;
                if part.keep(job).map_err(PullError::output("cannot keep a piece"))? {
                    tracing::debug!(piece = job.number, bytes, "fetched");
                    return Ok(Done { number: job.number, bytes, state: State::Genuine });
                }
            }
        }
    }
    Ok(Done { number: job.number, bytes, state })
}

/// A piece being written, hashed on its way.
struct PartFile<'a> {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    progress: &'a Progress,
}

impl<'a> PartFile<'a> {
    fn create(job: &Job, progress: &'a Progress) -> Result<Self, PullError> {
        let path = job.path.with_extension("part");
        let file = File::create(&path).map_err(PullError::output("cannot create a piece"))?;
        Ok(Self { file, path, hasher: Sha256::new(), progress })
    }

    /// Gives the file its name if it is genuine.
    fn keep(self, job: &Job) -> io::Result<bool> {
        let genuine = Digest(self.hasher.finalize().into()) == job.digest;
        if genuine {
            self.file.sync_all()?;
            durable::rename(&self.path, &job.path)?;
        } else {
            fs::remove_file(&self.path)?;
        }
        Ok(genuine)
    }
}

impl Write for PartFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.progress.advance(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
