//! Backup while the gateway runs, and the way back: `scanpost-gateway backup` and `restore`, and what the first start after that has to find out
//! before anything is sent (docs/backup.md, docs/decisions/0023-backup.md).

mod configuration;
mod make;
mod manifest;
mod put_back;
mod settle;
mod stored;

pub(crate) use make::drop_unfinished;
pub use make::{Made, backup};
pub use manifest::Found;
pub(crate) use put_back::half_restored;
pub use put_back::{PutBack, refuse_what_is_there, restore};
pub(crate) use settle::settle;

use crate::config::{Config, ConfigError};
use crate::journal::JournalError;
use crate::spool::MasterKeyError;
use crate::upgrade::UpgradeError;
use seal::ids::Digest;
use std::io;
use std::path::{Path, PathBuf};

/// Nothing was made, or nothing was put back: the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The configuration, or the site's key.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The spool's key.
    #[error(transparent)]
    SpoolKey(#[from] MasterKeyError),
    /// The copy of the journal.
    #[error(transparent)]
    Journal(#[from] UpgradeError),
    /// The journal itself.
    #[error(transparent)]
    Rows(#[from] JournalError),
    /// The manifest cannot be signed.
    #[error("the manifest cannot be signed: {0}")]
    Sign(#[from] seal::native::SealError),
    /// A copy of a folder holds no database on a server.
    #[error(
        "the journal is in PostgreSQL, which this command neither copies nor puts back (operator: pg_dump or pg_restore, and the state folder, as docs/backup.md \
         says)"
    )]
    Postgres,
    /// A backup would lie under two keys.
    #[error(
        "a change of the spool's key is not finished (operator: scanpost-gateway spool rotate-key, then make the backup)"
    )]
    TwoKeys,
    /// Two would delete each other's files.
    #[error("another backup is under way (operator: wait until it has ended)")]
    UnderWay,
    /// There is something.
    #[error("{path} is there already (operator: name a folder that is not)", path = .0.display())]
    Exists(PathBuf),
    /// Others could have read it, or put something into it.
    #[error("{path} is open to others than its owner (operator: find out who read it, then chmod -R go= it)", path = .0.display())]
    Exposed(PathBuf),
    /// No backup lies there.
    #[error("{path} is no backup of scanpost-gateway (operator: name the folder that holds manifest.json)", path = .0.display())]
    NoBackup(PathBuf),
    /// The signature is not of this site.
    #[error(
        "the manifest is not signed by this site's key: another site's backup, or a changed one (operator: take another backup; compare certificates)"
    )]
    Foreign,
    /// Nothing here says whose the backup is.
    #[error(
        "no certificate of the site is on this machine, and that of the backup has SHA-256 {0} (operator: compare it with your records, or with what doctors' \
         devices have; if it is your site's, restore with --site-sha256 {0})"
    )]
    UnknownSite(Digest),
    /// Whose a folder is to be, and who may enter, is not in a backup.
    #[error(
        "{path} is missing, and restore makes no folders for the configuration (operator: install the package, or make it as it was, then restore again)",
        path = .0.display()
    )]
    NoFolder(PathBuf),
    /// A file is missing, or is not what it was.
    #[error("{path} is {what}: the backup is damaged, and nothing was put back (operator: take another backup)", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How it is not what the manifest says.
        what: &'static str,
    },
    /// Made by a program that this one does not know.
    #[error(
        "the backup was made by version {version}, with schema {schema}; this version knows {known} (operator: install that version, or a newer one)"
    )]
    Newer {
        /// Of the program.
        version: String,
        /// Of the journal.
        schema: i64,
        /// What this program has.
        known: i64,
    },
    /// What is there would be mixed with what is older.
    #[error(
        "{path} is not empty: restore puts nothing over what is there (operator: stop the gateway, move the folder away, make an empty one; if its audit trail \
         is whole, name it with --audit)", path = .0.display()
    )]
    NotEmpty(PathBuf),
    /// The backup is encrypted under a key that is not here.
    #[error(
        "the backup is encrypted under another spool key than the one here (operator: put the key back that [spool] had when the backup was made)"
    )]
    WrongKey,
    /// Not the trail that the backup's is the beginning of.
    #[error("the audit trail in {path} does not begin with that of the backup (operator: name the trail of the machine that the backup was made on)", path = .0.display())]
    OtherTrail(PathBuf),
    /// A file or folder.
    #[error("{path}: {error} (operator: look at disk and permissions)", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

fn refuse_postgres(config: &Config) -> Result<(), BackupError> {
    config.journal.postgres_url_file.as_ref().map_or(Ok(()), |_| Err(BackupError::Postgres))
}

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    move |error| BackupError::Io { path: path.to_owned(), error }
}
