//! The MTA-STS policy as it is served (RFC 8461 3.2 and 3.3): fetched over HTTPS, no redirect followed, compared with the mail exchangers.

use super::Check;
use super::dns::Resolver;
use super::mail_identity::MTA_STS;
use crate::config;
use std::net::SocketAddr;
use std::time::Duration;
use tls::{Https, HttpsError, Trust};

/// RFC 8461 3.3: senders give up after a minute; a server that needs so long is down.
const WAIT: Duration = Duration::from_secs(20);
/// RFC 8461 3.3: a sensible limit; a policy has some hundred bytes.
const POLICY_BYTES_MAX: usize = 64 << 10;
/// Of `https`.
const PORT: u16 = 443;
/// RFC 8461 3.2: shorter lives protect from little. One day.
const MAX_AGE_MIN: u32 = 86_400;

/// Fetches the policy of a domain and judges it by its mail exchangers.
pub(super) async fn check(
    settings: &config::Check,
    resolver: Resolver,
    (url, host): (&str, &str),
    exchangers: &[String],
) -> Check {
    let addresses = match settings.policy_server {
        Some(server) => vec![server],
        None => match resolver.addresses(host).await {
            Err(error) => return Check::not_checked(MTA_STS, url, error),
            Ok(addresses) => addresses.into_iter().map(|address| SocketAddr::new(address, PORT)).collect(),
        },
    };
    if addresses.is_empty() {
        let found = format!("{host} has no address");
        return Check::fail(MTA_STS, url, found, "publish an address, and the policy there");
    }
    match fetch(settings, url, &addresses).await {
        Err(error) => Check::fail(MTA_STS, url, error, "serve the policy by HTTPS under this name"),
        Ok(answer) => judged(url, &answer, exchangers),
    }
}

/// What the web server says.
struct Answer {
    status: u16,
    kind: String,
    text: String,
}

async fn fetch(settings: &config::Check, url: &str, addresses: &[SocketAddr]) -> Result<Answer, HttpsError> {
    let trust = Trust::read(&settings.tls())?;
    let https = Https { trust, wait: WAIT, answer_bytes_max: POLICY_BYTES_MAX };
    let request = hyper::Request::get(url).body(Vec::new()).map_err(|_| HttpsError::Url)?;
    let answer = https.send_to(addresses, request).await?;
    let kind = answer.headers().get(hyper::header::CONTENT_TYPE);
    Ok(Answer {
        status: answer.status().as_u16(),
        kind: kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned(),
        text: String::from_utf8_lossy(answer.body()).into_owned(),
    })
}

fn judged(url: &str, answer: &Answer, exchangers: &[String]) -> Check {
    let fail = |found: String, mend: &str| Check::fail(MTA_STS, url, found, mend);
    if answer.status != 200 {
        let found = format!("the server answers {}: senders take no policy", answer.status);
        return fail(found, "serve the file itself: redirects are not followed (RFC 8461 3.3)");
    }
    if !answer.kind.to_ascii_lowercase().starts_with("text/plain") {
        return fail("not served as text/plain: senders take no policy".into(), "set the content type");
    }
    let Some(policy) = Policy::parse(&answer.text) else {
        return fail("no policy of version STSv1".into(), "serve the file that is printed below");
    };
    if policy.mode != "enforce" {
        return fail("not in mode enforce: senders deliver all the same".into(), "mode: enforce");
    }
    if policy.max_age < MAX_AGE_MIN {
        return fail("kept for less than a day".into(), "max_age: 604800");
    }
    match exchangers.iter().find(|host| !policy.names(host)) {
        Some(host) => fail(
            format!("does not name the mail exchanger {host}: senders deliver nothing there"),
            "serve the file that is printed below, and give the record a new id",
        ),
        None if exchangers.is_empty() => Check::not_checked(MTA_STS, url, "the domain has no MX records"),
        None => Check::pass(MTA_STS, url, "served, enforced, and names every mail exchanger"),
    }
}

/// RFC 8461 3.2.
struct Policy {
    mode: String,
    max_age: u32,
    exchangers: Vec<String>,
}

impl Policy {
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let first = |wanted| fields.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
        (first("version")? == "STSv1").then_some(())?;
        let exchangers = fields.iter().filter(|(key, _)| *key == "mx");
        Some(Self {
            mode: first("mode")?.to_owned(),
            max_age: first("max_age")?.parse().ok()?,
            exchangers: exchangers.map(|(_, host)| host.to_ascii_lowercase()).collect(),
        })
    }

    /// RFC 8461 4.1: a wildcard stands for one label.
    fn names(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.exchangers.iter().any(|known| match known.strip_prefix("*.") {
            Some(above) => host.split_once('.').is_some_and(|(_, rest)| rest == above),
            None => *known == host,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const RIGHT: &str =
        "version: STSv1\r\nmode: enforce\r\nmx: *.mail.example\r\nmx: backup.example\r\nmax_age: 604800\r\n";

    fn verdict(status: u16, kind: &str, text: &str, exchangers: &[&str]) -> (Verdict, String) {
        let answer = Answer { status, kind: kind.to_owned(), text: text.to_owned() };
        let exchangers: Vec<String> = exchangers.iter().map(|&host| host.to_owned()).collect();
        let check = judged("https://mta-sts.example/", &answer, &exchangers);
        (check.verdict, check.found)
    }

    #[test]
    fn a_policy_is_judged_by_the_mail_exchangers() {
        let plain = "text/plain; charset=utf-8";
        assert_eq!(verdict(200, plain, RIGHT, &["A.mail.example", "backup.example"]).0, Verdict::Pass);
        for (status, kind, text, exchangers, words) in [
            (200, plain, RIGHT.to_owned(), vec!["a.b.mail.example"], "does not name"),
            (200, plain, RIGHT.to_owned(), vec!["mail.example"], "does not name"),
            (301, plain, RIGHT.to_owned(), vec![], "answers 301"),
            (200, "text/html", RIGHT.to_owned(), vec![], "text/plain"),
            (200, plain, RIGHT.replace("STSv1", "STSv2"), vec![], "version STSv1"),
            (200, plain, RIGHT.replace("enforce", "testing"), vec![], "mode enforce"),
            (200, plain, RIGHT.replace("604800", "60"), vec![], "less than a day"),
            (200, plain, RIGHT.replace("604800", "long"), vec![], "no policy"),
        ] {
            let (found, said) = verdict(status, kind, &text, &exchangers);
            assert!(found == Verdict::Fail && said.contains(words), "{words} not in {said}");
        }
        assert_eq!(verdict(200, plain, RIGHT, &[]).0, Verdict::NotChecked);
    }
}
