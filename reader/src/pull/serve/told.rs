//! What the service has said, so that what is as it was is not said again.

use super::{Exit, Outcome, PullError, State};
use seal::ids::DeliveryId;
use std::collections::{BTreeSet, HashMap};

/// What can be down by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Mailbox,
    Forwarding,
    Deletion,
}

impl Part {
    fn trouble(self) -> &'static str {
        match self {
            Self::Mailbox => "nothing can be pulled now, it is tried again",
            Self::Forwarding => "nothing can be forwarded now, it is tried again",
            Self::Deletion => "images that were forwarded cannot all be deleted, it is tried again",
        }
    }

    fn well(self) -> &'static str {
        match self {
            Self::Mailbox => "the mailbox can be read again",
            Self::Forwarding => "forwarding goes on",
            Self::Deletion => "deletion goes on",
        }
    }
}

#[derive(Default)]
pub(super) struct Told {
    /// Reasons and notes.
    deliveries: HashMap<DeliveryId, BTreeSet<String>>,
    parts: HashMap<Part, String>,
}

impl Told {
    /// A line for each delivery with news.
    pub(super) fn of_deliveries(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes.iter().filter(|outcome| !outcome.is_quiet()) {
            let words: BTreeSet<String> = outcome.reason.iter().chain(&outcome.notes).cloned().collect();
            let told = self.deliveries.entry(outcome.delivery).or_default();
            if outcome.state == State::Pulled || !words.is_subset(told) {
                match outcome.exit {
                    Exit::Done => tracing::info!("{outcome}"),
                    _ => tracing::warn!("{outcome}"),
                }
            }
            // A trouble that is over and comes back is news.
            if outcome.exit == Exit::Done {
                told.clear();
            }
            told.extend(words);
        }
    }

    pub(super) fn trouble(&mut self, part: Part, error: &PullError) {
        let words = error.to_string();
        if self.parts.get(&part) != Some(&words) {
            tracing::error!(act = "operator", "{}: {words}", part.trouble());
            self.parts.insert(part, words);
        }
    }

    pub(super) fn well(&mut self, part: Part) {
        if self.parts.remove(&part).is_some() {
            tracing::info!("{}", part.well());
        }
    }
}
