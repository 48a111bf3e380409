//! The line of workers: raw parts go in, coded segments come out in the same order, and only so much is under way.

use super::headers::HeaderEncoder;
use super::writer::Writer;
use super::{PackError, SegmentKind};
use crate::dataset::ImageLayout;
use crate::limits::IN_FLIGHT_BYTES_MAX;
use crate::pixels::{self, Bound};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

/// Where a segment belongs.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) kind: SegmentKind,
    pub(super) series: u32,
    pub(super) instance: u32,
}

/// How a raw part is coded.
pub(super) enum Work {
    /// A slice of the header stream; those of a series go to one worker in order.
    Headers {
        /// The stream ends with it.
        last: bool,
    },
    Slab(ImageLayout, Arc<pixels::Model>),
    Chunk,
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
        Self { jobs, header_jobs, done, early, submitted: 0, written: 0, in_flight_bytes: 0, writer }
    }

    /// Hands one raw part to the workers, after room was made for it.
    pub(super) fn submit(&mut self, place: Place, work: Work, raw: Vec<u8>) -> Result<(), PackError> {
        while self.in_flight_bytes > 0 && self.in_flight_bytes + raw.len() > IN_FLIGHT_BYTES_MAX {
            self.write_next()?;
        }
        self.in_flight_bytes += raw.len();
        let job = Job { order: self.submitted, place, work, raw };
        self.submitted += 1;
        let queue = if matches!(job.work, Work::Headers { .. }) { &self.header_jobs } else { &self.jobs };
        queue.send(job).map_err(|_| worker_lost().into())
    }

    /// Waits for everything under way and gives the writer back.
    pub(super) fn finish(mut self) -> Result<Writer<'w, W>, PackError> {
        while self.written < self.submitted {
            self.write_next()?;
        }
        Ok(self.writer)
    }

    fn write_next(&mut self) -> Result<(), PackError> {
        let coded = loop {
            if let Some(coded) = self.early.remove(&self.written) {
                break coded?;
            }
            let done = self.done.recv().map_err(|_| worker_lost())?;
            self.early.insert(done.order, done.coded);
        };
        self.written += 1;
        self.in_flight_bytes -= coded.raw_bytes as usize;
        self.writer.write(coded)
    }
}

fn worker_lost() -> io::Error {
    io::Error::other("a worker thread ended early")
}

fn work_on_bulk(jobs: &Mutex<Receiver<Job>>, results: &Sender<Done>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let bytes = match &job.work {
            Work::Slab(layout, model) => {
                pixels::encode_slab(layout, &job.raw, model, &Bound::LOSSLESS, &[]).map(|coded| [(coded.coarse.len() as u32).to_le_bytes().to_vec(), coded.coarse, coded.bytes].concat())
            }
            Work::Chunk | Work::Headers { .. } => pixels::pack_chunk(&job.raw),
        };
        if results.send(done(job, bytes)).is_err() {
            return;
        }
    }
}

fn work_on_headers(jobs: &Receiver<Job>, results: &Sender<Done>) {
    let mut stream = None;
    while let Ok(job) = jobs.recv() {
        let bytes = encode_headers(&mut stream, &job);
        if results.send(done(job, bytes)).is_err() {
            return;
        }
    }
}

fn encode_headers(stream: &mut Option<HeaderEncoder>, job: &Job) -> io::Result<Vec<u8>> {
    let mut encoder = match stream.take() {
        Some(encoder) => encoder,
        None => HeaderEncoder::new()?,
    };
    if matches!(job.work, Work::Headers { last: true }) {
        return encoder.finish(&job.raw);
    }
    let bytes = encoder.encode(&job.raw)?;
    *stream = Some(encoder);
    Ok(bytes)
}

fn done(job: Job, bytes: io::Result<Vec<u8>>) -> Done {
    let (place, raw_bytes) = (job.place, job.raw.len() as u64);
    Done { order: job.order, coded: bytes.map(|bytes| Coded { place, raw_bytes, bytes }) }
}
