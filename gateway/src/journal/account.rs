//! Who may use the page, and what was done to their accounts until the audit trail has it.

use super::sql::{self, Row, Transaction};
use super::{Actor, Journal, JournalError};
use crate::spool;
use serde::Serialize;
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// Bytes of a secret of one-time codes: the output of HMAC-SHA-1 (RFC 4226 4, R6).
const TOTP_BYTES: usize = 20;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends studies.
    Technician,
    /// Sends studies, and keeps roster, accounts and tokens.
    Administrator,
    /// Sees everything, changes nothing.
    Auditor,
}

impl Role {
    /// As in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Technician => "technician",
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
        }
    }

    /// Reads [`Role::as_str`].
    ///
    /// # Errors
    /// [`JournalError::Unknown`].
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        [Self::Technician, Self::Administrator, Self::Auditor]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(JournalError::Unknown("role"))
    }

    /// Whether studies may be sent.
    pub fn may_send(self) -> bool {
        self != Self::Auditor
    }

    /// Whether roster, accounts and tokens may be changed.
    pub fn may_administer(self) -> bool {
        self == Self::Administrator
    }

    /// Whether the operator's figures and the accounts may be seen.
    pub fn may_inspect(self) -> bool {
        self != Self::Technician
    }
}

/// An account as the journal has it.
#[derive(Clone)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// Argon2id, PHC string.
    pub password: String,
    /// It has a second factor: see [`Journal::totp_secret`].
    pub has_totp: bool,
    /// Failed sign-ins in a row.
    pub failures: u32,
    /// The last one, milliseconds since 1970-01-01 UTC.
    pub failed_at_ms: i64,
    /// By an administrator.
    pub locked: bool,
}

/// An account to be made, or what one is reset to.
pub struct NewAccount<'a> {
    /// Login name.
    pub name: &'a str,
    /// What the person may do.
    pub role: Role,
    /// Argon2id, PHC string.
    pub password: &'a str,
    /// Secret of RFC 6238.
    pub totp: Option<&'a [u8]>,
}

/// One change of accounts, tokens or roster: the words in the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountAct {
    /// Made.
    Added,
    /// New password and second factor.
    Reset,
    /// The person chose another password.
    Password,
    /// May not sign in.
    Locked,
    /// May again.
    Unlocked,
    /// The roster was edited.
    Roster,
    /// A system may use the interface for programs.
    TokenAdded,
    /// It may no more.
    TokenEnded,
}

impl AccountAct {
    /// The words in journal and trail.
    pub fn words(self) -> &'static str {
        match self {
            Self::Added => "an account was added",
            Self::Reset => "password and second factor of an account were replaced",
            Self::Password => "a password was changed by its owner",
            Self::Locked => "an account was locked",
            Self::Unlocked => "an account was unlocked",
            Self::Roster => "the roster was changed",
            Self::TokenAdded => "a token for a system was added",
            Self::TokenEnded => "a token for a system was withdrawn",
        }
    }
}

/// An act that is not in the audit trail yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedAccountAct {
    /// Its number, ascending.
    pub number: i64,
    /// [`AccountAct::words`].
    pub words: String,
    /// Which account or token.
    pub account: String,
    /// Who did it.
    pub by: String,
}

impl Journal {
    /// Makes an account. False if one of this name is there.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn add_account(&self, new: &NewAccount<'_>, actor: Actor<'_>) -> Result<bool, JournalError> {
        let totp = self.sealed_totp(new)?;
        let mut transaction = self.pool.begin_writing().await?;
        let added = sql::query(
            "INSERT INTO account (name, role, password, totp, made_at_ms, made_by) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(new.name)
        .bind(new.role.as_str())
        .bind(new.password)
        .bind(totp)
        .bind(actor.at_ms)
        .bind(actor.by)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if added == 1 {
            note(&mut transaction, AccountAct::Added, new.name, actor).await?;
        }
        transaction.commit().await?;
        Ok(added == 1)
    }

    /// New password and second factor; every session ends. False if there is no such account.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn reset_account(&self, new: &NewAccount<'_>, actor: Actor<'_>) -> Result<bool, JournalError> {
        let set = sql::query(
            "UPDATE account SET password = $2, totp = $3, totp_step = 0, failures = 0 WHERE name = $1",
        )
        .bind(new.name)
        .bind(new.password)
        .bind(self.sealed_totp(new)?);
        self.change_account(set, AccountAct::Reset, new.name, actor, Sessions::End).await
    }

    /// The person's own new password; every other session of theirs ends.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn set_password(
        &self,
        name: &str,
        password: &str,
        kept: &[u8; 32],
        actor: Actor<'_>,
    ) -> Result<bool, JournalError> {
        let set = sql::query("UPDATE account SET password = $2 WHERE name = $1").bind(name).bind(password);
        self.change_account(set, AccountAct::Password, name, actor, Sessions::EndOthers(kept)).await
    }

    /// Locks an account, ending its sessions, or unlocks it. False if there is no such account.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn set_locked(&self, name: &str, locked: bool, actor: Actor<'_>) -> Result<bool, JournalError> {
        let set = sql::query("UPDATE account SET locked = $2, failures = 0 WHERE name = $1")
            .bind(name)
            .bind(locked);
        let act = if locked { AccountAct::Locked } else { AccountAct::Unlocked };
        self.change_account(set, act, name, actor, Sessions::End).await
    }

    async fn change_account(
        &self,
        set: sql::Query,
        act: AccountAct,
        name: &str,
        actor: Actor<'_>,
        sessions: Sessions<'_>,
    ) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let changed = set.execute(&mut *transaction).await?.rows_affected() == 1;
        if changed {
            let kept = if let Sessions::EndOthers(kept) = sessions { kept.as_slice() } else { &[] };
            sql::query("DELETE FROM page_session WHERE account = $1 AND digest <> $2")
                .bind(name)
                .bind(kept)
                .execute(&mut *transaction)
                .await?;
            note(&mut transaction, act, name, actor).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// The account of this name.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn account(&self, name: &str) -> Result<Option<Account>, JournalError> {
        let row = sql::query("SELECT * FROM account WHERE name = $1").bind(name);
        row.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }

    fn sealed_totp(&self, new: &NewAccount<'_>) -> Result<Option<Vec<u8>>, JournalError> {
        let sealed = new.totp.map(|secret| spool::seal_text(secret, self.master.as_ref()));
        sealed.transpose().map_err(|_| JournalError::Unknown("random"))
    }

    /// The secret of an account's one-time codes (RFC 6238); none where it has none.
    ///
    /// # Errors
    /// [`JournalError`]; `WrongKey` and `NoKey` where it lies under another master key of the spool.
    pub async fn totp_secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, JournalError> {
        let row = sql::query("SELECT totp FROM account WHERE name = $1").bind(name);
        let sealed =
            row.fetch_optional(&self.pool).await?.and_then(|row| row.get::<Option<Vec<u8>>, _>("totp"));
        let Some(sealed) = sealed else { return Ok(None) };
        let wrong = || if self.master.is_some() { JournalError::WrongKey } else { JournalError::NoKey };
        spool::open_text(&sealed, self.master.as_ref()).map(Some).map_err(|_| wrong())
    }

    /// Seals the secrets of one-time codes that lie in plain, from before there was a master key.
    pub(super) async fn seal_totp(&self) -> Result<(), JournalError> {
        if self.master.is_none() {
            return Ok(());
        }
        let rows =
            sql::query("SELECT name, totp FROM account WHERE length(totp) = $1").bind(TOTP_BYTES as i64);
        for row in rows.fetch_all(&self.pool).await? {
            let sealed = spool::seal_text(row.get("totp"), self.master.as_ref());
            sql::query("UPDATE account SET totp = $2 WHERE name = $1 AND totp = $3")
                .bind(row.get::<&str, _>("name"))
                .bind(sealed.map_err(|_| JournalError::Unknown("random"))?)
                .bind(row.get::<&[u8], _>("totp"))
                .execute(&self.pool)
                .await?;
            self.log_holds_keys.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn accounts(&self) -> Result<Vec<Account>, JournalError> {
        let rows = sql::query("SELECT * FROM account ORDER BY name").fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Notes a failed sign-in, before anything else may be tried.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn sign_in_failed(&self, name: &str, at_ms: i64) -> Result<(), JournalError> {
        sql::query("UPDATE account SET failures = failures + 1, failed_at_ms = $2 WHERE name = $1")
            .bind(name)
            .bind(at_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Takes a sign-in with the code of `step`. False if a code of that step or a later one was used already, or the account was locked
    /// meanwhile.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn sign_in_succeeded(&self, name: &str, step: Option<i64>) -> Result<bool, JournalError> {
        let done = sql::query(
            "UPDATE account SET failures = 0, totp_step = coalesce($2, totp_step)
             WHERE name = $1 AND locked = 0 AND ($2 IS NULL OR totp_step < $2)",
        )
        .bind(name)
        .bind(step)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Acts that the trail must still be told of, the oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn account_acts(&self) -> Result<Vec<NotedAccountAct>, JournalError> {
        let rows = sql::query("SELECT * FROM account_act ORDER BY number").fetch_all(&self.pool).await?;
        let read = |row: &Row| NotedAccountAct {
            number: row.get("number"),
            words: row.get("act"),
            account: row.get("account"),
            by: row.get("acted_by"),
        };
        Ok(rows.iter().map(read).collect())
    }

    /// The trail has it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn account_act_told(&self, number: i64) -> Result<(), JournalError> {
        sql::query("DELETE FROM account_act WHERE number = $1").bind(number).execute(&self.pool).await?;
        Ok(())
    }
}

enum Sessions<'a> {
    End,
    EndOthers(&'a [u8; 32]),
}

/// Notes an act together with what was done.
pub(super) async fn note(
    transaction: &mut Transaction,
    act: AccountAct,
    account: &str,
    actor: Actor<'_>,
) -> Result<(), JournalError> {
    sql::query("INSERT INTO account_act (at_ms, act, account, acted_by) VALUES ($1, $2, $3, $4)")
        .bind(actor.at_ms)
        .bind(act.words())
        .bind(account)
        .bind(actor.by)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn read(row: &Row) -> Result<Account, JournalError> {
    Ok(Account {
        name: row.get("name"),
        role: Role::parse(row.get("role"))?,
        password: row.get("password"),
        has_totp: row.get::<Option<&[u8]>, _>("totp").is_some(),
        failures: row.get("failures"),
        failed_at_ms: row.get("failed_at_ms"),
        locked: row.get("locked"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::journal::tests_postgres::database;
    use crate::spool::FileKey;

    const SECRET: [u8; TOTP_BYTES] = [7; TOTP_BYTES];
    const ADMIN: Actor<'static> = Actor { by: "root", at_ms: 1 };

    async fn lying(journal: &Journal) -> Vec<u8> {
        sql::query("SELECT totp FROM account WHERE name = 'boss'")
            .fetch_one(&journal.pool)
            .await
            .unwrap()
            .get(0)
    }

    #[tokio::test]
    async fn a_secret_of_one_time_codes_lies_under_the_master_key_also_one_from_before_there_was_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let open = |key: Option<u8>| {
            let path = path.clone();
            async move {
                Journal::open_with(database(&path), key.map(|key| FileKey::from_bytes([key; 32])))
                    .await
                    .unwrap()
            }
        };
        let new = NewAccount { name: "boss", role: Role::Administrator, password: "x", totp: Some(&SECRET) };
        let plain = open(None).await;
        assert!(plain.add_account(&new, ADMIN).await.unwrap());
        assert_eq!(lying(&plain).await, SECRET);
        assert_eq!(*plain.totp_secret("boss").await.unwrap().unwrap(), SECRET);
        let sealed = open(Some(5)).await;
        let at_start = lying(&sealed).await;
        assert!(!at_start.windows(4).any(|part| part == &SECRET[..4]));
        assert_eq!(*sealed.totp_secret("boss").await.unwrap().unwrap(), SECRET);
        sealed.reset_account(&new, ADMIN).await.unwrap();
        assert!(lying(&sealed).await.len() > TOTP_BYTES && lying(&sealed).await != at_start);
        assert_eq!(*sealed.totp_secret("boss").await.unwrap().unwrap(), SECRET);
        let other = open(Some(6)).await;
        assert!(matches!(other.totp_secret("boss").await, Err(JournalError::WrongKey)));
        assert!(matches!(open(None).await.totp_secret("boss").await, Err(JournalError::NoKey)));
    }
}
