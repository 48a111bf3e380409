//! What the self-audit reads of the journal as a database: how it is kept, and whether it is whole.

use super::sql;
use super::{Journal, JournalError};
use std::io::Read;
use std::path::Path;

/// Offset of the two version bytes in the header of an SQLite file, and their value for a write-ahead log (SQLite file format, 1.3.3).
const VERSIONS_AT: usize = 18;
const VERSIONS_WAL: [u8; 2] = [2, 2];
/// SQLite file format, 1.3.1.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// `PRAGMA quick_check` of a whole database.
const WHOLE: &str = "ok";
/// Result codes of SQLite that speak of the file itself.
const CORRUPT: u32 = 11;
const NOTADB: u32 = 26;

/// Whether the file says that it has a write-ahead log; this alone of the settings stays in the file.
///
/// # Errors
/// `UnexpectedEof` and `InvalidData` for a file that is no database, and any other I/O error.
pub(crate) fn has_log(path: &Path) -> std::io::Result<bool> {
    let mut header = [0; VERSIONS_AT + VERSIONS_WAL.len()];
    std::fs::File::open(path)?.read_exact(&mut header)?;
    if !header.starts_with(MAGIC) {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    Ok(header.ends_with(&VERSIONS_WAL))
}

impl Journal {
    /// Whether SQLite's `quick_check` finds nothing.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn is_whole(&self) -> Result<bool, JournalError> {
        let said = sql::query("PRAGMA quick_check(1)").fetch_one(&self.pool).await?;
        Ok(said.get::<&str, _>(0) == WHOLE)
    }
}

impl JournalError {
    /// Whether SQLite finds the file damaged, so that only a backup helps.
    pub(crate) fn is_damage(&self) -> bool {
        self.primary_code().is_some_and(|code| [CORRUPT, NOTADB].contains(&code))
    }
}
