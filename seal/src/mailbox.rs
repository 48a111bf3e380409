//! The IMAPS client of both ends: connect, look for our messages by Message-ID, fetch in bounded parts, append.
//!
//! Folders are opened read-only (EXAMINE) and bodies fetched with PEEK, so looking changes nothing. A message of
//! somebody else in the folder does no harm: only Message-IDs laid out as in SPEC 6.2 are shown. What the server says is
//! never put into an error or a log line: a reply can hold the text of a mail.

mod error;
mod folders;
mod quota;
mod session;
mod watch;

#[cfg(test)]
mod tests;

pub use error::MailboxError;
pub use folders::Listed;
pub use quota::Fill;

use crate::ids::DeliveryId;
use crate::limits::FETCH_BYTES_MAX;
use crate::mail::{Base64Decoder, MessageId, Part};
use async_imap::imap_proto::{
    AttributeValue, Capability, MailboxDatum, MessageSection, Response, ResponseCode, SectionPath,
};
use session::{Link, Reply};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tls::{ClientFiles, FixedTrust};

/// Longest wait for a connection with TLS and login.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for one command; a search through a large folder of an idle server took seconds.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(90);
/// Our messages that one search may find: the pieces of many deliveries.
const FOUND_MAX: usize = 100_000;
/// Messages whose Message-ID is asked for in one command; keeps the command line below 8 kB (RFC 7162 4).
const HEADERS_PER_COMMAND: usize = 500;
/// Longest Message-ID line asked for (RFC 5322 2.1.1).
const MESSAGE_ID_LINE_MAX: usize = 998;
/// Octets that replies to one command may have besides what was asked for.
const REPLY_BYTES_MAX: u64 = 4 << 20;
/// Longest folder name.
const FOLDER_BYTES_MAX: usize = 1000;

/// Where a mailbox is and who logs in.
#[derive(Clone)]
pub struct MailboxConfig {
    /// Host name as in the server's certificate.
    pub host: String,
    /// Port, normally 993.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Whom to trust, and who we are.
    pub tls: ClientFiles,
    /// Folders to look into, ASCII (RFC 3501 5.1.3 spelling for others). No other is named in an error of a fetch.
    pub folders: Vec<String>,
}

impl fmt::Debug for MailboxConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MailboxConfig({}:{}, {:?})", self.host, self.port, self.folders)
    }
}

/// UID of a message in a folder (RFC 3501 2.3.1.1); not a DICOM UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImapUid(pub u32);

/// A message of ours in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The folder.
    pub folder: String,
    /// The message in it.
    pub uid: ImapUid,
    /// UIDVALIDITY under which `uid` means this message.
    pub uid_validity: u32,
    /// What it is.
    pub id: MessageId,
    /// Octets of the whole message as the server stores it.
    pub rfc822_size: u32,
}

/// State of a folder when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderState {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UID that the next message gets; 0 if the server did not say.
    pub uid_next: u32,
}

/// A logged-in connection. After any error but a refusal it is closed, and every further call says so: connect again.
#[derive(Debug)]
pub struct Mailbox {
    link: Link,
    folders: Vec<String>,
    opened: Option<(String, FolderState)>,
    /// The server can be asked for quotas; none before it said so.
    keeps_quota: Option<bool>,
}

impl Mailbox {
    /// Connects by implicit TLS and logs in.
    ///
    /// # Errors
    /// [`MailboxError`] by who must act.
    pub async fn connect(config: &MailboxConfig) -> Result<Self, MailboxError> {
        Self::connect_within(config, CONNECT_TIMEOUT, COMMAND_TIMEOUT).await
    }

    /// [`Mailbox::connect`] with other waits than the default ones.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn connect_within(
        config: &MailboxConfig,
        connect: Duration,
        command: Duration,
    ) -> Result<Self, MailboxError> {
        let link = Link::open(config, connect, command).await?;
        Ok(Self { link, folders: config.folders.clone(), opened: None, keeps_quota: None })
    }

    /// [`Mailbox::connect`] with roots read and addresses found earlier: for a process that may open no file and look up no name.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn connect_to(
        config: &MailboxConfig,
        trust: &FixedTrust,
        addresses: &[SocketAddr],
    ) -> Result<Self, MailboxError> {
        let link = Link::open_to(config, trust, addresses).await?;
        Ok(Self { link, folders: config.folders.clone(), opened: None, keeps_quota: None })
    }

    /// The covers in all configured folders, those of one site only if it is given, oldest first in each folder.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn covers(&mut self, site: Option<&str>) -> Result<Vec<Found>, MailboxError> {
        let needle = format!(".cover@{}", site.unwrap_or_default());
        self.find_everywhere(&needle, |id| is_cover(id, site)).await
    }

    /// Every message of a delivery in all configured folders: pieces, cover, receipts.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn parts_of(&mut self, delivery: DeliveryId) -> Result<Vec<Found>, MailboxError> {
        self.find_everywhere(&format!("<{delivery}."), |id| id.delivery() == delivery).await
    }

    /// Our messages in `folder` with a UID of at least `from` whose Message-ID contains `needle`.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn find(
        &mut self,
        folder: &str,
        from: ImapUid,
        needle: &str,
    ) -> Result<Vec<Found>, MailboxError> {
        let state = self.open_folder(folder).await?;
        let uids = self.search(from, needle).await?;
        let mut found = Vec::new();
        for chunk in uids.chunks(HEADERS_PER_COMMAND) {
            self.message_ids(chunk, &mut |uid, id, rfc822_size| {
                let folder = folder.to_owned();
                found.push(Found { folder, uid, uid_validity: state.uid_validity, id, rfc822_size });
            })
            .await?;
        }
        found.sort_by_key(|found| found.uid);
        Ok(found)
    }

    /// Opens `folder` read-only, anew, so that messages that came since are seen.
    ///
    /// # Errors
    /// [`MailboxError::NoFolder`] if it is missing or may not be read.
    pub async fn open_folder(&mut self, folder: &str) -> Result<FolderState, MailboxError> {
        self.opened = None;
        let command = format!("EXAMINE {}", quoted(folder)?);
        let mut state = FolderState { uid_validity: 0, uid_next: 0 };
        let reply = self
            .link
            .command("EXAMINE", &command, REPLY_BYTES_MAX, |response| note_state(response, &mut state));
        match reply.await? {
            Reply::Ok => {}
            Reply::Unavailable => return Err(MailboxError::Refused { during: "EXAMINE" }),
            _ => return Err(MailboxError::NoFolder { folder: folder.to_owned() }),
        }
        self.opened = Some((folder.to_owned(), state));
        self.link.opened();
        Ok(state)
    }

    /// Whether the folder is there and may be read.
    ///
    /// # Errors
    /// [`MailboxError`], except `NoFolder`, which is the answer `false`.
    pub async fn folder_exists(&mut self, folder: &str) -> Result<bool, MailboxError> {
        match self.open_folder(folder).await {
            Ok(_) => Ok(true),
            Err(MailboxError::NoFolder { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Fetches the body of a message in parts of 1 MiB, takes the base64 off and writes the bytes to `sink`; gives their number.
    ///
    /// # Errors
    /// [`MailboxError::TooLarge`] beyond `bytes_max` bytes, [`MailboxError::Gone`] if the message is no longer there.
    pub async fn fetch_body(
        &mut self,
        found: &Found,
        sink: &mut (dyn Write + Send),
        bytes_max: u64,
    ) -> Result<u64, MailboxError> {
        self.reopen(found).await?;
        let encoded_max = bytes_max.saturating_mul(2).saturating_add(u64::from(FETCH_BYTES_MAX));
        let (mut decoder, mut decoded) = (Base64Decoder::new(), Vec::new());
        let (mut offset, mut written) = (0_u64, 0_u64);
        loop {
            let part = self.part(found.uid, offset).await?;
            // Nothing stands for what lies behind the end, and for a message that somebody has moved meanwhile (RFC 5530 3: EXPUNGEISSUED).
            if part.is_empty() && !self.is_there(found).await? {
                return Err(MailboxError::Gone);
            }
            decoded.clear();
            decoder.push(&part, &mut decoded).map_err(|_| MailboxError::NotBase64)?;
            offset = offset.saturating_add(part.len() as u64);
            written = written.saturating_add(decoded.len() as u64);
            if written > bytes_max || offset > encoded_max {
                return Err(MailboxError::TooLarge { bytes_max });
            }
            sink.write_all(&decoded).map_err(MailboxError::Disk)?;
            if part.len() < FETCH_BYTES_MAX as usize {
                break;
            }
        }
        decoder.finish().map_err(|_| MailboxError::NotBase64)?;
        Ok(written)
    }

    /// Appends a whole message, ASCII with CRLF line ends, without flags.
    ///
    /// # Errors
    /// [`MailboxError::NoFolder`], [`MailboxError::Quota`], or any other.
    pub async fn append(&mut self, folder: &str, message: &[u8]) -> Result<(), MailboxError> {
        let text = std::str::from_utf8(message).map_err(|_| MailboxError::Unsendable { what: "message" })?;
        let command = format!("APPEND {} {{{}}}", quoted(folder)?, message.len());
        match self.link.append(&command, text).await? {
            Reply::Ok => Ok(()),
            Reply::OverQuota => Err(MailboxError::Quota { folder: folder.to_owned() }),
            Reply::TryCreate => Err(MailboxError::NoFolder { folder: folder.to_owned() }),
            Reply::No | Reply::Unavailable => Err(MailboxError::Refused { during: "APPEND" }),
        }
    }

    /// Deletes these messages, all of one folder, for good, and no other (RFC 4315). False where this login has no right to (RFC 4314: t, e), or
    /// the server cannot; then some may be marked as deleted and all are still there.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn remove(&mut self, found: &[Found]) -> Result<bool, MailboxError> {
        let Some(first) = found.first() else { return Ok(true) };
        self.opened = None;
        let mut state = FolderState { uid_validity: 0, uid_next: 0 };
        let command = format!("SELECT {}", quoted(&first.folder)?);
        let reply = self.link.command("SELECT", &command, REPLY_BYTES_MAX, |response| {
            note_state(response, &mut state);
        });
        if !allowed(reply.await?, "SELECT")? {
            return Ok(false);
        }
        if state.uid_validity != first.uid_validity {
            return Err(MailboxError::Gone);
        }
        // Without it UIDs tell nothing (RFC 3501 2.3.1.1).
        if state.uid_validity == 0 {
            return Ok(false);
        }
        // UID EXPUNGE, or a protocol that includes it.
        if !self.has_one_of(&["UIDPLUS", "IMAP4rev2"]).await? {
            return Ok(false);
        }
        // Since they were found, a folder may have been made anew by a server that gives the same UIDVALIDITY to each.
        let delivery = first.id.delivery().to_string();
        let there = self.search(ImapUid(1), &delivery).await?;
        let goes: Vec<u32> =
            found.iter().map(|found| found.uid.0).filter(|uid| there.contains(uid)).collect();
        for chunk in goes.chunks(HEADERS_PER_COMMAND) {
            let uids = chunk.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let mark = format!("UID STORE {uids} +FLAGS.SILENT (\\Deleted)");
            let marked = self.link.command("STORE", &mark, REPLY_BYTES_MAX, |_| {}).await?;
            let expunge = format!("UID EXPUNGE {uids}");
            if !allowed(marked, "STORE")?
                || !allowed(
                    self.link.command("EXPUNGE", &expunge, REPLY_BYTES_MAX, |_| {}).await?,
                    "EXPUNGE",
                )?
            {
                return Ok(false);
            }
        }
        // A server may answer OK to a login without the rights, and do nothing.
        let left = self.search(ImapUid(1), &delivery).await?;
        Ok(!found.iter().any(|found| left.contains(&found.uid.0)))
    }

    /// Whether the server says that it has one of these capabilities.
    async fn has_one_of(&mut self, names: &[&str]) -> Result<bool, MailboxError> {
        let mut has = false;
        let reply = self.link.command("CAPABILITY", "CAPABILITY", REPLY_BYTES_MAX, |response| {
            if let Response::Capabilities(capabilities) = response {
                has |= capabilities.iter().any(|capability| {
                    matches!(capability, Capability::Atom(name) if names.iter().any(|known| name.eq_ignore_ascii_case(known)))
                });
            }
        });
        reply.await?.accepted("CAPABILITY")?;
        Ok(has)
    }

    /// Says goodbye; errors do not matter any more.
    pub async fn logout(mut self) {
        let _ = self.link.command("LOGOUT", "LOGOUT", REPLY_BYTES_MAX, |_| {}).await;
    }

    async fn find_everywhere(
        &mut self,
        needle: &str,
        wanted: impl Fn(&MessageId) -> bool,
    ) -> Result<Vec<Found>, MailboxError> {
        let mut all = Vec::new();
        for folder in self.folders.clone() {
            all.extend(self.find(&folder, ImapUid(1), needle).await?);
        }
        all.retain(|found| wanted(&found.id));
        Ok(all)
    }

    async fn search(&mut self, from: ImapUid, needle: &str) -> Result<Vec<u32>, MailboxError> {
        let command = format!("UID SEARCH UID {}:* HEADER Message-ID {}", from.0, quoted(needle)?);
        let mut uids = BTreeSet::new();
        let reply = self.link.command("SEARCH", &command, REPLY_BYTES_MAX, |response| {
            if let Response::MailboxData(MailboxDatum::Search(hits)) = response {
                // `n:*` always includes the last message, even below n (RFC 3501 6.4.8).
                uids.extend(hits.iter().copied().filter(|uid| *uid >= from.0));
            }
        });
        reply.await?.accepted("SEARCH")?;
        if uids.len() > FOUND_MAX {
            return Err(MailboxError::TooMany { messages_max: FOUND_MAX });
        }
        Ok(uids.into_iter().collect())
    }

    async fn message_ids(
        &mut self,
        uids: &[u32],
        each: &mut (dyn FnMut(ImapUid, MessageId, u32) + Send),
    ) -> Result<(), MailboxError> {
        let set: Vec<String> = uids.iter().map(u32::to_string).collect();
        let command = format!(
            "UID FETCH {} (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]<0.{MESSAGE_ID_LINE_MAX}>)",
            set.join(",")
        );
        // Each at most once, and none that was not asked for.
        let mut asked: HashSet<u32> = uids.iter().copied().collect();
        let reply = self.link.command("FETCH", &command, REPLY_BYTES_MAX, |response| {
            if let Some((uid, id, size)) = listed(response)
                && asked.remove(&uid.0)
            {
                each(uid, id, size);
            }
        });
        reply.await?.accepted("FETCH")
    }

    /// Whether the message is in its folder, which is opened anew: else a server may still list what is gone.
    async fn is_there(&mut self, found: &Found) -> Result<bool, MailboxError> {
        self.opened = None;
        self.reopen(found).await?;
        let mut is_there = false;
        let command = format!("UID FETCH {} (UID)", found.uid.0);
        let reply = self.link.command("FETCH", &command, REPLY_BYTES_MAX, |response| {
            is_there |= matches!(response, Response::Fetch(_, attributes) if has_uid(attributes, found.uid));
        });
        reply.await?.accepted("FETCH")?;
        Ok(is_there)
    }

    async fn part(&mut self, uid: ImapUid, offset: u64) -> Result<Vec<u8>, MailboxError> {
        let command = format!("UID FETCH {} (UID BODY.PEEK[1]<{offset}.{FETCH_BYTES_MAX}>)", uid.0);
        let budget = REPLY_BYTES_MAX + u64::from(FETCH_BYTES_MAX);
        let mut part = None;
        let reply = self.link.command("FETCH", &command, budget, |response| {
            if let Some(data) = body_part(response, uid) {
                part = Some(data);
            }
        });
        reply.await?.accepted("FETCH")?;
        part.filter(|part| part.len() <= FETCH_BYTES_MAX as usize).ok_or(MailboxError::Gone)
    }

    /// Makes sure that the message's folder is open and that its UIDs still mean the same. Only a configured folder is told as missing: the names of others
    /// are a person's words.
    async fn reopen(&mut self, found: &Found) -> Result<(), MailboxError> {
        let state = match &self.opened {
            Some((folder, state)) if *folder == found.folder => *state,
            _ => match self.open_folder(&found.folder).await {
                Err(MailboxError::NoFolder { folder }) if !self.folders.contains(&folder) => {
                    return Err(MailboxError::Gone);
                }
                opened => opened?,
            },
        };
        if state.uid_validity == found.uid_validity { Ok(()) } else { Err(MailboxError::Gone) }
    }
}

/// False for a NO that is meant to last.
fn allowed(reply: Reply, during: &'static str) -> Result<bool, MailboxError> {
    match reply {
        Reply::Ok => Ok(true),
        Reply::Unavailable => Err(MailboxError::Refused { during }),
        _ => Ok(false),
    }
}

fn is_cover(id: &MessageId, site: Option<&str>) -> bool {
    id.part() == Part::Cover && site.is_none_or(|site| id.site().as_str() == site)
}

/// Text of a quoted string (RFC 3501 9): folders and Message-IDs are ASCII without control characters.
fn quoted(text: &str) -> Result<String, MailboxError> {
    let plain = text.len() <= FOLDER_BYTES_MAX && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !plain {
        return Err(MailboxError::Unsendable { what: "folder name or Message-ID" });
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn note_state(response: &Response<'_>, state: &mut FolderState) {
    let Response::Data { outcome, .. } = response else { return };
    match outcome.code {
        Some(ResponseCode::UidValidity(uid_validity)) => state.uid_validity = uid_validity,
        Some(ResponseCode::UidNext(uid_next)) => state.uid_next = uid_next,
        _ => {}
    }
}

fn listed(response: &Response<'_>) -> Option<(ImapUid, MessageId, u32)> {
    let Response::Fetch(_, attributes) = response else { return None };
    let (mut uid, mut id, mut size) = (None, None, None);
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(value) => uid = Some(ImapUid(*value)),
            AttributeValue::Rfc822Size(value) => size = Some(*value),
            AttributeValue::BodySection {
                section: Some(SectionPath::Full(MessageSection::Header)),
                data: Some(header),
                ..
            } => id = message_id_in(header),
            _ => {}
        }
    }
    Some((uid?, id?, size?))
}

/// The Message-ID in a header field as fetched, folded (RFC 5322 2.2.3) or not; none if it is not exactly one of ours.
fn message_id_in(header: &[u8]) -> Option<MessageId> {
    let (name, value) = std::str::from_utf8(header).ok()?.split_once(':')?;
    name.eq_ignore_ascii_case("message-id").then(|| MessageId::parse(value.trim()))?
}

fn body_part(response: &Response<'_>, wanted: ImapUid) -> Option<Vec<u8>> {
    let Response::Fetch(_, attributes) = response else { return None };
    let data = attributes.iter().find_map(|value| match value {
        AttributeValue::BodySection { section: Some(SectionPath::Part(numbers, None)), data, .. }
            if numbers == &[1] =>
        {
            Some(data.as_deref().unwrap_or_default().to_vec())
        }
        _ => None,
    });
    data.filter(|_| has_uid(attributes, wanted))
}

fn has_uid(attributes: &[AttributeValue<'_>], wanted: ImapUid) -> bool {
    attributes.iter().any(|value| matches!(value, AttributeValue::Uid(uid) if *uid == wanted.0))
}
