//! Samples of one resolution, and the four quarters that a resolution is filled by (codec SPEC 4).

#![allow(
    clippy::indexing_slicing,
    reason = "indices come from rows and columns alone, never from coded bytes"
)]

use std::cell::RefCell;

/// Samples left of a row: as far as a window reaches.
pub(super) const MARGIN: usize = 4;
/// Samples right of a row: as far as the last window of a block of eight places reaches.
pub(super) const MARGIN_RIGHT: usize = 20;

/// Samples that the room of a thread keeps: about what one slab needs at a time.
const ROOM_SAMPLES_MAX: usize = 4 << 20;

thread_local! {
    /// What planes had that are gone, for those that come: pages from the system cost more than what is done in them.
    static ROOM: RefCell<Vec<Vec<u16>>> = const { RefCell::new(Vec::new()) };
}

/// Rows of samples, or of errors, with margins on both sides.
pub(super) struct Plane {
    pub(super) rows: usize,
    pub(super) columns: usize,
    samples: Vec<u16>,
}

impl Drop for Plane {
    fn drop(&mut self) {
        let samples = std::mem::take(&mut self.samples);
        // A thread that ends has no room any more.
        let _ = ROOM.try_with(|room| {
            let mut room = room.borrow_mut();
            let kept: usize = room.iter().map(Vec::capacity).sum();
            if samples.capacity() > 0 && kept + samples.capacity() <= ROOM_SAMPLES_MAX {
                room.push(samples);
            }
        });
    }
}

/// The smallest that has room for `count` samples, or a new one; all 0.
fn room(count: usize) -> Vec<u16> {
    let found = ROOM.try_with(|room| {
        let mut room = room.borrow_mut();
        let fits = room.iter().enumerate().filter(|(_, samples)| samples.capacity() >= count);
        let place = fits.min_by_key(|(_, samples)| samples.capacity()).map(|(place, _)| place);
        place.map(|place| room.swap_remove(place))
    });
    let mut samples = found.ok().flatten().unwrap_or_else(|| Vec::with_capacity(count));
    samples.clear();
    samples.resize(count, 0);
    samples
}

impl Plane {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        Self { rows, columns, samples: room(rows * (MARGIN + columns + MARGIN_RIGHT)) }
    }

    fn stride(&self) -> usize {
        MARGIN + self.columns + MARGIN_RIGHT
    }

    /// A row with its margins: its first sample is at [`MARGIN`].
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &[u16] {
        &self.samples[row * self.stride()..][..self.stride()]
    }

    pub(super) fn row_mut(&mut self, row: usize) -> &mut [u16] {
        let stride = self.stride();
        &mut self.samples[row * stride..][..stride]
    }

    /// A row without its margins.
    #[inline(always)]
    pub(super) fn inner(&self, row: usize) -> &[u16] {
        &self.row(row)[MARGIN..MARGIN + self.columns]
    }

    pub(super) fn inner_mut(&mut self, row: usize) -> &mut [u16] {
        let columns = self.columns;
        &mut self.row_mut(row)[MARGIN..MARGIN + columns]
    }

    /// The rows without margins.
    pub(super) fn inner_rows(&self) -> impl Iterator<Item = &[u16]> {
        (0..self.rows).map(|row| self.inner(row))
    }

    /// Sets a row, margins included.
    pub(super) fn set_row(&mut self, row: usize, samples: &[u16]) {
        let columns = self.columns;
        let target = self.row_mut(row);
        target[MARGIN..MARGIN + columns].copy_from_slice(&samples[..columns]);
        repeat_edges(target);
    }

    /// Sets a row whose even places are `even` and whose odd places are `odd`, each from 0 to 65,535.
    pub(super) fn set_phases(&mut self, row: usize, even: &[i32], odd: &[i32]) {
        let columns = self.columns;
        let target = self.row_mut(row);
        let (pairs, rest) = target[MARGIN..MARGIN + columns].as_chunks_mut::<2>();
        for (pair, (even, odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
            *pair = [*even as u16, *odd as u16];
        }
        rest.iter_mut().zip(even.get(columns / 2)).for_each(|(last, even)| *last = *even as u16);
        repeat_edges(target);
    }

    /// Every `step`-th row and column from (`first_row`, `first_column`) on.
    fn part(&self, step: usize, first_row: usize, first_column: usize) -> Self {
        let count = |all: usize, first: usize| (all + step - 1).saturating_sub(first) / step;
        let mut part = Self::new(count(self.rows, first_row), count(self.columns, first_column));
        for row in 0..part.rows {
            let Some(source) = self.inner(first_row + row * step).get(first_column..) else { continue };
            let columns = part.columns;
            let target = part.row_mut(row);
            let inner = &mut target[MARGIN..MARGIN + columns];
            if step == 2 {
                let (pairs, last) = source.as_chunks::<2>();
                inner.iter_mut().zip(pairs).for_each(|(target, [sample, _])| *target = *sample);
                inner[pairs.len()..].iter_mut().zip(last).for_each(|(target, sample)| *target = *sample);
            } else {
                let samples = source.iter().step_by(step);
                inner.iter_mut().zip(samples).for_each(|(target, sample)| *target = *sample);
            }
            repeat_edges(target);
        }
        part
    }
}

/// Fills both margins of a row with its first and last sample (SPEC 4.2).
fn repeat_edges(row: &mut [u16]) {
    let last = row.len() - MARGIN_RIGHT - 1;
    if last < MARGIN {
        return;
    }
    let (first, end) = (row[MARGIN], row[last]);
    row[..MARGIN].fill(first);
    row[last + 1..].fill(end);
}

/// A resolution in four quarters: even rows and columns, which are the next coarser resolution, and three that lie right of them,
/// below them, and diagonally.
pub(super) struct Quarters {
    pub(super) known: Plane,
    pub(super) right: Plane,
    pub(super) below: Plane,
    pub(super) diagonal: Plane,
}

impl Quarters {
    /// The quarters of a resolution of `rows` × `columns` of which `known` is known.
    pub(super) fn around(known: Plane, rows: usize, columns: usize) -> Self {
        Self {
            right: Plane::new(rows.div_ceil(2), columns / 2),
            below: Plane::new(rows / 2, columns.div_ceil(2)),
            diagonal: Plane::new(rows / 2, columns / 2),
            known,
        }
    }

    /// Takes every 2^`level`-th row and column of a plane apart.
    pub(super) fn of(plane: &Plane, level: u32) -> Self {
        let part = |row: usize, column: usize| plane.part(2 << level, row << level, column << level);
        Self { known: part(0, 0), right: part(0, 1), below: part(1, 0), diagonal: part(1, 1) }
    }

    /// Puts the quarters together.
    pub(super) fn join(&self) -> Plane {
        let mut plane =
            Plane::new(self.known.rows + self.below.rows, self.known.columns + self.right.columns);
        for row in 0..plane.rows {
            let (even, odd) = match row % 2 {
                0 => (&self.known, &self.right),
                _ => (&self.below, &self.diagonal),
            };
            let target = plane.row_mut(row);
            let inner = &mut target[MARGIN..];
            let (pairs, _) = inner.as_chunks_mut::<2>();
            let samples = even.inner(row / 2).iter().zip(odd.inner(row / 2));
            pairs.iter_mut().zip(samples).for_each(|(pair, (even, odd))| *pair = [*even, *odd]);
            if even.columns > odd.columns {
                inner[2 * odd.columns] = even.inner(row / 2)[odd.columns];
            }
            repeat_edges(target);
        }
        plane
    }
}
