#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn name(set: &str, value: &[u8]) -> String {
    CharacterSet::of(set.as_bytes()).decode(value, Delimiters::PersonName)
}

fn text(set: &str, value: &[u8]) -> String {
    CharacterSet::of(set.as_bytes()).decode(value, Delimiters::Text)
}

/// PS3.5 H.3.1, H.3.2, I.2, J.1, J.2, K.2.
#[test]
fn the_examples_of_the_standard_come_out_as_printed() {
    let h31 = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
    assert_eq!(name("\\ISO 2022 IR 87", h31), "Yamada^Tarou=山田^太郎=やまだ^たろう");
    let h32 = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J";
    assert_eq!(name("ISO 2022 IR 13\\ISO 2022 IR 87", h32), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう");
    let i2 = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
    assert_eq!(name("\\ISO 2022 IR 149", i2), "Hong^Gildong=洪^吉洞=홍^길동");
    let j1 = b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe4\xb8\x9c=";
    assert_eq!(name("ISO_IR 192", j1), "Wang^XiaoDong=王^小东=");
    let j3 = b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=";
    assert_eq!(name("GB18030", j3), "Wang^XiaoDong=王^小东=");
    assert_eq!(name("GBK", j3), "Wang^XiaoDong=王^小东=");
    let k2 = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=";
    assert_eq!(name("\\ISO 2022 IR 58", k2), "Zhang^XiaoDong=张^小东=");
}

#[test]
fn a_delimiter_resets_what_an_escape_has_set() {
    // Hangul is not named again behind the caret: the bytes are those of the first value's set.
    assert_eq!(name("ISO 2022 IR 100\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8^\xe9"), "김^é");
    assert_eq!(name("ISO 2022 IR 100\\ISO 2022 IR 144", b"\x1b-L\xbb^\xe9"), "Л^é");
    // A caret within a text is no delimiter, the end of a line is.
    assert_eq!(text("\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8^\xb1\xe8\r\n\xe9"), "김^김\r\né");
    // A backslash parts values, where there may be several.
    let parted = b"\x1b$)C\xb1\xe8\\\xe9";
    assert_eq!(text("ISO 2022 IR 100\\ISO 2022 IR 149", parted), "김\\é");
    let set = CharacterSet::of(b"\\ISO 2022 IR 149");
    assert_eq!(set.decode(b"\x1b$)C\xb1\xe8\\\xb1\xe8\n\xe9", Delimiters::Paragraphs), "김\\김\né");
    // Two bytes of kanji that look like delimiters.
    assert_eq!(name("\\ISO 2022 IR 87", b"\x1b$B^=\x3d^\x1b(B^A"), "渊殉^A");
}

#[test]
fn delimiters_hidden_in_double_bytes_do_not_cut_a_name() {
    // GBK and GB18030 have characters whose second byte is `^`, `=` or a backslash.
    assert_eq!(name("GBK", b"\x81\x5e^\x81\x5c"), "乛^乗");
}

#[test]
fn names_of_sets_are_taken_as_devices_write_them() {
    for set in [
        "ISO_IR 100",
        "ISO_IR 100 ",
        "ISO-IR 100",
        "ISO IR 100",
        "iso_ir_100",
        "ISO 2022 IR 100",
        "ISO_2022_IR_100",
        "ISO_IR 100\\ISO_IR 144",
    ] {
        assert_eq!(text(set, b"Buc^J\xe9r\xf4me"), "Buc^Jérôme", "{set}");
    }
    assert_eq!(text("ISO_IR 203", b"\xa4"), "€");
    assert_eq!(text("ISO_IR 166", b"\xa1\xd2"), "กา");
    assert_eq!(text("ISO_IR 148", b"\xf0\xfe\xfd"), "ğşı");
}

#[test]
fn what_is_not_told_is_utf_8_where_it_can_be() {
    for set in ["", "ISO_IR 6", "ISO_IR 9999", "\\\\\\"] {
        assert_eq!(text(set, "Kopf Schädel".as_bytes()), "Kopf Schädel");
        assert_eq!(text(set, b"Sch\xe4del"), "Schädel");
        assert_eq!(text(set, b"\x1b$BF,It\x1b(B CT"), "頭部 CT");
    }
    assert_eq!(text("ISO_IR 100", "ä".as_bytes()), "Ã¤", "what is told is obeyed");
}

#[test]
fn what_is_damaged_shows_itself() {
    assert_eq!(name("\\ISO 2022 IR 87", b"\x1b$B;3E"), "山\u{fffd}");
    assert_eq!(name("\\ISO 2022 IR 149", b"\x1b$)C\xb1^A"), "\u{fffd}^A");
    assert_eq!(name("ISO_IR 192", b"\xe7\x8e^A"), "\u{fffd}^A");
    assert_eq!(name("ISO_IR 100", b"A\x85B"), "A\u{fffd}B");
    assert_eq!(name("ISO_IR 100", b"A\x1bXB"), "A\u{1b}XB");
}

proptest! {
    #[test]
    fn any_bytes_give_bounded_text(set in prop::collection::vec(any::<u8>(), 0..40), value in prop::collection::vec(any::<u8>(), 0..300)) {
        for set in [set, b"\\ISO 2022 IR 87".to_vec(), b"ISO 2022 IR 13".to_vec(), b"ISO 2022 IR 149".to_vec(), b"GB18030".to_vec()] {
            let set = CharacterSet::of(&set);
            for delimiters in [Delimiters::Paragraphs, Delimiters::Text, Delimiters::PersonName] {
                prop_assert!(set.decode(&value, delimiters).len() <= 3 * value.len());
            }
        }
    }
}
