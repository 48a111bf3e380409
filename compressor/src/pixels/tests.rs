#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::limits::SLAB_BYTES_MAX;
use proptest::prelude::*;

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
    let coded = lattice::encode(slab, raw, model, &Bound::LOSSLESS, &[]).expect("a slab");
    [coded.coarse, coded.fine]
}

fn decode(
    layout: &ImageLayout,
    coded: &CodedSlab,
    model: &Model,
    raw_bytes: usize,
) -> Result<Vec<u8>, DamagedSlab> {
    decode_slab(layout, &coded.coarse, &coded.fine, Some(model), &[], raw_bytes)
}

fn bytes(parts: &[Vec<u8>; 2]) -> usize {
    parts.iter().map(Vec::len).sum()
}

fn assert_round_trip(layout: &ImageLayout, raw: &[u8]) -> usize {
    let slab = Slab::of(layout, raw.len()).expect("a slab");
    let model = learnt(&slab, &[raw]);
    let coded = encode(&slab, raw, &model);
    let [coarse, fine] = &coded;
    assert_eq!(lattice::decode(&slab, coarse, fine, &model, &[]).as_deref(), Ok(raw), "{layout:?}");
    let smaller = encode_slab(layout, raw, &model, &Bound::LOSSLESS, &[]).unwrap();
    assert_eq!(decode(layout, &smaller, &model, raw.len()).as_deref(), Ok(raw), "{layout:?}");
    bytes(&coded)
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
                    ..ImageLayout::new(columns, rows, samples, bits)
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
        let layout = ImageLayout { signed, ..ImageLayout::new(256, 256, 1, 16) };
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
    let layout = ImageLayout::new(128, 128, 1, 16);
    let sizes: Vec<usize> = [0, 8, 16].map(|slice| assert_round_trip(&layout, &ball(128, slice))).into();
    assert_eq!(sizes, [6381, 5897, 4437]);
}

#[test]
fn series_with_one_model_has_its_exact_sizes() {
    let layout = ImageLayout::new(128, 128, 1, 16);
    let slab = Slab::of(&layout, 128 * 128 * 2).unwrap();
    let raw = [-16, -8, 0, 8, 16].map(|slice| ball(128, slice));
    let model = learnt(&slab, &raw.each_ref().map(Vec::as_slice));
    let sizes = raw.each_ref().map(|raw| bytes(&encode(&slab, raw, &model)));
    assert_eq!((pack_chunk(&model.write()).unwrap().len(), sizes), (445, [4443, 5883, 6357, 5889, 4425]));
}

#[test]
fn padding_costs_its_outline_alone() {
    let layout = ImageLayout { signed: true, ..ImageLayout::new(128, 128, 1, 16) };
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
    let size = |raw: &Vec<u8>| bytes(&encode(&slab, raw, &learnt(&slab, &[raw])));
    assert!(size(&padded) < size(&whole) * 72 / 100 + 250, "{} {}", size(&padded), size(&whole));
}

#[test]
fn model_must_be_whole() {
    let slab = Slab::of(&ImageLayout::new(8, 8, 1, 8), 64).unwrap();
    let bytes = learnt(&slab, &[&[1; 64]]).write();
    assert!(bytes.len() <= crate::limits::MODEL_BYTES_MAX);
    let longer = [bytes.as_slice(), &[0]].concat();
    for damaged in [&longer, &bytes[..bytes.len() - 1], &[], &[2]] {
        assert_eq!(Model::read(damaged), Err(DamagedSlab));
    }
    let (layout, model) = (ImageLayout::new(8, 8, 1, 8), Model::read(&bytes).unwrap());
    let coded = encode_slab(&layout, &[1; 64], &model, &Bound::LOSSLESS, &[]).unwrap();
    let without_model = decode_slab(&layout, &coded.coarse, &coded.fine, None, &[], 64);
    assert!(without_model.is_err() || coded.coarse[0] != LATTICE);
}

#[test]
fn flat_slab_costs_almost_nothing() {
    let layout = ImageLayout::new(1024, 1024, 1, 16);
    assert_eq!(assert_round_trip(&layout, &vec![0x11; 2 << 20]), 47);
}

#[test]
fn colour_is_worth_its_transform() {
    let grey_in_colour: Vec<u8> = noise(9).take(64 * 64).flat_map(|v| [v as u8, v as u8, v as u8]).collect();
    let slab = Slab::of(&ImageLayout::new(64, 64, 3, 8), 64 * 64 * 3).unwrap();
    let coded = encode(&slab, &grey_in_colour, &learnt(&slab, &[&grey_in_colour]));
    assert!(bytes(&coded) < 64 * 64 * 11 / 10, "{}", bytes(&coded));
}

#[test]
fn slabs_cover_the_image() {
    let cases = [
        (ImageLayout { frames: 1000, ..ImageLayout::new(64, 64, 1, 16) }, vec![4 * 64 * 64 * 2; 250]),
        (ImageLayout { frames: 3, ..ImageLayout::new(512, 512, 1, 16) }, vec![512 * 512 * 2; 3]),
        (ImageLayout::new(2048, 2048, 1, 16), vec![2 << 20; 4]),
        (
            ImageLayout { planar: true, frames: 2, ..ImageLayout::new(1000, 1000, 3, 8) },
            vec![2_097_000, 903_000, 2_097_000, 903_000],
        ),
        (ImageLayout::new(65_535, 5, 4, 16), vec![4 * 524_280, 524_280]),
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
    assert!(slab_lengths(&ImageLayout::new(0, 4, 1, 16)).is_none());
    assert!(slab_lengths(&ImageLayout::new(4, 4, 5, 16)).is_none());
    assert!(slab_lengths(&ImageLayout::new(4, 4, 1, 1)).is_none());
    assert!(slab_lengths(&ImageLayout::new(4, 4, 1, 32)).is_none());
    let decode = |coarse: &[u8], bytes| {
        decode_slab(&ImageLayout::new(4, 4, 1, 16), coarse, &[0; 33], None, &[], bytes)
    };
    assert_eq!(decode(&[LATTICE], 31), Err(DamagedSlab));
    assert_eq!(decode(&[], 32), Err(DamagedSlab));
    assert_eq!(decode(&[7; 40], 32), Err(DamagedSlab));
    assert_eq!(decode(&[NO_PARTS, 0], 32), Err(DamagedSlab));
    assert_eq!(decode(&[NO_PARTS], 32), Ok(vec![0; 32]));
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
            ..ImageLayout::new(columns, rows, samples, bits)
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
        let [coarse, mut fine] = encode(&slab, &raw, &model);
        let mut coarse = [vec![LATTICE], coarse].concat();
        for (place, bits) in places {
            let length = coarse.len() + fine.len();
            let damaged = coarse.iter_mut().chain(&mut fine).nth(usize::from(place) % length);
            *damaged.unwrap() ^= bits;
        }
        let part = if cut % 2 == 0 { &mut coarse } else { &mut fine };
        part.truncate(part.len().saturating_sub(usize::from(cut / 2 % 16)));
        if let Ok(decoded) = decode_slab(&layout, &coarse, &fine, Some(&model), &[], raw.len()) {
            prop_assert_eq!(decoded.len(), raw.len());
        }
        if let Ok((small, decoded)) = decode_coarse(&layout, &coarse, Some(&model), raw.len()) {
            prop_assert_eq!(decoded.len(), small.bytes());
        }
    }

    #[test]
    fn damaged_models_never_panic(layout in any_layout(), seed: u64, mask: u8, places: Vec<(u16, u8)>) {
        let raw = image_of(&layout, seed, mask, 3);
        let slab = Slab::of(&layout, raw.len()).unwrap();
        let model = learnt(&slab, &[&raw]);
        let [coarse, fine] = encode(&slab, &raw, &model);
        let mut bytes = model.write();
        for (place, bits) in places {
            let length = bytes.len();
            bytes[usize::from(place) % length] ^= bits;
        }
        if let Ok(model) = Model::read(&bytes) {
            let decoded = lattice::decode(&slab, &coarse, &fine, &model, &[]);
            prop_assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded.len() == raw.len()));
            let again = encode_slab(&layout, &raw, &model, &Bound::LOSSLESS, &[]).unwrap();
            let decoded = decode(&layout, &again, &model, raw.len());
            prop_assert_eq!(decoded.as_deref(), Ok(raw.as_slice()));
        }
    }

    #[test]
    fn hostile_bytes_never_panic(layout in any_layout(), coarse: Vec<u8>, fine: Vec<u8>) {
        let length = frame_bytes(&layout).unwrap() as usize;
        let slab = Slab::of(&layout, length).unwrap();
        let model = learnt(&slab, &[&vec![0; length]]);
        let coarse = [&[LATTICE], coarse.as_slice()].concat();
        if let Ok(decoded) = decode_slab(&layout, &coarse, &fine, Some(&model), &[], length) {
            prop_assert_eq!(decoded.len(), length);
        }
    }
}

#[test]
fn no_voxel_is_further_off_than_the_bound_and_exact_values_stay() {
    let raw = ball(64, 0);
    let slab = Slab::of(&ImageLayout::new(64, 64, 1, 16), raw.len()).unwrap();
    let model = learnt(&slab, &[&raw]);
    let lossless = bytes(&encode(&slab, &raw, &model));
    for near in [1, 2, 3, 7, 31, 255, 4000] {
        let bound = Bound { near, exact: vec![0] };
        let coded = encode_slab(&ImageLayout::new(64, 64, 1, 16), &raw, &model, &bound, &[]).unwrap();
        let decoded = decode(&ImageLayout::new(64, 64, 1, 16), &coded, &model, raw.len()).unwrap();
        assert_eq!(coded.decoded.as_ref(), Some(&decoded), "near {near}");
        assert!(coded.coarse.len() + coded.fine.len() < lossless, "near {near}");
        for (before, after) in raw.chunks_exact(2).zip(decoded.chunks_exact(2)) {
            let value = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
            assert!(value(before).abs_diff(value(after)) <= near, "near {near}");
            assert_eq!(value(before) == 0, value(after) == 0, "near {near}");
        }
    }
}

#[test]
fn a_slab_between_two_like_it_is_smaller_with_them() {
    let layout = ImageLayout::new(128, 128, 1, 16);
    // A texture that all have, and some noise of their own.
    let texture: Vec<_> = noise(77).take(128 * 128).map(|value| value % 64).collect();
    let slice = |number: u64| noise(number).zip(&texture).map(|(noise, own)| (300 + own + noise % 16) as u16);
    let raw: Vec<Vec<u8>> =
        (1..14).map(|number| slice(number).flat_map(u16::to_le_bytes).collect()).collect();
    let slab = Slab::of(&layout, raw[0].len()).unwrap();
    for near in [0, 4] {
        let bound = Bound { near, exact: vec![0] };
        let mut lessons = Lessons::within(&bound);
        for number in (1..12).step_by(2) {
            lessons.add(&slab, &raw[number], &[&raw[number - 1], &raw[number + 1]]);
        }
        let model = lessons.learn(1 << 30);
        assert!(model.uses_references());
        assert_eq!(Model::read(&model.write()).as_ref(), Ok(&model));
        let alone = encode_slab(&layout, &raw[5], &model, &bound, &[]).unwrap();
        for references in [vec![raw[4].as_slice(), &raw[6]], vec![raw[4].as_slice()]] {
            let coded = encode_slab(&layout, &raw[5], &model, &bound, &references).unwrap();
            let decode = |references: &[&[u8]]| {
                decode_slab(&layout, &coded.coarse, &coded.fine, Some(&model), references, raw[5].len())
            };
            let expected = coded.decoded.as_ref().unwrap_or(&raw[5]);
            assert_eq!(decode(&references).as_ref(), Ok(expected));
            assert_eq!(decode(&[]), Err(DamagedSlab));
            assert_eq!(coded.coarse.len(), alone.coarse.len());
            assert!(
                coded.fine.len() * 100 < alone.fine.len() * 98,
                "{} {}",
                coded.fine.len(),
                alone.fine.len()
            );
        }
    }
}

#[test]
fn the_coarse_picture_is_every_second_sample() {
    let (rows, columns) = (65, 130);
    let layout = ImageLayout::new(columns, rows, 1, 16);
    let raw: Vec<u8> =
        noise(4).take(65 * 130).flat_map(|value| ((value % 900) as u16).to_le_bytes()).collect();
    let model = learnt(&Slab::of(&layout, raw.len()).unwrap(), &[&raw]);
    let coded = encode_slab(&layout, &raw, &model, &Bound::LOSSLESS, &[]).unwrap();
    let (small, coarse) = decode_coarse(&layout, &coded.coarse, Some(&model), raw.len()).unwrap();
    assert_eq!((small.rows, small.columns), (33, 65));
    let samples: Vec<_> = raw.chunks_exact(2).collect();
    let every_second = samples.chunks_exact(130).step_by(2).flat_map(|row| row.iter().step_by(2)).copied();
    assert_eq!(coarse, every_second.collect::<Vec<_>>().concat());
}

#[test]
fn several_exact_values_stay_and_none_is_made() {
    let layout = ImageLayout { signed: true, ..ImageLayout::new(64, 64, 1, 16) };
    let value = |number: usize, noise: u32| -> i16 {
        match number / 64 {
            0..10 => -3024,
            10..20 => -2000,
            20..22 => 3000,
            _ => (noise % 500) as i16 - 900,
        }
    };
    let raw: Vec<u8> =
        noise(8).take(64 * 64).enumerate().flat_map(|(n, v)| value(n, v).to_le_bytes()).collect();
    let slab = Slab::of(&layout, raw.len()).unwrap();
    let model = learnt(&slab, &[&raw]);
    let exact = [-3024_i16, -2000, 3000].map(|value| value as u16).to_vec();
    let coded = encode_slab(&layout, &raw, &model, &Bound { near: 60, exact: exact.clone() }, &[]).unwrap();
    let decoded = decode(&layout, &coded, &model, raw.len()).unwrap();
    for (before, after) in raw.chunks_exact(2).zip(decoded.chunks_exact(2)) {
        let [before, after] = [before, after].map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        assert!(before == after || !exact.contains(&before) && !exact.contains(&after));
    }
    let among_others = Bound { near: 60, exact: vec![-700_i16 as u16] };
    let coded = encode_slab(&layout, &raw, &model, &among_others, &[]).unwrap();
    assert_eq!(coded.decoded, None, "coded without loss");
}
