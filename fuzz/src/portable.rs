//! zstd frames in the decoder for WASM.

use crate::bundle::frame;
use crate::input::Input;
use crate::sample::Noise;
use compressor::limits::CHUNK_BYTES_MAX;
use compressor::pixels::pack_chunk;
use compressor::zstd_frame::portable::{Stream, decode};

/// First byte of a chunk that is a zstd frame (SPEC 3.2).
const ZSTD: u8 = 1;
/// Window of the header stream (SPEC 3.1).
const WINDOW_LOG: u32 = 23;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let raw_bytes = (usize::from(input.word()) | usize::from(input.byte() & 0x1F) << 16).min(CHUNK_BYTES_MAX);
    // On damaged frames the reference library may give an error or other bytes: the digest of the instance decides, in both.
    if let Some(raw) = decode(input.0, raw_bytes) {
        assert!(raw.len() <= raw_bytes);
    }
    let (first, second) = input.0.split_at(input.0.len() / 2);
    let mut stream = Stream::new(WINDOW_LOG).unwrap();
    if stream.decode(first, raw_bytes / 2).is_some() {
        let _ = stream.decode(second, raw_bytes - raw_bytes / 2);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut noise = Noise(4);
    let text: Vec<u8> = (0..3000_u32).flat_map(|n| (n * n % 611).to_string().into_bytes()).collect();
    let wild: Vec<u8> = (0..200).map(|_| noise.next() as u8 & 31).collect();
    let mut seeds = Vec::new();
    for raw in [text, wild, vec![9; 50_000]] {
        let chunk = pack_chunk(&raw).unwrap();
        let coded = if chunk[0] == ZSTD { &chunk[1..] } else { &frame(&raw) };
        assert!(decode(coded, raw.len()).as_ref() == Some(&raw), "own frames are read by both decoders");
        let mut seed = (raw.len() as u32).to_le_bytes()[..3].to_vec();
        seed.extend(coded);
        seeds.push(seed);
    }
    seeds
}
