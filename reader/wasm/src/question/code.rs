//! Why something was refused, in one word for the page and a sentence for whoever looks closer.

use super::Answer;
use seal::error::Refusal;

/// The word.
#[derive(Clone, Copy, Debug)]
enum Code {
    /// For another recipient, or another's keys.
    NotForUs,
    /// Not signed, or not by whom it says.
    Unsigned,
    /// Signed by a site that this device does not know, or whose certificate was over.
    UnknownSite,
    /// Changed or cut.
    Damaged,
    /// Of a newer format.
    NewerFormat,
    /// Encrypted in a way that anybody can change (EFAIL), or wrapped by a weak one.
    Unsafe,
    /// Typed wrongly.
    #[cfg(feature = "device")]
    Wrong,
    /// The page asked what cannot be answered: a mistake in our program.
    Ours,
}

impl Code {
    fn word(self) -> &'static str {
        match self {
            Self::NotForUs => "not_for_us",
            Self::Unsigned => "unsigned",
            Self::UnknownSite => "unknown_site",
            Self::Damaged => "damaged",
            Self::NewerFormat => "newer_format",
            Self::Unsafe => "unsafe",
            #[cfg(feature = "device")]
            Self::Wrong => "wrong",
            Self::Ours => "ours",
        }
    }
}

/// A refusal on its way to the page.
#[derive(Debug)]
pub(crate) struct Refused {
    code: Code,
    words: String,
}

impl Refused {
    fn of(code: Code, words: &str) -> Self {
        Self { code, words: words.to_owned() }
    }

    pub(crate) fn question() -> Self {
        Self::of(Code::Ours, "the question is not one that can be answered")
    }

    #[cfg(feature = "device")]
    pub(crate) fn wrong(words: &str) -> Self {
        Self::of(Code::Wrong, words)
    }

    pub(crate) fn damaged(words: &str) -> Self {
        Self::of(Code::Damaged, words)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let answer = Answer::default().text("code", self.code.word()).text("words", &self.words);
        answer.into_json()
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NotForUs | Refusal::PassedOn | Refusal::NotEnrolled | Refusal::UnknownRecipient => {
                Code::NotForUs
            }
            Refusal::Unsigned(_) | Refusal::WrongSignature(_) => Code::Unsigned,
            Refusal::UnknownSite | Refusal::SiteNotValid => Code::UnknownSite,
            Refusal::Unauthenticated | Refusal::KeyWrapping => Code::Unsafe,
            Refusal::UnknownFormat(_) => Code::NewerFormat,
            // All that remains says that the bytes are not those that were sealed.
            _ => Code::Damaged,
        };
        Self::of(code, &refusal.to_string())
    }
}
