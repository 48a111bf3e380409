//! Any image within any bound, with references and without: what the encoder says it decodes to is what comes back, and no sample is
//! further off.

use crate::input::{Input, put_layout};
use crate::sample;
use compressor::dataset::ImageLayout;
use compressor::pixels::{Bound, Slab, decode_slab, encode_slab};

/// Samples of a trial: more are no other code, but slower.
const SAMPLE_BYTES_MAX: usize = 1 << 15;
/// One trial in this many learns its model from the image; the others take one of those at hand.
const LEARNING: u8 = 32;
/// Exact values of a bound that are tried together.
const EXACT_MAX: u8 = 5;
/// The bits of a choice that say how many references there are; 3 = none, as 0.
const REFERENCES_SHIFT: u8 = 6;
const REFERENCES: [usize; 4] = [0, 1, 2, 0];
/// A reference is the image itself, so many bytes further on.
const REFERENCE_STEP: usize = 2;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let layout = input.layout();
    let raw_bytes = sample::raw_bytes(&layout);
    let Some(slab) = Slab::of(&layout, raw_bytes).filter(|_| raw_bytes <= SAMPLE_BYTES_MAX) else { return };
    let (choice, shift, exact) = (input.byte(), input.byte(), input.byte());
    // Bounds of every size, small ones as often as large ones.
    let near = input.word() >> (shift & 15);
    let exact: Vec<u16> = (0..exact % (EXACT_MAX + 1)).map(|_| input.word()).collect();
    let raw = stretched(input.0, raw_bytes);
    let bound = Bound { near, exact };
    let count = REFERENCES[usize::from(choice >> REFERENCES_SHIFT)];
    let references: Vec<_> = (1..=count).map(|number| shifted(&raw, number * REFERENCE_STEP)).collect();
    let references: Vec<_> = references.iter().map(Vec::as_slice).collect();
    let learnt = (choice % LEARNING == 0).then(|| sample::learn(&layout, &[&raw], &references, &bound));
    let model = learnt.as_ref().unwrap_or_else(|| sample::model(choice));
    let coded = encode_slab(&layout, &raw, model, &bound, &references).unwrap();
    let decoded = decode_slab(&layout, &coded.coarse, &coded.fine, Some(model), &references, raw_bytes);
    let decoded = decoded.expect("own slab decodes");
    assert!(coded.decoded.as_ref().unwrap_or(&raw) == &decoded, "the decoder has other samples");
    assert_within(&slab, &raw, &decoded, &bound);
}

fn shifted(raw: &[u8], step: usize) -> Vec<u8> {
    raw.iter().copied().cycle().skip(step).take(raw.len()).collect()
}

/// As many bytes as the image has, by repeating what there is.
pub(crate) fn stretched(bytes: &[u8], length: usize) -> Vec<u8> {
    let bytes = if bytes.is_empty() { &[0] } else { bytes };
    bytes.iter().copied().cycle().take(length).collect()
}

/// The promise of [`Bound`].
fn assert_within(slab: &Slab, before: &[u8], after: &[u8], bound: &Bound) {
    assert_eq!(before.len(), after.len());
    let samples = before.chunks_exact(slab.sample_bytes).zip(after.chunks_exact(slab.sample_bytes));
    for (before, after) in samples {
        let (before, after) = (stored(slab, before), stored(slab, after));
        let error = value(slab, before).abs_diff(value(slab, after));
        assert!(error <= bound.near.into(), "{before} came back as {after}, near {}", bound.near);
        let exact = |stored: u16| bound.exact.contains(&stored);
        assert!(
            before == after || !(exact(before) || exact(after)),
            "{before} came back as {after}, {bound:?}, {slab:?}"
        );
    }
}

fn stored(slab: &Slab, bytes: &[u8]) -> u16 {
    match *bytes {
        [low, high] if slab.big_endian => u16::from_be_bytes([low, high]),
        [low, high] => u16::from_le_bytes([low, high]),
        [byte] => byte.into(),
        _ => unreachable!("samples have one or two bytes"),
    }
}

fn value(slab: &Slab, stored: u16) -> i32 {
    match (slab.signed, slab.sample_bytes) {
        (false, _) => stored.into(),
        (true, 1) => i32::from(stored as u8 as i8),
        (true, _) => i32::from(stored as i16),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, layout) in (0..).zip(sample::layouts()) {
        for (near, shift) in [(0_u16, 0), (2, 0), (0x0700, 5), (0xFFFF, 0)] {
            // No exact value, the least one, and one among the others.
            for exact in [&[][..], &[0], &[0, 90]] {
                for references in 0..3 {
                    seeds.push(seed(&layout, number | references << REFERENCES_SHIFT, near, shift, exact));
                }
            }
        }
    }
    seeds
}

fn seed(layout: &ImageLayout, choice: u8, near: u16, shift: u8, exact: &[u16]) -> Vec<u8> {
    let mut seed = Vec::new();
    put_layout(layout, &mut seed);
    seed.extend([choice, shift, exact.len() as u8]);
    seed.extend(near.to_le_bytes());
    seed.extend(exact.iter().flat_map(|value| value.to_le_bytes()));
    seed.extend(sample::image(layout, choice.into()));
    seed
}
