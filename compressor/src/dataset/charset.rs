//! Text by Specific Character Set (0008,0005), with code extensions (PS3.5 6.1, H, I, J, K; PS3.3 C.12.1.1.2).

mod extended;
#[cfg(test)]
mod tests;

use encoding_rs::{Encoding, GB18030};
use extended::{G0, G1, Sets};

/// Begins an escape sequence (ISO/IEC 2022).
const ESCAPE: u8 = 0x1B;

/// What resets the character set to that of the first value (PS3.5 6.1.2.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiters {
    /// Ends of lines and pages, and tabs, in values that are never parted (VR ST, LT, UT).
    Paragraphs,
    /// Besides these, the backslash between values.
    Text,
    /// And the `^` between components and the `=` between groups of a person's name.
    PersonName,
}

impl Delimiters {
    fn contains(self, byte: u8) -> bool {
        matches!(byte, b'\t' | b'\n' | 0x0C | b'\r')
            || self != Self::Paragraphs && byte == b'\\'
            || self == Self::PersonName && matches!(byte, b'^' | b'=')
    }
}

/// How the text of a data set is to be read.
#[derive(Clone, Copy)]
pub struct CharacterSet(Kind);

#[derive(Clone, Copy)]
enum Kind {
    /// One encoding for everything, without escapes (PS3.3 C.12-5).
    Whole(&'static Encoding),
    /// Sets that escapes switch between, and those that are active at first.
    Extended(Sets),
    /// Not told, or not known.
    Untold,
}

impl CharacterSet {
    /// The one that the value of (0008,0005) names. Escapes of all sets of PS3.3 C.12-3 and C.12-4 are followed, those that it does not name
    /// as well: many devices leave them out.
    pub fn of(value: &[u8]) -> Self {
        let first = value.split(|byte| *byte == b'\\').next().unwrap_or_default();
        let term: String = first
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(|byte| char::from(byte.to_ascii_uppercase()))
            .collect();
        Self(kind(&term))
    }

    /// The text of a value. What stands for no character becomes U+FFFD.
    pub fn decode(&self, value: &[u8], delimiters: Delimiters) -> String {
        match self.0 {
            Kind::Whole(encoding) => encoding.decode_without_bom_handling(value).0.into_owned(),
            Kind::Extended(sets) => extended::decode(value, sets, delimiters),
            Kind::Untold => match std::str::from_utf8(value) {
                Ok(text) if !value.contains(&ESCAPE) => text.to_owned(),
                _ => extended::decode(value, Sets { g0: G0::Ascii, g1: G1::quirk_untold() }, delimiters),
            },
        }
    }
}

impl Default for CharacterSet {
    /// Where no (0008,0005) is there.
    fn default() -> Self {
        Self(Kind::Untold)
    }
}

/// By the name without anything but letters and digits: `ISO-IR 100` and `ISO 2022-IR 100` are seen.
fn kind(term: &str) -> Kind {
    let number = ["ISO2022IR", "ISOIR", "ISO2022"].iter().find_map(|prefix| term.strip_prefix(prefix));
    let extended = |g0, g1| Kind::Extended(Sets { g0, g1 });
    match number.unwrap_or(term) {
        "192" => Kind::Whole(encoding_rs::UTF_8),
        "GB18030" | "GBK" => Kind::Whole(GB18030),
        "13" => extended(G0::Roman, G1::Katakana),
        "149" => extended(G0::Ascii, G1::KsX1001),
        "58" => extended(G0::Ascii, G1::Gb2312),
        "87" | "159" => extended(G0::Ascii, G1::quirk_untold()),
        number => G1::single(number).map_or(Kind::Untold, |g1| extended(G0::Ascii, g1)),
    }
}
