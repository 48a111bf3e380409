#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::pixels::{Bound, Lessons, encode_slab};
use proptest::prelude::*;

fn layout(rows: u16, columns: u16, bits: u16, signed: bool, big_endian: bool) -> ImageLayout {
    ImageLayout { frames: 2, signed, big_endian, ..ImageLayout::new(columns, rows, 1, bits) }
}

/// Smooth slopes with noise of this many steps.
fn image(bytes: usize, noise: u64, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..bytes / 2)
        .flat_map(|place| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((place as u64 % 977 + (state >> 33) % noise.max(1)) as u16).to_le_bytes()
        })
        .chain((!bytes.is_multiple_of(2)).then_some(0))
        .collect()
}

fn bounded(layout: &ImageLayout, raw: &[u8], near: u16) -> Vec<u8> {
    let bound = Bound { near, exact: vec![0] };
    let mut lessons = Lessons::within(&bound);
    lessons.add(&Slab::of(layout, raw.len()).unwrap(), raw, &[]);
    let coded = encode_slab(layout, raw, &lessons.learn(raw.len() as u64), &bound, &[]).unwrap();
    coded.decoded.unwrap_or_else(|| raw.to_vec())
}

#[test]
fn residual_is_smaller_than_differences_of_equal_chance() {
    let layout = layout(200, 200, 16, false, false);
    let raw = image(200 * 200 * 4, 12, 3);
    // To the middle of steps of 7, so that the size hangs on no other coder.
    let quantised = |pair: &[u8]| (u16::from_le_bytes([pair[0], pair[1]]) / 7 * 7 + 3).to_le_bytes();
    let decoded: Vec<u8> = raw.chunks(2).flat_map(quantised).collect();
    let residual = encode_residual(&layout, &raw, &decoded).unwrap();
    // log2(7) bits for each of 80,000 samples.
    let equal_chance = 80_000.0 * 7_f64.log2() / 8.0;
    assert!((residual.len() as f64) < 0.97 * equal_chance, "{} {equal_chance}", residual.len());
    assert_eq!(residual.len(), RESIDUAL_BYTES);
}

/// Exact size of that residual.
const RESIDUAL_BYTES: usize = 26_950;

#[test]
fn nothing_missing_is_one_byte() {
    let layout = layout(3, 3, 8, false, false);
    let raw = image(18, 200, 1);
    assert_eq!(encode_residual(&layout, &raw, &raw).unwrap(), [NOTHING]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn bounded_and_residual_are_what_came(
        rows in 1..40_u16, columns in 1..40_u16, bits in prop::sample::select(vec![8_u16, 16]), signed: bool, big_endian: bool,
        near in prop::sample::select(vec![1_u16, 2, 3, 7, 15, 16, 100, 30_000]), noise in 1..5000_u64, seed: u64,
    ) {
        let layout = layout(rows, columns, bits, signed, big_endian);
        let raw = image(usize::from(rows) * usize::from(columns) * usize::from(bits / 8) * 2, noise, seed);
        let decoded = bounded(&layout, &raw, near);
        let residual = encode_residual(&layout, &raw, &decoded).unwrap();
        let mut back = decoded.clone();
        add_residual(&layout, &mut back, &residual).unwrap();
        prop_assert!(back == raw);
    }

    #[test]
    fn damaged_residuals_never_panic(damage in prop::collection::vec((any::<u16>(), any::<u8>()), 0..6), cut in 0..400_usize) {
        let layout = layout(20, 20, 16, true, false);
        let raw = image(1600, 40, 5);
        let decoded = bounded(&layout, &raw, 4);
        let mut residual = encode_residual(&layout, &raw, &decoded).unwrap();
        let length = residual.len();
        residual.truncate(length - cut.min(length));
        if residual.len() < length {
            prop_assert!(add_residual(&layout, &mut decoded.clone(), &residual).is_err());
        }
        for (place, value) in damage {
            let length = residual.len();
            if let Some(byte) = residual.get_mut(usize::from(place) % length.max(1)) {
                *byte = value;
            }
        }
        let mut back = decoded.clone();
        // What decodes all the same is found by the digest of the instance.
        let _ = add_residual(&layout, &mut back, &residual);
    }
}
