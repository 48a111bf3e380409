//! The graphics coder: pixels that are mostly one of their neighbours, or of few colours (`docs/spec-codec.md` 10 to 12).

mod chances;
mod colours;
mod rows;
#[cfg(test)]
mod tests;
mod walk;

use super::planes::{self, Components};
use super::range::{RangeDecoder, RangeEncoder};
use super::{DamagedSlab, Slab, coarse_level, coarse_shape};
use chances::Decisions;
use colours::Colours;
use walk::{Known, Picture, Walk};

/// Flag: samples are numbers of colours in a table.
const FLAG_COLOURS: u8 = 1;
/// Flag: the coarse picture is the whole slab.
const FLAG_WHOLE: u8 = 2;
/// Wider images would need more memory than a decoder may take (SPEC 10.6).
const COLUMNS_MAX: usize = 1 << 14;
/// One pixel of this many, at least, is as the one before, where graphics of 8 bits are worth a trial,
const REPEATED_SHARE: usize = 4;
/// and of this many, where samples have 16: the noise in the air of MR repeats a third of them.
const REPEATED_SHARE_WIDE: usize = 2;
/// Samples of 16 bits of graphics have at most so many values.
const VALUES_MAX: usize = 256;
/// A slab of so few pixels is its own coarse picture: cut in two, 128 × 128 of CT take 5 % more.
const WHOLE_PIXELS_MAX: usize = 1 << 14;

/// Whether a slab looks like graphics, so that the graphics coder is worth a trial.
pub fn looks_like_graphics(slab: &Slab, raw: &[u8]) -> bool {
    if !takes(slab) || slab.sample_bytes > 1 && !has_few_values(slab, raw) {
        return false;
    }
    let pixel_bytes = if slab.planar { 1 } else { slab.components } * slab.sample_bytes;
    let rest = raw.get(pixel_bytes..).unwrap_or_default();
    let pixels = raw.chunks_exact(pixel_bytes).zip(rest.chunks_exact(pixel_bytes));
    let repeats = pixels.filter(|(before, pixel)| before == pixel).count();
    let share = if slab.sample_bytes > 1 { REPEATED_SHARE_WIDE } else { REPEATED_SHARE };
    repeats * share * pixel_bytes >= raw.len()
}

/// Whether the coder can take a slab.
pub(super) fn takes(slab: &Slab) -> bool {
    slab.columns <= COLUMNS_MAX
}

fn has_few_values(slab: &Slab, raw: &[u8]) -> bool {
    let mut seen = vec![false; 1 << u16::BITS];
    let mut is_new =
        |code: u16| seen.get_mut(usize::from(code)).is_some_and(|seen| !std::mem::replace(seen, true));
    planes::codes(slab, raw).filter(|code| is_new(*code)).take(VALUES_MAX + 1).count() <= VALUES_MAX
}

/// Codes a slab without loss: its coarse part, with a picture that stands alone, and its fine part.
pub(super) fn encode(slab: &Slab, raw: &[u8]) -> [Vec<u8>; 2] {
    encode_as(slab, raw, slab.frames * slab.rows * slab.columns <= WHOLE_PIXELS_MAX)
}

fn encode_as(slab: &Slab, raw: &[u8], whole: bool) -> [Vec<u8>; 2] {
    let mut planes = planes::split(slab, raw);
    let colours = Colours::of(&planes);
    let mut least = Vec::new();
    match &colours {
        Some(colours) => planes = vec![colours.numbers(&planes)],
        None => {
            if slab.sample_bytes > 1 {
                least = take_least(&mut planes);
            }
            second_first(&mut planes);
        }
    }
    let head: Vec<u8> = least.iter().flat_map(|least| least.to_le_bytes()).collect();
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(colours.is_some(), FLAG_COLOURS) | flag(whole, FLAG_WHOLE);
    let mut coding = Coding::new(slab, flags);
    let mut coder = RangeEncoder::default();
    coding.colours(colours.unwrap_or_default(), &mut coder);
    let mut picture = coding.sampled(&planes);
    coding.coarse(&mut picture, &mut coder);
    let coarse = [vec![flags], head, coder.finish()].concat();
    if coding.level() == 0 {
        return [coarse, Vec::new()];
    }
    let mut coder = RangeEncoder::default();
    coding.fine(&mut planes, &picture, &mut coder);
    [coarse, coder.finish()]
}

/// Gives back the bytes of a slab.
///
/// # Errors
/// [`DamagedSlab`].
pub(super) fn decode(slab: &Slab, coarse: &[u8], fine: &[u8]) -> Result<Vec<u8>, DamagedSlab> {
    let (mut coding, colours, picture) = open(slab, coarse)?;
    if coding.level() == 0 {
        let components = coding.components(picture, &colours);
        return if fine.is_empty() { Ok(planes::join(slab, &components)) } else { Err(DamagedSlab) };
    }
    let mut planes = coding.planes(slab.frames * slab.rows * slab.columns);
    let mut coder = RangeDecoder::new(fine)?;
    coding.fine(&mut planes, &picture, &mut coder);
    coder.finish()?;
    Ok(planes::join(slab, &coding.components(planes, &colours)))
}

/// Gives the coarse picture of a slab and its shape.
///
/// # Errors
/// [`DamagedSlab`], also where it was coded without one.
pub(super) fn decode_coarse(slab: &Slab, coarse: &[u8]) -> Result<(Slab, Vec<u8>), DamagedSlab> {
    let (coding, colours, picture) = open(slab, coarse)?;
    let small = coding.small();
    let raw = planes::join(&small, &coding.components(picture, &colours));
    Ok((small, raw))
}

/// Reads the coarse part.
fn open(slab: &Slab, coarse: &[u8]) -> Result<(Coding, Colours, Components), DamagedSlab> {
    let (&flags, mut stream) = coarse.split_first().filter(|_| takes(slab)).ok_or(DamagedSlab)?;
    if flags & !(FLAG_COLOURS | FLAG_WHOLE) != 0 {
        return Err(DamagedSlab);
    }
    let mut coding = Coding::new(slab, flags);
    if coding.is_from_least() {
        let (least, rest) = stream.split_at_checked(2 * slab.components).ok_or(DamagedSlab)?;
        let (least, _) = least.as_chunks();
        coding.least = least.iter().map(|least| u16::from_le_bytes(*least)).collect();
        stream = rest;
    }
    let mut coder = RangeDecoder::new(stream)?;
    let colours = coding.colours(Colours::default(), &mut coder);
    let small = coding.small();
    let mut picture = coding.planes(small.frames * small.rows * small.columns);
    coding.coarse(&mut picture, &mut coder);
    coder.finish()?;
    Ok((coding, colours, picture))
}

/// A slab on its way in or out.
struct Coding {
    slab: Slab,
    flags: u8,
    max: i32,
    /// Of each component its least sample, which the others are more than; empty where they are coded as they are.
    least: Vec<u16>,
    walk: Walk,
}

impl Coding {
    fn new(slab: &Slab, flags: u8) -> Self {
        let samples = slab.bytes() / slab.sample_bytes;
        let max = (1 << (8 * slab.sample_bytes)) - 1;
        Self { slab: *slab, flags, max, least: Vec::new(), walk: Walk::new(samples) }
    }

    /// Samples are what they are more than the least of their component.
    fn is_from_least(&self) -> bool {
        self.slab.sample_bytes > 1 && self.flags & FLAG_COLOURS == 0
    }

    /// Codes the table of colours, if there is one.
    fn colours(&mut self, colours: Colours, coder: &mut impl Decisions) -> Colours {
        if self.flags & FLAG_COLOURS == 0 {
            return colours;
        }
        let colours = colours.code(self.slab.components, &mut self.walk.chances, coder);
        self.max = colours.largest().into();
        colours
    }

    /// Planes of `length` samples that are not known yet.
    fn planes(&self, length: usize) -> Components {
        let count = if self.flags & FLAG_COLOURS == 0 { self.slab.components } else { 1 };
        vec![vec![0; length]; count]
    }

    /// Decoded planes as components.
    fn components(&self, mut planes: Components, colours: &Colours) -> Components {
        match planes.first() {
            Some(numbers) if self.flags & FLAG_COLOURS != 0 => {
                colours.components(numbers, self.slab.components)
            }
            _ => {
                second_first(&mut planes);
                for (plane, least) in planes.iter_mut().zip(&self.least) {
                    plane.iter_mut().for_each(|sample| *sample = sample.wrapping_add(*least));
                }
                planes
            }
        }
    }

    /// Halvings from the slab to its coarse picture.
    fn level(&self) -> u32 {
        if self.flags & FLAG_WHOLE == 0 { coarse_level(&self.slab) } else { 0 }
    }

    /// The coarse picture.
    fn small(&self) -> Slab {
        if self.flags & FLAG_WHOLE == 0 { coarse_shape(&self.slab) } else { self.slab }
    }

    /// Every pixel of the coarse picture.
    fn sampled(&self, planes: &Components) -> Components {
        let step = 1 << self.level();
        let sample = |plane: &Vec<u16>| -> Vec<u16> {
            let frames = plane.chunks_exact(self.slab.rows * self.slab.columns);
            let rows = frames.flat_map(|frame| frame.chunks_exact(self.slab.columns).step_by(step));
            rows.flat_map(|row| row.iter().step_by(step).copied()).collect()
        };
        planes.iter().map(sample).collect()
    }

    fn coarse(&mut self, planes: &mut [Vec<u16>], coder: &mut impl Decisions) {
        let Slab { rows, columns, frames, .. } = self.small();
        self.walk.begin_part();
        for frame in 0..frames {
            let offset = frame * rows * columns;
            let mut picture = Picture { rows, columns, max: self.max, planes, offset, known: None };
            self.walk.image(&mut picture, coder);
        }
    }

    fn fine(&mut self, planes: &mut [Vec<u16>], coarse: &[Vec<u16>], coder: &mut impl Decisions) {
        let Slab { rows, columns, frames, .. } = self.slab;
        let small = self.small();
        self.walk.begin_part();
        for frame in 0..frames {
            let known = Known {
                level: self.level(),
                rows: small.rows,
                columns: small.columns,
                planes: coarse,
                offset: frame * small.rows * small.columns,
            };
            let offset = frame * rows * columns;
            let mut picture = Picture { rows, columns, max: self.max, planes, offset, known: Some(known) };
            self.walk.image(&mut picture, coder);
        }
    }
}

/// Takes the least sample of each component off all of it.
fn take_least(components: &mut Components) -> Vec<u16> {
    let take = |component: &mut Vec<u16>| {
        let least = component.iter().copied().min().unwrap_or_default();
        component.iter_mut().for_each(|sample| *sample -= least);
        least
    };
    components.iter_mut().map(take).collect()
}

/// Of three components, the second is coded first: green says most of the others. Its own inverse.
fn second_first(components: &mut Components) {
    if let [first, second, _] = components.as_mut_slice() {
        std::mem::swap(first, second);
    }
}
