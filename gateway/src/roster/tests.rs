#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(text.parse().unwrap()).unwrap()
}

fn weekly(who: &str, days: &str, from: &str, to: &str) -> Duty {
    Duty { who: who.into(), when: when(days, from, to, "", "").unwrap() }
}

fn roster(duties: &[Duty]) -> Roster {
    Roster { duties: duties.to_vec(), ..Roster::default() }
}

fn names(roster: &Roster, time: &str) -> Vec<String> {
    let zone = zone("Asia/Tokyo");
    roster.on_duty(at(time, &zone), &zone).into_iter().map(|duty| duty.doctor).collect()
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_begins() {
    // 2026-11-27 is a Friday.
    let roster =
        roster(&[weekly("tanaka", "Fri", "17:00", "08:30"), weekly("sato", "Sat", "08:30", "17:00")]);
    for (time, expected) in [
        ("2026-11-27T16:59", vec![]),
        ("2026-11-27T17:00", vec!["tanaka"]),
        ("2026-11-28T00:00", vec!["tanaka"]),
        ("2026-11-28T08:29:59", vec!["tanaka"]),
        ("2026-11-28T08:30", vec!["sato"]),
        ("2026-11-28T17:00", vec![]),
        ("2026-11-29T02:00", vec![]),
    ] {
        assert_eq!(names(&roster, time), expected, "{time}");
    }
}

#[test]
fn a_single_duty_takes_the_place_of_the_weekly_ones() {
    let swap =
        Duty { who: "sato".into(), when: when("", "2026-11-27 17:00", "2026-11-28 08:30", "", "").unwrap() };
    let roster = roster(&[weekly("tanaka", "daily", "17:00", "08:30"), swap]);
    assert_eq!(names(&roster, "2026-11-27T02:00"), ["tanaka"]);
    assert_eq!(names(&roster, "2026-11-28T02:00"), ["sato"]);
    assert_eq!(names(&roster, "2026-11-28T17:00"), ["tanaka"]);
}

#[test]
fn a_group_has_an_order_and_nobody_is_named_twice() {
    let mut roster =
        roster(&[weekly("stroke", "daily", "00:00", "24:00"), weekly("sato", "daily", "00:00", "24:00")]);
    roster.groups.insert("stroke".into(), vec!["tanaka".into(), "sato".into(), "ito".into()]);
    let zone = zone("Asia/Tokyo");
    let on_duty = roster.on_duty(at("2026-11-28T02:00", &zone), &zone);
    let orders: Vec<_> = on_duty.iter().map(|duty| (duty.doctor.as_str(), duty.order)).collect();
    assert_eq!(orders, [("tanaka", 0), ("sato", 0), ("ito", 2)]);
}

#[test]
fn first_and_last_day_bound_a_rule() {
    let when = when("daily", "22:00", "06:00", "2026-03-02", "2026-03-03").unwrap();
    let roster = roster(&[Duty { who: "tanaka".into(), when }]);
    for (time, is_on) in [
        ("2026-03-02T05:00", false),
        ("2026-03-02T22:00", true),
        ("2026-03-04T05:59", true),
        ("2026-03-04T22:00", false),
    ] {
        assert_eq!(!names(&roster, time).is_empty(), is_on, "{time}");
    }
}

#[test]
fn days_are_read_in_both_languages() {
    for (text, days) in [
        ("Mon-Fri", "Mon Tue Wed Thu Fri"),
        ("Fri-Mon", "Mon Fri Sat Sun"),
        ("monday, Sat/Sun", "Mon Sat Sun"),
        ("月〜金", "Mon Tue Wed Thu Fri"),
        ("土日", "Sat Sun"),
        ("月曜日・水曜", "Mon Wed"),
        ("毎日", "Mon Tue Wed Thu Fri Sat Sun"),
    ] {
        assert_eq!(days_words(parse_days(text).unwrap(), false), days, "{text}");
    }
    for text in ["", "Mon-", "-Fri", "Mon--Fri", "someday", "Mon Xyz"] {
        assert_eq!(parse_days(text), None, "{text}");
    }
    assert_eq!(days_words(Days::ALL, true), "月火水木金土日");
}

#[test]
fn a_table_that_is_wrong_says_where() {
    for (text, words) in [
        ("", "line 1: write who"),
        ("who,days,from,to\ntanaka,Mon,17:00\n", "line 2: to"),
        ("who,days,from,to\ntanaka,Mon,17:00,25:00\n", "line 2: to"),
        ("who,days,from,to\n\"a\nb\",Mon,17:00,08:30\ntanaka,never,17:00,08:30\n", "days: write"),
        ("who,days,from,to\ntanaka,,2026-12-31 17:00,2026-12-31 16:00\n", "later than from"),
        ("who,days,from,to,first\ntanaka,Mon,17:00,08:30,soon\n", "first and last"),
    ] {
        let error = from_table(text).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:tana\r\n ka\r\n\
    DTSTART;TZID=Asia/Tokyo:20261127T170000\r\nDTEND;TZID=\"Asia/Tokyo\":20261128T083000\r\nRRULE:FREQ=WEEKLY;BYDAY=FR,SA;UNTIL=20261231T145959Z\r\n\
    BEGIN:VALARM\r\nDTSTART:19700101T000000Z\r\nSUMMARY:not this\r\nEND:VALARM\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nSUMMARY:sato\r\nDTSTART:20261130T080000Z\r\nDURATION:PT15H30M\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nSUMMARY:ito\\, group\r\nDTSTART;VALUE=DATE:20270101\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

#[test]
fn a_calendar_becomes_duties() {
    let duties = from_calendar(CALENDAR, &zone("Asia/Tokyo")).unwrap();
    let table = to_table(&duties);
    assert_eq!(
        table,
        "who,days,from,to,first,last\ntanaka,Fri Sat,17:00,08:30,2026-11-27,2026-12-31\nsato,,2026-11-30 17:00,2026-12-01 08:30,,\n\
         \"ito, group\",,2027-01-01 00:00,2027-01-02 00:00,,\n"
    );
    assert_eq!(from_table(&table).unwrap(), duties);
}

#[test]
fn what_a_calendar_means_and_we_cannot_is_refused_by_name() {
    for (from, to, words) in [
        ("FREQ=WEEKLY;", "FREQ=MONTHLY;", "neither weekly nor daily"),
        ("FREQ=WEEKLY;", "FREQ=WEEKLY;INTERVAL=2;", "INTERVAL"),
        ("FREQ=WEEKLY;", "FREQ=WEEKLY;COUNT=3;", "more than FREQ"),
        ("BYDAY=FR,SA", "BYDAY=1FR", "a day in its RRULE"),
        ("UID:1", "EXDATE:20261204T080000Z", "EXDATE"),
        ("UID:1", "RECURRENCE-ID:20261204T080000Z", "changes one event"),
        ("TZID=Asia/Tokyo", "TZID=Nowhere/Land", "time zone"),
        ("20261128T083000", "20261127T083000", "ends before"),
        ("DTSTART;TZID=Asia/Tokyo:20261127T170000", "X:1", "DTSTART is missing"),
        ("BEGIN:VCALENDAR", "BEGIN:VCARD", "VCALENDAR is missing"),
    ] {
        let error = from_calendar(&CALENDAR.replacen(from, to, 1), &zone("Asia/Tokyo")).unwrap_err();
        assert!(error.contains(words), "{words} not in {error}");
    }
}

proptest! {
    /// Two shifts that share the day leave no minute without a doctor and none with two, also where the clock is turned.
    #[test]
    fn shifts_that_meet_leave_no_gap(
        minute in 0_i64..366 * 24 * 60, from in 0_u16..DAY_MINUTES, to in 0_u16..DAY_MINUTES,
        name in prop::sample::select(vec!["Asia/Tokyo", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"]),
    ) {
        prop_assume!(from != to);
        let shift = |who: &str, from, to| Duty { who: who.into(), when: When::Weekly { days: Days::ALL, from, to, first: None, last: None } };
        let roster = roster(&[shift("day", from, to), shift("night", to, from)]);
        let zone = zone(name);
        let at = Timestamp::from_second(1_767_225_600 + minute * 60).unwrap();
        prop_assert_eq!(roster.on_duty(at, &zone).len(), 1);
    }

    /// A day of 23, 24 or 25 hours is covered whole by a duty from midnight to midnight.
    #[test]
    fn a_whole_day_is_whole(minute in 0_i64..366 * 24 * 60, name in prop::sample::select(vec!["America/New_York", "Europe/Berlin", "America/Sao_Paulo"])) {
        let zone = zone(name);
        let at = Timestamp::from_second(1_767_225_600 + minute * 60).unwrap();
        let day = at.to_zoned(zone.clone()).date();
        let duty = |day| Duty { who: "x".into(), when: When::Weekly { days: Days::ALL, from: 0, to: 0, first: Some(day), last: Some(day) } };
        prop_assert!(duty(day).covers(at, &zone));
        prop_assert!(!duty(day.tomorrow().unwrap()).covers(at, &zone));
        prop_assert!(!duty(day.yesterday().unwrap()).covers(at, &zone));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,400}") {
        let _ = from_table(&text);
        let _ = from_calendar(&format!("BEGIN:VCALENDAR\n{text}"), &TimeZone::UTC);
        let _ = parse_days(&text);
    }
}

#[test]
fn behind_who_was_chosen_stand_those_who_come_later_in_the_order() {
    let on_duty: Vec<OnDuty> = ["a", "b", "c"]
        .into_iter()
        .enumerate()
        .map(|(order, name)| OnDuty { doctor: name.into(), order, group: Some("stroke".into()) })
        .collect();
    let behind = |doctors: &[&str]| {
        let doctors: Vec<String> = doctors.iter().map(|doctor| (*doctor).to_owned()).collect();
        let standby = super::behind(&on_duty, &doctors);
        assert_eq!(
            standby.group.as_deref(),
            (!standby.doctors.is_empty() || doctors == ["c"]).then_some("stroke")
        );
        standby.doctors
    };
    assert_eq!(behind(&["a"]), ["b", "c"]);
    assert_eq!(behind(&["b"]), ["c"]);
    assert_eq!(behind(&["a", "c"]), ["b"]);
    assert!(behind(&["c"]).is_empty() && behind(&["d"]).is_empty() && behind(&[]).is_empty());
}

#[test]
fn what_runs_every_day_ends_by_the_clock_on_the_wall() {
    let tokyo = zone("Asia/Tokyo");
    let until = |from: u16, to: u16, time: &str, zone: &TimeZone| {
        running_until(from * 60, to * 60, at(time, zone), zone)
            .map(|end| end.to_zoned(zone.clone()).datetime().to_string())
    };
    for (time, expected) in [
        ("2026-11-27T21:59:59", None),
        ("2026-11-27T22:00", Some("2026-11-28T07:00:00")),
        ("2026-11-28T06:59:59", Some("2026-11-28T07:00:00")),
        ("2026-11-28T07:00", None),
    ] {
        assert_eq!(until(22, 7, time, &tokyo).as_deref(), expected, "{time}");
    }
    assert_eq!(until(12, 13, "2026-11-27T12:30", &tokyo).as_deref(), Some("2026-11-27T13:00:00"));
    assert_eq!(until(12, 13, "2026-11-27T11:30", &tokyo), None);
    // Clocks go from 02:00 to 03:00, and in autumn from 03:00 back to 02:00.
    let berlin = zone("Europe/Berlin");
    assert_eq!(until(22, 2, "2026-03-29T01:30", &berlin).as_deref(), Some("2026-03-29T03:00:00"));
    assert_eq!(until(22, 7, "2026-10-25T02:30", &berlin).as_deref(), Some("2026-10-25T07:00:00"));
}
