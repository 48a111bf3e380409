//! Weighted least squares by normal equations, for the encoder alone.

#![allow(clippy::indexing_slicing, reason = "indices run below the size that the sums were made with")]

/// Added to the diagonal, relative to it, so that every system has a solution.
const RIDGE: f64 = 1e-6;
/// Added to the diagonal where it is zero.
const RIDGE_LEAST: f64 = 1e-6;

/// Sums of products of inputs with each other and with what they shall give.
#[derive(Clone)]
pub(super) struct Sums {
    inputs: usize,
    /// Square, row by row; filled below the diagonal and on it.
    products: Vec<f64>,
    targets: Vec<f64>,
}

impl Sums {
    pub(super) fn new(inputs: usize) -> Self {
        Self { inputs, products: vec![0.0; inputs * inputs], targets: vec![0.0; inputs] }
    }

    /// Adds one observation.
    pub(super) fn add(&mut self, inputs: &[f64], target: f64, weight: f64) {
        for (row, (products, input)) in self.products.chunks_exact_mut(self.inputs).zip(inputs).enumerate() {
            let weighted = input * weight;
            for (product, other) in products[..=row].iter_mut().zip(inputs) {
                *product += weighted * other;
            }
        }
        for (sum, input) in self.targets.iter_mut().zip(inputs) {
            *sum += input * target * weight;
        }
    }

    /// Adds all of `other`, `factor` times.
    pub(super) fn add_sums(&mut self, other: &Self, factor: f64) {
        self.products.iter_mut().zip(&other.products).for_each(|(sum, other)| *sum += other * factor);
        self.targets.iter_mut().zip(&other.targets).for_each(|(sum, other)| *sum += other * factor);
    }

    /// The factors that give the targets with the least squared error; those not `used` are 0.
    pub(super) fn solve(&self, used: &[bool]) -> Vec<f64> {
        let list: Vec<usize> = (0..self.inputs).filter(|index| used[*index]).collect();
        let mut lower = vec![vec![0.0; list.len()]; list.len()];
        let mut solution: Vec<f64> = list.iter().map(|index| self.targets[*index]).collect();
        for (i, row) in list.iter().enumerate() {
            for (j, column) in list.iter().enumerate().take(i + 1) {
                let ridge = if i == j { self.products[row * self.inputs + row] * RIDGE + RIDGE_LEAST } else { 0.0 };
                let known: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
                let rest = self.products[row * self.inputs + column] + ridge - known;
                lower[i][j] = if i == j { rest.max(RIDGE_LEAST * RIDGE).sqrt() } else { rest / lower[j][j] };
            }
        }
        for i in 0..list.len() {
            let known: f64 = (0..i).map(|k| lower[i][k] * solution[k]).sum();
            solution[i] = (solution[i] - known) / lower[i][i];
        }
        for i in (0..list.len()).rev() {
            let known: f64 = (i + 1..list.len()).map(|k| lower[k][i] * solution[k]).sum();
            solution[i] = (solution[i] - known) / lower[i][i];
        }
        let mut factors = vec![0.0; self.inputs];
        list.iter().zip(solution).for_each(|(index, factor)| factors[*index] = factor);
        factors
    }

    /// As [`Sums::solve`], without factors below 0: the lowest is left out until none is.
    pub(super) fn solve_not_negative(&self) -> Vec<f64> {
        let mut used = vec![true; self.inputs];
        loop {
            let factors = self.solve(&used);
            let lowest = (0..self.inputs).min_by(|a, b| factors[*a].total_cmp(&factors[*b]));
            match lowest.filter(|index| factors[*index] < 0.0) {
                Some(index) => used[index] = false,
                None => return factors,
            }
        }
    }
}
