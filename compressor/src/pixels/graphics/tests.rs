#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::super::{GRAPHICS, decode_coarse, decode_slab, encode_slab, encode_without_model};
use super::*;
use crate::dataset::ImageLayout;
use crate::pixels::{Bound, Lessons};
use proptest::prelude::*;

fn slab(layout: &ImageLayout, raw: &[u8]) -> Slab {
    Slab::of(layout, raw.len()).unwrap()
}

/// Numbers that look like noise, the same everywhere.
fn noise(place: usize) -> usize {
    place.wrapping_mul(2_654_435_761) >> 7 ^ place.wrapping_mul(40_503) >> 3
}

/// Boxes of a few colours, lines, and noise in one corner.
fn screen(layout: &ImageLayout) -> Vec<u8> {
    let (columns, rows) = (usize::from(layout.columns), usize::from(layout.rows));
    let (samples, bytes) = (usize::from(layout.samples_per_pixel), usize::from(layout.bits_allocated / 8));
    let pixel = |x: usize, y: usize, sample: usize| match (x / 9 + y / 7 * 5) % 13 {
        0 | 5 => 0,
        1 if x.is_multiple_of(3) => 200 + 20 * sample,
        _ if x > columns / 2 && y > rows / 2 => 90 + noise(y * columns + x) % 17,
        other => other % 3 * 40 * (sample + 1),
    };
    let planes = if layout.planar { samples } else { 1 };
    let mut raw = Vec::new();
    for _ in 0..layout.frames {
        for place in 0..planes * rows * columns * (samples / planes) {
            let (place, sample) = if planes > 1 {
                (place % (rows * columns), place / (rows * columns))
            } else {
                (place / samples, place % samples)
            };
            let value = pixel(place % columns, place / columns, sample) as u16;
            match (bytes, layout.big_endian) {
                (1, _) => raw.push(value as u8),
                (_, true) => raw.extend((value * 9).to_be_bytes()),
                (_, false) => raw.extend((value * 9).to_le_bytes()),
            }
        }
    }
    raw
}

fn layouts() -> Vec<ImageLayout> {
    vec![
        ImageLayout::new(150, 131, 1, 8),
        ImageLayout::new(140, 64, 3, 8),
        ImageLayout { planar: true, ..ImageLayout::new(131, 70, 3, 8) },
        ImageLayout { frames: 3, ..ImageLayout::new(65, 30, 4, 8) },
        ImageLayout { signed: true, big_endian: true, ..ImageLayout::new(300, 5, 1, 16) },
        ImageLayout::new(33, 20, 2, 16),
        ImageLayout::new(1, 1, 1, 8),
        ImageLayout::new(1, 200, 3, 16),
    ]
}

#[test]
fn every_layout_comes_back_whole_and_in_parts() {
    for layout in layouts() {
        let raw = screen(&layout);
        let slab = slab(&layout, &raw);
        for whole in [false, true] {
            let [coarse, fine] = encode_as(&slab, &raw, whole);
            assert!(decode(&slab, &coarse, &fine).as_ref() == Ok(&raw), "{layout:?}");
            assert!(coarse.len() + fine.len() < raw.len() / 2 + 40, "{layout:?}");
            let (small, picture) = decode_coarse_of(&slab, &coarse).unwrap();
            let step = if whole { 1 } else { 1 << coarse_level(&slab) };
            assert!(picture == every(&slab, &raw, step), "{layout:?}");
            assert_eq!(small.bytes(), picture.len());
        }
    }
}

fn decode_coarse_of(slab: &Slab, coarse: &[u8]) -> Result<(Slab, Vec<u8>), DamagedSlab> {
    super::decode_coarse(slab, coarse)
}

/// Every `step`-th row and column.
fn every(slab: &Slab, raw: &[u8], step: usize) -> Vec<u8> {
    let planes = if slab.planar { slab.components } else { 1 };
    let pixel_bytes = slab.sample_bytes * slab.components / planes;
    let mut picture = Vec::new();
    for plane in raw.chunks_exact(slab.rows * slab.columns * pixel_bytes) {
        for row in plane.chunks_exact(slab.columns * pixel_bytes).step_by(step) {
            picture.extend(row.chunks_exact(pixel_bytes).step_by(step).flatten());
        }
    }
    picture
}

#[test]
fn graphics_take_the_coder_and_noise_does_not() {
    let layout = ImageLayout::new(150, 131, 3, 8);
    let raw = screen(&layout);
    let mut lessons = Lessons::within(&Bound::LOSSLESS);
    lessons.add(&slab(&layout, &raw), &raw, &[]);
    let model = lessons.learn(raw.len() as u64);
    let coded = encode_slab(&layout, &raw, &model, &Bound::LOSSLESS, &[]).unwrap();
    assert_eq!(coded.coarse[0], GRAPHICS);
    assert_eq!(decode_slab(&layout, &coded.coarse, &coded.fine, None, &[], raw.len()).as_ref(), Ok(&raw));
    assert!(decode_coarse(&layout, &coded.coarse, None, raw.len()).is_ok());
    let wild: Vec<u8> = (0..raw.len()).map(|place| noise(place) as u8).collect();
    assert!(!looks_like_graphics(&slab(&layout, &wild), &wild));
    let air = ImageLayout::new(256, 256, 1, 16);
    let of_air: Vec<u8> = (0..256 * 256).flat_map(|place| [(noise(place) % 64 / 7 % 3) as u8, 0]).collect();
    assert!(!looks_like_graphics(&slab(&air, &of_air), &of_air));
    let bounded = encode_slab(&layout, &raw, &model, &Bound { near: 2, exact: Vec::new() }, &[]).unwrap();
    assert_ne!(bounded.coarse[0], GRAPHICS);
}

#[test]
fn samples_cost_the_same_wherever_they_begin() {
    let unsigned = ImageLayout::new(90, 80, 1, 16);
    let signed = ImageLayout { signed: true, ..unsigned };
    let coded = |layout: &ImageLayout, least: i32| {
        let sample = |place: i32| {
            ((least + place % 90 * 3 + (noise(place as usize) % 512) as i32) as u16).to_le_bytes()
        };
        let raw: Vec<u8> = (0..90 * 80).flat_map(sample).collect();
        let slab = slab(layout, &raw);
        let [coarse, fine] = encode(&slab, &raw);
        assert_eq!(decode(&slab, &coarse, &fine), Ok(raw));
        coarse.len() + fine.len()
    };
    let bytes = coded(&unsigned, 0);
    assert_eq!(coded(&unsigned, 20_000), bytes);
    assert_eq!(coded(&signed, 0), bytes);
    assert_eq!(coded(&signed, -1000), bytes);
}

#[test]
fn one_colour_costs_almost_nothing() {
    let layout = ImageLayout::new(1024, 600, 3, 8);
    let raw = vec![17; 1024 * 600 * 3];
    let coded = encode_without_model(&layout, &raw).unwrap();
    assert!(coded.bytes() < 300, "{}", coded.bytes());
}

#[test]
fn damage_is_told_or_gives_a_slab_of_the_right_length() {
    let layout = ImageLayout::new(150, 131, 1, 8);
    let raw = screen(&layout);
    let slab = slab(&layout, &raw);
    let [coarse, fine] = encode_as(&slab, &raw, false);
    assert_eq!(decode(&slab, &coarse, &fine[..fine.len() - 1]), Err(DamagedSlab));
    assert_eq!(decode(&slab, &coarse[..coarse.len() - 1], &fine), Err(DamagedSlab));
    assert_eq!(decode(&slab, &coarse, &[fine.as_slice(), &[0]].concat()), Err(DamagedSlab));
    assert_eq!(decode(&slab, &[], &fine), Err(DamagedSlab));
    let whole = [vec![coarse[0] | FLAG_WHOLE], coarse[1..].to_vec()].concat();
    assert_eq!(decode(&slab, &whole, &fine), Err(DamagedSlab));
    let unknown = [vec![coarse[0] | 4], coarse[1..].to_vec()].concat();
    assert_eq!(decode(&slab, &unknown, &fine), Err(DamagedSlab));
    let wide = ImageLayout::new(COLUMNS_MAX as u16 + 1, 2, 1, 8);
    let wide = Slab::of(&wide, 2 * (COLUMNS_MAX + 1)).unwrap();
    assert_eq!(decode(&wide, &coarse, &fine), Err(DamagedSlab));
}

proptest! {
    #[test]
    fn any_image_comes_back(
        columns in 1..90_u16, rows in 1..90_u16, samples in 1..=4_u16, bits in 1..=2_u16, flags: u8,
        seed: u16, mask: u16, hold in 1..60_usize, whole: bool,
    ) {
        let layout = ImageLayout {
            signed: flags & 1 != 0,
            planar: flags & 2 != 0,
            big_endian: flags & 4 != 0,
            frames: u32::from(flags >> 6) + 1,
            ..ImageLayout::new(columns, rows, samples, 8 * bits)
        };
        let pixels = usize::from(columns) * usize::from(rows) * layout.frames as usize;
        let sample = |place: usize| (noise(place / hold + usize::from(seed)) as u16 & mask).to_le_bytes();
        let raw: Vec<u8> = (0..pixels * usize::from(samples))
            .flat_map(|place| sample(place).into_iter().take(bits.into()))
            .collect();
        let slab = slab(&layout, &raw);
        let [coarse, fine] = encode_as(&slab, &raw, whole);
        prop_assert_eq!(decode(&slab, &coarse, &fine), Ok(raw));
    }

    #[test]
    fn mutated_streams_never_panic(
        which in 0..8_usize, whole: bool, places: Vec<(u16, u8)>, cut: u16, in_coarse: bool,
    ) {
        let layout = layouts()[which];
        let raw = screen(&layout);
        let slab = slab(&layout, &raw);
        let [mut coarse, mut fine] = encode_as(&slab, &raw, whole);
        let part = if in_coarse { &mut coarse } else { &mut fine };
        let length = part.len().max(1);
        for (place, value) in places {
            part.get_mut(usize::from(place) % length).into_iter().for_each(|byte| *byte ^= value);
        }
        part.truncate(part.len().max(usize::from(cut)));
        if let Ok(decoded) = decode(&slab, &coarse, &fine) {
            prop_assert_eq!(decoded.len(), raw.len());
        }
    }

    #[test]
    fn hostile_bytes_never_panic(which in 0..8_usize, coarse: Vec<u8>, fine: Vec<u8>) {
        let layout = layouts()[which];
        let raw = screen(&layout);
        let slab = slab(&layout, &raw);
        let _ = decode(&slab, &coarse, &fine);
        let _ = super::decode_coarse(&slab, &coarse);
    }
}
