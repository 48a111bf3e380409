//! What lies around the places of one row, as rows that begin where the first place wants them (codec SPEC 4.2, 5.1).

#![allow(
    clippy::indexing_slicing,
    reason = "indices come from rows and columns alone, never from coded bytes"
)]

use super::plane::{MARGIN, Plane, Quarters};

/// Samples in a row of a window.
pub(super) const WINDOW: usize = 4;
/// Windows of the diagonal step.
pub(super) const WINDOWS_DIAGONAL: usize = 6;
/// Windows of the axial step.
pub(super) const WINDOWS_AXIAL: usize = 10;
/// Windows in the reference.
pub(super) const WINDOWS_REFERENCE: usize = 6;
/// The most windows of a place.
pub(super) const WINDOWS_MAX: usize = WINDOWS_AXIAL + WINDOWS_REFERENCE;

/// Which of the quarters a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quarter {
    /// Odd row, odd column: the diagonal step.
    Diagonal,
    /// Even row, odd column: the axial step.
    Right,
    /// Odd row, even column: the axial step.
    Below,
}

impl Quarter {
    /// Row and column of its first place.
    pub(super) fn first(self) -> (usize, usize) {
        match self {
            Self::Diagonal => (1, 1),
            Self::Right => (0, 1),
            Self::Below => (1, 0),
        }
    }

    pub(super) fn of(self, quarters: &Quarters) -> &Plane {
        match self {
            Self::Diagonal => &quarters.diagonal,
            Self::Right => &quarters.right,
            Self::Below => &quarters.below,
        }
    }

    pub(super) fn of_mut(self, quarters: &mut Quarters) -> &mut Plane {
        match self {
            Self::Diagonal => &mut quarters.diagonal,
            Self::Right => &mut quarters.right,
            Self::Below => &mut quarters.below,
        }
    }
}

/// A row that may not be there (SPEC 4.2): `None` stands for a row of middles.
pub(super) type Row<'p> = Option<&'p [u16]>;

/// The row `row` of a plane, or the nearest it has, so that the sample for place `i` is at `i`: it lies `shift` columns right of column `i`.
#[inline(always)]
fn known<'p>(plane: &'p Plane, row: isize, shift: isize) -> Row<'p> {
    if plane.rows == 0 || plane.columns == 0 {
        return None;
    }
    let row = row.clamp(0, plane.rows as isize - 1) as usize;
    Some(&plane.row(row)[MARGIN.wrapping_add_signed(shift)..])
}

/// The same of the step in work: rows above the first are not there.
#[inline(always)]
fn above<'p>(plane: &'p Plane, row: isize, shift: isize) -> Row<'p> {
    if row < 0 { None } else { known(plane, row, shift) }
}

/// The nearest on all sides; opposite ones have indices of the same sum (SPEC 5.1).
pub(super) fn nearest(quarters: &Quarters, quarter: Quarter, row: usize) -> [&[u16]; 4] {
    let Quarters { known: even, diagonal, .. } = quarters;
    let row = row as isize;
    let [first, second, third, fourth] = match quarter {
        Quarter::Diagonal => {
            [known(even, row, 0), known(even, row, 1), known(even, row + 1, 0), known(even, row + 1, 1)]
        }
        Quarter::Right => {
            let (left, right) = (known(even, row, 0), known(even, row, 1));
            [known(diagonal, row - 1, 0).or(left), left, right, known(diagonal, row, 0).or(right)]
        }
        Quarter::Below => {
            let (up, down) = (known(even, row, 0), known(even, row + 1, 0));
            [up, known(diagonal, row, -1).or(up), known(diagonal, row, 0).or(down), down]
        }
    };
    [first, second, third, fourth].map(Option::unwrap_or_default)
}

/// The second ring: eight samples next to the nearest (SPEC 5.1).
pub(super) fn ring(quarters: &Quarters, quarter: Quarter, row: usize) -> [Row<'_>; 8] {
    let Quarters { known: even, diagonal, .. } = quarters;
    let row = row as isize;
    let pairs = match quarter {
        Quarter::Diagonal => {
            [(even, row, -1, 2), (even, row + 1, -1, 2), (even, row - 1, 0, 1), (even, row + 2, 0, 1)]
        }
        Quarter::Right => {
            [(diagonal, row - 1, -1, 1), (diagonal, row, -1, 1), (even, row - 1, 0, 1), (even, row + 1, 0, 1)]
        }
        Quarter::Below => [
            (even, row, -1, 1),
            (even, row + 1, -1, 1),
            (diagonal, row - 1, -1, 0),
            (diagonal, row + 1, -1, 0),
        ],
    };
    let [a, b, c, d] =
        pairs.map(|(plane, row, left, right)| (known(plane, row, left), known(plane, row, right)));
    [a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1]
}

/// Errors of the step in work, in the row or rows above (SPEC 5.1).
pub(super) fn step_errors(errors: &Quarters, quarter: Quarter, row: usize) -> [Row<'_>; 3] {
    let row = row as isize;
    match quarter {
        Quarter::Diagonal => [-1, 0, 1].map(|shift| above(&errors.diagonal, row - 1, shift)),
        Quarter::Right => [
            above(&errors.below, row - 1, 0),
            above(&errors.below, row - 1, 1),
            above(&errors.right, row - 1, 0),
        ],
        Quarter::Below => {
            [above(&errors.right, row, -1), above(&errors.right, row, 0), above(&errors.below, row - 1, 0)]
        }
    }
}

/// The windows of the image: four samples from each row on, for every place (SPEC 5.1).
pub(super) fn windows<'p>(
    quarters: &'p Quarters,
    reference: Option<&'p Quarters>,
    quarter: Quarter,
    row: usize,
) -> Windows<'p> {
    let mut windows = own_windows(quarters, quarter, row);
    if let Some(reference) = reference {
        windows.add(reference_windows(reference, quarter, row));
    }
    windows
}

/// Rows of windows.
pub(super) struct Windows<'p> {
    rows: [Row<'p>; WINDOWS_MAX],
    count: usize,
}

impl<'p> Windows<'p> {
    fn of<const N: usize>(rows: [Row<'p>; N]) -> Self {
        let mut windows = Self { rows: [None; WINDOWS_MAX], count: 0 };
        windows.add(rows);
        windows
    }

    fn add<const N: usize>(&mut self, rows: [Row<'p>; N]) {
        self.rows[self.count..self.count + N].copy_from_slice(&rows);
        self.count += N;
    }

    pub(super) fn rows(&self) -> &[Row<'p>] {
        &self.rows[..self.count]
    }
}

fn own_windows(quarters: &Quarters, quarter: Quarter, row: usize) -> Windows<'_> {
    let Quarters { known: even, right, below, diagonal } = quarters;
    let row = row as isize;
    match quarter {
        Quarter::Diagonal => Windows::of([
            known(even, row, -1),
            known(even, row + 1, -1),
            known(even, row - 1, -1),
            known(even, row + 2, -1),
            above(diagonal, row - 1, -1),
            above(diagonal, row - 2, -1),
        ]),
        Quarter::Right => Windows::of([
            known(even, row, -1),
            known(diagonal, row - 1, -1),
            known(diagonal, row, -1),
            known(even, row - 1, -1),
            known(even, row + 1, -1),
            known(diagonal, row - 2, -1),
            known(diagonal, row + 1, -1),
            above(below, row - 1, -1),
            above(right, row - 1, -1),
            above(below, row - 2, -1),
        ]),
        Quarter::Below => Windows::of([
            known(diagonal, row, -2),
            known(even, row, -1),
            known(even, row + 1, -1),
            known(diagonal, row - 1, -2),
            known(diagonal, row + 1, -2),
            known(even, row - 1, -1),
            known(even, row + 2, -1),
            above(right, row, -2),
            above(below, row - 1, -1),
            above(right, row - 1, -2),
        ]),
    }
}

/// The windows of the reference: the place itself and all that touches it (SPEC 5.1).
fn reference_windows(quarters: &Quarters, quarter: Quarter, row: usize) -> [Row<'_>; WINDOWS_REFERENCE] {
    let Quarters { known: even, right, below, diagonal } = quarters;
    let row = row as isize;
    match quarter {
        Quarter::Diagonal => [
            known(diagonal, row, -1),
            known(below, row, -1),
            known(right, row, -1),
            known(right, row + 1, -1),
            known(even, row, -1),
            known(even, row + 1, -1),
        ],
        Quarter::Right => [
            known(right, row, -1),
            known(even, row, -1),
            known(diagonal, row - 1, -1),
            known(diagonal, row, -1),
            known(below, row - 1, -1),
            known(below, row, -1),
        ],
        Quarter::Below => [
            known(below, row, -1),
            known(diagonal, row, -2),
            known(even, row, -1),
            known(even, row + 1, -1),
            known(right, row, -2),
            known(right, row + 1, -2),
        ],
    }
}

/// The reference at the places themselves.
pub(super) fn centre(quarters: &Quarters, quarter: Quarter, row: usize) -> Row<'_> {
    known(quarter.of(quarters), row as isize, 0)
}
