//! A configuration that lives with its files: read again after one of them has changed.

use crate::TlsError;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// When each file was last changed; none for one that is not there.
type Stamps = Vec<Option<SystemTime>>;

/// What the files said when they were last usable.
#[derive(Debug)]
pub(crate) struct Living<C>(Mutex<Read<C>>);

#[derive(Debug)]
struct Read<C> {
    stamps: Stamps,
    made: Arc<C>,
}

impl<C> Living<C> {
    /// Makes it of the files for the first time.
    pub(crate) fn new<'a>(
        paths: impl Iterator<Item = &'a Path>,
        make: impl FnOnce() -> Result<C, TlsError>,
    ) -> Result<Self, TlsError> {
        // Before the files are read: one that changes meanwhile is read again.
        let stamps = stamps(paths);
        Ok(Self(Mutex::new(Read { stamps, made: Arc::new(make()?) })))
    }

    /// As the files say now. While they cannot be used, each call tries again: what makes them usable, such as `chmod`, need not show.
    pub(crate) fn now<'a>(
        &self,
        paths: impl Iterator<Item = &'a Path>,
        make: impl FnOnce() -> Result<C, TlsError>,
    ) -> Result<Arc<C>, TlsError> {
        let mut read = self.lock();
        let stamps = stamps(paths);
        if read.stamps != stamps {
            *read = Read { stamps, made: Arc::new(make()?) };
        }
        Ok(Arc::clone(&read.made))
    }

    /// As the files said when they were last usable.
    pub(crate) fn last(&self) -> Arc<C> {
        Arc::clone(&self.lock().made)
    }

    fn lock(&self) -> MutexGuard<'_, Read<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When each file was last changed.
pub(crate) fn stamps<'a>(paths: impl Iterator<Item = &'a Path>) -> Stamps {
    paths.map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()).collect()
}
