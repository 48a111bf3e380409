//! What stands between two versions of this program: a copy of the journal before it is migrated, and a refusal where it is newer than the program.

use crate::backup::{drop_unfinished, half_restored};
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::{self, JournalError, MIGRATOR};
use crate::spool::{Spool, make_folder, sync_folder};
use crate::takeover::{TakeoverError, refuse_shared};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Row, SqlitePool};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Folder of the copies, below the state folder.
const FOLDER: &str = "before-upgrade";
/// What the name of a copy begins with while it is made.
const UNFINISHED: &str = "unfinished-";
/// Room that an upgrade asks for, in sizes of the journal: the copy, and the log of a migration that rewrites every table.
const ROOM_JOURNALS: u64 = 2;
/// How long a copy is kept. It holds what was deleted since, under the master key: a week shows whether the new version works, and no longer.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Pause between two looks whether one is to be deleted.
const PAUSE: Duration = Duration::from_secs(3600);
/// Longest wait for the journal's writer, as in the journal.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// The journal is not touched: the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A newer version has worked here.
    #[error(
        "the journal was written by a newer version of this program: its schema is {found}, this version knows {known} (operator: install the newer version again; \
         {way_back})"
    )]
    Newer {
        /// Number of the journal's last migration.
        found: i64,
        /// Of the last one that this program has.
        known: i64,
        /// Whether there is a copy to go back to, and how.
        way_back: String,
    },
    /// The journal cannot be read or copied.
    #[error(
        "the journal cannot be read or copied: {0} (operator: check the disk that holds the state folder)"
    )]
    Sql(#[from] sqlx::Error),
    /// Nothing was tried.
    #[error(
        "a copy of the journal needs {needed} bytes on the disk that holds the state folder, and {free} are free (operator: make room, then start it again)"
    )]
    NoRoom {
        /// In bytes.
        needed: u64,
        /// In bytes.
        free: u64,
    },
    /// Something has migrated the journal while it was copied.
    #[error(
        "the journal had schema {found}, and its copy has {copied:?}: another version of this program works here (operator: stop it, then start this one again)"
    )]
    Changed {
        /// Before the copy.
        found: i64,
        /// Of the copy.
        copied: Option<i64>,
    },
    /// What is here is not whole.
    #[error(
        "{path} is there: a restore is under way, or was cut short (operator: wait until it has ended; if none runs, move the state folder away, make an \
         empty one, and restore again)", path = .0.display()
    )]
    HalfRestored(PathBuf),
    /// A state folder of the other kind.
    #[error(transparent)]
    Shared(#[from] TakeoverError),
    /// The migration.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The same, by the file system.
    #[error("{path}: {error} (operator: check the disk that holds the state folder)", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// To be called before the journal is opened for writing: copies and migrates an older one, refuses one that is newer. Does nothing where there is
/// none, nor where it is in PostgreSQL, of which the operator makes a copy before (docs/install.md). Of several processes one does this at a time: the service and a command may meet a new version together.
///
/// # Errors
/// [`UpgradeError`].
pub async fn prepare(config: &Config) -> Result<(), UpgradeError> {
    refuse_shared(config)?;
    match &config.journal.postgres_url_file {
        None => prepare_file(&config.state).await,
        Some(_) => refuse_half_restored(&config.state),
    }
}

async fn prepare_file(state: &Path) -> Result<(), UpgradeError> {
    refuse_half_restored(state)?;
    let journal = Spool::at(state).journal();
    if !journal.exists() {
        return Ok(());
    }
    let _one_at_a_time = locked(state).await.map_err(at(state))?;
    let Some(found) = schema(opened(&journal).await?).await? else { return Ok(()) };
    let known = known_schema();
    let folder = state.join(FOLDER);
    if found > known {
        return Err(UpgradeError::Newer { found, known, way_back: way_back(&folder, known) });
    }
    if found < known {
        let copy = copy_of(&folder, found);
        make_folder(&folder).map_err(at(&folder))?;
        clear(&folder).map_err(at(&folder))?;
        copied(&journal, &copy, found, free_bytes(&folder).map_err(at(&folder))?).await?;
        tracing::info!(copy = %copy.display(), "the journal is migrated; this is how it was before");
        journal::migrate(&journal).await?;
    }
    Ok(())
}

/// Before anything is made in a state folder.
///
/// # Errors
/// [`UpgradeError::HalfRestored`].
pub(crate) fn refuse_half_restored(state: &Path) -> Result<(), UpgradeError> {
    half_restored(state).map_or(Ok(()), |aside| Err(UpgradeError::HalfRestored(aside)))
}

/// Copies a journal into a folder on the same disk, while a gateway writes it, and gives its schema. Nothing is migrated.
///
/// # Errors
/// [`UpgradeError`].
pub(crate) async fn copy_into(journal: &Path, copy: &Path) -> Result<i64, UpgradeError> {
    let folder = copy.parent().unwrap_or(copy);
    let found = schema(opened(journal).await?).await?.unwrap_or_default();
    copied(journal, copy, found, free_bytes(folder).map_err(at(folder))?).await?;
    Ok(found)
}

/// The number of the newest migration that this version has.
pub(crate) fn known_schema() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Deletes copies once they are old enough, and what a backup that was cut short left. Never ends.
pub(crate) async fn drop_copies(state: PathBuf) {
    let folder = state.join(FOLDER);
    loop {
        if let Err(error) = drop_older(&folder, now_ms()).and_then(|()| drop_unfinished(&state)) {
            tracing::warn!(%error, act = "operator", "a copy of the journal cannot be deleted; it holds what was deleted since");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until the file is dropped, or the process ends.
async fn locked(state: &Path) -> io::Result<fs::File> {
    let state = state.to_owned();
    let wait = move || {
        let folder = fs::File::open(state)?;
        folder.lock().map(|()| folder)
    };
    tokio::task::spawn_blocking(wait).await.map_err(io::Error::other)?
}

/// The number of the last migration; none where there was none yet.
async fn schema(pool: SqlitePool) -> Result<Option<i64>, UpgradeError> {
    let known = "SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let found = match sqlx::query(known).fetch_optional(&pool).await? {
        None => None,
        Some(_) => {
            let row =
                sqlx::query("SELECT max(version) AS version FROM _sqlx_migrations").fetch_one(&pool).await?;
            row.get::<Option<i64>, _>("version")
        }
    };
    pool.close().await;
    Ok(found)
}

/// What a power cut left.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Copies a journal of schema `found`, durably; nothing is left of a copy that cannot be made.
async fn copied(journal: &Path, copy: &Path, found: i64, free: u64) -> Result<(), UpgradeError> {
    let Some(folder) = copy.parent() else { return Ok(()) };
    let needed = size(journal).map_err(at(journal))?.saturating_mul(ROOM_JOURNALS);
    if free < needed {
        return Err(UpgradeError::NoRoom { needed, free });
    }
    // 0600 from its first byte; SQLite takes an empty file for one that is not there.
    let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).map_err(at(folder))?;
    let pool = opened(journal).await?;
    let made =
        sqlx::query("VACUUM INTO $1").bind(unfinished.path().display().to_string()).execute(&pool).await;
    pool.close().await;
    made?;
    let alone = SqliteConnectOptions::new().filename(unfinished.path()).read_only(true).immutable(true);
    let copied = schema(SqlitePoolOptions::new().max_connections(1).connect_with(alone).await?).await?;
    if copied != Some(found) {
        return Err(UpgradeError::Changed { found, copied });
    }
    unfinished.as_file().sync_all().map_err(at(copy))?;
    unfinished.persist(copy).map_err(|error| at(copy)(error.error))?;
    sync_folder(folder).map_err(at(copy))
}

/// Of a journal with its log, in bytes.
fn size(journal: &Path) -> io::Result<u64> {
    let log = fs::metadata(journal.with_extension("sqlite-wal")).map_or(0, |file| file.len());
    Ok(fs::metadata(journal)?.len() + log)
}

/// For this user, on the disk that holds the folder.
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

async fn opened(journal: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(journal).busy_timeout(BUSY_TIMEOUT);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await
}

fn copy_of(folder: &Path, schema: i64) -> PathBuf {
    folder.join(format!("journal-{schema:04}.sqlite"))
}

/// What there is to go back to, for a program that knows migrations up to `known`.
fn way_back(folder: &Path, known: i64) -> String {
    let copy = copy_of(folder, known);
    match copy.exists() {
        true => format!(
            "or, only if no study was taken since the upgrade, put {} in the place of the journal, see docs/install.md",
            copy.display()
        ),
        false => "there is no copy of before the upgrade".to_owned(),
    }
}

fn drop_older(folder: &Path, now_ms: i64) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let made = entry.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        if made + KEPT < Duration::from_millis(now_ms.unsigned_abs()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn at(path: &Path) -> impl Fn(io::Error) -> UpgradeError + '_ {
    move |error| UpgradeError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sqlx::migrate::Migrator;
    use std::borrow::Cow;
    use std::os::unix::fs::PermissionsExt;

    /// A journal as the version before left it, with one row.
    async fn of_before(state: &Path) -> i64 {
        let pool = SqlitePoolOptions::new()
            .connect_with(
                SqliteConnectOptions::new().filename(Spool::at(state).journal()).create_if_missing(true),
            )
            .await
            .unwrap();
        let mut migrations = MIGRATOR.migrations.to_vec();
        migrations.pop();
        let last = migrations.last().unwrap().version;
        let before = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
        before.run(&pool).await.unwrap();
        sqlx::query("INSERT INTO master_key (one, name, since_ms) VALUES (1, zeroblob(32), 7)")
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
        last
    }

    #[tokio::test]
    async fn a_journal_is_copied_once_before_it_is_migrated() {
        let state = tempfile::tempdir().unwrap();
        prepare_file(state.path()).await.unwrap();
        assert!(!state.path().join(FOLDER).exists());
        let before = of_before(state.path()).await;
        prepare_file(state.path()).await.unwrap();
        let copy = copy_of(&state.path().join(FOLDER), before);
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(schema_of(&copy).await, Some(before));
        assert_eq!(schema_of(&Spool::at(state.path()).journal()).await, Some(known()));
        let pool = opened(&copy).await.unwrap();
        let row = sqlx::query("SELECT since_ms FROM master_key").fetch_one(&pool).await.unwrap();
        assert_eq!(row.get::<i64, _>("since_ms"), 7);
        pool.close().await;
        // Up to date: nothing more is copied.
        fs::remove_file(&copy).unwrap();
        prepare_file(state.path()).await.unwrap();
        assert!(!copy.exists());
    }

    fn known() -> i64 {
        MIGRATOR.iter().last().unwrap().version
    }

    async fn schema_of(journal: &Path) -> Option<i64> {
        schema(opened(journal).await.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn two_that_meet_an_old_journal_make_one_copy_of_how_it_was() {
        let state = tempfile::tempdir().unwrap();
        let before = of_before(state.path()).await;
        let journal = Spool::at(state.path()).journal();
        let copy = copy_of(&state.path().join(FOLDER), before);
        let (one, other) = tokio::join!(prepare_file(state.path()), prepare_file(state.path()));
        one.unwrap();
        other.unwrap();
        assert_eq!((schema_of(&copy).await, schema_of(&journal).await), (Some(before), Some(known())));

        // One is at it: the other looks only afterwards, and finds nothing to do.
        let state = tempfile::tempdir().unwrap();
        of_before(state.path()).await;
        let at_it = locked(state.path()).await.unwrap();
        let waiting = tokio::spawn({
            let state = state.path().to_owned();
            async move { prepare_file(&state).await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished());
        journal::migrate(&Spool::at(state.path()).journal()).await.unwrap();
        drop(at_it);
        waiting.await.unwrap().unwrap();
        assert!(!state.path().join(FOLDER).exists());
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_copy_that_cannot_be_made() {
        let state = tempfile::tempdir().unwrap();
        let before = of_before(state.path()).await;
        let journal = Spool::at(state.path()).journal();
        let folder = tempfile::tempdir().unwrap();
        let copy = copy_of(folder.path(), before);
        let needed = 2 * fs::metadata(&journal).unwrap().len();
        let left = || fs::read_dir(folder.path()).unwrap().count();
        let full = copied(&journal, &copy, before, needed - 1).await.unwrap_err();
        assert!(full.to_string().contains("make room"), "{full}");
        assert_eq!(left(), 0);
        let changed = copied(&journal, &copy, before - 1, needed).await.unwrap_err();
        assert!(matches!(changed, UpgradeError::Changed { copied: Some(found), .. } if found == before));
        assert_eq!(left(), 0);
        let rows = fs::read(&journal).unwrap();
        fs::write(&journal, b"no journal at all, and long enough to have a header of its own as every file of SQLite has, which is of a hundred bytes").unwrap();
        assert!(matches!(copied(&journal, &copy, before, needed).await, Err(UpgradeError::Sql(_))));
        assert_eq!(left(), 0);
        fs::write(&journal, rows).unwrap();
        // What a power cut left goes first.
        fs::create_dir(state.path().join(FOLDER)).unwrap();
        fs::write(state.path().join(FOLDER).join(format!("{UNFINISHED}x")), "half").unwrap();
        prepare_file(state.path()).await.unwrap();
        assert_eq!(fs::read_dir(state.path().join(FOLDER)).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_journal_of_a_newer_version_is_refused_and_left_as_it_is() {
        let state = tempfile::tempdir().unwrap();
        let before = of_before(state.path()).await;
        let journal = Spool::at(state.path()).journal();
        prepare_file(state.path()).await.unwrap();
        let known = known();
        let pool = opened(&journal).await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'newer', 1, x'00', 0)";
        sqlx::query(newer).execute(&pool).await.unwrap();
        pool.close().await;
        let bytes = fs::read(&journal).unwrap();
        let words = prepare_file(state.path()).await.unwrap_err().to_string();
        for part in [
            "newer version",
            "9999",
            &known.to_string(),
            "install the newer version again",
            "there is no copy",
        ] {
            assert!(words.contains(part), "{part} not in {words}");
        }
        // The copy that this version could work with is named.
        fs::rename(copy_of(&state.path().join(FOLDER), before), copy_of(&state.path().join(FOLDER), known))
            .unwrap();
        let words = prepare_file(state.path()).await.unwrap_err().to_string();
        assert!(words.contains("only if no study was taken") && words.contains(FOLDER), "{words}");
        assert_eq!(fs::read(&journal).unwrap(), bytes);
    }

    #[tokio::test]
    async fn what_a_restore_left_half_is_refused_before_anything_is_made() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("restore.unfinished")).unwrap();
        let words = prepare_file(state.path()).await.unwrap_err().to_string();
        assert!(words.contains("was cut short (operator: "), "{words}");
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1);
    }

    #[test]
    fn copies_are_deleted_after_a_week() {
        let folder = tempfile::tempdir().unwrap();
        let copy = copy_of(folder.path(), 1);
        fs::write(&copy, "rows").unwrap();
        let week_ms = i64::try_from(KEPT.as_millis()).unwrap();
        drop_older(folder.path(), now_ms() + week_ms - 60_000).unwrap();
        assert!(copy.exists());
        drop_older(folder.path(), now_ms() + week_ms + 60_000).unwrap();
        assert!(!copy.exists());
        drop_older(&folder.path().join("none"), now_ms()).unwrap();
    }
}
