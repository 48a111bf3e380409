//! Greetings that tell a version: who looks for a hole of that version need not try. Nothing but the greeting is read.

use super::hosts::{each, each_port};
use super::talk::Talk;
use super::{Check, within};
use crate::config::{Config, Server};
use futures::future::join_all;
use std::io;
use std::net::IpAddr;

pub(super) const AREA: &str = "banners";
/// Services that greet first and often tell too much: FTP, SMTP, POP3, IMAP, submission.
const GREETING_PORTS: [u16; 5] = [21, 25, 110, 143, 587];
/// Longer ones are read no further: the version stands at the beginning.
const GREETING_LINES_MAX: usize = 10;
const MEND: &str = "who runs it: leave the version out (Postfix: smtpd_banner, Dovecot: login_greeting, Apache: ServerTokens Prod, nginx: server_tokens off)";

pub(super) async fn check(config: &Config, hosts: &[String]) -> Vec<Check> {
    let servers = join_all(config.servers().map(|(table, server)| {
        let subject = server.told_as(table);
        within(AREA, subject.clone(), of_server(subject, server))
    }));
    let hosts = each(AREA, hosts, |host| {
        let nobody = "nobody greets";
        each_port(AREA, host, GREETING_PORTS, nobody, move |port| of_port(host, port))
    });
    let (servers, hosts) = futures::join!(servers, hosts);
    servers.into_iter().chain(hosts).collect()
}

async fn of_server(subject: String, server: &Server) -> Check {
    let greeting = match Talk::tls(&server.host, server.port, &server.tls()).await {
        Ok(mut talk) => greeting(&mut talk).await,
        Err(error) => return Check::not_checked(AREA, subject, error),
    };
    match greeting {
        Ok(greeting) => judged(&subject, &greeting),
        Err(error) => Check::not_checked(AREA, subject, format!("does not greet: {}", error.kind())),
    }
}

async fn of_port(host: &str, port: u16) -> io::Result<Option<Check>> {
    let Some(mut talk) = Talk::plain(host, port).await? else { return Ok(None) };
    Ok(Some(judged(&format!("{host}:{port}"), &greeting(&mut talk).await?)))
}

/// The first reply, all its lines; an IMAP or POP3 server sends one line.
async fn greeting(talk: &mut Talk) -> io::Result<String> {
    let mut line = talk.line().await?;
    let mut lines = vec![without_names(&line)];
    while line.get(3..4) == Some("-") && lines.len() < GREETING_LINES_MAX {
        line = talk.line().await?;
        lines.push(without_names(&line));
    }
    Ok(lines.join(" "))
}

/// Without what looks like a version and is none.
fn without_names(line: &str) -> String {
    match line.strip_prefix("+OK") {
        // RFC 1939 7: a stamp for APOP is process, clock and host.
        Some(words) => words.split_once('<').map_or(words, |(before, _)| before).to_owned(),
        None => without_host(line),
    }
}

/// RFC 5321 4.2: the name of the host stands behind the number, and may hold digits and dots.
fn without_host(line: &str) -> String {
    let is_smtp = line.get(..3).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
    let Some((code, rest)) = line.get(..4).zip(line.get(4..)).filter(|_| is_smtp) else {
        return line.to_owned();
    };
    let (host, words) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_host = host.parse::<IpAddr>().is_ok() || host.contains('.') || host.starts_with('[');
    if is_host && !words.is_empty() { format!("{code}{words}") } else { line.to_owned() }
}

pub(super) fn judged(subject: &str, greeting: &str) -> Check {
    if tells_version(greeting) {
        return Check::fail(AREA, subject, format!("tells its version: {}", tls::bounded(greeting)), MEND);
    }
    Check::pass(AREA, subject, "tells no version")
}

/// Digits, a dot, digits, as in `8.15.2`; an address is no version.
fn tells_version(text: &str) -> bool {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && !".:".contains(character));
    words.filter(|word| word.trim_matches('.').parse::<IpAddr>().is_err()).any(|word| {
        let bytes = word.as_bytes();
        bytes
            .windows(3)
            .any(|three| matches!(three, [a, b'.', b] if a.is_ascii_digit() && b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_hosts_and_addresses() {
        for told in [
            "220 mx.example ESMTP Sendmail 8.15.2/8.15.2; Sun",
            "220 ProFTPD 1.3.5 Server (Debian)",
            "nginx/1.22.1",
            "220 (vsFTPd 3.0.3)",
            "+OK Dovecot 2.3.19 ready <1896.697170952@mail.example>",
        ] {
            assert!(tells_version(&without_names(told)), "{told}");
        }
        for quiet in [
            "220 mx1.3.example ESMTP Postfix",
            "220 [192.0.2.7] ESMTP",
            "* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+] Dovecot ready.",
            "nginx",
            "220-Welcome from 192.0.2.7",
            "+OK POP3 ready <1896.697170952@mail.example>",
        ] {
            assert!(!tells_version(&without_names(quiet)), "{quiet}");
        }
    }
}
