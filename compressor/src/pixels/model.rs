//! Prediction of a sample from those before it, with a bias learnt for each texture (SPEC 6.4, 6.5).

use super::rice::Mean;
use super::table::Table;

/// Textures: three differences in nine steps each; the sign of the first that is not zero is taken away.
const TEXTURES: usize = 1024;
/// Steps of the energy around a sample.
const ENERGIES: usize = 64;
/// Samples of one texture after which its sums are halved.
const BIAS_COUNT_MAX: i32 = 64;
/// Steps at which a difference of 12-bit samples counts as larger (ITU-T T.87 C.2.4.1.1).
const STEPS: [i32; 3] = [3, 7, 21];

/// Samples already known around the next one.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) west: i32,
    pub(super) north: i32,
    pub(super) north_west: i32,
    pub(super) north_east: i32,
}

impl Around {
    /// Whether a run starts or goes on here.
    #[inline(always)]
    pub(super) fn is_flat(self) -> bool {
        self.west == self.north && self.north == self.north_west && self.north == self.north_east
    }

    /// Median edge detector of LOCO-I: west or north at an edge, else the plane through all three.
    #[inline(always)]
    fn median(self) -> i32 {
        let (low, high) = (self.west.min(self.north), self.west.max(self.north));
        (self.west + self.north - self.north_west).clamp(low, high)
    }
}

#[derive(Clone, Copy)]
struct Bias {
    sum: i32,
    count: i32,
    correction: i32,
}

/// What the model says of one sample.
#[derive(Clone, Copy)]
pub(super) struct Prediction {
    /// The value expected.
    pub(super) value: i32,
    /// The error is coded with its sign turned.
    pub(super) turned: bool,
    texture: usize,
    energy: usize,
}

/// Everything learnt of one component in one slab.
pub(super) struct Model {
    biases: Table<Bias, TEXTURES>,
    means: Table<Mean, ENERGIES>,
    /// Means of the samples that end a run, where the sample above equals the run's value or not.
    pub(super) run_ends: [Mean; 2],
    max: i32,
    steps: [i32; 3],
}

impl Model {
    /// A model of samples from 0 to `max`.
    pub(super) fn new(max: i32) -> Self {
        let start = Mean::new(((max + 1) as u32 / 32).clamp(2, 1 << 8));
        Self {
            biases: Table::new(Bias { sum: 0, count: 1, correction: 0 }),
            means: Table::new(start),
            run_ends: [start; 2],
            max,
            steps: steps(max),
        }
    }

    /// Predicts the next sample; `errors` is the sum of the errors just west, north and north-east.
    #[inline(always)]
    pub(super) fn predict(&mut self, around: Around, errors: i32) -> Prediction {
        let east = around.north_east - around.north;
        let middle = around.north - around.north_west;
        let west = around.north_west - around.west;
        let texture = 81 * self.step(east) + 9 * self.step(middle) + self.step(west);
        let turned = texture < 0;
        let texture = texture.unsigned_abs() as usize;
        let correction = self.biases.at(texture).correction;
        let corrected = around.median() + if turned { -correction } else { correction };
        let spread = east.abs() + middle.abs() + west.abs();
        Prediction { value: corrected.clamp(0, self.max), turned, texture, energy: energy(spread, errors) }
    }

    /// The mean of the numbers coded where `prediction` was made.
    #[inline(always)]
    pub(super) fn mean(&mut self, prediction: Prediction) -> &mut Mean {
        self.means.at(prediction.energy)
    }

    /// Learns the error of a prediction, with its sign turned where the prediction says so (ITU-T T.87 A.6.2).
    #[inline(always)]
    pub(super) fn learn(&mut self, prediction: Prediction, error: i32) {
        let bias = self.biases.at(prediction.texture);
        bias.sum += error;
        bias.count += 1;
        if bias.count > BIAS_COUNT_MAX {
            bias.sum >>= 1;
            bias.count >>= 1;
        }
        if bias.sum <= -bias.count {
            bias.correction -= 1;
            bias.sum = (bias.sum + bias.count).max(1 - bias.count);
        } else if bias.sum > 0 {
            bias.correction += 1;
            bias.sum = (bias.sum - bias.count).min(0);
        }
    }

    #[inline(always)]
    fn step(&self, difference: i32) -> i32 {
        let size = difference.abs();
        let [first, second, third] = self.steps;
        let step = i32::from(size > 0)
            + i32::from(size >= first)
            + i32::from(size >= second)
            + i32::from(size >= third);
        step * difference.signum()
    }
}

fn steps(max: i32) -> [i32; 3] {
    let factor = (max.min(4095) + 128) / 256;
    STEPS.map(|step| (step * factor).max(1))
}

/// Two steps for each doubling.
#[inline(always)]
fn energy(spread: i32, errors: i32) -> usize {
    let sum = (spread + 2 * errors + 1) as u32;
    let log = sum.ilog2();
    (2 * log + (sum << 1 >> log & 1)) as usize
}
