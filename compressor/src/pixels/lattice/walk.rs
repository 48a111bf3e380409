//! The order of the samples: base lattice, then step by step to the full resolution (codec SPEC 4).

use super::super::DamagedSlab;
use super::guess::{Around, Guess};
use super::model::{Model, step_index};
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
    fn base(&mut self, row: usize, column: usize) -> Result<i32, DamagedSlab>;

    /// A sample whose prediction is known; `step` is the index of its step model.
    fn sample(&mut self, step: usize, row: usize, column: usize, guess: &Guess) -> Result<i32, DamagedSlab>;
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
}

impl<'i> Finer<'i> {
    fn new(image: &'i Image, level: u32, known: &Plane, known_errors: &Plane) -> Self {
        let (mut samples, mut errors) = (image.plane(level), image.plane(level));
        samples.spread(known);
        samples.fill_between();
        samples.mirror();
        errors.spread(known_errors);
        errors.mirror();
        Self { image, level, samples, errors }
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
        for column in (first..self.samples.columns).step_by(2) {
            let place = self.samples.place(row, column);
            let (full_row, full_column) = (row << self.level, column << self.level);
            if self.image.is_hole(full_row, full_column) {
                self.fill_hole(place, around);
                continue;
            }
            let guess = Guess::new(&self.samples, &self.errors, place, around, step, self.image.max);
            let sample = samples.sample(index, full_row, full_column, &guess)?;
            self.samples.samples[place] = sample;
            self.errors.samples[place] = guess.error_of(sample);
        }
        Ok(())
    }

    /// A hole gets the means of the samples and errors nearest to it.
    #[allow(
        clippy::indexing_slicing,
        reason = "indices come from rows and columns alone, never from coded bytes"
    )]
    fn fill_hole(&mut self, place: usize, around: &Around) {
        let mean = |plane: &Plane, half: i32| {
            let nearest = around.nearest().iter().map(|tap| plane.samples[place.wrapping_add_signed(*tap)]);
            (nearest.sum::<i32>() + half) >> 2
        };
        let (sample, error) = (mean(&self.samples, 2), mean(&self.errors, 0));
        self.samples.samples[place] = sample;
        self.errors.samples[place] = error;
    }
}
