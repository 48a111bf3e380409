//! The journal: where every instance and delivery stands, in SQLite through sqlx, durable at each commit.

mod account;
mod acts;
mod again;
mod answers;
mod changes;
mod damage;
mod database;
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
mod sql;
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
pub use database::{Database, Hold, Others, Start};
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
use sql::Pool;
use sqlx::migrate::MigrateError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::mpsc;

/// What makes a journal of this version of any before it.
pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
/// Primary result code of a failed read, write or fsync (SQLite, result codes, 10).
const SQLITE_IOERR: u32 = 10;
/// Class of PostgreSQL's codes for a failed read, write or fsync (PostgreSQL, appendix A).
const SYSTEM_ERROR: &str = "58";
/// SQLSTATE with which `begin_writing` refuses a gateway that another one has taken over from (migrations/postgres).
const TAKEN_OVER: &str = "SP001";

/// The journal could not be read or written: the operator must look at the disk.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite or the driver.
    #[error("journal: {0} (operator: check the disk that holds the state folder)")]
    Sql(sqlx::Error),
    /// The PostgreSQL server, or the way to it.
    #[error("journal: {0} (operator: check the PostgreSQL server that [journal] names, and the way to it)")]
    Server(sqlx::Error),
    /// The PostgreSQL server would lose what it has acknowledged, or cannot keep it.
    #[error("journal: the PostgreSQL server must have {0} (operator: set it so)")]
    Setting(&'static str),
    /// Another gateway has the database.
    #[error(
        "journal: another gateway works with this database (operator: stop it first, or give each gateway a database of its own; one whose machine is \
         gone holds it for half a minute)"
    )]
    Held,
    /// Another gateway has taken the database over.
    #[error("journal: another gateway has taken this database over (operator: leave one of them running)")]
    Lost,
    /// The schema could not be brought up to date.
    #[error("journal: {0} (operator: this journal was written by another version)")]
    Migrate(MigrateError),
    /// The server has said nothing for as long as this gateway has the database without asking.
    #[error(
        "journal: the database does not answer, and another gateway may have taken it over (operator: look at the way from this machine to the database)"
    )]
    Silent,
    /// A gateway of an earlier version works with the database.
    #[error(
        "journal: a gateway of an earlier version works with this database (operator: bring it up to this version, or use the commands of its own)"
    )]
    Older,
    /// The PostgreSQL server was asked to commit, and has not said that it did.
    #[error("{0}; whether the last step was kept is not known")]
    Unclear(String),
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
    /// Of what a PostgreSQL server says, or the way to it.
    fn of_server(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|said| said.code());
        if code.as_deref() == Some(TAKEN_OVER) { Self::Lost } else { Self::Server(error) }
    }

    /// Of what became of a schema, where `of` says what an error of its database is.
    fn of_migration(error: MigrateError, of: fn(sqlx::Error) -> Self) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => of(error),
            error => Self::Migrate(error),
        }
    }

    /// Of a commit that a server was asked for. Which words it had is nobody's proof that it did not commit; that its disk failed is said as it is.
    fn unclear(error: Self) -> Self {
        if error.is_disk_failure() { error } else { Self::Unclear(error.to_string()) }
    }

    /// Whether what was to be recorded may be there all the same, now or after a restart.
    pub(crate) fn may_be_kept(&self) -> bool {
        matches!(self, Self::Unclear(_) | Self::Closed) || self.is_disk_failure()
    }

    /// Whether waiting does not help: the server is set wrongly, or does not let us in (SQLSTATE classes 28 and 3D).
    fn is_for_the_operator(&self) -> bool {
        let Self::Server(error) = self else { return true };
        let code = error.as_database_error().and_then(|said| said.code());
        code.is_some_and(|code| code.starts_with("28") || code.starts_with("3D"))
    }

    /// Whether the server could not be reached, so that no row is to blame.
    fn is_away(&self) -> bool {
        matches!(self, Self::Server(error) if error.as_database_error().is_none())
    }

    /// Whether the disk failed, which no second try mends (SQLite result code `SQLITE_IOERR`, with its extended codes; SQLSTATE class 58). A full disk is
    /// none: it takes more once there is room.
    pub fn is_disk_failure(&self) -> bool {
        let server_says_so = || match self {
            Self::Server(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with(SYSTEM_ERROR))
            }
            _ => false,
        };
        matches!(self, Self::DiskFailure) || self.primary_code() == Some(SQLITE_IOERR) || server_says_so()
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
    pool: Pool,
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
    pub async fn open(database: Database) -> Result<Self, JournalError> {
        Self::open_with(database, None).await
    }

    /// [`Journal::open`] with the master key of an encrypted spool.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_with(database: Database, master: Option<FileKey>) -> Result<Self, JournalError> {
        let journal = Self::open_unchecked(&database, master).await?;
        journal.check_master().await?;
        journal.seal_totp().await?;
        Ok(journal)
    }

    /// [`Journal::open`] for the directory of doctors alone, which needs no key of the spool, beside a running gateway.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_directory(database: Database) -> Result<Self, JournalError> {
        Self::open_unchecked(&database, None).await
    }

    /// [`Journal::open_with`] that one of `keys` which the journal lies under: while the master key is being changed there are two.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_under(database: Database, keys: Vec<FileKey>) -> Result<Self, JournalError> {
        let directory = Self::open_directory(database.clone()).await?;
        let master = master::of_the_journal(&directory.pool, keys).await?;
        Self::open_with(database, master).await
    }

    async fn open_unchecked(database: &Database, master: Option<FileKey>) -> Result<Self, JournalError> {
        let pool = database.open().await?;
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
    pub async fn open_read_only(database: Database) -> Result<Self, JournalError> {
        let pool = database.open_read_only().await?;
        let (intake, _) = mpsc::channel(1);
        Ok(Self { pool, master: None, intake, log_holds_keys: Arc::default() })
    }

    /// Whether a row can be read now.
    pub async fn is_readable(&self) -> bool {
        sql::query("SELECT 1 FROM study_case LIMIT 1").fetch_optional(&self.pool).await.is_ok()
    }
}

/// Migrates a journal that is there, and closes it.
pub(crate) async fn migrate(path: &Path) -> Result<(), JournalError> {
    Pool::sqlite(sql::sqlite_options(path)).await?.close().await;
    Ok(())
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
mod schema_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) mod tests_postgres;
