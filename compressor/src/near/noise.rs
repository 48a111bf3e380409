//! Two estimates of the noise of a frame, on its foreground alone (`docs/decisions/0005-near-auto.md`).

/// Rows and columns of a block.
const BLOCK: usize = 8;
/// Samples of a block.
const BLOCK_SAMPLES: usize = BLOCK * BLOCK;
/// Parameters of a plane, which take as many degrees of freedom.
const PLANE_PARAMETERS: usize = 3;
/// Sum of the squares of the column numbers −3.5 … 3.5 over all rows of a block.
const SLOPE_SQUARES: f64 = 336.0;
/// Median size of a normal variable of variance 1.
const NORMAL_MEDIAN: f64 = 0.6745;
/// Share of the blocks below the estimate.
const BLOCKS_SHARE: f64 = 0.2;
/// Classes of block means by which foreground is told.
const CLASSES: usize = 256;

/// What foreground blocks gave.
#[derive(Debug, Default)]
pub(super) struct Noise {
    /// Twice the coefficients of the diagonal Haar band, without their sign.
    diagonals: Vec<u32>,
    deviations: Vec<f64>,
}

impl Noise {
    /// Takes a frame of rows of `columns` values in. `padding` values belong to no foreground.
    pub(super) fn add(&mut self, values: &[i32], columns: usize, is_padding: impl Fn(i32) -> bool) {
        let blocks: Vec<_> = blocks(values, columns).filter(|b| !b.iter().any(|v| is_padding(*v))).collect();
        let means: Vec<f64> = blocks.iter().map(|block| mean(block)).collect();
        let Some(threshold) = threshold(&means) else { return };
        for (block, _) in blocks.iter().zip(&means).filter(|(_, mean)| **mean > threshold) {
            self.deviations.push(deviation(block));
            self.diagonals.extend(diagonals(block));
        }
    }

    /// Foreground blocks seen.
    pub(super) fn blocks(&self) -> usize {
        self.deviations.len()
    }

    /// sHH.
    pub(super) fn fine(&mut self) -> f64 {
        let middle = self.diagonals.len() / 2;
        if self.diagonals.is_empty() {
            return 0.0;
        }
        let (_, median, _) = self.diagonals.select_nth_unstable(middle);
        f64::from(*median) / 2.0 / NORMAL_MEDIAN
    }

    /// s20.
    pub(super) fn coarse(&mut self) -> f64 {
        let place = (self.deviations.len() as f64 * BLOCKS_SHARE) as usize;
        if self.deviations.is_empty() {
            return 0.0;
        }
        *self.deviations.select_nth_unstable_by(place, f64::total_cmp).1
    }
}

/// Whole blocks, row by row.
fn blocks(values: &[i32], columns: usize) -> impl Iterator<Item = [i32; BLOCK_SAMPLES]> + '_ {
    values.chunks_exact(columns.max(1) * BLOCK).flat_map(move |band| {
        (0..columns / BLOCK).map(move |block| {
            let rows = band.chunks_exact(columns);
            let mut samples = rows.flat_map(|row| row.iter().skip(block * BLOCK).take(BLOCK).copied());
            std::array::from_fn(|_| samples.next().unwrap_or_default())
        })
    })
}

fn mean(block: &[i32]) -> f64 {
    block.iter().map(|value| f64::from(*value)).sum::<f64>() / BLOCK_SAMPLES as f64
}

/// What parts the means best into dark and bright (Otsu 1979): air and tissue.
fn threshold(means: &[f64]) -> Option<f64> {
    let least = means.iter().copied().min_by(f64::total_cmp)?;
    let most = means.iter().copied().max_by(f64::total_cmp)?;
    let width = (most - least) / CLASSES as f64;
    let mut counts = [0_u32; CLASSES];
    for mean in means {
        let class = (((mean - least) / width) as usize).min(CLASSES - 1);
        counts.iter_mut().skip(class).take(1).for_each(|count| *count += 1);
    }
    let all = means.len() as f64;
    let moment = |(class, count): (usize, &u32)| class as f64 * f64::from(*count);
    let total: f64 = counts.iter().enumerate().map(moment).sum();
    let (mut below, mut below_sum, mut best) = (0.0, 0.0, (0.0, least));
    for (class, count) in counts.iter().enumerate() {
        below += f64::from(*count);
        below_sum += moment((class, count));
        let above = all - below;
        if below > 0.0 && above > 0.0 {
            let distance = below_sum / below - (total - below_sum) / above;
            let between = below * above * distance * distance;
            if between > best.0 {
                best = (between, least + (class + 1) as f64 * width);
            }
        }
    }
    Some(best.1)
}

/// Standard deviation about the plane that fits best.
fn deviation(block: &[i32; BLOCK_SAMPLES]) -> f64 {
    let mean = mean(block);
    let (mut squares, mut along, mut down) = (0.0, 0.0, 0.0);
    for (place, value) in block.iter().enumerate() {
        let centred = f64::from(*value) - mean;
        squares += centred * centred;
        along += centred * ((place % BLOCK) as f64 - 3.5);
        down += centred * ((place / BLOCK) as f64 - 3.5);
    }
    let rest = squares - (along * along + down * down) / SLOPE_SQUARES;
    (rest.max(0.0) / (BLOCK_SAMPLES - PLANE_PARAMETERS) as f64).sqrt()
}

fn diagonals(block: &[i32; BLOCK_SAMPLES]) -> impl Iterator<Item = u32> + '_ {
    let rows = block.chunks_exact(2 * BLOCK);
    rows.flat_map(|pair| {
        let (above, below) = pair.split_at(BLOCK);
        above.chunks_exact(2).zip(below.chunks_exact(2)).map(|squares| match squares {
            (&[a, b], &[c, d]) => (a - b - c + d).unsigned_abs(),
            _ => 0,
        })
    })
}
