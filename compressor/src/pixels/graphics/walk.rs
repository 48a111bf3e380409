//! Pixel after pixel of an image: is it one of its neighbours, and if not, what are its samples (codec SPEC 12).

use super::chances::{CONTEXTS, Chances, Decisions, NODES, Node, hash, mixed};
use super::colours::COMPONENTS_MAX;
use super::rows::{CELLS, Cell, GUESSES, NEIGHBOURS, Rows};

/// Weights of mixtures and curves: those of hits, then those of samples.
const HIT_MIXERS: usize = 1024;
const HIT_CURVES: usize = 1024;
const STEPS: usize = 16;
const MIXERS: usize = HIT_MIXERS + COMPONENTS_MAX * STEPS * 16;
const CURVES: usize = HIT_CURVES + COMPONENTS_MAX * STEPS * 16;
/// Places of the table that says where pixels with these neighbours stood last (2^16).
const SEEN_LOG: u32 = 16;
/// No place.
const NOWHERE: u32 = u32::MAX;
/// A length of a repeat is not told from longer ones.
const LENGTH_MAX: u32 = 255;
/// Weight of a guess by its errors: at most this sum of them is told apart.
const ERRORS_MAX: u32 = 1023;
/// Lengths of a residual.
const LENGTH_BITS_MAX: u32 = 16;
/// Bits of a residual that have a mixture; the others have a chance for each length and place.
const MIXED_BITS: u32 = 4;
/// Salts of the contexts of samples, so that they share no line with those of hits.
const SAMPLE: u64 = 1 << 8;

/// An image being walked through: its samples as planes from `offset` on, which an encoder has filled and a decoder fills.
pub(super) struct Picture<'p> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Largest sample.
    pub(super) max: i32,
    pub(super) planes: &'p mut [Vec<u16>],
    pub(super) offset: usize,
    /// Every 2^level-th pixel, which is known.
    pub(super) known: Option<Known<'p>>,
}

/// The coarse picture of an image.
pub(super) struct Known<'p> {
    pub(super) level: u32,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) planes: &'p [Vec<u16>],
    pub(super) offset: usize,
}

impl Known<'_> {
    /// The pixel at this place, if it is known.
    fn at(&self, row: usize, column: usize) -> Option<u64> {
        let step = (1 << self.level) - 1;
        (row & step == 0 && column & step == 0).then(|| {
            pixel(self.planes, self.offset + (row >> self.level) * self.columns + (column >> self.level))
        })
    }

    /// The known pixel at or after this place, in both directions.
    fn ahead(&self, row: usize, column: usize) -> u64 {
        let next =
            |place: usize, count: usize| ((place + (1 << self.level) - 1) >> self.level).min(count - 1);
        let place = next(row, self.rows) * self.columns + next(column, self.columns);
        pixel(self.planes, self.offset + place)
    }
}

/// All samples of a pixel in one number.
fn pixel(planes: &[Vec<u16>], place: usize) -> u64 {
    let sample = |plane: &Vec<u16>| u64::from(plane.get(place).copied().unwrap_or_default());
    planes.iter().fold(0, |pixel, plane| pixel << 16 | sample(plane))
}

/// What is learnt, and what was seen.
pub(super) struct Walk {
    pub(super) chances: Chances,
    /// By the hash of a neighbourhood.
    seen: Vec<u32>,
    /// Where the pixel stood that is expected again, and how long that has been right.
    repeat: u32,
    length: u32,
    /// Whether the last pixels were others than the one before, newest bit lowest.
    changes: u32,
    /// Weight of a guess by the sum of its errors.
    shares: Vec<u32>,
}

/// What the decisions of one pixel depend on.
struct Around {
    pixels: [u64; NEIGHBOURS],
    expected: Option<u64>,
    /// Hashes of the four nearest, of seven, of all.
    nearest: u64,
    seven: u64,
    all: u64,
    /// All are equal.
    calm: bool,
    /// Bits that say which neighbours are equal.
    equal: u32,
    equal_more: u32,
    /// 0 not known, 1 the known pixel ahead is as the one before, 2 it is not.
    ahead: u32,
    /// The known pixel ahead, else the one before.
    further: u64,
}

impl Walk {
    /// For a slab of so many samples.
    pub(super) fn new(samples: usize) -> Self {
        Self {
            chances: Chances::new(samples, MIXERS, CURVES),
            seen: vec![NOWHERE; 1 << SEEN_LOG],
            repeat: NOWHERE,
            length: 0,
            changes: 0,
            shares: (0..=ERRORS_MAX).map(share).collect(),
        }
    }

    /// Forgets places, not chances: other planes follow.
    pub(super) fn begin_part(&mut self) {
        self.seen.fill(NOWHERE);
        (self.repeat, self.length) = (NOWHERE, 0);
    }

    /// Codes all pixels of an image that are not known.
    pub(super) fn image(&mut self, picture: &mut Picture<'_>, coder: &mut impl Decisions) {
        let mut rows = Rows::new(picture.columns);
        for row in 0..picture.rows {
            // A damaged slab takes no longer than its bytes.
            if coder.is_past_end() {
                return;
            }
            rows.begin();
            for column in 0..picture.columns {
                let place = picture.offset + row * picture.columns + column;
                let known = picture.known.as_ref().and_then(|known| known.at(row, column));
                let ahead = picture.known.as_ref().map(|known| known.ahead(row, column));
                let wanted = pixel(picture.planes, place);
                let around = self.look(&rows, picture, column, place, ahead);
                let (pixel, cells) = match known {
                    Some(pixel) => (pixel, inherited(rows.left(column), pixel, picture.planes.len())),
                    None => self.pixel(&around, &rows, column, wanted, picture, coder),
                };
                self.follow(&around, pixel);
                rows.enter(column, pixel, cells);
                for (plane, sample) in picture.planes.iter_mut().rev().zip(samples(pixel)) {
                    plane.get_mut(place).into_iter().for_each(|place| *place = sample);
                }
            }
        }
    }

    /// SPEC 12.2.
    fn look(
        &mut self,
        rows: &Rows,
        picture: &Picture<'_>,
        column: usize,
        place: usize,
        ahead: Option<u64>,
    ) -> Around {
        let pixels = rows.pixels(column);
        let [w, n, nw, ne, ww, nn, nee, nww, nnw, nne, www, nnee] = pixels;
        let further = ahead.unwrap_or(w);
        let ahead = ahead.map_or(0, |ahead| if ahead == w { 1 } else { 2 });
        if self.repeat != NOWHERE {
            self.repeat += 1;
        }
        let calm = pixels.iter().all(|pixel| *pixel == w);
        let [mut nearest, mut seven, mut all] = [0; 3];
        if !calm {
            nearest = hash([w, n, nw, ne]);
            seven = [ww, nn, nee].into_iter().fold(nearest, mixed);
            all = [nww, nnw, nne, www, nnee].into_iter().fold(seven, mixed);
            if let Some(seen) = self.seen.get_mut((all >> (u64::BITS - SEEN_LOG)) as usize) {
                if self.repeat == NOWHERE {
                    self.repeat = *seen;
                    self.length = u32::from(*seen != NOWHERE);
                }
                *seen = place as u32;
            }
        }
        let expected = (self.repeat != NOWHERE).then(|| pixel(picture.planes, self.repeat as usize));
        let bits = |pairs: &[(u64, u64)]| {
            pairs.iter().rev().fold(0, |bits, (one, other)| bits << 1 | u32::from(one == other))
        };
        let equal = bits(&[(w, n), (w, nw), (w, ww), (n, ne), (n, nw), (n, nn), (ne, nee), (ww, www)]);
        let equal_more = bits(&[(w, ne), (nw, ww), (nw, nww), (ne, nne), (nw, nnw)]);
        Around { pixels, expected, nearest, seven, all, calm, equal, equal_more, ahead, further }
    }

    /// Remembers whether the repeat goes on, and changes.
    fn follow(&mut self, around: &Around, pixel: u64) {
        let [before, ..] = around.pixels;
        self.changes = self.changes << 1 | u32::from(pixel != before);
        if around.expected == Some(pixel) {
            self.length = (self.length + 1).min(LENGTH_MAX);
        } else {
            (self.repeat, self.length) = (NOWHERE, 0);
        }
    }

    fn pixel(
        &mut self,
        around: &Around,
        rows: &Rows,
        column: usize,
        wanted: u64,
        picture: &Picture<'_>,
        coder: &mut impl Decisions,
    ) -> (u64, [Cell; COMPONENTS_MAX]) {
        let (hit, asked) = self.hit(around, wanted, coder);
        match hit {
            Some(pixel) => (pixel, calm_cells(pixel, picture.planes.len())),
            None => self.samples(around, rows, column, wanted, asked, picture, coder),
        }
    }

    /// Whether the pixel is one of its neighbours, and whether that was asked at all (SPEC 12.3).
    fn hit(&mut self, around: &Around, wanted: u64, coder: &mut impl Decisions) -> (Option<u64>, bool) {
        let [w, n, nw, ne, ..] = around.pixels;
        let length = if self.length == 0 { 0 } else { 1 + half_octaves(self.length) };
        if around.calm && around.expected.is_none_or(|expected| expected == w) {
            // One colour all around: one chance tells it, and where it fails, no other neighbour is worth asking for.
            let number =
                512 * around.ahead + 32 * length.min(15) + (w as u32).wrapping_mul(0x9E37_79B1 >> 27) % 32;
            let found = self.chances.plain(coder, wanted == w, number as usize);
            return (found.then_some(w), true);
        }
        let flat = around.equal & 0x3F != 0 || around.equal_more & 1 != 0;
        if !flat && around.expected.is_none() {
            return (None, false);
        }
        let candidates = [around.expected, Some(w), Some(n), Some(ne), Some(nw)];
        let first = if around.expected.is_some() { 5 } else { 0 };
        let alike = around.equal.count_ones().min(7) as usize;
        for (number, candidate) in (0_u32..).zip(candidates) {
            let Some(candidate) = candidate else { continue };
            if candidates.iter().take(number as usize).any(|before| *before == Some(candidate)) {
                continue;
            }
            let role = u64::from(first + number);
            let expected = u64::from(around.expected == Some(candidate));
            let (equal, more) = (u64::from(around.equal), u64::from(around.equal_more));
            let (ahead, long) = (u64::from(around.ahead), u64::from(length));
            self.chances.set([
                hash([role, equal]),
                hash([role, w, n]),
                mixed(around.seven, role),
                hash([role, equal | more << 8 | expected << 13 | ahead << 14]),
                hash([role, long | expected << 8 | ahead << 9 | (equal & 31) << 11]),
                hash([role, u64::from(self.changes & 0xFFF) | expected << 12]),
                mixed(around.all, role),
            ]);
            let place = role as usize * 64;
            let node = Node {
                number,
                mixer: place + 8 * length.min(7) as usize + alike,
                curve: place + (around.equal & 0x3F) as usize,
            };
            if self.chances.decide(coder, wanted == candidate, node) {
                return (Some(candidate), true);
            }
        }
        (None, true)
    }

    /// Codes the samples of a pixel that is none of its neighbours (SPEC 12.4).
    #[expect(clippy::too_many_arguments, reason = "one pixel, and all that is known of it")]
    fn samples(
        &mut self,
        around: &Around,
        rows: &Rows,
        column: usize,
        wanted: u64,
        asked: bool,
        picture: &Picture<'_>,
        coder: &mut impl Decisions,
    ) -> (u64, [Cell; COMPONENTS_MAX]) {
        let count = picture.planes.len();
        let mut cells = [Cell::default(); COMPONENTS_MAX];
        let mut whole = 0;
        let mut base = ([Cell::default(); CELLS], 0);
        let mut before = [(0, 0); 2];
        for component in 0..count {
            let near = rows.cells(column, component);
            let further = (around.further >> (16 * (count - 1 - component)) & 0xFFFF) as i32;
            let guesses = Guesses::of(&near, further, picture.max, &self.shares);
            let (mut prediction, mut way) = (guesses.prediction, 0);
            let mut joint = prediction;
            if component > 0 {
                joint = by_first(&near, &base.0, base.1).clamp(0, picture.max);
                let [own, other] = [0, 1].map(|way: usize| -> u32 {
                    near.iter().filter_map(|cell| cell.ways.get(way)).map(|error| u32::from(*error)).sum()
                });
                if other <= own {
                    (prediction, way) = (joint, 1);
                }
            }
            let sample = (wanted >> (16 * (count - 1 - component)) & 0xFFFF) as i32;
            let spot =
                Spot { component, asked, way, before, prediction, fraction: guesses.fraction, near, further };
            let residual = self.residual(&spot, around, sample - prediction, coder);
            let sample = (prediction + residual).clamp(0, picture.max);
            let residual = sample - prediction;
            if let Some(cell) = cells.get_mut(component) {
                *cell = Cell {
                    sample: sample as u16,
                    residual: residual.clamp(-0x7FFF, 0x7FFF) as i16,
                    errors: guesses.values.map(|guess| far(sample, guess)),
                    ways: [far(sample, guesses.prediction), far(sample, joint)],
                };
            }
            whole = whole << 16 | sample as u64;
            if component == 0 {
                base = (near, sample);
            }
            let [last, _] = before;
            before = [(sample, residual), last];
        }
        (whole, cells)
    }

    /// Codes sample − prediction (SPEC 12.5).
    fn residual(&mut self, spot: &Spot, around: &Around, wanted: i32, coder: &mut impl Decisions) -> i32 {
        let (contexts, energy) = spot.contexts(around);
        self.chances.set(contexts);
        let first = spot.component * STEPS * 16;
        let node = |number: u32, step: usize, class: usize| Node {
            number,
            mixer: HIT_MIXERS + first + step * 16 + class,
            curve: HIT_CURVES + first + step * 16 + class,
        };
        if self.chances.decide(coder, wanted == 0, node(0, 0, energy)) {
            return 0;
        }
        let negative = self.chances.decide(coder, wanted < 0, node(1, 1, energy));
        let size = wanted.unsigned_abs().max(1) - 1;
        let wanted_bits = u32::BITS - size.leading_zeros();
        let mut bits = 0;
        while bits < LENGTH_BITS_MAX {
            let number = if bits < NODES - 2 { 2 + bits } else { (1 << 20) + bits };
            let step = 2 + bits.min(7) as usize;
            if !self.chances.decide(coder, wanted_bits > bits, node(number, step, energy)) {
                break;
            }
            bits += 1;
        }
        let mut coded = u32::from(bits > 0);
        for bit in (0..bits.max(1) - 1).rev() {
            let done = bits - 2 - bit;
            let yes = size >> bit & 1 == 1;
            let yes = if done < MIXED_BITS {
                let number = 64 + (bits << 8 | coded << 1 | u32::from(negative));
                self.chances.decide(coder, yes, node(number, 10 + done as usize, bits.min(15) as usize))
            } else {
                self.chances.plain(coder, yes, 1600 + (bits * 16 + bit) as usize)
            };
            coded = coded << 1 | u32::from(yes);
        }
        let size = (coded + 1) as i32;
        if negative { -size } else { size }
    }
}

/// A sample about to be coded.
struct Spot {
    component: usize,
    /// It is known that the pixel is none of its neighbours.
    asked: bool,
    way: u64,
    /// Samples and residuals of the components of this pixel, newest first.
    before: [(i32, i32); 2],
    prediction: i32,
    fraction: i32,
    near: [Cell; CELLS],
    further: i32,
}

impl Spot {
    /// Contexts, and the class of the errors around.
    fn contexts(&self, around: &Around) -> ([u64; CONTEXTS], usize) {
        let samples = self.near.map(|cell| i32::from(cell.sample));
        let [w, n, nw, ne, ww, nn] = samples;
        let residuals = self.near.map(|cell| i32::from(cell.residual));
        let [rw, rn, _, rne, ..] = residuals;
        let [sw, sn, snw, sne, sww, snn] = residuals.map(i32::unsigned_abs);
        let energy = 2 * (sw + sn) + snw + sne + sww + snn;
        let spread = w.abs_diff(n) + n.abs_diff(ne) + w.abs_diff(nw) + n.abs_diff(nw);
        let salt = SAMPLE + 4 * self.component as u64 + 2 * u64::from(self.asked) + self.way;
        let [(sample, residual), (second, second_residual)] = self.before;
        let first = self.component == 0;
        let last = class(if first { self.fraction } else { residual });
        let second_last = class(second_residual);
        let prediction = self.prediction as u64;
        let given = u64::from(sample as u16) | u64::from(second as u16) << 16;
        let classes = |numbers: [i32; 3]| numbers.into_iter().fold(0, |all, number| all << 4 | class(number));
        let octaves = |number: u32| u64::from(half_octaves(number));
        let contexts = [
            hash([salt, octaves(energy) << 4 | last]),
            hash([
                salt,
                classes([w - nw, n - nw, ne - n]),
                octaves(energy / 4).min(15) << 8 | last << 4 | class(self.further - self.prediction),
            ]),
            hash([salt, prediction, if first { u64::from((w - self.prediction) as u32) } else { given }]),
            hash([around.nearest, salt, prediction, given]),
            hash([salt, classes([rw, rn, rne]), last << 4 | second_last]),
            hash([salt, prediction, u64::from(sample as u16)]),
            hash([salt, octaves(spread) << 8 | octaves(energy), class(nn - n) << 4 | class(ww - w)]),
        ];
        (contexts, half_octaves(energy / 2).min(15) as usize)
    }
}

/// Guesses of a sample from those around, and what they make together.
struct Guesses {
    values: [i32; GUESSES],
    prediction: i32,
    /// In eighths.
    fraction: i32,
}

impl Guesses {
    fn of(near: &[Cell; CELLS], further: i32, max: i32, shares: &[u32]) -> Self {
        let [w, n, nw, ne, _, nn] = near.map(|cell| i32::from(cell.sample));
        let values =
            [w + ne - n, n, w, n + w - nw, (2 * (w + n) + ne - nw) >> 2, ne, 2 * n - nn, (w + further) >> 1];
        let [mut sum, mut weights] = [0_i64; 2];
        for (number, value) in values.iter().enumerate() {
            let error = |cell: &Cell| u32::from(cell.errors.get(number).copied().unwrap_or_default());
            let [ew, en, enw, ene, eww, enn] =
                [0, 1, 2, 3, 4, 5].map(|cell: usize| near.get(cell).map_or(0, error));
            let errors = 2 * (ew + en) + enw + ene + eww + enn;
            let weight = i64::from(shares.get(errors.min(ERRORS_MAX) as usize).copied().unwrap_or(1));
            weights += weight;
            sum += weight * i64::from(8 * value);
        }
        let eighths = sum.div_euclid(weights) as i32;
        Self { values, prediction: ((eighths + 4) >> 3).clamp(0, max), fraction: eighths & 7 }
    }
}

/// 2^24 / (errors + 1)², but for rounding, at least 1.
fn share(errors: u32) -> u32 {
    let share = u64::from((1 << 24) / (errors + 1));
    ((share * share) >> 24).max(1) as u32
}

/// The first component's sample, and as far from it as its neighbours are from theirs.
fn by_first(near: &[Cell; CELLS], first: &[Cell; CELLS], sample: i32) -> i32 {
    let mut differences = [0; CELLS];
    for ((difference, cell), first) in differences.iter_mut().zip(near).zip(first) {
        *difference = i32::from(cell.sample) - i32::from(first.sample);
    }
    let [w, n, nw, ..] = differences;
    sample + (w + n - nw).clamp(w.min(n), w.max(n))
}

fn far(sample: i32, guess: i32) -> u16 {
    sample.abs_diff(guess).min(0xFFF) as u16
}

/// Samples of a pixel, the last component first.
fn samples(pixel: u64) -> impl Iterator<Item = u16> {
    (0..COMPONENTS_MAX).map(move |place| (pixel >> (16 * place)) as u16)
}

/// Cells of a pixel that was found among its neighbours.
fn calm_cells(pixel: u64, count: usize) -> [Cell; COMPONENTS_MAX] {
    inherited([Cell::default(); COMPONENTS_MAX], pixel, count)
}

/// These cells with the samples of a pixel.
fn inherited(mut cells: [Cell; COMPONENTS_MAX], pixel: u64, count: usize) -> [Cell; COMPONENTS_MAX] {
    for (cell, sample) in cells.iter_mut().take(count).rev().zip(samples(pixel)) {
        cell.sample = sample;
    }
    cells
}

/// 0 to 8: sign and size.
fn class(number: i32) -> u64 {
    let size = match number.unsigned_abs() {
        0 => 0,
        1..3 => 1,
        3..8 => 2,
        8..24 => 3,
        _ => 4,
    };
    if number < 0 { 4 - size } else { 4 + size }
}

/// Logarithm in steps of half an octave.
fn half_octaves(number: u32) -> u32 {
    match number.checked_ilog2() {
        None => 0,
        Some(0) => 1,
        Some(log) => 2 * log + (number >> (log - 1) & 1),
    }
}
