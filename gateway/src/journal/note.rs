//! The sender's note as a row keeps it.

use super::JournalError;
use crate::spool::{self, FileKey};
use compressor::bundle::Note;
use compressor::{Phi, Purpose};

/// Encrypted under a key, plain without one.
pub(super) fn seal(note: &Note, key: Option<&FileKey>) -> Result<Vec<u8>, JournalError> {
    let sealed = spool::seal_text(note.expose_for(Purpose::Keep).as_bytes(), key);
    sealed.map_err(|_| JournalError::Unknown("random"))
}

/// Opens what [`seal`] made. `column`: where it stood.
pub(super) fn open(sealed: &[u8], key: Option<&FileKey>, column: &'static str) -> Result<Note, JournalError> {
    let unknown = || JournalError::Unknown(column);
    let text = spool::open_text(sealed, key).map_err(|_| unknown())?;
    let words = std::str::from_utf8(&text).map_err(|_| unknown())?;
    Note::new(Phi::new(words.to_owned())).ok_or_else(unknown)
}
