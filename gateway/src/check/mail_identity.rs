//! Who may send mail in our name, by the DNS: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489), MTA-STS (RFC 8461), TLSA (RFC 6698, 7672).
//! What should stand there is printed, and what stands there is judged.

use super::dns::{DnsError, NO_RESOLVER, Resolver, Tlsa};
use super::servers::Seen;
use super::{Check, LATE, LIMIT, Publish, Report, area, policy};
use crate::config::{Config, Server};
use crate::dkim;
use crate::hex::hex;
use futures::future::join_all;
use std::fmt::Write;
use std::net::SocketAddr;

const SPF: &str = "spf";
const DKIM: &str = "dkim";
const DMARC: &str = "dmarc";
pub(super) const MTA_STS: &str = "mta-sts";
const TLSA: &str = "tlsa";
/// What whoever keeps the DNS zone publishes.
pub(crate) const AREAS: [&str; 5] = [SPF, DKIM, DMARC, MTA_STS, TLSA];
/// Usage DANE-EE, the public key, SHA-256 (RFC 7672 3.1.1).
const TLSA_KIND: [u8; 3] = [3, 1, 1];
/// How long senders may keep the MTA-STS policy, in seconds: a week, RFC 8461 3.2 wants weeks.
const MTA_STS_MAX_AGE: u32 = 604_800;

pub(super) async fn check(config: &Config, resolver: Option<SocketAddr>, seen: &Seen) -> Report {
    let sending = senders(config);
    let submit = &config.submit;
    let domain = submit.sender_domain().to_ascii_lowercase();
    let (mut signers, mut unusable) = (Vec::new(), Vec::new());
    for server in &sending {
        match dkim::read(&server.dkim) {
            Ok(keys) => signers.extend(keys),
            Err(error) => {
                unusable.push(Check::fail(DKIM, &server.host, error, "correct the key: nothing is mailed"))
            }
        }
    }
    let exchangers = match resolver {
        Some(server) if !config.check.skips(MTA_STS) => {
            Resolver(server).exchangers(&domain).await.unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let mut hosts: Vec<&str> = sending.iter().map(|server| server.host.as_str()).collect();
    hosts.dedup();
    let mut publish = vec![Publish { name: domain.clone(), kind: "TXT", value: spf_record(&hosts) }];
    publish.extend(signers.iter().map(|signer| Publish {
        name: signer.record_name(),
        kind: "TXT",
        value: signer.record(),
    }));
    publish.push(Publish {
        name: format!("_dmarc.{domain}"),
        kind: "TXT",
        value: dmarc_record(submit, &domain),
    });
    publish.extend(mta_sts(&domain, &exchangers, submit));
    publish.extend(seen.iter().filter_map(|((host, port), key)| {
        let value = format!("3 1 1 {}", hex(key.as_ref().ok()?));
        Some(Publish { name: format!("_{port}._tcp.{host}"), kind: "TLSA", value })
    }));
    let Some(resolver) = resolver.map(Resolver) else {
        let open = AREAS
            .into_iter()
            .map(|one| area(config, one, async { vec![Check::not_checked(one, &domain, NO_RESOLVER)] }));
        return Report { checks: join_all(open).await.concat(), publish };
    };
    let all_asked = futures::join!(
        in_time(config, SPF, &domain, async {
            let texts = resolver.texts(&domain).await;
            vec![judged(SPF, &domain, texts, |texts| spf(&domain, &hosts, &texts))]
        }),
        in_time(config, DKIM, &domain, signatures(resolver, &domain, &signers, unusable)),
        in_time(config, DMARC, &domain, async {
            let name = format!("_dmarc.{domain}");
            vec![judged(DMARC, &name, resolver.texts(&name).await, |texts| dmarc(&name, &texts))]
        }),
        in_time(config, MTA_STS, &domain, async {
            let name = format!("_mta-sts.{domain}");
            let texts = resolver.texts(&name).await;
            let (url, host) = (policy_url(&domain), policy_host(&domain));
            let policy = policy::check(&config.check, resolver, (&url, &host), &exchangers).await;
            vec![judged(MTA_STS, &name, texts, |texts| mta_sts_record(&name, &texts)), policy]
        }),
        in_time(config, TLSA, &domain, certificates(resolver, seen)),
    );
    Report { checks: <[Vec<Check>; 5]>::from(all_asked).concat(), publish }
}

/// An area, bounded in time.
async fn in_time(
    config: &Config,
    name: &'static str,
    domain: &str,
    checks: impl Future<Output = Vec<Check>>,
) -> Vec<Check> {
    area(config, name, async {
        let late = |_| vec![Check::not_checked(name, domain, LATE)];
        tokio::time::timeout(LIMIT, checks).await.unwrap_or_else(late)
    })
    .await
}

async fn signatures(
    resolver: Resolver,
    domain: &str,
    signers: &[dkim::Signer],
    unusable: Vec<Check>,
) -> Vec<Check> {
    let mut checks = unusable;
    if signers.is_empty() && checks.is_empty() {
        let mend = "make a key (docs/mail-identity.md) and set [[submit.dkim]]";
        checks.push(Check::fail(DKIM, domain, "mails are not signed", mend));
    }
    checks.extend(
        join_all(signers.iter().map(async |signer| {
            let name = signer.record_name();
            let texts = resolver.texts(&name).await;
            judged(DKIM, &name, texts, |texts| dkim(&name, &signer.record(), &texts))
        }))
        .await,
    );
    checks
}

async fn certificates(resolver: Resolver, seen: &Seen) -> Vec<Check> {
    join_all(seen.iter().map(async |((host, port), key)| {
        let name = format!("_{port}._tcp.{host}");
        match key {
            Err(why) => Check::not_checked(TLSA, &name, why),
            Ok(key) => judged(TLSA, &name, resolver.tlsa(&name).await, |found| tlsa(&name, key, &found)),
        }
    }))
    .await
}

/// The servers that mail leaves by.
fn senders(config: &Config) -> Vec<&Server> {
    let mut servers = vec![&config.submit];
    servers.extend(config.notify.server.as_ref());
    servers
}

fn judged<T>(
    area: &'static str,
    name: &str,
    found: Result<T, DnsError>,
    judge: impl FnOnce(T) -> Check,
) -> Check {
    match found {
        Ok(found) => judge(found),
        Err(error) => Check::not_checked(area, name, error),
    }
}

fn spf_record(hosts: &[&str]) -> String {
    let mechanisms: Vec<String> = hosts.iter().map(|host| format!("a:{host}")).collect();
    format!("v=spf1 {} -all", mechanisms.join(" "))
}

fn spf(domain: &str, hosts: &[&str], texts: &[String]) -> Check {
    let wanted = format!("publish: {}", spf_record(hosts));
    let records: Vec<&String> =
        texts.iter().filter(|text| *text == "v=spf1" || text.starts_with("v=spf1 ")).collect();
    let record = match records.as_slice() {
        [] => return Check::fail(SPF, domain, "no SPF record", wanted),
        [record] => record.as_str(),
        // RFC 7208 4.5.
        _ => return Check::fail(SPF, domain, "several SPF records: receivers take none", "keep one of them"),
    };
    let terms: Vec<String> = record.split_ascii_whitespace().skip(1).map(str::to_ascii_lowercase).collect();
    let names = |host: &&str| {
        let host = host.to_ascii_lowercase();
        terms.iter().any(|term| {
            let term = term.strip_prefix('+').unwrap_or(term);
            term == format!("a:{host}") || (term == "a" && host == domain)
        })
    };
    let indirect = |term: &&String| {
        ["include:", "ip4:", "ip6:", "mx", "exists:", "redirect="]
            .iter()
            .any(|kind| term.trim_start_matches('+').starts_with(kind))
    };
    if terms.last().map(String::as_str) != Some("-all")
        && !terms.iter().any(|term| term.starts_with("redirect="))
    {
        return Check::fail(
            SPF,
            domain,
            format!("{record}: does not end with -all, so others may send in our name"),
            wanted,
        );
    }
    match hosts.iter().find(|&host| !names(host)) {
        None => Check::pass(SPF, domain, record),
        Some(host) if terms.iter().any(|term| indirect(&term)) => Check::not_checked(
            SPF,
            domain,
            format!("{record}: whether that covers {host} is not followed up"),
        ),
        Some(host) => Check::fail(SPF, domain, format!("{record}: does not allow {host}"), wanted),
    }
}

fn dkim(name: &str, wanted: &str, texts: &[String]) -> Check {
    let mend = format!("publish: {wanted}");
    let key = |text: &str| tag(text, "p");
    let found = match texts {
        [] => return Check::fail(DKIM, name, "no key", mend),
        [found] => found,
        _ => return Check::fail(DKIM, name, "several records: receivers may take any", mend),
    };
    match (key(found), key(wanted)) {
        (Some(found), _) if found.is_empty() => {
            Check::fail(DKIM, name, "the key is revoked (empty p=)", mend)
        }
        (Some(there), Some(ours)) if there == ours => {
            // RFC 6376 3.6.1: a domain that tests is treated as if it did not sign.
            if tag(found, "t").is_some_and(|flags| flags.split(':').any(|flag| flag == "y")) {
                return Check::fail(
                    DKIM,
                    name,
                    "the record says that the domain only tests (t=y)",
                    "take t=y out",
                );
            }
            Check::pass(DKIM, name, "the public key is ours")
        }
        _ => Check::fail(DKIM, name, "another key than ours", mend),
    }
}

fn dmarc_record(submit: &Server, domain: &str) -> String {
    let strict = submit.dkim.iter().all(|dkim| dkim.domain.eq_ignore_ascii_case(domain));
    format!("v=DMARC1; p=reject; adkim={}; aspf=s", if strict { "s" } else { "r" })
}

fn dmarc(name: &str, texts: &[String]) -> Check {
    let wanted = "publish a record with p=reject";
    let records: Vec<&String> = texts.iter().filter(|text| text.starts_with("v=DMARC1")).collect();
    let record = match records.as_slice() {
        [] => return Check::fail(DMARC, name, "no DMARC record", wanted),
        [record] => record.as_str(),
        // RFC 7489 6.6.3.
        _ => {
            return Check::fail(
                DMARC,
                name,
                "several DMARC records: receivers take none",
                "keep one of them",
            );
        }
    };
    match tag(record, "p").as_deref() {
        Some("reject") if tag(record, "pct").is_none_or(|share| share == "100") => {
            Check::pass(DMARC, name, record)
        }
        _ => Check::fail(DMARC, name, format!("{record}: forged mails are not rejected"), wanted),
    }
}

/// RFC 8461 3.3.
fn policy_host(domain: &str) -> String {
    format!("mta-sts.{domain}")
}

fn policy_url(domain: &str) -> String {
    format!("https://{}/.well-known/mta-sts.txt", policy_host(domain))
}

/// Record and policy for mail to our domain. Without MX records the submission server stands for them.
fn mta_sts(domain: &str, exchangers: &[String], submit: &Server) -> [Publish; 2] {
    let mut policy = "version: STSv1\nmode: enforce\n".to_owned();
    let own = [submit.host.clone()];
    for host in if exchangers.is_empty() { own.as_slice() } else { exchangers } {
        let _ = writeln!(policy, "mx: {host}");
    }
    let _ = writeln!(policy, "max_age: {MTA_STS_MAX_AGE}");
    // RFC 8461 3.1: any letters and digits that change with the policy.
    let id = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, policy.as_bytes()).as_ref());
    let id: String = id.chars().take(16).collect();
    [
        Publish { name: format!("_mta-sts.{domain}"), kind: "TXT", value: format!("v=STSv1; id={id}") },
        Publish { name: policy_url(domain), kind: "file", value: policy },
    ]
}

fn mta_sts_record(name: &str, texts: &[String]) -> Check {
    let records: Vec<&String> = texts.iter().filter(|text| text.starts_with("v=STSv1")).collect();
    match records.as_slice() {
        [] => Check::fail(MTA_STS, name, "no MTA-STS record", "publish record and policy"),
        [record] => match tag(record, "id") {
            Some(id)
                if (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                Check::pass(MTA_STS, name, record)
            }
            _ => Check::fail(MTA_STS, name, format!("{record}: no usable id"), "publish record and policy"),
        },
        // RFC 8461 3.1.
        _ => Check::fail(MTA_STS, name, "several MTA-STS records: senders take none", "keep one of them"),
    }
}

fn tlsa(name: &str, key: &[u8], (found, is_signed): &(Vec<Tlsa>, bool)) -> Check {
    let mend = format!("publish: 3 1 1 {}", hex(key));
    if found.is_empty() {
        return Check::fail(TLSA, name, "no TLSA record", mend);
    }
    if !found.iter().any(|record| record.kind == TLSA_KIND && record.data == key) {
        return Check::fail(TLSA, name, "none of the records is that of the server's key", mend);
    }
    if !is_signed {
        return Check::fail(
            TLSA,
            name,
            "right, but not signed by DNSSEC as far as the resolver says: senders pass it over",
            "sign the zone, and ask a resolver that validates",
        );
    }
    Check::pass(TLSA, name, "that of the server's key, signed by DNSSEC")
}

/// Value of a tag in `a=b; c=d` (RFC 6376 3.2), without white space.
fn tag(record: &str, name: &str) -> Option<String> {
    let mut tags = record.split(';').filter_map(|tag| tag.split_once('='));
    let value = tags.find(|(found, _)| found.trim() == name)?.1;
    Some(value.chars().filter(|character| !character.is_whitespace()).collect())
}
