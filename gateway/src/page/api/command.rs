//! `scanpost-gateway token`: which systems may use the interface for programs, beside a running gateway or without one.

use super::super::accounts::is_name;
use super::super::command::AccountError;
use super::super::session::Secret;
use super::caller::digest;
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::{Actor, Journal, Role, Token};
use crate::spool::make_place_of_journal;
use clap::Subcommand;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Make a token. It is shown once.
    Add {
        /// Name of the system: 1 to 32 of a to z, 0 to 9, dot, hyphen, underscore. The audit trail names it.
        name: String,
        /// What the system may do.
        #[arg(long, value_enum)]
        role: Role,
    },
    /// Show every token's name.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Withdraw a token, at once.
    End {
        /// Name of the system.
        name: String,
    },
}

/// Does it; what is to be shown comes back.
///
/// # Errors
/// [`AccountError`].
pub async fn run(config: &Config, action: TokenAction) -> Result<String, AccountError> {
    let refused = |why: &str| Err(AccountError::Refused(why.to_owned()));
    make_place_of_journal(config).map_err(|error| AccountError::Refused(error.to_string()))?;
    let journal = Journal::open_directory(config.database()?).await?;
    let by = crate::directory::command::administrator();
    let actor = Actor { by: &by, at_ms: now_ms() };
    match action {
        TokenAction::Add { name, .. } if !is_name(&name) => {
            refused("a name has 1 to 32 of a to z, 0 to 9, dot, hyphen, underscore")
        }
        TokenAction::Add { name, role } => {
            let token = Secret::random().into_text();
            match journal.add_token(&digest(&token), &name, role, actor).await? {
                true => Ok(token),
                false => refused("a system of this name has or had a token: choose another name"),
            }
        }
        TokenAction::List { json } => {
            let tokens = journal.tokens().await?;
            if json {
                return Ok(serde_json::to_string(&tokens).unwrap_or_default());
            }
            Ok(tokens.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        TokenAction::End { name } => match journal.end_token(&name, actor).await? {
            true => Ok(format!("the token of {name} is withdrawn")),
            false => refused("no system of this name has a token; see scanpost-gateway token list"),
        },
    }
}

fn line(token: &Token) -> String {
    let ended = if token.ended_at_ms.is_some() { ", withdrawn" } else { "" };
    format!("{:<32} {}{ended}", token.name, token.role.as_str())
}
