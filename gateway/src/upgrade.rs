//! What stands between two versions of this program: a copy of the journal before it is migrated, and a refusal where it is newer than the program.

use crate::clock::now_ms;
use crate::spool::{Spool, sync_folder};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Row, SqlitePool};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

/// Folder of the copies, below the state folder.
const FOLDER: &str = "before-upgrade";
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
        "the journal cannot be read, or copied before its migration: {0} (operator: check the disk that holds the state folder; the copy needs as much room as the journal)"
    )]
    Sql(#[from] sqlx::Error),
    /// The same, by the file system.
    #[error("{path}: {error} (operator: check the disk that holds the state folder)", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// To be called before the journal is opened for writing: copies one that is about to be migrated, refuses one that is newer. Does nothing where
/// there is none.
///
/// # Errors
/// [`UpgradeError`].
pub async fn prepare(state: &Path) -> Result<(), UpgradeError> {
    let journal = Spool::at(state).journal();
    let Some(found) = schema(&journal).await? else { return Ok(()) };
    let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
    let folder = state.join(FOLDER);
    if found > known {
        return Err(UpgradeError::Newer { found, known, way_back: way_back(&folder, known) });
    }
    if found < known {
        let copy = copy_of(&folder, found);
        copied(&journal, &copy).await?;
        tracing::info!(copy = %copy.display(), "the journal is migrated; this is how it was before");
    }
    Ok(())
}

/// Deletes copies once they are old enough. Never ends.
pub(crate) async fn drop_copies(state: PathBuf) {
    let folder = state.join(FOLDER);
    loop {
        if let Err(error) = drop_older(&folder, now_ms()) {
            tracing::warn!(%error, act = "operator", "a copy of the journal cannot be deleted; it holds what was deleted since");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The number of the journal's last migration; none where there is no journal yet.
async fn schema(journal: &Path) -> Result<Option<i64>, UpgradeError> {
    if !journal.exists() {
        return Ok(None);
    }
    let pool = opened(journal).await?;
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

async fn copied(journal: &Path, copy: &Path) -> Result<(), UpgradeError> {
    let Some(folder) = copy.parent() else { return Ok(()) };
    let unfinished = copy.with_extension("unfinished");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&unfinished)(error)),
        _ => {}
    }
    let pool = opened(journal).await?;
    let made = sqlx::query("VACUUM INTO $1").bind(unfinished.display().to_string()).execute(&pool).await;
    pool.close().await;
    made?;
    let durable = || {
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))?;
        fs::File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, copy)?;
        sync_folder(folder)
    };
    durable().map_err(at(copy))
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
    use crate::journal::Journal;
    use std::borrow::Cow;

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
        prepare(state.path()).await.unwrap();
        assert!(!state.path().join(FOLDER).exists());
        let before = of_before(state.path()).await;
        prepare(state.path()).await.unwrap();
        Journal::open_directory(&Spool::at(state.path()).journal()).await.unwrap().close().await;
        let copy = copy_of(&state.path().join(FOLDER), before);
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(schema(&copy).await.unwrap(), Some(before));
        let pool = opened(&copy).await.unwrap();
        let row = sqlx::query("SELECT since_ms FROM master_key").fetch_one(&pool).await.unwrap();
        assert_eq!(row.get::<i64, _>("since_ms"), 7);
        pool.close().await;
        // Up to date: nothing more is copied.
        fs::remove_file(&copy).unwrap();
        prepare(state.path()).await.unwrap();
        assert!(!copy.exists());
    }

    #[tokio::test]
    async fn a_journal_of_a_newer_version_is_refused_and_left_as_it_is() {
        let state = tempfile::tempdir().unwrap();
        let before = of_before(state.path()).await;
        let journal = Spool::at(state.path()).journal();
        prepare(state.path()).await.unwrap();
        Journal::open_directory(&journal).await.unwrap().close().await;
        let known = MIGRATOR.iter().last().unwrap().version;
        let pool = opened(&journal).await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'newer', 1, x'00', 0)";
        sqlx::query(newer).execute(&pool).await.unwrap();
        pool.close().await;
        let bytes = fs::read(&journal).unwrap();
        let words = prepare(state.path()).await.unwrap_err().to_string();
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
        let words = prepare(state.path()).await.unwrap_err().to_string();
        assert!(words.contains("only if no study was taken") && words.contains(FOLDER), "{words}");
        assert_eq!(fs::read(&journal).unwrap(), bytes);
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
