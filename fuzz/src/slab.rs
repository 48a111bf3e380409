//! Coded slabs with a right model: whatever the bytes of both parts and of the references, an answer of the right length or an error.

use crate::input::{Input, put_layout};
use crate::round_trip::stretched;
use crate::sample;
use compressor::dataset::ImageLayout;
use compressor::limits::SLAB_BYTES_MAX;
use compressor::pixels::{Bound, CodedSlab, decode_coarse, decode_slab, encode_slab};

/// References of a slab at most (bundle SPEC 3.2).
const REFERENCES_MAX: u8 = 2;
/// Samples of a reference that are in the input itself; they are repeated.
const REFERENCE_BYTES: usize = 64;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let layout = input.layout();
    let (model, count, coarse_bytes) = (sample::model(input.byte()), input.byte(), input.word());
    let raw_bytes = sample::raw_bytes(&layout);
    let references = references(&mut input, count, raw_bytes);
    let (coarse, fine) = (input.bytes(coarse_bytes.into()), input.0);
    let references: Vec<_> = references.iter().map(Vec::as_slice).collect();
    let decoded = decode_slab(&layout, coarse, fine, Some(model), &references, raw_bytes);
    if let Ok(raw) = decoded {
        assert!(raw.len() == raw_bytes && raw_bytes <= SLAB_BYTES_MAX);
    }
    if let Ok((slab, raw)) = decode_coarse(&layout, coarse, Some(model), raw_bytes) {
        assert!(raw.len() == slab.bytes() && raw.len() <= raw_bytes);
    }
}

fn references(input: &mut Input<'_>, count: u8, raw_bytes: usize) -> Vec<Vec<u8>> {
    // Where the layout itself is refused, its references are not worth their memory.
    let count = if raw_bytes <= SLAB_BYTES_MAX { count % (REFERENCES_MAX + 1) } else { 0 };
    (0..count).map(|_| stretched(input.bytes(REFERENCE_BYTES), raw_bytes)).collect()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, layout) in (0..).zip(sample::layouts()) {
        for (count, near) in [(0, 0), (1, 0), (2, 2), (2, 40)] {
            seeds.push(seed(&layout, number, count, near));
        }
    }
    seeds
}

fn seed(layout: &ImageLayout, number: u8, count: u8, near: u16) -> Vec<u8> {
    let mut seed = Vec::new();
    put_layout(layout, &mut seed);
    let bound = Bound { near, exact: vec![0] };
    let raw = sample::image(layout, u64::from(near));
    let given: Vec<_> =
        (0..count).flat_map(|other| stretched(&raw[usize::from(other)..], REFERENCE_BYTES)).collect();
    let references = references(&mut Input(&given), count, raw.len());
    let references: Vec<_> = references.iter().map(Vec::as_slice).collect();
    let CodedSlab { coarse, fine, .. } =
        encode_slab(layout, &raw, sample::model(number), &bound, &references).unwrap();
    seed.extend([number, count]);
    seed.extend((coarse.len() as u16).to_le_bytes());
    seed.extend([given, coarse, fine].concat());
    seed
}
