//! The rules under test: those that the gateway runs by, and the same with a bug in them that the oracle must find.

use crate::journal::Ended;
use crate::notify::{Aged, Escalation, Next, Raise, Rules, Standing, ends};
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
    /// One after the other is told, and never everybody at once.
    NeverEverybody,
    /// Who has quiet hours is woken for what is not urgent.
    Wakes,
    /// A doctor hands a case over, and the gateway goes on as if it were opened.
    KeepsWhatIsHandedOver,
}

#[derive(Clone, Copy)]
pub(super) struct Tried(pub(super) Option<Bug>);

impl Tried {
    pub(super) fn next(self, it: Escalation<'_>) -> Next {
        let next = self.of(it, |it| it.next());
        match (self.0, next) {
            (Some(Bug::Late), Next::Tell { doctor, at_ms }) => {
                Next::Tell { doctor, at_ms: at_ms.saturating_add(LATE_MS) }
            }
            (Some(Bug::SkipsTheLast), Next::Tell { .. }) if left(it.standings) == 1 => Next::Over,
            (_, next) => next,
        }
    }

    pub(super) fn raises(self, it: Escalation<'_>) -> Vec<Raise> {
        match self.0 {
            Some(Bug::OneChannel) => Vec::new(),
            _ => self.of(it, |it| it.raises()),
        }
    }

    pub(super) fn alarm_at_ms(self, it: Escalation<'_>) -> Option<i64> {
        match self.0 {
            Some(Bug::NeverAlarms) => None,
            _ => self.of(it, |it| it.alarm_at_ms()),
        }
    }

    pub(super) fn ends(self, aged: Aged) -> Option<Ended> {
        let heard = aged.alarm_was_heard || self.0 == Some(Bug::EndsUnheard);
        ends(Aged { alarm_was_heard: heard, ..aged })
    }

    pub(super) fn sends(self) -> bool {
        self.0 != Some(Bug::SendsNothing)
    }

    /// Whether a notice waits until quiet hours are over.
    pub(super) fn lets_sleep(self) -> bool {
        self.0 != Some(Bug::Wakes)
    }

    pub(super) fn hears_of_hand_overs(self) -> bool {
        self.0 != Some(Bug::KeepsWhatIsHandedOver)
    }

    fn of<T>(self, it: Escalation<'_>, answer: impl FnOnce(Escalation<'_>) -> T) -> T {
        let deaf = self.0 == Some(Bug::DeafToOpening);
        let seen = |one: &Standing| Standing { has_opened: one.has_opened && !deaf, ..one.clone() };
        let standings: Vec<_> = it.standings.iter().map(seen).collect();
        let everybody_after_ms = it.rules.everybody_after_ms.filter(|_| self.0 != Some(Bug::NeverEverybody));
        let rules = Rules { everybody_after_ms, ..it.rules };
        answer(Escalation { standings: &standings, rules, ..it })
    }
}

fn left(standings: &[Standing]) -> usize {
    standings.iter().filter(|one| one.stands_behind > 0 && one.escalated_at_ms.is_none()).count()
}
