//! Bytes of a model: refused, or good for a round trip, with loss and without.

use crate::sample;
use compressor::dataset::ImageLayout;
use compressor::limits::MODEL_BYTES_MAX;
use compressor::pixels::{Bound, CodedSlab, Model, decode_slab, encode_slab};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(model) = Model::read(bytes) else { return };
    assert!(model.write() == bytes, "a model is written in one way alone");
    assert!(bytes.len() <= MODEL_BYTES_MAX);
    let layout = ImageLayout::new(20, 20, 1, 16);
    let raw = sample::image(&layout, 1);
    let (before, after) = (sample::image(&layout, 2), sample::image(&layout, 3));
    let references = [before.as_slice(), &after];
    for (near, count) in [(0, 0), (5, 0), (0, 1), (5, 2)] {
        let (bound, references) = (Bound { near, exact: vec![] }, &references[..count]);
        let CodedSlab { coarse, fine, decoded } =
            encode_slab(&layout, &raw, &model, &bound, references).unwrap();
        let own = decode_slab(&layout, &coarse, &fine, Some(&model), references, raw.len());
        assert!(
            decoded.as_ref().unwrap_or(&raw) == &own.expect("own slab decodes"),
            "the decoder has other samples"
        );
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..sample::layouts().len() as u8).map(|number| sample::model(number).write()).collect()
}
