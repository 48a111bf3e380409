//! Whether the journal's file is as the gateway leaves it, and whole: what was acknowledged survives a power cut.

use super::Check;
use crate::config::Config;
use crate::journal::{Database, Journal, JournalError, has_log};
use std::io::ErrorKind;
use std::path::Path;

pub(super) const AREA: &str = "journal";
pub(super) const SUBJECT: &str = "journal.sqlite";
const POSTGRES: &str = "PostgreSQL";
const RESTORE: &str =
    "stop the gateway, check the disk, and restore the state folder from a backup (docs/install.md)";

/// The journal, to read what it says.
pub(super) async fn opened(config: &Config) -> Result<Journal, JournalError> {
    let database = config.database().map_err(|_| JournalError::Unknown("postgres_url_file"))?;
    Journal::open_read_only(database).await
}

pub(super) async fn check(config: &Config) -> Check {
    match config.database() {
        Ok(Database::File(path)) => file(&path).await,
        Ok(Database::Postgres(server)) => match server.check().await {
            Ok(()) => Check::pass(AREA, POSTGRES, "synchronous_commit, fsync and full_page_writes are on"),
            Err(error @ JournalError::Setting(needed)) => {
                Check::fail(AREA, POSTGRES, error, format!("set {needed}"))
            }
            Err(error) => Check::not_checked(AREA, POSTGRES, error),
        },
        Err(error) => Check::not_checked(AREA, POSTGRES, error),
    }
}

async fn file(path: &Path) -> Check {
    use ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match has_log(path).map_err(|error| error.kind()) {
        Err(NotFound) => return Check::not_checked(AREA, SUBJECT, "no gateway has worked here yet"),
        Err(InvalidData | UnexpectedEof) => {
            return Check::fail(AREA, SUBJECT, "damaged: it does not begin as a database does", RESTORE);
        }
        Err(error) => return Check::not_checked(AREA, SUBJECT, format!("cannot be read: {error}")),
        Ok(false) => {
            let mend = "let no other program write there, and restart the gateway, which turns it on";
            return Check::fail(AREA, SUBJECT, "has no write-ahead log: somebody changed it", mend);
        }
        Ok(true) => {}
    }
    let is_whole = match Journal::open_read_only(Database::File(path.to_owned())).await {
        Ok(journal) => journal.is_whole().await,
        Err(error) => Err(error),
    };
    match is_whole {
        Ok(true) => Check::pass(AREA, SUBJECT, "has a write-ahead log, and is whole by SQLite's quick_check"),
        Ok(false) => Check::fail(AREA, SUBJECT, "damaged, by SQLite's quick_check", RESTORE),
        // SQLite refuses some damage at the first look.
        Err(error) if error.is_damage() => Check::fail(AREA, SUBJECT, error, RESTORE),
        Err(error) => Check::not_checked(AREA, SUBJECT, error),
    }
}
