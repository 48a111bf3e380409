//! The cover: the last message of a delivery, and the only thing in it that names its parts (SPEC 5).

mod reader;

use crate::answer::AnswerPoint;
use crate::error::Refusal;
use crate::ids::{CaseId, DeliveryId, Digest, parse_hex};
use crate::limits::{COVER_BYTES_BASE, COVER_BYTES_PER_PIECE, PIECES_MAX, POLICY_CHARS_MAX, RECIPIENTS_MAX};
use crate::mail::Site;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt::{self, Write};
use zeroize::Zeroizing;

/// Format that this code writes and reads.
pub const FORMAT: u32 = 1;

/// What the site signs (SPEC 5.3).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Cover {
    /// [`FORMAT`].
    pub format: u32,
    /// The case.
    pub case: CaseId,
    /// This delivery.
    pub delivery: DeliveryId,
    /// 1 for the first delivery of the case, then 2, 3 …
    pub sequence: u32,
    /// SHA-256 of the DER of the cover sealed before it in the case; none where no earlier one was sealed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<Digest>,
    /// The delivery that this one carries the residual of, and nothing else (SPEC 5.7).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub residual_of: Option<DeliveryId>,
    /// Until when the site keeps the residual that this delivery lacks, unless it was mailed before; seconds since 1970-01-01 UTC. None
    /// where it keeps none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub residual_until: Option<i64>,
    /// The point that answers to this delivery are sealed to; none where the site takes none (SPEC 7.3).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answers: Option<AnswerPoint>,
    /// Keyed digest of the content: merges duplicates while the case is open (DESIGN 4).
    pub content: Digest,
    /// The site's name, as in its Message-IDs.
    pub site: String,
    /// When the cover was sealed, seconds since 1970-01-01 UTC.
    pub sealed_at: i64,
    /// SHA-256 of each recipient's certificate (DER).
    pub recipients: Vec<Digest>,
    /// How many instances there are, and whether that is all.
    pub completeness: Completeness,
    /// Words of the policy under which the study was compressed, such as `near 0`.
    pub policy: String,
    /// The content key, 64 hex digits (SPEC 2.1).
    pub content_key: ContentKeyText,
    /// SHA-256 of the sealed index.
    pub index: Digest,
    /// SHA-256 of the sealed manifest.
    pub manifest: Digest,
    /// Bytes and SHA-256 of each piece, in order.
    pub pieces: Vec<PieceEntry>,
}

/// Whether what was sent is all there is (DESIGN 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Completeness {
    /// The PACS listed exactly these instances.
    Proved {
        /// Instances in this delivery.
        instances: u32,
    },
    /// The PACS listed more than arrived.
    Partial {
        /// Instances in this delivery.
        instances: u32,
        /// These, and those that the PACS listed and no delivery of the case has.
        listed: u32,
    },
    /// The PACS could not be asked.
    NotProved {
        /// Instances in this delivery.
        instances: u32,
    },
}

/// One piece as the cover names it: bytes, SHA-256 in base64 with padding (64 bytes of JSON at most).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub struct PieceEntry(pub u32, pub String);

/// Hex text of a content key: wiped from memory when dropped, and not printed.
#[derive(Clone, PartialEq, Eq, Serialize, zeroize::ZeroizeOnDrop)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(transparent)]
pub struct ContentKeyText(pub String);

/// A content key (SPEC 2.1).
pub const CONTENT_KEY_BYTES: usize = 32;

const WHAT: &str = "the cover";

/// Largest DER of a cover with so many pieces (SPEC 5.3).
pub fn cover_bytes_max(pieces: usize) -> usize {
    COVER_BYTES_BASE + COVER_BYTES_PER_PIECE * pieces.min(PIECES_MAX as usize)
}

impl Cover {
    /// Reads the signed content and checks every field that can be checked alone.
    ///
    /// # Errors
    /// `UnknownFormat`, `Malformed`.
    pub fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::Malformed(WHAT);
        let format = reader::format(json).ok_or(malformed.clone())?;
        if format != FORMAT {
            return Err(Refusal::UnknownFormat(format));
        }
        let cover = reader::cover(json).ok_or(malformed)?;
        if cover.is_sound() { Ok(cover) } else { Err(Refusal::Malformed(WHAT)) }
    }

    /// Reads the content that a pinned site signed, of a cover of `der_bytes` bytes that was opened by the certificate `recipient`.
    ///
    /// # Errors
    /// Those of [`Cover::parse`]; `Malformed` for a cover that is too long; `PassedOn`.
    pub fn accept(json: &[u8], der_bytes: usize, recipient: &Digest) -> Result<Self, Refusal> {
        let cover = Self::parse(json)?;
        if der_bytes > cover_bytes_max(cover.pieces.len()) {
            return Err(Refusal::Malformed(WHAT));
        }
        if cover.recipients.contains(recipient) { Ok(cover) } else { Err(Refusal::PassedOn) }
    }

    /// The JSON to sign; wiped when dropped, because it holds the content key.
    #[cfg(any(feature = "native", test))]
    pub(crate) fn to_json(&self) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        // Room for the largest, so that growing leaves no copy behind.
        let mut json = Zeroizing::new(Vec::with_capacity(cover_bytes_max(self.pieces.len())));
        serde_json::to_writer(&mut *json, self)?;
        Ok(json)
    }

    /// Whether every field is within its limits and the fields agree with each other.
    pub fn is_sound(&self) -> bool {
        let in_place = self.sequence > 1 || (self.sequence == 1 && self.previous.is_none());
        // A residual follows what it completes, has none of its own, and is not answered.
        let follows = self.residual_of.is_none_or(|base| base != self.delivery && self.sequence > 1)
            && (self.residual_of.is_none() || (self.residual_until.is_none() && self.answers.is_none()));
        let recipients: HashSet<&Digest> = self.recipients.iter().collect();
        self.format == FORMAT
            && in_place
            && follows
            && Site::parse(&self.site).is_some()
            && (1..=RECIPIENTS_MAX).contains(&recipients.len())
            && recipients.len() == self.recipients.len()
            && self.policy.chars().count() <= POLICY_CHARS_MAX
            && !self.policy.contains(char::is_control)
            && self.content_key.key().is_some()
            && (1..=PIECES_MAX as usize).contains(&self.pieces.len())
            && self.pieces.iter().all(|piece| piece.digest().is_some())
    }

    /// The site's name, typed; none if it is not one.
    pub fn site(&self) -> Option<Site> {
        Site::parse(&self.site)
    }
}

impl Completeness {
    /// Instances that were sent.
    pub fn instances(self) -> u32 {
        match self {
            Self::Proved { instances } | Self::Partial { instances, .. } | Self::NotProved { instances } => {
                instances
            }
        }
    }
}

/// Plain words for page and terminal.
impl fmt::Display for Completeness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proved { instances } => write!(formatter, "all {instances} instances"),
            Self::Partial { instances, listed } => write!(formatter, "{instances} of {listed} instances"),
            Self::NotProved { instances } => {
                write!(formatter, "{instances} instances, completeness not proved")
            }
        }
    }
}

impl PieceEntry {
    /// Of a piece with so many bytes and this SHA-256.
    pub fn new(bytes: u32, digest: &Digest) -> Self {
        Self(bytes, STANDARD.encode(digest.0))
    }

    /// Bytes of the piece before base64.
    pub fn bytes(&self) -> u32 {
        self.0
    }

    /// SHA-256 of the piece; none if the text is not one.
    pub fn digest(&self) -> Option<Digest> {
        Some(Digest(STANDARD.decode(&self.1).ok()?.try_into().ok()?))
    }
}

impl ContentKeyText {
    /// Of this key.
    pub fn of(key: &[u8; CONTENT_KEY_BYTES]) -> Self {
        let mut text = String::with_capacity(2 * CONTENT_KEY_BYTES);
        // Writing to a string cannot fail.
        let _ = key.iter().try_for_each(|byte| write!(text, "{byte:02x}"));
        Self(text)
    }

    /// The key; none if the text is not one.
    pub fn key(&self) -> Option<Zeroizing<[u8; CONTENT_KEY_BYTES]>> {
        parse_hex(&self.0).map(Zeroizing::new)
    }
}

impl fmt::Debug for ContentKeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ContentKeyText")
    }
}

#[cfg(test)]
mod tests;
