//! The masks of holes (SPEC 8).

use super::super::Slab;
use super::entropy::Stream;

/// 0 where there is no hole, else its kind.
pub(super) struct Mask {
    pub(super) kinds: Vec<usize>,
    columns: i64,
    level: u32,
}

impl Mask {
    /// Of a place of the full resolution.
    pub(super) fn kind(&self, row: i64, column: i64) -> usize {
        self.kinds[((row >> self.level) * self.columns + (column >> self.level)) as usize]
    }
}

/// SPEC 8.3.
pub(super) struct HoleChances {
    values: usize,
    same: [i64; 2],
    same_run: [[i64; 2]; 2],
    hole: [i64; 128],
    kind: [[i64; 2]; 4],
    before_same: bool,
    before_kind: usize,
}

impl HoleChances {
    pub(super) fn new(values: usize) -> Self {
        const EVEN: i64 = 1 << 14;
        Self {
            values,
            same: [EVEN; 2],
            same_run: [[EVEN; 2]; 2],
            hole: [EVEN; 128],
            kind: [[EVEN; 2]; 4],
            before_same: true,
            before_kind: 1,
        }
    }

    /// SPEC 8.1; `known`: the mask of a coarser level.
    pub(super) fn mask(
        &mut self,
        slab: &Slab,
        level: u32,
        known: Option<(u32, &Mask)>,
        stream: &mut Stream<'_>,
    ) -> Mask {
        let side = |full: usize| ((full as i64 - 1) >> level) + 1;
        let (rows, columns) = (side(slab.rows), side(slab.columns));
        let mut mask = Mask { kinds: Vec::new(), columns, level };
        let mut above = vec![0; columns as usize];
        for row in 0..rows {
            self.before_same = stream.chance(&mut self.same[usize::from(self.before_same)]);
            if !self.before_same {
                let mut own = above.clone();
                let mut run_same = false;
                for column in 0..columns {
                    if column % 16 == 0 {
                        let run = above.iter().skip((column - 1).max(0) as usize);
                        let run: Vec<_> = run.take(if column == 0 { 16 } else { 17 }).collect();
                        let changes = run.iter().any(|kind| *kind != run[0]);
                        run_same =
                            stream.chance(&mut self.same_run[usize::from(changes)][usize::from(run_same)]);
                    }
                    if run_same {
                        continue;
                    }
                    let told =
                        known.filter(|(level, _)| row % (1 << level) == 0 && column % (1 << level) == 0);
                    own[column as usize] = match told {
                        Some((_, known)) => known.kind(row, column),
                        None => self.place(&own, &above, column, stream),
                    };
                }
                above = own;
            }
            mask.kinds.extend(&above);
        }
        mask
    }

    fn place(&mut self, own: &[usize], above: &[usize], column: i64, stream: &mut Stream<'_>) -> usize {
        let hole = |row: &[usize], column: i64| {
            column >= 0 && row.get(column as usize).is_some_and(|kind| *kind > 0)
        };
        let mut state = 0;
        for (row, offset) in
            [(own, -1), (own, -2), (above, -2), (above, -1), (above, 0), (above, 1), (above, 2)]
        {
            state = 2 * state + usize::from(hole(row, column + offset));
        }
        if !stream.chance(&mut self.hole[state]) {
            return 0;
        }
        let chances = &mut self.kind[self.before_kind];
        self.before_kind = match self.values {
            0 | 1 => 1,
            _ if stream.chance(&mut chances[0]) => 1,
            2 => 2,
            _ if stream.chance(&mut chances[1]) => 2,
            _ => 3,
        };
        self.before_kind
    }
}
