//! The line of workers: raw parts go in, coded segments come out in the same order, and only so much is under way.

use super::bounded::{Account, Encoded, Shown, SlabCoder};
use super::headers::HeaderEncoder;
use super::writer::Writer;
use super::{PackError, SegmentKind};
use crate::dataset::ImageLayout;
use crate::limits::IN_FLIGHT_BYTES_MAX;
use crate::pixels;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Scope;

/// Where a segment belongs.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) kind: SegmentKind,
    pub(super) series: u32,
    pub(super) instance: u32,
    /// Source bytes that are done with it, for the progress.
    pub(super) source_bytes: u64,
}

/// How a raw part is coded.
pub(super) enum Work {
    /// A slice of the header stream; those of a series go to one worker in order.
    Headers {
        /// The stream ends with it.
        last: bool,
    },
    Slab(SlabWork),
    Chunk,
}

/// A slab as a reader will have it, for those that are predicted from it.
pub(super) type Shared = OnceLock<Vec<u8>>;

/// How a slab is coded.
pub(super) struct SlabWork {
    pub(super) layout: ImageLayout,
    /// The source has it compressed.
    pub(super) decompressed: bool,
    pub(super) coder: Arc<SlabCoder>,
    /// Waited for.
    pub(super) references: Vec<Arc<Shared>>,
    /// Waits for this one, if any.
    pub(super) shared: Option<Arc<Shared>>,
}

impl SlabWork {
    fn run(&self, raw: &[u8]) -> io::Result<Encoded> {
        let references: Vec<_> =
            self.references.iter().map(|reference| reference.wait().as_slice()).collect();
        let encoded = self.coder.encode(&self.layout, raw, &references, self.decompressed);
        if let Some(shared) = &self.shared {
            let shown = encoded.as_ref().ok().and_then(|encoded| encoded.shown.as_ref());
            // Set whatever happened: others wait.
            let _ = shared.set(shown.map_or(raw, |shown| &shown.decoded).to_vec());
        }
        encoded
    }
}

/// A raw part for the workers.
pub(super) struct Part {
    pub(super) place: Place,
    pub(super) work: Work,
    pub(super) raw: Vec<u8>,
}

struct Job {
    order: u64,
    place: Place,
    work: Work,
    raw: Vec<u8>,
}

/// One coded segment.
pub(super) struct Coded {
    pub(super) place: Place,
    pub(super) raw_bytes: u64,
    pub(super) bytes: Vec<u8>,
    /// Of a slab: its coarse picture.
    coarse: Option<Vec<u8>>,
    /// Of a slab of a bounded series: what a reader will see.
    shown: Option<Shown>,
}

struct Done {
    order: u64,
    coded: io::Result<Coded>,
}

/// Workers and the file they write to. What is written does not depend on their number or speed.
pub(super) struct Line<'w, W> {
    jobs: Sender<Job>,
    header_jobs: Sender<Job>,
    done: Receiver<Done>,
    early: BTreeMap<u64, io::Result<Coded>>,
    submitted: u64,
    written: u64,
    in_flight_bytes: usize,
    writer: Writer<'w, W>,
    accounts: Vec<Account>,
}

impl<'w, W: Write> Line<'w, W> {
    /// Starts `threads` workers for slabs and chunks, and one for headers.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        threads: usize,
        writer: Writer<'w, W>,
    ) -> Self {
        let (jobs, shared) = channel();
        let (header_jobs, headers) = channel();
        let (results, done) = channel();
        let shared = Arc::new(Mutex::new(shared));
        for _ in 0..threads.max(1) {
            let (jobs, results) = (Arc::clone(&shared), results.clone());
            scope.spawn(move || work_on_bulk(&jobs, &results));
        }
        scope.spawn(move || work_on_headers(&headers, &results));
        let early = BTreeMap::new();
        Self {
            jobs,
            header_jobs,
            done,
            early,
            submitted: 0,
            written: 0,
            in_flight_bytes: 0,
            writer,
            accounts: Vec::new(),
        }
    }

    /// Hands one raw part to the workers, after room was made for it.
    pub(super) fn submit(&mut self, place: Place, work: Work, raw: Vec<u8>) -> Result<(), PackError> {
        self.submit_all(vec![Part { place, work, raw }])
    }

    /// Hands parts over that are written in this order, but begun in the opposite one: each may wait for those behind it.
    pub(super) fn submit_all(&mut self, parts: Vec<Part>) -> Result<(), PackError> {
        let bytes: usize = parts.iter().map(|part| part.raw.len()).sum();
        while self.in_flight_bytes > 0 && self.in_flight_bytes + bytes > IN_FLIGHT_BYTES_MAX {
            self.write_next()?;
        }
        self.in_flight_bytes += bytes;
        let first = self.submitted;
        self.submitted += parts.len() as u64;
        for (order, Part { place, work, raw }) in (first..).zip(parts).collect::<Vec<_>>().into_iter().rev() {
            let queue = if matches!(work, Work::Headers { .. }) { &self.header_jobs } else { &self.jobs };
            queue.send(Job { order, place, work, raw }).map_err(|_| worker_lost())?;
        }
        Ok(())
    }

    /// Writes a segment that was coded before, behind everything under way.
    pub(super) fn take_over(
        &mut self,
        place: Place,
        raw_bytes: u64,
        bytes: Vec<u8>,
    ) -> Result<(), PackError> {
        self.write_all()?;
        self.writer.write(Coded { place, raw_bytes, bytes, coarse: None, shown: None })
    }

    /// Waits for everything under way; gives the writer back and what was lost in bounded series, in their order.
    pub(super) fn finish(mut self) -> Result<(Writer<'w, W>, Vec<Account>), PackError> {
        self.write_all()?;
        self.accounts.iter_mut().for_each(Account::close);
        Ok((self.writer, self.accounts))
    }

    fn write_all(&mut self) -> Result<(), PackError> {
        while self.written < self.submitted {
            self.write_next()?;
        }
        Ok(())
    }

    fn write_next(&mut self) -> Result<(), PackError> {
        let mut coded = loop {
            if let Some(coded) = self.early.remove(&self.written) {
                break coded?;
            }
            let done = self.done.recv().map_err(|_| worker_lost())?;
            self.early.insert(done.order, done.coded);
        };
        self.written += 1;
        self.in_flight_bytes -= coded.raw_bytes as usize;
        let (place, raw_bytes) = (coded.place, coded.raw_bytes);
        let shown = coded.shown.take();
        if let Some(bytes) = coded.coarse.take() {
            let place = Place { kind: SegmentKind::Coarse, source_bytes: 0, ..place };
            self.writer.write(Coded { place, raw_bytes, bytes, coarse: None, shown: None })?;
        }
        self.writer.write(coded)?;
        shown.map_or(Ok(()), |shown| self.account(place, raw_bytes, shown))
    }

    /// Writes down what a slab lost, and its residual.
    fn account(&mut self, place: Place, raw_bytes: u64, shown: Shown) -> Result<(), PackError> {
        if self.accounts.last().is_none_or(|account| account.series != place.series) {
            self.accounts.push(Account::of(place.series));
        }
        if let Some(account) = self.accounts.last_mut() {
            account.add(place.instance, &shown);
        }
        let Some(bytes) = shown.residual else { return Ok(()) };
        let place = Place { kind: SegmentKind::Residual, source_bytes: 0, ..place };
        self.writer.write(Coded { place, raw_bytes, bytes, coarse: None, shown: None })
    }
}

fn worker_lost() -> io::Error {
    io::Error::other("a worker thread ended early")
}

fn work_on_bulk(jobs: &Mutex<Receiver<Job>>, results: &Sender<Done>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let coded = match &job.work {
            Work::Slab(work) => work.run(&job.raw),
            Work::Chunk | Work::Headers { .. } => pixels::pack_chunk(&job.raw).map(alone),
        };
        if results.send(done(job, coded)).is_err() {
            return;
        }
    }
}

fn work_on_headers(jobs: &Receiver<Job>, results: &Sender<Done>) {
    let mut stream = None;
    while let Ok(job) = jobs.recv() {
        let coded = encode_headers(&mut stream, &job).map(alone);
        if results.send(done(job, coded)).is_err() {
            return;
        }
    }
}

fn encode_headers(stream: &mut Option<HeaderEncoder>, job: &Job) -> io::Result<Vec<u8>> {
    let last = matches!(job.work, Work::Headers { last: true });
    let mut encoder = match stream.take() {
        Some(encoder) => encoder,
        None => HeaderEncoder::new(last.then_some(job.raw.len() as u64))?,
    };
    if last {
        return encoder.finish(&job.raw);
    }
    let bytes = encoder.encode(&job.raw)?;
    *stream = Some(encoder);
    Ok(bytes)
}

/// Bytes that are all there is of a part.
fn alone(bytes: Vec<u8>) -> Encoded {
    Encoded { coarse: None, bytes, shown: None }
}

fn done(job: Job, encoded: io::Result<Encoded>) -> Done {
    let (place, raw_bytes) = (job.place, job.raw.len() as u64);
    let coded =
        encoded.map(|Encoded { coarse, bytes, shown }| Coded { place, raw_bytes, bytes, coarse, shown });
    Done { order: job.order, coded }
}
