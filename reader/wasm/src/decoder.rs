//! The pixel decoder: its state is one model.
//!
//! A telephone that shows coarse pictures alone calls [`scanpost_coarse`] and fetches no more.

use crate::{INPUT_BYTES_MAX, OK, with};
use compressor::dataset::ImageLayout;
use compressor::limits::{MODEL_BYTES_MAX, SEGMENT_BYTES_MAX, SLAB_BYTES_MAX};
use compressor::pixels::{DamagedSlab, Model, add_residual, decode_coarse, decode_slab, unpack_chunk};
use std::cell::RefCell;

/// References of a slab at most (bundle SPEC 3.2).
const REFERENCES_MAX: usize = 2;
const _: () = assert!(REFERENCES_MAX * SLAB_BYTES_MAX + 2 * SEGMENT_BYTES_MAX <= INPUT_BYTES_MAX);

/// The bytes are not what a coder writes.
const DAMAGED: i32 = -1;
/// The layout's flag: samples are two's complement.
const SIGNED: u32 = 1;
/// The layout's flag: one plane after the other.
const PLANAR: u32 = 2;
/// The layout's flag: words are big endian.
const BIG_ENDIAN: u32 = 4;

#[derive(Default)]
struct Decoder {
    /// Columns and rows of a coarse picture.
    shape: (usize, usize),
    model: Option<Model>,
}

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::default();
}

/// Takes the input as the model segment of a series, of `raw_bytes` bytes once unpacked (bundle SPEC 3.4). 0, or −1 where it is damaged.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_model(raw_bytes: usize) -> i32 {
    work(|decoder, input| {
        let raw =
            if raw_bytes <= MODEL_BYTES_MAX { unpack_chunk(input, raw_bytes) } else { Err(DamagedSlab) };
        decoder.model = raw.and_then(|raw| Model::read(&raw)).ok();
        if decoder.model.is_some() { Ok(Vec::new()) } else { Err(DamagedSlab) }
    })
}

/// Decodes a slab of `raw_bytes` bytes with the model at hand (bundle SPEC 3.2). The input is its `references` (0 to 2) decoded slabs of the
/// same length, then its coarse part of `coarse_bytes`, then its fine part. `flags`: 1 = signed, 2 = planar, 4 = big endian. 0, or −1
/// where it is damaged.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_slab(
    columns: u16,
    rows: u16,
    samples: u16,
    bits: u16,
    flags: u32,
    raw_bytes: usize,
    references: usize,
    coarse_bytes: usize,
) -> i32 {
    let layout = layout(columns, rows, samples, bits, flags);
    work(|decoder, input| decoder.slab(input, &layout, raw_bytes, references, coarse_bytes))
}

/// Decodes the input as the coarse part, alone, of a slab of `raw_bytes` bytes. [`scanpost_coarse_columns`] and
/// [`scanpost_coarse_rows`] tell its size; its samples are those of the slab. 0, or −1 where it is damaged or has no picture.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_coarse(
    columns: u16,
    rows: u16,
    samples: u16,
    bits: u16,
    flags: u32,
    raw_bytes: usize,
) -> i32 {
    let layout = layout(columns, rows, samples, bits, flags);
    work(|decoder, input| {
        let picture = decode_coarse(&layout, input, decoder.model.as_ref(), raw_bytes);
        decoder.shape = picture.as_ref().map_or((0, 0), |(slab, _)| (slab.columns, slab.rows));
        picture.map(|(_, raw)| raw)
    })
}

/// Columns of the coarse picture that was decoded last.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_coarse_columns() -> usize {
    DECODER.with_borrow(|decoder| decoder.shape.0)
}

/// Its rows.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_coarse_rows() -> usize {
    DECODER.with_borrow(|decoder| decoder.shape.1)
}

/// Whether slabs of the model at hand are predicted from others: 1 or 0.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_uses_references() -> i32 {
    DECODER.with_borrow(|decoder| decoder.model.as_ref().is_some_and(Model::uses_references).into())
}

/// Makes a decoded slab what came (bundle SPEC 3.5): the input is the slab of `raw_bytes`, decoded, then its residual. 0, or −1 where it is damaged.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_exact(
    columns: u16,
    rows: u16,
    samples: u16,
    bits: u16,
    flags: u32,
    raw_bytes: usize,
) -> i32 {
    let layout = layout(columns, rows, samples, bits, flags);
    work(|_, input| {
        let fits = raw_bytes <= SLAB_BYTES_MAX;
        let (decoded, residual) = input.split_at_checked(raw_bytes).filter(|_| fits).ok_or(DamagedSlab)?;
        let mut raw = decoded.to_vec();
        add_residual(&layout, &mut raw, residual)?;
        Ok(raw)
    })
}

fn layout(columns: u16, rows: u16, samples: u16, bits: u16, flags: u32) -> ImageLayout {
    ImageLayout {
        signed: flags & SIGNED != 0,
        planar: flags & PLANAR != 0,
        big_endian: flags & BIG_ENDIAN != 0,
        ..ImageLayout::new(columns, rows, samples, bits)
    }
}

fn work(decode: impl FnOnce(&mut Decoder, &[u8]) -> Result<Vec<u8>, DamagedSlab>) -> i32 {
    with(|worker| {
        let decoded = DECODER.with_borrow_mut(|decoder| decode(decoder, &worker.input));
        let code = if decoded.is_ok() { OK } else { DAMAGED };
        worker.output = decoded.unwrap_or_default();
        code
    })
}

impl Decoder {
    fn slab(
        &self,
        input: &[u8],
        layout: &ImageLayout,
        raw_bytes: usize,
        references: usize,
        coarse_bytes: usize,
    ) -> Result<Vec<u8>, DamagedSlab> {
        if references > REFERENCES_MAX || raw_bytes > SLAB_BYTES_MAX {
            return Err(DamagedSlab);
        }
        let (decoded, parts) = input.split_at_checked(references * raw_bytes).ok_or(DamagedSlab)?;
        let (coarse, fine) = parts.split_at_checked(coarse_bytes).ok_or(DamagedSlab)?;
        let decoded: Vec<_> = decoded.chunks_exact(raw_bytes.max(1)).collect();
        decode_slab(layout, coarse, fine, self.model.as_ref(), &decoded, raw_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{scanpost_input, scanpost_output_bytes};
    use compressor::pixels::{Bound, Lessons, Slab, encode_slab, encode_without_model, pack_chunk};

    const LAYOUT: ImageLayout =
        ImageLayout { bits_stored: 12, signed: true, ..ImageLayout::new(32, 24, 1, 16) };

    /// As a page would, but for the pointer, which a page writes to.
    fn give(bytes: &[u8]) {
        assert!(!scanpost_input(bytes.len()).is_null());
        with(|worker| worker.input.copy_from_slice(bytes));
    }

    /// Of so long a series that references pay for their weights.
    const SERIES_BYTES: u64 = 4 << 20;

    fn raw(shift: i16) -> Vec<u8> {
        (0..24 * 32_i16).flat_map(|n| (n * 7 % 300 - 50 + (n / 32 + shift) % 5).to_le_bytes()).collect()
    }

    fn model(raw: &[u8], references: &[&[u8]]) -> Model {
        let mut lessons = Lessons::within(&Bound::LOSSLESS);
        lessons.add(&Slab::of(&LAYOUT, raw.len()).unwrap(), raw, references);
        lessons.learn(SERIES_BYTES)
    }

    fn give_model(model: &Model) {
        give(&pack_chunk(&model.write()).unwrap());
        assert_eq!(scanpost_model(model.write().len()), OK);
    }

    #[test]
    fn page_gets_the_samples_that_were_coded() {
        let raw = raw(0);
        let model = model(&raw, &[]);
        let coded = encode_slab(&LAYOUT, &raw, &model, &Bound::LOSSLESS, &[]).unwrap();
        give_model(&model);
        give(&[coded.coarse.as_slice(), &coded.fine].concat());
        assert_eq!(scanpost_slab(32, 24, 1, 16, SIGNED, raw.len(), 0, coded.coarse.len()), OK);
        assert_eq!(scanpost_output_bytes(), raw.len());
        with(|worker| assert_eq!(worker.output, raw));
    }

    #[test]
    fn page_gets_a_slab_by_its_references() {
        let (raw, before, after) = (noisy(0), noisy(1), noisy(2));
        let references = [before.as_slice(), &after];
        let model = model(&raw, &references);
        assert!(model.uses_references());
        let coded = encode_slab(&LAYOUT, &raw, &model, &Bound::LOSSLESS, &references).unwrap();
        give_model(&model);
        give(&[before.as_slice(), &after, &coded.coarse, &coded.fine].concat());
        let slab = |count| scanpost_slab(32, 24, 1, 16, SIGNED, raw.len(), count, coded.coarse.len());
        assert_eq!(slab(2), OK);
        with(|worker| assert_eq!(worker.output, raw));
        assert_eq!(slab(1), DAMAGED);
        assert_eq!(slab(3), DAMAGED);
    }

    /// The same noise in all, and a little of their own.
    fn noisy(number: u32) -> Vec<u8> {
        let mut noise = 1_u32;
        let mut next = move || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise >> 16
        };
        (0..24 * 32_u32)
            .flat_map(|place| ((next() % 2_000 + (place * 7 + number) % 3) as i16).to_le_bytes())
            .collect()
    }

    #[test]
    fn telephone_gets_the_coarse_picture_of_the_coarse_part_alone() {
        let raw = raw(0);
        let model = model(&raw, &[]);
        let coded = encode_slab(&LAYOUT, &raw, &model, &Bound::LOSSLESS, &[]).unwrap();
        give_model(&model);
        give(&coded.coarse);
        assert_eq!(scanpost_coarse(32, 24, 1, 16, SIGNED, raw.len()), OK);
        let (slab, expected) = decode_coarse(&LAYOUT, &coded.coarse, Some(&model), raw.len()).unwrap();
        assert_eq!((scanpost_coarse_columns(), scanpost_coarse_rows()), (slab.columns, slab.rows));
        with(|worker| assert_eq!(worker.output, expected));
    }

    #[test]
    fn page_gets_graphics_and_their_coarse_picture_without_a_model() {
        let raw: Vec<u8> = (0..200 * 140_u32).map(|n| (n % 200 / 9 * (n / 2800) % 7 * 30) as u8).collect();
        let layout = ImageLayout::new(200, 140, 1, 8);
        let coded = encode_without_model(&layout, &raw).unwrap();
        assert!(!coded.fine.is_empty() && coded.coarse.len() > 1);
        give(&[coded.coarse.as_slice(), &coded.fine].concat());
        assert_eq!(scanpost_slab(200, 140, 1, 8, 0, raw.len(), 0, coded.coarse.len()), OK);
        with(|worker| assert_eq!(worker.output, raw));
        give(&coded.coarse);
        assert_eq!(scanpost_coarse(200, 140, 1, 8, 0, raw.len()), OK);
        assert_eq!((scanpost_coarse_columns(), scanpost_coarse_rows()), (100, 70));
        let rows = raw.chunks_exact(200).step_by(2);
        let every_second: Vec<u8> = rows.flat_map(|row| row.iter().step_by(2).copied()).collect();
        with(|worker| assert_eq!(worker.output, every_second));
    }

    #[test]
    fn damage_is_told_and_leaves_no_output() {
        give(&[7; 40]);
        assert_eq!(scanpost_model(100), DAMAGED);
        assert_eq!(scanpost_slab(4, 4, 1, 16, 0, 32, 0, 20), DAMAGED);
        assert_eq!(scanpost_slab(4, 4, 1, 16, 0, 0, 2, 20), DAMAGED);
        assert_eq!(scanpost_slab(4, 4, 1, 16, 0, 32, usize::MAX, usize::MAX), DAMAGED);
        assert_eq!(scanpost_slab(65_535, 65_535, 4, 16, 0, usize::MAX, 2, 0), DAMAGED);
        assert_eq!(scanpost_coarse(65_535, 65_535, 4, 16, 0, usize::MAX), DAMAGED);
        assert_eq!(scanpost_output_bytes(), 0);
        assert_eq!((scanpost_coarse_columns(), scanpost_coarse_rows()), (0, 0));
        assert!(scanpost_input(INPUT_BYTES_MAX + 1).is_null());
    }
}
