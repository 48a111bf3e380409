//! Yes or no, decided by a mixture of what several contexts say (codec SPEC 11).

use super::super::range::{CHANCE_ONE, RangeDecoder, RangeEncoder};

/// Contexts of a decision.
pub(super) const CONTEXTS: usize = 7;
/// Decisions of one context that lie side by side.
pub(super) const NODES: u32 = 16;
/// Lines of nodes of each context, at least and at most (2^8, 2^13).
const LINES_LOG: std::ops::RangeInclusive<u32> = 8..=13;
/// Steps of a score.
const SCORES: usize = 4096;
const SCORE_HALF: i32 = 2048;
/// e^(−1/256), of 2^32.
const DECAY: u64 = 4_278_222_799;
/// No chance is nearer to 0 or 1.
const CHANCE_MIN: u32 = 16;
/// Times a slot learnt, as far as it counts.
const COUNT_MAX: u32 = 255;
/// Bits of a slot that count.
const COUNT_BITS: u32 = 10;
const COUNTS: usize = 1 << COUNT_BITS;
/// How much the score of a slot weighs that learnt so many times, of 256; later all of it.
const TRUST_FULL: i32 = 256;
const TRUST: [i32; 4] = [0, 160, 210, 240];
/// First weight of a context, of 2^16.
const WEIGHT_FIRST: i32 = 14_500;
const WEIGHT_MAX: i32 = 1 << 20;
/// Weights learn by error × score >> this.
const WEIGHT_SHIFT: i32 = 14;
/// Points of a curve, and scores from one to the next.
const POINTS: usize = 33;
const POINT_STEP: usize = 128;
const CURVE_SHIFT: u32 = 5;
/// Chances that are no mixture.
const PLAIN: usize = 1 << 12;
/// Multiplier of the hash (SPEC 11.2).
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// What decisions are written to or read from.
pub(super) trait Decisions {
    /// Writes `yes`, or gives what was written and does not look at it.
    fn decide(&mut self, yes: bool, chance: u32) -> bool;

    /// Whether what follows means nothing.
    fn is_past_end(&self) -> bool {
        false
    }
}

impl Decisions for RangeEncoder {
    fn decide(&mut self, yes: bool, chance: u32) -> bool {
        self.put_decision(yes, chance);
        yes
    }
}

impl Decisions for RangeDecoder<'_> {
    fn decide(&mut self, _: bool, chance: u32) -> bool {
        self.decision(chance)
    }

    fn is_past_end(&self) -> bool {
        self.is_past_end()
    }
}

/// A hash with one more number in it (SPEC 11.2).
pub(super) fn mixed(hash: u64, number: u64) -> u64 {
    (hash ^ hash >> 29).wrapping_add(number).wrapping_add(1).wrapping_mul(MULTIPLIER)
}

/// The hash of some numbers.
pub(super) fn hash<const N: usize>(numbers: [u64; N]) -> u64 {
    numbers.into_iter().fold(0, mixed)
}

/// Chance to score and back (SPEC 11.1).
struct Scores {
    chances: Box<[u32; SCORES]>,
    scores: Box<[i16; SCORES]>,
    /// By count: what the score of a slot weighs, and how fast it learns, 2^16 / (count + 1.5).
    trusts: Box<[i32; COUNTS]>,
    rates: Box<[u32; COUNTS]>,
}

impl Scores {
    fn new() -> Self {
        let mut chances = Box::new([CHANCE_MIN; SCORES]);
        let mut decay = 1_u64 << 32;
        for score in 0..SCORES / 2 {
            let chance = ((u64::from(CHANCE_ONE) << 32) / ((1 << 32) + decay)) as u32;
            let chance = chance.min(CHANCE_ONE - CHANCE_MIN);
            chances.get_mut(SCORES / 2 + score).into_iter().for_each(|place| *place = chance);
            chances.get_mut(SCORES / 2 - score).into_iter().for_each(|place| *place = CHANCE_ONE - chance);
            decay = (decay * DECAY) >> 32;
        }
        let mut score = 0;
        let mut scores = Box::new([0; SCORES]);
        for (chance, place) in (0..).zip(scores.iter_mut()) {
            let below = |score: usize| chances.get(score).is_some_and(|least| *least < chance * 16 + 8);
            while score < SCORES - 1 && below(score) {
                score += 1;
            }
            *place = (score as i32 - SCORE_HALF) as i16;
        }
        let trust = |count| TRUST.get(count).copied().unwrap_or(TRUST_FULL);
        let rate = |count| 2 * CHANCE_ONE / (2 * count as u32 + 3);
        let (trusts, rates) = (Box::new(std::array::from_fn(trust)), Box::new(std::array::from_fn(rate)));
        Self { chances, scores, trusts, rates }
    }

    fn chance(&self, score: i32) -> u32 {
        self.chances.get((score + SCORE_HALF) as usize).copied().unwrap_or(CHANCE_ONE / 2)
    }

    /// Score of a slot, by its trust.
    fn score(&self, slot: u32) -> i32 {
        let score = self.scores.get((slot >> 20) as usize).copied().unwrap_or_default();
        let trust = self.trusts.get(slot as usize % COUNTS).copied().unwrap_or_default();
        (i32::from(score) * trust) >> 8
    }

    /// A slot after it learnt.
    fn learnt(&self, slot: u32, yes: bool) -> u32 {
        let (chance, count) = ((slot >> COUNT_BITS) as i32, slot & ((1 << COUNT_BITS) - 1));
        let target = if yes { (1 << 22) - 1 } else { 0 };
        let rate = self.rates.get(count as usize).copied().unwrap_or_default();
        let chance = chance + ((i64::from(target - chance) * i64::from(rate)) >> 16) as i32;
        (chance as u32) << COUNT_BITS | (count + 1).min(COUNT_MAX)
    }
}

/// A slot that learnt nothing: as likely as not.
const SLOT_NEW: u32 = 1 << 31;

/// All that is learnt while a slab is coded.
pub(super) struct Chances {
    scores: Scores,
    /// Line after line of [`NODES`], those of the first context first.
    slots: Vec<u32>,
    lines_log: u32,
    weights: Vec<[i32; CONTEXTS]>,
    curves: Vec<[u16; POINTS]>,
    plain: Vec<u32>,
    contexts: [u32; CONTEXTS],
    /// Where the lines of the contexts that are set begin.
    lines: [usize; CONTEXTS],
}

/// Which decision of a place it is.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) number: u32,
    /// Which weights, and which curve.
    pub(super) mixer: usize,
    pub(super) curve: usize,
}

impl Chances {
    /// For a slab of so many samples.
    pub(super) fn new(samples: usize, mixers: usize, curves: usize) -> Self {
        let scores = Scores::new();
        let log = usize::BITS - (samples / 4).leading_zeros();
        let lines_log = log.clamp(*LINES_LOG.start(), *LINES_LOG.end());
        let point = |point: usize| {
            let score = (point as i32 - 16) * POINT_STEP as i32;
            scores.chance(score.clamp(1 - SCORE_HALF, SCORE_HALF - 1)) as u16
        };
        let curve: [u16; POINTS] = std::array::from_fn(point);
        Self {
            slots: vec![SLOT_NEW; (CONTEXTS << lines_log) * NODES as usize],
            scores,
            lines_log,
            weights: vec![[WEIGHT_FIRST; CONTEXTS]; mixers],
            curves: vec![curve; curves],
            plain: vec![SLOT_NEW; PLAIN],
            contexts: [0; CONTEXTS],
            lines: [0; CONTEXTS],
        }
    }

    /// Says what the decisions that follow depend on.
    pub(super) fn set(&mut self, contexts: [u64; CONTEXTS]) {
        self.contexts = contexts.map(|hash| (hash >> 32) as u32);
        self.lines = self.lines(0);
    }

    /// Where the lines of some nodes begin.
    fn lines(&self, further: u32) -> [usize; CONTEXTS] {
        let mut lines = [0; CONTEXTS];
        for ((number, context), place) in (0..).zip(self.contexts).zip(&mut lines) {
            let line = context.wrapping_add(further.wrapping_mul(MULTIPLIER as u32));
            let line = (line ^ line >> 15) & ((1 << self.lines_log) - 1);
            *place = (number << self.lines_log | line as usize) * NODES as usize;
        }
        lines
    }

    /// Takes a decision by the contexts that are set.
    pub(super) fn decide(&mut self, coder: &mut impl Decisions, yes: bool, node: Node) -> bool {
        let own = (node.number % NODES) as usize;
        let lines = if node.number < NODES { self.lines } else { self.lines(node.number / NODES) };
        let slots = lines.map(|line| self.slots.get(line + own).copied().unwrap_or(SLOT_NEW));
        let scores = slots.map(|slot| self.scores.score(slot));
        let weights = self.weights.get(node.mixer).copied().unwrap_or_default();
        let products = weights.into_iter().zip(scores).map(|(weight, score)| i64::from(weight * score));
        let sum: i64 = products.sum();
        let score = (sum >> 16).clamp(1 - i64::from(SCORE_HALF), i64::from(SCORE_HALF) - 1) as i32;
        let mixed = self.scores.chance(score);
        let (chance, point) = self.curved(node.curve, score, mixed);
        let yes = coder.decide(yes, chance);
        let target: i32 = if yes { CHANCE_ONE as i32 } else { 0 };
        if let Some(point) = self.curves.get_mut(node.curve).and_then(|curve| curve.get_mut(point)) {
            let aim = target.min(0xFFFF);
            *point = (i32::from(*point) + ((aim - i32::from(*point)) >> CURVE_SHIFT)) as u16;
        }
        let error = (target - mixed as i32) >> 2;
        if let Some(weights) = self.weights.get_mut(node.mixer) {
            for (weight, score) in weights.iter_mut().zip(scores) {
                let step = (score * error + (1 << (WEIGHT_SHIFT - 3))) >> (WEIGHT_SHIFT - 2);
                *weight = (*weight + step).clamp(-WEIGHT_MAX, WEIGHT_MAX);
            }
        }
        for (line, slot) in lines.into_iter().zip(slots) {
            let learnt = self.scores.learnt(slot, yes);
            self.slots.get_mut(line + own).into_iter().for_each(|slot| *slot = learnt);
        }
        yes
    }

    /// The mean of a mixed chance and what became of such before, and the point of the curve that learns.
    fn curved(&self, curve: usize, score: i32, mixed: u32) -> (u32, usize) {
        let place = (score + SCORE_HALF) as usize;
        let (point, part) = (place / POINT_STEP, (place % POINT_STEP) as u32);
        let at = |point: usize| {
            u32::from(self.curves.get(curve).and_then(|curve| curve.get(point)).copied().unwrap_or_default())
        };
        let curved = (at(point) * (POINT_STEP as u32 - part) + at(point + 1) * part) >> 7;
        let chance = ((mixed + curved) >> 1).clamp(CHANCE_MIN, CHANCE_ONE - CHANCE_MIN);
        (chance, point + usize::from(part >= POINT_STEP as u32 / 2))
    }

    /// Takes a decision by one chance alone.
    pub(super) fn plain(&mut self, coder: &mut impl Decisions, yes: bool, number: usize) -> bool {
        let slot = self.plain.get(number % PLAIN).copied().unwrap_or(SLOT_NEW);
        let yes = coder.decide(yes, (slot >> 16).clamp(CHANCE_MIN, CHANCE_ONE - CHANCE_MIN));
        let learnt = self.scores.learnt(slot, yes);
        self.plain.get_mut(number % PLAIN).into_iter().for_each(|slot| *slot = learnt);
        yes
    }
}
