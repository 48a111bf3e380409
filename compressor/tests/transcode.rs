//! Pixels in other transfer syntaxes and back: what comes back is the data set that went, byte for byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use compressor::Uid;
use compressor::dataset::{BulkKind, Encoding, ImageLayout, Outline, outline};
use compressor::encapsulated::{FrameDecoder, Syntax};
use compressor::transcode::{Coding, TranscodeError, is_fit, transcode};
use std::io::Cursor;
use std::path::PathBuf;

const CODED: [Coding; 2] = [Coding::JpegLs, Coding::Jpeg2000];

fn decoder() -> FrameDecoder {
    FrameDecoder::of(PathBuf::from(env!("CARGO_BIN_EXE_scanpost-pack")))
}

fn uid(target: Coding) -> Uid {
    Uid::parse(target.uid()).unwrap()
}

fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
    let length = value.len().next_multiple_of(2);
    let mut bytes =
        [&((tag >> 16) as u16).to_le_bytes()[..], &(tag as u16).to_le_bytes(), vr.as_bytes()].concat();
    match vr {
        "OB" | "OW" => bytes.extend([&[0, 0][..], &(length as u32).to_le_bytes()].concat()),
        _ => bytes.extend((length as u16).to_le_bytes()),
    }
    bytes.extend(value);
    bytes.resize(bytes.len() + length - value.len(), 0);
    bytes
}

/// An image in Explicit VR Little Endian, with something behind its pixels.
fn image(layout: &ImageLayout, native: &[u8]) -> Vec<u8> {
    let number = |tag: u32, value: u16| element(tag, "US", &value.to_le_bytes());
    let frames = layout.frames.to_string();
    let pixels = if layout.bits_allocated == 8 { "OB" } else { "OW" };
    [
        element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.4"),
        element(0x0008_0018, "UI", b"1.2.3.4"),
        number(0x0028_0002, layout.samples_per_pixel),
        element(0x0028_0004, "CS", b"MONOCHROME2 "),
        element(0x0028_0008, "IS", format!("{frames:<2}").as_bytes()),
        number(0x0028_0010, layout.rows),
        number(0x0028_0011, layout.columns),
        number(0x0028_0100, layout.bits_allocated),
        number(0x0028_0101, layout.bits_stored),
        number(0x0028_0102, layout.bits_stored - 1),
        number(0x0028_0103, layout.signed.into()),
        element(0x7FE0_0010, pixels, native),
        element(0xFFFC_FFFC, "OB", b"trailing"),
    ]
    .concat()
}

fn scan(data_set: &[u8]) -> Outline {
    outline(&mut Cursor::new(data_set), data_set.len() as u64, Encoding::ExplicitLittle).unwrap()
}

fn written(data_set: &[u8], from: Coding, to: Coding) -> Result<Vec<u8>, TranscodeError> {
    // It stands behind something else, as in a file.
    let mut source = Cursor::new([&[9; 132], data_set].concat());
    source.set_position(132);
    let mut out = Vec::new();
    let own = (&scan(data_set), &uid(from));
    transcode(&mut source, data_set.len() as u64, own, to, &decoder(), &mut out)?;
    Ok(out)
}

/// Samples of a bright disc, with so much noise, of as many bits as are stored.
fn samples(layout: &ImageLayout, noise: i64) -> Vec<u8> {
    let mut state = 5_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64
    };
    let (columns, rows) = (i64::from(layout.columns), i64::from(layout.rows));
    let below = if layout.signed { 1 << (layout.bits_stored - 1) } else { 0 };
    let mut bytes = Vec::new();
    for at in 0..columns * rows * i64::from(layout.frames) {
        let (x, y) = (at % columns, at / columns % rows);
        let sample = ((x * x + y * y) / 40 + random() % noise) % (1 << layout.bits_stored) - below;
        bytes.extend(&sample.to_le_bytes()[..usize::from(layout.bits_allocated / 8)]);
    }
    bytes
}

fn layout(columns: u16, rows: u16, (allocated, stored, signed): (u16, u16, bool)) -> ImageLayout {
    ImageLayout { bits_stored: stored, signed, ..ImageLayout::new(columns, rows, 1, allocated) }
}

const KINDS: [(u16, u16, bool); 8] = [
    (16, 12, false),
    (16, 12, true),
    (16, 16, false),
    (16, 16, true),
    (16, 10, false),
    (16, 8, false),
    (8, 8, false),
    (8, 8, true),
];

#[test]
fn what_comes_back_is_what_went() {
    for kind in KINDS {
        for (columns, rows, frames) in [(1, 1, 1), (3, 2, 3), (64, 1, 1), (61, 67, 2)] {
            let layout = ImageLayout { frames, ..layout(columns, rows, kind) };
            let native = image(&layout, &samples(&layout, 3));
            assert_eq!(scan(&native).image, Some(layout));
            for coding in CODED {
                let coded = written(&native, Coding::Native, coding).unwrap();
                let found = scan(&coded);
                assert_eq!(found.bulk.unwrap().kind, BulkKind::Encapsulated);
                assert!(coded.ends_with(&element(0xFFFC_FFFC, "OB", b"trailing")));
                let back = written(&coded, coding, Coding::Native).unwrap();
                assert!(back == native, "{coding:?} {kind:?} {columns} x {rows}, {frames} frames");
            }
        }
    }
}

#[test]
fn it_is_smaller() {
    let layout = layout(256, 256, (16, 12, false));
    let native = image(&layout, &samples(&layout, 3));
    for coding in CODED {
        let coded = written(&native, Coding::Native, coding).unwrap();
        assert!(coded.len() * 3 < native.len(), "{coding:?}: {} of {}", coded.len(), native.len());
    }
}

/// Overlays of old lie in bits above those that are stored (PS3.5 8.1.1), and some programs leave them as they were.
#[test]
fn bits_above_those_stored_are_kept() {
    for signed in [false, true] {
        let layout = layout(40, 30, (16, 12, signed));
        let mut pixels = samples(&layout, 3);
        for word in pixels.as_chunks_mut::<2>().0.iter_mut().step_by(7) {
            word[1] |= 0x70;
            word[1] &= 0x7F;
        }
        let native = image(&layout, &pixels);
        for coding in CODED {
            let coded = written(&native, Coding::Native, coding).unwrap();
            assert!(written(&coded, coding, Coding::Native).unwrap() == native, "{coding:?} {signed}");
        }
    }
}

#[test]
fn noise_that_an_encoder_does_not_take_stays_as_it_is() {
    let layout = layout(256, 256, (16, 16, false));
    let native = image(&layout, &samples(&layout, 1 << 16));
    let refused = written(&native, Coding::Native, Coding::JpegLs);
    assert!(matches!(refused, Err(TranscodeError::Unfit)), "{refused:?}");
}

#[test]
fn what_is_not_coded_is_known_before() {
    let fit = |layout: &ImageLayout, native: &[u8], from: &str, to: Coding| {
        is_fit(&scan(&image(layout, native)), &Uid::parse(from).unwrap(), to)
    };
    let (grey, explicit) = (layout(4, 4, (16, 12, false)), Coding::Native.uid());
    assert!(fit(&grey, &[0; 32], explicit, Coding::JpegLs));
    assert!(!fit(&grey, &[0; 30], explicit, Coding::JpegLs), "too short");
    assert!(!fit(&grey, &[0; 32], "1.2.840.10008.1.2", Coding::JpegLs), "implicit");
    assert!(!fit(&grey, &[0; 32], explicit, Coding::Native), "native already");
    let colour = ImageLayout::new(4, 4, 3, 8);
    assert!(!fit(&colour, &[0; 48], explicit, Coding::Jpeg2000));
    let deep = layout(4, 4, (32, 32, false));
    assert!(!fit(&deep, &[0; 64], explicit, Coding::Jpeg2000));
    let coded = written(&image(&grey, &[0; 32]), Coding::Native, Coding::JpegLs).unwrap();
    assert!(is_fit(&scan(&coded), &uid(Coding::JpegLs), Coding::Native));
    let lossy = Uid::parse("1.2.840.10008.1.2.4.81").unwrap();
    assert!(!is_fit(&scan(&coded), &lossy, Coding::Native), "may have lost something");
    assert_eq!(Syntax::of(&lossy), None);
}

#[test]
fn a_damaged_codestream_and_a_decoder_that_is_not_there_are_told() {
    let layout = layout(40, 30, (16, 12, false));
    let native = image(&layout, &samples(&layout, 3));
    let mut coded = written(&native, Coding::Native, Coding::Jpeg2000).unwrap();
    let at = coded.len() - 60;
    coded[at..at + 20].fill(0xFF);
    let start = scan(&coded).bulk.unwrap().range.start as usize;
    coded[start + 20..start + 24].fill(0);
    assert!(matches!(written(&coded, Coding::Jpeg2000, Coding::Native), Err(TranscodeError::NotDecoded(_))));
    let missing = FrameDecoder::of(PathBuf::from("/nonexistent"));
    let own = (&scan(&native), &uid(Coding::Native));
    let (mut source, mut out) = (Cursor::new(&native), Vec::new());
    let refused = transcode(&mut source, native.len() as u64, own, Coding::JpegLs, &missing, &mut out);
    assert!(
        matches!(refused, Err(TranscodeError::Unfit)) && out.is_empty(),
        "nothing is sent that was not seen to be right"
    );
}
