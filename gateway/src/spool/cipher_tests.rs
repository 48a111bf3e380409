//! Every length, every place, every cut and every changed bit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use std::collections::HashSet;
use std::io::Cursor;

const LENGTHS: [usize; 9] = [
    0,
    1,
    1000,
    CHUNK_BYTES - 1,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    2 * CHUNK_BYTES,
    2 * CHUNK_BYTES + 17,
    5 * CHUNK_BYTES - 3,
];

fn key(byte: u8) -> FileKey {
    FileKey::from_bytes([byte; 32])
}

fn plain(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn encrypted(plain: &[u8], salt: u8, fragment: usize) -> Vec<u8> {
    let mut out = Encrypting::new(Vec::new(), &key(1), [salt; 32]).unwrap();
    plain.chunks(fragment).for_each(|fragment| out.write_all(fragment).unwrap());
    out.finish().unwrap()
}

fn open(file: &[u8]) -> io::Result<Vec<u8>> {
    let mut opened = Vec::new();
    Decrypting::new(Cursor::new(file), &key(1))?.read_to_end(&mut opened)?;
    Ok(opened)
}

#[test]
fn every_length_comes_back_however_it_was_written() {
    for length in LENGTHS {
        let plain = plain(length);
        let file = encrypted(&plain, 1, 1 << 20);
        assert_eq!(file.len(), HEADER_BYTES + length + length.div_ceil(CHUNK_BYTES).max(1) * TAG_BYTES);
        assert_eq!(plain_bytes(file.len() as u64), Some(length as u64));
        assert!(is_encrypted(&file) && open(&file).unwrap() == plain, "{length}");
        for fragment in [7, 4096, CHUNK_BYTES] {
            assert_eq!(encrypted(&plain, 1, fragment), file, "{length} in {fragment}");
        }
    }
}

#[test]
fn any_place_is_read_without_what_is_before_it() {
    let plain = plain(5 * CHUNK_BYTES - 3);
    let file = encrypted(&plain, 1, 1 << 20);
    let mut opened = Decrypting::new(Cursor::new(&file), &key(1)).unwrap();
    assert_eq!(opened.seek(SeekFrom::End(0)).unwrap(), plain.len() as u64);
    for at in [0, 4 * CHUNK_BYTES - 5, 17, CHUNK_BYTES - 1, CHUNK_BYTES, plain.len() - 10] {
        let mut part = [0; 10];
        opened.seek(SeekFrom::Start(at as u64)).unwrap();
        opened.read_exact(&mut part).unwrap();
        assert_eq!(part, plain[at..at + 10]);
        assert_eq!(opened.seek(SeekFrom::Current(-10)).unwrap(), at as u64);
    }
    opened.seek(SeekFrom::Start(u64::MAX)).unwrap();
    assert_eq!(opened.read(&mut [0; 10]).unwrap(), 0);
    assert!(opened.seek(SeekFrom::Current(1)).is_err());
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused_when_it_is_opened() {
    let file = encrypted(&plain(3 * CHUNK_BYTES), 1, 1 << 20);
    let whole = CHUNK_BYTES + TAG_BYTES;
    let between = (0..3).flat_map(|chunk| {
        let end = HEADER_BYTES + chunk * whole;
        [end, end + 1, end + TAG_BYTES, end + TAG_BYTES + 1, end + whole / 2, end + whole - 1]
    });
    for length in (0..HEADER_BYTES).chain(between) {
        assert!(Decrypting::new(Cursor::new(&file[..length]), &key(1)).is_err(), "{length}");
    }
    assert!(open(&[&file[..], &[0]].concat()).is_err());
    // Chunks of the same file in another order, and of another writing.
    let swapped = [
        &file[..HEADER_BYTES],
        &file[HEADER_BYTES + whole..][..whole],
        &file[HEADER_BYTES..][..whole],
        &file[HEADER_BYTES + 2 * whole..],
    ]
    .concat();
    assert!(open(&swapped).is_err());
    let other = encrypted(&plain(3 * CHUNK_BYTES), 2, 1 << 20);
    assert!(open(&[&file[..HEADER_BYTES + whole], &other[HEADER_BYTES + whole..]].concat()).is_err());
}

#[test]
fn every_changed_bit_and_every_other_key_is_refused() {
    let plain = plain(300);
    let file = encrypted(&plain, 1, 1 << 20);
    for bit in 0..file.len() * 8 {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&changed).is_err(), "bit {bit}");
    }
    assert!(Decrypting::new(Cursor::new(&file), &key(2)).is_err());
}

/// The same bytes written twice share nothing: neither ciphertext nor, since the salt differs, a key.
#[test]
fn no_key_and_nonce_come_together_twice() {
    let plain = vec![0; 3 * CHUNK_BYTES];
    let files = [1, 2].map(|salt| encrypted(&plain, salt, 1 << 20));
    let blocks: Vec<&[u8]> = files.iter().flat_map(|file| file[HEADER_BYTES..].chunks_exact(16)).collect();
    let distinct: HashSet<&[u8]> = blocks.iter().copied().collect();
    assert_eq!(distinct.len(), blocks.len(), "zeros would come out alike under one key and nonce");
    let nonces: HashSet<Vec<u8>> = (0..1000)
        .flat_map(|number| [nonce(number, false), nonce(number, true)])
        .map(|n| n.as_ref().to_vec())
        .collect();
    assert_eq!(nonces.len(), 2000);
}
