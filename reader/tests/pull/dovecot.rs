//! A private Dovecot for one test: IMAPS on a free port of loopback, everything below one temporary folder.

use seal::mailbox::{Found, Mailbox, MailboxConfig};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const PASSWORD: &str = "correct horse";
/// Exists besides INBOX; Junk does not.
pub(crate) const SPAM: &str = "Spam";

const DOVECOT: &str = "/usr/sbin/dovecot";
const START_MAX: Duration = Duration::from_secs(20);
/// `nobody`: Dovecot reads no mail as root.
const MAIL_ID: u32 = 65_534;

pub(crate) struct Dovecot {
    folder: tempfile::TempDir,
    port: u16,
    master: Child,
}

impl Dovecot {
    pub(crate) fn start() -> Self {
        assert!(Path::new(DOVECOT).exists(), "{DOVECOT} is missing: run tests/run, which installs it");
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        certificates(folder.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.path().join("dovecot.conf");
        fs::write(&config, configuration(folder.path(), port)).unwrap();
        let master =
            Command::new(DOVECOT).arg("-F").arg("-c").arg(&config).stdin(Stdio::null()).spawn().unwrap();
        let dovecot = Self { folder, port, master };
        dovecot.wait();
        dovecot
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn put(&self, user: &str, folder: &str, message: &[u8]) {
        self.with(user, async |mailbox| mailbox.append(folder, message).await.unwrap());
    }

    pub(crate) fn fetch(&self, user: &str, found: &Found) -> Vec<u8> {
        self.with(user, async |mailbox| {
            let mut bytes = Vec::new();
            mailbox.fetch_body(found, &mut bytes, 1 << 20).await.unwrap();
            bytes
        })
    }

    /// Runs `work` with a connection of `user`.
    pub(crate) fn with<T>(&self, user: &str, work: impl AsyncFnOnce(&mut Mailbox) -> T) -> T {
        let config = MailboxConfig {
            host: "localhost".into(),
            port: self.port,
            user: user.into(),
            password: PASSWORD.into(),
            tls: tls::ClientFiles { ca: Some(self.ca()), ..tls::ClientFiles::default() },
            folders: vec!["INBOX".into(), SPAM.into()],
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut mailbox = Mailbox::connect(&config).await.unwrap();
            let done = work(&mut mailbox).await;
            mailbox.logout().await;
            done
        })
    }

    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < START_MAX, "dovecot does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // The master takes its children along on TERM.
        let _ = Command::new("kill").arg(self.master.id().to_string()).status();
        let _ = self.master.wait();
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let mail = folder.join("mail");
    fs::create_dir(&mail).unwrap();
    let root =
        fs::metadata(folder).map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0).unwrap();
    let (mail_id, unprivileged) = if root { (MAIL_ID, String::new()) } else { unprivileged() };
    if root {
        chown(&mail, Some(MAIL_ID), Some(MAIL_ID)).unwrap();
    }
    let users =
        ["doctor", "second"].map(|user| format!("{user}@lab.test:{{PLAIN}}{PASSWORD}::::::\n")).concat();
    fs::write(folder.join("users"), users).unwrap();
    fs::set_permissions(folder.join("users"), PermissionsExt::from_mode(0o644)).unwrap();
    let dir = folder.display();
    format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/run\nlog_path = {dir}/log\nprotocols = imap\nlisten = 127.0.0.1\n{unprivileged}\
        first_valid_uid = 1\nssl = required\nssl_cert = <{dir}/server.pem\nssl_key = <{dir}/server.key\nssl_min_protocol = TLSv1.2\n\
        mail_location = maildir:{dir}/mail/%n\nmail_uid = {mail_id}\nmail_gid = {mail_id}\nmail_home = {dir}/mail/%n\nmail_fsync = never\n\
        passdb {{\n driver = passwd-file\n args = username_format=%u {dir}/users\n}}\n\
        userdb {{\n driver = static\n args = uid={mail_id} gid={mail_id} home={dir}/mail/%n\n}}\n\
        service imap-login {{\n chroot =\n inet_listener imap {{\n  port = 0\n }}\n inet_listener imaps {{\n  port = {port}\n  ssl = yes\n }}\n}}\n\
        service anvil {{\n chroot =\n unix_listener anvil-auth-penalty {{\n  mode = 0\n }}\n}}\nservice stats {{\n chroot =\n}}\n\
        namespace inbox {{\n inbox = yes\n mailbox {SPAM} {{\n  auto = create\n }}\n}}\n"
    )
}

/// Dovecot started by an ordinary user runs every service as that user.
fn unprivileged() -> (u32, String) {
    let id = |flag| {
        String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let (user, group) = (id("-un"), id("-gn"));
    let lines = format!(
        "default_internal_user = {user}\ndefault_login_user = {user}\ndefault_internal_group = {group}\n"
    );
    (id("-u").parse().unwrap(), lines)
}

fn certificates(folder: &Path) {
    certificate_authority(folder, "ca");
    certificate_authority(folder, "other-ca");
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n";
    fs::write(folder.join("server.ext"), names).unwrap();
    openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    );
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem -extfile server.ext",
    );
}

fn certificate_authority(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
        ),
    );
}

/// Runs the `openssl` command in `folder`.
pub(crate) fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output();
    let done = done.expect("openssl is missing: run tests/run, which installs it");
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}
