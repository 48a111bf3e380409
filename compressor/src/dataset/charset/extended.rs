//! ISO/IEC 2022 as DICOM uses it: 7-bit codes in G0, 8-bit codes in G1, escapes to change either (PS3.5 6.1.2.5).

use super::{Delimiters, ESCAPE};
use encoding_rs::{
    EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6, ISO_8859_7,
    ISO_8859_8, ISO_8859_15, WINDOWS_874, WINDOWS_1254,
};

/// Bytes with the upper bit set that are control characters (C1): no text has them.
const G1_FIRST: u8 = 0xA0;
/// Prefix of JIS X 0212 in EUC-JP.
const SINGLE_SHIFT_3: u8 = 0x8F;

/// What bytes below 0x80 stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum G0 {
    Ascii,
    /// JIS X 0201, the Latin half: an overline where ASCII has a tilde. The yen sign is taken as the backslash that parts values.
    Roman,
    /// Kanji, two bytes a character.
    Jis0208,
    /// Further kanji, two bytes a character.
    Jis0212,
}

/// What bytes from 0xA0 stand for.
#[derive(Clone, Copy)]
pub(super) enum G1 {
    Latin1,
    /// A set of one byte a character.
    Single(&'static Encoding),
    /// JIS X 0201, half-width katakana.
    Katakana,
    /// Hangul and hanja, two bytes a character.
    KsX1001,
    /// Simplified Chinese, two bytes a character.
    Gb2312,
}

impl G1 {
    /// Where nothing is told and such bytes come all the same, Latin-1 is what most senders mean and what other programs show.
    pub(super) const fn quirk_untold() -> Self {
        Self::Latin1
    }

    /// The set of one byte a character with this number in the ISO register (PS3.3 C.12-2). Of the Windows encodings only what is above
    /// 0xA0 is used, where they are ISO 8859-9 and TIS 620.
    pub(super) fn single(number: &str) -> Option<Self> {
        let encoding = match number {
            "100" => return Some(Self::Latin1),
            "101" => ISO_8859_2,
            "109" => ISO_8859_3,
            "110" => ISO_8859_4,
            "126" => ISO_8859_7,
            "127" => ISO_8859_6,
            "138" => ISO_8859_8,
            "144" => ISO_8859_5,
            "148" => WINDOWS_1254,
            "166" => WINDOWS_874,
            "203" => ISO_8859_15,
            _ => return None,
        };
        Some(Self::Single(encoding))
    }
}

/// The sets that are active.
#[derive(Clone, Copy)]
pub(super) struct Sets {
    pub(super) g0: G0,
    pub(super) g1: G1,
}

impl Sets {
    /// Obeys the escape sequence that `bytes` begin with, behind ESC; gives what follows it (PS3.3 C.12-3, C.12-4).
    fn switch<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let g0 = [
            (b"(B".as_slice(), G0::Ascii),
            (b"(J", G0::Roman),
            (b"$B", G0::Jis0208),
            // quirk: the edition of 1978, which Japanese devices still name.
            (b"$@", G0::Jis0208),
            (b"$(D", G0::Jis0212),
        ];
        let single = |number| G1::single(number).unwrap_or(G1::Latin1);
        let g1 = [
            (b")I".as_slice(), G1::Katakana),
            (b"$)C", G1::KsX1001),
            (b"$)A", G1::Gb2312),
            (b"-A", G1::Latin1),
            (b"-B", single("101")),
            (b"-C", single("109")),
            (b"-D", single("110")),
            (b"-F", single("126")),
            (b"-G", single("127")),
            (b"-H", single("138")),
            (b"-L", single("144")),
            (b"-M", single("148")),
            (b"-T", single("166")),
            (b"-b", single("203")),
        ];
        for (sequence, set) in g0 {
            if let Some(rest) = bytes.strip_prefix(sequence) {
                self.g0 = set;
                return Some(rest);
            }
        }
        for (sequence, set) in g1 {
            if let Some(rest) = bytes.strip_prefix(sequence) {
                self.g1 = set;
                return Some(rest);
            }
        }
        None
    }

    /// Takes one character off `bytes`, which begin with `first`.
    fn character(self, first: u8, bytes: &mut &[u8], text: &mut String) {
        match self.g0 {
            G0::Jis0208 | G0::Jis0212 if (0x21..0x7F).contains(&first) => self.kanji(first, bytes, text),
            G0::Roman if first == b'~' => text.push('\u{203E}'),
            _ if first < 0x80 => text.push(char::from(first)),
            _ if first < G1_FIRST => text.push(char::REPLACEMENT_CHARACTER),
            _ => self.upper(first, bytes, text),
        }
    }

    fn kanji(self, first: u8, bytes: &mut &[u8], text: &mut String) {
        let Some(second) = take(bytes, |byte| (0x21..0x7F).contains(&byte)) else {
            return text.push(char::REPLACEMENT_CHARACTER);
        };
        match (self.g0, jis_x_0208(first, second)) {
            (G0::Jis0212, _) => push(text, EUC_JP, &[SINGLE_SHIFT_3, first | 0x80, second | 0x80]),
            (_, Some(character)) => text.push(character),
            _ => push(text, EUC_JP, &[first | 0x80, second | 0x80]),
        }
    }

    fn upper(self, first: u8, bytes: &mut &[u8], text: &mut String) {
        let pairs = match self.g1 {
            G1::Latin1 => return text.push(char::from(first)),
            G1::Single(encoding) => return push(text, encoding, &[first]),
            G1::Katakana => return text.push(katakana(first)),
            G1::KsX1001 => EUC_KR,
            G1::Gb2312 => GBK,
        };
        match take(bytes, |byte| byte > G1_FIRST) {
            Some(second) => push(text, pairs, &[first, second]),
            None => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Where the table of the browsers, which is that of Windows, has another character than JIS X 0208.
fn jis_x_0208(first: u8, second: u8) -> Option<char> {
    match (first, second) {
        (0x21, 0x41) => Some('\u{301C}'), // wave dash
        (0x21, 0x42) => Some('\u{2016}'), // double vertical line
        (0x21, 0x5D) => Some('\u{2212}'), // minus sign
        (0x21, 0x71) => Some('\u{00A2}'), // cent sign
        (0x21, 0x72) => Some('\u{00A3}'), // pound sign
        (0x22, 0x4C) => Some('\u{00AC}'), // not sign
        _ => None,
    }
}

fn katakana(byte: u8) -> char {
    let half_width = (0xA1..=0xDF).contains(&byte).then(|| 0xFF61 + u32::from(byte - 0xA1));
    half_width.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn push(text: &mut String, encoding: &'static Encoding, bytes: &[u8]) {
    text.push_str(&encoding.decode_without_bom_handling(bytes).0);
}

/// Takes the next byte off if it is such a one.
fn take(bytes: &mut &[u8], wanted: impl Fn(u8) -> bool) -> Option<u8> {
    let (first, rest) = bytes.split_first().filter(|(first, _)| wanted(**first))?;
    *bytes = rest;
    Some(*first)
}

/// Decodes a value. An escape that is not known stays in the text, as the control character that it begins with.
pub(super) fn decode(mut bytes: &[u8], initial: Sets, delimiters: Delimiters) -> String {
    let (mut sets, mut text) = (initial, String::with_capacity(bytes.len()));
    while let Some((&first, rest)) = bytes.split_first() {
        bytes = rest;
        if first == ESCAPE {
            match sets.switch(rest) {
                Some(after) => bytes = after,
                None => text.push(char::from(ESCAPE)),
            }
            continue;
        }
        let wide = matches!(sets.g0, G0::Jis0208 | G0::Jis0212);
        if delimiters.contains(first) && !(wide && first > b' ') {
            sets = initial;
        }
        sets.character(first, &mut bytes, &mut text);
    }
    text
}
