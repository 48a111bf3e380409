//! `scanpost-reader portal`: serve, keep accounts, sign the app.

use super::config::Settings;
use super::error::{PortalError, Trouble};
use super::store::{Account, Store};
use super::{Portal, backup, shell};
use crate::service::asked_to_end;
use clap::{Args, Subcommand};
use keyfile::{KeyFiles, Protection};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use std::path::{Path, PathBuf};
use web::{password, totp};

/// Longest login name.
const NAME_CHARS_MAX: usize = 32;
/// Bytes by which passkeys know an account (WebAuthn 5.4.3).
const HANDLE_BYTES: usize = 32;

/// `scanpost-reader portal`
#[derive(Debug, Args)]
pub struct Command {
    /// The configuration, TOML, with `[portal]`.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Who may sign in; beside a running portal or without one.
    Account {
        #[command(subcommand)]
        action: AccountAction,
    },
    /// Copy accounts, devices and what was told of to a new file, beside a running portal.
    Backup {
        /// A file that is not there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put such a copy back where the state folder holds none, while no portal runs.
    Restore {
        /// The copy, mode 0600.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Sign the app's files, on a machine that the portal is not: installed apps then refuse any other.
    SignShell {
        /// P-256 key, PKCS#8 PEM, mode 0600.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// File with its passphrase; asked for where absent.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// Takes a key without encryption.
        #[arg(long)]
        plain_key: bool,
        /// What `portal.shell` is to name.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum AccountAction {
    /// Make an account. Password and secret of the one-time codes are shown once.
    Add {
        /// Login name: 1 to 32 of a to z, 0 to 9, dot, hyphen, underscore.
        name: String,
        /// Name in `[portal.mailboxes]`; the login name where absent.
        #[arg(long)]
        mailbox: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give an account a new password and new one-time codes; its sessions end, its devices stay.
    Reset {
        /// Login name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show every account with its devices.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove an account with its devices and wrapped keys; its sessions end.
    Remove {
        /// Login name.
        name: String,
    },
}

impl Command {
    /// Serves until ended, or does what is asked; what is to be shown comes back.
    ///
    /// # Errors
    /// [`PortalError`].
    pub async fn run(self) -> Result<String, PortalError> {
        Ok(self.done().await?)
    }

    /// Where root runs this and the portal's state is another user's, becomes that user for good. The process must still have one thread.
    ///
    /// # Errors
    /// [`PortalError`].
    pub fn become_owner(&self) -> Result<(), PortalError> {
        let Some(path) = &self.config else { return Ok(()) };
        let settings = Settings::load(path).map_err(Trouble::from)?;
        let refused = |error| Trouble::Typed(format!("cannot work as the owner of portal.state: {error}"));
        Ok(keyfile::become_owner_of(&settings.state).map_err(refused)?)
    }

    async fn done(self) -> Result<String, Trouble> {
        let config = self.config;
        let settings = move || {
            let path = config.ok_or_else(|| Trouble::Typed("--config FILE is missing".into()))?;
            Ok::<_, Trouble>(Settings::load(&path)?)
        };
        match self.action {
            None => serve(settings()?).await,
            Some(Action::Account { action }) => account(&settings()?, action).await,
            Some(Action::Backup { to }) => backup::backup(&settings()?, &to).await,
            Some(Action::Restore { from }) => backup::restore(&settings()?, &from).await,
            Some(Action::SignShell { key, passphrase_file, plain_key, out }) => {
                sign_shell(&key, Protection { passphrase_file, plain: plain_key }, &out)
            }
        }
    }
}

async fn serve(settings: Settings) -> Result<String, Trouble> {
    tokio::select! {
        served = Portal::open(settings).await?.serve() => served?,
        () = asked_to_end() => {}
    }
    Ok(String::new())
}

async fn account(settings: &Settings, action: AccountAction) -> Result<String, Trouble> {
    let store = Store::open(&settings.state).await?;
    match action {
        AccountAction::Add { name, mailbox, json } => {
            if !is_name(&name) {
                return refused("a name has 1 to 32 of a to z, 0 to 9, dot, hyphen, underscore");
            }
            let mailbox = mailbox.unwrap_or_else(|| name.clone());
            if !settings.mailboxes.contains_key(&mailbox) {
                return refused("there is no such [portal.mailboxes.NAME]: name one by --mailbox");
            }
            let (account, shown) = made(&settings.rp_id(), name, mailbox, json).await?;
            if !store.add_account(&account).await? {
                return refused("there is an account of this name: reset it, or choose another");
            }
            Ok(shown)
        }
        AccountAction::Reset { name, json } => {
            let (account, shown) = made(&settings.rp_id(), name, String::new(), json).await?;
            if !store.reset_account(&account.name, &account.password, &account.totp).await? {
                return refused(NO_ACCOUNT);
            }
            Ok(shown)
        }
        AccountAction::List { json } => list(&store, json).await,
        AccountAction::Remove { name } => {
            if !store.remove_account(&name).await? {
                return refused(NO_ACCOUNT);
            }
            Ok(format!("{name} is removed"))
        }
    }
}

const NO_ACCOUNT: &str = "there is no account of this name; see scanpost-reader portal account list";

fn refused<T>(why: &str) -> Result<T, Trouble> {
    Err(Trouble::Typed(why.to_owned()))
}

fn is_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// A new password and new codes, and what is to be shown of them once.
async fn made(
    site: &str,
    name: String,
    mailbox: String,
    as_json: bool,
) -> Result<(Account, String), Trouble> {
    let no_random = || Trouble::Typed("no random numbers from the system".into());
    let (chosen, secret, mut handle) = (password::random(), totp::secret(), vec![0; HANDLE_BYTES]);
    aws_lc_rs::rand::fill(&mut handle).map_err(|_| no_random())?;
    let hash = password::hash(chosen.clone()).await.ok_or_else(no_random)?;
    let uri = totp::uri(site, &name, &secret);
    let shown = if as_json {
        json!({"name": name, "password": chosen, "totp_secret": totp::base32(&secret), "totp_uri": uri})
            .to_string()
    } else {
        let drawn = QrCode::new(&uri).map(|code| code.render::<Dense1x2>().build()).unwrap_or_default();
        format!(
            "name:     {name}\npassword: {chosen}\nsecret of the one-time codes: {}\n{drawn}\nThis is shown once.",
            totp::base32(&secret)
        )
    };
    let account = Account {
        name,
        mailbox,
        handle,
        password: hash,
        totp: secret.to_vec(),
        failures: 0,
        failed_at_ms: 0,
        recovery: None,
    };
    Ok((account, shown))
}

async fn list(store: &Store, as_json: bool) -> Result<String, Trouble> {
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for account in store.accounts().await? {
        let devices = store.devices(&account.name).await?;
        lines.push(format!("{:<32} mailbox {}, {} devices", account.name, account.mailbox, devices.len()));
        let names: Vec<String> = devices.into_iter().map(|device| device.name).collect();
        rows.push(json!({"name": account.name, "mailbox": account.mailbox, "devices": names, "failures": account.failures}));
    }
    Ok(if as_json { serde_json::Value::from(rows).to_string() } else { lines.join("\n") })
}

fn sign_shell(key: &Path, protection: Protection, out: &Path) -> Result<String, Trouble> {
    let pem = KeyFiles::new(protection).read(key).map_err(crate::config::ConfigError::from)?;
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| shell::ShellError::Key)?;
    let signed = shell::sign(der.secret_der())?;
    std::fs::write(out, signed + "\n").map_err(|error| Trouble::Write(out.to_owned(), error))?;
    Ok(format!(
        "{} is written: name it in portal.shell of every portal that runs this version",
        out.display()
    ))
}
