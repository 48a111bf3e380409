//! What the sender has to say to the doctor: sealed with the study, and nowhere else.

use crate::limits::NOTE_BYTES_MAX;
use crate::phi::{Phi, Purpose};

/// A few words, UTF-8, at most [`NOTE_BYTES_MAX`] bytes. They may name the patient.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Note(Phi<String>);

impl Note {
    /// None for nothing but white space, or for more than is allowed.
    pub fn new(text: Phi<String>) -> Option<Self> {
        let words = text.expose_for(Purpose::Seal);
        (!words.trim().is_empty() && words.len() <= NOTE_BYTES_MAX).then_some(Self(text))
    }

    /// The words. Control characters and marks of direction are kept: whoever shows them neutralises them.
    pub fn expose_for(&self, purpose: Purpose) -> &str {
        self.0.expose_for(purpose)
    }
}

impl std::fmt::Debug for Note {
    /// That there is one.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Note")
    }
}

impl TryFrom<String> for Note {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(Phi::new(text)).ok_or("a note that is empty or too long")
    }
}
