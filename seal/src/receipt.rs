//! Receipts: what the reader did or wants, signed by its key (SPEC 7).

use crate::cms::signed::Attested;
use crate::error::Refusal;
use crate::ids::{DeliveryId, Digest};
use crate::limits::RECEIPT_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Format that this code writes and reads.
pub const FORMAT: u32 = 1;

const WHAT: &str = "the receipt";

/// What a reader signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// [`FORMAT`].
    pub format: u32,
    /// The delivery.
    pub delivery: DeliveryId,
    /// SHA-256 of the cover's DER.
    pub cover: Digest,
    /// SHA-256 of the recipient's certificate.
    pub recipient: Digest,
    /// What happened, or is asked for.
    pub kind: ReceiptKind,
    /// When, seconds since 1970-01-01 UTC, by the reader's clock.
    pub at: i64,
    /// Instances that are durable at the reader.
    pub instances: u32,
}

/// What a receipt attests, or asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    /// Every instance of the delivery was verified and is durable at the reader.
    Fetched,
    /// The recipient wants the residual of the delivery.
    ExactWanted,
}

impl ReceiptKind {
    /// The word used in Message-IDs and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::ExactWanted => "exact_wanted",
        }
    }

    /// The kind that has this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Fetched, Self::ExactWanted].into_iter().find(|kind| kind.word() == word)
    }
}

/// The format alone, to tell a newer receipt from a broken one.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Receipt {
    /// Reads the signed content.
    ///
    /// # Errors
    /// `UnknownFormat`, `Malformed`.
    pub fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let malformed = |_| Refusal::Malformed(WHAT);
        if json.len() > RECEIPT_BYTES_MAX {
            return Err(Refusal::Malformed(WHAT));
        }
        let Format { format } = serde_json::from_slice(json).map_err(malformed)?;
        if format != FORMAT {
            return Err(Refusal::UnknownFormat(format));
        }
        serde_json::from_slice(json).map_err(malformed)
    }

    /// The content to sign: the fields in their order, without white space.
    ///
    /// # Errors
    /// `Malformed`, never for these fields.
    pub fn content(&self) -> Result<Vec<u8>, Refusal> {
        serde_json::to_vec(self).map_err(|_| Refusal::Malformed(WHAT))
    }

    /// Its signed attributes: the signing time is its own `at`.
    ///
    /// # Errors
    /// `Malformed` for a time before 1970 or after 9999.
    pub fn attested(&self) -> Result<Attested, Refusal> {
        Attested::new(&self.content()?, self.at).map_err(|_| Refusal::Malformed(WHAT))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn receipt() -> Receipt {
        Receipt {
            format: FORMAT,
            delivery: DeliveryId([1; 16]),
            cover: Digest([2; 32]),
            recipient: Digest([3; 32]),
            kind: ReceiptKind::ExactWanted,
            at: i64::MIN,
            instances: u32::MAX,
        }
    }

    #[test]
    fn the_longest_receipt_is_within_the_limit_and_read_as_written() {
        let json = serde_json::to_vec(&receipt()).unwrap();
        assert!(json.len() <= RECEIPT_BYTES_MAX);
        assert_eq!(Receipt::parse(&json), Ok(receipt()));
    }

    #[test]
    fn newer_long_and_broken_receipts_are_refused() {
        let json = serde_json::to_string(&receipt()).unwrap();
        let newer = json.replace("\"format\":1", "\"format\":2");
        assert_eq!(Receipt::parse(newer.as_bytes()), Err(Refusal::UnknownFormat(2)));
        let long = format!("{json}{}", " ".repeat(RECEIPT_BYTES_MAX));
        assert_eq!(Receipt::parse(long.as_bytes()), Err(Refusal::Malformed(WHAT)));
        assert_eq!(
            Receipt::parse(json.replace("exact_wanted", "eaten").as_bytes()),
            Err(Refusal::Malformed(WHAT))
        );
    }

    #[test]
    fn words_name_kinds() {
        for kind in [ReceiptKind::Fetched, ReceiptKind::ExactWanted] {
            assert_eq!(ReceiptKind::from_word(kind.word()), Some(kind));
        }
        assert_eq!(ReceiptKind::from_word("seen"), None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Receipt::parse(&bytes).is_err());
        }
    }
}
