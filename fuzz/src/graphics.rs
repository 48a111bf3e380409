//! The graphics coder, which needs no model: hostile parts give an answer of the right length or an error, and any image comes back.

use crate::input::{Input, put_layout};
use crate::round_trip::stretched;
use crate::sample;
use compressor::dataset::ImageLayout;
use compressor::limits::SLAB_BYTES_MAX;
use compressor::pixels::{Slab, decode_coarse, decode_slab, encode_without_model};

/// Samples of a round trip: more are no other code, but slower.
const SAMPLE_BYTES_MAX: usize = 1 << 13;
/// A choice below this is a round trip, another one a decoder's input.
const ROUND_TRIP: u8 = 128;
/// First byte of a coarse part of the graphics coder (bundle SPEC 3.2).
const GRAPHICS: u8 = 3;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let layout = input.layout();
    let raw_bytes = sample::raw_bytes(&layout);
    if input.byte() < ROUND_TRIP {
        return round_trip(&layout, raw_bytes, input.0);
    }
    let coarse_bytes = input.word();
    let coarse = [&[GRAPHICS], input.bytes(coarse_bytes.into())].concat();
    if let Ok(raw) = decode_slab(&layout, &coarse, input.0, None, &[], raw_bytes) {
        assert!(raw.len() == raw_bytes && raw_bytes <= SLAB_BYTES_MAX);
    }
    if let Ok((slab, raw)) = decode_coarse(&layout, &coarse, None, raw_bytes) {
        assert!(raw.len() == slab.bytes() && raw.len() <= raw_bytes);
    }
}

fn round_trip(layout: &ImageLayout, raw_bytes: usize, bytes: &[u8]) {
    if raw_bytes > SAMPLE_BYTES_MAX || Slab::of(layout, raw_bytes).is_none() {
        return;
    }
    let raw = stretched(bytes, raw_bytes);
    let coded = encode_without_model(layout, &raw).unwrap();
    let decoded = decode_slab(layout, &coded.coarse, &coded.fine, None, &[], raw_bytes);
    assert!(decoded.expect("own slab decodes") == raw);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for layout in sample::layouts() {
        let raw = sample::image(&layout, 3);
        let coded = encode_without_model(&layout, &raw).unwrap();
        let mut seed = Vec::new();
        put_layout(&layout, &mut seed);
        seeds.push([seed.as_slice(), &[0], &raw].concat());
        seed.push(ROUND_TRIP);
        seed.extend((coded.coarse.len() as u16 - 1).to_le_bytes());
        seeds.push([seed.as_slice(), &coded.coarse[1..], &coded.fine].concat());
    }
    // Large enough for two parts.
    let layout = ImageLayout::new(200, 140, 3, 8);
    let raw = sample::image(&layout, 5);
    let coded = encode_without_model(&layout, &raw).unwrap();
    let mut seed = Vec::new();
    put_layout(&layout, &mut seed);
    seed.push(ROUND_TRIP);
    seed.extend((coded.coarse.len() as u16 - 1).to_le_bytes());
    seeds.push([seed.as_slice(), &coded.coarse[1..], &coded.fine].concat());
    seeds
}
