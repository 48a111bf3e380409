//! How the values of a component become samples from 0 up, and back (codec SPEC 2.2).

use super::super::areas::fills_areas;
use super::super::planes::Components;
use super::super::{Bound, DamagedSlab, Slab};
use super::holes::HoleMask;
use super::plane::Plane;
use super::walk::{Image, Reference};
use multiversion::multiversion;

/// Values of holes in one component, at most.
pub(super) const HOLE_VALUES_MAX: usize = 3;

/// The range of a component.
pub(super) struct Values {
    least: u16,
    /// Largest sample.
    pub(super) max: i32,
    shift: u32,
    /// The values of holes.
    pub(super) holes: Vec<u16>,
}

/// An image and its samples, row by row.
pub(super) struct Example {
    pub(super) image: Image,
    pub(super) samples: Vec<u16>,
}

impl Values {
    /// Low bits that are equal in all values of all components, at most 15.
    pub(super) fn shift(components: &Components) -> u32 {
        let first = components.iter().flatten().next().copied().unwrap_or_default();
        let differences = components.iter().flatten().fold(0, |bits, value| bits | (value ^ first));
        differences.trailing_zeros().min(u16::BITS - 1)
    }

    /// `None` where a value that must stay exact lies among others that need not.
    pub(super) fn of(component: &[u16], slab: &Slab, shift: u32, bound: &Bound) -> Option<Self> {
        let exact: Vec<u16> = bound.exact_of(slab).filter(|_| bound.near > 0).collect();
        let mut holes: Vec<u16> = exact.iter().copied().filter(|exact| component.contains(exact)).collect();
        holes.truncate(HOLE_VALUES_MAX);
        let most = hole_value(component, slab.columns).filter(|value| !holes.contains(value));
        if holes.len() < HOLE_VALUES_MAX {
            holes.extend(most);
        }
        let (least, most) = range(component, &holes);
        let max = ((most - least) >> shift).into();
        let apart = exact.iter().all(|exact| !(least..=most).contains(exact));
        apart.then_some(Self { least, max, shift, holes })
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.least.to_le_bytes());
        bytes.extend_from_slice(&(self.max as u16).to_le_bytes());
        bytes.push(self.holes.len() as u8);
        bytes.extend(self.holes.iter().flat_map(|hole| hole.to_le_bytes()));
    }

    pub(super) fn read(bytes: &mut &[u8], shift: u32) -> Result<Self, DamagedSlab> {
        let [least, max] = [take_word(bytes)?, take_word(bytes)?];
        let (holes, rest) = bytes.split_first().ok_or(DamagedSlab)?;
        *bytes = rest;
        if usize::from(*holes) > HOLE_VALUES_MAX {
            return Err(DamagedSlab);
        }
        let holes = (0..*holes).map(|_| take_word(bytes)).collect::<Result<_, _>>()?;
        Ok(Self { least, max: max.into(), shift, holes })
    }

    /// Bits of a sample of the base lattice.
    pub(super) fn bits(&self) -> u32 {
        (self.max as u32 + 1).next_power_of_two().ilog2()
    }

    pub(super) fn image(&self, slab: &Slab) -> Image {
        Image { rows: slab.rows, columns: slab.columns, max: self.max, holes: None }
    }

    pub(super) fn example(&self, slab: &Slab, frame: &[u16]) -> Example {
        let mut image = self.image(slab);
        let kind =
            |value: &u16| self.holes.iter().position(|hole| hole == value).map_or(0, |kind| kind as u8 + 1);
        if !self.holes.is_empty() {
            image.holes = Some(HoleMask::full(frame.iter().map(kind).collect(), slab.columns));
        }
        Example { image, samples: frame.iter().map(|value| self.sample(*value)).collect() }
    }

    fn sample(&self, value: u16) -> u16 {
        value.saturating_sub(self.least) >> self.shift
    }

    /// The mean of one or two slabs, as samples of this one (SPEC 2.5).
    pub(super) fn reference(&self, slab: &Slab, references: &[&[u16]]) -> Option<Reference> {
        Reference::of(slab.rows, slab.columns, references, |value| self.sample(value).min(self.max as u16))
    }

    /// Another slab as samples of this one, to learn from.
    pub(super) fn reference_example(&self, slab: &Slab, frame: &[u16]) -> Example {
        let samples = frame.iter().map(|value| self.sample(*value).min(self.max as u16));
        Example { image: self.image(slab), samples: samples.collect() }
    }

    /// Adds the values of a plane to its component.
    pub(super) fn push(&self, image: &Image, plane: &Plane, component: &mut Vec<u16>) {
        let start = component.len();
        for row in plane.inner_rows() {
            let value = |sample: &u16| (*sample << self.shift).wrapping_add(self.least);
            component.extend(row.iter().map(value));
        }
        let Some(holes) = &image.holes else { return };
        let places = component.iter_mut().skip(start).zip(holes.kinds()).filter(|(_, kind)| **kind > 0);
        for (value, kind) in places {
            let hole = self.holes.get(usize::from(*kind) - 1);
            *value = hole.copied().unwrap_or(*value);
        }
    }
}

fn take_word(bytes: &mut &[u8]) -> Result<u16, DamagedSlab> {
    let (word, rest) = bytes.split_first_chunk().ok_or(DamagedSlab)?;
    *bytes = rest;
    Ok(u16::from_le_bytes(*word))
}

/// Least and largest value that is not among `holes`; 0 and 0 where there are none.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn range(component: &[u16], holes: &[u16]) -> (u16, u16) {
    let (least, most) = match holes {
        [] => {
            component.iter().fold((u16::MAX, 0), |(least, most), value| (least.min(*value), most.max(*value)))
        }
        [first, rest @ ..] => {
            let (second, third) = (rest.first().unwrap_or(first), rest.get(1).unwrap_or(first));
            component.iter().fold((u16::MAX, 0), |(least, most), value| {
                let hole = (value == first) | (value == second) | (value == third);
                let mask = u16::from(hole).wrapping_neg();
                (least.min(*value | mask), most.max(*value & !mask))
            })
        }
    };
    if least > most { (0, 0) } else { (least, most) }
}

/// The most frequent value, where it fills areas.
fn hole_value(component: &[u16], columns: usize) -> Option<u16> {
    let (least, most) = range(component, &[]);
    let mut counts = vec![0_u32; usize::from(most - least) + 1];
    // What fills areas is frequent among every fourth too.
    for value in component.iter().step_by(4) {
        counts.get_mut(usize::from(value - least)).into_iter().for_each(|count| *count += 1);
    }
    let (value, _) = (least..=most).zip(counts).max_by_key(|(_, count)| *count)?;
    fills_areas(value, component, columns).then_some(value)
}
