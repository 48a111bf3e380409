//! The journal: where every instance and delivery stands, in SQLite through sqlx, durable at each commit.

mod account;
mod acts;
mod again;
mod answers;
mod changes;
mod damage;
mod delivery;
mod directory;
mod duty;
mod ending;
mod history;
mod hold_again;
mod inspection;
mod intake;
mod invitation;
mod keys;
mod ledger;
mod link;
mod master;
mod note;
mod notices;
mod pictures;
mod press;
mod progress;
mod report;
mod residual;
mod restored;
mod roster;
mod session;
mod standby;
mod studies;
mod subject;
mod token;
mod waiting;
mod withdrawal;

pub use account::{Account, AccountAct, NewAccount, NotedAccountAct, Role};
pub use acts::{Act, Actor, NotedAct};
pub use answers::{AnswerKind, AnswerReport, Came, Noted, ShownAnswer};
pub use changes::changes;
pub use delivery::{DeliveryInstance, DeliveryRow, PART_COVER, Recipient, SeriesSoFar};
pub use directory::{Device, Origin, Standing};
pub use duty::{DutyTest, TEST_AE_TITLE, TestKind};
pub use ending::{Ended, EndedCase, EndedMail, Unopened};
pub use history::{DoctorHistory, History};
pub(crate) use inspection::has_log;
pub use intake::{NewInstance, Recorded};
pub use invitation::{Invitation, TRIES_MAX, Taken};
pub use ledger::LedgerLine;
pub use link::{LinkRow, MadeLink};
pub use master::Rewrapped;
pub use notices::{DueNotice, NoticeReport, Untold};
pub use pictures::Choosable;
pub use press::{Choice, Chosen, HeldAs, Press, PressAnswer, Pressed, PressedStudy};
pub use progress::{MAILBOX_FULL, Outstanding, Progress};
pub use report::{AlarmReport, DeliveryReport, DoctorReport, EndReport};
pub use residual::Asked;
pub(crate) use restored::{EndedAgain, Restored};
pub use roster::RosterChange;
pub use session::Session;
pub use studies::{Listed, Study, StudyFilter};
pub(crate) use subject::SUBJECTS_KEPT_MS;
pub use token::Token;
pub use waiting::WaitingPress;
pub use withdrawal::{Removal, Withdrawal, WithdrawnMail};

pub use crate::queue::{GivesUp, State, Step};
use crate::spool::FileKey;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::mpsc;

/// What makes a journal of this version of any before it.
pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
/// Connections to the journal; SQLite has one writer, the others read.
const CONNECTIONS_MAX: u32 = 4;
/// Primary result code of a failed read, write or fsync (SQLite, result codes, 10).
const SQLITE_IOERR: u32 = 10;
/// Longest wait for the writer's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// The journal could not be read or written: the operator must look at the disk.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite or the driver.
    #[error("journal: {0} (operator: check the disk that holds the state folder)")]
    Sql(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("journal: {0} (operator: this journal was written by another version)")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this program never writes.
    #[error("journal: column {0} holds an unknown value (operator: restore it from a backup)")]
    Unknown(&'static str),
    /// The disk reported a read or write as failed.
    #[error("journal: the disk failed (operator: check it, then restart)")]
    DiskFailure,
    /// The spool was encrypted under another master key.
    #[error(
        "the spool is encrypted under another key (operator: put the key back that [spool] had; if it is lost, so are the studies \
         under way: move the state folder away and have the PACS send them again)"
    )]
    WrongKey,
    /// The spool is encrypted, and nobody says where its master key is.
    #[error(
        "studies in the spool are encrypted (operator: name their key in [spool] key_file; with encryption = \"off\" it serves them \
         until they are over)"
    )]
    NoKey,
    /// The key of the case is gone, and with it the data.
    #[error("the data of this case are deleted (technician: send the study again)")]
    KeyDestroyed,
    /// Somebody reads the journal, so that its log cannot be emptied now.
    #[error("journal: busy, try again")]
    Busy,
    /// The journal's writer has stopped.
    #[error("journal: closed")]
    Closed,
}

impl JournalError {
    /// Whether the disk failed, which no second try mends (SQLite result code `SQLITE_IOERR`, with its extended codes).
    pub fn is_disk_failure(&self) -> bool {
        matches!(self, Self::DiskFailure) || self.primary_code() == Some(SQLITE_IOERR)
    }

    /// The result code of SQLite, without what its extended ones have in the bits above.
    fn primary_code(&self) -> Option<u32> {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return None };
        Some(error.code()?.parse::<u32>().ok()? & 0xFF)
    }
}

/// Handle to the journal; cheap to clone.
#[derive(Clone)]
pub struct Journal {
    pool: SqlitePool,
    /// Master key of the spool; none where it is plain.
    master: Option<FileKey>,
    intake: mpsc::Sender<intake::Request>,
    /// The write-ahead log may hold keys that were destroyed.
    log_holds_keys: Arc<AtomicBool>,
}

impl Journal {
    /// Opens the journal file, creating and migrating it, and starts the writer of instances.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        Self::open_with(path, None).await
    }

    /// [`Journal::open`] with the master key of an encrypted spool.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_with(path: &Path, master: Option<FileKey>) -> Result<Self, JournalError> {
        let journal = Self::open_unchecked(path, master).await?;
        journal.check_master().await?;
        journal.seal_totp().await?;
        Ok(journal)
    }

    /// [`Journal::open`] for the directory of doctors alone, which needs no key of the spool, beside a running gateway.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_directory(path: &Path) -> Result<Self, JournalError> {
        Self::open_unchecked(path, None).await
    }

    /// [`Journal::open_with`] that one of `keys` which the journal lies under: while the master key is being changed there are two.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_under(path: &Path, keys: Vec<FileKey>) -> Result<Self, JournalError> {
        let directory = Self::open_directory(path).await?;
        let master = master::of_the_journal(&directory.pool, keys).await?;
        Self::open_with(path, master).await
    }

    async fn open_unchecked(path: &Path, master: Option<FileKey>) -> Result<Self, JournalError> {
        let pool = connect(options(path).create_if_missing(true)).await?;
        MIGRATOR.run(&pool).await?;
        let intake = intake::start(pool.clone(), master.clone());
        Ok(Self { pool, master, intake, log_holds_keys: Arc::new(AtomicBool::new(true)) })
    }

    /// Waits until nothing is under way any more, in the driver's threads neither.
    pub(crate) async fn close(self) {
        self.pool.close().await;
    }

    /// Opens an existing journal for reading beside a running gateway.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_read_only(path: &Path) -> Result<Self, JournalError> {
        let pool = connect(options(path).read_only(true)).await?;
        let (intake, _) = mpsc::channel(1);
        Ok(Self { pool, master: None, intake, log_holds_keys: Arc::default() })
    }

    /// Whether a row can be read now.
    pub async fn is_readable(&self) -> bool {
        sqlx::query("SELECT 1 FROM study_case LIMIT 1").fetch_optional(&self.pool).await.is_ok()
    }
}

/// Migrates a journal that is there, and closes it.
pub(crate) async fn migrate(path: &Path) -> Result<(), JournalError> {
    let pool = connect(options(path)).await?;
    MIGRATOR.run(&pool).await?;
    pool.close().await;
    Ok(())
}

/// `synchronous=FULL` is pinned here: with NORMAL a power cut loses acknowledged commits (DESIGN 3).
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
}

/// A connection is used again only between two transactions: a full disk makes SQLite roll back by itself, and the driver never learns of it.
async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool, JournalError> {
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).before_acquire(|connection, _| {
        let usable = !connection.is_in_transaction();
        Box::pin(async move { Ok(usable) })
    });
    Ok(pool.connect_with(options).await?)
}

/// A random 128-bit id (SPEC mail 1).
fn random_id() -> Result<[u8; 16], JournalError> {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| JournalError::Unknown("random"))?;
    Ok(id)
}

fn bytes16(bytes: Vec<u8>, column: &'static str) -> Result<[u8; 16], JournalError> {
    bytes.try_into().map_err(|_| JournalError::Unknown(column))
}

fn bytes32(bytes: Vec<u8>, column: &'static str) -> Result<[u8; 32], JournalError> {
    bytes.try_into().map_err(|_| JournalError::Unknown(column))
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod press_tests;
#[cfg(test)]
mod restored_tests;
#[cfg(test)]
pub(crate) mod tests;
