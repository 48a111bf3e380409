//! `scanpost-gateway account`: who may use the page, beside a running gateway or without one.

use super::accounts::{Handed, is_name};
use crate::clock::now_ms;
use crate::config::{self, Config, ConfigError, SecondFactor};
use crate::journal::{Account, Actor, Journal, JournalError, Role};
use crate::spool::{MasterKeyError, make_place_of_journal};
use clap::Subcommand;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;
use std::path::PathBuf;
use web::{password, totp};

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make an account. Password and secret of the one-time codes are shown once.
    Add {
        /// Login name: 1 to 32 of a to z, 0 to 9, dot, hyphen, underscore.
        name: String,
        /// What the person may do.
        #[arg(long, value_enum)]
        role: Role,
        /// What the person gets.
        #[command(flatten)]
        handed: HandedOver,
    },
    /// Show every account.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give an account a new password and new one-time codes; its sessions end.
    Reset {
        /// Login name.
        name: String,
        /// What the person gets.
        #[command(flatten)]
        handed: HandedOver,
    },
    /// Let an account sign in no more; its sessions end.
    Lock {
        /// Login name.
        name: String,
        /// Let it sign in again.
        #[arg(long)]
        undo: bool,
    },
}

/// What the person gets.
#[derive(Debug, clap::Args)]
pub struct HandedOver {
    /// File with the password, mode 0600; a random one is made where absent.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Without one-time codes, where `[page] second_factor` lets a technician do without.
    #[arg(long)]
    no_totp: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Why it was not done: who typed it must act.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The configuration, or the file with the password.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The key of the spool.
    #[error(transparent)]
    SpoolKey(#[from] MasterKeyError),
    /// What cannot be taken, and what can.
    #[error("{0}")]
    Refused(String),
}

/// Does it; what is to be shown comes back.
///
/// # Errors
/// [`AccountError`].
pub async fn run(config: &Config, action: Action) -> Result<String, AccountError> {
    make_place_of_journal(config).map_err(|error| AccountError::Refused(error.to_string()))?;
    let journal = match action {
        // The secret of one-time codes lies under the key of the spool.
        Action::Add { .. } | Action::Reset { .. } => {
            Journal::open_under(config.database()?, crate::serve::spool_keys(config)?).await?
        }
        Action::List { .. } | Action::Lock { .. } => Journal::open_directory(config.database()?).await?,
    };
    let by = crate::directory::command::administrator();
    let actor = Actor { by: &by, at_ms: now_ms() };
    match action {
        Action::List { json } => Ok(list(&journal.accounts().await?, json)),
        Action::Add { name, role, handed } => {
            if !is_name(&name) {
                return refused("a name has 1 to 32 of a to z, 0 to 9, dot, hyphen, underscore");
            }
            let made = made(config, role, &handed).await?;
            if !journal.add_account(&made.account(&name, role), actor).await? {
                return refused("there is an account of this name: reset it, or choose another");
            }
            Ok(shown(config, &name, &made, handed.json))
        }
        Action::Reset { name, handed } => {
            let Some(account) = journal.account(&name).await? else { return refused(NO_ACCOUNT) };
            let made = made(config, account.role, &handed).await?;
            journal.reset_account(&made.account(&name, account.role), actor).await?;
            Ok(shown(config, &name, &made, handed.json))
        }
        Action::Lock { name, undo } => match journal.set_locked(&name, !undo, actor).await? {
            true => Ok(format!("{name} {}", if undo { "may sign in again" } else { "is locked" })),
            false => refused(NO_ACCOUNT),
        },
    }
}

const NO_ACCOUNT: &str = "there is no account of this name; see scanpost-gateway account list";

fn refused<T>(why: &str) -> Result<T, AccountError> {
    Err(AccountError::Refused(why.to_owned()))
}

async fn made(config: &Config, role: Role, handed: &HandedOver) -> Result<Handed, AccountError> {
    let everyone = config.page.as_ref().is_none_or(|page| page.second_factor == SecondFactor::Everyone);
    if handed.no_totp && (everyone || role != Role::Technician) {
        return refused(
            "this account needs one-time codes: leave --no-totp out ([page] second_factor = \"administrators\" lets technicians do without)",
        );
    }
    let chosen = handed.password_file.as_deref().map(config::read_secret).transpose()?;
    let chosen = chosen.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    if chosen.as_deref().is_some_and(|chosen| !password::is_long_enough(chosen)) {
        return refused("a password has at least 12 characters");
    }
    Handed::new(chosen, !handed.no_totp).await.ok_or(AccountError::Refused("no random numbers".into()))
}

fn shown(config: &Config, name: &str, made: &Handed, as_json: bool) -> String {
    let uri = made.totp.as_ref().map(|secret| totp::uri(&config.site, name, secret));
    if as_json {
        let secret = made.totp.as_ref().map(|secret| totp::base32(secret));
        return json!({"name": name, "password": made.password, "totp_secret": secret, "totp_uri": uri})
            .to_string();
    }
    let mut text = format!("name:     {name}\npassword: {}\n", made.password);
    if let (Some(uri), Some(secret)) = (uri, &made.totp) {
        text += &format!("secret of the one-time codes: {}\n", totp::base32(secret));
        if let Ok(code) = QrCode::new(uri) {
            text += &code.render::<Dense1x2>().build();
            text.push('\n');
        }
    }
    text + "This is shown once."
}

fn list(accounts: &[Account], as_json: bool) -> String {
    if as_json {
        let rows: Vec<_> = accounts
            .iter()
            .map(|account| {
                json!({"name": account.name, "role": account.role, "totp": account.has_totp, "locked": account.locked, "failures": account.failures})
            })
            .collect();
        return serde_json::Value::from(rows).to_string();
    }
    let line = |account: &Account| {
        let codes = if account.has_totp { "one-time codes" } else { "password only" };
        let locked = if account.locked { ", locked" } else { "" };
        format!("{:<32} {:<13} {codes}{locked}", account.name, account.role.as_str())
    };
    accounts.iter().map(line).collect::<Vec<_>>().join("\n")
}
