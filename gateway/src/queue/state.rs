//! The states of a delivery, and the only steps from one to another.

/// The last stage that a delivery has behind it (DESIGN 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Instances are arriving, and nobody has asked yet that they be delivered.
    Held,
    /// It is to be delivered; instances are arriving.
    Received,
    /// What belongs to it is fixed.
    Assembled,
    /// The bundle is durable.
    Compressed,
    /// Pieces and cover are durable.
    Sealed,
    /// The mail server accepted every part for every recipient that it takes mail for.
    Submitted,
    /// The phone's mail server accepted the notice.
    Notified,
    /// Every recipient's signed receipt is here.
    Pulled,
    /// It cannot go on by itself: a dead letter that a person must look at.
    Failed,
    /// Withdrawn before anything of it was mailed.
    Cancelled,
    /// Withdrawn after that: what was mailed is deleted where the mailbox gives the right to.
    Recalled,
    /// Its case has ended, and what was mailed is deleted in the same way.
    Closed,
}

/// What of a dead letter is durable: where it is taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its instances.
    Instances,
    /// And which of them belong to it.
    Completeness,
    /// And the bundle.
    Bundle,
    /// And pieces and cover, of which the mail server has taken a part: they are not sealed anew.
    Parts,
}

/// Whether a failure makes a delivery a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivesUp {
    /// It is tried again.
    No,
    /// Trying again will not help.
    Yes,
    /// Not as long as received files of it are damaged or gone: the same bytes may have come meanwhile.
    WhileDamaged,
}

/// What may happen to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A person asks for it.
    Pressed,
    /// What belongs to it is fixed.
    Assembled,
    /// The bundle is durable.
    Compressed,
    /// Pieces and cover are durable.
    Sealed,
    /// The mail server has all of it.
    Submitted,
    /// All doctors who are told by now were notified.
    Notified,
    /// All receipts that are waited for are here.
    Pulled,
    /// It failed for good.
    GivenUp,
    /// A residual that nobody fetched in time.
    NotFetched,
    /// A person has a dead letter tried again.
    TakenUp(Kept),
    /// Another notice goes: a person asks for it, or somebody's turn came.
    ToldAgain,
    /// It is withdrawn, and nothing of it was mailed.
    Cancelled,
    /// It is withdrawn.
    Recalled,
    /// Its case ends.
    Closed,
}

impl State {
    /// All of them, in the order of the stages.
    pub const ALL: [Self; 12] = [
        Self::Held,
        Self::Received,
        Self::Assembled,
        Self::Compressed,
        Self::Sealed,
        Self::Submitted,
        Self::Notified,
        Self::Pulled,
        Self::Failed,
        Self::Cancelled,
        Self::Recalled,
        Self::Closed,
    ];

    /// Where a step leads from here; none where it is not for this state: then nothing happens.
    pub fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Held, Step::Pressed) => Some(Self::Received),
            (Self::Received, Step::Assembled) => Some(Self::Assembled),
            (Self::Assembled, Step::Compressed) => Some(Self::Compressed),
            (Self::Compressed, Step::Sealed) => Some(Self::Sealed),
            (Self::Sealed, Step::Submitted) => Some(Self::Submitted),
            (Self::Submitted, Step::Notified) => Some(Self::Notified),
            // The doctor may fetch it while the notice is on its way.
            (Self::Submitted | Self::Notified, Step::Pulled) => Some(Self::Pulled),
            (Self::Notified, Step::ToldAgain) => Some(Self::Submitted),
            (Self::Notified, Step::NotFetched) => Some(Self::Failed),
            (state, Step::GivenUp) if state.is_under_way() => Some(Self::Failed),
            (Self::Failed, Step::TakenUp(kept)) => Some(match kept {
                Kept::Instances => Self::Received,
                Kept::Completeness => Self::Assembled,
                Kept::Bundle => Self::Compressed,
                Kept::Parts => Self::Sealed,
            }),
            (state, Step::Cancelled) if !state.is_over() => Some(Self::Cancelled),
            (state, Step::Recalled) if !state.is_over() => Some(Self::Recalled),
            (state, Step::Closed) if !state.is_over() => Some(Self::Closed),
            _ => None,
        }
    }

    /// Withdrawn or ended: nothing happens to it any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Cancelled | Self::Recalled | Self::Closed)
    }

    /// The doctors have it, or it is over.
    pub fn is_done(self) -> bool {
        self == Self::Pulled || self.is_over()
    }

    /// The gateway has something to do for it, or waits for a doctor.
    pub fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Received
                | Self::Assembled
                | Self::Compressed
                | Self::Sealed
                | Self::Submitted
                | Self::Notified
        )
    }

    /// The word in journal, log and page.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Received => "received",
            Self::Assembled => "assembled",
            Self::Compressed => "compressed",
            Self::Sealed => "sealed",
            Self::Submitted => "submitted",
            Self::Notified => "notified",
            Self::Pulled => "pulled",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Recalled => "recalled",
            Self::Closed => "closed",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// The states from which a step leads somewhere, as a list in SQL: `'held', 'received'`.
    pub fn sql_before(step: Step) -> String {
        sql(|state| state.after(step).is_some())
    }

    /// The states that are over, as a list in SQL.
    pub fn sql_over() -> String {
        sql(Self::is_over)
    }
}

fn sql(is_meant: impl Fn(State) -> bool) -> String {
    let words = State::ALL.into_iter().filter(|state| is_meant(*state));
    words.map(|state| format!("'{}'", state.word())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 17] = [
        Step::Pressed,
        Step::Assembled,
        Step::Compressed,
        Step::Sealed,
        Step::Submitted,
        Step::Notified,
        Step::Pulled,
        Step::GivenUp,
        Step::NotFetched,
        Step::TakenUp(Kept::Instances),
        Step::TakenUp(Kept::Completeness),
        Step::TakenUp(Kept::Bundle),
        Step::TakenUp(Kept::Parts),
        Step::ToldAgain,
        Step::Cancelled,
        Step::Recalled,
        Step::Closed,
    ];

    #[test]
    fn no_step_leaves_a_state_that_is_over_and_a_dead_letter_goes_on_by_a_person_alone() {
        for step in STEPS {
            for state in State::ALL.into_iter().filter(|state| state.is_over()) {
                assert_eq!(state.after(step), None, "{state:?} {step:?}");
            }
            let by_a_person =
                matches!(step, Step::TakenUp(_) | Step::Cancelled | Step::Recalled | Step::Closed);
            assert_eq!(State::Failed.after(step).is_some(), by_a_person, "{step:?}");
        }
    }

    #[test]
    fn no_step_is_done_twice_and_none_but_another_try_or_notice_goes_back() {
        for state in State::ALL {
            for step in STEPS {
                let Some(next) = state.after(step) else { continue };
                assert_eq!(next.after(step), None, "{state:?} {step:?}");
                let goes_back = matches!(step, Step::TakenUp(_) | Step::ToldAgain);
                assert_eq!(next < state, goes_back, "{state:?} {step:?}");
            }
        }
    }

    #[test]
    fn words_and_lists_of_sql() {
        for state in State::ALL {
            assert_eq!(State::parse(state.word()), Some(state));
        }
        assert_eq!(State::parse("lost"), None);
        assert_eq!(State::sql_over(), "'cancelled', 'recalled', 'closed'");
        assert_eq!(State::sql_before(Step::Pulled), "'submitted', 'notified'");
        assert_eq!(
            State::sql_before(Step::GivenUp),
            "'received', 'assembled', 'compressed', 'sealed', 'submitted', 'notified'"
        );
    }
}
