//! The questions of `setup`, in the order in which they are asked. Each is answered by a flag, in a file, or at the terminal.

use super::SetupError;
use super::asker::Asker;
use crate::config::{read, read_secret};
use notifier::Language;
use seal::mail::{Address, Site};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Implicit TLS (RFC 8314 7.3, 3.2).
const PORT_SMTPS: u16 = 465;
const PORT_IMAPS: u16 = 993;
/// DICOM without TLS, for those who may not take 104 (PS3.8 9.1.1).
const PORT_DICOM: u16 = 11112;
const PORT_PAGE: u16 = 8443;
/// Longest AE title (PS3.5 6.2).
const AE_TITLE_CHARS_MAX: usize = 16;
/// The word for what is not wanted.
const NONE: &str = "none";

/// Answers as a person writes them.
#[derive(Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// Name of this site, domain-like: hospital.example.
    #[arg(long)]
    site: Option<String>,
    /// AE title of the PACS, or none.
    #[arg(long)]
    pacs_ae_title: Option<String>,
    /// Its host and port.
    #[arg(long, value_name = "HOST:PORT")]
    pacs_address: Option<String>,
    /// Address and port to listen on for DICOM, in the hospital's network.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// AE title whose studies wait on the technician's page.
    #[arg(long, value_name = "AE_TITLE")]
    hold: Option<String>,
    /// Address and port of the technician's page, or none.
    #[arg(long, value_name = "ADDRESS:PORT")]
    page: Option<String>,
    /// Time zone of the site.
    #[arg(long)]
    time_zone: Option<String>,
    /// Submission server, implicit TLS.
    #[arg(long, value_name = "HOST[:PORT]")]
    smtp: Option<String>,
    /// IMAP server of the doctors' mailboxes, implicit TLS.
    #[arg(long, value_name = "HOST[:PORT]")]
    imap: Option<String>,
    /// The gateway's login at both.
    #[arg(long)]
    mail_user: Option<String>,
    /// File with its password, mode 0600; its content is copied.
    #[arg(long, value_name = "FILE")]
    mail_password_file: Option<PathBuf>,
    /// The password itself: in the file with answers alone, since flags stand in the list of processes.
    #[arg(skip)]
    mail_password: Option<String>,
    /// Sender address of what the gateway mails.
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// PEM file with the only authority to trust for both servers, or none: the system's. It is copied.
    #[arg(long, value_name = "FILE")]
    mail_ca: Option<String>,
    /// Whether the hospital keeps the DNS zone of the sender's domain: yes or no.
    #[arg(long, value_name = "YES|NO")]
    own_domain: Option<String>,
    /// The first doctor, by a short name for commands: tanaka.
    #[arg(long, value_name = "NAME")]
    doctor: Option<String>,
    /// How the page names the doctor.
    #[arg(long, value_name = "NAME")]
    doctor_name: Option<String>,
    /// The doctor's mailbox for Scanpost alone.
    #[arg(long, value_name = "ADDRESS")]
    doctor_mailbox: Option<String>,
    /// That mailbox as the gateway's login sees it.
    #[arg(long, value_name = "FOLDER")]
    doctor_folder: Option<String>,
    /// Mailbox of the doctor's phone, which gets the notices.
    #[arg(long, value_name = "ADDRESS")]
    notice_mailbox: Option<String>,
    /// Language of the notices: ja or en.
    #[arg(long)]
    language: Option<String>,
    /// AE title that stands for the doctor.
    #[arg(long, value_name = "AE_TITLE")]
    doctor_ae_title: Option<String>,
    /// PEM file with the doctor's certificate, or none: the doctor enrols by a one-time code. It is copied.
    #[arg(long, value_name = "FILE")]
    doctor_certificate: Option<String>,
}

impl Given {
    /// Reads a file of answers, which may hold a password and so is nobody else's.
    pub(super) fn read(path: &Path) -> Result<Self, SetupError> {
        let text = Zeroizing::new(read_secret(path)?);
        // The parser's own words repeat the line, which may be the password's.
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            let (line, column) = place(&text, error.span().map_or(0, |span| span.start));
            SetupError::Syntax { path: path.to_owned(), line, column }
        })
    }

    /// These answers, and of the others what is missing.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            site: self.site.or(other.site),
            pacs_ae_title: self.pacs_ae_title.or(other.pacs_ae_title),
            pacs_address: self.pacs_address.or(other.pacs_address),
            listen: self.listen.or(other.listen),
            hold: self.hold.or(other.hold),
            page: self.page.or(other.page),
            time_zone: self.time_zone.or(other.time_zone),
            smtp: self.smtp.or(other.smtp),
            imap: self.imap.or(other.imap),
            mail_user: self.mail_user.or(other.mail_user),
            mail_password_file: self.mail_password_file.or(other.mail_password_file),
            mail_password: self.mail_password.or(other.mail_password),
            mail_from: self.mail_from.or(other.mail_from),
            mail_ca: self.mail_ca.or(other.mail_ca),
            own_domain: self.own_domain.or(other.own_domain),
            doctor: self.doctor.or(other.doctor),
            doctor_name: self.doctor_name.or(other.doctor_name),
            doctor_mailbox: self.doctor_mailbox.or(other.doctor_mailbox),
            doctor_folder: self.doctor_folder.or(other.doctor_folder),
            notice_mailbox: self.notice_mailbox.or(other.notice_mailbox),
            language: self.language.or(other.language),
            doctor_ae_title: self.doctor_ae_title.or(other.doctor_ae_title),
            doctor_certificate: self.doctor_certificate.or(other.doctor_certificate),
        }
    }
}

/// Line and column, in characters, of a byte; both from 1.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before: String = text.char_indices().take_while(|(at, _)| *at < byte).map(|(_, one)| one).collect();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// What the configuration is made of. Contents of files that were named are read: whoever asks may be another user than whoever writes.
pub(super) struct Answers {
    pub(super) site: String,
    pub(super) pacs: Option<Pacs>,
    pub(super) listen: SocketAddr,
    pub(super) hold: String,
    pub(super) page: Option<Page>,
    pub(super) smtp: Host,
    pub(super) imap: Host,
    pub(super) mail_user: String,
    pub(super) mail_password: Zeroizing<String>,
    pub(super) mail_from: String,
    /// PEM.
    pub(super) mail_ca: Option<String>,
    pub(super) own_domain: bool,
    pub(super) doctor: Doctor,
}

pub(super) struct Page {
    pub(super) listen: SocketAddr,
    /// Of the site, by its IANA name.
    pub(super) time_zone: String,
}

pub(super) struct Pacs {
    pub(super) ae_title: String,
    pub(super) address: Host,
}

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

pub(super) struct Doctor {
    /// Name of the table.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) mailbox: String,
    pub(super) folder: String,
    pub(super) notice_mailbox: String,
    pub(super) language: Language,
    pub(super) ae_title: String,
    /// PEM.
    pub(super) certificate: Option<String>,
}

impl Answers {
    /// Asks for what was not given.
    pub(super) fn gather(given: Given, asker: &mut Asker) -> Result<Self, SetupError> {
        let site = asker.ask("site", given.site, "Name of this site, as hospital.example", None, site)?;
        let pacs = pacs(given.pacs_ae_title, given.pacs_address, asker)?;
        let own = own_address(pacs.as_ref());
        let listen = asker.ask(
            "listen",
            given.listen,
            "Address and port for DICOM, in the hospital's network",
            Some(SocketAddr::new(own, PORT_DICOM).to_string()),
            address,
        )?;
        let hold = "AE title whose studies wait on the technician's page";
        let hold = asker.ask("hold", given.hold, hold, Some("SCANPOST".into()), ae_title)?;
        let page = asker.ask(
            "page",
            given.page,
            "Address and port of the technician's page, or none",
            Some(SocketAddr::new(listen.ip(), PORT_PAGE).to_string()),
            |text| optional(text).map(address).transpose(),
        )?;
        let page = match page {
            None => None,
            Some(listen) => {
                let own = Some(own_time_zone());
                let time_zone =
                    asker.ask("time_zone", given.time_zone, "Time zone of the site", own, time_zone)?;
                Some(Page { listen, time_zone })
            }
        };
        let smtp = "Submission server (implicit TLS), host or host:port";
        let smtp = asker.ask("smtp", given.smtp, smtp, None, |text| host(text, Some(PORT_SMTPS)))?;
        let imap = "IMAP server of the doctors' mailboxes (implicit TLS), host or host:port";
        let imap = asker
            .ask("imap", given.imap, imap, Some(smtp.name.clone()), |text| host(text, Some(PORT_IMAPS)))?;
        let mail_user =
            asker.ask("mail_user", given.mail_user, "The gateway's login at both", None, filled)?;
        let mail_password =
            asker.password(given.mail_password.map(Zeroizing::new), given.mail_password_file.as_deref())?;
        let from = mail_user.contains('@').then(|| mail_user.clone());
        let mail_from =
            asker.ask("mail_from", given.mail_from, "Sender address of its mails, best in a subdomain of its own, as gateway@scanpost.hospital.example", from, mail_address)?;
        let ca = "PEM file with the authority of both servers, or none: those of this system";
        let mail_ca = asker.ask("mail_ca", given.mail_ca, ca, Some(NONE.into()), content)?;
        let domain = mail_from.rsplit_once('@').map_or("", |(_, domain)| domain);
        let own_domain = format!("Does the hospital keep the DNS zone of {domain}: yes or no");
        let own_domain =
            asker.ask("own_domain", given.own_domain, &own_domain, Some("yes".into()), yes_or_no)?;
        let key = "The first doctor, by a short name for commands, as tanaka";
        let key = asker.ask("doctor", given.doctor, key, None, doctor_key)?;
        let name = "How the page names this doctor";
        let name = asker.ask("doctor_name", given.doctor_name, name, Some(key.clone()), filled)?;
        let mailbox = "The doctor's mailbox for Scanpost alone";
        let mailbox = asker.ask("doctor_mailbox", given.doctor_mailbox, mailbox, None, mail_address)?;
        let folder = asker.ask(
            "doctor_folder",
            given.doctor_folder,
            "That mailbox as the gateway's login sees it",
            Some(format!("shared/{mailbox}/INBOX")),
            filled,
        )?;
        let notice = "Mailbox of the doctor's phone, which gets the notices";
        let notice_mailbox = asker.ask("notice_mailbox", given.notice_mailbox, notice, None, mail_address)?;
        let words = "Language of the notices: ja or en";
        let language = asker.ask("language", given.language, words, Some("ja".into()), language)?;
        let title = "AE title that stands for this doctor";
        let own_title = ae_title_of(&key);
        let title = asker.ask("doctor_ae_title", given.doctor_ae_title, title, own_title, |text| {
            if text == hold {
                return Err("studies for this one wait on the page: take another");
            }
            ae_title(text)
        })?;
        let certificate = "PEM file with the doctor's certificate, or none: a one-time code is shown";
        let certificate = asker.ask(
            "doctor_certificate",
            given.doctor_certificate,
            certificate,
            Some(NONE.into()),
            content,
        )?;
        let doctor =
            Doctor { key, name, mailbox, folder, notice_mailbox, language, ae_title: title, certificate };
        Ok(Self {
            site,
            pacs,
            listen,
            hold,
            page,
            smtp,
            imap,
            mail_user,
            mail_password,
            mail_from,
            mail_ca,
            own_domain,
            doctor,
        })
    }
}

fn pacs(
    title: Option<String>,
    address: Option<String>,
    asker: &mut Asker,
) -> Result<Option<Pacs>, SetupError> {
    let words = "AE title of the PACS, or none";
    let title =
        asker.ask("pacs_ae_title", title, words, None, |text| optional(text).map(ae_title).transpose())?;
    let Some(ae_title) = title else { return Ok(None) };
    let address = asker.ask("pacs_address", address, "Its host:port", None, |text| host(text, None))?;
    Ok(Some(Pacs { ae_title, address }))
}

fn optional(text: &str) -> Option<&str> {
    (text != NONE).then_some(text)
}

/// Of a file that is named: whoever writes the copy may be another user than whoever can read it.
fn content(path: &str) -> Result<Option<String>, &'static str> {
    optional(path).map(|path| read(Path::new(path)).map_err(|_| "this file cannot be read")).transpose()
}

fn filled(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("an answer is needed") } else { Ok(text.to_owned()) }
}

fn site(text: &str) -> Result<String, &'static str> {
    let parsed = Site::parse(text).ok_or("a domain name in lower case, as hospital.example")?;
    Ok(parsed.to_string())
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an address and a port, as 10.0.0.5:11112")
}

fn host(text: &str, port: Option<u16>) -> Result<Host, &'static str> {
    let wrong = "a host and a port, as pacs.hospital.example:104";
    let (name, port) = match (text.rsplit_once(':'), port) {
        (Some((name, port)), _) => (name, port.parse().map_err(|_| wrong)?),
        (None, Some(port)) => (text, port),
        (None, None) => return Err(wrong),
    };
    if name.is_empty() || name.contains([' ', '/', '@']) {
        return Err(wrong);
    }
    Ok(Host { name: name.to_owned(), port })
}

fn ae_title(text: &str) -> Result<String, &'static str> {
    let fits = (1..=AE_TITLE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\');
    if fits { Ok(text.to_owned()) } else { Err("an AE title has 1 to 16 characters, no backslash") }
}

/// `DR_TANAKA`; none where the name is too long for it.
fn ae_title_of(doctor: &str) -> Option<String> {
    Some(format!("DR_{}", doctor.to_uppercase())).filter(|title| title.len() <= AE_TITLE_CHARS_MAX)
}

fn mail_address(text: &str) -> Result<String, &'static str> {
    Address::parse(text).map(|_| text.to_owned()).ok_or("a mail address, in ASCII")
}

fn doctor_key(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits { Ok(text.to_owned()) } else { Err("letters of a to z, digits, - and _") }
}

fn language(text: &str) -> Result<Language, &'static str> {
    match text {
        "ja" => Ok(Language::Japanese),
        "en" => Ok(Language::English),
        _ => Err("ja or en"),
    }
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no"),
    }
}

fn time_zone(text: &str) -> Result<String, &'static str> {
    let found = jiff::tz::TimeZone::get(text).is_ok();
    if found { Ok(text.to_owned()) } else { Err("a name like Asia/Tokyo; tzdata must be installed") }
}

/// The address of this machine by which it reaches the PACS. Nothing is sent.
fn own_address(pacs: Option<&Pacs>) -> IpAddr {
    let towards = |pacs: &Pacs| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((pacs.address.name.as_str(), pacs.address.port))?;
        socket.local_addr()
    };
    pacs.and_then(|pacs| towards(pacs).ok()).map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

fn own_time_zone() -> String {
    let named = std::fs::read_to_string("/etc/timezone").unwrap_or_default();
    // A machine that nobody has told where it is says UTC.
    match named.trim() {
        "" | "Etc/UTC" => "Asia/Tokyo".to_owned(),
        zone => zone.to_owned(),
    }
}
