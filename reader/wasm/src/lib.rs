//! The pixel decoder for a browser: numbers in, numbers out, no bindings to generate.
//!
//! The page asks for room ([`scanpost_input`]), writes bytes there, calls, and reads what [`scanpost_output`] and
//! [`scanpost_output_bytes`] name. Nothing the page passes is taken for an address, so there is nothing to get wrong in here. One
//! instance of the module is one worker: its state is one model, one input, one output. A pointer holds until the next call.

// Names that a page can find are all that is unsafe here: `no_mangle` could clash with another symbol of the same name.
#![allow(unsafe_code)]

use compressor::dataset::ImageLayout;
use compressor::limits::{SEGMENT_BYTES_MAX, SLAB_BYTES_MAX};
use compressor::pixels::{Model, decode_slab, unpack_chunk};
use std::cell::RefCell;

/// It worked.
const OK: i32 = 0;
/// The bytes are not what a coder writes.
const DAMAGED: i32 = -1;
/// The layout's flag: samples are two's complement.
const SIGNED: u32 = 1;
/// The layout's flag: one plane after the other.
const PLANAR: u32 = 2;
/// The layout's flag: words are big endian.
const BIG_ENDIAN: u32 = 4;

#[derive(Default)]
struct Worker {
    input: Vec<u8>,
    output: Vec<u8>,
    model: Option<Model>,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut Worker) -> T) -> T {
    WORKER.with_borrow_mut(work)
}

/// Room for `bytes` bytes of input. Null where that is more than a segment has.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_input(bytes: usize) -> *mut u8 {
    if bytes > SEGMENT_BYTES_MAX {
        return std::ptr::null_mut();
    }
    with(|worker| {
        worker.input.resize(bytes, 0);
        worker.input.as_mut_ptr()
    })
}

/// Where the output lies.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_output() -> *const u8 {
    with(|worker| worker.output.as_ptr())
}

/// Its length.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_output_bytes() -> usize {
    with(|worker| worker.output.len())
}

/// Takes the input as the model segment of a series, of `raw_bytes` bytes once unpacked (bundle SPEC 3.4). 0, or −1 where it is damaged.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_model(raw_bytes: usize) -> i32 {
    with(|worker| {
        let raw = unpack_chunk(&worker.input, raw_bytes);
        worker.model = raw.and_then(|raw| Model::read(&raw)).ok();
        if worker.model.is_some() { OK } else { DAMAGED }
    })
}

/// Decodes the input as a slab of `raw_bytes` bytes with the model at hand (bundle SPEC 3.2). `flags`: 1 = signed, 2 = planar, 4 = big
/// endian. 0, or −1 where it is damaged.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_slab(
    columns: u16,
    rows: u16,
    samples: u16,
    bits: u16,
    flags: u32,
    raw_bytes: usize,
) -> i32 {
    let layout = ImageLayout {
        rows,
        columns,
        frames: 1,
        samples_per_pixel: samples,
        bits_allocated: bits,
        bits_stored: bits,
        signed: flags & SIGNED != 0,
        planar: flags & PLANAR != 0,
        big_endian: flags & BIG_ENDIAN != 0,
    };
    with(|worker| {
        let raw_bytes = raw_bytes.min(SLAB_BYTES_MAX + 1);
        let decoded = decode_slab(&layout, &worker.input, worker.model.as_ref(), raw_bytes);
        let code = if decoded.is_ok() { OK } else { DAMAGED };
        worker.output = decoded.unwrap_or_default();
        code
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use compressor::pixels::{Bound, Lessons, Slab, encode_slab, pack_chunk};

    const LAYOUT: ImageLayout = ImageLayout {
        rows: 24,
        columns: 32,
        frames: 1,
        samples_per_pixel: 1,
        bits_allocated: 16,
        bits_stored: 12,
        signed: true,
        planar: false,
        big_endian: false,
    };

    /// As a page would, but for the pointer, which a page writes to.
    fn give(bytes: &[u8]) {
        assert!(!scanpost_input(bytes.len()).is_null());
        with(|worker| worker.input.copy_from_slice(bytes));
    }

    #[test]
    fn page_gets_the_samples_that_were_coded() {
        let raw: Vec<u8> = (0..24 * 32_i16).flat_map(|n| (n * 7 % 300 - 50).to_le_bytes()).collect();
        let mut lessons = Lessons::within(&Bound::LOSSLESS);
        lessons.add(&Slab::of(&LAYOUT, raw.len()).unwrap(), &raw);
        let model = lessons.learn(raw.len() as u64);
        let coded = encode_slab(&LAYOUT, &raw, &model, &Bound::LOSSLESS).unwrap();
        give(&pack_chunk(&model.write()).unwrap());
        assert_eq!(scanpost_model(model.write().len()), OK);
        give(&coded.bytes);
        assert_eq!(scanpost_slab(32, 24, 1, 16, SIGNED, raw.len()), OK);
        assert_eq!(scanpost_output_bytes(), raw.len());
        with(|worker| assert_eq!(worker.output, raw));
    }

    #[test]
    fn damage_is_told_and_leaves_no_output() {
        give(&[7; 40]);
        assert_eq!(scanpost_model(100), DAMAGED);
        assert_eq!(scanpost_slab(4, 4, 1, 16, 0, 32), DAMAGED);
        assert_eq!(scanpost_slab(65_535, 65_535, 4, 16, 0, usize::MAX), DAMAGED);
        assert_eq!(scanpost_output_bytes(), 0);
        assert!(scanpost_input(SEGMENT_BYTES_MAX + 1).is_null());
    }
}
