//! Bytes of a model: refused, or good for a round trip, with loss and without.

use crate::sample;
use compressor::limits::MODEL_BYTES_MAX;
use compressor::pixels::{Bound, Model, decode_slab, encode_slab};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(model) = Model::read(bytes) else { return };
    assert!(model.write() == bytes, "a model is written in one way alone");
    assert!(bytes.len() <= MODEL_BYTES_MAX);
    let layout = sample::layout(20, 20, 1, 16);
    let raw = sample::image(&layout, 1);
    for near in [0, 5] {
        let coded = encode_slab(&layout, &raw, &model, &Bound { near, exact: vec![] }).unwrap();
        let decoded = decode_slab(&layout, &coded.bytes, Some(&model), raw.len()).expect("own slab decodes");
        assert!(coded.decoded.as_ref().unwrap_or(&raw) == &decoded, "the decoder has other samples");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..sample::layouts().len() as u8).map(|number| sample::model(number).write()).collect()
}
