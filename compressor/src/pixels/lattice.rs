//! The lattice coder: each resolution predicted from the one below and from its own samples on all sides (`docs/spec-codec.md`).

mod contexts;
mod guess;
mod holes;
mod model;
mod plane;
mod rans;
mod solve;
mod symbols;
mod train;
mod walk;

pub use model::Model;

use super::planes::{self, Components};
use super::{Bound, DamagedSlab, Slab};
use guess::Guess;
use holes::HoleChances;
use rans::{RansReader, RansWriter};
use symbols::Contexts;
use train::{Example, train};
use walk::{Image, Samples, Spot, walk};

/// Flag: the first and third component are coded as their difference from the second.
const FLAG_GREEN: u8 = 1;
/// Bits of the flags that hold the shift.
const SHIFT_POSITION: u32 = 4;
/// Samples of one image that the model is learnt from.
const EXCERPT_SAMPLES_MAX: usize = 1 << 17;
/// A value is taken as "no sample" where at least one sample of this many has it,
const HOLES_SHARE: usize = 64;
/// and a row goes from it to other values, or back, at most once for this many of them.
const HOLES_RUN: usize = 8;

/// What the model of a series is learnt from.
pub struct Lessons {
    examples: Vec<Example>,
    bound: Bound,
}

impl Lessons {
    /// Of a series that will be coded within `bound`.
    pub fn within(bound: &Bound) -> Self {
        Self { examples: Vec::new(), bound: bound.clone() }
    }

    /// Takes a slab of the series, or as much of it as is worth the time.
    pub fn add(&mut self, slab: &Slab, raw: &[u8]) {
        let mut components = planes::split(slab, raw);
        if slab.components == 3 {
            planes::subtract_green(slab, &mut components);
        }
        let shift = Values::shift(&components);
        for component in &components {
            let values = Values::of(component, slab, shift, &self.bound);
            let middle = frames(slab, component).nth(slab.frames / 2);
            self.examples.extend(middle.map(|frame| values.excerpt(slab, frame)));
        }
    }

    /// The model for a series of `raw_bytes` bytes.
    pub fn learn(&self, raw_bytes: u64) -> Model {
        train(&self.examples, raw_bytes)
    }
}

/// Codes a slab (codec SPEC 2). Gives also the raw bytes that a decoder will have, where they are not those of the slab.
pub(super) fn encode(slab: &Slab, raw: &[u8], model: &Model, bound: &Bound) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut components = planes::split(slab, raw);
    let plain = encode_components(slab, &components, model, 0, bound);
    if slab.components != 3 || bound.near > 0 {
        let (bytes, decoded) = plain;
        return (bytes, (bound.near > 0).then(|| planes::join(slab, &decoded)));
    }
    planes::subtract_green(slab, &mut components);
    let green = encode_components(slab, &components, model, FLAG_GREEN, bound);
    (if green.0.len() < plain.0.len() { green.0 } else { plain.0 }, None)
}

fn encode_components(
    slab: &Slab,
    components: &Components,
    model: &Model,
    flags: u8,
    bound: &Bound,
) -> (Vec<u8>, Components) {
    let shift = Values::shift(components);
    let near = bound.near >> shift;
    let mut bytes = vec![flags | (shift as u8) << SHIFT_POSITION];
    bytes.extend_from_slice(&near.to_le_bytes());
    let mut contexts = Contexts::new(model, near);
    let mut writer = RansWriter::default();
    let mut decoded = Components::new();
    for component in components {
        let values = Values::of(component, slab, shift, bound);
        values.write(&mut bytes);
        let mut component_decoded = Vec::new();
        let mut hole_chances = HoleChances::new();
        for frame in frames(slab, component) {
            let Example { image, samples } = values.example(slab, frame);
            if let Some(holes) = &image.holes {
                hole_chances.put(holes, slab.columns, &mut writer);
            }
            let (columns, bits, max) = (slab.columns, values.bits(), values.max);
            let mut encoding = Encoding { samples: &samples, columns, bits, max, contexts, writer };
            // A frame has all the samples that its image asks for.
            if let Ok(plane) = walk(&image, model, &mut encoding) {
                values.push(&image, &plane, &mut component_decoded);
            }
            (contexts, writer) = (encoding.contexts, encoding.writer);
        }
        decoded.push(component_decoded);
    }
    bytes.extend(writer.finish());
    (bytes, decoded)
}

/// Gives the raw bytes of a slab back.
///
/// # Errors
/// [`DamagedSlab`] where the coded bytes cannot come from [`encode`] with this model.
pub(super) fn decode(slab: &Slab, coded: &[u8], model: &Model) -> Result<Vec<u8>, DamagedSlab> {
    let (flags, mut coded) = coded.split_first().ok_or(DamagedSlab)?;
    let shift = u32::from(flags >> SHIFT_POSITION);
    let (near, rest) = coded.split_first_chunk().ok_or(DamagedSlab)?;
    coded = rest;
    let contexts = Contexts::new(model, u16::from_le_bytes(*near));
    let values =
        (0..slab.components).map(|_| Values::read(&mut coded, shift)).collect::<Result<Vec<_>, _>>()?;
    let mut decoding = Decoding { bits: 0, max: 0, contexts, reader: RansReader::new(coded)? };
    let mut components = Vec::with_capacity(slab.components);
    for values in &values {
        let mut component = Vec::with_capacity(slab.frames * slab.rows * slab.columns);
        let mut hole_chances = HoleChances::new();
        (decoding.bits, decoding.max) = (values.bits(), values.max);
        for _ in 0..slab.frames {
            let mut image = values.image(slab);
            if values.hole.is_some() {
                image.holes = Some(hole_chances.take(slab.rows, slab.columns, &mut decoding.reader));
            }
            let plane = walk(&image, model, &mut decoding)?;
            values.push(&image, &plane, &mut component);
        }
        components.push(component);
    }
    decoding.reader.finish()?;
    if flags & FLAG_GREEN != 0 {
        planes::add_green(slab, &mut components);
    }
    Ok(planes::join(slab, &components))
}

fn frames<'c>(slab: &Slab, component: &'c [u16]) -> std::slice::ChunksExact<'c, u16> {
    component.chunks_exact(slab.rows * slab.columns)
}

/// How the values of a component become samples from 0 up (codec SPEC 2.2).
struct Values {
    least: u16,
    /// Largest sample.
    max: i32,
    shift: u32,
    /// The value of holes.
    hole: Option<u16>,
}

impl Values {
    /// Low bits that are equal in all values of all components, at most 15.
    fn shift(components: &Components) -> u32 {
        let first = components.iter().flatten().next().copied().unwrap_or_default();
        let differences = components.iter().flatten().fold(0, |bits, value| bits | (value ^ first));
        differences.trailing_zeros().min(u16::BITS - 1)
    }

    fn of(component: &[u16], slab: &Slab, shift: u32, bound: &Bound) -> Self {
        let exact = bound.exact_of(slab).find(|exact| bound.near > 0 && component.contains(exact));
        let hole = exact.or_else(|| hole_value(component, slab.columns));
        let others = || component.iter().copied().filter(|value| Some(*value) != hole);
        let least = others().min().unwrap_or_default();
        let max = (others().max().unwrap_or_default() - least) >> shift;
        Self { least, max: max.into(), shift, hole }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.least.to_le_bytes());
        bytes.extend_from_slice(&(self.max as u16).to_le_bytes());
        bytes.push(self.hole.is_some().into());
        bytes.extend(self.hole.iter().flat_map(|hole| hole.to_le_bytes()));
    }

    fn read(bytes: &mut &[u8], shift: u32) -> Result<Self, DamagedSlab> {
        let (&[least_low, least_high, max_low, max_high, hole], rest) =
            bytes.split_first_chunk().ok_or(DamagedSlab)?;
        *bytes = rest;
        let hole = match hole {
            0 => None,
            1 => {
                let (value, rest) = bytes.split_first_chunk().ok_or(DamagedSlab)?;
                *bytes = rest;
                Some(u16::from_le_bytes(*value))
            }
            _ => return Err(DamagedSlab),
        };
        let least = u16::from_le_bytes([least_low, least_high]);
        Ok(Self { least, max: u16::from_le_bytes([max_low, max_high]).into(), shift, hole })
    }

    /// Bits of a sample of the base lattice.
    fn bits(&self) -> u32 {
        (self.max as u32 + 1).next_power_of_two().ilog2()
    }

    fn image(&self, slab: &Slab) -> Image {
        Image { rows: slab.rows, columns: slab.columns, max: self.max, holes: None }
    }

    /// Rows from the middle of a frame.
    fn excerpt(&self, slab: &Slab, frame: &[u16]) -> Example {
        let rows = (EXCERPT_SAMPLES_MAX / slab.columns).clamp(1, slab.rows);
        let skipped = (slab.rows - rows) / 2;
        let part = frame.chunks_exact(slab.columns).skip(skipped).take(rows).flatten().copied();
        self.example(&Slab { rows, ..*slab }, &part.collect::<Vec<_>>())
    }

    fn example(&self, slab: &Slab, frame: &[u16]) -> Example {
        let sample = |value: &u16| value.wrapping_sub(self.least) >> self.shift;
        let mut image = self.image(slab);
        image.holes = self.hole.map(|hole| frame.iter().map(|value| *value == hole).collect());
        Example { image, samples: frame.iter().map(sample).collect() }
    }

    /// Adds the values of a plane to its component.
    fn push(&self, image: &Image, plane: &plane::Plane, component: &mut Vec<u16>) {
        let start = component.len();
        for row in plane.rows() {
            let value = |sample: &u16| (*sample << self.shift).wrapping_add(self.least);
            component.extend(row.iter().map(value));
        }
        let (Some(holes), Some(hole)) = (&image.holes, self.hole) else { return };
        for (value, _) in component.iter_mut().skip(start).zip(holes).filter(|(_, is_hole)| **is_hole) {
            *value = hole;
        }
    }
}

/// The most frequent value, where it fills areas.
fn hole_value(component: &[u16], columns: usize) -> Option<u16> {
    let mut counts = vec![0_usize; 1 << u16::BITS];
    component.iter().for_each(|value| counts.get_mut(usize::from(*value)).into_iter().for_each(|c| *c += 1));
    let (value, count) = (0..=u16::MAX).zip(counts).max_by_key(|(_, count)| *count)?;
    if count * HOLES_SHARE < component.len() {
        return None;
    }
    let ends = |row: &[u16]| {
        row.windows(2).filter(|pair| matches!(pair, [a, b] if (*a == value) != (*b == value))).count()
    };
    let changes: usize = component.chunks_exact(columns).map(ends).sum();
    (changes * HOLES_RUN <= count).then_some(value)
}

/// Samples on their way in.
struct Encoding<'s> {
    samples: &'s [u16],
    columns: usize,
    bits: u32,
    max: i32,
    contexts: Contexts,
    writer: RansWriter,
}

impl Encoding<'_> {
    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> Result<u16, DamagedSlab> {
        self.samples.get(row * self.columns + column).copied().ok_or(DamagedSlab)
    }
}

impl Samples for Encoding<'_> {
    fn base(&mut self, row: usize, column: usize) -> Result<u16, DamagedSlab> {
        let sample = self.at(row, column)?;
        self.writer.put_field(sample.into(), self.bits);
        Ok(sample)
    }

    #[inline(always)]
    fn sample(&mut self, spot: &Spot<'_>, guess: &Guess) -> Result<u16, DamagedSlab> {
        let sample = self.at(spot.row, spot.column)?;
        Ok(self.contexts.put(guess, sample, self.max, &mut self.writer))
    }
}

/// Samples on their way out.
struct Decoding<'b> {
    bits: u32,
    max: i32,
    contexts: Contexts,
    reader: RansReader<'b>,
}

impl Samples for Decoding<'_> {
    fn base(&mut self, _: usize, _: usize) -> Result<u16, DamagedSlab> {
        let sample = self.reader.field(self.bits) as i32;
        if sample <= self.max { Ok(sample as u16) } else { Err(DamagedSlab) }
    }

    #[inline(always)]
    fn sample(&mut self, _: &Spot<'_>, guess: &Guess) -> Result<u16, DamagedSlab> {
        self.contexts.take(guess, self.max, &mut self.reader)
    }
}
