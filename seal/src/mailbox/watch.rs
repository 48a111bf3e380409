//! What a portal needs beside [`Mailbox::find`]: IDLE (RFC 2177), the list of messages, and octets of a body as they lie there.

use super::{Found, HEADERS_PER_COMMAND, ImapUid, Mailbox, MailboxError, REPLY_BYTES_MAX, body_part};
use crate::limits::FETCH_BYTES_MAX;
use async_imap::imap_proto::{AttributeValue, BodyStructure, MailboxDatum, Response};
use std::time::Duration;
use time::OffsetDateTime;
use time::macros::format_description;

/// Messages of any kind that a folder may hold: a year of a busy doctor's.
const MESSAGES_MAX: usize = 200_000;

impl Mailbox {
    /// Waits in the folder that is open until something changes there, at most `wait`; gives whether it did.
    ///
    /// # Errors
    /// [`MailboxError::Refused`] from a server without IDLE; the connection stays.
    pub async fn idle(&mut self, wait: Duration) -> Result<bool, MailboxError> {
        self.link.idle(wait).await
    }

    /// UIDs of every message in `folder`, which is opened anew, with its UIDVALIDITY.
    ///
    /// # Errors
    /// [`MailboxError::NoFolder`], [`MailboxError::TooMany`].
    pub async fn uids(&mut self, folder: &str) -> Result<(u32, Vec<ImapUid>), MailboxError> {
        let state = self.open_folder(folder).await?;
        let mut uids = Vec::new();
        let reply = self.link.command("SEARCH", "UID SEARCH ALL", REPLY_BYTES_MAX, |response| {
            if let Response::MailboxData(MailboxDatum::Search(hits)) = response {
                uids.extend(hits.iter().copied().map(ImapUid));
            }
        });
        reply.await?.accepted("SEARCH")?;
        if uids.len() > MESSAGES_MAX {
            return Err(MailboxError::TooMany { messages_max: MESSAGES_MAX });
        }
        uids.sort();
        Ok((state.uid_validity, uids))
    }

    /// Those of these messages in the folder that is open which are ours.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn identify(&mut self, uids: &[ImapUid]) -> Result<Vec<Found>, MailboxError> {
        let Some((folder, state)) = self.opened.clone() else {
            return Err(MailboxError::Lost { during: "FETCH" });
        };
        let uids: Vec<u32> = uids.iter().map(|uid| uid.0).collect();
        let mut found = Vec::new();
        for chunk in uids.chunks(HEADERS_PER_COMMAND) {
            self.message_ids(chunk, &mut |uid, id, rfc822_size| {
                let folder = folder.clone();
                found.push(Found { folder, uid, uid_validity: state.uid_validity, id, rfc822_size });
            })
            .await?;
        }
        Ok(found)
    }

    /// When the server took a message, seconds since 1970-01-01 UTC (RFC 3501 2.3.3); 0 if it says nothing that can be read.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn received_at(&mut self, found: &Found) -> Result<i64, MailboxError> {
        self.reopen(found).await?;
        let (mut at, command) = (0, format!("UID FETCH {} (UID INTERNALDATE)", found.uid.0));
        let reply = self.link.command("FETCH", &command, REPLY_BYTES_MAX, |response| {
            if let Response::Fetch(_, attributes) = response
                && attributes
                    .iter()
                    .any(|value| matches!(value, AttributeValue::Uid(uid) if *uid == found.uid.0))
            {
                at = attributes.iter().find_map(internal_date).unwrap_or(at);
            }
        });
        reply.await?.accepted("FETCH")?;
        Ok(at)
    }

    /// Octets of the body of a message, base64 with its line ends, as the server counts them.
    ///
    /// # Errors
    /// [`MailboxError::Gone`].
    pub async fn body_octets(&mut self, found: &Found) -> Result<u64, MailboxError> {
        self.reopen(found).await?;
        let (mut octets, command) = (None, format!("UID FETCH {} (UID BODYSTRUCTURE)", found.uid.0));
        let reply = self.link.command("FETCH", &command, REPLY_BYTES_MAX, |response| {
            if let Response::Fetch(_, attributes) = response
                && attributes
                    .iter()
                    .any(|value| matches!(value, AttributeValue::Uid(uid) if *uid == found.uid.0))
            {
                octets = attributes.iter().find_map(first_part_octets).or(octets);
            }
        });
        reply.await?.accepted("FETCH")?;
        octets.ok_or(MailboxError::Gone)
    }

    /// At most `octets` octets of the body from `offset`, as they lie there; fewer at its end. `octets` is at most 1 MiB.
    ///
    /// # Errors
    /// [`MailboxError::Gone`].
    pub async fn body_range(
        &mut self,
        found: &Found,
        offset: u64,
        octets: u32,
    ) -> Result<Vec<u8>, MailboxError> {
        self.reopen(found).await?;
        let octets = octets.min(FETCH_BYTES_MAX);
        let command = format!("UID FETCH {} (UID BODY.PEEK[1]<{offset}.{octets}>)", found.uid.0);
        let budget = REPLY_BYTES_MAX + u64::from(octets);
        let mut part = None;
        let reply = self.link.command("FETCH", &command, budget, |response| {
            if let Some(data) = body_part(response, found.uid) {
                part = Some(data);
            }
        });
        reply.await?.accepted("FETCH")?;
        part.filter(|part| part.len() <= octets as usize).ok_or(MailboxError::Gone)
    }
}

/// `17-Jul-1996 02:44:25 -0700`, the day with a blank before it where it has one digit (RFC 3501 9, date-time).
fn internal_date(value: &AttributeValue<'_>) -> Option<i64> {
    let AttributeValue::InternalDate(text) = value else { return None };
    let format = format_description!(
        "[day padding:none]-[month repr:short]-[year] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    OffsetDateTime::parse(text.trim_start(), format).ok().map(|at| at.unix_timestamp())
}

fn first_part_octets(value: &AttributeValue<'_>) -> Option<u64> {
    let AttributeValue::BodyStructure(body) = value else { return None };
    let body = match body {
        BodyStructure::Multipart { bodies, .. } => bodies.first()?,
        single => single,
    };
    match body {
        BodyStructure::Basic { other, .. } | BodyStructure::Text { other, .. } => {
            Some(u64::from(other.octets))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_imap_writes_them() {
        for (text, at) in [
            ("17-Jul-1996 02:44:25 -0700", 837_596_665),
            (" 7-Nov-2026 00:00:00 +0000", 1_794_009_600),
            ("07-Nov-2026 09:00:00 +0900", 1_794_009_600),
        ] {
            assert_eq!(internal_date(&AttributeValue::InternalDate(text.into())), Some(at), "{text}");
        }
        assert_eq!(internal_date(&AttributeValue::InternalDate("yesterday".into())), None);
    }
}
