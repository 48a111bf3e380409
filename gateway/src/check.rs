//! `scanpost-gateway check`: the self-audit. Each check passes, fails with what to mend, or says why it was not done; nothing is
//! changed, no mail is sent, nobody is logged in but `anonymous` at FTP servers, and nobody is asked whom the configuration does not name.

mod banners;
mod certificate;
mod clock;
mod database;
mod directory;
mod disclosure;
mod dns;
mod files;
mod ftp;
mod hosts;
mod listeners;
mod machine;
mod mail_identity;
mod old_tls;
mod plain;
mod policy;
mod ports;
mod proxy;
mod relay;
mod servers;
mod spool_key;
mod talk;
mod web;
mod zone_transfer;

use crate::config::Config;
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

pub use disclosure::{file_away, page as disclosure};
pub(crate) use files::certificates;
pub(crate) use mail_identity::AREAS as MAIL_IDENTITY;
pub(crate) use zone_transfer::AREA as ZONE_TRANSFER;

/// When the certificate of a PEM file ends that ends first, seconds since 1970-01-01 UTC; none where there is none to read.
pub(crate) fn ends_at(path: &Path) -> Option<i64> {
    certificate::Certificate::of_file(path).map(|certificate| certificate.not_after.unix_timestamp())
}

/// Longest time for one server, port or question; with that of the servers before it, all of them end within a minute.
const LIMIT: Duration = Duration::from_secs(40);
const LATE: &str = "took too long: look whether the network swallows connections";
const SKIPPED: &str = "left out by [check] skip";

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
}

/// Makes all checks, at once where they wait for others. `resolver` stands for that of the configuration.
pub async fn check(config: &Config, resolver: Option<SocketAddr>) -> Report {
    let resolver = resolver.or(config.check.resolver).or_else(dns::of_the_system);
    let mut report = Report::default();
    let (here, mail, network) =
        futures::join!(here(config), mail(config, resolver), network(config, resolver));
    report.checks.extend(here);
    report.checks.extend(mail.checks);
    report.publish = mail.publish;
    report.checks.extend(network);
    report
}

/// This machine, its files and its journal.
async fn here(config: &Config) -> Vec<Check> {
    let one = |check: Check| vec![check];
    let (clock, spool_key, directory, database) = futures::join!(
        area(config, clock::AREA, async { one(clock::check(config).await) }),
        area(config, spool_key::AREA, async { one(spool_key::check(config).await) }),
        area(config, directory::AREA, directory::check(config)),
        area(config, database::AREA, async {
            one(within(database::AREA, database::SUBJECT.to_owned(), database::check(config)).await)
        }),
    );
    [
        area(config, files::SECRETS, async { files::secrets(config) }).await,
        area(config, files::CERTIFICATES, async { files::lifetimes(config) }).await,
        area(config, machine::PERMISSIONS, async { machine::permissions(config) }).await,
        area(config, ports::AREA, async { ports::check(config) }).await,
        area(config, machine::DISK, async { one(machine::disk(config)) }).await,
        area(config, machine::BACKUP, async { one(machine::backup(config)) }).await,
        clock,
        spool_key,
        directory,
        database,
    ]
    .concat()
}

/// The servers that are spoken to, and what the DNS says about them.
async fn mail(config: &Config, resolver: Option<SocketAddr>) -> Report {
    let mut seen = servers::unseen(config);
    let checks = area(config, servers::AREA, async {
        let (checks, found) = servers::check(config).await;
        seen = found;
        checks
    });
    let servers = checks.await;
    let identity = mail_identity::check(config, resolver, &seen).await;
    Report { checks: [servers, identity.checks].concat(), publish: identity.publish }
}

/// What nobody should offer.
async fn network(config: &Config, resolver: Option<SocketAddr>) -> Vec<Check> {
    let hosts = config.check.hosts.as_slice();
    let (web, banners, plain, old_tls, relay, proxy, ftp, zone_transfer) = futures::join!(
        web(config, hosts),
        area(config, banners::AREA, banners::check(config, hosts)),
        area(config, plain::AREA, plain::check(config, hosts)),
        area(config, old_tls::AREA, old_tls::check(config)),
        area(config, relay::AREA, relay::check(config, hosts)),
        area(config, proxy::AREA, proxy::check(config, hosts)),
        area(config, ftp::AREA, ftp::check(hosts)),
        area(config, ZONE_TRANSFER, zone_transfer::check(config, resolver)),
    );
    // What strangers learn of a network by its routers' answers can be seen from outside alone.
    let route = Check::not_checked(
        "route",
        "this network",
        "ask whoever runs the border to trace the route to this machine from outside: it must end there, and show no inner address",
    );
    [web, banners, plain, old_tls, relay, proxy, ftp, zone_transfer, vec![route]].concat()
}

/// Web servers are asked once for two areas, unless both are left to others.
async fn web(config: &Config, hosts: &[String]) -> Vec<Check> {
    let (skips_listing, skips_banners) = (config.check.skips(web::AREA), config.check.skips(banners::AREA));
    let mut checks = Vec::new();
    if !(skips_listing && skips_banners) {
        checks = web::check(config, hosts).await;
        checks.retain(|check| !config.check.skips(check.area));
    }
    if skips_listing {
        checks.push(Check::not_checked(web::AREA, "all", SKIPPED));
    }
    checks
}

/// An area, unless it is left to others: then nobody is asked for it.
async fn area(config: &Config, area: &'static str, checks: impl Future<Output = Vec<Check>>) -> Vec<Check> {
    if config.check.skips(area) {
        return vec![Check::not_checked(area, "all", SKIPPED)];
    }
    checks.await
}

/// One check, bounded in time; the others of its area stand.
async fn within(area: &'static str, subject: String, check: impl Future<Output = Check>) -> Check {
    let late = |_| Check::not_checked(area, subject, LATE);
    tokio::time::timeout(LIMIT, check).await.unwrap_or_else(late)
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
