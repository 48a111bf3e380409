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
/// High pass of Daubechies' wavelet with two vanishing moments (db2, Daubechies 1988, table 1): edges of even slope fall out, noise
/// keeps its variance.
const HIGH_PASS: [f64; 4] =
    [-0.129_409_522_551_260_4, -0.224_143_868_042_013_4, 0.836_516_303_737_807_9, -0.482_962_913_144_534_1];
/// Share of the blocks below the estimate.
const BLOCKS_SHARE: f64 = 0.2;
/// Classes of block means by which foreground is told.
const CLASSES: usize = 256;

/// What foreground blocks gave.
#[derive(Debug, Default)]
pub(super) struct Noise {
    /// Coefficients of the diagonal band, without their sign.
    diagonals: Vec<f64>,
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
        *self.diagonals.select_nth_unstable_by(middle, f64::total_cmp).1 / NORMAL_MEDIAN
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

/// The finest diagonal band as far as it lies in the block.
fn diagonals(block: &[i32; BLOCK_SAMPLES]) -> impl Iterator<Item = f64> + '_ {
    let places = || (0..=BLOCK - HIGH_PASS.len()).step_by(2);
    places().flat_map(move |row| places().map(move |column| diagonal(block, row, column).abs()))
}

fn diagonal(block: &[i32; BLOCK_SAMPLES], row: usize, column: usize) -> f64 {
    let rows = block.chunks_exact(BLOCK).skip(row).zip(HIGH_PASS);
    let along = |row: &[i32]| -> f64 {
        row.iter().skip(column).zip(HIGH_PASS).map(|(value, weight)| weight * f64::from(*value)).sum()
    };
    rows.map(|(row, weight)| weight * along(row)).sum()
}
