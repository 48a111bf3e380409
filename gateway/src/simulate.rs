//! simulate: a night of cases with failures that a seed draws, run through the rules that the gateway runs by. An oracle that was written apart from
//! them, and knows the log of events alone, says what went wrong.

mod night;
mod oracle;
mod queue;
mod replay;
mod rules;

pub use oracle::Violation;
pub use queue::{QueueBug, QueueReport, QueueViolation, Schedules, simulate_queue};
pub use replay::{Replayed, Wrong, replay};
pub use rules::Bug;

use crate::config::{Case, Config};
use crate::notify::Rules;
use serde::Serialize;
use std::fmt;
use std::time::Instant;

/// Lengths of time, in milliseconds.
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Without a configuration: one minute until further channels are tried, three until the next doctor is told, eight until everybody is.
const RULES: Rules = Rules {
    channel_after_ms: Some(60_000),
    escalate_after_ms: Some(180_000),
    everybody_after_ms: Some(480_000),
    alarm_after_ms: 0,
};
/// Exit code of a night in which something was that must not be.
pub const EXIT_VIOLATED: u8 = 3;
/// Violations that a report names; the rest is counted.
const NAMED_MAX: usize = 20;

/// By which the gateway acts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// See `[notify]`.
    #[serde(flatten)]
    pub rules: Rules,
    /// See `[case] expire_hours`.
    pub expire_ms: i64,
}

impl Settings {
    /// Those of a gateway.
    pub fn of(config: &Config) -> Self {
        Self { rules: config.rules(None), expire_ms: config.case.expire_ms() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let case = Case::default();
        Self { rules: Rules { alarm_after_ms: case.alarm_after_ms(), ..RULES }, expire_ms: case.expire_ms() }
    }
}

/// What happened in a night, as the log says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Cases in all.
    pub cases: u32,
    /// Somebody opened it.
    pub opened: u32,
    /// Nobody had opened it in time: the hospital was alarmed.
    pub alarmed: u32,
    /// Ended by a person.
    pub closed: u32,
    /// Ended by its time, opened.
    pub expired: u32,
    /// Ended by its time, unopened, after an alarm that was heard.
    pub unopened: u32,
    /// The mail server took it for nobody: a dead letter, which the page shows.
    pub failed: u32,
    /// Doctors who were told because those before did not open it.
    pub escalations: u32,
    /// Cases that a doctor who had opened them handed over.
    pub handed_over: u32,
    /// Times that further channels were tried for a doctor.
    pub raises: u32,
    /// Notices that a channel took.
    pub notices: u32,
    /// Entries of the log.
    pub events: usize,
}

/// What a night showed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The same seed is the same night.
    pub seed: u64,
    /// What the rules were told.
    pub settings: Settings,
    /// The bug that was planted.
    pub bug: Option<Bug>,
    /// What happened.
    #[serde(flatten)]
    pub counts: Counts,
    /// The latest escalation or alarm behind its time, in milliseconds of the night; what fell due while the gateway was down counts from its start.
    pub latest_ms: i64,
    /// How many the oracle found.
    pub violations: usize,
    /// The first of them.
    pub named: Vec<Violation>,
    /// How long this took.
    pub seconds: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            cases,
            opened,
            alarmed,
            closed,
            expired,
            unopened,
            failed,
            escalations,
            raises,
            handed_over,
            notices,
            ..
        } = self.counts;
        writeln!(
            formatter,
            "seed {}: {cases} cases, {opened} opened; {alarmed} alarms of the hospital",
            self.seed
        )?;
        writeln!(
            formatter,
            "ended: {closed} closed, {expired} by their time, {unopened} unopened after an alarm that was heard, {failed} dead letters"
        )?;
        writeln!(
            formatter,
            "{notices} notices, {escalations} doctors told because others did not open it, {raises} times further channels, {handed_over} handed over; at most {} ms late",
            self.latest_ms
        )?;
        for Violation { case, at_ms, what } in &self.named {
            writeln!(formatter, "case {case} at {:.1} s: {what}", *at_ms as f64 / 1000.0)?;
        }
        write!(formatter, "{} violations, {:.1} s", self.violations, self.seconds)
    }
}

/// Any seed.
pub fn any_seed() -> u64 {
    fastrand::u64(..)
}

/// Runs a night and has it judged.
pub fn simulate(cases: u32, seed: u64, settings: Settings, bug: Option<Bug>) -> Report {
    let began = Instant::now();
    let log = night::run(cases, seed, settings, bug);
    let judged = oracle::judge(&log, settings);
    let violations = judged.violations.len();
    let named = judged.violations.into_iter().take(NAMED_MAX).collect();
    let seconds = began.elapsed().as_secs_f64();
    Report {
        seed,
        settings,
        bug,
        counts: judged.counts,
        latest_ms: judged.latest_ms,
        violations,
        named,
        seconds,
    }
}

#[cfg(test)]
mod tests;
