//! `[case]`: how long a case lasts, and when the hospital is told that nobody opened it.

use super::{ConfigError, wrong};
use serde::Deserialize;

/// 30 days, as a residual is kept.
const HOURS_MAX: u32 = 30 * 24;
/// A day: whoever waits longer waits for nobody.
pub(super) const ALARM_S_MAX: u32 = 24 * 60 * 60;

/// `[case]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    /// Hours of the gateway's running after which a case that was mailed ends.
    pub expire_hours: u32,
    /// Seconds after the last doctor was told before the page rings because nobody has opened it.
    pub alarm_after_s: u32,
}

impl Case {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=HOURS_MAX).contains(&self.expire_hours) {
            return wrong("case.expire_hours".into(), "must be 1 to 720");
        }
        if !(1..=ALARM_S_MAX).contains(&self.alarm_after_s) {
            return wrong("case.alarm_after_s".into(), "must be 1 to 86400");
        }
        Ok(())
    }

    /// In milliseconds.
    pub fn expire_ms(&self) -> i64 {
        i64::from(self.expire_hours) * 3_600_000
    }

    /// In milliseconds.
    pub fn alarm_after_ms(&self) -> i64 {
        i64::from(self.alarm_after_s) * 1000
    }
}

impl Default for Case {
    /// A day; a quarter of an hour, in which a stroke costs what cannot be given back.
    fn default() -> Self {
        Self { expire_hours: 24, alarm_after_s: 900 }
    }
}
