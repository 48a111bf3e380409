//! Coded slabs with a right model: whatever the bytes, an answer of the right length or an error.

use crate::input::{Input, put_layout};
use crate::sample;
use compressor::limits::SLAB_BYTES_MAX;
use compressor::pixels::{Bound, decode_slab, encode_slab};

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let layout = input.layout();
    let model = sample::model(input.byte());
    let raw_bytes = sample::raw_bytes(&layout);
    let decoded = decode_slab(&layout, input.0, Some(model), raw_bytes);
    if let Ok(raw) = decoded {
        assert!(raw.len() == raw_bytes && raw_bytes <= SLAB_BYTES_MAX);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, layout) in (0..).zip(sample::layouts()) {
        for near in [0, 2, 40] {
            let mut seed = Vec::new();
            put_layout(&layout, &mut seed);
            seed.push(number);
            let bound = Bound { near, exact: vec![0] };
            let raw = sample::image(&layout, u64::from(near));
            seed.extend(encode_slab(&layout, &raw, sample::model(number), &bound).unwrap().bytes);
            seeds.push(seed);
        }
    }
    seeds
}
