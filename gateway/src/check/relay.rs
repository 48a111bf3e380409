//! Whether a mail server of ours would carry foreign mail for this machine without a login. It is asked up to the recipient; no mail is
//! sent, and nobody is asked whom `[check] hosts` does not name.

use super::hosts::{each, each_port};
use super::talk::{READY, Reply, Talk};
use super::{Check, within};
use crate::config::{Config, Server};
use futures::future::join_all;
use std::io;

pub(super) const AREA: &str = "relay";
/// MX and submission.
const PORTS: [u16; 2] = [25, 587];
/// Domains of nobody (RFC 6761 6.5).
const SENDER: &str = "relay-check@example.com";
const RECIPIENT: &str = "relay-check@example.org";
/// RFC 3463 3.8: delivery not authorized. Every other status speaks of the domain, its SPF, its null MX or a missing STARTTLS, and says
/// nothing of what the server would carry for others.
const NOT_AUTHORIZED: [&str; 2] = ["5.7.1", "4.7.1"];
/// By what Postfix refuses to relay where nobody has set anything (`defer_unauth_destination`); other 4xx are for who comes too early.
const POLICY_FOR_NOW: u16 = 454;

/// How far it came.
enum Asked {
    /// To the recipient, and what was said of it.
    Recipient(Reply),
    /// Refused at the step that is named.
    Before(&'static str, Reply),
}

pub(super) async fn check(config: &Config, hosts: &[String]) -> Vec<Check> {
    let senders = config.servers().filter(|(table, _)| *table != "pulled");
    let servers = join_all(senders.map(|(table, server)| {
        let subject = server.told_as(table);
        within(AREA, subject.clone(), of_server(config, hosts, subject, server))
    }));
    let hosts = each(AREA, hosts, |host| {
        let nobody = "no mail server on ports 25 and 587";
        each_port(AREA, host, PORTS, nobody, move |port| of_port(&config.site, host, port))
    });
    let (servers, hosts) = futures::join!(servers, hosts);
    servers.into_iter().chain(hosts).collect()
}

async fn of_server(config: &Config, hosts: &[String], subject: String, server: &Server) -> Check {
    if !hosts.contains(&server.host) {
        return Check::not_checked(AREA, subject, "[check] hosts does not name it");
    }
    match Talk::tls(&server.host, server.port, &server.tls()).await {
        Ok(talk) => match asked(talk, &config.site).await {
            Ok(asked) => judged(subject, &asked),
            Err(error) => Check::not_checked(AREA, subject, format!("cannot be asked: {}", error.kind())),
        },
        Err(error) => Check::not_checked(AREA, subject, error),
    }
}

async fn of_port(site: &str, host: &str, port: u16) -> io::Result<Option<Check>> {
    let Some(talk) = Talk::plain(host, port).await? else { return Ok(None) };
    Ok(Some(judged(format!("{host}:{port}"), &asked(talk, site).await?)))
}

async fn asked(mut talk: Talk, site: &str) -> io::Result<Asked> {
    let greeting = talk.reply().await?;
    if greeting.code != READY {
        return Ok(Asked::Before("the greeting", greeting));
    }
    for (name, command) in [("EHLO", format!("EHLO {site}")), ("MAIL", format!("MAIL FROM:<{SENDER}>"))] {
        let reply = talk.ask(&command).await?;
        if !reply.is_positive() {
            let _ = talk.say("QUIT").await;
            return Ok(Asked::Before(name, reply));
        }
    }
    let reply = talk.ask(&format!("RCPT TO:<{RECIPIENT}>")).await?;
    // The verdict is there: whether it hears the end is its own affair.
    let _ = talk.ask("RSET").await;
    let _ = talk.say("QUIT").await;
    Ok(Asked::Recipient(reply))
}

fn judged(subject: String, asked: &Asked) -> Check {
    let reply = match asked {
        Asked::Recipient(reply) => reply,
        Asked::Before(step, reply) => {
            let why = format!(
                "refuses already at {step}, and was not asked for the recipient (STARTTLS is not done here): {}",
                reply.words()
            );
            return Check::not_checked(AREA, subject, why);
        }
    };
    if reply.is_positive() {
        let found = "open relay: takes mail for this machine, without a login, from a foreign sender to a foreign recipient";
        let mend = "who runs it: relay for who has logged in alone (Postfix: smtpd_relay_restrictions), before others find it; where it \
                    trusts this network by its addresses (Postfix: mynetworks), take the network out: any infected machine there sends";
        return Check::fail(AREA, subject, found, mend);
    }
    let words = reply.words();
    let is_for_relaying = enhanced_status(&words).is_none_or(|status| NOT_AUTHORIZED.contains(&status));
    if is_for_relaying && (reply.code >= 500 || reply.code == POLICY_FOR_NOW) {
        return Check::pass(AREA, subject, format!("refuses to relay without a login: {words}"));
    }
    let why = format!("refuses for another reason, which says nothing of other mails: {words}");
    Check::not_checked(AREA, subject, why)
}

/// The second word of a reply, where it is of the form of RFC 3463 2.
fn enhanced_status(words: &str) -> Option<&str> {
    let word = words.get(4..)?.split_ascii_whitespace().next()?;
    let parts: Vec<&str> = word.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(is_number)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn reply(code: u16, words: &str) -> Reply {
        Reply { code, lines: vec![format!("{code} {words}")] }
    }

    #[test]
    fn only_a_refusal_to_relay_passes() {
        let verdict = |code, words| judged("mail".to_owned(), &Asked::Recipient(reply(code, words))).verdict;
        for (code, words) in [(250, "2.1.5 Ok"), (251, "will forward")] {
            assert_eq!(verdict(code, words), Verdict::Fail);
        }
        for (code, words) in [
            (554, "5.7.1 Relay access denied"),
            (454, "4.7.1 Relay access denied"),
            (550, "relaying denied"),
            (550, "5.7.1 <a@example.org>... Relaying denied. IP name lookup failed 192.0.2.1"),
        ] {
            assert_eq!(verdict(code, words), Verdict::Pass, "{words}");
        }
        for (code, words) in [
            (450, "4.2.0 Greylisted"),
            (451, "4.7.1 Greylisting in action"),
            (421, "too many connections"),
            (550, "5.1.10 Domain has a null MX"),
            (550, "5.7.23 SPF fails"),
            (530, "5.7.0 Must issue a STARTTLS command first"),
        ] {
            assert_eq!(verdict(code, words), Verdict::NotChecked, "{words}");
        }
    }

    #[test]
    fn who_refuses_before_the_recipient_was_not_asked() {
        for (step, code, words) in [
            ("the greeting", 554, "5.7.1 no"),
            ("EHLO", 502, "5.5.1 what"),
            ("MAIL", 530, "5.7.0 Must issue a STARTTLS command first"),
            ("MAIL", 550, "5.7.1 no"),
        ] {
            let check = judged("mail".to_owned(), &Asked::Before(step, reply(code, words)));
            assert_eq!((check.verdict, check.found.contains(step)), (Verdict::NotChecked, true), "{words}");
        }
    }
}
