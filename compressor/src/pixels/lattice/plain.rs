//! A second decoder, written from the text of `docs/spec-codec.md` alone: plain numbers, place by place, nothing shared with the fast one. It is
//! what the tests hold the fast one against.

#![allow(clippy::indexing_slicing, reason = "only tests run it")]

mod entropy;
mod holes;
mod level;
mod model;
mod tests;

use super::Slab;
use entropy::{Context, Contexts, Stream};
use holes::{HoleChances, Mask};
use level::{Coder, Level, Reference};
use model::Model;

/// What stands in front of the coarse part's stream (SPEC 2.1).
struct Head {
    green: bool,
    referenced: bool,
    shift: u32,
    near: i64,
    spread: i64,
    components: Vec<Component>,
}

struct Component {
    least: i64,
    max: i64,
    holes: Vec<i64>,
}

/// Contexts and stream of a part.
struct Part<'b> {
    contexts: Contexts,
    stream: Stream<'b>,
}

/// The raw bytes of a slab; `None` where it is damaged (SPEC 9.2).
pub(super) fn decode(
    slab: &Slab,
    coarse: &[u8],
    fine: &[u8],
    model: &[u8],
    references: &[&[u8]],
) -> Option<Vec<u8>> {
    let model = Model::read(model)?;
    let (head, stream) = Head::read(slab, coarse)?;
    let mut coarse = Part { contexts: Contexts::new(&model), stream };
    let mut fine = Part { contexts: Contexts::new(&model), stream: Stream::new(fine)? };
    let fit = !references.is_empty() && references.iter().all(|raw| raw.len() == slab.bytes());
    if head.referenced && (slab.components != 1 || model.referenced.is_none() || !fit) {
        return None;
    }
    let references = if head.referenced { references } else { &[] };
    let mut corrections = [(); 3].map(|()| Context::of_corrections(head.spread));
    let mut values = Vec::new();
    for component in &head.components {
        let [mut chances, mut fine_chances] = [(); 2].map(|()| HoleChances::new(component.holes.len()));
        let mut frames = Vec::new();
        for frame in 0..slab.frames {
            let reference = reference(slab, &head, component, references, frame);
            let mut image = Image { slab, head: &head, component, model: &model, mask: None };
            let mut level = image.coarse(&mut chances, &mut coarse)?;
            if head.spread > 0 {
                let is_hole = |row, column| image.is_hole(coarse_level(slab), row, column);
                let t = 2 * head.near + 1;
                let steps = (t, t * (2 * head.spread + 1));
                level.correct(steps, component.max, &mut corrections, &mut fine.stream, is_hole);
            }
            if coarse_level(slab) > 0 {
                image.fine(&mut level, reference.as_ref(), &mut fine_chances, &mut fine);
            }
            frames.extend(image.values(&level));
        }
        values.push(frames);
    }
    (coarse.stream.ended() && fine.stream.ended()).then(|| head.join(slab, values))
}

/// The raw bytes of the coarse picture (SPEC 2.4).
pub(super) fn decode_coarse(slab: &Slab, coarse: &[u8], model: &[u8]) -> Option<Vec<u8>> {
    let model = Model::read(model)?;
    let (head, stream) = Head::read(slab, coarse)?;
    let mut coarse = Part { contexts: Contexts::new(&model), stream };
    let mut values = Vec::new();
    for component in &head.components {
        let mut chances = HoleChances::new(component.holes.len());
        let mut frames = Vec::new();
        for _ in 0..slab.frames {
            let mut image = Image { slab, head: &head, component, model: &model, mask: None };
            let level = image.coarse(&mut chances, &mut coarse)?;
            frames.extend(image.values(&level));
        }
        values.push(frames);
    }
    let side = |full: usize| ((full - 1) >> coarse_level(slab)) + 1;
    let small = Slab { rows: side(slab.rows), columns: side(slab.columns), ..*slab };
    coarse.stream.ended().then(|| head.join(&small, values))
}

/// One image on its way (SPEC 2.4).
struct Image<'i> {
    slab: &'i Slab,
    head: &'i Head,
    component: &'i Component,
    model: &'i Model,
    mask: Option<Mask>,
}

impl Image<'_> {
    fn coarse(&mut self, chances: &mut HoleChances, part: &mut Part<'_>) -> Option<Level> {
        let level = coarse_level(self.slab);
        if !self.component.holes.is_empty() {
            self.mask = Some(chances.mask(self.slab, level, None, &mut part.stream));
        }
        let base =
            (0..).find(|l| self.side(self.slab.rows, *l).max(self.side(self.slab.columns, *l)) <= 4)?;
        let mut lattice = self.base(base, &mut part.stream)?;
        let step = (2 * self.head.near + 1) * (2 * self.head.spread + 1);
        for finer in (level..base).rev() {
            self.go(&mut lattice, finer, step, None, part);
        }
        Some(lattice)
    }

    fn fine(
        &mut self,
        lattice: &mut Level,
        reference: Option<&Reference>,
        chances: &mut HoleChances,
        part: &mut Part<'_>,
    ) {
        let level = coarse_level(self.slab);
        if let Some(known) = self.mask.take() {
            self.mask = Some(chances.mask(self.slab, 0, Some((level, &known)), &mut part.stream));
        }
        for finer in (0..level).rev() {
            self.go(lattice, finer, 2 * self.head.near + 1, reference, part);
        }
    }

    /// SPEC 4.4.
    fn go(
        &self,
        lattice: &mut Level,
        finer: u32,
        t: i64,
        reference: Option<&Reference>,
        part: &mut Part<'_>,
    ) {
        let (rows, columns) = (self.side(self.slab.rows, finer), self.side(self.slab.columns, finer));
        *lattice = lattice.spread(rows, columns);
        let reference = reference.map(|reference| reference.halved(finer));
        let steps =
            self.model.referenced.as_ref().filter(|_| reference.is_some()).unwrap_or(&self.model.alone);
        for axial in [false, true] {
            let mut coder = Coder {
                model: &steps[2 * finer.min(2) as usize + usize::from(axial)],
                reference: reference.as_ref(),
                step: t,
                max: self.component.max,
                part,
                axial,
            };
            coder.step(lattice, |row, column| self.is_hole(finer, row, column));
        }
    }

    /// SPEC 4.3.
    fn base(&self, level: u32, stream: &mut Stream<'_>) -> Option<Level> {
        let (rows, columns) = (self.side(self.slab.rows, level), self.side(self.slab.columns, level));
        let bits = (0..).find(|bits| self.component.max >> bits == 0)?;
        let mut found = Vec::new();
        for place in 0..rows * columns {
            let hole = self.is_hole(level, place / columns, place % columns);
            found.push(if hole { None } else { Some(stream.field(bits)) });
        }
        if found.iter().flatten().any(|sample| *sample > self.component.max) {
            return None;
        }
        let mut last = found.iter().flatten().next().copied().unwrap_or(0);
        let mut lattice = Level::new(rows, columns);
        for (place, sample) in found.into_iter().enumerate() {
            last = sample.unwrap_or(last);
            lattice.samples[place] = last;
        }
        Some(lattice)
    }

    fn is_hole(&self, level: u32, row: i64, column: i64) -> bool {
        let full = |number: i64| number << level;
        self.mask.as_ref().is_some_and(|mask| mask.kind(full(row), full(column)) > 0)
    }

    fn side(&self, full: usize, level: u32) -> i64 {
        ((full as i64 - 1) >> level) + 1
    }

    /// SPEC 2.2.
    fn values(&self, level: &Level) -> Vec<i64> {
        let value = |sample: &i64| ((sample << self.head.shift) + self.component.least) & 0xFFFF;
        let mut values: Vec<_> = level.samples.iter().map(value).collect();
        for (value, kind) in values.iter_mut().zip(self.mask.iter().flat_map(|mask| &mask.kinds)) {
            if *kind > 0 {
                *value = self.component.holes[kind - 1];
            }
        }
        values
    }
}

impl Head {
    fn read<'b>(slab: &Slab, coarse: &'b [u8]) -> Option<(Self, Stream<'b>)> {
        let mut bytes = coarse.iter();
        let mut byte = || bytes.next().map(|byte| i64::from(*byte));
        let (flags, near, spread) = (byte()?, byte()? + 256 * byte()?, byte()?);
        if flags & 12 != 0
            || (flags & 1 != 0 && slab.components != 3)
            || spread > if coarse_level(slab) > 0 { 15 } else { 0 }
        {
            return None;
        }
        let mut components = Vec::new();
        for _ in 0..slab.components {
            let (least, max) = (byte()? + 256 * byte()?, byte()? + 256 * byte()?);
            let count = byte()?;
            if count > 3 {
                return None;
            }
            let mut holes = Vec::new();
            for _ in 0..count {
                holes.push(byte()? + 256 * byte()?);
            }
            components.push(Component { least, max, holes });
        }
        let (green, referenced) = (flags & 1 != 0, flags & 2 != 0);
        let head = Self { green, referenced, shift: flags as u32 >> 4, near, spread, components };
        Some((head, Stream::new(bytes.as_slice())?))
    }

    /// SPEC 2.3, 2.2 and the layout of the samples.
    fn join(&self, slab: &Slab, mut values: Vec<Vec<i64>>) -> Vec<u8> {
        let (top, mask) = if slab.sample_bytes == 1 { (0x80, 0xFF) } else { (0x8000, 0xFFFF) };
        if let ([first, second, third], true) = (values.as_mut_slice(), self.green) {
            for (place, green) in second.iter().enumerate() {
                first[place] = (first[place] + green - top) & mask;
                third[place] = (third[place] + green - top) & mask;
            }
        }
        let plane = slab.rows * slab.columns;
        let mut raw = Vec::new();
        for number in 0..slab.frames * slab.components * plane {
            let (frame, within) = (number / (slab.components * plane), number % (slab.components * plane));
            let (component, place) = match slab.planar {
                true => (within / plane, within % plane),
                false => (within % slab.components, within / slab.components),
            };
            let value = values[component][frame * plane + place] ^ if slab.signed { top } else { 0 };
            let bytes = [value as u8, (value >> 8) as u8];
            match (slab.sample_bytes, slab.big_endian) {
                (1, _) => raw.push(bytes[0]),
                (_, false) => raw.extend(bytes),
                (_, true) => raw.extend([bytes[1], bytes[0]]),
            }
        }
        raw
    }
}

/// SPEC 2.4.
fn coarse_level(slab: &Slab) -> u32 {
    let side = slab.rows.max(slab.columns);
    (0..usize::BITS).rev().find(|level| ((side - 1) >> level) + 1 >= 64).unwrap_or(0)
}

/// SPEC 2.5.
fn reference(
    slab: &Slab,
    head: &Head,
    component: &Component,
    references: &[&[u8]],
    frame: usize,
) -> Option<Reference> {
    let plane = slab.rows * slab.columns;
    let sample = |raw: &[u8], place: usize| {
        let start = (frame * plane + place) * slab.sample_bytes;
        let value = match (slab.sample_bytes, slab.big_endian) {
            (1, _) => i64::from(raw[start]) ^ if slab.signed { 0x80 } else { 0 },
            (_, big) => {
                let bytes = [raw[start], raw[start + 1]];
                let value = if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
                i64::from(value) ^ if slab.signed { 0x8000 } else { 0 }
            }
        };
        ((value - component.least).max(0) >> head.shift).min(component.max)
    };
    let (first, last) = (references.first()?, references.last()?);
    let pairs = || (0..plane).map(|place| (sample(first, place), sample(last, place)));
    Some(Reference {
        rows: slab.rows as i64,
        columns: slab.columns as i64,
        mean: pairs().map(|(a, b)| (a + b + 1) >> 1).collect(),
        apart: pairs().map(|(a, b)| (a - b).abs()).collect(),
    })
}
