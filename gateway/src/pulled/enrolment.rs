//! What the inbound process hands over of an enrolment: the message itself, which fits into a record of fixed size, since it looks at nothing
//! in it. Who takes it checks its MAC or signature first.
//!
//! | bytes | field |
//! |---|---|
//! | 0…3 | `SCPE` |
//! | 4 | format, 1 |
//! | 5 | kind: 1 request, 2 renewal |
//! | 6, 7 | length of the message; 0 for one that was too large or no base64 |
//! | 8…23 | id, from the Message-ID |
//! | 24…1007 | message |
//! | 1008…1023 | 0 |

use super::record::RECORD_BYTES;
use seal::ids::InvitationId;
use seal::limits::ENROLMENT_BYTES_MAX;
use seal::mail::Part;

const START: [u8; 5] = *b"SCPE\x01";
const HEAD_BYTES: usize = 24;

/// A message about an enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// What it names itself.
    pub kind: EnrolmentKind,
    /// The invitation, or the id of the renewal.
    pub id: InvitationId,
    /// Its bytes, at most [`ENROLMENT_BYTES_MAX`]; nothing of them was looked at.
    pub message: Vec<u8>,
}

/// What a message names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolmentKind {
    /// A device asks to be enrolled.
    Request = 1,
    /// An enrolled device has a new certificate.
    Renewal = 2,
}

impl EnrolmentKind {
    /// None for the mail of anything else.
    pub(super) fn of(part: Part) -> Option<Self> {
        match part {
            Part::Enrol => Some(Self::Request),
            Part::Renew => Some(Self::Renewal),
            Part::Cover
            | Part::Enrolled
            | Part::Message(_)
            | Part::Piece(_)
            | Part::Receipt { .. }
            | Part::Revoked
            | Part::Link => None,
        }
    }
}

impl Enrolment {
    /// Whether these are the first bytes of such a record.
    pub(super) fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&START)
    }

    /// Its bytes; what is longer than a message may be is cut off, and refused as cut off.
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let message = self.message.get(..ENROLMENT_BYTES_MAX).unwrap_or(&self.message);
        let length = u16::try_from(message.len()).unwrap_or_default().to_be_bytes();
        let fields: [&[u8]; 5] = [&START, &[self.kind as u8], &length, &self.id.0, message];
        let mut bytes = [0; RECORD_BYTES];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Reads a record; none if a single byte is not as this module writes it.
    pub fn parse(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (kind, head) = head.strip_prefix(&START)?.split_first()?;
        let (length, id) = head.split_first_chunk()?;
        let kind = match kind {
            1 => EnrolmentKind::Request,
            2 => EnrolmentKind::Renewal,
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let message = rest.get(..length).filter(|message| message.len() <= ENROLMENT_BYTES_MAX)?;
        let record = Self { kind, id: InvitationId(id.try_into().ok()?), message: message.to_vec() };
        (record.to_bytes() == *bytes).then_some(record)
    }
}
