//! Assemble: when is a study all there? The decision is pure; asking the PACS is its only question (DESIGN 6).

mod collector;

pub use collector::Collector;

use crate::journal::Choice;
use seal::cover::Completeness;

/// Milliseconds of silence that matter.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// After the last association, before the PACS is asked.
    pub settle_ms: u64,
    /// After which what is there is delivered all the same.
    pub silence_ms: u64,
}

/// What is known about a delivery that still collects.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Milliseconds since the last instance came or the last association that brought one ended.
    pub quiet_ms: u64,
    /// An association that brought instances of this delivery is still open.
    pub association_open: bool,
    /// Its instances.
    pub instances: u32,
    /// What the PACS says.
    pub listing: Listing,
}

/// What the PACS says about the series that were sent (IMAGE-level C-FIND, PS3.4 C.6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It was not asked since the last instance came.
    NotAsked,
    /// It listed them; so many instances are in no delivery of the case.
    Lists {
        /// Instances listed and not held.
        missing: u32,
    },
    /// No PACS is configured for the sender.
    NobodyToAsk,
    /// It was asked since the last instance came, and did not answer.
    NoAnswer,
}

/// What to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Look again after this many milliseconds, or when something comes.
    Wait {
        /// Milliseconds, at least 1.
        for_ms: u64,
    },
    /// Ask the PACS.
    Ask,
    /// Nothing more is waited for.
    Deliver(Completeness),
}

/// Decides. A study that the PACS confirms goes at once; anything else goes at the end of the silence, and says so.
pub fn decide(facts: Facts, silence: Silence) -> Decision {
    let Facts { quiet_ms, association_open, instances, listing } = facts;
    let silent = quiet_ms >= silence.silence_ms;
    let settled = quiet_ms >= silence.settle_ms && !association_open;
    match listing {
        _ if !settled && !silent => {
            Decision::Wait { for_ms: until(next_look(association_open, silence), quiet_ms) }
        }
        Listing::NotAsked => Decision::Ask,
        Listing::Lists { missing: 0 } => Decision::Deliver(Completeness::Proved { instances }),
        Listing::Lists { missing } if silent => {
            Decision::Deliver(Completeness::Partial { instances, listed: instances.saturating_add(missing) })
        }
        Listing::NobodyToAsk | Listing::NoAnswer if silent => {
            Decision::Deliver(Completeness::NotProved { instances })
        }
        _ => Decision::Wait { for_ms: until(silence.silence_ms, quiet_ms) },
    }
}

/// What else is known of a delivery that a person asked for.
#[derive(Clone, Copy, Debug)]
pub struct PressFacts {
    /// Milliseconds since the press.
    pub pressed_ms: u64,
    /// Milliseconds for which the PACS lists instances that it does not give.
    pub missing_ms: u64,
    /// What a person said about them.
    pub choice: Option<Choice>,
}

/// What to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PressDecision {
    /// Look again after this many milliseconds, or when something comes.
    Wait {
        /// Milliseconds, at least 1.
        for_ms: u64,
    },
    /// Ask the PACS, again if it was asked, and fetch what it lists and is not here.
    Ask,
    /// Instances are missing; wait for a person's word this many milliseconds, then ask again.
    Offer {
        /// Milliseconds, at least 1.
        for_ms: u64,
    },
    /// There is no image to deliver: the PACS has none, or does not answer.
    Nothing,
    /// Nothing more is waited for.
    Deliver(Completeness),
}

/// Pause before a PACS that did not answer, or did not give what it lists, is asked again, in milliseconds: images that are just being made
/// are there after some seconds.
const ASK_AGAIN_MS: u64 = 10_000;

/// Decides about a delivery that a person asked for: all of the study is meant. What the PACS lists and does not give is a person's choice;
/// after `choice_ms` without one it goes as it is, since somebody waits for it.
pub fn decide_press(facts: Facts, press: PressFacts, silence: Silence, choice_ms: u64) -> PressDecision {
    let Facts { quiet_ms, association_open, instances, listing } = facts;
    let under_way = association_open && quiet_ms < silence.silence_ms;
    match listing {
        _ if instances > 0 && under_way => {
            PressDecision::Wait { for_ms: until(silence.silence_ms, quiet_ms) }
        }
        Listing::NotAsked => PressDecision::Ask,
        Listing::Lists { missing } if missing > 0 => {
            let listed = instances.saturating_add(missing);
            let goes = match press.choice {
                Some(Choice::Wait) => false,
                Some(Choice::Partial) => true,
                None => press.missing_ms >= choice_ms,
            };
            match (goes, instances) {
                (true, 1..) => PressDecision::Deliver(Completeness::Partial { instances, listed }),
                (false, _) if press.choice.is_none() => {
                    PressDecision::Offer { for_ms: until(choice_ms, press.missing_ms).min(ASK_AGAIN_MS) }
                }
                _ => PressDecision::Offer { for_ms: ASK_AGAIN_MS },
            }
        }
        _ if instances == 0 => PressDecision::Nothing,
        Listing::Lists { .. } => PressDecision::Deliver(Completeness::Proved { instances }),
        Listing::NobodyToAsk if quiet_ms >= silence.silence_ms => {
            PressDecision::Deliver(Completeness::NotProved { instances })
        }
        Listing::NobodyToAsk => PressDecision::Wait { for_ms: until(silence.silence_ms, quiet_ms) },
        Listing::NoAnswer if press.choice == Some(Choice::Wait) => {
            PressDecision::Offer { for_ms: ASK_AGAIN_MS }
        }
        Listing::NoAnswer if press.pressed_ms >= silence.silence_ms => {
            PressDecision::Deliver(Completeness::NotProved { instances })
        }
        Listing::NoAnswer => {
            PressDecision::Offer { for_ms: until(silence.silence_ms, press.pressed_ms).min(ASK_AGAIN_MS) }
        }
    }
}

fn next_look(association_open: bool, silence: Silence) -> u64 {
    if association_open { silence.silence_ms } else { silence.settle_ms.min(silence.silence_ms) }
}

fn until(limit_ms: u64, quiet_ms: u64) -> u64 {
    limit_ms.saturating_sub(quiet_ms).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SILENCE: Silence = Silence { settle_ms: 2_000, silence_ms: 30_000 };

    fn facts(quiet_ms: u64, listing: Listing) -> Facts {
        Facts { quiet_ms, association_open: false, instances: 149, listing }
    }

    #[test]
    fn a_confirmed_study_goes_as_soon_as_it_settled() {
        assert_eq!(decide(facts(1_500, Listing::NotAsked), SILENCE), Decision::Wait { for_ms: 500 });
        assert_eq!(decide(facts(2_000, Listing::NotAsked), SILENCE), Decision::Ask);
        let all = Listing::Lists { missing: 0 };
        assert_eq!(
            decide(facts(2_100, all), SILENCE),
            Decision::Deliver(Completeness::Proved { instances: 149 })
        );
    }

    #[test]
    fn a_missing_image_is_waited_for_and_then_said_aloud() {
        let listing = Listing::Lists { missing: 1 };
        assert_eq!(decide(facts(2_100, listing), SILENCE), Decision::Wait { for_ms: 27_900 });
        assert_eq!(
            decide(facts(30_000, listing), SILENCE),
            Decision::Deliver(Completeness::Partial { instances: 149, listed: 150 })
        );
    }

    #[test]
    fn without_an_answer_silence_decides_and_proves_nothing() {
        for listing in [Listing::NobodyToAsk, Listing::NoAnswer] {
            assert_eq!(decide(facts(29_999, listing), SILENCE), Decision::Wait { for_ms: 1 });
            assert_eq!(
                decide(facts(30_000, listing), SILENCE),
                Decision::Deliver(Completeness::NotProved { instances: 149 })
            );
        }
    }

    #[test]
    fn an_open_association_is_waited_for_until_it_falls_silent() {
        let open = |quiet_ms| Facts { association_open: true, ..facts(quiet_ms, Listing::NobodyToAsk) };
        assert_eq!(decide(open(5_000), SILENCE), Decision::Wait { for_ms: 25_000 });
        assert!(matches!(decide(open(30_000), SILENCE), Decision::Deliver(_)));
    }

    fn press(facts: Facts, choice: Option<Choice>) -> PressDecision {
        let press = PressFacts { pressed_ms: 60_000, missing_ms: 60_000, choice };
        decide_press(facts, press, SILENCE, 300_000)
    }

    #[test]
    fn a_pressed_study_is_asked_for_and_goes_once_all_of_it_is_here() {
        assert_eq!(press(facts(90_000, Listing::NotAsked), None), PressDecision::Ask);
        let first = PressFacts { pressed_ms: 0, missing_ms: 0, choice: None };
        let all = facts(0, Listing::Lists { missing: 0 });
        let proved = PressDecision::Deliver(Completeness::Proved { instances: 149 });
        assert_eq!(decide_press(all, first, SILENCE, 300_000), proved);
    }

    #[test]
    fn what_the_pacs_does_not_give_is_a_persons_choice() {
        let missing = facts(90_000, Listing::Lists { missing: 1 });
        let partial = PressDecision::Deliver(Completeness::Partial { instances: 149, listed: 150 });
        assert_eq!(press(missing, None), PressDecision::Offer { for_ms: ASK_AGAIN_MS });
        assert_eq!(press(missing, Some(Choice::Wait)), PressDecision::Offer { for_ms: ASK_AGAIN_MS });
        assert_eq!(press(missing, Some(Choice::Partial)), partial);
        let late = |choice| {
            let press = PressFacts { pressed_ms: 400_000, missing_ms: 300_000, choice };
            decide_press(missing, press, SILENCE, 300_000)
        };
        assert_eq!(late(None), partial);
        assert_eq!(late(Some(Choice::Wait)), PressDecision::Offer { for_ms: ASK_AGAIN_MS });
    }

    #[test]
    fn an_answer_that_fails_to_come_overrules_nobody_who_waits() {
        let silent = facts(90_000, Listing::NoAnswer);
        assert_eq!(press(silent, Some(Choice::Wait)), PressDecision::Offer { for_ms: ASK_AGAIN_MS });
        let not_proved = PressDecision::Deliver(Completeness::NotProved { instances: 149 });
        assert_eq!(press(silent, None), not_proved);
    }

    #[test]
    fn nothing_is_never_delivered() {
        for listing in [Listing::NoAnswer, Listing::NobodyToAsk, Listing::Lists { missing: 0 }] {
            let none = Facts { instances: 0, ..facts(90_000, listing) };
            assert_eq!(press(none, Some(Choice::Partial)), PressDecision::Nothing);
        }
        let none = Facts { instances: 0, ..facts(90_000, Listing::Lists { missing: 9 }) };
        for choice in [None, Some(Choice::Partial), Some(Choice::Wait)] {
            let long = PressFacts { pressed_ms: 900_000, missing_ms: 900_000, choice };
            let asked = decide_press(none, long, SILENCE, 300_000);
            assert_eq!(
                asked,
                PressDecision::Offer { for_ms: ASK_AGAIN_MS },
                "no PACS is asked without a pause"
            );
        }
    }

    proptest! {
        /// Whatever the facts, a silent study is asked about or delivered, never waited for.
        #[test]
        fn silence_always_ends(quiet_ms in 30_000_u64.., association_open: bool, missing in 0_u32..9, kind in 0..4) {
            let listing = match kind {
                0 => Listing::NotAsked,
                1 => Listing::Lists { missing },
                2 => Listing::NobodyToAsk,
                _ => Listing::NoAnswer,
            };
            let decision = decide(Facts { quiet_ms, association_open, instances: 1, listing }, SILENCE);
            let waits = matches!(decision, Decision::Wait { .. });
            prop_assert!(!waits);
        }
    }
}
