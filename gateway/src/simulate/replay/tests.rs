//! Histories that may be, and some that may not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::journal::DoctorHistory;

/// Of a delivery that went to one doctor in two pieces, and was fetched.
fn history() -> History {
    let stages = ["receive", "compress", "seal", "submit", "notify", "pulled"];
    History {
        delivery: DeliveryId([7; 16]),
        state: State::Pulled,
        is_residual: false,
        pieces: 2,
        stages: stages
            .into_iter()
            .zip((1..).map(|at_ms| Some(at_ms * 10)))
            .map(|(stage, at)| (stage.into(), at))
            .collect(),
        parts: vec![(1, "sato".into(), 31), (2, "sato".into(), 32), (0, "sato".into(), 33)],
        doctors: vec![DoctorHistory {
            doctor: "sato".into(),
            refused: false,
            notified_at_ms: Some(45),
            pulled_at_ms: Some(55),
            opened_at_ms: None,
        }],
        withdrawn_at_ms: None,
    }
}

#[test]
fn a_delivery_that_went_its_way_is_a_path() {
    assert_eq!(walk(&history()), Ok(11));
    let closed = History { state: State::Closed, withdrawn_at_ms: Some(99), ..history() };
    assert_eq!(walk(&closed), Ok(12));
    let told_again = History { state: State::Submitted, stages: history().stages[..5].to_vec(), ..history() };
    assert_eq!(walk(&told_again), Ok(10));
    let failed = History {
        state: State::Failed,
        stages: history().stages[..2].to_vec(),
        parts: Vec::new(),
        ..history()
    };
    let untold = DoctorHistory { notified_at_ms: None, pulled_at_ms: None, ..history().doctors[0].clone() };
    let failed = History { doctors: vec![untold], ..failed };
    assert_eq!(walk(&failed), Ok(2));
}

#[test]
fn what_cannot_be_is_named() {
    let wrong = |history: History, what: &str| {
        let found = walk(&history).unwrap_err();
        assert!(found.contains(what), "{found}");
    };
    let mut early = history();
    early.parts[2].2 = 31;
    early.parts[1].2 = 32;
    wrong(early, "the cover goes last");
    let mut unsealed = history();
    unsealed.parts[0].2 = 25;
    wrong(unsealed, "it is not sealed");
    let mut skipped = history();
    skipped.stages.remove(1);
    wrong(skipped, "it is not compressed");
    let mut unmailed = history();
    unmailed.parts.pop();
    wrong(unmailed, "a doctor lacks the cover");
    let mut unread = history();
    unread.doctors[0].pulled_at_ms = None;
    wrong(unread, "nobody has fetched it");
    wrong(History { state: State::Sealed, ..history() }, "what happened leads to pulled");
    wrong(History { state: State::Recalled, ..history() }, "what happened leads to pulled");
}
