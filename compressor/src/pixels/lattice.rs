//! The lattice coder: each resolution predicted from the one below and from its own samples on all sides (`docs/spec-codec.md`).

mod ahead;
mod around;
mod contexts;
mod holes;
mod model;
#[cfg(test)]
mod plain;
mod plane;
mod rans;
mod slots;
mod solve;
mod symbols;
mod train;
mod values;
mod walk;

pub use model::Model;
pub use train::Lessons;

use super::planes::{self, Components};
use super::{Bound, DamagedSlab, Slab, coarse_level, coarse_shape};
use holes::HoleChances;
use multiversion::multiversion;
use rans::{RansReader, RansWriter};
use slots::{CONTEXT_MASK, Quantiser, Slots};
use symbols::{Contexts, Corrections};
use values::{Example, Values};
use walk::{Image, Reference, Samples, Spots, Walk};

/// Flag: the first and third component are coded as their difference from the second.
const FLAG_GREEN: u8 = 1;
/// Flag: coded with a reference.
const FLAG_REFERENCE: u8 = 2;
/// Flags that mean nothing.
const FLAGS_UNUSED: u8 = 0b1100;
/// Bits of the flags that hold the shift.
const SHIFT_POSITION: u32 = 4;
/// Bytes that the coarse part of one image may take before its step grows, with the byte that names the coder: what a phone fetches
/// of each slice first.
pub(super) const COARSE_BYTES_MAX: usize = 4000;
/// The most steps to each side that the fine part tells apart for a sample of the coarse part.
const SPREAD_MAX: u8 = 15;

/// A slab coded in two parts: a coarse picture that stands alone, and what is missing to the full resolution.
pub(super) struct Coded {
    pub(super) coarse: Vec<u8>,
    pub(super) fine: Vec<u8>,
    /// The raw bytes that a decoder will have, where they may differ from those of the slab.
    pub(super) decoded: Option<Vec<u8>>,
}

impl Coded {
    fn bytes(&self) -> usize {
        self.coarse.len() + self.fine.len()
    }
}

/// Codes a slab (codec SPEC 2), with one or two slabs of the same shape as references, or none.
///
/// # Errors
/// [`DamagedSlab`] where `raw` has not as many bytes as the slab.
pub(super) fn encode(
    slab: &Slab,
    raw: &[u8],
    model: &Model,
    bound: &Bound,
    references: &[&[u8]],
) -> Result<Coded, DamagedSlab> {
    let mut components = planes::split(slab, raw);
    let plain = encode_components(slab, &components, model, bound, references, 0)?;
    if slab.components != 3 || bound.near > 0 {
        return Ok(plain);
    }
    planes::subtract_green(slab, &mut components);
    let green = encode_components(slab, &components, model, bound, references, FLAG_GREEN)?;
    Ok(if green.bytes() < plain.bytes() { green } else { plain })
}

fn encode_components(
    slab: &Slab,
    components: &Components,
    model: &Model,
    bound: &Bound,
    references: &[&[u8]],
    flags: u8,
) -> Result<Coded, DamagedSlab> {
    let shift = Values::shift(components);
    let values = |bound: &Bound| -> Option<Vec<_>> {
        components.iter().map(|component| Values::of(component, slab, shift, bound)).collect()
    };
    let (near, values) = match values(bound) {
        Some(values) => (bound.near >> shift, values),
        None => (0, values(&Bound::LOSSLESS).unwrap_or_default()),
    };
    let references = Referenced::of(slab, references, model);
    let flags = flags | if references.is_some() { FLAG_REFERENCE } else { 0 };
    let components = components.iter().zip(&values).map(|(component, values)| {
        (values, frames(slab, component).map(|frame| values.example(slab, frame)).collect())
    });
    let encoder = Encoder { slab, model, near, components: components.collect() };
    let mut head = vec![flags | (shift as u8) << SHIFT_POSITION];
    head.extend_from_slice(&near.to_le_bytes());
    let ranges = values.iter().fold(Vec::new(), |mut ranges, values| {
        values.write(&mut ranges);
        ranges
    });
    let CoarseCoded { spread, bytes, walks } = encoder.coarse_within(head.len() + 1 + ranges.len())?;
    head.push(spread);
    let coarse = [head, ranges, bytes].concat();
    let (fine, decoded) = encoder.fine(walks, spread, references.as_ref())?;
    let decoded = (near > 0).then(|| planes::join(slab, &decoded));
    Ok(Coded { coarse, fine, decoded })
}

/// Codes the images of a slab.
struct Encoder<'e> {
    slab: &'e Slab,
    model: &'e Model,
    near: u16,
    /// Of each component its values, and its frames.
    components: Vec<(&'e Values, Vec<Example>)>,
}

/// The stream of a coarse part, and how far each image is then.
struct CoarseCoded {
    spread: u8,
    bytes: Vec<u8>,
    walks: Vec<Walk>,
}

impl Encoder<'_> {
    fn images(&self) -> impl Iterator<Item = (&Values, &Example)> {
        self.components.iter().flat_map(|(values, images)| images.iter().map(|image| (*values, image)))
    }

    /// Codes the coarse part with the least spread that makes it small enough, `head` bytes included.
    fn coarse_within(&self, head: usize) -> Result<CoarseCoded, DamagedSlab> {
        let mut coded = self.coarse(0)?;
        let most = (COARSE_BYTES_MAX * self.slab.frames).saturating_sub(1 + head);
        let level = coarse_level(self.slab);
        if coded.bytes.len() <= most || level == 0 {
            return Ok(coded);
        }
        let side = |full: usize| ((full - 1) >> level) + 1;
        let samples = side(self.slab.rows) * side(self.slab.columns) * self.images().count();
        let bits = 8.0 * (coded.bytes.len() - most) as f32 / samples as f32;
        // A spread takes the logarithm of the number of steps it tells apart off each sample.
        let mut spread = ((bits.exp2() - 1.0) / 2.0).clamp(1.0, SPREAD_MAX.into()) as u8;
        loop {
            coded = self.coarse(spread)?;
            if coded.bytes.len() <= most || spread == SPREAD_MAX {
                return Ok(coded);
            }
            spread += 1;
        }
    }

    fn coarse(&self, spread: u8) -> Result<CoarseCoded, DamagedSlab> {
        let level = coarse_level(self.slab);
        let mut part = (self.model.contexts(), RansWriter::default());
        let mut walks = Vec::with_capacity(self.images().count());
        for (values, images) in &self.components {
            let mut chances = HoleChances::new(values.holes.len());
            for Example { image, samples } in images {
                if let Some(holes) = &image.holes {
                    chances.put(&holes.halved(level), None, &mut part.1);
                }
                let quantiser = Quantiser::new(self.near, spread, values.max);
                let mut encoding = self.encoding(values, samples, quantiser, &mut part);
                let mut walk = Walk::base(image, &mut encoding)?;
                walk.down_to(level, image, self.model, None, &mut encoding)?;
                walks.push(walk);
            }
        }
        Ok(CoarseCoded { spread, bytes: part.1.finish(), walks })
    }

    /// The stream of the fine part, and what a decoder will have, where that may be something else than what came.
    fn fine(
        &self,
        walks: Vec<Walk>,
        spread: u8,
        references: Option<&Referenced>,
    ) -> Result<(Vec<u8>, Components), DamagedSlab> {
        let (level, columns) = (coarse_level(self.slab), self.slab.columns);
        let mut part = (self.model.contexts(), RansWriter::default());
        let mut decoded = Components::new();
        let mut corrections = corrections(self.near, spread);
        let mut walks = walks.into_iter();
        for (values, images) in &self.components {
            let mut chances = HoleChances::new(values.holes.len());
            let quantiser = Quantiser::new(self.near, 0, values.max);
            let mut component = Vec::new();
            for (number, (Example { image, samples }, mut walk)) in images.iter().zip(&mut walks).enumerate()
            {
                if level > 0 {
                    if spread > 0 {
                        walk.correct(image, |coarse, error, (row, column)| {
                            let sample = samples.get(row * columns + column).copied().unwrap_or(coarse);
                            let steps = quantiser.steps(i32::from(sample) - i32::from(coarse));
                            corrections.put(error, steps, &mut part.1);
                            quantiser.moved(coarse, steps)
                        });
                    }
                    if let Some(holes) = &image.holes {
                        chances.put(holes, Some(&holes.halved(level)), &mut part.1);
                    }
                    let reference = references.and_then(|all| all.frame(self.slab, number, values));
                    let mut encoding = self.encoding(values, samples, quantiser, &mut part);
                    walk.down_to(0, image, self.model, reference.as_ref(), &mut encoding)?;
                }
                if self.near > 0 {
                    values.push(image, &walk.samples, &mut component);
                }
            }
            decoded.push(component);
        }
        Ok((part.1.finish(), decoded))
    }

    fn encoding<'s, 'p>(
        &self,
        values: &Values,
        samples: &'s [u16],
        quantiser: Quantiser,
        part: &'p mut PartWriter,
    ) -> Encoding<'s, 'p> {
        Encoding { samples, columns: self.slab.columns, bits: values.bits(), quantiser, part }
    }
}

/// Contexts and decisions of a part.
type PartWriter = (Contexts, RansWriter);

/// Gives the raw bytes of a slab back; `references` are those it was coded with.
///
/// # Errors
/// [`DamagedSlab`] where the coded bytes cannot come from [`encode`] with this model and these references.
pub(super) fn decode(
    slab: &Slab,
    coarse: &[u8],
    fine: &[u8],
    model: &Model,
    references: &[&[u8]],
) -> Result<Vec<u8>, DamagedSlab> {
    let head = Head::read(slab, coarse)?;
    let references = if head.flags & FLAG_REFERENCE == 0 {
        None
    } else {
        Some(Referenced::of(slab, references, model).ok_or(DamagedSlab)?)
    };
    let mut parts =
        [(model.contexts(), RansReader::new(head.rest)?), (model.contexts(), RansReader::new(fine)?)];
    let mut corrections = corrections(head.near, head.spread);
    let mut components = Components::with_capacity(slab.components);
    for values in &head.values {
        let mut component = Vec::with_capacity(slab.frames * slab.rows * slab.columns);
        let [mut chances, mut fine_chances] = [(); 2].map(|()| HoleChances::new(values.holes.len()));
        let quantiser = Quantiser::new(head.near, 0, values.max);
        for number in 0..slab.frames {
            let reference = references.as_ref().and_then(|references| references.frame(slab, number, values));
            let mut image = values.image(slab);
            let [coarse, fine] = &mut parts;
            let mut walk = head.coarse(slab, values, model, &mut image, &mut chances, coarse)?;
            if coarse_level(slab) > 0 {
                if head.spread > 0 {
                    walk.correct(&image, |coarse, error, _| {
                        quantiser.moved(coarse, corrections.take(error, &mut fine.1))
                    });
                }
                image.holes = image
                    .holes
                    .as_ref()
                    .map(|coarse| fine_chances.take((slab.rows, slab.columns), 0, Some(coarse), &mut fine.1));
                let mut decoding = Decoding { bits: values.bits(), quantiser, part: fine };
                walk.down_to(0, &image, model, reference.as_ref(), &mut decoding)?;
            }
            values.push(&image, &walk.samples, &mut component);
        }
        components.push(component);
    }
    parts.into_iter().try_for_each(|(_, reader)| reader.finish())?;
    if head.flags & FLAG_GREEN != 0 {
        planes::add_green(slab, &mut components);
    }
    Ok(planes::join(slab, &components))
}

/// Gives the raw bytes of the coarse picture of a slab, and its shape.
///
/// # Errors
/// [`DamagedSlab`].
pub(super) fn decode_coarse(
    slab: &Slab,
    coarse: &[u8],
    model: &Model,
) -> Result<(Slab, Vec<u8>), DamagedSlab> {
    let head = Head::read(slab, coarse)?;
    let mut part = (model.contexts(), RansReader::new(head.rest)?);
    let mut components = Components::with_capacity(slab.components);
    let small = coarse_shape(slab);
    for values in &head.values {
        let mut component = Vec::with_capacity(small.frames * small.rows * small.columns);
        let mut chances = HoleChances::new(values.holes.len());
        for _ in 0..slab.frames {
            let mut image = values.image(slab);
            let walk = head.coarse(slab, values, model, &mut image, &mut chances, &mut part)?;
            values.push(&image, &walk.samples, &mut component);
        }
        components.push(component);
    }
    part.1.finish()?;
    if head.flags & FLAG_GREEN != 0 {
        planes::add_green(&small, &mut components);
    }
    let raw = planes::join(&small, &components);
    Ok((small, raw))
}

/// What stands in front of the first stream (SPEC 2.1).
struct Head<'b> {
    flags: u8,
    near: u16,
    /// Steps to each side that the fine part tells apart for a sample of the coarse part.
    spread: u8,
    values: Vec<Values>,
    rest: &'b [u8],
}

/// Contexts and decisions of a part.
type PartReader<'b> = (Contexts, RansReader<'b>);

impl<'b> Head<'b> {
    fn read(slab: &Slab, coded: &'b [u8]) -> Result<Self, DamagedSlab> {
        let (&[flags, low, high, spread], mut rest) = coded.split_first_chunk().ok_or(DamagedSlab)?;
        let green = flags & FLAG_GREEN != 0;
        let spread_max = if coarse_level(slab) > 0 { SPREAD_MAX } else { 0 };
        if flags & FLAGS_UNUSED != 0 || (green && slab.components != 3) || spread > spread_max {
            return Err(DamagedSlab);
        }
        let shift = u32::from(flags >> SHIFT_POSITION);
        let values =
            (0..slab.components).map(|_| Values::read(&mut rest, shift)).collect::<Result<_, _>>()?;
        Ok(Self { flags, near: u16::from_le_bytes([low, high]), spread, values, rest })
    }

    /// Reads an image down to its coarse picture.
    fn coarse(
        &self,
        slab: &Slab,
        values: &Values,
        model: &Model,
        image: &mut Image,
        chances: &mut HoleChances,
        part: &mut PartReader<'b>,
    ) -> Result<Walk, DamagedSlab> {
        let level = coarse_level(slab);
        if !values.holes.is_empty() {
            image.holes = Some(chances.take((slab.rows, slab.columns), level, None, &mut part.1));
        }
        let quantiser = Quantiser::new(self.near, self.spread, values.max);
        let mut decoding = Decoding { bits: values.bits(), quantiser, part };
        let mut walk = Walk::base(image, &mut decoding)?;
        walk.down_to(level, image, model, None, &mut decoding)?;
        Ok(walk)
    }
}

fn corrections(near: u16, spread: u8) -> Corrections {
    Corrections::new(spread, Quantiser::new(near, spread, 0).step)
}

fn frames<'c>(slab: &Slab, component: &'c [u16]) -> std::slice::ChunksExact<'c, u16> {
    component.chunks_exact(slab.rows * slab.columns)
}

/// The slabs that another one is predicted from (SPEC 2.5).
struct Referenced(Vec<Components>);

impl Referenced {
    /// `None` where there are none, or where slabs of this kind are coded alone.
    fn of(slab: &Slab, references: &[&[u8]], model: &Model) -> Option<Self> {
        let takes = !references.is_empty() && slab.components == 1 && model.uses_references();
        let fit = references.iter().all(|raw| raw.len() == slab.bytes());
        (takes && fit).then(|| Self(references.iter().map(|raw| planes::split(slab, raw)).collect()))
    }

    fn frame(&self, slab: &Slab, number: usize, values: &Values) -> Option<Reference> {
        let components = self.0.iter().filter_map(|components| components.first());
        let references: Vec<_> = components.filter_map(|c| frames(slab, c).nth(number)).collect();
        values.reference(slab, &references)
    }
}

/// Samples on their way in.
struct Encoding<'s, 'p> {
    samples: &'s [u16],
    columns: usize,
    bits: u32,
    quantiser: Quantiser,
    part: &'p mut PartWriter,
}

impl Samples for Encoding<'_, '_> {
    const LEARNS: bool = false;

    fn quantiser(&self) -> Quantiser {
        self.quantiser
    }

    fn base(&mut self, row: usize, column: usize) -> Result<u16, DamagedSlab> {
        let sample = self.samples.get(row * self.columns + column).copied().ok_or(DamagedSlab)?;
        self.part.1.put_field(sample.into(), self.bits);
        Ok(sample)
    }

    fn steps(&mut self, at: &Spots<'_>, slots: &mut Slots) -> Result<(), DamagedSlab> {
        let (contexts, writer) = &mut *self.part;
        let samples = self.samples.get(at.row * self.columns + at.column..).ok_or(DamagedSlab)?;
        let samples = samples.iter().step_by(at.columns);
        for (place, sample) in (0..slots.places).zip(samples) {
            if let Some(context) = slots.context(place) {
                let steps = slots.steps_to(place, *sample, &self.quantiser);
                contexts.put(context, steps, writer);
                slots.set_steps(place, steps);
            }
        }
        Ok(())
    }
}

/// Samples on their way out.
struct Decoding<'p, 'b> {
    bits: u32,
    quantiser: Quantiser,
    part: &'p mut PartReader<'b>,
}

impl Samples for Decoding<'_, '_> {
    const LEARNS: bool = false;

    fn quantiser(&self) -> Quantiser {
        self.quantiser
    }

    fn base(&mut self, _: usize, _: usize) -> Result<u16, DamagedSlab> {
        let sample = self.part.1.field(self.bits);
        if sample as i32 <= self.quantiser.max { Ok(sample as u16) } else { Err(DamagedSlab) }
    }

    fn steps(&mut self, _: &Spots<'_>, slots: &mut Slots) -> Result<(), DamagedSlab> {
        take_steps(slots, self.part);
        Ok(())
    }
}

/// Reads the steps of all places of a phase, for the processor at hand.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn take_steps(slots: &mut Slots, (contexts, reader): &mut PartReader<'_>) {
    let mut own_reader = *reader;
    let Slots { places, contexts: numbers, steps, .. } = slots;
    for (number, steps) in numbers.iter().zip(steps).take(*places) {
        if *number >= 0 {
            *steps = contexts.take((number & CONTEXT_MASK) as usize, &mut own_reader);
        }
    }
    *reader = own_reader;
}
