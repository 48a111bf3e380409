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
use super::{Bound, DamagedSlab, Slab};
use holes::HoleChances;
use plane::Plane;
use rans::{RansReader, RansWriter};
use slots::{CONTEXT_MASK, Quantiser, Slots};
use symbols::Contexts;
use values::{Example, Values};
use walk::{Image, Reference, Samples, Spots, Walk};

/// Flag: the first and third component are coded as their difference from the second.
const FLAG_GREEN: u8 = 1;
/// Flag: coded with a reference.
const FLAG_REFERENCE: u8 = 2;
/// Bits of the flags that hold the shift.
const SHIFT_POSITION: u32 = 4;
/// The coarse part holds the first resolution whose longer side has at least this many samples.
const COARSE_SIDE_MIN: usize = 64;
/// The coarse part and the fine part.
const PARTS: usize = 2;

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
pub(super) fn encode(slab: &Slab, raw: &[u8], model: &Model, bound: &Bound, references: &[&[u8]]) -> Coded {
    let mut components = planes::split(slab, raw);
    let plain = encode_components(slab, &components, model, bound, references, 0);
    if slab.components != 3 || bound.near > 0 {
        return plain;
    }
    planes::subtract_green(slab, &mut components);
    let green = encode_components(slab, &components, model, bound, references, FLAG_GREEN);
    if green.bytes() < plain.bytes() { green } else { plain }
}

fn encode_components(
    slab: &Slab,
    components: &Components,
    model: &Model,
    bound: &Bound,
    references: &[&[u8]],
    flags: u8,
) -> Coded {
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
    let mut head = vec![flags | (shift as u8) << SHIFT_POSITION];
    head.extend_from_slice(&near.to_le_bytes());
    let mut parts = [(); PARTS].map(|()| (model.contexts(), RansWriter::default()));
    let mut decoded = Components::new();
    for (component, values) in components.iter().zip(&values) {
        values.write(&mut head);
        let mut chances = [(); PARTS].map(|()| HoleChances::new(values.holes.len()));
        let mut component_decoded = Vec::new();
        for (number, frame) in frames(slab, component).enumerate() {
            let example = values.example(slab, frame);
            let reference = references.as_ref().and_then(|references| references.frame(slab, number, values));
            let image = Encoder { slab, model, values, near, reference };
            // A frame has all the samples that its image asks for.
            let plane = image.encode(&example, &mut parts, &mut chances);
            if let Some(plane) = plane.ok().filter(|_| near > 0) {
                values.push(&example.image, &plane, &mut component_decoded);
            }
        }
        decoded.push(component_decoded);
    }
    let [(_, coarse), (_, fine)] = parts;
    head.extend(coarse.finish());
    let decoded = (near > 0).then(|| planes::join(slab, &decoded));
    Coded { coarse: head, fine: fine.finish(), decoded }
}

/// Contexts and decisions of a part.
type PartWriter = (Contexts, RansWriter);

/// Codes one image.
struct Encoder<'e> {
    slab: &'e Slab,
    model: &'e Model,
    values: &'e Values,
    near: u16,
    reference: Option<Reference>,
}

impl Encoder<'_> {
    fn encode(
        &self,
        Example { image, samples }: &Example,
        [coarse, fine]: &mut [PartWriter; PARTS],
        [coarse_chances, fine_chances]: &mut [HoleChances; PARTS],
    ) -> Result<Plane, DamagedSlab> {
        let (level, columns, bits) = (coarse_level(self.slab), self.slab.columns, self.values.bits());
        let quantiser = Quantiser::new(self.near, self.values.max);
        let coarse_holes = image.holes.as_ref().map(|holes| holes.halved(level));
        if let Some(holes) = &coarse_holes {
            coarse_chances.put(holes, None, &mut coarse.1);
        }
        let mut encoding = Encoding { samples, columns, bits, quantiser, part: coarse };
        let mut walk = Walk::base(image, &mut encoding)?;
        walk.down_to(level, image, self.model, None, &mut encoding)?;
        if level > 0 {
            if let Some(holes) = &image.holes {
                fine_chances.put(holes, coarse_holes.as_ref(), &mut fine.1);
            }
            let mut encoding = Encoding { part: fine, ..encoding };
            walk.down_to(0, image, self.model, self.reference.as_ref(), &mut encoding)?;
        }
        Ok(walk.samples)
    }
}

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
    let mut components = Components::with_capacity(slab.components);
    for values in &head.values {
        let mut component = Vec::with_capacity(slab.frames * slab.rows * slab.columns);
        let [mut chances, mut fine_chances] = [(); PARTS].map(|()| HoleChances::new(values.holes.len()));
        for number in 0..slab.frames {
            let reference = references.as_ref().and_then(|references| references.frame(slab, number, values));
            let mut image = values.image(slab);
            let [coarse, fine] = &mut parts;
            let mut walk = head.coarse(slab, values, model, &mut image, &mut chances, coarse)?;
            let coarse_holes = image.holes.take();
            if coarse_level(slab) > 0 {
                image.holes = coarse_holes
                    .map(|holes| fine_chances.take((slab.rows, slab.columns), 0, Some(&holes), &mut fine.1));
                let mut decoding = head.decoding(values, fine);
                walk.down_to(0, &image, model, reference.as_ref(), &mut decoding)?;
            } else {
                image.holes = coarse_holes;
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
    let halved = |side: usize| ((side - 1) >> coarse_level(slab)) + 1;
    let small = Slab { rows: halved(slab.rows), columns: halved(slab.columns), ..*slab };
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
    values: Vec<Values>,
    rest: &'b [u8],
}

/// Contexts and decisions of a part.
type PartReader<'b> = (Contexts, RansReader<'b>);

impl<'b> Head<'b> {
    fn read(slab: &Slab, coded: &'b [u8]) -> Result<Self, DamagedSlab> {
        let (&[flags, low, high], mut rest) = coded.split_first_chunk().ok_or(DamagedSlab)?;
        let shift = u32::from(flags >> SHIFT_POSITION);
        let values =
            (0..slab.components).map(|_| Values::read(&mut rest, shift)).collect::<Result<_, _>>()?;
        Ok(Self { flags, near: u16::from_le_bytes([low, high]), values, rest })
    }

    fn decoding<'p>(&self, values: &Values, part: &'p mut PartReader<'b>) -> Decoding<'p, 'b> {
        Decoding { bits: values.bits(), quantiser: Quantiser::new(self.near, values.max), part }
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
        let mut decoding = self.decoding(values, part);
        let mut walk = Walk::base(image, &mut decoding)?;
        walk.down_to(level, image, model, None, &mut decoding)?;
        Ok(walk)
    }
}

/// Halvings from the full resolution to the coarse picture (SPEC 2.4).
fn coarse_level(slab: &Slab) -> u32 {
    let side = slab.rows.max(slab.columns);
    let has_side = |level: &u32| ((side - 1) >> level) + 1 >= COARSE_SIDE_MIN;
    (0..usize::BITS).take_while(has_side).last().unwrap_or_default()
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
        let (contexts, reader) = &mut *self.part;
        let mut own_reader = *reader;
        let Slots { places, contexts: numbers, steps, .. } = slots;
        for (number, steps) in numbers.iter().zip(steps).take(*places) {
            if *number >= 0 {
                *steps = contexts.take((number & CONTEXT_MASK) as usize, &mut own_reader);
            }
        }
        *reader = own_reader;
        Ok(())
    }
}
