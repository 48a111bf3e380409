//! Lines of the trail: RFC 5424 messages, and what holds them together. Each is `HASH PAYLOAD`, where HASH is SHA-256 over the hash of
//! the line before and the payload.

use super::message::{Message, Outcome};
use crate::hex::{hex, unhex};
use compressor::{Phi, Purpose};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// SHA-256 up to a line.
pub(super) type Hash = [u8; 32];
/// Before the first line of the first file.
pub(super) const BEGINNING: Hash = [0; 32];
/// Hex digits of a hash.
pub(super) const HASH_CHARACTERS: usize = 64;
/// Authorization messages (RFC 5424 6.2.1; PS3.15 A.6).
const FACILITY_AUTHPRIV: u8 = 10;
/// `MSGID` of audit messages of DICOM (PS3.15 A.6).
const MESSAGE_ID: &str = "DICOM+RFC3881";
/// Ends the first line of a file that follows damage.
const ANEW: &str = " anew";
const APPLICATION: &str = "scanpost-gateway";

/// What a line holds.
pub(super) enum Payload<'l> {
    /// First line of a file.
    File(First),
    /// A message in the form of RFC 5424, with its number.
    Message { number: u64, text: &'l str },
    /// The site's signature over the chain up to here.
    Anchor { number: u64, signature: Vec<u8> },
}

/// What the first line of a file says: which file it is, and where the chain stands that it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    /// Its number.
    pub(super) file: u32,
    /// Number of the last message before it.
    pub(super) after: u64,
    /// The hash before its own.
    pub(super) hash: Hash,
    /// What stands before it was found damaged: it continues the last end that the site signed.
    pub(super) anew: bool,
}

/// The hash of a line.
pub(super) fn chain(before: &Hash, payload: &[u8]) -> Hash {
    Sha256::new().chain_update(before).chain_update(payload).finalize().into()
}

/// A message as syslog has it. `number` stands as `sequenceId` (RFC 5424 7.3.1), so that who receives it sees what is missing.
pub(super) fn syslog(
    message: &Message,
    number: u64,
    at: OffsetDateTime,
    site: &str,
    process: u32,
) -> Phi<String> {
    let severity = match message.outcome {
        Outcome::Success => 5,
        Outcome::MinorFailure => 4,
        Outcome::SeriousFailure => 3,
    };
    let priority = FACILITY_AUTHPRIV * 8 + severity;
    let xml = message.xml(at, site);
    let xml = xml.expose_for(Purpose::Audit);
    let at = at.format(&Rfc3339).unwrap_or_default();
    Phi::new(format!(
        "<{priority}>1 {at} {site} {APPLICATION} {process} {MESSAGE_ID} [meta sequenceId=\"{number}\"] \u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?>{xml}"
    ))
}

/// First line of a file.
pub(super) fn file(first: First) -> String {
    let First { file, after, hash, anew } = first;
    format!("trail {file} after {after} {}{}", hex(&hash), if anew { ANEW } else { "" })
}

/// A signed statement of how far the trail goes.
pub(super) fn anchor(number: u64, signature: &[u8]) -> String {
    format!("anchor {number} {}", hex(signature))
}

/// What the site signs: number and hash of the last message.
pub(super) fn statement(number: u64, hash: &Hash) -> Vec<u8> {
    [number.to_be_bytes().as_slice(), hash].concat()
}

impl<'l> Payload<'l> {
    /// Reads a payload; `None` for what this program never writes.
    pub(super) fn parse(payload: &'l str) -> Option<Self> {
        let mut words = payload.split(' ');
        let parsed = match words.next()? {
            "trail" => {
                let file = words.next()?.parse().ok()?;
                let after = words.next().filter(|word| *word == "after").and_then(|_| words.next())?;
                let (after, hash) = (after.parse().ok()?, unhex(words.next()?)?.try_into().ok()?);
                let anew = words.next().map(|word| word == ANEW.trim_start());
                Self::File(First {
                    file,
                    after,
                    hash,
                    anew: anew.map_or(Some(false), |anew| anew.then_some(true))?,
                })
            }
            "anchor" => {
                let number = words.next()?.parse().ok()?;
                Self::Anchor { number, signature: unhex(words.next()?)? }
            }
            first if first.starts_with('<') => {
                let (_, rest) = payload.split_once(" [meta sequenceId=\"")?;
                let (number, _) = rest.split_once("\"] ")?;
                return Some(Self::Message { number: number.parse().ok()?, text: payload });
            }
            _ => return None,
        };
        words.next().is_none().then_some(parsed)
    }
}
