//! The cover: the last message of a delivery, and the only thing in it that names its parts (SPEC 5).

use crate::ids::{CaseId, DeliveryId, Digest};
use serde::{Deserialize, Serialize};

/// Format that this code writes and reads.
pub const FORMAT: u32 = 1;

/// What the site signs (SPEC 5.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cover {
    /// [`FORMAT`].
    pub format: u32,
    /// The case.
    pub case: CaseId,
    /// This delivery.
    pub delivery: DeliveryId,
    /// 1 for the first delivery of the case, then 2, 3 …
    pub sequence: u32,
    /// SHA-256 of the previous cover's DER; none for the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<Digest>,
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
        /// Instances.
        instances: u32,
    },
    /// The PACS listed more than arrived.
    Partial {
        /// Instances that arrived.
        instances: u32,
        /// Instances the PACS listed.
        listed: u32,
    },
    /// The PACS could not be asked.
    NotProved {
        /// Instances that arrived.
        instances: u32,
    },
}

/// One piece as the cover names it: bytes, SHA-256 in base64 (64 bytes of JSON at most).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceEntry(pub u32, pub String);

/// Hex text of a content key: wiped from memory when dropped, and not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, zeroize::ZeroizeOnDrop)]
#[serde(transparent)]
pub struct ContentKeyText(pub String);

impl std::fmt::Debug for ContentKeyText {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ContentKeyText")
    }
}
