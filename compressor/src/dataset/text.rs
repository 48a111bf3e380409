//! Free text as far as its words can be told apart, whatever Specific Character Set says (PS3.5 6.1, H).

/// Switches to JIS X 0208, two bytes a character (PS3.5 H.3.1).
const JIS_BEGINS: [u8; 3] = *b"\x1b$B";
/// The first byte of what switches back.
const ESCAPE: u8 = 0x1B;
/// Characters of JIS X 0208 that words of anatomy are made of.
const JIS_CHARACTERS: [([u8; 2], char); 4] =
    [(*b"\x46\x2c", '頭'), (*b"\x47\x3e", '脳'), (*b"\x36\x3b", '胸'), (*b"\x4a\x22", '腹')];

/// UTF-8 where it is; else Latin-1, with the characters above taken out of JIS.
pub(super) fn readable(value: &[u8]) -> String {
    let trimmed = value.trim_ascii_end();
    match std::str::from_utf8(trimmed) {
        Ok(text) if !trimmed.contains(&ESCAPE) => text.to_owned(),
        _ => latin_or_jis(trimmed),
    }
}

fn latin_or_jis(mut value: &[u8]) -> String {
    let mut text = String::new();
    while let Some((first, rest)) = value.split_first() {
        if let Some(kanji) = value.strip_prefix(&JIS_BEGINS) {
            let end = kanji.iter().position(|byte| *byte == ESCAPE).unwrap_or(kanji.len());
            let (pairs, after) = kanji.split_at_checked(end).unwrap_or_default();
            text.extend(pairs.chunks_exact(2).map(jis));
            value = after;
        } else {
            text.push(char::from(*first));
            value = rest;
        }
    }
    text
}

fn jis(pair: &[u8]) -> char {
    let known = JIS_CHARACTERS.iter().find(|(code, _)| code == pair);
    known.map_or(char::REPLACEMENT_CHARACTER, |(_, character)| *character)
}
