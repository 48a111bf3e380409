//! What the site's configuration says of names and times.

use super::clean;
use super::words::{Words, fill};
use crate::config::Config;
use crate::notify::Rules;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Doctors by their names, and the time zone.
pub(super) struct Site {
    config: Arc<Config>,
    doctors: BTreeMap<String, String>,
    zone: TimeZone,
    now_ms: i64,
}

impl Site {
    pub(super) fn new(config: Arc<Config>, zone: TimeZone, now_ms: i64) -> Self {
        let shown = |(key, doctor): (&String, &crate::config::Doctor)| {
            (key.clone(), doctor.name.clone().unwrap_or_else(|| key.clone()))
        };
        Self { doctors: config.doctors.iter().map(shown).collect(), config, zone, now_ms }
    }

    /// After how long who is told, of a delivery to doctors of this group.
    pub(super) fn rules(&self, group: Option<&str>) -> Rules {
        self.config.rules(group)
    }

    /// When a doctor's quiet hours that run at a moment are over, for what is not urgent.
    pub(super) fn quiet_until_ms(&self, key: &str, at_ms: i64) -> Option<i64> {
        Some(self.config.awake_at_ms(key, false, at_ms)).filter(|until_ms| *until_ms > at_ms)
    }

    /// Doctors that a person or a roster may choose, by the names in the configuration, with those that are shown.
    pub(super) fn doctors(&self) -> impl Iterator<Item = (&str, &str)> {
        let doctors = self
            .doctors
            .iter()
            .filter(move |(key, _)| !self.is_outside(key) && !self.config.is_for_tests(key));
        doctors.map(|(key, name)| (key.as_str(), name.as_str()))
    }

    /// Outside recipients in the same way: a person may send to them, but nobody is on duty there.
    pub(super) fn outside(&self) -> impl Iterator<Item = (&str, &str)> {
        let outside = self.doctors.iter().filter(|(key, _)| self.is_outside(key));
        outside.map(|(key, name)| (key.as_str(), name.as_str()))
    }

    /// Whether it is one who comes by a link.
    pub(super) fn is_outside(&self, key: &str) -> bool {
        self.config.is_outside(key)
    }

    /// "Dr Tanaka", or "Clinic (outside)".
    pub(super) fn doctor(&self, key: &str, words: &Words) -> String {
        let form = if self.is_outside(key) { words.outside_name } else { words.dr };
        fill(form, &[&clean(self.doctors.get(key).map_or(key, String::as_str))])
    }

    /// Somebody who acted: a doctor, or an account of the page.
    pub(super) fn who(&self, name: &str, words: &Words) -> String {
        if self.doctors.contains_key(name) { self.doctor(name, words) } else { clean(name) }
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// 02:14, with the date where it is not today.
    pub(super) fn time(&self, at_ms: i64) -> String {
        self.written(at_ms, "%H:%M", "%m-%d %H:%M")
    }

    /// 02:13:20, with the date where it is not today.
    pub(super) fn time_exact(&self, at_ms: i64) -> String {
        self.written(at_ms, "%H:%M:%S", "%m-%d %H:%M:%S")
    }

    fn written(&self, at_ms: i64, today: &str, other: &str) -> String {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(self.zone.clone());
        let (then, now) = (at(at_ms), at(self.now_ms));
        let format = if then.date() == now.date() { today } else { other };
        then.strftime(format).to_string()
    }
}
