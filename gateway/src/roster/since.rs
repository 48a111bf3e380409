//! Since when somebody is on duty: duties that meet are one, by whatever lines they are made up.

use super::{Duty, Roster, When, begin, end, instant};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::collections::BTreeSet;

/// How many days a duty is followed back: a week on call, and a day around it.
pub const DUTY_DAYS_MAX: i32 = 9;

impl Roster {
    /// Since when a doctor has been on duty without a gap; none where it is nobody's duty now. At most [`DUTY_DAYS_MAX`] before `at`.
    pub fn on_duty_since(&self, doctor: &str, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = at.to_zoned(zone.clone()).date();
        let first = today.checked_sub(DUTY_DAYS_MAX.days()).unwrap_or(today);
        let from = instant(first.at(0, 0, 0, 0), zone);
        let near = Self { groups: self.groups.clone(), duties: self.near(from, at, zone) };
        let is_on = |at| near.on_duty(at, zone).iter().any(|duty| duty.doctor == doctor);
        if !is_on(at) {
            return None;
        }
        // Where a duty begins or ends, back in time: what stood before such a moment stood since the one before.
        let mut edges: BTreeSet<Timestamp> =
            near.duties.iter().flat_map(|duty| edges(duty, first, today, zone)).collect();
        edges.retain(|edge| from < *edge && *edge <= at);
        let was_on = |edge: &Timestamp| is_on(*edge - SignedDuration::from_nanos(1));
        Some(edges.into_iter().rev().find(|edge| !was_on(edge)).unwrap_or(from))
    }

    /// Duties that may last in this time.
    fn near(&self, from: Timestamp, to: Timestamp, zone: &TimeZone) -> Vec<Duty> {
        let is_near = |duty: &&Duty| match &duty.when {
            When::Once { from: begins, to: ends } => {
                instant(*begins, zone) <= to && from <= instant(*ends, zone)
            }
            When::Weekly { first, last, .. } => {
                let day = |at: Timestamp| at.to_zoned(zone.clone()).date();
                first.is_none_or(|first| first <= day(to)) && last.is_none_or(|last| day(from) <= last)
            }
        };
        self.duties.iter().filter(is_near).cloned().collect()
    }
}

/// When a duty begins and ends, as far as it does so on these days.
fn edges(duty: &Duty, first: Date, last: Date, zone: &TimeZone) -> Vec<Timestamp> {
    match &duty.when {
        When::Once { from, to } => vec![instant(*from, zone), instant(*to, zone)],
        When::Weekly { from, to, .. } => {
            let days = first.series(1.day()).take_while(|day| *day <= last);
            days.flat_map(|day| [begin(day, *from, zone), end(day, *from, *to, zone)]).collect()
        }
    }
}
