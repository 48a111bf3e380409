//! `[duty]`: tests with synthetic cases, for who goes on duty and once a day.

use super::{Config, ConfigError, wrong};
use crate::roster::parse_minute;
use serde::Deserialize;

/// Four hours: a phone that is not heard of for so long is not one that is on call.
const ANSWER_S_MAX: u32 = 4 * 60 * 60;
/// The next one comes a day later.
const WITHIN_S_MAX: u32 = 12 * 60 * 60;

/// `[duty]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Duty {
    /// Each doctor's phone gets a test notice when the duty begins.
    pub readiness: bool,
    /// Seconds from there after which a doctor who has opened nothing counts as not reachable.
    pub answer_within_s: u32,
    /// Who gets the daily test: a doctor's table that is for tests alone. None is made where absent.
    pub daily_to: Option<String>,
    /// When, as `08:00` in the time zone of the page. At that time a doctor too is tested whose duty goes on for more than a day.
    pub daily_at: String,
    /// Seconds after which a daily test that has not come back is an alarm.
    pub within_s: u32,
}

impl Default for Duty {
    /// A quarter of an hour for a doctor who is on the way to work; ten minutes for a machine; before the day's work begins.
    fn default() -> Self {
        Self {
            readiness: true,
            answer_within_s: 900,
            daily_to: None,
            daily_at: "08:00".to_owned(),
            within_s: 600,
        }
    }
}

impl Duty {
    pub(super) fn check(&self, config: &Config) -> Result<(), ConfigError> {
        if !(1..=ANSWER_S_MAX).contains(&self.answer_within_s) {
            return wrong("duty.answer_within_s".into(), "must be 1 to 14400");
        }
        if !(1..=WITHIN_S_MAX).contains(&self.within_s) {
            return wrong("duty.within_s".into(), "must be 1 to 43200");
        }
        if parse_minute(&self.daily_at).is_none() {
            return wrong("duty.daily_at".into(), "write a time like 08:00");
        }
        let Some(doctor) = &self.daily_to else { return Ok(()) };
        if !config.doctors.contains_key(doctor) || !config.sends_receipts(doctor) {
            return wrong("duty.daily_to".into(), "name a [doctors.NAME] table that our reader opens");
        }
        Ok(())
    }

    /// Minute of the day.
    pub fn daily_minute(&self) -> u16 {
        parse_minute(&self.daily_at).unwrap_or_default()
    }

    /// In milliseconds.
    pub fn answer_within_ms(&self) -> i64 {
        i64::from(self.answer_within_s) * 1000
    }

    /// In milliseconds.
    pub fn within_ms(&self) -> i64 {
        i64::from(self.within_s) * 1000
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{SAMPLE, load};

    #[test]
    fn what_cannot_work_is_refused_by_name_and_a_mailbox_for_tests_is_no_doctor() {
        let with = |keys: &str| load(&SAMPLE.replace("[case]", &format!("[duty]\n{keys}\n[case]")));
        for (keys, named) in [
            ("answer_within_s = 0", "1 to 14400"),
            ("within_s = 43201", "1 to 43200"),
            ("daily_at = \"25:00\"", "duty.daily_at"),
            ("daily_to = \"nobody\"", "duty.daily_to"),
            ("redyness = true", "redyness"),
        ] {
            let error = with(keys).unwrap_err().to_string();
            assert!(error.contains(named), "{named} not in: {error}");
        }
        let config = with("daily_to = \"tanaka\"\ndaily_at = \"07:30\"").unwrap();
        assert_eq!(config.duty.as_ref().unwrap().daily_minute(), 450);
        assert!(!config.is_doctor("tanaka") && load(SAMPLE).unwrap().is_doctor("tanaka"));
        let taken = SAMPLE.replace("hold = \"SCANPOST\"", "hold = \"SCANPOST-TEST\"");
        assert!(load(&taken).unwrap_err().to_string().contains("dicom.hold"));
        let taken = SAMPLE.replace("destinations.DR_TANAKA", "destinations.SCANPOST-TEST");
        assert!(load(&taken).unwrap_err().to_string().contains("destinations.SCANPOST-TEST"));
    }
}
