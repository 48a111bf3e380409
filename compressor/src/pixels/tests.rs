#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::limits::SLAB_BYTES_MAX;
use proptest::prelude::*;

fn layout(columns: u16, rows: u16, samples_per_pixel: u16, bits_allocated: u16) -> ImageLayout {
    ImageLayout {
        rows,
        columns,
        frames: 1,
        samples_per_pixel,
        bits_allocated,
        bits_stored: bits_allocated,
        signed: false,
        planar: false,
        big_endian: false,
    }
}

/// The same bytes everywhere (a 64-bit linear congruential generator, Knuth's constants).
fn noise(seed: u64) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(seed), |state| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .skip(1)
    .map(|state| (state >> 33) as u32)
}

/// A ball on a black ground, with noise of a few steps inside.
fn ball(side: i32, slice: i32) -> Vec<u8> {
    let mut noise = noise(slice as u64);
    let pixel = |x: i32, y: i32, noise: u32| {
        let distance = (x - side / 2).pow(2) + (y - side / 2).pow(2) + 4 * slice * slice;
        let inside = distance < side * side / 5;
        if inside { 400 + (x * 3 + y * 2 + slice * 5) / 4 + (noise % 24) as i32 } else { 0 }
    };
    let places = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    places.flat_map(|(x, y)| (pixel(x, y, noise.next().unwrap()) as u16).to_le_bytes()).collect()
}

/// The model that a bundle would send with these slabs.
fn learnt(slab: &Slab, slabs: &[&[u8]]) -> Model {
    let mut lessons = Lessons::within(&Bound::LOSSLESS);
    slabs.iter().for_each(|raw| lessons.add(slab, raw, &[]));
    let model = lessons.learn((slabs.len() * slab.bytes()) as u64);
    assert_eq!(Model::read(&model.write()).as_ref(), Ok(&model));
    model
}

/// Without loss, by the lattice coder.
fn encode(slab: &Slab, raw: &[u8], model: &Model) -> [Vec<u8>; 2] {
    let coded = lattice::encode(slab, raw, model, &Bound::LOSSLESS, &[]);
    [coded.coarse, coded.fine]
}

fn bytes(parts: &[Vec<u8>; 2]) -> usize {
    parts.iter().map(Vec::len).sum()
}

fn assert_round_trip(layout: &ImageLayout, raw: &[u8]) -> usize {
    let slab = Slab::of(layout, raw.len()).expect("a slab");
    let model = learnt(&slab, &[raw]);
    let coded = encode(&slab, raw, &model);
    assert_eq!(lattice::decode(&slab, &coded, &model).as_deref(), Ok(raw), "{layout:?}");
    let smaller = encode_slab(layout, raw, &model, &Bound::LOSSLESS).unwrap().bytes;
    let decoded = decode_slab(layout, &smaller, Some(&model), raw.len());
    assert_eq!(decoded.as_deref(), Ok(raw), "{layout:?}");
    coded.len()
}

#[test]
fn every_layout_comes_back() {
    for (columns, rows) in [(1, 1), (1, 9), (9, 1), (2, 2), (17, 13), (64, 3)] {
        for (samples, bits) in [(1, 8), (1, 16), (2, 8), (3, 8), (3, 16), (4, 16)] {
            for flags in 0..8 {
                let (signed, planar, big_endian) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
                let layout = ImageLayout {
                    signed,
                    planar,
                    big_endian,
                    frames: 3,
                    ..layout(columns, rows, samples, bits)
                };
                let bytes = 3 * frame_bytes(&layout).unwrap() as usize;
                let raw: Vec<u8> = noise(flags).map(|value| value as u8).take(bytes).collect();
                assert_round_trip(&layout, &raw);
                let smooth: Vec<u8> = (0..bytes).map(|byte| (byte / 7) as u8).collect();
                assert_round_trip(&layout, &smooth);
                assert_round_trip(&layout, &vec![0x80; bytes]);
            }
        }
    }
}

#[test]
fn all_codes_of_16_bits_come_back() {
    for signed in [false, true] {
        let layout = ImageLayout { signed, ..layout(256, 256, 1, 16) };
        let up: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let jumps: Vec<u8> =
            (0..=u16::MAX).flat_map(|code| code.wrapping_mul(40_503).to_le_bytes()).collect();
        let ends = [0_u16, 1, 0x7FFF, 0x8000, 0xFFFF];
        let extremes: Vec<u8> =
            noise(5).take(1 << 16).flat_map(|value| ends[value as usize % 5].to_le_bytes()).collect();
        for raw in [up, jumps, extremes] {
            assert_round_trip(&layout, &raw);
        }
    }
}

#[test]
fn generated_volume_has_its_exact_sizes() {
    let layout = layout(128, 128, 1, 16);
    let sizes: Vec<usize> = [0, 8, 16].map(|slice| assert_round_trip(&layout, &ball(128, slice))).into();
    assert_eq!(sizes, [6290, 5798, 4360]);
}

#[test]
fn series_with_one_model_has_its_exact_sizes() {
    let layout = layout(128, 128, 1, 16);
    let slab = Slab::of(&layout, 128 * 128 * 2).unwrap();
    let raw = [-16, -8, 0, 8, 16].map(|slice| ball(128, slice));
    let model = learnt(&slab, &raw.each_ref().map(Vec::as_slice));
    let sizes = raw.each_ref().map(|raw| encode(&slab, raw, &model).len());
    assert_eq!((pack_chunk(&model.write()).unwrap().len(), sizes), (970, [4386, 5808, 6298, 5820, 4366]));
}

#[test]
fn padding_costs_its_outline_alone() {
    let layout = ImageLayout { signed: true, ..layout(128, 128, 1, 16) };
    let slab = Slab::of(&layout, 128 * 128 * 2).unwrap();
    let mut noise = noise(1);
    let mut image = |padding: bool| -> Vec<u8> {
        let inside = |x: i32, y: i32| !padding || (x - 64).pow(2) + (y - 64).pow(2) < 3600;
        let places = (0..128).flat_map(|y| (0..128).map(move |x| (x, y)));
        let air = |noise: u32| (noise % 8) as i16 - 1004;
        let value = |(x, y)| if inside(x, y) { air(noise.next().unwrap()) } else { -3024 };
        places.map(value).flat_map(i16::to_le_bytes).collect()
    };
    let [padded, whole] = [true, false].map(&mut image);
    let size = |raw: &Vec<u8>| encode(&slab, raw, &learnt(&slab, &[raw])).len();
    assert!(size(&padded) < size(&whole) * 72 / 100 + 250, "{} {}", size(&padded), size(&whole));
}

#[test]
fn model_must_be_whole() {
    let slab = Slab::of(&layout(8, 8, 1, 8), 64).unwrap();
    let bytes = learnt(&slab, &[&[1; 64]]).write();
    assert!(bytes.len() <= crate::limits::MODEL_BYTES_MAX);
    let longer = [bytes.as_slice(), &[0]].concat();
    for damaged in [&longer, &bytes[..bytes.len() - 1], &[], &[2]] {
        assert_eq!(Model::read(damaged), Err(DamagedSlab));
    }
    let coded = encode_slab(&layout(8, 8, 1, 8), &[1; 64], &Model::read(&bytes).unwrap(), &Bound::LOSSLESS)
        .unwrap()
        .bytes;
    assert!(decode_slab(&layout(8, 8, 1, 8), &coded, None, 64).is_err() || coded[0] != LATTICE);
}

#[test]
fn flat_slab_costs_almost_nothing() {
    let layout = layout(1024, 1024, 1, 16);
    assert_eq!(assert_round_trip(&layout, &vec![0x11; 2 << 20]), 22);
}

#[test]
fn colour_is_worth_its_transform() {
    let grey_in_colour: Vec<u8> = noise(9).take(64 * 64).flat_map(|v| [v as u8, v as u8, v as u8]).collect();
    let slab = Slab::of(&layout(64, 64, 3, 8), 64 * 64 * 3).unwrap();
    let coded = encode(&slab, &grey_in_colour, &learnt(&slab, &[&grey_in_colour]));
    assert!(coded.len() < 64 * 64 * 11 / 10, "{}", coded.len());
}

#[test]
fn slabs_cover_the_image() {
    let cases = [
        (ImageLayout { frames: 1000, ..layout(64, 64, 1, 16) }, vec![2 << 20, 2 << 20, 2 << 20, 1_900_544]),
        (layout(2048, 2048, 1, 16), vec![2 << 20; 4]),
        (
            ImageLayout { planar: true, frames: 2, ..layout(1000, 1000, 3, 8) },
            vec![2_097_000, 903_000, 2_097_000, 903_000],
        ),
        (layout(65_535, 5, 4, 16), vec![4 * 524_280, 524_280]),
    ];
    for (layout, expected) in cases {
        let lengths: Vec<usize> = slab_lengths(&layout).unwrap().collect();
        assert_eq!(
            lengths.iter().sum::<usize>() as u64,
            frame_bytes(&layout).unwrap() * u64::from(layout.frames)
        );
        assert!(
            lengths.iter().all(|length| *length <= SLAB_BYTES_MAX && Slab::of(&layout, *length).is_some())
        );
        assert_eq!(lengths, expected);
    }
}

#[test]
fn no_slabs_of_what_is_not_taken() {
    assert!(slab_lengths(&layout(0, 4, 1, 16)).is_none());
    assert!(slab_lengths(&layout(4, 4, 5, 16)).is_none());
    assert!(slab_lengths(&layout(4, 4, 1, 1)).is_none());
    assert!(slab_lengths(&layout(4, 4, 1, 32)).is_none());
    assert_eq!(decode_slab(&layout(4, 4, 1, 16), &[2], None, 31), Err(DamagedSlab));
    assert_eq!(decode_slab(&layout(4, 4, 1, 16), &[], None, 32), Err(DamagedSlab));
    assert_eq!(decode_slab(&layout(4, 4, 1, 16), &[7; 40], None, 32), Err(DamagedSlab));
}

#[test]
fn chunks_come_back() {
    for raw in [vec![], vec![1], vec![7; 1 << 20], noise(3).map(|v| v as u8).take(100_000).collect()] {
        let coded = pack_chunk(&raw).unwrap();
        assert!(coded.len() <= raw.len() + 1);
        assert_eq!(unpack_chunk(&coded, raw.len()).as_deref(), Ok(raw.as_slice()));
        assert_eq!(unpack_chunk(&coded, raw.len() + 1), Err(DamagedSlab));
        if let Some(less) = raw.len().checked_sub(1) {
            assert_eq!(unpack_chunk(&coded, less), Err(DamagedSlab));
        }
    }
}

fn any_layout() -> impl Strategy<Value = ImageLayout> {
    (1..40_u16, 1..40_u16, 1..4_u32, 1..=4_u16, prop_oneof![Just(8_u16), Just(16)], any::<[bool; 3]>())
        .prop_map(|(columns, rows, frames, samples, bits, [signed, planar, big_endian])| ImageLayout {
            frames,
            signed,
            planar,
            big_endian,
            ..layout(columns, rows, samples, bits)
        })
}

/// Images between flat and wild: values keep to a mask, and hold for a while.
fn image_of(layout: &ImageLayout, seed: u64, mask: u8, hold: usize) -> Vec<u8> {
    let bytes = frame_bytes(layout).unwrap() as usize * layout.frames as usize;
    noise(seed).flat_map(|value| std::iter::repeat_n(value as u8 & mask, hold)).take(bytes).collect()
}

proptest! {
    #[test]
    fn any_image_comes_back(layout in any_layout(), seed: u64, mask: u8, hold in 1..300_usize) {
        assert_round_trip(&layout, &image_of(&layout, seed, mask, hold));
    }

    #[test]
    fn damage_never_panics(layout in any_layout(), seed: u64, mask: u8, hold in 1..30_usize, places: Vec<(u16, u8)>, cut: u16) {
        let raw = image_of(&layout, seed, mask, hold);
        let slab = Slab::of(&layout, raw.len()).unwrap();
        let model = learnt(&slab, &[&raw]);
        let mut coded = [vec![LATTICE], encode(&slab, &raw, &model)].concat();
        for (place, bits) in places {
            let length = coded.len();
            coded[usize::from(place) % length] ^= bits;
        }
        coded.truncate(coded.len().saturating_sub(usize::from(cut % 16)));
        if let Ok(decoded) = decode_slab(&layout, &coded, Some(&model), raw.len()) {
            prop_assert_eq!(decoded.len(), raw.len());
        }
    }

    #[test]
    fn damaged_models_never_panic(layout in any_layout(), seed: u64, mask: u8, places: Vec<(u16, u8)>) {
        let raw = image_of(&layout, seed, mask, 3);
        let slab = Slab::of(&layout, raw.len()).unwrap();
        let model = learnt(&slab, &[&raw]);
        let coded = [vec![LATTICE], encode(&slab, &raw, &model)].concat();
        let mut bytes = model.write();
        for (place, bits) in places {
            let length = bytes.len();
            bytes[usize::from(place) % length] ^= bits;
        }
        if let Ok(model) = Model::read(&bytes) {
            let decoded = decode_slab(&layout, &coded, Some(&model), raw.len());
            prop_assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded.len() == raw.len()));
            let again = encode_slab(&layout, &raw, &model, &Bound::LOSSLESS).unwrap().bytes;
            let decoded = decode_slab(&layout, &again, Some(&model), raw.len());
            prop_assert_eq!(decoded.as_deref(), Ok(raw.as_slice()));
        }
    }

    #[test]
    fn hostile_bytes_never_panic(layout in any_layout(), bytes: Vec<u8>) {
        let length = frame_bytes(&layout).unwrap() as usize;
        let slab = Slab::of(&layout, length).unwrap();
        let model = learnt(&slab, &[&vec![0; length]]);
        let coded = [&[2], bytes.as_slice()].concat();
        if let Ok(decoded) = decode_slab(&layout, &coded, Some(&model), length) {
            prop_assert_eq!(decoded.len(), length);
        }
    }
}

#[test]
fn no_voxel_is_further_off_than_the_bound_and_exact_values_stay() {
    let raw = ball(64, 0);
    let slab = Slab::of(&layout(64, 64, 1, 16), raw.len()).unwrap();
    let model = learnt(&slab, &[&raw]);
    let lossless = encode(&slab, &raw, &model).len();
    for near in [1, 2, 3, 7, 31, 255, 4000] {
        let bound = Bound { near, exact: vec![0] };
        let coded = encode_slab(&layout(64, 64, 1, 16), &raw, &model, &bound).unwrap();
        let decoded = decode_slab(&layout(64, 64, 1, 16), &coded.bytes, Some(&model), raw.len()).unwrap();
        assert_eq!(coded.decoded.as_ref(), Some(&decoded), "near {near}");
        assert!(coded.bytes.len() < lossless, "near {near}");
        for (before, after) in raw.chunks_exact(2).zip(decoded.chunks_exact(2)) {
            let value = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
            assert!(value(before).abs_diff(value(after)) <= near, "near {near}");
            assert_eq!(value(before) == 0, value(after) == 0, "near {near}");
        }
    }
}
