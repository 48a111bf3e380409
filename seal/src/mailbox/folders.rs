//! Which folders a mailbox has (RFC 3501 6.3.8).

use super::{Found, ImapUid, Mailbox, MailboxError, REPLY_BYTES_MAX, quoted};
use crate::ids::DeliveryId;
use crate::limits::PIECES_MAX;
use crate::mail::Part;
use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response};

/// Folders that one list may have; real mailboxes have some dozens.
const LISTED_MAX: usize = 10_000;
/// Folders in which moved pieces are looked for.
const SEARCHED_MAX: usize = 200;

/// A folder that can hold mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name, as commands take it.
    pub name: String,
    /// It shows the mails of other folders as well (RFC 6154: `\All`, `\Flagged`; RFC 8457: `\Important`).
    pub is_view: bool,
    /// Mails are moved to it, by a filter or a person (RFC 6154: `\Archive`, `\Junk`, `\Trash`).
    pub is_place_for_moved: bool,
    /// Whether its name can be sent: IMAP spells names in ASCII, and a server may not.
    pub is_sendable: bool,
    /// What parts the levels of its name; none where it has one level. Each namespace may have its own (RFC 2342 5).
    pub delimiter: Option<char>,
}

impl Mailbox {
    /// The folders that this login sees and whose names begin with `start`, in the server's order.
    ///
    /// # Errors
    /// [`MailboxError::TooManyFolders`] beyond 10,000.
    pub async fn list(&mut self, start: &str) -> Result<Vec<Listed>, MailboxError> {
        let command = format!("LIST \"\" {}", quoted(&format!("{start}*"))?);
        let mut listed = Vec::new();
        let reply = self.link.command("LIST", &command, REPLY_BYTES_MAX, |response| {
            // No more is kept than says that it is too much. `start` may itself hold what matches more.
            if listed.len() <= LISTED_MAX {
                listed.extend(folder(response).filter(|folder: &Listed| folder.name.starts_with(start)));
            }
        });
        reply.await?.accepted("LIST")?;
        if listed.len() > LISTED_MAX {
            return Err(MailboxError::TooManyFolders { folders_max: LISTED_MAX });
        }
        Ok(listed)
    }

    /// What parts the levels of names like `folder`; none where names have one level.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn delimiter(&mut self, folder: &str) -> Result<Option<char>, MailboxError> {
        // An empty name asks for the delimiter (RFC 3501 6.3.8): the folder itself may be in no list.
        let (command, mut answer) = (format!("LIST {} \"\"", quoted(folder)?), None);
        let reply = self.link.command("LIST", &command, REPLY_BYTES_MAX, |response| {
            if let Response::MailboxData(MailboxDatum::List(data)) = response {
                answer = Some(delimiter_of(data.delimiter.as_deref()));
            }
        });
        reply.await?.accepted("LIST")?;
        // A server that names none has not said that names have one level.
        answer.ok_or(MailboxError::Refused { during: "LIST" })
    }

    /// Pieces of a delivery in all folders of this login but the first of the configured ones: a mail program or a filter may have moved them there. A
    /// folder that cannot be opened or searched holds up no other.
    ///
    /// # Errors
    /// [`MailboxError`] of the list or the connection.
    pub async fn moved_pieces(&mut self, delivery: DeliveryId) -> Result<Vec<Found>, MailboxError> {
        let mut folders = self.list("").await?;
        folders.retain(|folder| folder.is_sendable && self.folders.first() != Some(&folder.name));
        let mut pieces = Vec::new();
        let is_piece =
            |found: &Found| matches!(found.id.part(), Part::Piece(_)) && found.id.delivery() == delivery;
        for folder in folders.iter().take(SEARCHED_MAX) {
            let left = (PIECES_MAX as usize).saturating_sub(pieces.len());
            if left == 0 {
                break;
            }
            match self.find(&folder.name, ImapUid(1), &format!("<{delivery}.")).await {
                Ok(found) => pieces.extend(found.into_iter().filter(is_piece).take(left)),
                Err(
                    MailboxError::NoFolder { .. }
                    | MailboxError::Refused { .. }
                    | MailboxError::TooMany { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pieces)
    }
}

fn delimiter_of(text: Option<&str>) -> Option<char> {
    text.and_then(|text| text.chars().next())
}

fn is_view(attribute: &NameAttribute<'_>) -> bool {
    match attribute {
        NameAttribute::All | NameAttribute::Flagged => true,
        NameAttribute::Extension(name) => name.eq_ignore_ascii_case("\\Important"),
        _ => false,
    }
}

fn is_place_for_moved(attribute: &NameAttribute<'_>) -> bool {
    matches!(attribute, NameAttribute::Archive | NameAttribute::Junk | NameAttribute::Trash)
}

fn folder(response: &Response<'_>) -> Option<Listed> {
    let Response::MailboxData(MailboxDatum::List(data)) = response else { return None };
    let is_nothing = |attribute: &NameAttribute<'_>| match attribute {
        NameAttribute::NoSelect => true,
        // RFC 5258 3.
        NameAttribute::Extension(name) => name.eq_ignore_ascii_case("\\NonExistent"),
        _ => false,
    };
    if data.name_attributes.iter().any(is_nothing) {
        return None;
    }
    // The library leaves escapes as they are, so that a name with one can be read in two ways.
    let is_sendable = quoted(&data.name).is_ok() && !data.name.contains('\\');
    Some(Listed {
        name: data.name.clone().into_owned(),
        is_view: data.name_attributes.iter().any(is_view),
        is_place_for_moved: data.name_attributes.iter().any(is_place_for_moved),
        is_sendable,
        delimiter: delimiter_of(data.delimiter.as_deref()),
    })
}
