//! The manifest: zstd frames, and JSON that a frame holds.

use crate::bundle::{Segments, frame, options, packed};
use compressor::bundle::{Manifest, SegmentSource, read_manifest};

/// First byte of an input whose rest is a frame as it is; otherwise it is the text within one.
const FRAME: u8 = 0xFD;

pub(crate) fn run(bytes: &[u8]) {
    let manifest = match bytes.split_first() {
        Some((&FRAME, coded)) => coded.to_vec(),
        _ => frame(bytes),
    };
    if let Ok(manifest) = read_manifest(&mut Segments(vec![manifest])) {
        let _ = manifest.summary();
        // Banners are in the sealed form alone.
        let plain = |manifest: &Manifest| serde_json::to_vec(manifest).unwrap();
        let text = plain(&manifest);
        let again = read_manifest(&mut Segments(vec![frame(&text)])).expect("own manifest reads");
        assert!(plain(&again) == text, "a manifest changed on its way");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (manifest, mut segments) in options().iter().map(packed) {
        let mut coded = vec![FRAME];
        coded.extend(segments.segment(0).unwrap());
        let mut named = serde_json::to_value(&manifest).unwrap();
        named["banners"] =
            manifest.series.iter().map(|_| serde_json::json!({ "patient_id": "4711" })).collect();
        seeds.extend([serde_json::to_vec(&manifest).unwrap(), serde_json::to_vec(&named).unwrap(), coded]);
    }
    seeds
}
