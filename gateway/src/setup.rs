//! `scanpost-gateway setup`: asks the few questions, makes keys and configuration, says what others have to enter or publish, and checks all of it.
//! Nothing that is there is written over.

mod answers;
mod asker;
mod configuration;
mod files;
mod told;

pub use answers::Given;

use crate::check;
use crate::config::{Config, ConfigError};
use crate::directory::{self, DirectoryError};
use crate::submit::{SubmitError, Submitter};
use answers::Answers;
use asker::Asker;
use files::{Names, Written};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How long the first doctor's code is good, in hours: whoever has it may be on duty tonight only.
const CODE_HOURS: i64 = 24;

/// Where the packaged unit has its configuration and its state.
const CONFIG: &str = "/etc/scanpost/gateway.toml";
const STATE: &str = "/var/lib/scanpost";
/// Where systemd looks for the encrypted credentials of the packaged unit (systemd.exec(5)), and what their names begin with there.
const CREDSTORE: &str = "/etc/credstore.encrypted";
const CREDENTIALS_OF_THE_UNIT: &str = "scanpost-gateway.";

/// What is asked, and where things come to lie.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration to write; keys and passwords come to lie beside it.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Folder for journal and spool. Where it is there, its owner gets all that is made: the service.
    #[arg(long, value_name = "FOLDER", default_value = STATE)]
    state: PathBuf,
    /// TOML file with answers, by the names of the flags with `_`, and `mail_password`; mode 0600. What neither it nor a flag answers takes its default.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// DNS resolver for the checks, `address:port`.
    #[arg(long)]
    resolver: Option<SocketAddr>,
    #[command(flatten)]
    given: Given,
}

/// Why nothing was set up: whoever runs it must act. What this run had written is gone again.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No answer, and nobody to ask.
    #[error("{key}: no answer (operator: give it as --{flag}, in --answers FILE, or run setup on a terminal)", flag = key.replace('_', "-"))]
    Unanswered {
        /// The question.
        key: &'static str,
    },
    /// An answer that cannot be.
    #[error("{key}: {reason} (operator: correct the answer)")]
    Answer {
        /// The question.
        key: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Answers that cannot be read.
    #[error(
        "{path}: line {line}, column {column}: not a line of TOML, or not one of the answers (operator: docs/install.md lists the answers; a text stands in quotes, \
         in single ones where it holds a backslash)", path = path.display()
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// Something is set up here.
    #[error("{path} is there already, and nothing is written over (operator: change it by hand, or move it away with all that lies beside it)", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A gateway has worked on this state folder: under a new site key its audit trail could not be told from a forged one.
    #[error(
        "{path} is of a gateway that was set up before, and a new key would make its audit trail look forged (operator: put that gateway's configuration and keys back, \
         or move what {folder} holds to where the hospital keeps its records; docs/install.md, \"Install again\")",
        path = path.display(), folder = path.parent().unwrap_or(path).display()
    )]
    Used {
        /// What was found.
        path: PathBuf,
    },
    /// A credential of the service manager would go before a file of this run.
    #[error(
        "{credential} would go before the new {path} (operator: keep it elsewhere or delete it, run setup, then encrypt the new file; docs/install.md, \"Secrets that lie on no \
         disk in the clear\")", credential = credential.display(), path = path.display()
    )]
    Credential {
        /// Which one.
        credential: PathBuf,
        /// What setup would write.
        path: PathBuf,
    },
    /// A file.
    #[error("{path}: {error} (operator: run setup as root, or as who owns the folder)", path = path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The terminal.
    #[error("the terminal: {0}")]
    Terminal(io::Error),
    /// The system makes no keys.
    #[error("no keys can be made: {0} (operator: this machine gives no random bytes)")]
    Keys(String),
    /// An answer that only the whole configuration shows to be wrong, or a file that an answer names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal or the invitation.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// What is written, and what to show of it.
pub struct Prepared {
    config: Config,
    names: Names,
    answers: Answers,
    resolver: Option<SocketAddr>,
}

/// Asks, and writes keys and configuration.
///
/// Where root runs this and the state folder is somebody else's, the process works as that user from then on; so it must have one thread.
///
/// # Errors
/// [`SetupError`]; nothing is left of what was written.
pub fn prepare(arguments: Arguments) -> Result<Prepared, SetupError> {
    let Arguments { config, state, answers, resolver, given } = arguments;
    let (config, state) = (absolute(&config)?, absolute(&state)?);
    let names = Names::beside(&config);
    names.refuse_existing()?;
    names.refuse_credentials(Path::new(CREDSTORE))?;
    files::refuse_used(&state)?;
    let given = match &answers {
        Some(path) => given.or(Given::read(path)?),
        None => given,
    };
    let mut asker = if answers.is_some() { Asker::nobody() } else { Asker::on_terminal() };
    let answers = Answers::gather(given, &mut asker)?;
    keyfile::become_owner_of(&state).map_err(at(&state))?;
    let mut written = Written::default();
    files::make(&names, &answers, &mut written)?;
    written.public(&names.config, configuration::text(&answers, &names, &state).as_bytes())?;
    let config = Config::load(&names.config)?;
    config.seal.site_key()?;
    written.keep();
    Ok(Prepared { config, names, answers, resolver })
}

/// Invites the doctor, checks, and says what comes next, each as soon as it is known: a server that does not answer is waited for.
///
/// # Errors
/// [`SetupError`]; the configuration stays.
pub async fn finish(prepared: Prepared, out: &mut impl Write) -> Result<(), SetupError> {
    let Prepared { config, names, answers, resolver } = prepared;
    let mut say = |text: String| writeln!(out, "{text}").map_err(SetupError::Terminal);
    say(told::written(&names))?;
    say(told::pacs(&config, &answers))?;
    let doctor = answers.doctor.key.clone();
    let action = match answers.doctor.certificate {
        None => directory::command::Action::Invite { doctor, hours: CODE_HOURS },
        Some(_) => directory::command::Action::List { json: false },
    };
    say(directory::command::run(&config, action).await? + "\n")?;
    let report = check::check(&config, resolver).await;
    say(format!("Checks:\n{report}"))?;
    let mut open = told::open(&report);
    if let Err(error) = login(&config).await {
        open.push(format!("who runs the mail server: the gateway cannot log in: {error}"));
    }
    say(told::next(&config, &names, &open))
}

/// Whether the submission server takes the login: `check` logs in nowhere.
async fn login(config: &Config) -> Result<(), LoginError> {
    Ok(Submitter::new(config)?.check().await?)
}

#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

fn absolute(path: &Path) -> Result<PathBuf, SetupError> {
    std::path::absolute(path).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> SetupError + '_ {
    move |error| SetupError::Io { path: path.to_owned(), error }
}

/// A secret of 256 random bits, as text.
fn random_text() -> Result<Zeroizing<String>, SetupError> {
    use base64::Engine;
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| SetupError::Keys("no random bytes".to_owned()))?;
    Ok(Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(*bytes)))
}

#[cfg(test)]
mod tests;
