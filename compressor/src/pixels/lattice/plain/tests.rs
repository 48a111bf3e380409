//! What the encoder wrote, and damaged forms of it, decoded by both decoders.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::super::rans::{Part, RansWriter};
use super::super::{self as fast, Lessons, Model, Slab};
use crate::pixels::Bound;
use proptest::prelude::*;

const SHAPES: [(usize, usize); 11] =
    [(1, 1), (1, 9), (9, 1), (2, 2), (17, 13), (64, 3), (65, 130), (130, 65), (129, 128), (1, 300), (260, 2)];

fn slab(rows: usize, columns: usize) -> Slab {
    Slab {
        columns,
        rows,
        frames: 1,
        components: 1,
        planar: false,
        sample_bytes: 2,
        signed: false,
        big_endian: false,
    }
}

/// The same numbers everywhere (a 64-bit linear congruential generator, Knuth's constants).
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Hole values that [`picture`] takes, apart from all others.
const HOLES: [u16; 3] = [0, 65_535, 7];

/// A surface with noise, some jumps, and blocks of `holes` values; `seed` moves the noise alone.
fn picture(slab: &Slab, holes: usize, height: u64, seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    let plane = slab.rows * slab.columns;
    let mut raw = Vec::new();
    for number in 0..slab.bytes() / slab.sample_bytes {
        let (row, column) = (number % plane / slab.columns, number % slab.columns);
        let block = row / 6 * 7 + column / 9;
        let jump = if block % 5 == 3 { height / 2 } else { 0 };
        let smooth = (row * 3 + column * 2) as u64 % (height + 1) + jump;
        let (least, most) = if slab.sample_bytes == 1 { (20, 220) } else { (100, 65_000) };
        let value = match block % 4 {
            0 if holes > 0 => HOLES[block / 4 % holes],
            1 => 100 + (block % 3) as u16 * 20,
            _ => (least + (smooth + noise.below(2 + height / 16)) % (most - least)) as u16,
        };
        match (slab.sample_bytes, slab.big_endian) {
            (1, _) => raw.push(value as u8),
            (_, true) => raw.extend(value.to_be_bytes()),
            (_, false) => raw.extend(value.to_le_bytes()),
        }
    }
    raw
}

fn learnt(slab: &Slab, raw: &[u8], bound: &Bound, references: &[&[u8]]) -> Model {
    let mut lessons = Lessons::within(bound);
    lessons.add(slab, raw, &[]);
    lessons.add(slab, raw, references);
    lessons.learn(1 << 22)
}

/// Any model that a decoder takes: all weights, factors and limits within SPEC 9.3.
fn any_model(seed: u64, references: bool) -> Model {
    let mut noise = Noise(seed);
    let mut bytes = vec![3, u8::from(references)];
    // Some models with small numbers, some with the largest.
    let (weight, factor) =
        ([40, 600, 65_536][noise.below(3) as usize], [300, 2000, 7001][noise.below(3) as usize]);
    for set in 0..=usize::from(references) {
        for step in 0..6 {
            let bits = 8 + noise.below(23);
            let limits: std::collections::BTreeSet<_> =
                (0..noise.below(8)).map(|_| noise.below(1 << bits) as u32).collect();
            bytes.push(limits.len() as u8);
            limits.iter().for_each(|limit| bytes.extend(limit.to_le_bytes()));
            let limits = limits.len() as u64;
            (0..2).for_each(|_| bytes.extend((noise.below(56_001) as u32).to_le_bytes()));
            (0..16).for_each(|_| bytes.extend((noise.below(factor) as u16).to_le_bytes()));
            let windows = if step % 2 == 1 { 10 } else { 6 } + 6 * set as u64;
            let weights = 3 * (limits + 1) * (2 * 4 * windows + 4);
            let mut signed = |_| ((noise.below(weight) as i64 - weight as i64 / 2) as i16).max(-i16::MAX);
            (0..weights).for_each(|number| bytes.extend(signed(number).to_le_bytes()));
        }
    }
    for _ in 0..361 {
        let known = noise.below(2);
        bytes.push(known as u8);
        (0..32 * known).for_each(|_| bytes.push((noise.below(30) as u8).saturating_sub(5)));
    }
    Model::read(&bytes).unwrap()
}

/// Both decoders give what the encoder says; the coarse picture too.
fn assert_same(slab: &Slab, raw: &[u8], model: &Model, bound: &Bound, references: &[&[u8]]) -> fast::Coded {
    let coded = fast::encode(slab, raw, model, bound, references).unwrap();
    let decoded = fast::decode(slab, &coded.coarse, &coded.fine, model, references);
    let expected = coded.decoded.as_deref().unwrap_or(raw);
    assert_eq!(decoded.as_deref(), Ok(expected), "the fast decoder and the encoder: {slab:?}");
    let written = model.write();
    let plain = super::decode(slab, &coded.coarse, &coded.fine, &written, references);
    assert!(plain.as_deref() == Some(expected), "the plain decoder: {slab:?} {bound:?}");
    coded
}

/// It is every 2^C-th row and column of the whole, or at most half its own step away.
fn assert_same_coarse(slab: &Slab, coded: &fast::Coded, raw: &[u8], model: &Model) {
    let (small, coarse) = fast::decode_coarse(slab, &coded.coarse, model).unwrap();
    let plain = super::decode_coarse(slab, &coded.coarse, &model.write());
    assert!(plain.as_ref() == Some(&coarse), "the coarse picture: {slab:?}");
    if slab.components == 1 {
        let step = 1 << super::coarse_level(slab);
        let frames = coded.decoded.as_deref().unwrap_or(raw).chunks_exact(slab.bytes() / slab.frames);
        let rows = frames.flat_map(|f| f.chunks_exact(slab.columns * slab.sample_bytes).step_by(step));
        let samples = rows.flat_map(|row| row.chunks_exact(slab.sample_bytes).step_by(step));
        let whole: Vec<_> = samples.flatten().copied().collect();
        let (shift, spread) = (coded.coarse[0] >> 4, i32::from(coded.coarse[3]));
        let near = i32::from(u16::from_le_bytes([coded.coarse[1], coded.coarse[2]]));
        let most = ((2 * near + 1) * spread) << shift;
        let pairs = [&whole, &coarse].map(|raw| super::super::super::planes::split(&small, raw));
        let values = pairs[0][0].iter().zip(&pairs[1][0]);
        let apart = values.map(|(a, b)| i32::from(a.abs_diff(*b))).max().unwrap();
        assert!(apart <= most, "the coarse picture and the whole: {slab:?} {small:?}, {apart}");
    }
}

#[test]
fn every_shape_and_layout_decodes_alike() {
    for (rows, columns) in SHAPES {
        for flags in 0..16 {
            let sample_bytes = 1 + (flags & 1);
            let slab = Slab { sample_bytes, signed: flags & 2 != 0, ..slab(rows, columns) };
            let slab = Slab { big_endian: flags & 4 != 0 && sample_bytes == 2, ..slab };
            let slab =
                if flags & 8 != 0 { Slab { components: 3, planar: flags & 2 != 0, ..slab } } else { slab };
            let raw = picture(&slab, 0, 150 * sample_bytes as u64, flags as u64);
            let model = learnt(&slab, &raw, &Bound::LOSSLESS, &[]);
            let coded = assert_same(&slab, &raw, &model, &Bound::LOSSLESS, &[]);
            assert_same_coarse(&slab, &coded, &raw, &model);
        }
    }
}

#[test]
fn every_bound_and_hole_decodes_alike() {
    for (rows, columns) in SHAPES {
        for near in [0, 1, 7, 511, 512, 600, 4000] {
            for holes in 0..=3 {
                let slab = slab(rows, columns);
                let raw = picture(&slab, holes, 4000, near.into());
                let bound = Bound { near, exact: HOLES.to_vec() };
                let model = learnt(&slab, &raw, &bound, &[]);
                let coded = assert_same(&slab, &raw, &model, &bound, &[]);
                assert_same_coarse(&slab, &coded, &raw, &model);
            }
        }
    }
}

#[test]
fn references_decode_alike() {
    let mut used = 0;
    for (rows, columns) in SHAPES.into_iter().chain([(200, 190)]) {
        let slab = slab(rows, columns);
        let slices: Vec<_> = (1..4).map(|seed| picture(&slab, 1, 2000, seed)).collect();
        let both = [&slices[0][..], &slices[2][..]];
        for near in [0, 3] {
            let bound = Bound { near, exact: vec![0] };
            let learnt = learnt(&slab, &slices[1], &bound, &both);
            for model in [learnt, any_model(5, true)] {
                for references in [&both[..], &both[..1], &[]] {
                    let coded = assert_same(&slab, &slices[1], &model, &bound, references);
                    assert_same_coarse(&slab, &coded, &slices[1], &model);
                    used += usize::from(coded.coarse[0] & 2 != 0);
                }
            }
        }
    }
    assert!(used > 40, "{used}");
}

/// SPEC 2.6: what would be too much is left to the fine part.
#[test]
fn coarse_parts_stay_small() {
    let mut spreads = Vec::new();
    for (components, frames, near, holes) in
        [(1, 1, 0, 0), (1, 1, 0, 2), (3, 1, 0, 0), (1, 3, 0, 1), (1, 1, 2, 3)]
    {
        let slab = Slab { components, frames, ..slab(230, 225) };
        for height in [300, 30_000] {
            let raw = picture(&slab, holes, height, 9);
            let bound = Bound { near, exact: HOLES.to_vec() };
            let model = learnt(&slab, &raw, &bound, &[]);
            let coded = assert_same(&slab, &raw, &model, &bound, &[]);
            assert_same_coarse(&slab, &coded, &raw, &model);
            let spread = coded.coarse[3];
            assert!(
                coded.coarse.len() < 4000 * frames || spread == 15,
                "{slab:?} {height}: {}",
                coded.coarse.len()
            );
            spreads.push(spread);
        }
    }
    assert!(spreads.iter().any(|spread| (1..15).contains(spread)), "{spreads:?}");
}

/// SPEC 9.2, beyond what damage by chance meets.
#[test]
fn what_no_encoder_writes_is_refused() {
    let slab = slab(140, 30);
    let raw = picture(&slab, 0, 900, 1);
    let model = even_model();
    let coded = assert_same(&slab, &raw, &model, &Bound::LOSSLESS, &[]);
    let refused = |slab: &Slab, coarse: &[u8], fine: &[u8]| {
        let decoded = fast::decode(slab, coarse, fine, &model, &[]);
        assert_eq!(super::decode(slab, coarse, fine, &model.write(), &[]), decoded.clone().ok());
        decoded.is_err()
    };
    let with = |index: usize, value: u8| {
        let mut coarse = coded.coarse.clone();
        coarse[index] = value;
        coarse
    };
    assert!(!refused(&slab, &coded.coarse, &coded.fine));
    for flags in [1, 2, 4, 8] {
        assert!(refused(&slab, &with(0, coded.coarse[0] | flags), &coded.fine), "flags {flags}");
    }
    assert!(refused(&slab, &with(3, 16), &coded.fine), "a spread above 15");
    // One sample that is all there can be: a stream of nothing.
    let (one, nothing) = (Slab { rows: 1, columns: 1, ..slab }, [0, 0, 0, 0, 7, 0, 0, 0, 0]);
    assert!(!refused(&one, &nothing, &[]));
    let states = [0, 0, 1, 0].repeat(4);
    assert!(refused(&one, &[&nothing[..], &states].concat(), &[]), "nothing as four states");
    assert!(refused(&one, &nothing, &states), "nothing as four states in the fine part");
    assert!(refused(&one, &[0, 0, 0, 1, 7, 0, 0, 0, 0], &[]), "a spread without a fine part");
}

/// SPEC 9.3.
#[test]
fn limits_that_do_not_rise_are_refused() {
    let model = (0..).map(|seed| any_model(seed, false)).find(|model| model.write()[2] > 1).unwrap();
    let bytes = model.write();
    for limit in [&bytes[7..11], &[0; 4]] {
        let mut damaged = bytes.clone();
        damaged[7..11].copy_from_slice(&bytes[3..7]);
        damaged[3..7].copy_from_slice(limit);
        let rises = u32::from_le_bytes(damaged[3..7].try_into().unwrap())
            < u32::from_le_bytes(damaged[7..11].try_into().unwrap());
        assert_eq!(Model::read(&damaged).is_ok(), rises);
        assert_eq!(super::Model::read(&damaged).is_some(), rises);
    }
}

#[test]
fn frames_decode_alike() {
    for (rows, columns) in [(5, 7), (40, 41), (140, 30)] {
        for holes in 0..=3 {
            let slab = Slab { frames: 4, ..slab(rows, columns) };
            let raw = picture(&slab, holes, 900, 1);
            let bound = Bound { near: 2, exact: HOLES.to_vec() };
            let model = learnt(&slab, &raw, &bound, &[]);
            let coded = assert_same(&slab, &raw, &model, &bound, &[]);
            assert_same_coarse(&slab, &coded, &raw, &model);
        }
    }
}

/// SPEC 6.2 names both forms.
#[test]
fn logarithms_are_the_upper_bits_of_floating_point_numbers() {
    let mut noise = Noise(1);
    let near_powers = (0..31).flat_map(|l| (-70..70).map(move |offset| (1 << l) + offset));
    let carries = (24..31).flat_map(|l| (0..1000).map(move |below| (1_i64 << l) - (below << (l - 24)) / 4));
    let any: Vec<_> = (0..20_000).map(|_| noise.below(1 << 31) as i64 >> noise.below(31)).collect();
    for x in near_powers.chain(carries).chain(any).filter(|x| (1..1 << 31).contains(x)) {
        assert_eq!(super::level::logarithm(x), i64::from((x as f32).to_bits() >> 16) - 127 * 128, "{x}");
    }
}

/// A model without weights, in which all symbols are as likely.
fn even_model() -> Model {
    let mut bytes = vec![3, 0];
    for step in 0..6 {
        let windows = if step % 2 == 1 { 10 } else { 6 };
        bytes.resize(bytes.len() + 1 + 2 * 4 + 16 * 2 + 3 * (2 * 4 * windows + 4) * 2, 0);
    }
    (0..361).for_each(|_| bytes.extend([1; 33]));
    Model::read(&bytes).unwrap()
}

/// No encoder writes errors larger than all samples, but a decoder may meet them (SPEC 6.3, 9.4).
#[test]
fn wild_escapes_decode_alike() {
    // 32 equal counts of 500 (SPEC 6.5).
    let length = 1 + ((500 * ((32_736_u64 << 16) / 16_000)) >> 16) as u16;
    let escape = Part { start: 31 * length, length: 32_768 - 31 * length };
    let (model, slab) = (even_model(), slab(1, 5));
    let cases = [0, 3, 600, 65_535_u16].into_iter().flat_map(|near| (0..32).map(move |bits| (near, bits)));
    for ((near, bits), negative) in cases.flat_map(|case| [(case, 0), (case, 1)]) {
        let mut stream = RansWriter::default();
        [500, 40_000, 7].into_iter().for_each(|sample| stream.put_field(sample, 16));
        for rest in [u32::MAX, 0x5555_5555] {
            stream.put(escape);
            stream.put_field(negative, 1);
            stream.put_field(bits, 5);
            let bits = bits.min(17);
            stream.put_field(rest & ((1 << bits) - 1), bits);
        }
        let head = [&[0][..], &near.to_le_bytes(), &[0, 0, 0, 255, 255, 0]].concat();
        let coarse = [head, stream.finish()].concat();
        let decoded = fast::decode(&slab, &coarse, &[], &model, &[]).ok();
        assert!(decoded.is_some(), "near {near}, {bits} bits");
        assert_eq!(
            decoded,
            super::decode(&slab, &coarse, &[], &model.write(), &[]),
            "near {near}, {bits} bits"
        );
    }
}

fn any_slab() -> impl Strategy<Value = Slab> {
    (1..40_usize, 1..40_usize, 1..4_usize, 0..3_usize, any::<[bool; 5]>()).prop_map(
        |(rows, columns, frames, wide, [components, planar, bytes, signed, big_endian])| {
            let (sample_bytes, components) = (1 + usize::from(bytes), 1 + 2 * usize::from(components));
            let (rows, columns) = [(rows, columns), (rows, columns * 5), (rows * 5, columns)][wide];
            let (planar, big_endian) = (planar && components > 1, big_endian && bytes);
            Slab { columns, rows, frames, components, planar, sample_bytes, signed, big_endian }
        },
    )
}

fn any_near() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), 1..12_u16, 400..700_u16, 1..u16::MAX]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any model, also one whose sums overflow.
    #[test]
    fn any_slab_and_model_decode_alike(
        slab in any_slab(),
        near in any_near(),
        holes in 0..4_usize,
        height in prop_oneof![1..30_u64, 100..4000_u64, 1000..60_000_u64],
        seed in any::<u64>(),
        references in 0..3_usize,
    ) {
        let model = any_model(seed, seed % 3 > 0);
        let slices: Vec<_> = (0..3).map(|slice| picture(&slab, holes, height, seed + slice)).collect();
        let bound = Bound { near, exact: HOLES.to_vec() };
        let references: Vec<_> = slices.iter().skip(1).take(references).map(Vec::as_slice).collect();
        assert_same(&slab, &slices[0], &model, &bound, &references);
    }

    /// What is refused, and what damaged bytes decode to.
    #[test]
    fn damaged_slabs_decode_alike(
        slab in any_slab(),
        seed in any::<u64>(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (model, near) = (any_model(seed, seed % 3 > 0), (seed % 5) as u16 * 3);
        let raw = picture(&slab, (seed % 4) as usize, 3000, seed);
        let bound = Bound { near, exact: HOLES.to_vec() };
        let mut coded = fast::encode(&slab, &raw, &model, &bound, &[&raw]).unwrap();
        for (place, damage) in damages {
            let bytes = if damage & 1 == 0 || coded.fine.is_empty() { &mut coded.coarse } else { &mut coded.fine };
            let place = place.index(bytes.len().min(60 + usize::from(damage)));
            bytes[place] ^= damage >> 1;
        }
        let decoded = fast::decode(&slab, &coded.coarse, &coded.fine, &model, &[&raw]);
        let plain = super::decode(&slab, &coded.coarse, &coded.fine, &model.write(), &[&raw]);
        prop_assert_eq!(decoded.ok(), plain);
    }
}
