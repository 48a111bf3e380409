//! FTP on our hosts that lets anybody in (RFC 1635).

use super::Check;
use super::hosts::{each, each_port};
use super::talk::Talk;
use std::io;

pub(super) const AREA: &str = "ftp";
const PORT: u16 = 21;
/// RFC 959 5.4.
const LOGGED_IN: u16 = 230;
const WANTS_A_PASSWORD: u16 = 331;
/// Replies that refuse for good: 4xx says that it may be otherwise in a minute.
const REFUSED: std::ops::Range<u16> = 500..600;

pub(super) async fn check(hosts: &[String]) -> Vec<Check> {
    each(AREA, hosts, |host| each_port(AREA, host, [PORT], "no FTP server", move |port| of_port(host, port)))
        .await
}

async fn of_port(host: &str, port: u16) -> io::Result<Option<Check>> {
    let Some(mut talk) = Talk::plain(host, port).await? else { return Ok(None) };
    let subject = format!("{host}:{port}");
    let greeting = talk.reply().await?;
    if !greeting.is_positive() {
        let why = format!("does not let itself be asked now: {}", greeting.words());
        return Ok(Some(Check::not_checked(AREA, subject, why)));
    }
    let mut reply = talk.ask("USER anonymous").await?;
    if reply.code == WANTS_A_PASSWORD {
        reply = talk.ask("PASS check@example.com").await?;
    }
    let _ = talk.say("QUIT").await;
    Ok(Some(match reply.code {
        LOGGED_IN => {
            let mend = "who runs it: stop it, or turn anonymous logins off (vsftpd: anonymous_enable=NO)";
            Check::fail(AREA, subject, "lets anybody in without a password", mend)
        }
        code if REFUSED.contains(&code) => Check::pass(AREA, subject, "refuses an anonymous login"),
        _ => Check::not_checked(AREA, subject, format!("neither lets in nor refuses: {}", reply.words())),
    }))
}
