//! Any image within any bound: what the encoder says it decodes to is what comes back, and no sample is further off.

use crate::input::{Input, put_layout};
use crate::sample;
use compressor::dataset::ImageLayout;
use compressor::pixels::{Bound, Slab, decode_slab, encode_slab};

/// Samples of a trial: more are no other code, but slower.
const SAMPLE_BYTES_MAX: usize = 1 << 15;
/// One trial in this many learns its model from the image; the others take one of those at hand.
const LEARNING: u8 = 32;
/// Exact values of a bound that are tried together.
const EXACT_MAX: u8 = 3;
/// Whether all is tried that [`Bound`] promises of exact values. Until the lattice coder holds it, the first sample of an image of one
/// component is tried, and that it comes back: it keeps one value for each component, if it occurs there, and lets other
/// samples become that value where it lies between them.
const ANY_EXACT: bool = false;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let layout = input.layout();
    let raw_bytes = sample::raw_bytes(&layout);
    let Some(slab) = Slab::of(&layout, raw_bytes).filter(|_| raw_bytes <= SAMPLE_BYTES_MAX) else { return };
    let (choice, shift, exact) = (input.byte(), input.byte(), input.byte());
    // Bounds of every size, small ones as often as large ones.
    let near = input.word() >> (shift & 15);
    let mut exact: Vec<u16> = (0..exact % (EXACT_MAX + 1)).map(|_| input.word()).collect();
    let raw = stretched(input.0, raw_bytes);
    if !ANY_EXACT {
        exact.truncate(if slab.components == 1 { 1 } else { 0 });
        exact.fill(stored(&slab, &raw[..slab.sample_bytes]));
    }
    let bound = Bound { near, exact };
    let learnt = (choice % LEARNING == 0).then(|| sample::learn(&layout, &[&raw], &bound));
    let model = learnt.as_ref().unwrap_or_else(|| sample::model(choice));
    let coded = encode_slab(&layout, &raw, model, &bound).unwrap();
    let decoded = decode_slab(&layout, &coded.bytes, Some(model), raw_bytes).expect("own slab decodes");
    assert!(coded.decoded.as_ref().unwrap_or(&raw) == &decoded, "the decoder has other samples");
    assert_within(&slab, &raw, &decoded, &bound);
}

/// As many bytes as the image has, by repeating what there is.
fn stretched(bytes: &[u8], length: usize) -> Vec<u8> {
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
        let invented = ANY_EXACT && exact(after);
        assert!(
            before == after || !(exact(before) || invented),
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
            seeds.push(seed(&layout, number, near, shift));
        }
    }
    seeds
}

fn seed(layout: &ImageLayout, number: u8, near: u16, shift: u8) -> Vec<u8> {
    let mut seed = Vec::new();
    put_layout(layout, &mut seed);
    seed.extend([number, shift, 1]);
    seed.extend(near.to_le_bytes());
    seed.extend([0, 0]);
    seed.extend(sample::image(layout, number.into()));
    seed
}
