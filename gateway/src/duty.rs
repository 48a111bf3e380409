//! Tests with synthetic cases: of who goes on duty, and of the whole way once a day (DIN 6868-159). Which are due is a function of roster, journal and
//! time; what is sent is made here, and goes the way of any other study.

mod phantom;
mod report;

pub use phantom::{SLICES, Slice, note, phantom, slice, values};
pub use report::{DutyReport, NotReachable, SHOWN};

use crate::config::Duty;
use crate::journal::{DutyTest, TestKind};
use crate::roster::{Roster, instant, time};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// A doctor whose duty goes on for longer is tested again.
const LONG: SignedDuration = SignedDuration::from_hours(24);

/// A test that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTest {
    /// What for.
    pub kind: TestKind,
    /// Name in the configuration.
    pub doctor: String,
    /// See [`DutyTest::occasion`].
    pub occasion: String,
}

/// Which tests are to begin now. `tests`: those of the last [`crate::roster::DUTY_DAYS_MAX`] days at least; `can_answer`: whether a doctor of the roster
/// is one who sends receipts. However the clock jumps, at most one for each doctor on duty and one of the day.
pub fn due(
    settings: &Duty,
    roster: &Roster,
    tests: &[DutyTest],
    can_answer: impl Fn(&str) -> bool,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<DueTest> {
    let daily = daily(settings, tests, now, zone);
    let on_duty = if settings.readiness { roster.on_duty(now, zone) } else { Vec::new() };
    let doctors = on_duty.into_iter().map(|duty| duty.doctor).filter(|doctor| can_answer(doctor));
    let readiness = doctors.filter_map(|doctor| {
        let begins = occasion(settings, roster, &doctor, now, zone)?;
        let occasion = begins.to_string();
        let is_same = |test: &DutyTest| {
            test.kind == TestKind::Readiness
                && test.doctor == doctor
                && (test.occasion == occasion || (begins..=now).contains(&at(test.began_at_ms)))
        };
        let is_new = !tests.iter().any(is_same);
        is_new.then_some(DueTest { kind: TestKind::Readiness, doctor, occasion })
    });
    daily.into_iter().chain(readiness).collect()
}

/// One a day, at its time or at the first moment of the same day at which the gateway runs.
fn daily(settings: &Duty, tests: &[DutyTest], now: Timestamp, zone: &TimeZone) -> Option<DueTest> {
    let doctor = settings.daily_to.clone()?;
    let today = now.to_zoned(zone.clone()).date();
    let occasion = today.to_string();
    let is_new = !tests.iter().any(|test| test.kind == TestKind::Daily && test.occasion == occasion);
    let is_time = daily_at(settings, today, zone) <= now;
    (is_new && is_time).then_some(DueTest { kind: TestKind::Daily, doctor, occasion })
}

/// When a doctor's duty began, or the time of the daily test once it has gone on for a day.
fn occasion(
    settings: &Duty,
    roster: &Roster,
    doctor: &str,
    now: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    let since = roster.on_duty_since(doctor, now, zone)?;
    let today = now.to_zoned(zone.clone()).date();
    let yesterday = today.checked_sub(1.day()).unwrap_or(today);
    let again = [today, yesterday].map(|day| daily_at(settings, day, zone));
    let again = again.into_iter().find(|again| *again <= now && *again - LONG >= since);
    Some(again.unwrap_or(since))
}

fn daily_at(settings: &Duty, day: Date, zone: &TimeZone) -> Timestamp {
    instant(day.to_datetime(time(settings.daily_minute())), zone)
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

#[cfg(test)]
mod tests;
