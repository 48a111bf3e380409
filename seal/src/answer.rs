//! Answers: what a doctor says back in a few words, sealed to the hospital inside a receipt (SPEC 7.3). Layout and bounds, no cryptography.

use crate::certificate::POINT_BYTES;
use crate::error::Refusal;
use crate::ids::{DeliveryId, Digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compressor::{Phi, Purpose};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Characters of an answer: a few words, one line on the technician's page.
pub const WORDS_CHARS_MAX: usize = 100;
/// Bytes of an answer in UTF-8: so many Japanese characters.
pub const WORDS_BYTES_MAX: usize = 300;
/// Every answer is as long before it is sealed: its length tells nobody what it says.
pub const PLAIN_BYTES: usize = 320;
/// Tag of AES-GCM.
const TAG_BYTES: usize = 16;
/// A sealed answer: the sender's point, the ciphertext, the tag.
pub const SEALED_BYTES: usize = POINT_BYTES + PLAIN_BYTES + TAG_BYTES;
/// Salt of HKDF for the key of an answer.
pub const SALT: &[u8] = b"scanpost answer\x01";

const FORMAT: u8 = 1;
const CALL_BACK: u8 = 1;
const WORDS: u8 = 2;
/// Format, kind, length of the words.
const HEAD_BYTES: usize = 4;

const WHAT: &str = "the answer";

/// What a doctor says back. It may tell of the patient.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// Somebody is to call the doctor.
    CallBack,
    /// A few words.
    Words(Words),
}

/// Words that are plain text: one line without control characters, marks of direction and characters that are not seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(Phi<String>);

/// The point of the site's key that the answers to a delivery are sealed to, written as base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AnswerPoint(pub [u8; POINT_BYTES]);

/// A sealed answer, written as base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealedAnswer(pub Box<[u8; SEALED_BYTES]>);

impl Words {
    /// None for words that are too long, that are none, or that hold what is no plain text.
    pub fn new(text: Phi<String>) -> Option<Self> {
        let words = text.expose_for(Purpose::Compare);
        let fits = words.len() <= WORDS_BYTES_MAX && words.chars().count() <= WORDS_CHARS_MAX;
        (fits && !words.trim().is_empty() && words.chars().all(is_plain)).then_some(Self(text))
    }

    /// The words.
    pub fn expose_for(&self, purpose: Purpose) -> &str {
        self.0.expose_for(purpose)
    }
}

impl Answer {
    /// What is sealed.
    pub fn to_plain(&self) -> Zeroizing<[u8; PLAIN_BYTES]> {
        let (kind, words) = match self {
            Self::CallBack => (CALL_BACK, ""),
            Self::Words(words) => (WORDS, words.expose_for(Purpose::Seal)),
        };
        let length = u16::try_from(words.len()).unwrap_or_default().to_be_bytes();
        let fields: [&[u8]; 3] = [&[FORMAT, kind], &length, words.as_bytes()];
        let mut plain = Zeroizing::new([0; PLAIN_BYTES]);
        for (to, from) in plain.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        plain
    }

    /// Reads what was sealed.
    ///
    /// # Errors
    /// `UnknownFormat`, `Malformed`, if a single byte is not as [`Answer::to_plain`] writes it.
    pub fn parse(plain: &[u8; PLAIN_BYTES]) -> Result<Self, Refusal> {
        let malformed = || Refusal::Malformed(WHAT);
        let (&[format, kind, high, low], rest) =
            plain.split_first_chunk::<HEAD_BYTES>().ok_or_else(malformed)?;
        if format != FORMAT {
            return Err(Refusal::UnknownFormat(format.into()));
        }
        let words = rest.get(..usize::from(u16::from_be_bytes([high, low]))).ok_or_else(malformed)?;
        let answer = match kind {
            CALL_BACK if words.is_empty() => Self::CallBack,
            WORDS => {
                let text = std::str::from_utf8(words).map_err(|_| malformed())?;
                Self::Words(Words::new(Phi::new(text.to_owned())).ok_or_else(malformed)?)
            }
            _ => return Err(malformed()),
        };
        if *answer.to_plain() == *plain { Ok(answer) } else { Err(malformed()) }
    }
}

/// `info` of HKDF: the key of an answer is bound to delivery, cover and recipient, and to both points.
pub fn key_info(
    delivery: DeliveryId,
    cover: &Digest,
    recipient: &Digest,
    sender: &[u8; POINT_BYTES],
    site: &AnswerPoint,
) -> Vec<u8> {
    [&delivery.0[..], &cover.0, &recipient.0, sender, &site.0].concat()
}

impl SealedAnswer {
    /// None if it is not as long as every sealed answer.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self(Box::new(bytes.try_into().ok()?)))
    }
}

impl From<AnswerPoint> for String {
    fn from(point: AnswerPoint) -> Self {
        STANDARD.encode(point.0)
    }
}

impl TryFrom<String> for AnswerPoint {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        // 4: uncompressed.
        bytes.filter(|bytes: &[u8; POINT_BYTES]| bytes[0] == 4).map(Self).ok_or("not a point")
    }
}

impl From<SealedAnswer> for String {
    fn from(sealed: SealedAnswer) -> Self {
        STANDARD.encode(&sealed.0[..])
    }
}

impl TryFrom<String> for SealedAnswer {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).ok().and_then(|bytes| Self::new(&bytes)).ok_or("not a sealed answer")
    }
}

/// Neither a control character nor one that turns a line round, ends it or is not seen.
fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFF}' | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..='\u{E00FF}' | '\u{E01F0}'..='\u{10FFFF}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Option<Words> {
        Words::new(Phi::new(text.to_owned()))
    }

    #[test]
    fn answers_are_read_as_written_and_all_as_long() {
        for text in [
            "x",
            "正中偏位あり。電話ください",
            &"あ".repeat(WORDS_CHARS_MAX),
            "Dr. <b>O'Brien</b> & 😀",
            "葛\u{E0100}城",
        ] {
            let answer = Answer::Words(words(text).unwrap());
            assert!(Answer::parse(&answer.to_plain()) == Ok(answer), "{text}");
        }
        assert!(Answer::parse(&Answer::CallBack.to_plain()) == Ok(Answer::CallBack));
    }

    #[test]
    fn what_is_no_plain_line_or_too_long_is_refused() {
        let long = "あ".repeat(WORDS_CHARS_MAX + 1);
        // Within the characters, beyond the bytes.
        let wide = "😀".repeat(WORDS_BYTES_MAX / 4 + 1);
        let lines = ["a\nb", "a\tb", "a\u{0}", "a\u{7F}", "a\u{85}b", "a\u{2028}b"];
        let directions = ["a\u{202E}b", "a\u{2066}b", "\u{200F}a", "a\u{61C}", "a\u{200B}b", "a\u{FEFF}"];
        let others = ["a\u{E0041}", "a\u{FFFE}", "a\u{AD}b", "a\u{10FFFD}", "", "  ", &long, &wide];
        for text in lines.into_iter().chain(directions).chain(others) {
            assert!(words(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn every_byte_is_looked_at() {
        let genuine = Answer::Words(words("ab").unwrap()).to_plain();
        let with = |at: usize, byte: u8| {
            let mut plain = genuine.clone();
            plain[at] = byte;
            Answer::parse(&plain).err()
        };
        let malformed = Some(Refusal::Malformed(WHAT));
        assert_eq!(with(0, 2), Some(Refusal::UnknownFormat(2)));
        assert_eq!(with(1, 3), malformed, "another kind");
        assert_eq!(with(1, CALL_BACK), malformed, "words where none belong");
        assert_eq!(with(2, 255), malformed, "longer than there is");
        assert_eq!(with(3, 1), malformed, "shorter than what is there");
        assert_eq!(with(4, 0xFF), malformed, "no UTF-8");
        assert_eq!(with(4, b'\n'), malformed);
        assert_eq!(with(PLAIN_BYTES - 1, 1), malformed, "something hidden behind");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), PLAIN_BYTES)) {
            let mut plain: [u8; PLAIN_BYTES] = bytes.try_into().unwrap();
            let _ = Answer::parse(&plain);
            plain[0] = FORMAT;
            plain[1] = WORDS;
            plain[2] = 0;
            if let Ok(answer) = Answer::parse(&plain) {
                prop_assert_eq!(*answer.to_plain(), plain);
            }
        }
    }
}
