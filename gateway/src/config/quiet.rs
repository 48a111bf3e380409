//! `[doctors.NAME] quiet_hours`: when a doctor is not woken for what is not urgent.

use super::Config;
use crate::roster::{parse_minute, running_until};
use jiff::Timestamp;
use serde::Deserialize;

/// Every day from one time to another, of the site; over midnight where the end is not later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct QuietHours {
    from: u16,
    to: u16,
}

impl TryFrom<String> for QuietHours {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let times =
            text.split_once('-').and_then(|(from, to)| Some((parse_minute(from)?, parse_minute(to)?)));
        match times {
            Some((from, to)) if from != to => Ok(Self { from, to }),
            _ => Err("write two different times: 22:00-07:00"),
        }
    }
}

impl Config {
    /// The first moment from one on that is outside of a doctor's quiet hours, milliseconds since 1970-01-01 UTC. What is urgent knows none.
    pub fn awake_at_ms(&self, doctor: &str, is_urgent: bool, at_ms: i64) -> i64 {
        let quiet = self.doctors.get(doctor).and_then(|doctor| doctor.quiet_hours);
        let (Some(QuietHours { from, to }), false, Some(page)) = (quiet, is_urgent, &self.page) else {
            return at_ms;
        };
        let until =
            Timestamp::from_millisecond(at_ms).ok().and_then(|at| running_until(from, to, at, &page.zone()));
        until.map_or(at_ms, Timestamp::as_millisecond)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn two_different_times_and_nothing_else() {
        let read = |text: &str| QuietHours::try_from(text.to_owned());
        assert_eq!(read("22:00-07:00"), Ok(QuietHours { from: 22 * 60, to: 7 * 60 }));
        assert_eq!(read(" 22:30 - 24:00"), Ok(QuietHours { from: 22 * 60 + 30, to: 0 }));
        for wrong in ["", "22:00", "22:00-22:00", "22:00-25:00", "22-7", "22:00-07:00-08:00"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
