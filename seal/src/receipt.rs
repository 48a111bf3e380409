//! Receipts: what the reader did or wants, signed by its key (SPEC 7).

use crate::answer::SealedAnswer;
use crate::cms::signed::Attested;
use crate::error::Refusal;
use crate::ids::{DeliveryId, Digest};
use crate::limits::{READ_SECONDS_MAX, RECEIPT_BYTES_MAX};
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
    /// Instances that are durable at the reader; 0 unless it was fetched.
    pub instances: u32,
    /// How long the case was on the screen until `at`; only of a reading.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u32>,
    /// What the doctor says back; only of an answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sealed: Option<SealedAnswer>,
}

/// What a receipt attests, or asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    /// Every instance of the delivery was verified and is durable at the reader.
    Fetched,
    /// The recipient wants the residual of the delivery.
    ExactWanted,
    /// The first image was on the screen.
    FirstImageShown,
    /// The recipient says: I have seen it.
    Seen,
    /// The case was on the screen, see [`Receipt::seconds`].
    Read,
    /// The recipient says something, see [`Receipt::sealed`].
    Answer,
    /// The recipient needs the case no longer: it is to be deleted.
    Closed,
    /// The recipient cannot take care of it: the next of the group is to be told.
    PassedOn,
}

impl ReceiptKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Fetched,
        Self::ExactWanted,
        Self::FirstImageShown,
        Self::Seen,
        Self::Read,
        Self::Answer,
        Self::Closed,
        Self::PassedOn,
    ];

    /// The word used in Message-IDs and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::ExactWanted => "exact_wanted",
            Self::FirstImageShown => "first_image_shown",
            Self::Seen => "seen",
            Self::Read => "read",
            Self::Answer => "answer",
            Self::Closed => "closed",
            Self::PassedOn => "passed_on",
        }
    }

    /// The kind that has this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// The format alone, to tell a newer receipt from a broken one.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Receipt {
    /// Of this kind, with nothing that only some kinds have.
    pub fn new(kind: ReceiptKind, delivery: DeliveryId, cover: Digest, recipient: Digest, at: i64) -> Self {
        Self {
            format: FORMAT,
            delivery,
            cover,
            recipient,
            kind,
            at,
            instances: 0,
            seconds: None,
            sealed: None,
        }
    }

    /// Whether it has what its kind has, and nothing else.
    pub fn is_sound(&self) -> bool {
        let counted = self.instances == 0 || self.kind == ReceiptKind::Fetched;
        let timed = match self.kind {
            ReceiptKind::Read => {
                self.seconds.is_some_and(|seconds| (1..=READ_SECONDS_MAX).contains(&seconds))
            }
            _ => self.seconds.is_none(),
        };
        counted && timed && self.sealed.is_some() == (self.kind == ReceiptKind::Answer)
    }

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
        let receipt: Self = serde_json::from_slice(json).map_err(malformed)?;
        if receipt.is_sound() { Ok(receipt) } else { Err(Refusal::Malformed(WHAT)) }
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
    use crate::answer::SEALED_BYTES;
    use proptest::prelude::*;

    fn receipt() -> Receipt {
        Receipt {
            format: FORMAT,
            delivery: DeliveryId([1; 16]),
            cover: Digest([2; 32]),
            recipient: Digest([3; 32]),
            kind: ReceiptKind::ExactWanted,
            at: i64::MIN,
            instances: 0,
            seconds: None,
            sealed: None,
        }
    }

    fn one_of(kind: ReceiptKind) -> Receipt {
        Receipt {
            kind,
            instances: if kind == ReceiptKind::Fetched { u32::MAX } else { 0 },
            seconds: (kind == ReceiptKind::Read).then_some(READ_SECONDS_MAX),
            sealed: (kind == ReceiptKind::Answer).then(|| SealedAnswer(Box::new([0xFF; SEALED_BYTES]))),
            ..receipt()
        }
    }

    #[test]
    fn the_longest_receipts_are_within_the_limit_and_read_as_written() {
        for kind in ReceiptKind::ALL {
            let json = serde_json::to_vec(&one_of(kind)).unwrap();
            assert!(json.len() <= RECEIPT_BYTES_MAX, "{} has {} bytes", kind.word(), json.len());
            assert_eq!(Receipt::parse(&json), Ok(one_of(kind)));
        }
    }

    #[test]
    fn what_belongs_to_another_kind_is_refused() {
        let (answer, read) = (one_of(ReceiptKind::Answer), one_of(ReceiptKind::Read));
        let wrong = [
            Receipt { instances: 1, ..one_of(ReceiptKind::Seen) },
            Receipt { seconds: Some(1), ..one_of(ReceiptKind::FirstImageShown) },
            Receipt { sealed: answer.sealed.clone(), ..one_of(ReceiptKind::Fetched) },
            Receipt { sealed: None, ..answer },
            Receipt { seconds: None, ..read.clone() },
            Receipt { seconds: Some(0), ..read.clone() },
            Receipt { seconds: Some(READ_SECONDS_MAX + 1), ..read },
        ];
        for receipt in wrong {
            let json = serde_json::to_vec(&receipt).unwrap();
            assert_eq!(Receipt::parse(&json), Err(Refusal::Malformed(WHAT)), "{receipt:?}");
        }
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
        for kind in ReceiptKind::ALL {
            assert_eq!(ReceiptKind::from_word(kind.word()), Some(kind));
        }
        assert_eq!(ReceiptKind::from_word("eaten"), None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Receipt::parse(&bytes).is_err());
        }
    }
}
