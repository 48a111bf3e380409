#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::{scanpost_input, scanpost_output_bytes};
use proptest::prelude::*;

const RLE: u32 = 0;
const JPEG: u32 = 1;
const JPEG_2000: u32 = 2;

fn layout(columns: u16, rows: u16, samples: u16, bits: u16) -> ImageLayout {
    ImageLayout::new(columns, rows, samples, bits)
}

fn item(content: &[u8]) -> Vec<u8> {
    [&[0xFE, 0xFF, 0x00, 0xE0][..], &(content.len() as u32).to_le_bytes(), content].concat()
}

/// PackBits of a plane: what repeats as runs, all else as it is (PS3.5 G.3.1).
fn pack_bits(plane: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for run in plane.chunk_by(|one, next| one == next).flat_map(|run| run.chunks(128)) {
        match run {
            [value] => packed.extend([0, *value]),
            _ => packed.extend([(1 - run.len() as i32) as u8, run[0]]),
        }
    }
    // No operation.
    packed.push(0x80);
    packed
}

/// Planes of bytes, the most significant first (PS3.5 G.2, G.5).
fn rle(frame: &[u8], samples: usize, sample_bytes: usize) -> Vec<u8> {
    let (mut head, mut body) = (vec![(samples * sample_bytes) as u32], Vec::new());
    for sample in 0..samples {
        for byte in (0..sample_bytes).rev() {
            let at = sample * sample_bytes + byte;
            let plane: Vec<u8> = frame.iter().skip(at).step_by(samples * sample_bytes).copied().collect();
            head.push(64 + body.len() as u32);
            body.extend(pack_bits(&plane));
        }
    }
    head.resize(16, 0);
    [head.into_iter().flat_map(u32::to_le_bytes).collect(), body].concat()
}

fn decoded(codestream: u32, layout: &ImageLayout, items: &[u8]) -> Result<Vec<u8>, NotDecoded> {
    frame(codestream, layout, items, 0)
}

proptest! {
    #[test]
    fn what_was_packed_in_planes_comes_back(
        columns in 1_u16..40, rows in 1_u16..20, samples in prop::sample::select(vec![1_u16, 3]), bits in prop::sample::select(vec![8_u16, 16]), seed in any::<u64>(),
    ) {
        let layout = layout(columns, rows, samples, bits);
        let bytes = usize::from(columns) * usize::from(rows) * usize::from(samples) * usize::from(bits / 8);
        // Runs and single values.
        let frame: Vec<u8> = (0..bytes as u64).map(|at| ((seed >> (at / 7 % 32)) & (at % 3 * 85)) as u8).collect();
        let packed = rle(&frame, samples.into(), usize::from(bits / 8));
        prop_assert_eq!(decoded(RLE, &layout, &item(&packed)), Ok(frame));
        // Cut anywhere before its last plane is full, it is no frame.
        let cut = packed.len() / 2;
        prop_assert!(decoded(RLE, &layout, &item(&packed[..cut])).is_err());
    }

    #[test]
    fn no_bytes_are_more_than_a_frame(bytes in prop::collection::vec(any::<u8>(), 0..400), codestream in 0_u32..3) {
        let layout = layout(8, 4, 1, 16);
        if let Ok(frame) = decoded(codestream, &layout, &item(&bytes)) {
            prop_assert_eq!(frame.len(), 64);
        }
    }
}

#[test]
fn words_of_as_many_bits_as_are_allocated_stay_as_they_are() {
    let layout = ImageLayout { bits_stored: 12, signed: true, ..layout(2, 1, 1, 16) };
    let packed = rle(&[0xFF, 0x0F, 0x05, 0x00], 1, 2);
    // The planes have as many bits as are allocated: what came is what there is.
    assert_eq!(decoded(RLE, &layout, &item(&packed)), Ok(vec![0xFF, 0x0F, 0x05, 0x00]));
}

#[test]
fn the_offset_table_and_the_end_are_no_part_of_a_frame() {
    let layout = layout(4, 1, 1, 8);
    let packed = rle(&[1, 2, 3, 4], 1, 1);
    let (one, two) = packed.split_at(20);
    let value = [item(&[0; 4]), item(one), item(two), vec![0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]].concat();
    assert_eq!(frame(RLE, &layout, &value, FIRST), Ok(vec![1, 2, 3, 4]));
    assert_eq!(frame(RLE, &layout, &value, 0), Err(NotDecoded::Shape), "the table taken for a fragment");
    assert_eq!(frame(RLE, &layout, &value[..value.len() - 12], FIRST), Err(NotDecoded::Fragments));
}

#[test]
fn what_says_it_is_larger_is_refused_before_a_decoder_takes_room() {
    let frame = [
        &[0xFF, 0xC0, 0, 11, 8, 0xFF, 0xFF, 0xFF, 0xFF, 1, 1, 0x11, 0][..],
        &[0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0],
    ]
    .concat();
    let jpeg = [&[0xFF, 0xD8][..], &frame].concat();
    assert_eq!(decoded(JPEG, &layout(64, 64, 1, 8), &item(&jpeg)), Err(NotDecoded::Shape));
    let sizes: Vec<u8> =
        [u32::MAX, u32::MAX, 0, 0, 64, 64, 0, 0].into_iter().flat_map(u32::to_be_bytes).collect();
    let size = [&[0xFF, 0x51, 0, 41, 0, 0][..], &sizes, &[0, 1, 7, 1, 1], &[0xFF, 0x90, 0, 2]].concat();
    let jpeg_2000 = [&[0xFF, 0x4F][..], &size].concat();
    assert_eq!(decoded(JPEG_2000, &layout(64, 64, 1, 8), &item(&jpeg_2000)), Err(NotDecoded::Shape));
    assert_eq!(decoded(RLE, &layout(40_000, 40_000, 1, 16), &[]), Err(NotDecoded::TooLarge));
}

#[test]
fn a_page_asks_with_chunks() {
    let value = item(&rle(&[9, 9, 9, 7], 1, 1));
    let (one, two) = value.split_at(30);
    let chunks = [one, two].map(|raw| [&[0][..], raw].concat());
    let sizes =
        [one, two].into_iter().zip(&chunks).flat_map(|(raw, coded)| [coded.len() as u32, raw.len() as u32]);
    let input: Vec<u8> = [sizes.flat_map(u32::to_le_bytes).collect(), chunks.concat()].concat();
    let ask = |chunks| {
        scanpost_input(input.len());
        with(|worker| worker.input.copy_from_slice(&input));
        scanpost_picture(RLE, 4, 1, 1, 8, 8, 0, chunks)
    };
    assert_eq!(ask(2), OK);
    assert_eq!(with(|worker| worker.output.clone()), [9, 9, 9, 7]);
    assert_eq!(scanpost_output_bytes(), 4);
    for chunks in [0, 1, 3, usize::MAX] {
        assert_eq!(ask(chunks), DAMAGED, "{chunks} chunks");
    }
}

/// Markers in front of a scan that is never reached, or is where `None` is not refused before.
fn jpeg(before: &[&[u8]], start_of_frame: u8, shift: u8, scans: usize) -> Vec<u8> {
    let frame = [&[0xFF, start_of_frame, 0, 17, 8, 0, 2, 0, 2, 3][..], &[1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]]
        .concat();
    let scan = [0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0, 3, 0, 1, 0, shift];
    [&[0xFF, 0xD8][..], &before.concat(), &frame, &scan.repeat(scans)].concat()
}

#[test]
fn what_a_decoder_would_get_wrong_without_a_word_is_refused() {
    let layout = layout(2, 2, 3, 8);
    let restarts = [0xFF, 0xDD, 0, 4, 0, 1];
    let lossless = 0xC3;
    for damaged in [jpeg(&[&restarts], lossless, 0, 1), jpeg(&[], lossless, 2, 1), jpeg(&[], 0xC0, 0, 4)] {
        assert_eq!(decoded(JPEG, &layout, &item(&damaged)), Err(NotDecoded::Damaged));
    }
}
