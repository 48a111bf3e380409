//! `[channels.NAME]` and the ways of a doctor: what carries notices, and to where.

use super::{Config, ConfigError, Doctor, wrong};
use notifier::{Body, Format, Kind, NoticeError};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tls::ClientFiles;

/// The channel of `[notify]`, which `phone` stands for.
pub const MAIL: &str = "mail";
/// Longest name: it stands in rows, on the page and in metrics.
const NAME_CHARS_MAX: usize = 32;

/// `[channels.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// What carries the notices.
    pub kind: Kind,
    /// Where the server is, `https://…`; of an ntfy server its root, of a LINE WORKS bot up to its number.
    pub url: Option<String>,
    /// File with the URL, mode 0600, where whoever has the URL may write: Teams and Slack.
    pub url_file: Option<PathBuf>,
    /// File with a token that is shown as a bearer, mode 0600; read at each notice.
    pub token_file: Option<PathBuf>,
    /// User, for servers that want one.
    pub user: Option<String>,
    /// File with the user's password, mode 0600; read at each notice.
    pub password_file: Option<PathBuf>,
    /// File with the secret that signs a webhook (`whsec_…`), mode 0600; read at each notice.
    pub secret_file: Option<PathBuf>,
    /// PEM file with the only roots to trust; the system's roots where absent.
    pub ca: Option<PathBuf>,
    /// PEM file with the revocation lists of every authority in the server's chain.
    pub crl: Option<PathBuf>,
    /// Our certificate for this server, PEM.
    pub client_certificate: Option<PathBuf>,
    /// Its key, PEM, mode 0600.
    pub client_key: Option<PathBuf>,
    /// Takes TLS 1.2 too, with AEAD suites only: for a server that cannot do 1.3.
    #[serde(default)]
    pub tls12: bool,
    /// How `body` is written.
    #[serde(default)]
    pub format: Format,
    /// What a gateway of text messages or calls is sent: texts may hold `{to}`, `{text}` and `{id}`.
    pub body: Option<serde_json::Value>,
    /// What an answer must contain to be one that takes the notice.
    pub answer_contains: Option<String>,
    /// The program of a command channel, by its absolute path.
    pub program: Option<PathBuf>,
    /// Its arguments, the same for every notice.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// One way to tell a doctor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Name of the channel.
    pub channel: String,
    /// Address on that channel; empty where the channel itself is the address.
    #[serde(default)]
    pub to: String,
    /// 0: told at once; higher: when the doctor's level was raised to it.
    #[serde(default)]
    pub level: u32,
}

impl Channel {
    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        let key = |key: &str| format!("channels.{name}.{key}");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(is_plain) {
            return wrong(format!("channels.{name}"), "name it with 1 to 32 letters, digits, - and _");
        }
        if name == MAIL || self.kind == Kind::Mail {
            return wrong(format!("channels.{name}"), "mail is there already: [notify] says by which server");
        }
        let (needed, allowed) = keys_of(self.kind);
        for (name, is_set) in self.keys() {
            if is_set && !needed.contains(&name) && !allowed.contains(&name) {
                return wrong(key(name), "is not for a channel of this kind: leave it out");
            }
            if !is_set && needed.contains(&name) {
                return wrong(key(name), "is needed for a channel of this kind");
            }
        }
        if self.url.as_deref().is_some_and(|url| notifier::host_of(url).is_none()) {
            return wrong(key("url"), "write https:// and a host, without user and password");
        }
        if self.user.is_some() != self.password_file.is_some() {
            return wrong(key("user"), "goes with password_file: write both or neither");
        }
        if self.user.is_some() && self.token_file.is_some() {
            return wrong(key("token_file"), "stands for user and password: write one of both");
        }
        if self.answer_contains.as_deref() == Some("") {
            return wrong(key("answer_contains"), "write the words that an answer must contain");
        }
        if let Some(body) = &self.body
            && let Err(reason) = Body::new(self.format, body.clone())
        {
            return wrong(key("body"), reason);
        }
        self.program.as_deref().map_or(Ok(()), |program| check_program(key("program"), program))
    }

    fn keys(&self) -> [(&'static str, bool); 15] {
        [
            ("url", self.url.is_some()),
            ("url_file", self.url_file.is_some()),
            ("token_file", self.token_file.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
            ("secret_file", self.secret_file.is_some()),
            ("ca", self.ca.is_some()),
            ("crl", self.crl.is_some()),
            ("client_certificate", self.client_certificate.is_some()),
            ("client_key", self.client_key.is_some()),
            ("tls12", self.tls12),
            ("body", self.body.is_some()),
            ("answer_contains", self.answer_contains.is_some()),
            ("program", self.program.is_some()),
            ("arguments", !self.arguments.is_empty()),
        ]
    }

    /// Files that only we may read, each by its key.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [
            ("url_file", &self.url_file),
            ("token_file", &self.token_file),
            ("password_file", &self.password_file),
            ("secret_file", &self.secret_file),
        ];
        files.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?)))
    }

    /// The server's URL; none for a program.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Exposed`].
    pub fn server_url(&self) -> Result<Option<String>, ConfigError> {
        match &self.url_file {
            Some(file) => Ok(Some(super::read_secret(file)?.trim().to_owned())),
            None => Ok(self.url.clone()),
        }
    }

    /// Whom to trust, and who we are.
    pub fn tls(&self) -> ClientFiles {
        ClientFiles {
            ca: self.ca.clone(),
            crl: self.crl.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            tls12: self.tls12,
        }
    }
}

impl Config {
    pub(super) fn check_ways(&self, name: &str, doctor: &Doctor) -> Result<(), ConfigError> {
        let mut seen = BTreeSet::new();
        for way in doctor.ways() {
            let key = || match doctor.phone.is_empty() || way.channel != MAIL {
                true => format!("doctors.{name}.notify"),
                false => format!("doctors.{name}.phone"),
            };
            let kind = match self.channels.get(&way.channel) {
                Some(channel) => channel.kind,
                None if way.channel == MAIL => notifier::Kind::Mail,
                None => return wrong(key(), "names a channel that has no [channels.NAME] table"),
            };
            if let Err(NoticeError::Address { reason }) = kind.check(&way.to) {
                return wrong(key(), reason);
            }
            if !seen.insert(way.channel.clone()) {
                return wrong(
                    key(),
                    "names a channel twice (phone is the channel mail): make a second one with a name of its own",
                );
            }
        }
        Ok(())
    }

    /// Host of the server that takes the notices of a channel; the channel's name for a program.
    pub fn notice_host(&self, channel: &str) -> String {
        let url = self.channels.get(channel).map(Channel::server_url);
        match url {
            None => self.notify.server.as_ref().unwrap_or(&self.submit).host.clone(),
            Some(url) => {
                let host = url.ok().flatten().and_then(|url| notifier::host_of(&url));
                host.map_or_else(|| channel.to_owned(), |(host, _)| host)
            }
        }
    }
}

/// Keys that a kind needs, and those that it may have.
fn keys_of(kind: Kind) -> (&'static [&'static str], &'static [&'static str]) {
    const LOGIN: &[&str] =
        &["token_file", "user", "password_file", "ca", "crl", "client_certificate", "client_key", "tls12"];
    const TLS: &[&str] = &["ca", "crl", "client_certificate", "client_key", "tls12"];
    const GATEWAY: &[&str] = &[
        "token_file",
        "user",
        "password_file",
        "answer_contains",
        "ca",
        "crl",
        "client_certificate",
        "client_key",
        "tls12",
    ];
    match kind {
        Kind::Mail => (&[], &[]),
        Kind::Ntfy => (&["url"], LOGIN),
        Kind::Webhook => (&["url", "secret_file"], TLS),
        Kind::Teams | Kind::Slack => (&["url_file"], TLS),
        Kind::LineWorks => (&["url", "token_file"], TLS),
        Kind::Sms | Kind::Voice => (&["url", "body"], GATEWAY),
        Kind::Command => (&["program"], &["arguments"]),
    }
}

fn check_program(key: String, program: &Path) -> Result<(), ConfigError> {
    if !program.is_absolute() {
        return wrong(key, "write the absolute path of the program");
    }
    let metadata =
        std::fs::metadata(program).map_err(|error| ConfigError::Read { path: program.to_owned(), error })?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return wrong(key, "is no program: chmod 755 it");
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return wrong(key, "may be changed by others, who could do then what the gateway may: chmod 755 it");
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::tests::{SAMPLE, load};
    use super::*;

    /// The sample's doctor with these ways, and these channels.
    fn with(ways: &str, channels: &str) -> Result<Config, ConfigError> {
        let phone = SAMPLE.lines().find(|line| line.starts_with("phone = ")).unwrap();
        load(&format!("{}\n{channels}", SAMPLE.replacen(phone, ways, 1)))
    }

    const NTFY: &str = "[channels.ntfy-own]\nkind = \"ntfy\"\nurl = \"https://ntfy.hospital.example\"";
    const SMS: &str = "[channels.sms]\nkind = \"sms\"\nurl = \"https://sms.example/send\"\nbody = { to = \"{to}\", text = \"{text}\" }";

    #[test]
    fn a_phone_is_the_first_way_and_the_others_follow() {
        let ways = "phone = \"a@b.example\"\nnotify = [{ channel = \"ntfy-own\", to = \"topic\" }, { channel = \"sms\", to = \"+8190\", level = 2 }]";
        let config = with(ways, &format!("{NTFY}\n{SMS}")).unwrap();
        let ways: Vec<_> =
            config.doctors["tanaka"].ways().map(|way| (way.channel, way.to, way.level)).collect();
        let expected = [("mail", "a@b.example", 0), ("ntfy-own", "topic", 0), ("sms", "+8190", 2)];
        assert_eq!(ways, expected.map(|(channel, to, level)| (channel.to_owned(), to.to_owned(), level)));
        assert_eq!(config.notice_host("ntfy-own"), "ntfy.hospital.example");
        assert_eq!(config.notice_host("mail"), config.submit.host);
        let mail = with("notify = [{ channel = \"mail\", to = \"a@b.example\" }]", "").unwrap();
        assert_eq!(mail.doctors["tanaka"].ways().count(), 1);
    }

    #[test]
    fn channels_that_cannot_work_are_refused_by_name() {
        let ntfy = "notify = [{ channel = \"ntfy-own\", to = \"topic\" }]";
        for (ways, channels, named) in [
            ("", "", "doctors.tanaka.phone"),
            (ntfy, "", "names a channel that has no [channels.NAME] table"),
            ("phone = \"a b\"", "", "doctors.tanaka.phone: write a mail address"),
            ("notify = [{ channel = \"ntfy-own\", to = \"a/b\" }]", NTFY, "write a topic"),
            ("notify = [{ channel = \"sms\", to = \"tanaka\" }]", SMS, "write a telephone number"),
            (
                "notify = [{ channel = \"ntfy-own\", to = \"t\", level = 1 }]",
                NTFY,
                "nobody would be told at once",
            ),
            (
                "phone = \"a@b.example\"\nnotify = [{ channel = \"mail\", to = \"c@d.example\" }]",
                "",
                "names a channel twice",
            ),
            (ntfy, &NTFY.replace("https", "http"), "channels.ntfy-own.url: write https://"),
            (ntfy, &NTFY.replace("url", "# url"), "channels.ntfy-own.url: is needed"),
            (ntfy, &format!("{NTFY}\nprogram = \"/bin/true\""), "channels.ntfy-own.program: is not for"),
            (ntfy, &format!("{NTFY}\nuser = \"x\""), "goes with password_file"),
            (ntfy, &NTFY.replace("ntfy-own", "mail"), "mail is there already"),
            (ntfy, &NTFY.replace("\"ntfy\"", "\"pager\""), "unknown variant"),
            (ntfy, &SMS.replace("{text}", "{name}"), "channels.sms.body: knows {to}, {text} and {id}"),
            (
                ntfy,
                "[channels.slack]\nkind = \"slack\"\nurl = \"https://hooks.slack.com/x\"",
                "channels.slack.url: is not for",
            ),
            (ntfy, "[channels.page]\nkind = \"command\"\nprogram = \"page\"", "absolute path"),
            (ntfy, "[channels.page]\nkind = \"command\"\nprogram = \"/etc/passwd\"", "is no program"),
            (ntfy, "[channels.page]\nkind = \"command\"\nprogram = \"/nowhere/page\"", "/nowhere/page"),
        ] {
            let error = with(ways, channels).unwrap_err().to_string();
            assert!(error.contains(named), "{named} not in: {error}");
        }
    }
}
