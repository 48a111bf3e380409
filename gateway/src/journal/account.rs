//! Who may use the page, and what was done to their accounts until the audit trail has it.

use super::{Actor, Journal, JournalError};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

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
    /// Secret of RFC 6238.
    pub totp: Option<Vec<u8>>,
    /// A code of this step or an earlier one counts no more.
    pub totp_step: i64,
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
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let added = sqlx::query(
            "INSERT INTO account (name, role, password, totp, made_at_ms, made_by) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(new.name)
        .bind(new.role.as_str())
        .bind(new.password)
        .bind(new.totp)
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
        let set = sqlx::query(
            "UPDATE account SET password = $2, totp = $3, totp_step = 0, failures = 0 WHERE name = $1",
        )
        .bind(new.name)
        .bind(new.password)
        .bind(new.totp);
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
        let set = sqlx::query("UPDATE account SET password = $2 WHERE name = $1").bind(name).bind(password);
        self.change_account(set, AccountAct::Password, name, actor, Sessions::EndOthers(kept)).await
    }

    /// Locks an account, ending its sessions, or unlocks it. False if there is no such account.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn set_locked(&self, name: &str, locked: bool, actor: Actor<'_>) -> Result<bool, JournalError> {
        let set = sqlx::query("UPDATE account SET locked = $2, failures = 0 WHERE name = $1")
            .bind(name)
            .bind(locked);
        let act = if locked { AccountAct::Locked } else { AccountAct::Unlocked };
        self.change_account(set, act, name, actor, Sessions::End).await
    }

    async fn change_account(
        &self,
        set: sqlx::query::Query<'_, Sqlite, sqlx::sqlite::SqliteArguments>,
        act: AccountAct,
        name: &str,
        actor: Actor<'_>,
        sessions: Sessions<'_>,
    ) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let changed = set.execute(&mut *transaction).await?.rows_affected() == 1;
        if changed {
            let kept = if let Sessions::EndOthers(kept) = sessions { kept.as_slice() } else { &[] };
            sqlx::query("DELETE FROM page_session WHERE account = $1 AND digest <> $2")
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
        let row = sqlx::query("SELECT * FROM account WHERE name = $1").bind(name);
        row.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn accounts(&self) -> Result<Vec<Account>, JournalError> {
        let rows = sqlx::query("SELECT * FROM account ORDER BY name").fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Notes a failed sign-in, before anything else may be tried.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn sign_in_failed(&self, name: &str, at_ms: i64) -> Result<(), JournalError> {
        sqlx::query("UPDATE account SET failures = failures + 1, failed_at_ms = $2 WHERE name = $1")
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
        let done = sqlx::query(
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
        let rows = sqlx::query("SELECT * FROM account_act ORDER BY number").fetch_all(&self.pool).await?;
        let read = |row: &SqliteRow| NotedAccountAct {
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
        sqlx::query("DELETE FROM account_act WHERE number = $1").bind(number).execute(&self.pool).await?;
        Ok(())
    }
}

enum Sessions<'a> {
    End,
    EndOthers(&'a [u8; 32]),
}

/// Notes an act together with what was done.
pub(super) async fn note(
    transaction: &mut Transaction<'static, Sqlite>,
    act: AccountAct,
    account: &str,
    actor: Actor<'_>,
) -> Result<(), JournalError> {
    sqlx::query("INSERT INTO account_act (at_ms, act, account, acted_by) VALUES ($1, $2, $3, $4)")
        .bind(actor.at_ms)
        .bind(act.words())
        .bind(account)
        .bind(actor.by)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Account, JournalError> {
    Ok(Account {
        name: row.get("name"),
        role: Role::parse(row.get("role"))?,
        password: row.get("password"),
        totp: row.get("totp"),
        totp_step: row.get("totp_step"),
        failures: row.get("failures"),
        failed_at_ms: row.get("failed_at_ms"),
        locked: row.get("locked"),
    })
}
