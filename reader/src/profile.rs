//! `scanpost-reader profile`: an Apple configuration profile (`.mobileconfig`) that sets an iPhone up for S/MIME mail: the IMAP account, the doctor's
//! identity, and the certificates to trust. Keys as in Apple's "Device Management", `TopLevel`, `Mail`, `CertificatePKCS12`, `CertificateRoot`, `CertificatePKCS1`.

use crate::config::{Config, ConfigError};
use plist::{Dictionary, Value};
use seal::native::{Certificate, SealError, identity_file, random};
use sha2::{Digest, Sha256};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Letters of a password that no two of which are mixed up on paper or the telephone: 5 bits each.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// 4 groups of 4 letters, 80 bits.
const PASSWORD_LETTERS: usize = 16;
const GROUP_LETTERS: usize = 4;
/// Implicit TLS (RFC 8314 3.3).
const PORT_SUBMISSIONS: u16 = 465;
/// Of every payload, by Apple's description.
const PAYLOAD_VERSION: i64 = 1;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Configuration, keys or files that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Key and certificate.
    #[error(transparent)]
    Key(#[from] SealError),
    /// The profile could not be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Not `HOST` or `HOST:PORT`.
    #[error("write the submission server as host or host:port")]
    Submission,
}

/// Writes the profile to a new file of mode 0600 and gives the password of the identity in it. `submission` is the SMTPS server, `HOST` or `HOST:PORT`,
/// which Apple's mail account cannot do without.
///
/// # Errors
/// [`ProfileError`].
pub fn write(config: &Config, submission: &str, out: &Path) -> Result<String, ProfileError> {
    let password = password()?;
    let profile = profile(config, submission, &password)?;
    let failed = |error| ProfileError::Write { path: out.to_owned(), error };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out).map_err(failed)?;
    profile.to_writer_xml(&mut file).map_err(|error| failed(io::Error::other(error)))?;
    file.write_all(b"\n").and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(password)
}

fn profile(config: &Config, submission: &str, password: &str) -> Result<Value, ProfileError> {
    let identity = config.identity_text()?;
    let own = Certificate::from_pem(&identity.certificate)?;
    let base = format!("jp.scanpost.{}", own.digest());
    let pkcs12 = identity_file(&identity.key, &identity.certificate, password)?;
    let identity = certificate(&base, "identity", "com.apple.security.pkcs12", "S/MIME identity", pkcs12);
    let mut payloads = vec![mail(&base, config, submission, &uuid(&base, "identity"))?, identity];
    for (number, site) in (1..).zip(config.site_certificates()?) {
        let name = format!("site{number}");
        payloads.push(certificate(
            &base,
            &name,
            "com.apple.security.pkcs1",
            "Hospital that signs",
            site.der().to_vec(),
        ));
    }
    for (number, authority) in (1..).zip(config.mailbox_authorities()?) {
        let name = format!("authority{number}");
        payloads.push(certificate(
            &base,
            &name,
            "com.apple.security.root",
            "Authority of the mail server",
            authority,
        ));
    }
    let mut top = payload(&base, "profile", "Configuration", "Scanpost mail");
    top.insert("PayloadContent".into(), Value::Array(payloads.into_iter().map(Value::Dictionary).collect()));
    top.insert(
        "PayloadDescription".into(),
        "Mailbox and S/MIME identity for images from the hospital".into(),
    );
    top.insert("PayloadOrganization".into(), "Scanpost".into());
    Ok(Value::Dictionary(top))
}

/// Passwords are asked for on the phone: none lies in the file.
fn mail(base: &str, config: &Config, submission: &str, identity: &str) -> Result<Dictionary, ProfileError> {
    let (submission_host, submission_port) = host_and_port(submission)?;
    let (mailbox, address) = (&config.mailbox, config.doctor.address.as_str());
    let mut mail = payload(base, "mail", "com.apple.mail.managed", "Scanpost mailbox");
    for (key, value) in [
        ("EmailAccountType", Value::from("EmailTypeIMAP")),
        ("EmailAccountDescription", "Scanpost".into()),
        ("EmailAddress", address.into()),
        ("IncomingMailServerHostName", mailbox.host.as_str().into()),
        ("IncomingMailServerPortNumber", i64::from(mailbox.port).into()),
        ("IncomingMailServerUseSSL", true.into()),
        ("IncomingMailServerUsername", mailbox.user.as_str().into()),
        ("IncomingMailServerAuthentication", "EmailAuthPassword".into()),
        ("OutgoingMailServerHostName", submission_host.into()),
        ("OutgoingMailServerPortNumber", i64::from(submission_port).into()),
        ("OutgoingMailServerUseSSL", true.into()),
        ("OutgoingMailServerUsername", mailbox.user.as_str().into()),
        ("OutgoingMailServerAuthentication", "EmailAuthPassword".into()),
        ("OutgoingPasswordSameAsIncomingPassword", true.into()),
        ("PreventMove", true.into()),
        ("PreventAppSheet", true.into()),
        ("SMIMEEnabled", true.into()),
        ("SMIMESigningEnabled", true.into()),
        ("SMIMESigningCertificateUUID", identity.into()),
        ("SMIMEEncryptionCertificateUUID", identity.into()),
        ("SMIMEEncryptByDefault", true.into()),
    ] {
        mail.insert(key.into(), value);
    }
    Ok(mail)
}

fn certificate(base: &str, name: &str, kind: &str, shown: &str, bytes: Vec<u8>) -> Dictionary {
    let mut payload = payload(base, name, kind, shown);
    let extension = if kind == "com.apple.security.pkcs12" { "p12" } else { "cer" };
    payload.insert("PayloadCertificateFileName".into(), format!("{name}.{extension}").into());
    payload.insert("PayloadContent".into(), Value::Data(bytes));
    payload
}

fn payload(base: &str, name: &str, kind: &str, shown: &str) -> Dictionary {
    let mut payload = Dictionary::new();
    payload.insert("PayloadType".into(), kind.into());
    payload.insert("PayloadVersion".into(), PAYLOAD_VERSION.into());
    payload.insert("PayloadIdentifier".into(), format!("{base}.{name}").into());
    payload.insert("PayloadUUID".into(), uuid(base, name).into());
    payload.insert("PayloadDisplayName".into(), shown.into());
    payload
}

/// The same for the same doctor and payload, so that a newer profile takes the place of the older one (RFC 9562 5.8).
fn uuid(base: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("{base}.{name}"));
    let mut bytes: [u8; 16] = std::array::from_fn(|place| digest.get(place).copied().unwrap_or_default());
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0F | 0x80;
    *variant = *variant & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let parts = [hex.get(..8), hex.get(8..12), hex.get(12..16), hex.get(16..20), hex.get(20..)];
    parts.map(Option::unwrap_or_default).join("-")
}

fn host_and_port(server: &str) -> Result<(&str, u16), ProfileError> {
    let (host, port) = match server.split_once(':') {
        None => (server, PORT_SUBMISSIONS),
        Some((host, port)) => (host, port.parse().map_err(|_| ProfileError::Submission)?),
    };
    if host.is_empty() { Err(ProfileError::Submission) } else { Ok((host, port)) }
}

/// 80 random bits in groups that can be told by telephone.
fn password() -> Result<String, SealError> {
    let bytes = random::<PASSWORD_LETTERS>()?;
    let letters: Vec<u8> = bytes
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte % LETTERS.len() as u8)).copied())
        .collect();
    let groups: Vec<String> =
        letters.chunks(GROUP_LETTERS).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    Ok(groups.join("-"))
}
