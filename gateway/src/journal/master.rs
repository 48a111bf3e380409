//! The master key of the spool as the journal knows it: which one it is, since when, and what lies under it.

use super::keys::{wrap, wrapped};
use super::sql::{self, Pool, Transaction};
use super::subject::seal_subjects;
use super::{Journal, JournalError, note};
use crate::clock::now_ms;
use crate::spool::{self, FileKey};

/// What lies under a new master key now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Keys of cases.
    pub cases: u64,
    /// What the audit trail is to name of patients.
    pub patients: u64,
    /// Notes of presses that do not count yet.
    pub notes: u64,
    /// Secrets of one-time codes.
    pub secrets: u64,
}

impl Journal {
    /// Since when the master key is in use, at least, in milliseconds since 1970-01-01 UTC; none where there is none.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn master_since_ms(&self) -> Result<Option<i64>, JournalError> {
        let row = sql::query("SELECT since_ms FROM master_key").fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.get("since_ms")))
    }

    /// Whether this is the master key that the journal lies under.
    pub(crate) fn is_under(&self, key: &FileKey) -> bool {
        self.master.as_ref() == Some(key)
    }

    /// Whether the master key is the one that every key of a case and every note lies under. Then it is the journal's, and what came before
    /// there was one is encrypted under it.
    ///
    /// # Errors
    /// `WrongKey`, `NoKey`; others of [`JournalError`].
    pub(super) async fn check_master(&self) -> Result<(), JournalError> {
        let rows = sql::query("SELECT spool_key FROM study_case WHERE spool_key IS NOT NULL");
        for row in rows.fetch_all(&self.pool).await? {
            self.unwrapped(&row)?;
        }
        if self.master.is_some() {
            self.waiting_presses().await.map_err(|_| JournalError::WrongKey)?;
        }
        let mut transaction = self.pool.begin_writing().await?;
        let plain =
            "SELECT 1 FROM subject WHERE tag IS NULL OR ($1 = 1 AND substr(patient, 1, 8) <> $2) LIMIT 1";
        let plain = sql::query(plain)
            .bind(self.master.is_some())
            .bind(spool::MAGIC.as_slice())
            .fetch_optional(&mut *transaction)
            .await?;
        if plain.is_some() {
            seal_subjects(&mut transaction, self.master.as_ref(), self.master.as_ref()).await?;
        }
        if let Some(master) = &self.master {
            name(&mut transaction, master).await?;
        }
        // What was plain is in the log until that is emptied with keys of cases, for the first time within a minute.
        transaction.commit().await
    }

    /// Puts all that lies under the master key under `new`, in one commit; nothing of it lies under the old one after that.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn rewrap(&self, new: &FileKey) -> Result<Rewrapped, JournalError> {
        let Some(old) = &self.master else { return Err(JournalError::NoKey) };
        let mut transaction = self.pool.begin_writing().await?;
        let done = Rewrapped {
            cases: rewrap_cases(&mut transaction, old, new).await?,
            notes: rewrap_notes(&mut transaction, old, new).await?,
            secrets: rewrap_secrets(&mut transaction, old, new).await?,
            patients: seal_subjects(&mut transaction, Some(old), Some(new)).await?,
        };
        name(&mut transaction, new).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

/// Of `keys` the one that the journal lies under; the first where it knows none of them.
pub(super) async fn of_the_journal(pool: &Pool, keys: Vec<FileKey>) -> Result<Option<FileKey>, JournalError> {
    let row = sql::query("SELECT name FROM master_key").fetch_optional(pool).await?;
    let named = row.map(|row| row.get::<Vec<u8>, _>("name"));
    let known = keys.iter().find(|key| named.as_deref() == Some(key.name().as_slice())).cloned();
    Ok(known.or_else(|| keys.into_iter().next()))
}

/// The journal lies under this key, since now if it lay under another one.
async fn name(transaction: &mut Transaction, key: &FileKey) -> Result<(), JournalError> {
    sql::query(
        "INSERT INTO master_key (one, name, since_ms) VALUES (1, $1, $2)
         ON CONFLICT (one) DO UPDATE SET name = excluded.name, since_ms = excluded.since_ms WHERE master_key.name <> excluded.name",
    )
    .bind(key.name().as_slice())
    .bind(now_ms())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn rewrap_cases(
    transaction: &mut Transaction,
    old: &FileKey,
    new: &FileKey,
) -> Result<u64, JournalError> {
    let rows = sql::query("SELECT id, spool_key FROM study_case WHERE spool_key IS NOT NULL");
    let mut cases = 0;
    for row in rows.fetch_all(&mut **transaction).await? {
        let Some(key) = wrapped(&row, "spool_key")? else { continue };
        let key = old.unwrap(&key).ok_or(JournalError::WrongKey)?;
        sql::query("UPDATE study_case SET spool_key = $2 WHERE id = $1")
            .bind(row.get::<&[u8], _>("id"))
            .bind(wrap(new, &key)?.as_slice())
            .execute(&mut **transaction)
            .await?;
        cases += 1;
    }
    Ok(cases)
}

async fn rewrap_notes(
    transaction: &mut Transaction,
    old: &FileKey,
    new: &FileKey,
) -> Result<u64, JournalError> {
    let rows = sql::query("SELECT id, note FROM press_wait WHERE note IS NOT NULL");
    let mut notes = 0;
    for row in rows.fetch_all(&mut **transaction).await? {
        let words = note::open(row.get("note"), Some(old), "press_wait.note")?;
        sql::query("UPDATE press_wait SET note = $2 WHERE id = $1")
            .bind(row.get::<i64, _>("id"))
            .bind(note::seal(&words, Some(new))?)
            .execute(&mut **transaction)
            .await?;
        notes += 1;
    }
    Ok(notes)
}

async fn rewrap_secrets(
    transaction: &mut Transaction,
    old: &FileKey,
    new: &FileKey,
) -> Result<u64, JournalError> {
    let unusable = |_| JournalError::Unknown("account.totp");
    let rows = sql::query("SELECT name, totp FROM account WHERE totp IS NOT NULL");
    let mut secrets = 0;
    for row in rows.fetch_all(&mut **transaction).await? {
        let secret = spool::open_text(row.get("totp"), Some(old)).map_err(unusable)?;
        sql::query("UPDATE account SET totp = $2 WHERE name = $1")
            .bind(row.get::<&str, _>("name"))
            .bind(spool::seal_text(&secret, Some(new)).map_err(unusable)?)
            .execute(&mut **transaction)
            .await?;
        secrets += 1;
    }
    Ok(secrets)
}
