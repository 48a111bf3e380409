//! Data sets that are read whole as a tree: reports and documents, in every encoding.

use crate::sample;
use compressor::dataset::{Bare, CharacterSet, Delimiters, Encoding, Item, PersonName};

const ENCODINGS: [Encoding; 4] =
    [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig, Encoding::Deflated];
const CHARACTER_SET: u32 = 0x0008_0005;
const CONTENT: u32 = 0x0040_A730;
const CODE: u32 = 0x0040_A043;
const TEXT: u32 = 0x0040_A160;
const MEANING: u32 = 0x0008_0104;
const PERSON: u32 = 0x0040_A123;

/// The first byte says which encoding.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&choice, data)) = bytes.split_first() else { return };
    let bare = Bare::of(data, ENCODINGS[usize::from(choice % 4)]);
    let tree = bare.tree(&[CONTENT, CODE]);
    read(&tree.top, CharacterSet::default());
    drop(bare.outline());
}

fn read(item: &Item<'_>, around: CharacterSet) {
    let set = item.value(CHARACTER_SET).map_or(around, CharacterSet::of);
    for tag in [TEXT, MEANING] {
        // What stands for no character is one of three bytes.
        let value = item.value(tag).unwrap_or_default();
        assert!(set.decode(value, Delimiters::Text).len() <= 3 * value.len(), "a text grew");
    }
    drop(PersonName::decode(item.value(PERSON).unwrap_or_default(), set));
    for sequence in [CONTENT, CODE] {
        item.items(sequence).iter().for_each(|inner| read(inner, set));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let item = |content: &[u8]| {
        [[0xFE, 0xFF, 0x00, 0xE0].as_slice(), &(content.len() as u32).to_le_bytes(), content].concat()
    };
    let mut code = Vec::new();
    sample::element(MEANING, b"LO", b"\x1b$B;3ED\x1b(B ", &mut code);
    let mut content = Vec::new();
    sample::element(CHARACTER_SET, b"CS", b"\\ISO 2022 IR 87 ", &mut content);
    sample::element(CODE, b"SQ", &item(&code), &mut content);
    sample::element(TEXT, b"LT", b"words ", &mut content);
    sample::element(PERSON, b"PN", b"A^B=C^D ", &mut content);
    let mut whole = Vec::new();
    sample::element(0x0008_0016, b"UI", b"1.2.840.10008.5.1.4.1.1.88.11\0", &mut whole);
    sample::element(CONTENT, b"SQ", &[item(&content), item(&content)].concat(), &mut whole);
    // Without lengths, and without VRs.
    let mut open = vec![
        0x40, 0, 0x30, 0xA7, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF,
        0xFF, 0xFF,
    ];
    open.extend(&content);
    open.extend([0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    let implicit = [
        [0x40, 0, 0x30, 0xA7, 20, 0, 0, 0].as_slice(),
        &item(&[0x40, 0, 0x60, 0xA1, 4, 0, 0, 0, b'a', b'b', b'c', b'd']),
    ]
    .concat();
    [(0, implicit), (1, whole), (1, open)].map(|(choice, bytes)| [vec![choice], bytes].concat()).into()
}
