//! `[portal]` of the configuration.

use super::hanging;
use crate::config::{ConfigError, Mailbox, read_text, site_certificate};
use seal::mail::{Address, Site};
use seal::mailbox::MailboxConfig;
use seal::native::Certificate;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tls::ServerFiles;

/// Push services of the browsers that there are: Apple, Google, Mozilla, Microsoft.
const PUSH_HOSTS: [&str; 4] =
    ["web.push.apple.com", "fcm.googleapis.com", "updates.push.services.mozilla.com", "*.notify.windows.com"];
/// Default size of the cache: some hundred studies.
const CACHE_MB: u64 = 20_000;

/// `[portal]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// File that the port is written to once it is open, for `listen` with port 0.
    pub(crate) port_file: Option<PathBuf>,
    /// PEM with the portal's certificate and the chain above it.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM, mode 0600.
    pub(crate) key: PathBuf,
    /// PEM with the only roots that a phone's own certificate may come from; where absent, none is asked for.
    pub(crate) client_ca: Option<PathBuf>,
    /// Revocation lists of these authorities, PEM.
    pub(crate) crl: Option<PathBuf>,
    /// What phones open: `https://HOST` or `https://HOST:PORT`.
    pub(crate) origin: String,
    /// Name that passkeys are bound to; the host of `origin` where absent. It can never change: passkeys would be lost.
    pub(crate) rp_id: Option<String>,
    /// Folder of what is remembered; several portals may share it.
    pub(crate) state: PathBuf,
    /// Folder of this portal's cache, ciphertext alone; `cache` in `state` where absent. Each portal needs its own.
    pub(crate) cache: Option<PathBuf>,
    /// Largest size of the cache, in MB.
    #[serde(default = "cache_default")]
    pub(crate) cache_mb: u64,
    /// Certificates of the sites whose revocations and links are believed, PEM.
    pub(crate) sites: Vec<PathBuf>,
    /// Sender address of what is appended to mailboxes; the login name of the mailbox where absent.
    pub(crate) from: Option<String>,
    /// What `scanpost-reader portal sign-shell` wrote; the app is not signed where absent.
    pub(crate) shell: Option<PathBuf>,
    /// Notices to phones.
    pub(crate) push: Option<Push>,
    /// Names of the mailboxes that links for outside recipients come to; no link is known where empty.
    #[serde(default)]
    pub(crate) guests: Vec<String>,
    /// Names of the sites whose images may be measured in the app; of none where absent.
    #[serde(default)]
    pub(crate) measuring: Vec<String>,
    /// How cases are met in the app, row by row; the app's own rows stand behind them.
    #[serde(default)]
    pub(crate) hanging: Vec<hanging::Row>,
    /// Mailboxes by name.
    pub(crate) mailboxes: BTreeMap<String, Mailbox>,
}

/// `[portal.push]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Push {
    /// Whom a push service writes to in trouble: `mailto:…` or `https://…` (RFC 8292 2.1).
    pub(crate) contact: String,
    /// Hosts that notices are sent to; `*.` at the start stands for one label or more.
    #[serde(default = "hosts_default")]
    pub(crate) hosts: Vec<String>,
    /// PEM with the only roots to trust; the system's where absent.
    pub(crate) ca: Option<PathBuf>,
    /// Sends to private addresses too: for a push service of the house.
    #[serde(default)]
    pub(crate) private_addresses: bool,
}

/// The file, of which the other commands read the rest.
#[derive(Deserialize)]
struct File {
    portal: Option<Settings>,
}

impl Settings {
    /// Reads `[portal]` and makes its paths absolute.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let file: File = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        let settings = file
            .portal
            .ok_or(ConfigError::Portal("is missing: scanpost-reader portal needs it (docs/portal.md)"))?;
        settings.beside(path.parent().unwrap_or(Path::new("."))).checked()
    }

    fn beside(mut self, folder: &Path) -> Self {
        let Self {
            certificate,
            key,
            client_ca,
            crl,
            state,
            cache,
            sites,
            shell,
            port_file,
            push,
            mailboxes,
            ..
        } = &mut self;
        for path in [certificate, key, state].into_iter().chain(sites) {
            *path = folder.join(&path);
        }
        for path in [client_ca, crl, cache, shell, port_file].into_iter().flatten() {
            *path = folder.join(&path);
        }
        if let Some(ca) = push.as_mut().and_then(|push| push.ca.as_mut()) {
            *ca = folder.join(&*ca);
        }
        mailboxes.values_mut().for_each(|mailbox| mailbox.beside(folder));
        self
    }

    fn checked(self) -> Result<Self, ConfigError> {
        let wrong = |what| Err(ConfigError::Portal(what));
        if self.host().is_none() {
            return wrong("origin: write https://HOST or https://HOST:PORT, what phones open");
        }
        let rp_id = self.rp_id();
        let host = self.host().unwrap_or_default();
        if host != rp_id && !host.ends_with(&format!(".{rp_id}")) {
            return wrong("rp_id: the host of origin, or a domain above it (WebAuthn 5.1.2)");
        }
        if self.sites.is_empty() {
            return wrong(
                "sites: name the certificate of each hospital, PEM (ask its operator for site.cert.pem)",
            );
        }
        if self.mailboxes.is_empty() {
            return wrong("[portal.mailboxes.NAME] is missing: name the mailbox of each doctor");
        }
        if self.mailboxes.values().any(|mailbox| mailbox.folders.is_empty()) {
            return wrong("folders of a mailbox: name one at least");
        }
        if !self.guests.iter().all(|name| self.mailboxes.contains_key(name)) {
            return wrong("guests: each is the NAME of a [portal.mailboxes.NAME]");
        }
        if !self.measuring.iter().all(|site| Site::parse(site).is_some()) {
            return wrong("measuring: each is the name of a site, `site` of its gateway");
        }
        hanging::checked(&self.hanging)?;
        if self.client_ca.is_some() && !self.guests.is_empty() {
            return wrong(
                "client_ca: outside recipients have no certificate; run a portal of its own for guests",
            );
        }
        if self.crl.is_some() && self.client_ca.is_none() {
            return wrong("crl: it is for phones' certificates; name client_ca too");
        }
        let is_contact = |push: &Push| {
            ["mailto:", "https://"]
                .iter()
                .any(|start| push.contact.len() > start.len() && push.contact.starts_with(start))
        };
        if self.push.as_ref().is_some_and(|push| !is_contact(push)) {
            return wrong(
                "push.contact: mailto: and the address of the portal's operator; Apple refuses anything else",
            );
        }
        for mailbox in self.mailboxes.keys() {
            self.sender_of(mailbox)?;
        }
        Ok(self)
    }

    /// Name that passkeys are bound to.
    pub(crate) fn rp_id(&self) -> String {
        self.rp_id.clone().or_else(|| self.host()).unwrap_or_default()
    }

    /// The host of `origin`.
    fn host(&self) -> Option<String> {
        let rest = self.origin.strip_prefix("https://")?;
        let host = rest
            .split_once(':')
            .map_or(rest, |(host, port)| if port.parse::<u16>().is_ok() { host } else { "" });
        let is_name =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        (!host.is_empty() && host.bytes().all(is_name)).then(|| host.to_owned())
    }

    /// Our certificate.
    pub(crate) fn tls(&self) -> ServerFiles {
        ServerFiles {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
            crl: self.crl.clone(),
            tls12: false,
        }
    }

    /// Folder of this portal's cache.
    pub(crate) fn cache(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| self.state.join("cache"))
    }

    /// Sender address of what is appended to a mailbox.
    ///
    /// # Errors
    /// [`ConfigError::Portal`].
    pub(crate) fn sender_of(&self, mailbox: &str) -> Result<Address, ConfigError> {
        let user = self.mailboxes.get(mailbox).map(|mailbox| mailbox.user.as_str());
        let text = self.from.as_deref().or(user).unwrap_or_default();
        Address::parse(text).ok_or(ConfigError::Portal(
            "from: a mail address; needed where login names of mailboxes are none",
        ))
    }

    /// How each mailbox is reached.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(crate) fn logins(&self) -> Result<BTreeMap<String, MailboxConfig>, ConfigError> {
        self.mailboxes.iter().map(|(name, mailbox)| Ok((name.clone(), mailbox.login()?))).collect()
    }

    /// The pinned sites.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(crate) fn site_certificates(&self) -> Result<Vec<Certificate>, ConfigError> {
        self.sites.iter().map(|path| site_certificate(path)).collect()
    }
}

fn hosts_default() -> Vec<String> {
    PUSH_HOSTS.map(String::from).to_vec()
}

fn cache_default() -> u64 {
    CACHE_MB
}
