//! The order of the samples: base lattice, then step by step to the full resolution (codec SPEC 4).

use super::super::DamagedSlab;
use super::ahead::{Ahead, Expectation, ReferenceQuarters};
use super::around::Quarter;
use super::holes::HoleMask;
use super::model::{Model, PHASES, StepModel, step_index};
use super::plane::{Plane, Quarters};
use super::slots::{Quantiser, Slots};
use std::ops::Range;

/// The base lattice has at most this many rows and columns.
const BASE_SIDE_MAX: usize = 4;

/// One image: a frame of one component, or some rows of it.
pub(super) struct Image {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Largest sample.
    pub(super) max: i32,
    /// Places that hold no sample, if there are any.
    pub(super) holes: Option<HoleMask>,
}

impl Image {
    fn is_hole(&self, row: usize, column: usize) -> bool {
        self.holes.as_ref().is_some_and(|holes| holes.is_hole(row, column))
    }

    /// Doublings from the base lattice to the full resolution.
    fn doublings(&self) -> u32 {
        let side = self.rows.max(self.columns) - 1;
        (0..usize::BITS).find(|level| side >> level < BASE_SIDE_MAX).unwrap_or_default()
    }
}

/// What an image is predicted from besides itself.
pub(super) struct Reference {
    /// Mean of one or two images of the same size.
    pub(super) mean: Plane,
    /// How far they are apart.
    pub(super) apart: Plane,
}

impl Reference {
    /// Of one or two images, row by row, of which `sample` makes samples; `None` where there are none.
    pub(super) fn of(
        rows: usize,
        columns: usize,
        images: &[&[u16]],
        sample: impl Fn(u16) -> u16,
    ) -> Option<Self> {
        let (first, last) = (images.first()?, images.last()?);
        let mut reference = Self { mean: Plane::new(rows, columns), apart: Plane::new(rows, columns) };
        let images = first.chunks_exact(columns).zip(last.chunks_exact(columns));
        for (row, (first, last)) in (0..rows).zip(images) {
            let mean = reference.mean.inner_mut(row).iter_mut().zip(reference.apart.inner_mut(row));
            for ((mean, apart), (a, b)) in mean.zip(first.iter().zip(last)) {
                let (a, b) = (sample(*a), sample(*b));
                *mean = (a | b) - ((a ^ b) >> 1);
                *apart = a.abs_diff(b);
            }
        }
        Some(reference)
    }

    fn quarters(&self, level: u32) -> ReferenceQuarters {
        let quarters = |plane: &Plane| Quarters::of(plane, level);
        ReferenceQuarters { mean: quarters(&self.mean), apart: quarters(&self.apart) }
    }
}

/// Where samples come from, or go to.
pub(super) trait Samples {
    /// Whether it looks at what only learning asks for.
    const LEARNS: bool;

    /// How errors are told apart.
    fn quantiser(&self) -> Quantiser;

    /// A sample of the base lattice.
    fn base(&mut self, row: usize, column: usize) -> Result<u16, DamagedSlab>;

    /// Sets the steps of all places of a phase that have a context.
    fn steps(&mut self, at: &Spots<'_>, slots: &mut Slots) -> Result<(), DamagedSlab>;
}

/// Where the samples of a phase are.
pub(super) struct Spots<'s> {
    /// Row of the image.
    pub(super) row: usize,
    /// Column of the first place, and columns from one place to the next.
    pub(super) column: usize,
    pub(super) columns: usize,
    /// Index of the step model.
    pub(super) step: usize,
    /// What is known of the row.
    pub(super) ahead: &'s Ahead,
    pub(super) phase: usize,
    /// The places of the first phase, for those of the second.
    pub(super) sides: Option<&'s Slots>,
    pub(super) samples: &'s Quarters,
    pub(super) reference: Option<&'s ReferenceQuarters>,
    pub(super) quarter: Quarter,
    /// Row of the quarter.
    pub(super) quarter_row: usize,
}

/// An image on its way from the base lattice to the full resolution.
pub(super) struct Walk {
    /// Halvings that are left below the full resolution.
    level: u32,
    /// What is known, holes filled.
    pub(super) samples: Plane,
    errors: Plane,
    work: Work,
}

/// Room for the row in work.
#[derive(Default)]
struct Work {
    ahead: Ahead,
    slots: [Slots; PHASES],
}

impl Walk {
    /// Begins with the base lattice.
    pub(super) fn base(image: &Image, samples: &mut impl Samples) -> Result<Self, DamagedSlab> {
        let level = image.doublings();
        let samples = base(image, level, samples)?;
        let errors = Plane::new(samples.rows, samples.columns);
        Ok(Self { level, samples, errors, work: Work::default() })
    }

    /// Puts `correct` of each sample that is known, but for holes, in its place; it is told the error and the place in the image too.
    pub(super) fn correct(
        &mut self,
        image: &Image,
        mut correct: impl FnMut(u16, u16, (usize, usize)) -> u16,
    ) {
        let mut samples = Vec::with_capacity(self.samples.columns);
        for row in 0..self.samples.rows {
            let places = self.samples.inner(row).iter().zip(self.errors.inner(row)).enumerate();
            samples.clear();
            samples.extend(places.map(|(column, (sample, error))| {
                let (row, column) = (row << self.level, column << self.level);
                if image.is_hole(row, column) { *sample } else { correct(*sample, *error, (row, column)) }
            }));
            self.samples.set_row(row, &samples);
        }
    }

    /// Goes on to the resolution `level` halvings below the full one.
    pub(super) fn down_to(
        &mut self,
        level: u32,
        image: &Image,
        model: &Model,
        reference: Option<&Reference>,
        samples: &mut impl Samples,
    ) -> Result<(), DamagedSlab> {
        let steps = model.steps(reference.is_some());
        while self.level > level {
            self.level -= 1;
            let reference = reference.map(|reference| reference.quarters(self.level));
            let mut finer = self.finer(image, reference.as_ref());
            for axial in [false, true] {
                let index = step_index(self.level, axial);
                finer.step(steps.get(index).ok_or(DamagedSlab)?, index, &mut self.work, samples)?;
            }
            (self.samples, self.errors) = (finer.samples.join(), finer.errors.join());
        }
        Ok(())
    }

    fn finer<'w>(&mut self, image: &'w Image, reference: Option<&'w ReferenceQuarters>) -> Finer<'w> {
        let side = |full: usize| ((full - 1) >> self.level) + 1;
        let (rows, columns) = (side(image.rows), side(image.columns));
        let take = |plane: &mut Plane| std::mem::replace(plane, Plane::new(0, 0));
        let samples = Quarters::around(take(&mut self.samples), rows, columns);
        let errors = Quarters::around(take(&mut self.errors), rows, columns);
        Finer { image, level: self.level, samples, errors, reference }
    }
}

/// SPEC 4.3. Holes of the base lattice get the sample before them; those before the first sample get that one, or 0.
fn base(image: &Image, level: u32, samples: &mut impl Samples) -> Result<Plane, DamagedSlab> {
    let (rows, columns) = (((image.rows - 1) >> level) + 1, ((image.columns - 1) >> level) + 1);
    let mut found = Vec::with_capacity(rows * columns);
    for (row, column) in
        (0..rows).flat_map(|row| (0..columns).map(move |column| (row << level, column << level)))
    {
        let hole = image.is_hole(row, column);
        found.push(if hole { None } else { Some(samples.base(row, column)?) });
    }
    let mut last = found.iter().flatten().next().copied().unwrap_or_default();
    let filled = found.into_iter().map(|sample| {
        last = sample.unwrap_or(last);
        last
    });
    let filled: Vec<_> = filled.collect();
    let mut plane = Plane::new(rows, columns);
    filled.chunks_exact(columns).enumerate().for_each(|(row, samples)| plane.set_row(row, samples));
    Ok(plane)
}

/// A resolution being filled from the one of half its size.
struct Finer<'w> {
    image: &'w Image,
    level: u32,
    samples: Quarters,
    errors: Quarters,
    reference: Option<&'w ReferenceQuarters>,
}

impl Finer<'_> {
    fn step(
        &mut self,
        model: &StepModel,
        index: usize,
        work: &mut Work,
        samples: &mut impl Samples,
    ) -> Result<(), DamagedSlab> {
        let quarters: &[Quarter] =
            if index.is_multiple_of(2) { &[Quarter::Diagonal] } else { &[Quarter::Right, Quarter::Below] };
        let expectation = Expectation::new(model);
        for row in 0..self.samples.known.rows {
            for quarter in quarters {
                let plane = quarter.of(&self.samples);
                if row < plane.rows && plane.columns > 0 {
                    self.row((model, &expectation), index, (*quarter, row), work, samples)?;
                }
            }
        }
        Ok(())
    }

    /// The places of a row from the first to the last that is no hole.
    fn wanted(&self, quarter: Quarter, row: usize) -> Range<usize> {
        let places = quarter.of(&self.samples).columns;
        let Some(holes) = &self.image.holes else { return 0..places };
        let (first_row, first_column) = quarter.first();
        let (row, column) = ((2 * row + first_row) << self.level, first_column << self.level);
        let samples = |place: &(usize, bool)| !place.1;
        let mut holes = holes.places(row, column, 2 << self.level).take(places).enumerate();
        let Some((first, _)) = holes.find(samples) else { return 0..0 };
        first..holes.rfind(samples).map_or(first, |(last, _)| last) + 1
    }

    fn row<S: Samples>(
        &mut self,
        (model, expectation): (&StepModel, &Expectation),
        index: usize,
        (quarter, row): (Quarter, usize),
        work: &mut Work,
        samples: &mut S,
    ) -> Result<(), DamagedSlab> {
        let Work { ahead, slots: [first, second] } = work;
        let wanted = self.wanted(quarter, row);
        ahead.look(
            &self.samples,
            &self.errors,
            self.reference,
            quarter,
            row,
            wanted,
            (model, expectation),
            S::LEARNS,
        );
        let (first_row, first_column) = quarter.first();
        let spots = Spots {
            row: (2 * row + first_row) << self.level,
            column: first_column << self.level,
            columns: (2 * PHASES) << self.level,
            step: index,
            ahead,
            phase: 0,
            sides: None,
            samples: &self.samples,
            reference: self.reference,
            quarter,
            quarter_row: row,
        };
        self.phase(&spots, first, model, samples)?;
        if ahead.places > 1 {
            let spots =
                Spots { column: spots.column + (2 << self.level), phase: 1, sides: Some(first), ..spots };
            self.phase(&spots, second, model, samples)?;
        }
        quarter.of_mut(&mut self.samples).set_phases(row, &first.samples, &second.samples);
        quarter.of_mut(&mut self.errors).set_phases(row, &first.errors, &second.errors);
        Ok(())
    }

    fn phase(
        &self,
        spots: &Spots<'_>,
        slots: &mut Slots,
        model: &StepModel,
        samples: &mut impl Samples,
    ) -> Result<(), DamagedSlab> {
        let Some(ahead) = spots.ahead.phases.get(spots.phase) else { return Ok(()) };
        let places = (spots.ahead.places + 1 - spots.phase) / PHASES;
        let quantiser = samples.quantiser();
        slots.predict(ahead, places, spots.sides, model, &quantiser);
        if let Some(holes) = &self.image.holes {
            slots.leave_out(holes.places(spots.row, spots.column, spots.columns));
        }
        samples.steps(spots, slots)?;
        slots.finish(ahead, &quantiser, self.image.holes.is_some());
        Ok(())
    }
}
