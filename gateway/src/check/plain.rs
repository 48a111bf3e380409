//! Services that take passwords, or commands, in the clear: on our hosts, and DICOM without TLS on this machine.

use super::Check;
use super::hosts::{each, each_port};
use super::listeners::{Speaks, listeners};
use super::talk::{READY, Talk, connect};
use crate::config::Config;
use std::io;

pub(super) const AREA: &str = "plain";
/// RFC 854, and the commands of Berkeley's Unix: rexec, rlogin, rsh. Whoever sees the line has the password.
const REMOTE_SHELLS: [(u16, &str); 4] = [(23, "telnet"), (512, "rexec"), (513, "rlogin"), (514, "rsh")];
const MAIL_PORTS: [(u16, Mail); 4] =
    [(25, Mail::Smtp), (110, Mail::Pop3), (143, Mail::Imap), (587, Mail::Smtp)];
const SITE: &str = "scanpost-check";

#[derive(Clone, Copy)]
enum Mail {
    Smtp,
    Pop3,
    Imap,
}

pub(super) async fn check(config: &Config, hosts: &[String]) -> Vec<Check> {
    let mut checks = each(AREA, hosts, of_host).await;
    for listener in listeners(config).into_iter().filter(|listener| listener.speaks == Speaks::Dicom) {
        let Some(address) = listener.address else { continue };
        let subject = format!("{} {address}", listener.key);
        checks.push(if address.ip().is_loopback() {
            Check::pass(AREA, subject, "DICOM without TLS on loopback alone")
        } else {
            let why = "DICOM without TLS: whether that network is closed cannot be seen from here; where the PACS can, use [dicom.tls] alone";
            Check::not_checked(AREA, subject, why)
        });
    }
    checks
}

async fn of_host(host: &str) -> Vec<Check> {
    let ports = REMOTE_SHELLS.map(|(port, _)| port).into_iter().chain(MAIL_PORTS.map(|(port, _)| port));
    let nobody = "no telnet, rexec, rlogin, rsh, and no mail service without TLS";
    each_port(AREA, host, ports, nobody, |port| of_port(host, port)).await
}

async fn of_port(host: &str, port: u16) -> io::Result<Option<Check>> {
    let Some(stream) = connect(host, port).await? else { return Ok(None) };
    let subject = format!("{host}:{port}");
    if let Some((_, name)) = REMOTE_SHELLS.iter().find(|(shell, _)| *shell == port) {
        let found = format!("{name} is open: passwords in the clear");
        return Ok(Some(Check::fail(AREA, subject, found, "who runs it: stop it, and use SSH")));
    }
    let Some((_, kind)) = MAIL_PORTS.iter().find(|(mail, _)| *mail == port) else { return Ok(None) };
    if takes_passwords(&mut Talk::over(stream), *kind).await? {
        let mend =
            "who runs it: no login without TLS (Postfix: smtpd_tls_auth_only = yes, Dovecot: ssl = required)";
        let found = "offers a login before TLS: passwords in the clear";
        return Ok(Some(Check::fail(AREA, subject, found, mend)));
    }
    Ok(Some(Check::pass(AREA, subject, "no login without TLS")))
}

/// # Errors
/// The connection's, and `InvalidData` for a server that does not let itself be asked.
async fn takes_passwords(talk: &mut Talk, kind: Mail) -> io::Result<bool> {
    match kind {
        Mail::Smtp => {
            expected(talk.reply().await?.code == READY)?;
            let offers = talk.ask(&format!("EHLO {SITE}")).await?;
            let _ = talk.say("QUIT").await;
            expected(offers.is_positive())?;
            // RFC 4954 3; `AUTH=` is of servers before it.
            let lines = offers.lines.iter().filter_map(|line| line.get(4..));
            Ok(lines
                .filter(|offer| offer.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("AUTH")))
                .any(sends_passwords))
        }
        // RFC 2449 6.3 and 6.5: USER or SASL; an old server without CAPA takes USER.
        Mail::Pop3 => {
            expected(talk.line().await?.starts_with("+OK"))?;
            talk.say("CAPA").await?;
            if !talk.line().await?.starts_with("+OK") {
                return Ok(true);
            }
            let mut takes = false;
            loop {
                let line = talk.line().await?;
                if line == "." {
                    return Ok(takes);
                }
                takes |= line == "USER" || (line.starts_with("SASL") && sends_passwords(&line));
            }
        }
        // RFC 9051 6.2.2 and 6.2.3: LOGINDISABLED speaks of the LOGIN command alone.
        Mail::Imap => {
            expected(talk.line().await?.starts_with("* OK"))?;
            talk.say("a CAPABILITY").await?;
            let offers = talk.line().await?;
            expected(offers.starts_with("* CAPABILITY"))?;
            Ok(!offers.contains("LOGINDISABLED") || sends_passwords(&offers))
        }
    }
}

/// Whether a list of capabilities holds a mechanism that sends the password as it is (RFC 4616, and LOGIN, which no RFC describes).
fn sends_passwords(list: &str) -> bool {
    list.split([' ', '=']).any(|word| ["PLAIN", "LOGIN"].iter().any(|name| word.eq_ignore_ascii_case(name)))
}

fn expected(is_so: bool) -> io::Result<()> {
    is_so.then_some(()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn takes(kind: Mail, words: &str) -> Option<bool> {
        let (mut theirs, ours) = tokio::io::duplex(1024);
        theirs.write_all(words.as_bytes()).await.unwrap();
        takes_passwords(&mut Talk::over(ours), kind).await.ok()
    }

    #[tokio::test]
    async fn only_mechanisms_that_send_the_password_count() {
        for (offers, is_taken) in [
            ("+OK\r\nTOP\r\nSTLS\r\n.\r\n", false),
            ("+OK\r\nUSER\r\nSTLS\r\n.\r\n", true),
            ("+OK\r\nSASL PLAIN\r\n.\r\n", true),
            ("+OK\r\nSASL\r\nSTLS\r\n.\r\n", false),
            ("+OK\r\nSASL CRAM-MD5\r\n.\r\n", false),
            ("-ERR what\r\n", true),
        ] {
            assert_eq!(
                takes(Mail::Pop3, &format!("+OK ready\r\n{offers}")).await,
                Some(is_taken),
                "{offers}"
            );
        }
        for (offers, is_taken) in [
            ("IMAP4rev1 STARTTLS LOGINDISABLED", false),
            ("IMAP4rev1 STARTTLS LOGINDISABLED AUTH=PLAIN", true),
            ("IMAP4rev1 LOGINDISABLED LOGIN-REFERRALS AUTH=SCRAM-SHA-256", false),
            ("IMAP4rev1 STARTTLS", true),
        ] {
            let words = format!("* OK ready\r\n* CAPABILITY {offers}\r\na OK\r\n");
            assert_eq!(takes(Mail::Imap, &words).await, Some(is_taken), "{offers}");
        }
        for (offers, is_taken) in
            [("AUTH PLAIN", true), ("AUTH=LOGIN", true), ("AUTH GSSAPI", false), ("STARTTLS", false)]
        {
            let words = format!("220 mail\r\n250-mail\r\n250 {offers}\r\n");
            assert_eq!(takes(Mail::Smtp, &words).await, Some(is_taken), "{offers}");
        }
    }

    #[tokio::test]
    async fn who_turns_us_away_gets_no_verdict() {
        for (kind, words) in [
            (Mail::Smtp, "421 too busy\r\n250 STARTTLS\r\n"),
            (Mail::Smtp, "220 mail\r\n502 what\r\n"),
            (Mail::Pop3, "-ERR too busy\r\n+OK\r\n.\r\n"),
            (Mail::Imap, "* BYE too busy\r\n* CAPABILITY LOGINDISABLED\r\n"),
            (Mail::Imap, "* OK ready\r\na BAD what\r\n"),
        ] {
            assert_eq!(takes(kind, words).await, None, "{words}");
        }
    }
}
