//! Whether this machine's clock is right: the audit trail and the times on the page are read beside those of other systems.

use super::Check;
use super::talk::WAIT;
use crate::config::Config;
use std::io;
use std::time::SystemTime;
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio::time::timeout;

pub(super) const AREA: &str = "clock";
const SUBJECT: &str = "this machine";
/// Largest error of systems whose audit trails are compared (IHE ITI TF-1, Consistent Time).
const OFFSET_SECONDS_MAX: f64 = 1.0;
const MEND: &str = "let the clock follow the hospital's time server (systemd-timesyncd or chrony)";
/// RFC 5905 7.3: bytes of a packet without extensions.
const PACKET_BYTES: usize = 48;
/// Version 4, mode 3: a client.
const CLIENT: u8 = 0x23;
/// The mode in the first byte, that of a server, and the leap indicator of one that has no time itself.
const MODE_BITS: u8 = 0x07;
const SERVER: u8 = 4;
const NOT_SYNCHRONISED: u8 = 0xC0;
/// Strata of a server that has the time from somewhere.
const STRATA: std::ops::RangeInclusive<u8> = 1..=15;
/// Seconds from 1900 to 1970 (RFC 5905 6).
const TO_1970: u64 = 2_208_988_800;

pub(super) async fn check(config: &Config) -> Check {
    match &config.check.time_server {
        Some(server) => by_server(server).await,
        None => by_the_system().await,
    }
}

async fn by_server(server: &str) -> Check {
    let subject = format!("{SUBJECT}, by {server}");
    match timeout(WAIT, ask(server)).await {
        Err(_) => Check::not_checked(AREA, subject, "the time server does not answer"),
        Ok(Err(error)) => {
            Check::not_checked(AREA, subject, format!("the time server cannot be asked: {error}"))
        }
        Ok(Ok(None)) => Check::not_checked(AREA, subject, "the time server has no time itself"),
        Ok(Ok(Some(offset))) if offset.abs() > OFFSET_SECONDS_MAX => {
            let word = if offset > 0.0 { "behind" } else { "ahead" };
            Check::fail(AREA, subject, format!("{:.1} s {word}", offset.abs()), MEND)
        }
        Ok(Ok(Some(_))) => Check::pass(AREA, subject, format!("right to {OFFSET_SECONDS_MAX:.0} s")),
    }
}

/// What systemd-timedated reads from the kernel (adjtimex(2)).
async fn by_the_system() -> Check {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).kill_on_drop(true);
    let said = match timeout(WAIT, command.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => String::new(),
    };
    match said.as_str() {
        "yes" => Check::pass(AREA, SUBJECT, "follows a time server"),
        "no" => Check::fail(AREA, SUBJECT, "follows no time server", MEND),
        _ => Check::not_checked(
            AREA,
            SUBJECT,
            "timedatectl says nothing here: name a server in [check] time_server",
        ),
    }
}

/// Seconds by which the server is ahead of us (RFC 5905 8); none where it has no time itself.
async fn ask(server: &str) -> io::Result<Option<f64>> {
    let address = tokio::net::lookup_host(server).await?.next().ok_or(io::ErrorKind::NotFound)?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    // The server sends the mark back: an answer without it is to somebody else's question.
    let mark = fastrand::u64(..).to_be_bytes();
    let question = [&[CLIENT][..], &[0; PACKET_BYTES - 9], &mark].concat();
    let sent = now();
    socket.send(&question).await?;
    let mut answer = [0; PACKET_BYTES];
    loop {
        let bytes = socket.recv(&mut answer).await?;
        if bytes == PACKET_BYTES && answer.get(24..32) == Some(&mark[..]) {
            return Ok(offset(&answer, sent, now()));
        }
    }
}

fn offset(answer: &[u8; PACKET_BYTES], sent: u64, received: u64) -> Option<f64> {
    let [first, stratum, ..] = *answer;
    let has_time = first & MODE_BITS == SERVER && first & NOT_SYNCHRONISED != NOT_SYNCHRONISED;
    (has_time && STRATA.contains(&stratum)).then_some(())?;
    let stamp = |at: usize| Some(u64::from_be_bytes(answer.get(at..at + 8)?.try_into().ok()?));
    // Differences wrap, as the seconds do in 2036.
    let seconds = |later: u64, earlier: u64| later.wrapping_sub(earlier).cast_signed() as f64 / 2f64.powi(32);
    Some((seconds(stamp(32)?, sent) + seconds(stamp(40)?, received)) / 2.0)
}

/// Seconds since 1900 and their 2^32nd parts.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (since.as_secs().wrapping_add(TO_1970) << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use super::*;

    fn answer(first: u8, stratum: u8, received: u64, sent: u64) -> [u8; PACKET_BYTES] {
        let stamps = [received.to_be_bytes(), sent.to_be_bytes()].concat();
        [&[first, stratum][..], &[0; 30], &stamps].concat().try_into().unwrap()
    }

    #[test]
    fn the_way_there_and_back_is_taken_out_and_2036_is_no_step() {
        let at = |seconds: f64| (seconds * 2f64.powi(32)) as u64;
        let told = answer(0x24, 2, at(1000.0 + 0.25 + 7.0), at(1000.0 + 0.25 + 7.0));
        assert_eq!(offset(&told, at(1000.0), at(1000.5)), Some(7.0));
        let past_the_end = answer(0x24, 2, at(1.0), at(1.0));
        assert_eq!(offset(&past_the_end, u64::MAX - at(1.0) + 1, u64::MAX - at(1.0) + 1), Some(2.0));
        for (first, stratum) in [(0x24, 0), (0x24, 16), (0xE4, 2), (0x23, 2)] {
            assert_eq!(offset(&answer(first, stratum, 0, 0), 0, 0), None);
        }
    }
}
