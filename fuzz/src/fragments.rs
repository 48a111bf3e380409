//! Item heads and offset table of encapsulated pixel data.

use compressor::encapsulated::index;
use std::io::Cursor;

/// The first byte is the number of frames.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&frames, value)) = bytes.split_first() else { return };
    let found = index(&mut Cursor::new(value), value.len() as u64, frames.into()).unwrap();
    let Ok(found) = found else { return };
    assert_eq!(found.frames(), usize::from(frames));
    let mut last = 0;
    for frame in 0..found.frames() {
        let fragments = found.fragments(frame);
        assert!(!fragments.is_empty(), "a frame without fragments");
        for fragment in fragments {
            assert!(last < fragment.start && fragment.start <= fragment.end, "fragments overlap");
            last = fragment.end;
        }
    }
    assert!(last <= value.len() as u64, "a fragment lies outside");
    assert!(found.fragments(found.frames()).is_empty());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let item =
        |bytes: &[u8]| [&[0xFE, 0xFF, 0x00, 0xE0][..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let end = [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];
    let table = [0, 26].into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>();
    let parts = [item(&[1; 4]), item(&[2; 6]), item(&[3; 2])].concat();
    [(2, table), (3, Vec::new()), (1, Vec::new())]
        .map(|(frames, table)| [&[frames][..], &item(&table), &parts, &end].concat())
        .into()
}
