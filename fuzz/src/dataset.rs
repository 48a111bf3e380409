//! Data sets and files: the linear length scan, in every encoding.

use crate::sample;
use compressor::dataset::ImageLayout;
use compressor::dataset::{Encoding, locate, outline};
use std::io::Cursor;

const ENCODINGS: [Encoding; 4] =
    [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig, Encoding::Deflated];

/// The first byte says which encoding, or that the rest is a file.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&choice, data)) = bytes.split_first() else { return };
    let (mut source, length) = (Cursor::new(data), data.len() as u64);
    let Some(encoding) = ENCODINGS.get(usize::from(choice % 8)) else {
        if let Some(part) = locate(&mut source, length).unwrap() {
            assert!(part.prefix_bytes <= length);
        }
        return;
    };
    if let Ok(outline) = outline(&mut source, length, *encoding) {
        let range = outline.bulk.map_or(0..0, |bulk| bulk.range);
        assert!(range.start <= range.end && range.end <= length, "the bulk value lies outside");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let data = sample::data_set(&ImageLayout::new(8, 8, 1, 16), 5);
    let mut meta = vec![0; 128];
    meta.extend(b"DICM");
    sample::element(0x0002_0010, b"UI", b"1.2.840.10008.1.2.1\0", &mut meta);
    meta.extend(&data);
    let implicit = [0x08, 0, 0x18, 0, 4, 0, 0, 0, b'1', b'.', b'2', 0, 0xE0, 0x7F, 0x10, 0, 2, 0, 0, 0, 1, 2];
    let mut encapsulated = Vec::new();
    sample::element(0x7FE0_0010, b"OB", &[], &mut encapsulated);
    let length = encapsulated.len();
    encapsulated[length - 4..].fill(0xFF);
    encapsulated.extend([0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0x00, 0xE0, 2, 0, 0, 0, 1, 2]);
    encapsulated.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    // A deflate stream of one stored block (RFC 1951 3.2.4).
    let mut deflated = vec![1];
    deflated.extend((data.len() as u16).to_le_bytes());
    deflated.extend((!(data.len() as u16)).to_le_bytes());
    deflated.extend(&data);
    [(0, implicit.to_vec()), (1, data), (1, encapsulated), (3, deflated), (4, meta)]
        .map(|(choice, bytes)| [vec![choice], bytes].concat())
        .into()
}
