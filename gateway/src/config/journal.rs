//! `[journal]`: where the journal is kept.

use super::{Config, ConfigError, read_secret};
use crate::journal::Database;
use crate::spool::Spool;
use serde::Deserialize;
use std::path::PathBuf;

/// `[journal]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalPlace {
    /// File with the URL of a database on a PostgreSQL server, mode 0600; SQLite in the state folder where absent.
    pub postgres_url_file: Option<PathBuf>,
    /// Whether the state folder lies on a disk that several machines reach, on each of which a gateway is started: one works, the others wait to take
    /// over. Needs a database on a server.
    pub shared_state: bool,
}

impl Config {
    /// Where the journal is kept.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Exposed`], [`ConfigError::Value`].
    pub fn database(&self) -> Result<Database, ConfigError> {
        match &self.journal.postgres_url_file {
            None => Ok(Database::File(Spool::at(&self.state).journal())),
            Some(file) => Database::postgres(read_secret(file)?.trim_end())
                .map_err(|reason| ConfigError::Value { key: "journal.postgres_url_file".to_owned(), reason }),
        }
    }
}
