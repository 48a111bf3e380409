//! The mask of places without a sample (codec SPEC 8).

use super::contexts::Chance;
use super::rans::{RansReader, RansWriter};

/// Neighbours that the chance of a hole depends on: two to the left, and five in the row above.
const NEIGHBOURS: u32 = 7;

/// Chances of the mask of one component.
pub(super) struct HoleChances {
    /// A row is the one above again, if the last one was not or was.
    same_row: [Chance; 2],
    hole: [Chance; 1 << NEIGHBOURS],
    last_row_same: bool,
}

impl HoleChances {
    pub(super) fn new() -> Self {
        Self { same_row: [Chance::EVEN; 2], hole: [Chance::EVEN; 1 << NEIGHBOURS], last_row_same: true }
    }

    /// Codes the mask of an image.
    pub(super) fn put(&mut self, holes: &[bool], columns: usize, writer: &mut RansWriter) {
        let mut above = vec![false; columns];
        for row in holes.chunks_exact(columns) {
            let same = row == above;
            self.same_row().put(same, writer);
            self.last_row_same = same;
            if !same {
                for (column, hole) in row.iter().enumerate() {
                    self.hole(row, &above, column).put(*hole, writer);
                }
                above.copy_from_slice(row);
            }
        }
    }

    /// Reads the mask of an image.
    pub(super) fn take(&mut self, rows: usize, columns: usize, reader: &mut RansReader<'_>) -> Vec<bool> {
        let mut holes = Vec::with_capacity(rows * columns);
        let mut above = vec![false; columns];
        let mut row = vec![false; columns];
        for _ in 0..rows {
            self.last_row_same = self.same_row().take(reader);
            if !self.last_row_same {
                for column in 0..columns {
                    let hole = self.hole(&row, &above, column).take(reader);
                    if let Some(slot) = row.get_mut(column) {
                        *slot = hole;
                    }
                }
                above.copy_from_slice(&row);
            }
            holes.extend_from_slice(&above);
        }
        holes
    }

    fn same_row(&mut self) -> &mut Chance {
        let [after_other, after_same] = &mut self.same_row;
        if self.last_row_same { after_same } else { after_other }
    }

    #[allow(clippy::indexing_slicing, reason = "seven bits make an index below 2^7")]
    fn hole(&mut self, row: &[bool], above: &[bool], column: usize) -> &mut Chance {
        let at = |row: &[bool], column: Option<usize>| {
            column.and_then(|column| row.get(column)).copied().unwrap_or_default()
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
