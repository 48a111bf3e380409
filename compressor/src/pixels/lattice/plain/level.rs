//! A level, and how a step of it is predicted (SPEC 4.2, 5, 6).

use super::Part;
use super::entropy::{Context, Stream};
use super::model::Step;

/// Samples and errors of one level, row by row.
pub(super) struct Level {
    rows: i64,
    columns: i64,
    pub(super) samples: Vec<i64>,
    errors: Vec<i64>,
}

/// R and A (SPEC 2.5).
pub(super) struct Reference {
    pub(super) rows: i64,
    pub(super) columns: i64,
    pub(super) mean: Vec<i64>,
    pub(super) apart: Vec<i64>,
}

impl Reference {
    /// SPEC 4.1.
    pub(super) fn halved(&self, level: u32) -> Self {
        let (rows, columns) = (((self.rows - 1) >> level) + 1, ((self.columns - 1) >> level) + 1);
        let place = |place: i64| {
            (((place / columns) << level) * self.columns + ((place % columns) << level)) as usize
        };
        let halved = |plane: &[i64]| (0..rows * columns).map(|number| plane[place(number)]).collect();
        Self { rows, columns, mean: halved(&self.mean), apart: halved(&self.apart) }
    }
}

/// The nearest of 0, 1, … count − 1 that is even or odd as `number` (SPEC 4.2).
fn inside(number: i64, count: i64) -> Option<i64> {
    let alike = (0..count).filter(|other| (other - number) % 2 == 0);
    if (0..count).contains(&number) { Some(number) } else { alike.min_by_key(|other| (other - number).abs()) }
}

impl Level {
    pub(super) fn new(rows: i64, columns: i64) -> Self {
        let zeros = vec![0; (rows * columns) as usize];
        Self { rows, columns, samples: zeros.clone(), errors: zeros }
    }

    /// SPEC 4.4.
    pub(super) fn spread(&self, rows: i64, columns: i64) -> Self {
        let mut finer = Self::new(rows, columns);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let (from, to) = (row * self.columns + column, 2 * row * columns + 2 * column);
                finer.samples[to as usize] = self.samples[from as usize];
                finer.errors[to as usize] = self.errors[from as usize];
            }
        }
        finer
    }

    /// SPEC 2.6; `step` is T of the fine part, `coarse_step` that of the coarse one.
    pub(super) fn correct(
        &mut self,
        (step, coarse_step): (i64, i64),
        max: i64,
        contexts: &mut [Context; 3],
        stream: &mut Stream<'_>,
        is_hole: impl Fn(i64, i64) -> bool,
    ) {
        for row in 0..self.rows {
            for column in (0..self.columns).filter(|column| !is_hole(row, *column)) {
                let place = (row * self.columns + column) as usize;
                let context = ((self.errors[place] + 4 * coarse_step) / (8 * coarse_step)).min(2);
                let d = contexts[context as usize].symbol(stream) as i64 - 15;
                self.samples[place] = (self.samples[place] + step * d).clamp(0, max);
            }
        }
    }

    /// Index of a place, or of the one that stands for it; `None` where it is missing.
    fn index(&self, row: i64, column: i64) -> Option<usize> {
        Some((inside(row, self.rows)? * self.columns + inside(column, self.columns)?) as usize)
    }
}

const DIAGONAL_NEAREST: [(i64, i64); 4] = [(-1, -1), (-1, 1), (1, -1), (1, 1)];
const AXIAL_NEAREST: [(i64, i64); 4] = [(-1, 0), (0, -1), (0, 1), (1, 0)];
const DIAGONAL_RING: [(i64, i64); 8] =
    [(-1, -3), (-1, 3), (1, -3), (1, 3), (-3, -1), (3, -1), (-3, 1), (3, 1)];
const AXIAL_RING: [(i64, i64); 8] = [(-1, -2), (-1, 2), (1, -2), (1, 2), (-2, -1), (2, -1), (-2, 1), (2, 1)];
const DIAGONAL_ERRORS: [(i64, i64); 3] = [(-2, -2), (-2, 0), (-2, 2)];
const AXIAL_ERRORS: [(i64, i64); 3] = [(-1, -1), (-1, 1), (-2, 0)];

const NEAR: [i64; 4] = [-3, -1, 1, 3];
const FAR: [i64; 4] = [-2, 0, 2, 4];
/// Row, columns, and whether it is marked with *.
type Window = (i64, [i64; 4], bool);
const DIAGONAL_WINDOWS: [Window; 6] = [
    (-1, NEAR, false),
    (1, NEAR, false),
    (-3, NEAR, false),
    (3, NEAR, false),
    (-2, FAR, true),
    (-4, FAR, true),
];
const AXIAL_WINDOWS: [Window; 10] = [
    (0, NEAR, false),
    (-1, FAR, false),
    (1, FAR, false),
    (-2, NEAR, false),
    (2, NEAR, false),
    (-3, FAR, false),
    (3, FAR, false),
    (-1, NEAR, true),
    (-2, FAR, true),
    (-3, NEAR, true),
];
const REFERENCE_WINDOWS: [Window; 6] = [
    (0, FAR, false),
    (0, NEAR, false),
    (-1, FAR, false),
    (1, FAR, false),
    (-1, NEAR, false),
    (1, NEAR, false),
];

const FEATURE_MAX: i64 = 32_767;

/// What a step is decoded with.
pub(super) struct Coder<'c, 'b> {
    pub(super) model: &'c Step,
    pub(super) reference: Option<&'c Reference>,
    /// T (SPEC 6.1).
    pub(super) step: i64,
    pub(super) max: i64,
    pub(super) part: &'c mut Part<'b>,
    pub(super) axial: bool,
}

impl Coder<'_, '_> {
    pub(super) fn step(&mut self, level: &mut Level, is_hole: impl Fn(i64, i64) -> bool) {
        for row in 0..level.rows {
            let first = if self.axial { 1 - row % 2 } else { 1 };
            if !self.axial && row % 2 == 0 {
                continue;
            }
            for phase in [0, 1] {
                for column in (first + 2 * phase..level.columns).step_by(4) {
                    self.place(level, row, column, phase as usize, is_hole(row, column));
                }
            }
        }
    }

    fn place(&mut self, level: &mut Level, row: i64, column: i64, phase: usize, hole: bool) {
        let index = (row * level.columns + column) as usize;
        let m = self.middle(level, row, column);
        let (features, orientation) = self.features(level, row, column);
        if hole {
            (level.samples[index], level.errors[index]) = (m, features[4] >> 2);
            return;
        }
        let sum = |constant: i64, features: &[i64], factors: &[i64]| {
            constant + features.iter().zip(factors).map(|(feature, factor)| feature * factor).sum::<i64>()
        };
        let ahead = sum(self.model.constant_ahead, &features, &self.model.ahead);
        let class = 3 * self.model.limits.iter().filter(|limit| **limit < ahead).count() + orientation;
        let mut differences = self.differences(level, row, column, m);
        let mut side_errors = 0;
        if phase == 1 {
            let right = if column + 2 < level.columns { index + 2 } else { index - 2 };
            differences.extend([index - 2, right].map(|side| level.samples[side] - m));
            side_errors = (level.errors[index - 2] + level.errors[right]).min(FEATURE_MAX);
        }
        let weights = &self.model.weights[phase][class];
        let flat = features[..3] == [0; 3];
        let offset = match flat {
            true => 0,
            false => weighted(&differences, weights) >> 8,
        };
        let p = (8 * m + offset).clamp(0, 8 * self.max);
        let moved = (p - 8 * m).abs().min(FEATURE_MAX);
        let known = sum(self.model.constant_at_last, &features, &self.model.at_last);
        let expected = known + self.model.at_last[7] * side_errors + self.model.at_last[8] * moved;
        let still = flat && features[3] == 0 && features[4] == 0 && side_errors == 0;
        let sample = self.sample(p, expected, still);
        (level.samples[index], level.errors[index]) = (sample, (8 * sample - p).abs().min(FEATURE_MAX));
    }

    /// SPEC 6.
    fn sample(&mut self, p: i64, expected: i64, still: bool) -> i64 {
        let t = self.step;
        let v = (p + 4) >> 3;
        let f = p - 8 * v;
        let size =
            if still { 0 } else { ((3 * (logarithm(expected | 1) - logarithm(t)) - 2816) >> 7).clamp(1, 47) };
        let u = ((p >> 2).min(31 * t) * (16_384 / t)) >> 14;
        let low = (1..=19).contains(&size) && t <= 1023 && u < 31;
        let (context, turned) = match low {
            true => (144 + 7 * u + ((size - 6) >> 1).clamp(0, 6), false),
            false => (3 * size + f.abs() / 2, f < 0),
        };
        let Part { contexts, stream } = &mut *self.part;
        let d = contexts.error(context as usize, stream);
        let error = if turned { -d } else { d };
        wrapped(v + t * error).clamp(0, self.max)
    }

    /// n0 to n3 (SPEC 5.1).
    fn nearest(&self, level: &Level, of: &[i64], row: i64, column: i64) -> [i64; 4] {
        let places = if self.axial { AXIAL_NEAREST } else { DIAGONAL_NEAREST };
        let found = places.map(|(r, c)| level.index(row + r, column + c).map(|index| of[index]));
        [(0, 1), (1, 0), (2, 3), (3, 2)].map(|(own, other)| found[own].or(found[other]).unwrap_or_default())
    }

    /// SPEC 5.2.
    fn middle(&self, level: &Level, row: i64, column: i64) -> i64 {
        let n = self.nearest(level, &level.samples, row, column);
        let m = |x: i64, y: i64| (x + y + 1) >> 1;
        (m(n[0], n[3]) + m(n[1], n[2]) + 1) >> 1
    }

    /// Features ahead, and the orientation (SPEC 5.3).
    fn features(&self, level: &Level, row: i64, column: i64) -> ([i64; 7], usize) {
        let n = self.nearest(level, &level.samples, row, column);
        let m = self.middle(level, row, column);
        let (a, b) = ((n[0] - n[3]).abs(), (n[1] - n[2]).abs());
        let ring = if self.axial { AXIAL_RING } else { DIAGONAL_RING };
        let ring =
            ring.map(|(r, c)| level.index(row + r, column + c).map_or(n[0], |index| level.samples[index]));
        let errors = if self.axial { AXIAL_ERRORS } else { DIAGONAL_ERRORS };
        let error = |(r, c): (i64, i64)| {
            let there = level.index(row + r, column + c).filter(|_| row + r >= 0);
            there.map_or(0, |index| level.errors[index])
        };
        let place = (row * level.columns + column) as usize;
        let features = [
            a + b,
            n.iter().map(|n| (n - m).abs()).sum(),
            ring.iter().map(|sample| (sample - m).abs()).sum(),
            errors.iter().copied().map(error).sum(),
            self.nearest(level, &level.errors, row, column).iter().sum(),
            self.reference.map_or(0, |reference| (reference.mean[place] - m).abs()),
            self.reference.map_or(0, |reference| reference.apart[place]),
        ];
        let orientation = if 2 * a > 3 * b {
            0
        } else if 2 * b > 3 * a {
            1
        } else {
            2
        };
        (features.map(|feature: i64| feature.min(FEATURE_MAX)), orientation)
    }

    /// Of all windows (SPEC 5.1 and 5.4).
    fn differences(&self, level: &Level, row: i64, column: i64, m: i64) -> Vec<i64> {
        let own: &[Window] = if self.axial { &AXIAL_WINDOWS } else { &DIAGONAL_WINDOWS };
        let referenced = self.reference.map(|reference| (&REFERENCE_WINDOWS[..], &reference.mean));
        let mut differences = Vec::new();
        for (windows, plane) in [(own, &level.samples)].into_iter().chain(referenced) {
            for (r, columns, marked) in windows {
                for (c, instead) in columns.iter().zip(FAR) {
                    let there = level.index(row + r, column + c).filter(|_| !marked || row + r >= 0);
                    let stand_in = || {
                        let column = inside(column + instead, level.columns).unwrap_or(column);
                        self.middle(level, row, column)
                    };
                    differences.push(there.map_or_else(stand_in, |index| plane[index]) - m);
                }
            }
        }
        differences
    }
}

/// Differences to 16 bits, their sum to 32 (SPEC 5.4).
fn weighted(differences: &[i64], weights: &[i64]) -> i64 {
    let constant = weights.last().copied().unwrap_or(0);
    let products =
        differences.iter().zip(weights).map(|(difference, weight)| i64::from(*difference as i16) * weight);
    wrapped(constant + products.sum::<i64>())
}

/// Modulo 2^32, from −2^31 on.
fn wrapped(number: i64) -> i64 {
    i64::from(number as i32)
}

/// L(x) of SPEC 6.2.
pub(super) fn logarithm(x: i64) -> i64 {
    let mut l = i64::from(x.ilog2());
    let mut y = if l <= 23 {
        x << (23 - l)
    } else {
        let (down, unit) = (x >> (l - 23), 1 << (l - 23));
        match (2 * (x - down * unit)).cmp(&unit) {
            std::cmp::Ordering::Less => down,
            std::cmp::Ordering::Equal => down + down % 2,
            std::cmp::Ordering::Greater => down + 1,
        }
    };
    if y == 1 << 24 {
        (y, l) = (1 << 23, l + 1);
    }
    128 * l + (y >> 16) - 128
}
