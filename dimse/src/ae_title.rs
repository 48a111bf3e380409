//! Application entity titles, checked once where they enter (PS3.5 6.2, VR AE).

use std::fmt;

/// Longest AE title, in characters (PS3.5 6.2).
const CHARACTERS_MAX: usize = 16;

/// An AE title: 1 to 16 printable ASCII characters without backslash, outer spaces dropped. Safe in a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AeTitle(String);

/// The text is not an AE title. It is not repeated here, since it came from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an AE title (1 to 16 printable characters without backslash, PS3.5 6.2)")]
pub struct InvalidAeTitle;

impl AeTitle {
    /// Reads an AE title as it stands in a PDU or a configuration.
    ///
    /// `quirk_nul_padding`: some senders pad with NUL where PS3.8 9.3.2 asks for spaces; those are dropped too.
    ///
    /// # Errors
    /// [`InvalidAeTitle`] for an empty title, a control character, a backslash, anything but ASCII, more than 16.
    pub fn parse(text: &str) -> Result<Self, InvalidAeTitle> {
        let text = text.trim_matches([' ', '\0']);
        let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'\\';
        let valid = (1..=CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(printable);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidAeTitle) }
    }

    /// The title's characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn padding_goes_and_nothing_else_is_bent() {
        assert_eq!(AeTitle::parse("  DR TANAKA \0\0").unwrap().as_str(), "DR TANAKA");
        for wrong in ["", "   ", "A\\B", "A\nB", "\u{30c6}", "SEVENTEEN_LETTERS"] {
            assert_eq!(AeTitle::parse(wrong), Err(InvalidAeTitle));
        }
    }
}
