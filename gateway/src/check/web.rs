//! What web servers of the hospital show to who asks for their first page, our own page among them.

use super::hosts::{each, each_port};
use super::listeners::{Listener, listeners};
use super::talk::{Talk, connect};
use super::{Check, banners, certificate};
use crate::config::Config;
use futures::future::join_all;
use std::io;

pub(super) const AREA: &str = "listing";
/// HTTP, and where applications and forgotten tests listen.
const PLAIN_PORTS: [u16; 4] = [80, 8000, 8080, 8081];
const TLS_PORT: u16 = 443;
/// Headers by which web servers and what lies behind them introduce themselves.
const HEADERS: [&str; 3] = ["server", "x-powered-by", "x-aspnet-version"];
/// A listing says what it is in its first lines.
const PAGE_BYTES_MAX: u64 = 64 << 10;
/// How Apache, nginx and lighttpd, Python, Tomcat, Jetty and IIS entitle a listing.
const LISTINGS: [&str; 6] = [
    "<title>index of /",
    "directory listing for /",
    "directory listing for [/",
    "<title>directory: /",
    "[to parent directory]",
    "<h1>index of /",
];

/// An answer to `GET /`.
struct Page {
    /// Who gave it.
    subject: String,
    /// Status line, headers and the first of the body.
    text: String,
}

/// Asks every web server once, and judges its page for a listing and its headers for a version.
pub(super) async fn check(config: &Config, hosts: &[String]) -> Vec<Check> {
    let hosts = each(AREA, hosts, |host| {
        let ports = PLAIN_PORTS.into_iter().chain([TLS_PORT]);
        each_port(AREA, host, ports, "no web server", move |port| of_port(config, host, port))
    });
    let ours = listeners(config);
    let ours = join_all(ours.iter().filter(|listener| listener.is_web()).map(|listener| async move {
        let page = match talk_to_ours(config, listener).await {
            Ok(talk) => page(listener.key.to_owned(), talk, "localhost").await,
            Err(why) => Err(why),
        };
        page.map_or_else(|why| vec![Check::not_checked(AREA, listener.key, why)], |page| judged(&page).into())
    }));
    let (ours, hosts) = futures::join!(ours, hosts);
    ours.concat().into_iter().chain(hosts).collect()
}

async fn of_port(config: &Config, host: &str, port: u16) -> io::Result<Vec<Check>> {
    let Some(stream) = connect(host, port).await? else { return Ok(Vec::new()) };
    let (subject, talk) = if port == TLS_PORT {
        drop(stream);
        let talk = Talk::tls(host, port, &config.check.tls()).await;
        (format!("https://{host}/"), talk.map_err(|error| error.to_string()))
    } else {
        (format!("http://{host}:{port}/"), Ok(Talk::over(stream)))
    };
    let page = match talk {
        Ok(talk) => page(subject.clone(), talk, host).await,
        Err(why) => Err(why),
    };
    Ok(page.map_or_else(|why| vec![Check::not_checked(AREA, subject, why)], |page| judged(&page).into()))
}

/// The page, or why there is none.
async fn page(subject: String, mut talk: Talk, host: &str) -> Result<Page, String> {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    let sent = talk.send(request.as_bytes()).await;
    sent.map_err(|error| format!("cannot be asked: {}", error.kind()))?;
    let text = String::from_utf8_lossy(&talk.rest(PAGE_BYTES_MAX).await).into_owned();
    if !text.starts_with("HTTP/") {
        return Err("gives no answer that is HTTP".to_owned());
    }
    Ok(Page { subject, text })
}

fn judged(page: &Page) -> [Check; 2] {
    [listing(page), banners::judged(&page.subject, &headers(page))]
}

fn listing(page: &Page) -> Check {
    let text = page.text.to_ascii_lowercase();
    if LISTINGS.iter().any(|listing| text.contains(listing)) {
        let mend =
            "who runs it: stop it, or turn listings off (Apache: Options -Indexes, nginx: autoindex off)";
        return Check::fail(AREA, &page.subject, "shows a listing of its folder to everybody", mend);
    }
    Check::pass(AREA, &page.subject, "shows no listing")
}

/// The values of the headers that introduce, in one line.
fn headers(page: &Page) -> String {
    let lines = page.text.lines().skip(1).take_while(|line| !line.is_empty());
    let values = lines.filter_map(|line| line.split_once(':'));
    let wanted = values.filter(|(name, _)| HEADERS.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)));
    wanted.map(|(_, value)| value.trim()).collect::<Vec<_>>().join(" ")
}

/// A connection to our page; the error says why there is none.
pub(super) async fn talk_to_ours(config: &Config, listener: &Listener) -> Result<Talk, String> {
    let at = listener.reached_at().ok_or("the gateway does not run")?;
    let Some(path) =
        config.page.as_ref().filter(|page| !page.plain).and_then(|page| page.certificate.as_ref())
    else {
        let talk = Talk::plain(&at.ip().to_string(), at.port()).await;
        let talk = talk.map_err(|error| format!("cannot be asked: {}", error.kind()))?;
        return talk.ok_or_else(|| "nobody answers there: start the gateway".to_owned());
    };
    let name = certificate::host_of(path).ok_or("its certificate names no host")?;
    let talk = Talk::tls_at(&name, at, &config.check.tls()).await;
    talk.map_err(|error| format!("{error}; name its authority in [check] ca"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn listings_of_each_server_are_known_and_a_page_is_none() {
        let verdict = |title: &str| {
            let text = format!("HTTP/1.1 200 OK\r\n\r\n<html><head><title>{title}</title>");
            listing(&Page { subject: "web".to_owned(), text }).verdict
        };
        for title in ["Index of /", "Directory listing for /", "Directory Listing For [/]", "Directory: /"] {
            assert_eq!(verdict(title), Verdict::Fail, "{title}");
        }
        assert_eq!(verdict("Welcome"), Verdict::Pass);
    }
}
