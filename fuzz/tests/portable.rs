//! The header stream of a real bundle, opened by the decoder for WASM, part by part.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use compressor::Uid;
use compressor::bundle::{BundleFile, Options, SegmentKind, SegmentSource, Source, pack};
use compressor::zstd_frame::portable::Stream;
use std::io::Write;

/// Window of the header stream (SPEC 3.1).
const WINDOW_LOG: u32 = 23;

/// An instance that is all header: text that repeats from instance to instance, and differs.
fn instance(number: usize) -> Vec<u8> {
    (0..60_000_usize)
        .flat_map(|line| format!("{},", line * (7 + number % 3) % 10_007).into_bytes())
        .take(200_000)
        .collect()
}

fn source(bytes: Vec<u8>) -> Source<'static> {
    Source::of_bytes(bytes, Uid::parse("1.2.840.10008.1.2.1").unwrap())
}

#[test]
fn header_segments_come_back_without_the_reference_library() {
    let given: Vec<_> = (0..18).map(instance).collect();
    let sources: Vec<_> = given.iter().cloned().map(source).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut bytes = Vec::new();
    let (manifest, _) = pack(&sources, &mut bytes, &Options::lossless(1), &mut |_| {}).unwrap();
    file.write_all(&bytes).unwrap();
    let mut bundle = BundleFile::open(file.path()).unwrap();
    let mut stream = Stream::new(WINDOW_LOG).unwrap();
    let (mut back, mut parts) = (Vec::new(), 0);
    for (number, segment) in (1..).zip(&manifest.segments).filter(|(_, s)| s.kind == SegmentKind::Headers) {
        let coded = bundle.segment(number).unwrap();
        back.extend(stream.decode(&coded, segment.raw_bytes as usize).unwrap());
        parts += 1;
    }
    assert!(parts > 2 && back == given.concat(), "{parts} parts");
}
