//! Nights through the rules, and through rules with a bug.

use super::*;
use clap::ValueEnum;

const CASES: u32 = 10_000;

#[test]
fn every_case_of_a_night_ends_opened_or_with_a_person() {
    for seed in 0..3 {
        let report = simulate(CASES, seed, Settings::default(), None);
        println!(
            "seed {seed}: {} opened, {} alarmed, {} escalations, latest {} ms, {:.2} s",
            report.counts.opened,
            report.counts.alarmed,
            report.counts.escalations,
            report.latest_ms,
            report.seconds
        );
        assert_eq!(report.violations, 0, "{:?}", report.named);
        let Counts { cases, opened, alarmed, closed, expired, unopened, failed, .. } = report.counts;
        assert_eq!((cases, closed + expired + unopened + failed), (CASES, CASES));
        assert!(
            opened > CASES / 2 && alarmed > 100 && unopened > 100 && report.counts.handed_over > 100,
            "all kinds of ends must be there"
        );
    }
}

#[test]
fn settings_of_others_hold_too() {
    for escalate_after_ms in [None, Some(1_000), Some(600_000)] {
        for everybody_after_ms in [None, Some(1_000), Some(900_000)] {
            for (channel_after_ms, alarm_after_ms) in [(None, 1_000), (Some(200_000), 3_600_000)] {
                let rules = Rules { channel_after_ms, escalate_after_ms, everybody_after_ms, alarm_after_ms };
                let settings = Settings { rules, ..Settings::default() };
                let report = simulate(1_000, 5, settings, None);
                assert_eq!(report.violations, 0, "{settings:?}: {:?}", report.named);
            }
        }
    }
}

#[test]
fn the_same_seed_is_the_same_night() {
    let night = |seed| simulate(500, seed, Settings::default(), None).counts;
    assert_eq!(night(7), night(7));
    assert_ne!(night(7), night(8));
}

#[test]
fn each_planted_bug_is_found() {
    for bug in Bug::value_variants() {
        let report = simulate(CASES, 11, Settings::default(), Some(*bug));
        println!("{bug:?}: {} found, {:?}", report.violations, report.named.first());
        assert!(report.violations > 0, "{bug:?} was not found");
    }
}
