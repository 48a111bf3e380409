//! Assemble: when is a study all there? The decision is pure; asking the PACS is its only question (DESIGN 6).

mod collector;

pub use collector::Collector;

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
