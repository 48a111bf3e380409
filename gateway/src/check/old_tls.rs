//! Whether a server still takes SSL 3.0, TLS 1.0 or TLS 1.1 (RFC 7568, RFC 8996). Our own TLS cannot speak them, so the first message of
//! each is written here by hand, and only the first answer is read.

use super::listeners::{Speaks, listeners};
use super::talk::{WAIT, connect};
use super::{Check, Config, within};
use futures::future::join_all;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) const AREA: &str = "old-tls";
/// `ProtocolVersion` of RFC 6101, 2246 and 4346.
const VERSIONS: [([u8; 2], &str); 3] = [([3, 0], "SSL 3.0"), ([3, 1], "TLS 1.0"), ([3, 2], "TLS 1.1")];
/// RFC 5246 6.2.1 and 7.4: record and message types.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// Suites that servers of those years take, from ECDHE with AES over RC4, DES and DSS to those that were made weak for export, and the mark
/// of RFC 5746: a server that refuses all of them has none for these versions.
const SUITES: [u16; 34] = [
    0xC00A, 0xC014, 0xC009, 0xC013, 0xC008, 0xC012, 0xC007, 0xC011, 0x0039, 0x0038, 0x0033, 0x0032, 0x0016,
    0x0013, 0x0088, 0x0045, 0x0035, 0x002F, 0x0084, 0x0041, 0x0096, 0x0007, 0x000A, 0x0005, 0x0004, 0x0015,
    0x0012, 0x0009, 0x0014, 0x0011, 0x0008, 0x0006, 0x0003, 0x00FF,
];
/// Extensions of RFC 8422 5.1: the curves P-256, P-384 and P-521, points uncompressed.
const CURVES: [u8; 18] = [0, 10, 0, 8, 0, 6, 0, 23, 0, 24, 0, 25, 0, 11, 0, 2, 1, 0];
const ALERT: u8 = 21;
/// Record header, and behind it in a handshake: message header, version.
const RECORD_BYTES: usize = 5;
const MESSAGE_BYTES: usize = 6;

/// What a server says to one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Takes,
    Refuses,
    /// Nothing, or what is no TLS.
    Unclear,
}

pub(super) async fn check(config: &Config) -> Vec<Check> {
    let mut targets: Vec<(String, String, u16)> = config
        .servers()
        .map(|(table, server)| (server.told_as(table), server.host.clone(), server.port))
        .collect();
    let mut checks = Vec::new();
    for listener in listeners(config) {
        if !matches!(listener.speaks, Speaks::DicomTls | Speaks::Https) {
            continue;
        }
        match listener.reached_at() {
            Some(at) => targets.push((format!("{} {at}", listener.key), at.ip().to_string(), at.port())),
            None => checks.push(Check::not_checked(AREA, listener.key, "the gateway does not run")),
        }
    }
    let asked =
        targets.iter().map(|(subject, host, port)| within(AREA, subject.clone(), one(subject, host, *port)));
    checks.extend(join_all(asked).await);
    checks
}

async fn one(subject: &str, host: &str, port: u16) -> Check {
    let said = join_all(VERSIONS.map(|(version, name)| async move {
        let Some(stream) = connect(host, port).await? else { return Ok(None) };
        let answer = timeout(WAIT, said(stream, host, version)).await;
        Ok::<_, io::Error>(Some((name, answer.unwrap_or(Said::Unclear))))
    }));
    let said: io::Result<Option<Vec<_>>> =
        said.await.into_iter().collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().collect());
    match said {
        Ok(Some(said)) => judged(subject, &said),
        Ok(None) => Check::not_checked(AREA, subject, "nobody answers there"),
        Err(error) => Check::not_checked(AREA, subject, format!("cannot be asked: {}", error.kind())),
    }
}

fn judged(subject: &str, said: &[(&str, Said)]) -> Check {
    let names = |what| {
        let names: Vec<&str> = said.iter().filter(|(_, said)| *said == what).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let (taken, unclear) = (names(Said::Takes), names(Said::Unclear));
    if !taken.is_empty() {
        let mend = "who runs it: allow TLS 1.2 and 1.3 alone (Postfix: smtpd_tls_mandatory_protocols, Dovecot: ssl_min_protocol)";
        return Check::fail(AREA, subject, format!("takes {taken}"), mend);
    }
    if !unclear.is_empty() {
        return Check::not_checked(AREA, subject, format!("does not answer in TLS to {unclear}"));
    }
    Check::pass(AREA, subject, "refuses SSL 3.0, TLS 1.0 and TLS 1.1")
}

/// A server that closes or resets has not taken it; the area `tls` says whether it speaks TLS at all.
async fn said(mut stream: TcpStream, host: &str, version: [u8; 2]) -> Said {
    let mut random = [0; 32];
    random.fill_with(|| fastrand::u8(..));
    let (mut record, mut message) = ([0; RECORD_BYTES], [0; MESSAGE_BYTES]);
    let answer = async {
        stream.write_all(&client_hello(host, version, random)).await?;
        stream.read_exact(&mut record).await?;
        if record[0] == HANDSHAKE {
            stream.read_exact(&mut message).await?;
        }
        io::Result::Ok(())
    };
    if answer.await.is_err() {
        return Said::Refuses;
    }
    let [kind, _, _, _, major, minor] = message;
    match record[0] {
        HANDSHAKE if (kind, [major, minor]) == (SERVER_HELLO, version) => Said::Takes,
        HANDSHAKE | ALERT => Said::Refuses,
        _ => Said::Unclear,
    }
}

/// RFC 5246 7.4.1.2, in a record of its own.
fn client_hello(host: &str, version: [u8; 2], random: [u8; 32]) -> Vec<u8> {
    let suites: Vec<u8> = SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let mut extensions = CURVES.to_vec();
    // RFC 6066 3: an address is no server name.
    if host.parse::<std::net::IpAddr>().is_err() {
        let entry = [&[0][..], &with_length(2, host.as_bytes())].concat();
        extensions.extend([&[0, 0][..], &with_length(2, &with_length(2, &entry))].concat());
    }
    let no_session_no_compression: (&[u8], &[u8]) = (&[0], &[1, 0]);
    let hello = [
        &version[..],
        &random,
        no_session_no_compression.0,
        &with_length(2, &suites),
        no_session_no_compression.1,
        &with_length(2, &extensions),
    ]
    .concat();
    let message = [&[CLIENT_HELLO][..], &with_length(3, &hello)].concat();
    [&[HANDSHAKE][..], &version, &with_length(2, &message)].concat()
}

/// A vector of TLS behind its length in so many bytes (RFC 5246 4.3).
fn with_length(bytes: usize, vector: &[u8]) -> Vec<u8> {
    let length = vector.len().to_be_bytes();
    [length.get(length.len() - bytes..).unwrap_or_default(), vector].concat()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_version_without_an_answer_does_not_pass() {
        use Said::{Refuses, Takes, Unclear};
        for (said, verdict) in [
            ([Refuses, Refuses, Refuses], Verdict::Pass),
            ([Refuses, Unclear, Refuses], Verdict::NotChecked),
            ([Unclear, Refuses, Takes], Verdict::Fail),
        ] {
            let said: Vec<(&str, Said)> =
                VERSIONS.iter().zip(said).map(|((_, name), said)| (*name, said)).collect();
            assert_eq!(judged("server", &said).verdict, verdict);
        }
    }
}
