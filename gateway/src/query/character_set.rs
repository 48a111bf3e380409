//! The character set in which names are asked for (PS3.3 C.12.1.1.2). Most PACS understand UTF-8; some match only what is written as they keep it.

use super::QueryError;
use serde::Deserialize;

/// `[pacs.NAME] character_set`, by its defined term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum CharacterSet {
    /// UTF-8.
    #[default]
    #[serde(rename = "ISO_IR 192")]
    Utf8,
    /// Latin 1: western Europe.
    #[serde(rename = "ISO_IR 100")]
    Latin1,
    /// JIS X 0208 by escapes from ASCII: Japan.
    #[serde(rename = "ISO 2022 IR 87")]
    Kanji,
}

impl CharacterSet {
    /// The value of (0008,0005).
    pub(super) fn term(self) -> &'static str {
        match self {
            Self::Utf8 => "ISO_IR 192",
            Self::Latin1 => "ISO_IR 100",
            // The first value, ASCII, is written as an empty one.
            Self::Kanji => "\\ISO 2022 IR 87",
        }
    }

    /// The bytes of a text.
    ///
    /// The encoder of ISO-2022-JP goes back to ASCII before each ASCII character and at the end, so also before the delimiters of a name
    /// (PS3.5 6.1.2.5.3); half-width kana become full-width ones.
    ///
    /// # Errors
    /// [`QueryError::NotWritable`].
    pub(super) fn encode(self, text: &str) -> Result<Vec<u8>, QueryError> {
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Latin1 => text
                .chars()
                .map(|character| u8::try_from(u32::from(character)).map_err(|_| QueryError::NotWritable))
                .collect(),
            Self::Kanji => match encoding_rs::ISO_2022_JP.encode(text) {
                (bytes, _, false) => Ok(bytes.into_owned()),
                _ => Err(QueryError::NotWritable),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kanji_are_written_as_the_standard_shows_them() {
        // PS3.5 H.3.1.
        let name = "Yamada^Tarou=山田^太郎=やまだ^たろう";
        let bytes = CharacterSet::Kanji.encode(name).unwrap();
        let expected =
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        assert_eq!(bytes, expected);
        let read = compressor::dataset::CharacterSet::of(CharacterSet::Kanji.term().as_bytes());
        assert_eq!(read.decode(&bytes, compressor::dataset::Delimiters::PersonName), name);
    }

    #[test]
    fn what_a_set_does_not_have_is_said_and_not_bent() {
        assert_eq!(CharacterSet::Latin1.encode("M\u{fc}ller*").unwrap(), b"M\xfcller*");
        assert_eq!(CharacterSet::Latin1.encode("山田"), Err(QueryError::NotWritable));
        assert_eq!(CharacterSet::Kanji.encode("M\u{fc}ller"), Err(QueryError::NotWritable));
    }
}
