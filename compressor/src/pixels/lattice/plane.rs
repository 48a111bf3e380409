//! One resolution of an image with a margin around it, so that every tap lies inside (codec SPEC 4.2).

#![allow(
    clippy::indexing_slicing,
    reason = "indices come from rows and columns alone, never from coded bytes"
)]

/// Samples beyond each edge: as far as the window around a place reaches.
pub(super) const MARGIN: usize = 4;

/// Samples, or errors, of one resolution.
pub(super) struct Plane {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Distance of a sample to the one below.
    pub(super) stride: usize,
    pub(super) samples: Vec<u16>,
}

impl Plane {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        let stride = columns + 2 * MARGIN;
        Self { rows, columns, stride, samples: vec![0; stride * (rows + 2 * MARGIN)] }
    }

    /// Where a sample lies in `samples`.
    #[inline(always)]
    pub(super) fn place(&self, row: usize, column: usize) -> usize {
        (row + MARGIN) * self.stride + column + MARGIN
    }

    /// The samples row by row, without margins.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u16]> {
        let rows = self.samples.chunks_exact(self.stride).skip(MARGIN).take(self.rows);
        rows.map(|row| &row[MARGIN..MARGIN + self.columns])
    }

    /// Copies a plane of half the resolution to the even places.
    pub(super) fn spread(&mut self, coarse: &Self) {
        for row in 0..coarse.rows {
            for column in 0..coarse.columns {
                let place = self.place(2 * row, 2 * column);
                self.samples[place] = coarse.samples[coarse.place(row, column)];
            }
        }
    }

    /// Fills the odd places with the mean of what lies left and right, then above and below.
    pub(super) fn fill_between(&mut self) {
        for row in (0..self.rows).step_by(2) {
            for column in (1..self.columns).step_by(2) {
                let (place, right) = (self.place(row, column), usize::from(column + 1 < self.columns));
                self.samples[place] = mean(self.samples[place - 1], self.samples[place + 2 * right - 1]);
            }
        }
        for row in (1..self.rows).step_by(2) {
            let (up, down) = (row - 1, if row + 1 < self.rows { row + 1 } else { row - 1 });
            for column in 0..self.columns {
                let (above, below) = (self.place(up, column), self.place(down, column));
                let place = self.place(row, column);
                self.samples[place] = mean(self.samples[above], self.samples[below]);
            }
        }
    }

    /// Mirrors the samples of a row into its margins; an edge sample itself is not repeated.
    pub(super) fn mirror_row(&mut self, row: usize) {
        let (first, last) = (self.place(row, 0), self.place(row, self.columns - 1));
        for beyond in 1..=MARGIN {
            let inward = beyond.min(self.columns - 1);
            self.samples[first - beyond] = self.samples[first + inward];
            self.samples[last + beyond] = self.samples[last - inward];
        }
    }

    /// Mirrors whole rows, margins included, above and below.
    fn mirror_columns(&mut self) {
        let last = self.rows - 1;
        for beyond in 1..=MARGIN {
            let inward = beyond.min(last);
            self.copy_row(MARGIN + inward, MARGIN - beyond);
            self.copy_row(MARGIN + last - inward, MARGIN + last + beyond);
        }
    }

    fn copy_row(&mut self, from: usize, to: usize) {
        self.samples.copy_within(from * self.stride..(from + 1) * self.stride, to * self.stride);
    }

    /// Mirrors all samples into the margins.
    pub(super) fn mirror(&mut self) {
        (0..self.rows).for_each(|row| self.mirror_row(row));
        self.mirror_columns();
    }
}

fn mean(first: u16, second: u16) -> u16 {
    ((u32::from(first) + u32::from(second)) >> 1) as u16
}
