//! DICOM unique identifiers, checked once where they enter (PS3.5 9.1).

use std::fmt;

/// A DICOM UID: 1 to 64 characters of digits and dots (PS3.5 9.1). Safe to write into a log or a query, never used as a path.
///
/// Leading zeros of a component are let through: many devices send them, and the bytes are kept as they came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uid(String);

/// The text is not a UID. It is not repeated here, since it came from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a DICOM UID (1 to 64 digits and dots, PS3.5 9.1)")]
pub struct InvalidUid;

impl Uid {
    /// Reads a UID as it stands in a data element: trailing NUL or space padding is dropped (PS3.5 6.2, VR UI).
    ///
    /// # Errors
    /// [`InvalidUid`] for anything but 1 to 64 digits and dots.
    pub fn parse(text: &str) -> Result<Self, InvalidUid> {
        let text = text.trim_end_matches(['\0', ' ']);
        let valid =
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidUid) }
    }

    /// A root that ends in a dot, and a number: at most 5 + 39 characters here.
    pub(crate) fn of_number(root: &'static str, number: u128) -> Self {
        Self(format!("{root}{number}"))
    }

    /// The UID's characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Uid {
    type Error = InvalidUid;
    fn try_from(text: String) -> Result<Self, InvalidUid> {
        Self::parse(&text)
    }
}

impl From<Uid> for String {
    fn from(uid: Uid) -> Self {
        uid.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
