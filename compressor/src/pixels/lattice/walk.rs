//! The order of the samples: base lattice, then step by step to the full resolution (codec SPEC 4).

use super::super::DamagedSlab;
use super::guess::{Ahead, Around, Guess};
use super::model::{Model, StepModel, step_index};
use super::plane::Plane;

/// The base lattice has at most this many rows and columns.
const BASE_SIDE_MAX: usize = 4;

/// One image: a frame of one component, or some rows of it.
pub(super) struct Image {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Largest sample.
    pub(super) max: i32,
    /// Places that hold no sample, row by row, if there are any.
    pub(super) holes: Option<Vec<bool>>,
}

impl Image {
    fn is_hole(&self, row: usize, column: usize) -> bool {
        let holes = self.holes.as_ref().and_then(|holes| holes.get(row * self.columns + column));
        holes.copied().unwrap_or_default()
    }

    /// Doublings from the base lattice to the full resolution.
    fn doublings(&self) -> u32 {
        let side = self.rows.max(self.columns) - 1;
        (0..usize::BITS).find(|level| side >> level < BASE_SIDE_MAX).unwrap_or_default()
    }

    /// An empty plane of the resolution `level` halvings below the full one.
    fn plane(&self, level: u32) -> Plane {
        Plane::new(((self.rows - 1) >> level) + 1, ((self.columns - 1) >> level) + 1)
    }
}

/// Where samples come from, or go to.
pub(super) trait Samples {
    /// A sample of the base lattice.
    fn base(&mut self, row: usize, column: usize) -> Result<u16, DamagedSlab>;

    /// A sample whose prediction is known.
    fn sample(&mut self, spot: &Spot<'_>, guess: &Guess) -> Result<u16, DamagedSlab>;
}

/// Where a sample is asked for.
pub(super) struct Spot<'s> {
    /// Row and column in the image.
    pub(super) row: usize,
    pub(super) column: usize,
    /// Index of the step model.
    pub(super) step: usize,
    /// The resolution it belongs to, its place there, and what lies around it.
    pub(super) samples: &'s Plane,
    pub(super) place: usize,
    pub(super) around: &'s Around,
}

/// Goes through all samples of an image and gives them, holes filled.
pub(super) fn walk(image: &Image, model: &Model, samples: &mut impl Samples) -> Result<Plane, DamagedSlab> {
    let doublings = image.doublings();
    let mut known = base(image, doublings, samples)?;
    let mut errors = Plane::new(known.rows, known.columns);
    for level in (0..doublings).rev() {
        let mut finer = Finer::new(image, level, &known, &errors);
        for axial in [false, true] {
            finer.step(model, axial, samples)?;
        }
        (known, errors) = (finer.samples, finer.errors);
    }
    Ok(known)
}

/// Holes of the base lattice get the sample before them; those before the first sample get that one, or 0.
#[allow(
    clippy::indexing_slicing,
    reason = "indices come from rows and columns alone, never from coded bytes"
)]
fn base(image: &Image, level: u32, samples: &mut impl Samples) -> Result<Plane, DamagedSlab> {
    let mut plane = image.plane(level);
    let places: Vec<_> =
        (0..plane.rows).flat_map(|row| (0..plane.columns).map(move |column| (row, column))).collect();
    let mut found = Vec::with_capacity(places.len());
    for (row, column) in &places {
        let (row, column) = (row << level, column << level);
        let hole = image.is_hole(row, column);
        found.push(if hole { None } else { Some(samples.base(row, column)?) });
    }
    let mut last = found.iter().flatten().next().copied().unwrap_or_default();
    for ((row, column), sample) in places.into_iter().zip(found) {
        last = sample.unwrap_or(last);
        let place = plane.place(row, column);
        plane.samples[place] = last;
    }
    Ok(plane)
}

/// A resolution being filled from the one of half its size.
struct Finer<'i> {
    image: &'i Image,
    level: u32,
    samples: Plane,
    errors: Plane,
    /// What is known ahead of the row in work.
    ahead: Vec<Ahead>,
}

impl<'i> Finer<'i> {
    fn new(image: &'i Image, level: u32, known: &Plane, known_errors: &Plane) -> Self {
        let (mut samples, mut errors) = (image.plane(level), image.plane(level));
        samples.spread(known);
        samples.fill_between();
        samples.mirror();
        errors.spread(known_errors);
        errors.mirror();
        Self { image, level, samples, errors, ahead: Vec::new() }
    }

    fn step(&mut self, model: &Model, axial: bool, samples: &mut impl Samples) -> Result<(), DamagedSlab> {
        let around = Around::new(axial, self.samples.stride);
        for row in 0..self.samples.rows {
            match (axial, row % 2) {
                (false, 0) => continue,
                (false, _) => self.row(model, &around, false, row, 1, samples)?,
                (true, odd) => self.row(model, &around, true, row, 1 - odd, samples)?,
            }
            self.samples.mirror_row(row);
            self.errors.mirror_row(row);
        }
        self.samples.mirror();
        self.errors.mirror();
        Ok(())
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "indices come from rows and columns alone, never from coded bytes"
    )]
    fn row(
        &mut self,
        model: &Model,
        around: &Around,
        axial: bool,
        row: usize,
        first: usize,
        samples: &mut impl Samples,
    ) -> Result<(), DamagedSlab> {
        let index = step_index(self.level, axial);
        let step = &model.steps[index];
        self.look_ahead(step, around, row, first);
        let before = self.samples.place(row, first) - 2;
        let (mut left, mut left_error) = (self.samples.samples[before], self.errors.samples[before]);
        for (number, ahead) in self.ahead.iter().enumerate() {
            let column = first + 2 * number;
            let place = self.samples.place(row, column);
            let (full_row, full_column) = (row << self.level, column << self.level);
            if self.image.is_hole(full_row, full_column) {
                (left, left_error) = (ahead.middle as u16, ahead.mean_error());
            } else {
                let guess = Guess::new(ahead, left, left_error, step, self.image.max);
                let (row, column, plane) = (full_row, full_column, &self.samples);
                let spot = Spot { row, column, step: index, samples: plane, place, around };
                left = samples.sample(&spot, &guess)?;
                left_error = guess.error_of(left);
            }
            self.samples.samples[place] = left;
            self.errors.samples[place] = left_error;
        }
        Ok(())
    }

    /// Looks at all places of a row, none of which needs another.
    fn look_ahead(&mut self, step: &StepModel, around: &Around, row: usize, first: usize) {
        self.ahead.clear();
        for column in (first..self.samples.columns).step_by(2) {
            let place = self.samples.place(row, column);
            let hole = self.image.is_hole(row << self.level, column << self.level);
            self.ahead.push(if hole {
                Ahead::of_nearest(&self.samples, &self.errors, place, around)
            } else {
                Ahead::new(&self.samples, &self.errors, place, around, step)
            });
        }
    }
}
