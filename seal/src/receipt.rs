//! Receipts: what the reader did, signed by its key (SPEC 7).

use crate::ids::{DeliveryId, Digest};
use serde::{Deserialize, Serialize};

/// What a reader signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Format, 1.
    pub format: u32,
    /// The delivery.
    pub delivery: DeliveryId,
    /// SHA-256 of the cover's DER.
    pub cover: Digest,
    /// SHA-256 of the recipient's certificate.
    pub recipient: Digest,
    /// What happened.
    pub kind: ReceiptKind,
    /// When, seconds since 1970-01-01 UTC, by the reader's clock.
    pub at: i64,
    /// Instances that are durable at the reader.
    pub instances: u32,
}

/// What a receipt attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    /// Every instance of the delivery was verified and is durable at the reader.
    Fetched,
}

impl ReceiptKind {
    /// The word used in Message-IDs and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
        }
    }

    /// The kind that has this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Fetched].into_iter().find(|kind| kind.word() == word)
    }
}
