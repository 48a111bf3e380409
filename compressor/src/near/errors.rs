//! How far a decoded slab is from what came: largest error, sum of squares, largest mean of a block.

use super::samples::values;
use crate::dataset::ImageLayout;
use crate::pixels::Slab;

/// Rows and columns of a block.
const BLOCK: usize = 32;

/// Errors of one slab, or of all slabs of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Errors {
    samples: u64,
    squares: u64,
    largest: u32,
    block: f64,
}

impl Errors {
    /// Of one slab of grey pixels.
    pub(crate) fn of(layout: &ImageLayout, raw: &[u8], decoded: &[u8]) -> Self {
        let Some(slab) = Slab::of(layout, raw.len()) else { return Self::default() };
        let errors = values(&slab, raw).zip(values(&slab, decoded)).map(|(before, after)| after - before);
        let mut all = Self::default();
        let mut blocks = Blocks::new(&slab);
        for (place, error) in errors.enumerate() {
            all.samples += 1;
            all.squares += u64::from(error.unsigned_abs()).pow(2);
            all.largest = all.largest.max(error.unsigned_abs());
            blocks.add(place, error);
        }
        Self { block: blocks.largest(), ..all }
    }

    /// Takes those of another slab in.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.squares += other.squares;
        self.largest = self.largest.max(other.largest);
        self.block = self.block.max(other.block);
    }

    /// Largest absolute error.
    pub(crate) fn largest(&self) -> u32 {
        self.largest
    }

    /// Largest size of the mean error of a block.
    pub(crate) fn block(&self) -> f64 {
        self.block
    }

    /// Root of the mean squared error.
    pub(crate) fn rmse(&self) -> f64 {
        if self.samples == 0 { 0.0 } else { (self.squares as f64 / self.samples as f64).sqrt() }
    }
}

/// Sums of the errors of the blocks of one row of blocks, emptied when the next begins.
struct Blocks {
    columns: usize,
    rows: usize,
    sums: Vec<i64>,
    largest: f64,
    row: usize,
}

impl Blocks {
    fn new(slab: &Slab) -> Self {
        let sums = vec![0; slab.columns.div_ceil(BLOCK)];
        Self { columns: slab.columns, rows: slab.rows, sums, largest: 0.0, row: 0 }
    }

    /// Takes the error at a place; places come in order, frame after frame.
    fn add(&mut self, place: usize, error: i32) {
        let (row, column) = (place / self.columns % self.rows, place % self.columns);
        if column == 0 && row % BLOCK == 0 {
            self.close();
        }
        self.row = row;
        if let Some(sum) = self.sums.get_mut(column / BLOCK) {
            *sum += i64::from(error);
        }
    }

    fn close(&mut self) {
        let height = self.row % BLOCK + 1;
        for (block, sum) in self.sums.iter_mut().enumerate() {
            let width = BLOCK.min(self.columns - block * BLOCK);
            self.largest = self.largest.max(sum.unsigned_abs() as f64 / (width * height) as f64);
            *sum = 0;
        }
    }

    fn largest(mut self) -> f64 {
        self.close();
        self.largest
    }
}
