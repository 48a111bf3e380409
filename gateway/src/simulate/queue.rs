//! simulate --queue: millions of schedules of faults through the rules of the queue ([`crate::queue`]). An oracle that reads the log and what is left
//! at rest, and knows none of the rules, says what must not be. A schedule is its seed: the same seed is the same schedule.

// Places come from the world's own rows: a wrong one must stop the run, not pass.
#[expect(clippy::indexing_slicing)]
mod choose;
mod faults;
#[expect(clippy::indexing_slicing)]
mod gateway;
mod log;
#[expect(clippy::indexing_slicing)]
mod mailing;
mod oracle;
#[expect(clippy::indexing_slicing)]
mod outside;
mod peers;
#[expect(clippy::indexing_slicing)]
mod rest;
mod rules;
#[expect(clippy::indexing_slicing)]
mod spool;
#[expect(clippy::indexing_slicing)]
mod world;

pub use rules::QueueBug;

use super::NAMED_MAX;
use faults::{ACTS, Coverage, FAULTS, Pair};
use peers::Happened;
use serde::Serialize;
use std::fmt;
use std::time::Instant;
use world::World;

/// Events with faults of a schedule, at least and at most; what it takes to come to rest is added.
const EVENTS_MIN: u32 = 50;
const EVENTS_MAX: u32 = 250;

/// A schedule in which something was that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueViolation {
    /// `--queue --schedules 1 --seed SEED` is this schedule.
    pub seed: u64,
    /// What.
    pub what: &'static str,
}

/// What many schedules showed.
#[derive(Clone, Serialize)]
pub struct QueueReport {
    /// Of the first schedule; that of each further one is one more.
    pub seed: u64,
    /// How many.
    pub schedules: u64,
    /// Acts, faults and passages of time in all of them.
    pub events: u64,
    /// Those of the shortest.
    pub events_min: u32,
    /// The bug that was planted.
    pub bug: Option<QueueBug>,
    /// Pairs of act and fault that can be.
    pub pairs: usize,
    /// Those that came about.
    pub pairs_reached: usize,
    /// Each act with each fault: how often, or why it cannot be.
    coverage: Vec<Pair>,
    /// Acts that were never done without a fault.
    undone: Vec<faults::Act>,
    /// How many the oracle found.
    pub violations: u64,
    /// The first of them, by seed.
    pub named: Vec<QueueViolation>,
    /// What happened, where it was one schedule alone.
    happened: Vec<Happened>,
    /// How long this took.
    pub seconds: f64,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Schedules {
    /// How many.
    pub schedules: u64,
    /// Of the first.
    pub seed: u64,
    /// A bug to plant.
    pub bug: Option<QueueBug>,
}

#[derive(Default)]
struct Found {
    coverage: Coverage,
    events: u64,
    events_min: Option<u32>,
    schedules: u64,
    violations: u64,
    named: Vec<QueueViolation>,
    happened: Vec<Happened>,
}

/// Runs schedules on all processors, and has each judged.
pub fn simulate_queue(run: Schedules) -> QueueReport {
    let began = Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, |workers| workers.get() as u64);
    let parts: Vec<Found> = std::thread::scope(|scope| {
        let begun: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || work(run, worker, workers))).collect();
        begun.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut all = Found::default();
    for part in parts {
        all.coverage.add(&part.coverage);
        all.events += part.events;
        all.schedules += part.schedules;
        all.violations += part.violations;
        all.events_min = all.events_min.into_iter().chain(part.events_min).min();
        all.named.extend(part.named);
        all.happened.extend(part.happened);
    }
    all.named.sort_by_key(|violation| violation.seed);
    all.named.truncate(NAMED_MAX);
    let coverage: Vec<_> = all.coverage.pairs().collect();
    let possible = || coverage.iter().filter(|pair| pair.cannot.is_none());
    QueueReport {
        seed: run.seed,
        schedules: all.schedules,
        events: all.events,
        events_min: all.events_min.unwrap_or(0),
        bug: run.bug,
        pairs: possible().count(),
        pairs_reached: possible().filter(|pair| !pair.is_missed()).count(),
        undone: all.coverage.undone(),
        coverage,
        violations: all.violations,
        named: all.named,
        happened: all.happened,
        seconds: began.elapsed().as_secs_f64(),
    }
}

fn work(run: Schedules, worker: u64, workers: u64) -> Found {
    let (mut found, mut log, mut what) = (Found::default(), Vec::new(), Vec::new());
    for number in (worker..run.schedules).step_by(usize::try_from(workers).unwrap_or(1)) {
        let seed = run.seed.wrapping_add(number);
        let mut world = World::new(seed, run.bug, &mut found.coverage, &mut log);
        world.happened = (run.schedules == 1).then(Vec::new);
        let events = world.chance.u32(EVENTS_MIN..=EVENTS_MAX);
        let rest = world.run(events);
        let events = world.events;
        found.happened.extend(world.happened.unwrap_or_default());
        oracle::judge(&log, &rest, &mut what);
        found.schedules += 1;
        found.events += u64::from(events);
        found.events_min = Some(found.events_min.map_or(events, |least| least.min(events)));
        found.violations += what.len() as u64;
        for what in what.drain(..).take(NAMED_MAX.saturating_sub(found.named.len())) {
            found.named.push(QueueViolation { seed, what });
        }
    }
    found
}

impl QueueReport {
    /// Each act was done, and each fault that can strike it did.
    pub fn is_covered(&self) -> bool {
        self.pairs_reached == self.pairs && self.undone.is_empty()
    }
}

impl fmt::Display for QueueReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, schedules, events, events_min, pairs, pairs_reached, violations, seconds, .. } =
            self;
        writeln!(
            formatter,
            "seed {seed}: {schedules} schedules, {events} events, at least {events_min} in each"
        )?;
        writeln!(formatter, "{pairs_reached} of {pairs} pairs of act and fault:")?;
        for (act, row) in ACTS.into_iter().zip(self.coverage.chunks(FAULTS.len())) {
            write!(formatter, "{:<14}", format!("{act:?}"))?;
            for pair in row.iter().filter(|pair| pair.cannot.is_none()) {
                write!(formatter, " {:?} {}", pair.fault, pair.times)?;
            }
            writeln!(formatter)?;
        }
        for (fault, column) in FAULTS.into_iter().enumerate() {
            let rows = self.coverage.iter().skip(fault).step_by(FAULTS.len());
            let mut reasons: Vec<_> = rows.filter_map(|pair| pair.cannot).collect();
            reasons.sort_unstable();
            reasons.dedup();
            if !reasons.is_empty() {
                writeln!(formatter, "{column:?} strikes no other act: it {}", reasons.join(", or "))?;
            }
        }
        for act in &self.undone {
            writeln!(formatter, "never done: {act:?}")?;
        }
        for happened in &self.happened {
            writeln!(formatter, "{happened}")?;
        }
        for QueueViolation { seed, what } in &self.named {
            writeln!(formatter, "schedule {seed}: {what}")?;
        }
        write!(formatter, "{violations} violations, {seconds:.1} s")
    }
}

#[cfg(test)]
mod tests;
