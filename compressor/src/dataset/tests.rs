#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::sample::Writer;
use super::*;
use crate::limits::{ELEMENTS_MAX, SEQUENCE_DEPTH_MAX};
use proptest::prelude::*;
use std::io::{Cursor as Bytes, Write};

const UNDEFINED: u32 = 0xFFFF_FFFF;
const PIXEL_DATA: u32 = 0x7FE0_0010;
const ALL: [Encoding; 4] =
    [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig, Encoding::Deflated];

fn image() -> ImageLayout {
    ImageLayout { frames: 2, bits_stored: 12, signed: true, ..ImageLayout::new(5, 3, 1, 16) }
}

fn scan(bytes: &[u8], encoding: Encoding) -> Result<Outline, ScanError> {
    outline(&mut Bytes::new(bytes), bytes.len() as u64, encoding)
}

fn reason(result: Result<Outline, ScanError>) -> &'static str {
    match result {
        Err(ScanError::Damaged { reason, .. }) => reason,
        other => panic!("not damaged: {other:?}"),
    }
}

#[test]
fn native_pixels_are_found_in_every_encoding() {
    for encoding in [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig] {
        let pixels = [7; 60];
        let writer = Writer::new(encoding).identity(12).image(&image()).head(PIXEL_DATA, "OW", 60);
        let start = writer.bytes.len() as u64;
        let bytes = writer.raw(&pixels).element(0xFFFC_FFFC, "OB", &[0; 4]).bytes;
        let found = scan(&bytes, encoding).unwrap();
        assert_eq!(found.bulk, Some(Bulk { range: start..start + 60, kind: BulkKind::Native }));
        let big_endian = encoding == Encoding::ExplicitBig;
        assert_eq!(found.image, Some(ImageLayout { big_endian, ..image() }));
        assert_eq!(found.instance_number, Some(12));
        assert_eq!(found.modality.as_deref(), Some("MR"));
        assert_eq!(found.sop_instance.unwrap().as_str(), "1.2.3.12");
        assert_eq!(found.study.unwrap().as_str(), "1.2.3");
    }
}

#[test]
fn what_a_series_shows_is_told_as_text() {
    for encoding in [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig] {
        let bytes = Writer::new(encoding)
            .element(0x0008_0005, "CS", b"ISO_IR 192")
            .element(0x0008_0008, "CS", b"ORIGINAL\\PRIMARY\\LOCALIZER ")
            .element(0x0018_0015, "CS", b"HEAD")
            .element(0x0018_1030, "LO", "頭部ルーチン ".as_bytes())
            .bytes;
        let banner = scan(&bytes, encoding).unwrap().banner;
        let told: Vec<_> = banner.texts_and_contents(crate::Purpose::Seal).collect();
        let image_type = ("image_type", "ORIGINAL\\PRIMARY\\LOCALIZER");
        assert_eq!(told, [("body_part", "HEAD"), ("protocol", "頭部ルーチン"), image_type]);
        assert_eq!(banner.texts(crate::Purpose::Seal).count(), 0, "words to find a patient by");
    }
}

#[test]
fn source_is_scanned_from_its_start_wherever_it_stands() {
    let bytes = Writer::new(Encoding::ExplicitLittle).identity(1).bytes;
    let mut source = Bytes::new(bytes.as_slice());
    source.set_position(20);
    let found = outline(&mut source, bytes.len() as u64, Encoding::ExplicitLittle).unwrap();
    assert_eq!(found.instance_number, Some(1));
}

#[test]
fn encapsulated_pixels_are_bulk_with_all_items() {
    let writer = Writer::new(Encoding::ExplicitLittle).identity(1).image(&image());
    let writer = writer.head(PIXEL_DATA, "OB", UNDEFINED);
    let start = writer.bytes.len() as u64;
    let writer = writer.head(0xFFFE_E000, "", 0).element(0xFFFE_E000, "", &[1; 90]).head(0xFFFE_E0DD, "", 0);
    let end = writer.bytes.len() as u64;
    let found = scan(&writer.bytes, Encoding::ExplicitLittle).unwrap();
    assert_eq!(found.bulk, Some(Bulk { range: start..end, kind: BulkKind::Encapsulated }));
}

#[test]
fn pixels_inside_a_sequence_are_not_the_pixels() {
    let bytes = Writer::new(Encoding::ExplicitLittle)
        .head(0x0088_0200, "SQ", UNDEFINED)
        .head(0xFFFE_E000, "", UNDEFINED)
        .image(&image())
        .element(PIXEL_DATA, "OW", &[9; 60])
        .head(0xFFFE_E00D, "", 0)
        .head(0xFFFE_E0DD, "", 0)
        .bytes;
    let found = scan(&bytes, Encoding::ExplicitLittle).unwrap();
    assert_eq!((found.bulk, found.image), (None, None));
}

#[test]
fn unknown_value_of_undefined_length_is_implicit_inside() {
    let inside = Writer::new(Encoding::ImplicitLittle)
        .head(0xFFFE_E000, "", UNDEFINED)
        .element(0x0009_0010, "", b"PRIVATE ")
        .head(0x0009_1001, "", UNDEFINED)
        .element(0xFFFE_E000, "", b"skipped by length ")
        .head(0xFFFE_E0DD, "", 0)
        .head(0xFFFE_E00D, "", 0)
        .head(0xFFFE_E0DD, "", 0)
        .bytes;
    for encoding in [Encoding::ExplicitLittle, Encoding::ExplicitBig] {
        let bytes = Writer::new(encoding).head(0x0009_1100, "UN", UNDEFINED).raw(&inside).identity(5).bytes;
        assert_eq!(scan(&bytes, encoding).unwrap().instance_number, Some(5));
    }
}

#[test]
fn odd_but_readable_elements_pass() {
    let bytes = Writer::new(Encoding::ExplicitLittle)
        .element(0x0008_0000, "UL", &[9, 0, 0, 0])
        .element(0x0009_1010, "ZZ", b"a VR to come")
        // A VR left out: the four bytes are the length.
        .raw(b"\x09\0\x11\x10\x04\0\0\0full")
        // An unknown VR with a short length.
        .raw(b"\x09\0\x12\x10XX\x02\0ab")
        .element(0x0009_1014, "UT", &[b'x'; 70_000])
        .identity(3)
        .raw(&[0; 5])
        .bytes;
    let found = scan(&bytes, Encoding::ExplicitLittle).unwrap();
    assert_eq!(found.instance_number, Some(3));
    let bulk = found.bulk.unwrap();
    assert_eq!((bulk.range.end - bulk.range.start, bulk.kind), (70_000, BulkKind::Other));
}

#[test]
fn lying_lengths_are_damage() {
    for length in [61, 1 << 20, 0xFFFF_FFFE] {
        let bytes = Writer::new(Encoding::ExplicitLittle).head(PIXEL_DATA, "OW", length).raw(&[0; 60]).bytes;
        assert_eq!(reason(scan(&bytes, Encoding::ExplicitLittle)), "length beyond the end");
    }
    let open = Writer::new(Encoding::ExplicitLittle).head(0x0040_0275, "SQ", UNDEFINED).bytes;
    assert_eq!(reason(scan(&open, Encoding::ExplicitLittle)), "length beyond the end");
}

#[test]
fn damage_behind_the_pixels_does_not_matter() {
    let bytes =
        Writer::new(Encoding::ExplicitLittle).element(PIXEL_DATA, "OW", &[1; 6]).raw(&[0xAB; 40]).bytes;
    assert_eq!(scan(&bytes, Encoding::ExplicitLittle).unwrap().bulk.unwrap().range, 12..18);
}

#[test]
fn depth_is_limited() {
    let nested = |depth| {
        let open =
            |writer: Writer, _| writer.head(0x0040_0275, "SQ", UNDEFINED).head(0xFFFE_E000, "", UNDEFINED);
        let close = |writer: Writer, _| writer.head(0xFFFE_E00D, "", 0).head(0xFFFE_E0DD, "", 0);
        let writer = (0..depth).fold(Writer::new(Encoding::ExplicitLittle), open);
        scan(&(0..depth).fold(writer, close).bytes, Encoding::ExplicitLittle)
    };
    assert!(nested(SEQUENCE_DEPTH_MAX).is_ok());
    assert_eq!(reason(nested(SEQUENCE_DEPTH_MAX + 1)), "sequences too deep");
}

#[test]
fn number_of_elements_is_limited() {
    let bytes = vec![0; 8 * (ELEMENTS_MAX + 1)];
    assert_eq!(reason(scan(&bytes, Encoding::ImplicitLittle)), "too many elements");
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn deflated_data_set_is_known_but_has_no_bulk() {
    let writer = Writer::new(Encoding::ExplicitLittle).identity(8).image(&image());
    let whole = deflate(&Writer::new(Encoding::ExplicitLittle).identity(8).bytes);
    let with_pixels = deflate(&writer.element(PIXEL_DATA, "OW", &[0; 1 << 20]).bytes);
    for bytes in [whole, with_pixels] {
        let found = scan(&bytes, Encoding::Deflated).unwrap();
        assert_eq!((found.instance_number, found.bulk), (Some(8), None));
    }
}

#[test]
fn deflate_bomb_ends_at_the_limit() {
    let bomb = Writer::new(Encoding::ExplicitLittle).head(0x0008_0005, "UT", 1 << 31).bytes;
    let bytes = deflate(&[bomb, vec![0; 80 << 20]].concat());
    assert_eq!(reason(scan(&bytes, Encoding::Deflated)), "length beyond the end");
    assert!(scan(b"not deflate at all", Encoding::Deflated).is_err());
}

fn file(with_preamble: bool, meta: bool, encoding: Encoding, uid: &str) -> Vec<u8> {
    let mut file = if with_preamble { [&[0; 128][..], b"DICM"].concat() } else { Vec::new() };
    if meta {
        // A wrong group length, as is often seen.
        let writer = Writer::new(Encoding::ExplicitLittle).element(0x0002_0000, "UL", &[1, 2, 3, 4]);
        file.extend(writer.element(0x0002_0010, "UI", uid.as_bytes()).bytes);
    }
    file.extend(Writer::new(encoding).identity(4).image(&image()).element(PIXEL_DATA, "OW", &[3; 60]).bytes);
    file
}

#[test]
fn data_set_is_located_with_and_without_preamble_and_meta_group() {
    let cases = [
        (Encoding::ImplicitLittle, "1.2.840.10008.1.2\0"),
        (Encoding::ExplicitLittle, "1.2.840.10008.1.2.1\0"),
        (Encoding::ExplicitBig, "1.2.840.10008.1.2.2\0"),
    ];
    for (encoding, uid) in cases {
        for (preamble, meta) in [(true, true), (false, true), (true, false), (false, false)] {
            let bytes = file(preamble, meta, encoding, uid);
            let mut source = Bytes::new(bytes.as_slice());
            let part = locate(&mut source, bytes.len() as u64).unwrap().expect("DICOM");
            assert_eq!(part.transfer_syntax, Uid::parse(uid).unwrap(), "{preamble} {meta}");
            source.set_position(part.prefix_bytes);
            let left = bytes.len() as u64 - part.prefix_bytes;
            let found = outline_here(&mut source, left, encoding).unwrap();
            assert_eq!(found.bulk.unwrap().range.end, left);
        }
    }
}

#[test]
fn other_files_are_not_located() {
    let long = vec![b'x'; 1000];
    for bytes in [&b""[..], b"short", &long, &[0; 4096], &[0xFF; 300]] {
        assert_eq!(locate(&mut Bytes::new(bytes), bytes.len() as u64).unwrap(), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_scanned_without_panic(bytes: Vec<u8>) {
        for encoding in ALL {
            if let Ok(Outline { bulk: Some(bulk), .. }) = scan(&bytes, encoding) {
                prop_assert!(bulk.range.start <= bulk.range.end && bulk.range.end <= bytes.len() as u64);
            }
        }
        let _ = locate(&mut Bytes::new(bytes.as_slice()), bytes.len() as u64).unwrap();
    }

    #[test]
    fn damaged_data_sets_are_scanned_without_panic(places: Vec<(u16, u8)>, cut: u16) {
        for encoding in ALL {
            let mut bytes = file(true, true, encoding, "1.2.840.10008.1.2.1\0");
            bytes.truncate(bytes.len() - usize::from(cut) % 100);
            for (place, bits) in &places {
                let length = bytes.len();
                bytes[usize::from(*place) % length] ^= bits;
            }
            let _ = locate(&mut Bytes::new(bytes.as_slice()), bytes.len() as u64).unwrap();
            let data = &bytes[132..];
            if let Ok(Outline { bulk: Some(bulk), .. }) = scan(data, encoding) {
                prop_assert!(bulk.range.start <= bulk.range.end && bulk.range.end <= data.len() as u64);
            }
        }
    }
}
