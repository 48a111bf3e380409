//! `scanpost-gateway check`: the self-audit. Each check passes, fails with what to mend, or says why it was not done; nothing is
//! changed, nothing is sent, nobody is logged in.

mod certificate;
mod directory;
mod dns;
mod files;
mod mail_identity;
mod policy;
mod servers;
mod spool_key;

use crate::config::Config;
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

pub(crate) use files::certificates;
pub(crate) use mail_identity::AREAS as MAIL_IDENTITY;

/// When the certificate of a PEM file ends that ends first, seconds since 1970-01-01 UTC; none where there is none to read.
pub(crate) fn ends_at(path: &Path) -> Option<i64> {
    certificate::Certificate::of_file(path).map(|certificate| certificate.not_after.unix_timestamp())
}

/// What came of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Must be mended.
    Fail,
    /// Not looked at.
    NotChecked,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Kind of check: the word for `[check] skip`.
    pub area: &'static str,
    /// What was looked at: a table of the configuration, a file, a DNS name.
    pub subject: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, or why nothing was looked at.
    pub found: String,
    /// What to do about it.
    pub mend: Option<String>,
}

impl Check {
    fn pass(area: &'static str, subject: impl ToString, found: impl ToString) -> Self {
        let (subject, found) = (subject.to_string(), found.to_string());
        Self { area, subject, verdict: Verdict::Pass, found, mend: None }
    }

    fn fail(area: &'static str, subject: impl ToString, found: impl ToString, mend: impl ToString) -> Self {
        let mend = Some(mend.to_string());
        Self { verdict: Verdict::Fail, mend, ..Self::pass(area, subject, found) }
    }

    fn not_checked(area: &'static str, subject: impl ToString, reason: impl ToString) -> Self {
        Self { verdict: Verdict::NotChecked, ..Self::pass(area, subject, reason) }
    }
}

/// A DNS record, or the text of a file, to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Publish {
    /// DNS name, or URL.
    pub name: String,
    /// `TXT`, `TLSA` or `file`.
    pub kind: &'static str,
    /// What stands there.
    pub value: String,
}

/// All checks, and all that is to be published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
    /// For whoever keeps the DNS zone.
    pub publish: Vec<Publish>,
}

impl Report {
    /// Whether any check failed.
    pub fn must_be_mended(&self) -> bool {
        self.checks.iter().any(|check| check.verdict == Verdict::Fail)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    /// Areas that the operator left to others are named, but count neither way.
    fn skip(&mut self, areas: &[String]) {
        for check in self.checks.iter_mut().filter(|check| areas.iter().any(|area| area == check.area)) {
            *check = Check::not_checked(check.area, &check.subject, "left out by [check] skip");
        }
    }
}

/// Makes all checks. `resolver` stands for that of the configuration.
pub async fn check(config: &Config, resolver: Option<SocketAddr>) -> Report {
    let mut report = Report::default();
    report.checks.extend(files::check(config));
    report.checks.push(spool_key::check(config).await);
    report.checks.extend(directory::check(config).await);
    let (checks, seen) = servers::check(config).await;
    report.checks.extend(checks);
    let resolver = resolver.or(config.check.resolver).or_else(dns::of_the_system);
    mail_identity::check(config, resolver, &seen, &mut report).await;
    report.skip(&config.check.skip);
    report
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let verdict = match check.verdict {
                Verdict::Pass => "pass",
                Verdict::Fail => "FAIL",
                Verdict::NotChecked => "not checked",
            };
            writeln!(formatter, "{verdict:<11}  {:<12}  {}: {}", check.area, check.subject, check.found)?;
            if let Some(mend) = &check.mend {
                writeln!(formatter, "{:<11}  {:<12}  -> {mend}", "", "")?;
            }
        }
        if !self.publish.is_empty() {
            writeln!(formatter, "\nTo publish:")?;
        }
        for record in &self.publish {
            writeln!(formatter, "{}  {}  {}", record.name, record.kind, record.value)?;
        }
        let (failed, open) = (self.count(Verdict::Fail), self.count(Verdict::NotChecked));
        writeln!(formatter, "\n{} passed, {failed} to mend, {open} not checked", self.count(Verdict::Pass))
    }
}
