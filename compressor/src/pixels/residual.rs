//! What a decoded slab lacks to what came: differences within the bound, coded with the decoded slab known (SPEC 3.5).
//!
//! Has a coder of its own, so that it stands apart from the lattice coder's streams.

mod taps;
#[cfg(test)]
mod tests;

use super::packed::{pack_chunk, unpack_chunk};
use super::range::{Counts, RangeDecoder, RangeEncoder};
use super::{DamagedSlab, Slab, planes};
use crate::dataset::ImageLayout;
use std::io;
use taps::{Field, Weights};

/// First byte: nothing is missing.
const NOTHING: u8 = 0;
/// First byte: `u16` largest difference ++ weights of the taps ++ range coder.
const CODED: u8 = 1;
/// First byte: the slab itself as a chunk (SPEC 3.3), where differences would take more.
const WHOLE: u8 = 2;
/// Symbols of a decision; larger differences have low bits of equal chance.
const SYMBOLS_MAX: u32 = 31;
/// Classes of expected error, half an octave each.
const CLASSES: usize = 14;
/// Class of an expected error as large as the range of differences.
const CLASS_OF_RANGE: i32 = 9;
/// Steps of the distance between prediction and decoded value.
const OFFSETS: usize = 17;

/// Codes raw − decoded. Both are the bytes of a slab of one component.
///
/// # Errors
/// `InvalidInput` where they are not; zstd fails to get memory.
pub fn encode_residual(layout: &ImageLayout, raw: &[u8], decoded: &[u8]) -> io::Result<Vec<u8>> {
    if raw == decoded {
        return Ok(vec![NOTHING]);
    }
    let slab = Slab::of(layout, raw.len()).filter(|slab| slab.components == 1 && raw.len() == decoded.len());
    let slab = slab.ok_or(io::ErrorKind::InvalidInput)?;
    let (raws, decodeds) = (plane(&slab, raw), plane(&slab, decoded));
    let largest =
        raws.iter().zip(&decodeds).map(|(raw, known)| raw.abs_diff(*known)).max().unwrap_or_default();
    let weights = Weights::fitted(&slab, &raws, &decodeds);
    let mut coded = vec![CODED];
    coded.extend_from_slice(&largest.to_le_bytes());
    weights.write(&mut coded);
    let mut encoding = Encoding { raws: raws.into_iter(), encoder: RangeEncoder::default() };
    let walked = walk(&slab, &decodeds, largest, &weights, &mut encoding);
    walked.map_err(|DamagedSlab| io::ErrorKind::InvalidInput)?;
    coded.extend(encoding.encoder.finish());
    if coded.len() < raw.len() {
        return Ok(coded);
    }
    let mut whole = vec![WHOLE];
    whole.extend(pack_chunk(raw)?);
    Ok(whole)
}

/// Turns a decoded slab into what came.
///
/// # Errors
/// [`DamagedSlab`]; `decoded` is then of no use.
pub fn add_residual(layout: &ImageLayout, decoded: &mut [u8], coded: &[u8]) -> Result<(), DamagedSlab> {
    let (kind, coded) = coded.split_first().ok_or(DamagedSlab)?;
    let raw = match *kind {
        NOTHING if coded.is_empty() => return Ok(()),
        CODED => add_differences(layout, decoded, coded)?,
        WHOLE => unpack_chunk(coded, decoded.len())?,
        _ => return Err(DamagedSlab),
    };
    decoded.copy_from_slice(&raw);
    Ok(())
}

fn add_differences(layout: &ImageLayout, decoded: &[u8], mut coded: &[u8]) -> Result<Vec<u8>, DamagedSlab> {
    let slab = Slab::of(layout, decoded.len()).filter(|slab| slab.components == 1).ok_or(DamagedSlab)?;
    let (largest, rest) = coded.split_first_chunk().ok_or(DamagedSlab)?;
    coded = rest;
    let weights = Weights::read(&mut coded)?;
    let mut decoding = Decoding { decoder: RangeDecoder::new(coded)? };
    let raws = walk(&slab, &plane(&slab, decoded), u16::from_le_bytes(*largest), &weights, &mut decoding)?;
    decoding.decoder.finish()?;
    Ok(planes::join(&slab, &vec![raws]))
}

fn plane(slab: &Slab, bytes: &[u8]) -> Vec<u16> {
    planes::split(slab, bytes).pop().unwrap_or_default()
}

/// Gives the difference at the next place, from `-largest` to `largest`.
trait Differences {
    fn next(&mut self, known: u16, spot: &mut Spot<'_>) -> Result<i32, DamagedSlab>;
}

/// How the difference at a place is coded.
struct Spot<'c> {
    counts: &'c mut Counts,
    /// The prediction lies below the decoded value: differences are coded with their sign turned.
    turned: bool,
    largest: i32,
    /// Low bits of equal chance.
    low_bits: u32,
}

impl Spot<'_> {
    /// From 0 to 2 × largest.
    fn number(&self, difference: i32) -> u32 {
        (if self.turned { -difference } else { difference } + self.largest) as u32
    }

    fn difference(&self, number: u32) -> i32 {
        let difference = number as i32 - self.largest;
        if self.turned { -difference } else { difference }
    }
}

struct Encoding {
    raws: std::vec::IntoIter<u16>,
    encoder: RangeEncoder,
}

impl Differences for Encoding {
    fn next(&mut self, known: u16, spot: &mut Spot<'_>) -> Result<i32, DamagedSlab> {
        let raw = self.raws.next().ok_or(DamagedSlab)?;
        let difference = i32::from(raw) - i32::from(known);
        let number = spot.number(difference);
        spot.counts.put(number >> spot.low_bits, &mut self.encoder);
        self.encoder.put_bits(number, spot.low_bits);
        Ok(difference)
    }
}

struct Decoding<'b> {
    decoder: RangeDecoder<'b>,
}

impl Differences for Decoding<'_> {
    fn next(&mut self, _: u16, spot: &mut Spot<'_>) -> Result<i32, DamagedSlab> {
        let high = spot.counts.take(&mut self.decoder);
        let number = high << spot.low_bits | self.decoder.bits(spot.low_bits);
        Ok(spot.difference(number))
    }
}

/// Goes through all places in order; gives the values that came.
fn walk(
    slab: &Slab,
    decoded: &[u16],
    largest: u16,
    weights: &Weights,
    differences: &mut impl Differences,
) -> Result<Vec<u16>, DamagedSlab> {
    let range = 2 * u32::from(largest) + 1;
    let low_bits = (0..u16::BITS + 1).find(|bits| (range - 1) >> bits < SYMBOLS_MAX).unwrap_or_default();
    let mut contexts = contexts(range, low_bits);
    let mut raws = Vec::with_capacity(decoded.len());
    for frame in decoded.chunks_exact(slab.rows * slab.columns) {
        let mut field = Field::new(frame, slab.columns);
        for place in 0..frame.len() {
            let (prediction, error) = field.predict(place, weights);
            let known = field.known(place);
            // In quarters of a value.
            let offset = prediction - 4 * i32::from(known);
            let context = context(offset, error, range);
            let counts = contexts.get_mut(context).ok_or(DamagedSlab)?;
            let mut spot = Spot { counts, turned: offset < 0, largest: largest.into(), low_bits };
            let difference = differences.next(known, &mut spot)?;
            let raw = u16::try_from(i32::from(known) + difference).map_err(|_| DamagedSlab)?;
            field.set(place, raw, prediction);
            raws.push(raw);
        }
    }
    Ok(raws)
}

/// Which counts a place has.
fn context(offset: i32, error: u32, range: u32) -> usize {
    class(error, range) * OFFSETS + step(offset.unsigned_abs(), range)
}

/// Steps of half a value, or coarser: the last stands for all from half the range on.
fn step(offset: u32, range: u32) -> usize {
    let last = OFFSETS as u32 - 1;
    (offset.div_ceil(2) * last / last.max(range)).min(last) as usize
}

/// Half octaves of the expected error, in eighths of a value, against the range of differences.
fn class(error: u32, range: u32) -> usize {
    let half_octaves = |number: u32| {
        let log = number.max(1).ilog2();
        2 * log as i32 + i32::from((number >> log.saturating_sub(2)) >= 6 && log >= 2)
    };
    let class = half_octaves(error) - half_octaves(8 * range) + CLASS_OF_RANGE;
    class.clamp(0, CLASSES as i32 - 1) as usize
}

/// Counts that start as a bell about the prediction, b² / (b² + distance²), as wide as the class says.
fn contexts(range: u32, low_bits: u32) -> Vec<Counts> {
    let symbols = ((range - 1) >> low_bits) + 1;
    let last = OFFSETS as u64 - 1;
    let mut contexts = Vec::with_capacity(CLASSES * OFFSETS);
    for class in 0..CLASSES {
        for step in 0..OFFSETS as u64 {
            // All in quarters of a value.
            let centre = 2 * (range / 2) as i64
                + 2 * (step * last.max(range.into()) / last) as i64
                + 2 * (range / 2) as i64;
            let square =
                ((16 * u64::from(range).pow(2)) << class.max(4) >> (CLASS_OF_RANGE + 1)).max(1) as i64;
            let bell = |symbol: u32| {
                let middle = 4 * (i64::from(symbol) << low_bits) + 2 * ((1 << low_bits) - 1);
                let distance = middle - centre;
                (1024 * square / (square + distance * distance)) as u32
            };
            contexts.push(Counts::new((0..symbols).map(bell)));
        }
    }
    contexts
}
