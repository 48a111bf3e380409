//! The rules under test: those that the gateway runs by, and the same with a bug in them that the oracle must find.

use crate::journal::Ended;
use crate::notify::{Aged, Next, Raise, Standing, alarm_at, ends, next, raises};
use serde::Serialize;

/// By how much a late one is late.
const LATE_MS: i64 = 5_000;

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Bug {
    /// A channel takes notices and sends none.
    SendsNothing,
    /// Who opened it is told again and again who did not.
    DeafToOpening,
    /// The last of a group is never told.
    SkipsTheLast,
    /// The page never rings.
    NeverAlarms,
    /// What nobody has opened ends by its time, whether somebody has heard the alarm or not.
    EndsUnheard,
    /// The next one is told five seconds late.
    Late,
    /// Further channels are never tried.
    OneChannel,
}

#[derive(Clone, Copy)]
pub(super) struct Rules(pub(super) Option<Bug>);

impl Rules {
    pub(super) fn next(self, standings: &[Standing], after_ms: i64) -> Next {
        match (self.0, next(&self.seen(standings), after_ms)) {
            (Some(Bug::Late), Next::Tell { doctor, at_ms }) => {
                Next::Tell { doctor, at_ms: at_ms.saturating_add(LATE_MS) }
            }
            (Some(Bug::SkipsTheLast), Next::Tell { .. }) if left(standings) == 1 => Next::Over,
            (_, next) => next,
        }
    }

    pub(super) fn raises(
        self,
        standings: &[Standing],
        after_ms: i64,
        next_level: impl Fn(&str, u32) -> Option<u32>,
    ) -> Vec<Raise> {
        match self.0 {
            Some(Bug::OneChannel) => Vec::new(),
            _ => raises(&self.seen(standings), after_ms, next_level),
        }
    }

    pub(super) fn alarm_at(
        self,
        standings: &[Standing],
        escalate_ms: Option<i64>,
        alarm_ms: i64,
    ) -> Option<i64> {
        match self.0 {
            Some(Bug::NeverAlarms) => None,
            _ => alarm_at(&self.seen(standings), escalate_ms, alarm_ms),
        }
    }

    pub(super) fn ends(self, aged: Aged) -> Option<Ended> {
        let heard = aged.alarm_was_heard || self.0 == Some(Bug::EndsUnheard);
        ends(Aged { alarm_was_heard: heard, ..aged })
    }

    pub(super) fn sends(self) -> bool {
        self.0 != Some(Bug::SendsNothing)
    }

    fn seen(self, standings: &[Standing]) -> Vec<Standing> {
        let deaf = self.0 == Some(Bug::DeafToOpening);
        standings.iter().map(|one| Standing { has_opened: one.has_opened && !deaf, ..one.clone() }).collect()
    }
}

fn left(standings: &[Standing]) -> usize {
    standings.iter().filter(|one| one.stands_behind > 0 && one.escalated_at_ms.is_none()).count()
}
