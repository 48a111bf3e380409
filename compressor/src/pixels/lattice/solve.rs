//! Weighted least squares by normal equations, for the encoder alone.

#![allow(clippy::indexing_slicing, reason = "indices run below the size that the sums were made with")]

use multiversion::multiversion;

/// Added to the diagonal, relative to it, so that every system has a solution.
const RIDGE: f64 = 1e-6;
/// Added to the diagonal where it is zero.
const RIDGE_LEAST: f64 = 1e-6;

/// Observations that are added at once.
const BATCH: usize = 16;
/// The most inputs.
pub(super) const INPUTS_MAX: usize = 80;

/// Sums of products of inputs with each other and with what they shall give.
#[derive(Clone)]
pub(super) struct Sums {
    inputs: usize,
    /// Observations not yet in the sums: inputs times the root of the weight, then the target likewise.
    waiting: Vec<f32>,
    /// Square, row by row; filled below the diagonal and on it.
    products: Vec<f64>,
    targets: Vec<f64>,
}

impl Sums {
    pub(super) fn new(inputs: usize) -> Self {
        let waiting = Vec::with_capacity(BATCH * (inputs + 1));
        Self { inputs, waiting, products: vec![0.0; inputs * inputs], targets: vec![0.0; inputs] }
    }

    /// Adds one observation.
    pub(super) fn add(&mut self, inputs: &[f32], target: f32, weight: f32) {
        let root = weight.sqrt();
        self.waiting.extend(inputs.iter().map(|input| input * root));
        self.waiting.push(target * root);
        if self.waiting.len() == self.waiting.capacity() {
            self.add_waiting();
        }
    }

    /// Adds what waits: of a batch, each product is summed up before it meets the large sums.
    pub(super) fn add_waiting(&mut self) {
        add_waiting(self);
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
                let ridge =
                    if i == j { self.products[row * self.inputs + row] * RIDGE + RIDGE_LEAST } else { 0.0 };
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

/// [`Sums::add_waiting`], for the processor at hand; no product is fused with a sum, so that all processors learn the same.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add_waiting(all: &mut Sums) {
    let width = all.inputs + 1;
    let observations = all.waiting.chunks_exact(width);
    let mut sums = [0.0_f32; INPUTS_MAX];
    for row in 0..all.inputs {
        let sums = &mut sums[..=row];
        sums.fill(0.0);
        let mut target = 0.0;
        for observation in observations.clone() {
            let input = observation[row];
            target += input * observation[width - 1];
            for (sum, other) in sums.iter_mut().zip(observation) {
                *sum += input * other;
            }
        }
        let products = &mut all.products[row * all.inputs..];
        products.iter_mut().zip(sums.iter()).for_each(|(product, sum)| *product += f64::from(*sum));
        all.targets[row] += f64::from(target);
    }
    all.waiting.clear();
}
