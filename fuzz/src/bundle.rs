//! Whole bundles: as a file with its table, and as segments that a manifest describes.

use crate::input::Input;
use crate::sample;
use compressor::Uid;
use compressor::bundle::{BundleFile, Manifest, Near, Options, SegmentSource, Source, Wanted};
use compressor::bundle::{pack, read_manifest, unpack};
use compressor::dataset::ImageLayout;
use serde_json::Value;
use std::io::{self, Write};

/// Magic of a zstd frame (RFC 8878 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Frame header: single segment, content size of 8 bytes (RFC 8878 3.1.1.1).
const ZSTD_SINGLE_SEGMENT: u8 = 0xE0;
/// Largest block (RFC 8878 3.1.1.2.4).
const ZSTD_BLOCK_BYTES_MAX: usize = 1 << 17;

/// A bundle's segments in memory.
pub(crate) struct Segments(pub(crate) Vec<Vec<u8>>);

impl SegmentSource for Segments {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        self.0.get(number as usize).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// `bytes` as a zstd frame of stored blocks (RFC 8878 3.1.1), so that a fuzzer's text reaches the parser behind zstd.
pub(crate) fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut frame = ZSTD_MAGIC.to_vec();
    frame.push(ZSTD_SINGLE_SEGMENT);
    frame.extend((bytes.len() as u64).to_le_bytes());
    let mut blocks = bytes.chunks(ZSTD_BLOCK_BYTES_MAX).peekable();
    if bytes.is_empty() {
        frame.extend([1, 0, 0]);
    }
    while let Some(block) = blocks.next() {
        let header = (block.len() as u32) << 3 | u32::from(blocks.peek().is_none());
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// Text of the manifest ++ segments, each with its length in front. Lengths of coded segments in the text are put right, so that a
/// mutation reaches what lies behind that check.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let length = input.word().into();
    let text = input.bytes(length);
    let mut segments = vec![Vec::new()];
    while !input.0.is_empty() {
        let length = input.word().into();
        segments.push(input.bytes(length).to_vec());
    }
    segments[0] = frame(&consistent(text, &segments));
    open(&mut Segments(segments));
}

fn consistent(text: &[u8], segments: &[Vec<u8>]) -> Vec<u8> {
    let Ok(mut manifest) = serde_json::from_slice::<Value>(text) else { return text.to_vec() };
    let entries = manifest.get_mut("segments").and_then(Value::as_array_mut).into_iter().flatten();
    for (entry, segment) in entries.zip(segments.iter().skip(1)) {
        if let Some(coded_bytes) = entry.get_mut("coded_bytes") {
            *coded_bytes = segment.len().into();
        }
    }
    serde_json::to_vec(&manifest).unwrap()
}

/// A bundle file of any bytes.
pub(crate) fn run_file(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    if let Ok(mut bundle) = BundleFile::open(file.path()) {
        open(&mut bundle);
    }
}

/// Unpacks as a reader would. A bundle that says of itself that it is larger than any input can mean is not unpacked: that is
/// the disk's trouble, and takes long.
fn open(segments: &mut dyn SegmentSource) {
    let Ok(manifest) = read_manifest(segments) else { return };
    if manifest.segments.iter().map(|segment| segment.raw_bytes).sum::<u64>() < 4 << 20 {
        for wanted in [Wanted::Shown, Wanted::Exact] {
            let _ = unpack(&manifest, segments, wanted, 1, &mut |_| Ok(Box::new(io::sink())));
        }
    }
}

/// Without loss, and with a bound and what gives the exact pixels back.
pub(crate) fn options() -> [Options; 2] {
    [
        Options::lossless(1),
        Options { threads: 1, near: Near::Fixed(2), residual: true, ..Options::lossless(1) },
    ]
}

/// A bundle of two series: three images, of which one has its neighbours as references, and something that is no image.
fn bundle_file(options: &Options) -> (Manifest, Vec<u8>) {
    let layout = ImageLayout::new(24, 20, 1, 16);
    let mut other = Vec::new();
    sample::element(0x0008_0018, b"UI", b"1.2.3.99", &mut other);
    sample::element(0x0042_0011, b"OB", &[9; 70_000], &mut other);
    let image = |number| sample::data_set(&layout, number);
    let given = [image(1), image(2), image(3), other];
    let mut file = Vec::new();
    let (manifest, _) = pack(&given.map(source), &mut file, options, &mut |_| {}).unwrap();
    (manifest, file)
}

fn source(bytes: Vec<u8>) -> Source<'static> {
    let source = Source::of_bytes(bytes, Uid::parse("1.2.840.10008.1.2.1").unwrap());
    Source { name: Some("a/b".to_owned()), ..source }
}

pub(crate) fn packed(options: &Options) -> (Manifest, Segments) {
    let (manifest, bytes) = bundle_file(options);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let mut bundle = BundleFile::open(file.path()).unwrap();
    let count = bundle.segment_lengths().len() as u32;
    let segments = (0..count).map(|number| bundle.segment(number).unwrap()).collect();
    (manifest, Segments(segments))
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    options().iter().map(seed).collect()
}

fn seed(options: &Options) -> Vec<u8> {
    let (manifest, segments) = packed(options);
    let text = serde_json::to_vec(&manifest).unwrap();
    let mut seed = Vec::new();
    for part in [&text].into_iter().chain(&segments.0[1..]) {
        seed.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
        seed.extend(part);
    }
    seed
}

pub(crate) fn seeds_file() -> Vec<Vec<u8>> {
    options().iter().map(|options| bundle_file(options).1).collect()
}
