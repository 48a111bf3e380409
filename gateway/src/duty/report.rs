//! `scanpost-gateway duty`: who is not reachable, and what became of the last tests.

use crate::journal::{DutyTest, Journal, JournalError, TestKind};
use serde::Serialize;
use std::fmt;

/// Tests of each kind that are shown.
pub const SHOWN: u32 = 30;

/// A doctor whose test was not answered in time, and who has opened nothing since.
#[derive(Debug, Serialize)]
pub struct NotReachable {
    /// Name in the configuration.
    pub doctor: String,
    /// When the test began, milliseconds since 1970-01-01 UTC.
    pub since_ms: i64,
}

/// What is known of tests: no patient data, names of doctors as in the configuration.
#[derive(Debug, Serialize)]
pub struct DutyReport {
    /// In the order of their names.
    pub not_reachable: Vec<NotReachable>,
    /// Daily tests, the newest first.
    pub daily: Vec<DutyTest>,
    /// Tests at the start of a duty, the newest first.
    pub readiness: Vec<DutyTest>,
}

impl DutyReport {
    /// Out of the journal.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn read(journal: &Journal) -> Result<Self, JournalError> {
        let not_reachable = journal.not_reachable().await?.into_iter();
        Ok(Self {
            not_reachable: not_reachable
                .map(|(doctor, since_ms)| NotReachable { doctor, since_ms })
                .collect(),
            daily: journal.newest_duty_tests(TestKind::Daily, SHOWN).await?,
            readiness: journal.newest_duty_tests(TestKind::Readiness, SHOWN).await?,
        })
    }
}

impl fmt::Display for DutyReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for NotReachable { doctor, since_ms } in &self.not_reachable {
            writeln!(formatter, "{doctor} is not reachable since {}", super::at(*since_ms))?;
        }
        for test in self.daily.iter().chain(&self.readiness) {
            writeln!(formatter, "{}", line(test))?;
        }
        Ok(())
    }
}

fn line(test: &DutyTest) -> String {
    let kind = match test.kind {
        TestKind::Daily => "daily",
        TestKind::Readiness => "readiness",
    };
    let late = if test.late_at_ms.is_some() { ", late" } else { "" };
    let state = match (test.returned_at_ms, test.answered_at_ms, test.ended_at_ms) {
        (Some(at_ms), ..) => {
            let seconds = (at_ms - test.began_at_ms) / 1000;
            format!("opened after {seconds} s{late}")
        }
        (None, Some(_), _) if test.kind == TestKind::Readiness => {
            format!("something else was opened{late}")
        }
        (None, _, Some(_)) => format!("never opened{late}"),
        (None, ..) => format!("not opened yet{late}"),
    };
    format!("{} {kind:<9} {} {state}", super::at(test.began_at_ms), test.doctor)
}
