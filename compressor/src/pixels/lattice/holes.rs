//! The mask of places without a sample (codec SPEC 8).

use super::contexts::Chance;
use super::rans::{RansReader, RansWriter};

/// Neighbours that the chance of a hole depends on: two to the left, and five in the row above.
const NEIGHBOURS: u32 = 7;
/// Places of a row that are decided together where they are as in the row above.
const RUN: usize = 16;
/// Kinds of holes, and none.
const KINDS: usize = 4;

/// Which places of an image hold no sample, and which value instead: 0 where there is a sample, else the kind of hole from 1 up.
#[derive(Clone)]
pub(super) struct HoleMask {
    /// Row by row, at every 2^level-th row and column.
    kinds: Vec<u8>,
    columns: usize,
    level: u32,
}

impl HoleMask {
    /// Of the full resolution.
    pub(super) fn full(kinds: Vec<u8>, columns: usize) -> Self {
        Self { kinds, columns, level: 0 }
    }

    pub(super) fn kinds(&self) -> &[u8] {
        &self.kinds
    }

    /// The kind of a place of the full resolution that this mask knows, else `None`.
    #[inline(always)]
    fn kind(&self, row: usize, column: usize) -> Option<u8> {
        let known = (row | column) & ((1 << self.level) - 1) == 0;
        let kind = self.kinds.get((row >> self.level) * self.columns + (column >> self.level));
        kind.copied().filter(|_| known)
    }

    /// Whether there are holes at every `step`-th place of a row of the full resolution from `column` to its end: places that this mask
    /// knows.
    pub(super) fn places(
        &self,
        row: usize,
        column: usize,
        step: usize,
    ) -> impl DoubleEndedIterator<Item = bool> + ExactSizeIterator {
        let start = (row >> self.level) * self.columns;
        let row = self.kinds.get(start + (column >> self.level)..start + self.columns).unwrap_or_default();
        row.iter().step_by(step >> self.level).map(|kind| *kind > 0)
    }

    #[inline(always)]
    pub(super) fn is_hole(&self, row: usize, column: usize) -> bool {
        self.kind(row, column).is_some_and(|kind| kind > 0)
    }

    /// The mask of every 2^level-th row and column of a full one.
    pub(super) fn halved(&self, level: u32) -> Self {
        let rows = self.kinds.chunks_exact(self.columns).step_by(1 << level);
        let kinds = rows.flat_map(|row| row.iter().step_by(1 << level).copied()).collect();
        Self { kinds, columns: ((self.columns - 1) >> level) + 1, level }
    }
}

/// Chances of the masks of one component in one part.
pub(super) struct HoleChances {
    /// Kinds that there are.
    kinds: usize,
    /// A row is the one above again, if the last one was not or was.
    same_row: [Chance; 2],
    /// A run is the one above again: if that one changes nothing or does, and if the last one of its row was not or was.
    same_run: [[Chance; 2]; 2],
    hole: [Chance; 1 << NEIGHBOURS],
    /// A hole has kind 1, or 2 if not, by the kind of the hole before it.
    kind: [[Chance; 2]; KINDS],
    last_row_same: bool,
    last_kind: u8,
}

/// Where decisions come from, or go to: the same walk serves both.
trait Decisions {
    /// `wanted` is what is to be decided, where it is known.
    fn decide(&mut self, chance: &mut Chance, wanted: bool) -> bool;
}

impl Decisions for RansWriter {
    fn decide(&mut self, chance: &mut Chance, wanted: bool) -> bool {
        chance.put(wanted, self);
        wanted
    }
}

impl Decisions for RansReader<'_> {
    fn decide(&mut self, chance: &mut Chance, _: bool) -> bool {
        chance.take(self)
    }
}

impl HoleChances {
    pub(super) fn new(kinds: usize) -> Self {
        let (hole, kind) = ([Chance::EVEN; 1 << NEIGHBOURS], [[Chance::EVEN; 2]; KINDS]);
        let (same_row, same_run) = ([Chance::EVEN; 2], [[Chance::EVEN; 2]; 2]);
        Self { kinds, same_row, same_run, hole, kind, last_row_same: true, last_kind: 1 }
    }

    /// Codes a mask, but for the places that `known` knows.
    pub(super) fn put(&mut self, mask: &HoleMask, known: Option<&HoleMask>, writer: &mut RansWriter) {
        let rows = mask.kinds.len() / mask.columns;
        self.go(rows, mask.columns, mask.level, Some(mask), known, writer);
    }

    /// Reads a mask of every 2^level-th of so many rows and columns.
    pub(super) fn take(
        &mut self,
        (rows, columns): (usize, usize),
        level: u32,
        known: Option<&HoleMask>,
        reader: &mut RansReader<'_>,
    ) -> HoleMask {
        let halved = |side: usize| ((side - 1) >> level) + 1;
        self.go(halved(rows), halved(columns), level, None, known, reader)
    }

    fn go(
        &mut self,
        rows: usize,
        columns: usize,
        level: u32,
        mask: Option<&HoleMask>,
        known: Option<&HoleMask>,
        decisions: &mut impl Decisions,
    ) -> HoleMask {
        let mut kinds = Vec::with_capacity(rows * columns);
        let mut above = vec![0; columns];
        for row in 0..rows {
            let wanted = mask.and_then(|mask| mask.kinds.get(row * columns..(row + 1) * columns));
            let chance = self.same_row.get_mut(usize::from(self.last_row_same));
            self.last_row_same =
                chance.is_some_and(|chance| decisions.decide(chance, wanted == Some(above.as_slice())));
            if !self.last_row_same {
                above = self.row(
                    &above,
                    wanted.unwrap_or_default(),
                    |column| known.and_then(|known| known.kind(row, column)),
                    decisions,
                );
            }
            kinds.extend_from_slice(&above);
        }
        HoleMask { kinds, columns, level }
    }

    fn row(
        &mut self,
        above: &[u8],
        wanted: &[u8],
        known: impl Fn(usize) -> Option<u8>,
        decisions: &mut impl Decisions,
    ) -> Vec<u8> {
        let (mut row, mut same) = (above.to_vec(), false);
        for (number, run) in above.chunks(RUN).enumerate() {
            let columns = number * RUN..number * RUN + run.len();
            let before = columns.start.checked_sub(1).and_then(|column| above.get(column));
            let changes = before.into_iter().chain(run).any(|kind| Some(kind) != run.first());
            let chances = self.same_run.get_mut(usize::from(changes));
            let chance = chances.and_then(|chances| chances.get_mut(usize::from(same)));
            let wanted_run = wanted.get(columns.clone());
            same = chance.is_some_and(|chance| decisions.decide(chance, wanted_run == Some(run)));
            for column in columns.filter(|_| !same) {
                let kind = known(column).unwrap_or_else(|| {
                    let wanted = wanted.get(column).copied().unwrap_or_default();
                    let hole = decisions.decide(self.hole(&row, above, column), wanted > 0);
                    if hole { self.hole_kind(wanted, decisions) } else { 0 }
                });
                row.iter_mut().skip(column).take(1).for_each(|slot| *slot = kind);
            }
        }
        row
    }

    fn hole_kind(&mut self, wanted: u8, decisions: &mut impl Decisions) -> u8 {
        let chances = self.kind.get_mut(usize::from(self.last_kind)).into_iter().flatten();
        let mut kind = 1;
        for chance in chances.take(self.kinds.saturating_sub(1)) {
            if decisions.decide(chance, wanted == kind) {
                break;
            }
            kind += 1;
        }
        self.last_kind = kind;
        kind
    }

    #[allow(clippy::indexing_slicing, reason = "seven bits make an index below 2^7")]
    fn hole(&mut self, row: &[u8], above: &[u8], column: usize) -> &mut Chance {
        let at = |row: &[u8], column: Option<usize>| {
            column.and_then(|column| row.get(column)).is_some_and(|kind| *kind > 0)
        };
        let neighbours = [
            at(row, column.checked_sub(1)),
            at(row, column.checked_sub(2)),
            at(above, column.checked_sub(2)),
            at(above, column.checked_sub(1)),
            at(above, Some(column)),
            at(above, Some(column + 1)),
            at(above, Some(column + 2)),
        ];
        let index = neighbours.iter().fold(0, |index, hole| index << 1 | usize::from(*hole));
        &mut self.hole[index]
    }
}
