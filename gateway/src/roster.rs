//! The on-call roster: who is on duty at a moment, by rules for weekdays and single duties. Pure; days and times are the site's.

mod calendar;
mod since;
mod table;

pub use calendar::from_calendar;
pub use since::DUTY_DAYS_MAX;
pub use table::{days_words, from_table, parse_days, to_table, when};

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;
/// Duties that a roster may have: some thousand lines of a year's calendar.
pub const DUTIES_MAX: usize = 5_000;

/// One line of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty {
    /// A doctor of the configuration, or a group.
    pub who: String,
    /// When.
    pub when: When,
}

/// When a duty is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// On days of the week.
    Weekly {
        /// The days on which it begins.
        days: Days,
        /// Minute of the day.
        from: u16,
        /// Minute of the day; of the next one where it is not later than `from`.
        to: u16,
        /// Not before this day.
        first: Option<Date>,
        /// Not after this day.
        last: Option<Date>,
    },
    /// Once. As long as one such duty lasts, the weekly ones do not count: it is how a night is swapped.
    Once {
        /// Begins.
        from: DateTime,
        /// Ends.
        to: DateTime,
    },
}

/// Days of the week: 1 Monday, 64 Sunday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(pub u8);

impl Days {
    /// All of them.
    pub const ALL: Self = Self(0x7F);

    /// Whether a day is one of them.
    pub fn has(self, day: Weekday) -> bool {
        self.0 & 1 << day.to_monday_zero_offset() != 0
    }

    /// With one more.
    #[must_use]
    pub fn with(self, day: Weekday) -> Self {
        Self(self.0 | 1 << day.to_monday_zero_offset())
    }
}

/// Everything that is known of who is on call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Doctors of each group, in the order in which they are told.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The duties.
    pub duties: Vec<Duty>,
}

/// A doctor on duty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDuty {
    /// Name in the configuration.
    pub doctor: String,
    /// 0: the one to be told; 1 and more: those who stand behind, in the order of the group.
    pub order: usize,
    /// The group, where it is its duty.
    pub group: Option<String>,
}

impl Roster {
    /// Who is on duty, the first to be told first; each doctor once.
    pub fn on_duty(&self, at: Timestamp, zone: &TimeZone) -> Vec<OnDuty> {
        let covering: Vec<&Duty> = self.duties.iter().filter(|duty| duty.covers(at, zone)).collect();
        let is_once = |duty: &&&Duty| matches!(duty.when, When::Once { .. });
        let only_once = covering.iter().any(|duty| is_once(&duty));
        let mut found: Vec<OnDuty> = Vec::new();
        for duty in covering.iter().filter(|duty| !only_once || is_once(duty)) {
            let own = vec![duty.who.clone()];
            let group = self.groups.get(&duty.who);
            for (order, doctor) in group.unwrap_or(&own).iter().enumerate() {
                let duty = OnDuty {
                    doctor: doctor.clone(),
                    order,
                    group: group.is_some().then(|| duty.who.clone()),
                };
                match found.iter_mut().find(|known| known.doctor == *doctor) {
                    Some(known) if known.order <= order => {}
                    Some(known) => *known = duty,
                    None => found.push(duty),
                }
            }
        }
        found.sort_by_key(|duty| duty.order);
        found
    }
}

/// Who is told when none of the doctors of a press opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standby {
    /// In the order in which they are told.
    pub doctors: Vec<String>,
    /// The group whose rules hold, where it is a group's duty.
    pub group: Option<String>,
}

/// Who stands behind these doctors. Nobody, where none of them is on duty.
pub fn behind(on_duty: &[OnDuty], doctors: &[String]) -> Standby {
    let is_chosen = |duty: &&OnDuty| doctors.contains(&duty.doctor);
    let Some(first) = on_duty.iter().filter(is_chosen).min_by_key(|duty| duty.order) else {
        return Standby::default();
    };
    let rest = on_duty.iter().filter(|duty| duty.order > first.order && !is_chosen(duty));
    Standby { doctors: rest.map(|duty| duty.doctor.clone()).collect(), group: first.group.clone() }
}

impl Duty {
    /// Whether it lasts at that moment.
    pub fn covers(&self, at: Timestamp, zone: &TimeZone) -> bool {
        match &self.when {
            When::Once { from, to } => instant(*from, zone) <= at && at < instant(*to, zone),
            When::Weekly { days, from, to, first, last } => {
                let today = at.to_zoned(zone.clone()).date();
                let yesterday = today.checked_sub(1.day()).unwrap_or(today);
                [yesterday, today].into_iter().any(|day| {
                    days.has(day.weekday())
                        && first.is_none_or(|first| first <= day)
                        && last.is_none_or(|last| day <= last)
                        && begin(day, *from, zone) <= at
                        && at < end(day, *from, *to, zone)
                })
            }
        }
    }
}

fn begin(day: Date, minute: u16, zone: &TimeZone) -> Timestamp {
    instant(day.to_datetime(time(minute)), zone)
}

fn end(day: Date, from: u16, to: u16, zone: &TimeZone) -> Timestamp {
    let day = if to > from { day } else { day.checked_add(1.day()).unwrap_or(day) };
    begin(day, to, zone)
}

/// When what runs every day from one minute to another ends, if it runs at that moment.
pub fn running_until(from: u16, to: u16, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = at.to_zoned(zone.clone()).date();
    let yesterday = today.checked_sub(1.day()).unwrap_or(today);
    [yesterday, today]
        .into_iter()
        .filter(|day| begin(*day, from, zone) <= at)
        .map(|day| end(day, from, to, zone))
        .find(|end| at < *end)
}

/// 24:00 is the next midnight, which `end` has put on the next day as 0.
pub(crate) fn time(minute: u16) -> Time {
    let minute = minute % DAY_MINUTES;
    let (hour, minute) = (minute / 60, minute % 60);
    Time::new(i8::try_from(hour).unwrap_or(0), i8::try_from(minute).unwrap_or(0), 0, 0).unwrap_or_default()
}

/// A time that the clock skips is taken as the moment behind the gap, one that it shows twice as the first (RFC 5545 3.3.5).
pub(crate) fn instant(local: DateTime, zone: &TimeZone) -> Timestamp {
    zone.to_ambiguous_zoned(local).compatible().map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp())
}

/// `08:30`, or `24:00` as 0: the midnight that ends the day.
pub fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once([':', '：'])?;
    let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
    let total = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && total <= DAY_MINUTES).then_some(total % DAY_MINUTES)
}

/// `08:30`.
pub fn minute_words(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests;
