//! Schedules through the rules of the queue, and through gateways with a bug.
#![allow(clippy::indexing_slicing)]

use super::*;
use clap::ValueEnum;

/// What every run of the tests goes through, and what is promised ([docs/reliability.md](../../../../docs/reliability.md)).
const SAMPLE: u64 = 20_000;
const ALL: u64 = 10_000_000;

fn judged(schedules: u64, seed: u64) -> QueueReport {
    let report = simulate_queue(Schedules { schedules, seed, bug: None });
    println!("{report}");
    assert_eq!(report.violations, 0, "{:?}", report.named);
    assert_eq!(report.schedules, schedules);
    assert!(report.events_min >= EVENTS_MIN);
    report
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_seen_twice() {
    let report = judged(SAMPLE, 1);
    let missed: Vec<_> =
        report.coverage.iter().filter(|pair| pair.is_missed()).map(|pair| (pair.act, pair.fault)).collect();
    assert!(missed.is_empty() && report.undone.is_empty(), "{missed:?} {:?}", report.undone);
}

#[test]
#[ignore = "long"]
fn nothing_acknowledged_is_lost_in_ten_million_schedules() {
    assert!(judged(ALL, 1).is_covered());
}

#[test]
fn each_planted_bug_is_found() {
    for bug in QueueBug::value_variants() {
        let report = simulate_queue(Schedules { schedules: SAMPLE, seed: 1, bug: Some(*bug) });
        println!("{bug:?}: {} found, {:?}", report.violations, report.named.first());
        assert!(report.violations > 0, "{bug:?} was not found");
    }
}

#[test]
fn a_seed_is_its_schedule() {
    let many = simulate_queue(Schedules { schedules: SAMPLE, seed: 1, bug: Some(QueueBug::ShowsTwice) });
    let first = &many.named[0];
    let again =
        || simulate_queue(Schedules { schedules: 1, seed: first.seed, bug: Some(QueueBug::ShowsTwice) });
    let (one, two) = (again(), again());
    assert!(one.named.contains(first), "{:?}", one.named);
    let told = |report: &QueueReport| report.happened.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(&one), told(&two));
    assert!(!told(&one).is_empty());
}

#[test]
fn each_fault_strikes_somewhere_and_each_act_can_be_struck() {
    for fault in FAULTS {
        assert!(ACTS.into_iter().any(|act| act.cannot(fault).is_none()), "{fault:?}");
    }
    for (place, act) in ACTS.into_iter().enumerate() {
        assert_eq!(act as usize, place, "counts are kept by place");
        assert!(FAULTS.into_iter().any(|fault| act.cannot(fault).is_none()), "{act:?}");
    }
}
