//! Command sets: what of a peer's is understood, and how ours are built (PS3.7 6.3, 9.3, E).

use super::elements::{Damaged, Element, Elements, push};
use super::{field, status};
use compressor::Uid;

const GROUP_LENGTH: u32 = 0x0000_0000;
const AFFECTED_SOP_CLASS_UID: u32 = 0x0000_0002;
const COMMAND_FIELD: u32 = 0x0000_0100;
const MESSAGE_ID: u32 = 0x0000_0110;
const MESSAGE_ID_RESPONDED_TO: u32 = 0x0000_0120;
const MOVE_DESTINATION: u32 = 0x0000_0600;
const PRIORITY: u32 = 0x0000_0700;
const COMMAND_DATA_SET_TYPE: u32 = 0x0000_0800;
const STATUS: u32 = 0x0000_0900;
const ERROR_COMMENT: u32 = 0x0000_0902;
const AFFECTED_SOP_INSTANCE_UID: u32 = 0x0000_1000;
const REMAINING_SUBOPERATIONS: u32 = 0x0000_1020;
const COMPLETED_SUBOPERATIONS: u32 = 0x0000_1021;
const FAILED_SUBOPERATIONS: u32 = 0x0000_1022;
const WARNING_SUBOPERATIONS: u32 = 0x0000_1023;

/// Command Data Set Type for "no data set"; anything else means there is one (PS3.7 E.1).
const NO_DATA_SET: u16 = 0x0101;
/// What we write for "a data set follows".
const DATA_SET: u16 = 0x0000;
/// Priority MEDIUM (PS3.7 E.1-1).
const PRIORITY_MEDIUM: u16 = 0x0000;
/// Characters of an LO value, which Error Comment is (PS3.5 6.2).
const ERROR_COMMENT_BYTES_MAX: usize = 64;

/// A peer's command set, as far as it is needed. Move originator and priority are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Command Field (0000,0100), see [`field`].
    pub field: u16,
    /// Message ID (0000,0110), of a request.
    pub message_id: Option<u16>,
    /// Message ID Being Responded To (0000,0120), of a response or a cancel.
    pub responds_to: Option<u16>,
    /// Affected SOP Class UID (0000,0002); a value that is no UID is left out.
    pub sop_class: Option<Uid>,
    /// Affected SOP Instance UID (0000,1000); a value that is no UID is left out.
    pub sop_instance: Option<Uid>,
    /// Status (0000,0900), of a response.
    pub status: Option<u16>,
    /// A data set follows.
    pub data_set: bool,
    /// What a response to C-GET or C-MOVE claims.
    pub suboperations: Suboperations,
}

/// Numbers of sub-operations as a peer tells them (PS3.7 9.3.3.2, 9.3.4.2). Claims: nobody believes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suboperations {
    /// Still to come (0000,1020).
    pub remaining: Option<u16>,
    /// Done (0000,1021).
    pub completed: Option<u16>,
    /// Failed (0000,1022).
    pub failed: Option<u16>,
    /// Done with a warning (0000,1023).
    pub warning: Option<u16>,
}

/// A command set that cannot be followed. Holds no value of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// The elements cannot be read.
    #[error("command set: {0}")]
    Damaged(#[from] Damaged),
    /// An element outside group 0000 (PS3.7 6.3.1).
    #[error("command set: element {0:08x} is not of group 0000")]
    ForeignGroup(u32),
    /// A required element is missing or has a wrong length.
    #[error("command set: element {0:08x} is missing or has a wrong length")]
    Missing(u32),
}

impl Command {
    /// Reads a whole command set.
    ///
    /// # Errors
    /// [`InvalidCommand`]; the association cannot go on, since nobody knows whether a data set follows.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidCommand> {
        let mut seen = Seen::default();
        for element in Elements::of(bytes) {
            seen.take(element?)?;
        }
        Ok(Self {
            field: seen.field.ok_or(InvalidCommand::Missing(COMMAND_FIELD))?,
            message_id: seen.message_id,
            responds_to: seen.responds_to,
            sop_class: seen.sop_class,
            sop_instance: seen.sop_instance,
            status: seen.status,
            data_set: seen.data_set_type.ok_or(InvalidCommand::Missing(COMMAND_DATA_SET_TYPE))?
                != NO_DATA_SET,
            suboperations: seen.suboperations,
        })
    }

    /// The command set of the response to this request: same UIDs, no data set (PS3.7 9.3.1.2, 9.3.5.2).
    ///
    /// `comment` is a constant text for whoever looks at the peer's log; it is left out where empty.
    pub fn response(&self, status: u16, comment: &'static str) -> Vec<u8> {
        let mut body = Vec::new();
        push_uid(&mut body, AFFECTED_SOP_CLASS_UID, self.sop_class.as_ref());
        push_u16(&mut body, COMMAND_FIELD, self.field | field::RESPONSE);
        push_u16(&mut body, MESSAGE_ID_RESPONDED_TO, self.message_id.unwrap_or_default());
        push_u16(&mut body, COMMAND_DATA_SET_TYPE, NO_DATA_SET);
        push_u16(&mut body, STATUS, status);
        if status != status::SUCCESS && !comment.is_empty() {
            let comment = comment.as_bytes();
            push(&mut body, ERROR_COMMENT, comment.get(..ERROR_COMMENT_BYTES_MAX).unwrap_or(comment), b' ');
        }
        push_uid(&mut body, AFFECTED_SOP_INSTANCE_UID, self.sop_instance.as_ref());
        with_group_length(&body)
    }
}

/// The command set of a request with an identifier: C-FIND, C-GET, or C-MOVE, which alone has a destination (PS3.7 9.3.2 to 9.3.4).
pub fn request(field: u16, sop_class: &str, message_id: u16, move_destination: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    push(&mut body, AFFECTED_SOP_CLASS_UID, sop_class.as_bytes(), 0);
    push_u16(&mut body, COMMAND_FIELD, field);
    push_u16(&mut body, MESSAGE_ID, message_id);
    if let Some(ae_title) = move_destination {
        push(&mut body, MOVE_DESTINATION, ae_title.as_bytes(), b' ');
    }
    push_u16(&mut body, PRIORITY, PRIORITY_MEDIUM);
    push_u16(&mut body, COMMAND_DATA_SET_TYPE, DATA_SET);
    with_group_length(&body)
}

/// The command set that has an instance stored (PS3.7 9.3.1.1).
pub fn store_request(sop_class: &Uid, sop_instance: &Uid, message_id: u16) -> Vec<u8> {
    let mut body = Vec::new();
    push_uid(&mut body, AFFECTED_SOP_CLASS_UID, Some(sop_class));
    push_u16(&mut body, COMMAND_FIELD, field::C_STORE_RQ);
    push_u16(&mut body, MESSAGE_ID, message_id);
    push_u16(&mut body, PRIORITY, PRIORITY_MEDIUM);
    push_u16(&mut body, COMMAND_DATA_SET_TYPE, DATA_SET);
    push_uid(&mut body, AFFECTED_SOP_INSTANCE_UID, Some(sop_instance));
    with_group_length(&body)
}

/// The command set that asks for the end of an operation (PS3.7 9.3.2.3).
pub fn cancel_request(message_id: u16) -> Vec<u8> {
    let mut body = Vec::new();
    push_u16(&mut body, COMMAND_FIELD, field::C_CANCEL_RQ);
    push_u16(&mut body, MESSAGE_ID_RESPONDED_TO, message_id);
    push_u16(&mut body, COMMAND_DATA_SET_TYPE, NO_DATA_SET);
    with_group_length(&body)
}

#[derive(Default)]
struct Seen {
    field: Option<u16>,
    message_id: Option<u16>,
    responds_to: Option<u16>,
    sop_class: Option<Uid>,
    sop_instance: Option<Uid>,
    status: Option<u16>,
    data_set_type: Option<u16>,
    suboperations: Suboperations,
}

impl Seen {
    fn take(&mut self, element: Element<'_>) -> Result<(), InvalidCommand> {
        match element.tag {
            COMMAND_FIELD => self.field = element.u16(),
            MESSAGE_ID => self.message_id = element.u16(),
            MESSAGE_ID_RESPONDED_TO => self.responds_to = element.u16(),
            COMMAND_DATA_SET_TYPE => self.data_set_type = element.u16(),
            STATUS => self.status = element.u16(),
            AFFECTED_SOP_CLASS_UID => self.sop_class = uid(element.value),
            AFFECTED_SOP_INSTANCE_UID => self.sop_instance = uid(element.value),
            REMAINING_SUBOPERATIONS => self.suboperations.remaining = element.u16(),
            COMPLETED_SUBOPERATIONS => self.suboperations.completed = element.u16(),
            FAILED_SUBOPERATIONS => self.suboperations.failed = element.u16(),
            WARNING_SUBOPERATIONS => self.suboperations.warning = element.u16(),
            tag if tag >> 16 != 0 => return Err(InvalidCommand::ForeignGroup(tag)),
            _ => {}
        }
        Ok(())
    }
}

/// A UID as it stands in an element.
pub fn uid(value: &[u8]) -> Option<Uid> {
    Uid::parse(std::str::from_utf8(value).ok()?).ok()
}

fn push_uid(body: &mut Vec<u8>, tag: u32, uid: Option<&Uid>) {
    if let Some(uid) = uid {
        push(body, tag, uid.as_str().as_bytes(), 0);
    }
}

fn push_u16(body: &mut Vec<u8>, tag: u32, value: u16) {
    push(body, tag, &value.to_le_bytes(), 0);
}

/// Group length (0000,0000) first: the only group that still has one (PS3.7 6.3.1).
fn with_group_length(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 12);
    let length = u32::try_from(body.len()).unwrap_or(0);
    push(&mut bytes, GROUP_LENGTH, &length.to_le_bytes(), 0);
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
