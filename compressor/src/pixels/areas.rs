//! Values that fill areas: padding, a ground of one value.

/// A value fills areas where at least one sample of this many has it,
const AREA_SHARE: usize = 64;
/// and a row goes from it to other values, or back, at most once for this many of them.
const AREA_RUN: usize = 8;

/// Whether a value fills areas of `samples`, which lie in rows of `columns`.
pub(crate) fn fills_areas<T: Copy + PartialEq>(value: T, samples: &[T], columns: usize) -> bool {
    let count = samples.iter().filter(|other| **other == value).count();
    let ends = |row: &[T]| {
        row.windows(2).filter(|pair| matches!(pair, [a, b] if (*a == value) != (*b == value))).count()
    };
    let changes = || samples.chunks_exact(columns.max(1)).map(ends).sum::<usize>();
    count * AREA_SHARE >= samples.len() && changes() * AREA_RUN <= count
}
