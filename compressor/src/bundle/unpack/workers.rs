//! Threads that decode slabs. Without any, each slab is decoded as soon as it is begun.

use super::UnpackError;
use crate::dataset::ImageLayout;
use crate::pixels::{self, DamagedSlab, Model};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Scope;

/// Slabs begun for each thread: one in work, and what a thread with a short one finds waiting.
const BEGUN_PER_THREAD: usize = 3;

/// Threads that decode slabs.
pub(super) struct Workers {
    jobs: Option<Sender<Job>>,
    ahead: usize,
}

impl Workers {
    /// Starts `threads` threads, or none where one is enough.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, threads: usize) -> Self {
        if threads < 2 {
            return Self { jobs: None, ahead: 0 };
        }
        let (jobs, shared) = channel();
        let shared = Arc::new(Mutex::new(shared));
        for _ in 0..threads {
            let jobs = Arc::clone(&shared);
            scope.spawn(move || work(&jobs));
        }
        Self { jobs: Some(jobs), ahead: threads * BEGUN_PER_THREAD }
    }

    /// Slabs that may be begun before they are wanted.
    pub(super) fn ahead(&self) -> usize {
        self.ahead
    }

    /// Decodes a slab, here or on a thread. Those it is predicted from were begun before, so no thread waits for one that waits.
    pub(super) fn begin(&self, job: Job) -> Arc<Decoding> {
        let slab = Arc::clone(&job.slab);
        match &self.jobs {
            // Where no thread is left, the job is dropped and its slab counts as damaged.
            Some(jobs) => drop(jobs.send(job)),
            None => job.run(),
        }
        slab
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job.run();
    }
}

/// A slab in work: each part is set when it is known.
#[derive(Default)]
pub(super) struct Decoding {
    /// As it is decoded without residual.
    decoded: OnceLock<Result<Vec<u8>, DamagedSlab>>,
    /// With residual, where it has one.
    exact: OnceLock<Option<Result<Vec<u8>, DamagedSlab>>>,
}

impl Decoding {
    /// Waits for the bytes of the slab.
    pub(super) fn raw(&self) -> Result<&[u8], UnpackError> {
        let raw = self.exact.wait().as_ref().unwrap_or_else(|| self.decoded.wait());
        raw.as_deref().map_err(|damaged| UnpackError::damaged(damaged.to_string()))
    }
}

/// A slab to be decoded.
pub(super) struct Job {
    pub(super) layout: ImageLayout,
    pub(super) coarse: Vec<u8>,
    pub(super) fine: Vec<u8>,
    pub(super) residual: Option<Vec<u8>>,
    /// Raw bytes.
    pub(super) bytes: usize,
    pub(super) model: Option<Arc<Model>>,
    /// Waited for.
    pub(super) references: Vec<Arc<Decoding>>,
    pub(super) slab: Arc<Decoding>,
}

impl Job {
    fn run(self) {
        let decoded = self.slab.decoded.get_or_init(|| self.decode());
        let exact = self.residual.as_ref().map(|residual| {
            let mut raw = decoded.clone()?;
            pixels::add_residual(&self.layout, &mut raw, residual).map(|()| raw)
        });
        let _ = self.slab.exact.set(exact);
    }

    fn decode(&self) -> Result<Vec<u8>, DamagedSlab> {
        let references = self.references.iter().map(|slab| match slab.decoded.wait() {
            Ok(raw) => Ok(raw.as_slice()),
            Err(damaged) => Err(*damaged),
        });
        let references = references.collect::<Result<Vec<_>, _>>()?;
        pixels::decode_slab(
            &self.layout,
            &self.coarse,
            &self.fine,
            self.model.as_deref(),
            &references,
            self.bytes,
        )
    }
}

impl Drop for Job {
    /// Nobody waits for ever, whatever became of the thread.
    fn drop(&mut self) {
        let _ = self.slab.decoded.set(Err(DamagedSlab));
        let _ = self.slab.exact.set(None);
    }
}
