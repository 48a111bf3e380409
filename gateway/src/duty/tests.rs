//! What is due, by roster, journal and time.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::roster::{Duty as Line, when};
use compressor::Uid;
use proptest::prelude::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn local(text: &str, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(text.parse().unwrap()).unwrap()
}

fn line(who: &str, days: &str, from: &str, to: &str) -> Line {
    Line { who: who.into(), when: when(days, from, to, "", "").unwrap() }
}

fn roster(duties: &[Line]) -> Roster {
    Roster { duties: duties.to_vec(), ..Roster::default() }
}

fn settings() -> Duty {
    Duty { daily_to: None, daily_at: "08:00".into(), ..Duty::default() }
}

/// What began so, at that time.
fn begun(due: &DueTest, now: Timestamp) -> DutyTest {
    DutyTest {
        id: 0,
        kind: due.kind,
        doctor: due.doctor.clone(),
        occasion: due.occasion.clone(),
        study: Uid::parse("2.25.1").unwrap(),
        began_at_ms: now.as_millisecond(),
        delivery: None,
        returned_at_ms: None,
        answered_at_ms: None,
        late_at_ms: None,
        seconds: None,
        ended_at_ms: None,
    }
}

/// Looks at these local times, one after the other, and begins what is due. Gives who was tested, and when.
fn run<'a>(
    settings: &Duty,
    roster: &Roster,
    zone: &TimeZone,
    looks: impl IntoIterator<Item = &'a str>,
) -> Vec<(String, String)> {
    let (mut tests, mut told) = (Vec::new(), Vec::new());
    for look in looks {
        let now = local(look, zone);
        for due in due(settings, roster, &tests, |doctor| doctor != "mailonly", now, zone) {
            tests.push(begun(&due, now));
            told.push((due.doctor, look.to_owned()));
        }
    }
    told
}

/// Every minute of some days, as the clock shows them.
fn minutes(first: &str, days: i16, zone: &TimeZone) -> Vec<String> {
    let first =
        zone.to_ambiguous_zoned(first.parse::<jiff::civil::DateTime>().unwrap()).compatible().unwrap();
    let all = (0..i64::from(days) * 1440).map(|minute| first.timestamp() + SignedDuration::from_mins(minute));
    all.map(|at| at.to_string()).collect()
}

/// As [`run`], at moments.
fn run_at(settings: &Duty, roster: &Roster, zone: &TimeZone, looks: &[String]) -> Vec<(String, String)> {
    let (mut tests, mut told) = (Vec::new(), Vec::new());
    for look in looks {
        let now: Timestamp = look.parse().unwrap();
        for due in due(settings, roster, &tests, |_| true, now, zone) {
            tests.push(begun(&due, now));
            let at = now.to_zoned(zone.clone()).strftime("%m-%d %H:%M").to_string();
            told.push((due.doctor, at));
        }
    }
    told
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(doctor, at)| ((*doctor).to_owned(), (*at).to_owned())).collect()
}

#[test]
fn a_night_is_tested_once_when_it_begins_and_after_midnight_no_more() {
    let tokyo = zone("Asia/Tokyo");
    // 2026-11-27 is a Friday.
    let roster = roster(&[line("tanaka", "Fri", "17:00", "08:30"), line("sato", "Sat", "08:30", "17:00")]);
    let told = run_at(&settings(), &roster, &tokyo, &minutes("2026-11-27T12:00", 2, &tokyo));
    assert_eq!(told, pairs(&[("tanaka", "11-27 17:00"), ("sato", "11-28 08:30")]));
    let late = run(&settings(), &roster, &tokyo, ["2026-11-28T03:00", "2026-11-28T03:01"]);
    assert_eq!(late, pairs(&[("tanaka", "2026-11-28T03:00")]), "the gateway was off when it began");
}

#[test]
fn who_stands_behind_is_tested_too_and_who_has_only_a_mail_program_is_not() {
    let tokyo = zone("Asia/Tokyo");
    let mut roster = roster(&[line("stroke", "daily", "17:00", "08:30")]);
    roster.groups.insert("stroke".into(), vec!["tanaka".into(), "mailonly".into(), "ito".into()]);
    let told =
        run(&settings(), &roster, &tokyo, ["2026-11-27T17:00", "2026-11-27T23:00", "2026-11-28T17:00"]);
    let expected = [
        ("tanaka", "2026-11-27T17:00"),
        ("ito", "2026-11-27T17:00"),
        ("tanaka", "2026-11-28T17:00"),
        ("ito", "2026-11-28T17:00"),
    ];
    assert_eq!(told, pairs(&expected));
    let off = Duty { readiness: false, ..settings() };
    assert_eq!(run(&off, &roster, &tokyo, ["2026-11-27T17:00"]), []);
}

#[test]
fn duties_that_meet_are_one_and_a_long_one_is_tested_by_day() {
    let tokyo = zone("Asia/Tokyo");
    let all = [
        line("tanaka", "Fri", "17:00", "08:30"),
        line("tanaka", "Sat Sun", "08:30", "08:30"),
        line("sato", "Mon", "08:30", "17:00"),
    ];
    let told = run_at(&settings(), &roster(&all), &tokyo, &minutes("2026-11-27T12:00", 4, &tokyo));
    let expected = [
        ("tanaka", "11-27 17:00"),
        ("tanaka", "11-29 08:00"),
        ("tanaka", "11-30 08:00"),
        ("sato", "11-30 08:30"),
    ];
    assert_eq!(told, pairs(&expected));
    let always = roster(&[line("tanaka", "daily", "00:00", "24:00")]);
    let told = run_at(&settings(), &always, &tokyo, &minutes("2026-11-27T12:00", 3, &tokyo));
    let expected = [
        ("tanaka", "11-27 12:00"),
        ("tanaka", "11-28 08:00"),
        ("tanaka", "11-29 08:00"),
        ("tanaka", "11-30 08:00"),
    ];
    assert_eq!(told, pairs(&expected), "nobody is woken at midnight");
}

#[test]
fn a_swapped_night_is_tested_for_who_has_it_and_again_for_who_comes_back() {
    let tokyo = zone("Asia/Tokyo");
    let swap =
        Line { who: "sato".into(), when: when("", "2026-11-27 20:00", "2026-11-27 22:00", "", "").unwrap() };
    let roster = roster(&[line("tanaka", "daily", "17:00", "08:30"), swap]);
    let told = run_at(&settings(), &roster, &tokyo, &minutes("2026-11-27T12:00", 1, &tokyo));
    assert_eq!(told, pairs(&[("tanaka", "11-27 17:00"), ("sato", "11-27 20:00"), ("tanaka", "11-27 22:00")]));
}

#[test]
fn where_the_clock_is_turned_each_duty_and_each_day_has_one_test() {
    let berlin = zone("Europe/Berlin");
    let daily = Duty { daily_to: Some("constancy".into()), daily_at: "02:30".into(), ..settings() };
    let night = roster(&[line("tanaka", "daily", "02:30", "08:00")]);
    // In 2026 the clock skips 02:00 to 03:00 on March 29, and shows it twice on October 25.
    for (first, days) in [
        (
            "2026-03-28T12:00",
            [("constancy", "03-28 12:00"), ("constancy", "03-29 03:30"), ("tanaka", "03-29 03:30")],
        ),
        (
            "2026-10-24T12:00",
            [("constancy", "10-24 12:00"), ("constancy", "10-25 02:30"), ("tanaka", "10-25 02:30")],
        ),
    ] {
        let told = run_at(&daily, &night, &berlin, &minutes(first, 1, &berlin));
        assert_eq!(told, pairs(&days), "{first}");
    }
}

#[test]
fn the_daily_test_runs_once_a_day_whenever_the_gateway_is_started() {
    let tokyo = zone("Asia/Tokyo");
    let daily = Duty { daily_to: Some("constancy".into()), ..settings() };
    let looks = [
        "2026-11-27T07:59",
        "2026-11-27T14:00",
        "2026-11-27T14:01",
        "2026-11-27T23:59",
        "2026-11-28T00:00",
        "2026-11-28T08:00",
    ];
    let told = run(&daily, &roster(&[]), &tokyo, looks);
    assert_eq!(told, pairs(&[("constancy", "2026-11-27T14:00"), ("constancy", "2026-11-28T08:00")]));
}

#[test]
fn a_clock_that_jumps_sends_no_storm() {
    let tokyo = zone("Asia/Tokyo");
    let daily = Duty { daily_to: Some("constancy".into()), ..settings() };
    let roster = roster(&[line("tanaka", "daily", "17:00", "08:30")]);
    let looks =
        ["2026-11-27T18:00", "2031-01-05T18:00", "2026-11-27T18:01", "2031-01-05T18:01", "2026-11-27T18:02"];
    let told = run(&daily, &roster, &tokyo, looks);
    let expected = [
        ("constancy", "2026-11-27T18:00"),
        ("tanaka", "2026-11-27T18:00"),
        ("constancy", "2031-01-05T18:00"),
        ("tanaka", "2031-01-05T18:00"),
    ];
    assert_eq!(told, pairs(&expected));
}

#[test]
fn a_roster_that_is_changed_in_the_night_tests_who_is_new() {
    let tokyo = zone("Asia/Tokyo");
    let now = local("2026-11-27T18:00", &tokyo);
    let before =
        due(&settings(), &roster(&[line("tanaka", "daily", "17:00", "08:30")]), &[], |_| true, now, &tokyo);
    let tests: Vec<_> = before.iter().map(|due| begun(due, now)).collect();
    let longer =
        roster(&[line("tanaka", "daily", "16:00", "09:00"), line("sato", "daily", "16:00", "09:00")]);
    let later = local("2026-11-27T19:00", &tokyo);
    let told: Vec<_> = due(&settings(), &longer, &tests, |_| true, later, &tokyo);
    assert_eq!(told.iter().map(|due| due.doctor.as_str()).collect::<Vec<_>>(), ["sato"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Two shifts that share the day are each tested as often as they begin, however often it is looked, also where the clock is turned.
    #[test]
    fn each_shift_has_one_test(
        day in 0_i64..364, from in 0_u16..1440, to in 0_u16..1440, step in 1_i64..90,
        name in prop::sample::select(vec!["Asia/Tokyo", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]),
    ) {
        prop_assume!(from != to);
        let zone = zone(name);
        let shift = |who: &str, from, to| Line { who: who.into(), when: crate::roster::When::Weekly {
            days: crate::roster::Days::ALL, from, to, first: None, last: None } };
        let roster = roster(&[shift("day", from, to), shift("night", to, from)]);
        let first = Timestamp::from_second(1_767_225_600 + day * 86_400).unwrap();
        let (mut tests, mut changes, mut last) = (Vec::new(), 0, None);
        for minute in (0..3 * 1440).step_by(usize::try_from(step).unwrap()) {
            let now = first + SignedDuration::from_mins(minute);
            let on = roster.on_duty(now, &zone).first().map(|duty| duty.doctor.clone());
            changes += usize::from(on != last);
            last = on;
            for due in due(&settings(), &roster, &tests, |_| true, now, &zone) {
                prop_assert_eq!(Some(&due.doctor), last.as_ref());
                tests.push(begun(&due, now));
            }
        }
        // A shift that is shorter than a look may be missed twice; none is tested twice.
        prop_assert!(tests.len() >= changes, "{} tests of {changes} shifts", tests.len());
        let mut occasions: Vec<_> = tests.iter().map(|test| (test.doctor.clone(), test.occasion.clone())).collect();
        occasions.sort();
        occasions.dedup();
        prop_assert_eq!(occasions.len(), tests.len());
    }
}
