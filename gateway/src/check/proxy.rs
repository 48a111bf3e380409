//! Whether a web server or proxy of ours carries strangers' requests on. Proved by arrival: the request is for a port that this check opens
//! for the purpose, so that nobody else is troubled, and an odd answer of a mere web server proves nothing.

use super::hosts::{each, each_port};
use super::listeners::{Listener, listeners};
use super::talk::{Talk, connect};
use super::web::talk_to_ours;
use super::{Check, within};
use crate::config::Config;
use futures::future::join_all;
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::TcpListener;

pub(super) const AREA: &str = "proxy";
/// Squid, Tomcat and its kin, Privoxy, tinyproxy.
const PORTS: [u16; 4] = [3128, 8080, 8118, 8888];
const SOCKS_PORT: u16 = 1080;
/// RFC 1928 3: version 5, one method, without a password; and a server that takes it.
const SOCKS_GREETING: [u8; 3] = [5, 1, 0];
const SOCKS_OPEN: [u8; 2] = [5, 0];
/// RFC 1928 4: version 5, CONNECT, reserved; then the kind of address.
const SOCKS_CONNECT: [u8; 3] = [5, 1, 0];
const SOCKS_IPV4: u8 = 1;
const SOCKS_IPV6: u8 = 4;
/// RFC 1928 6: not allowed by the ruleset.
const SOCKS_NOT_ALLOWED: [u8; 2] = [5, 2];
/// RFC 9110 15.6: whoever answers so tried and did not get there, or could not try.
const TRIED: [u16; 3] = [502, 503, 504];
/// A connection that was made before the answer waits already when that is read.
const ARRIVAL_WAIT: Duration = Duration::from_millis(300);
const MEND: &str = "who runs it: stop it, or let in whom it is for (Squid: http_access, tinyproxy: Allow)";

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    /// It arrived where it was for.
    On,
    /// The server answered for itself, or closed.
    No,
    /// It did not arrive, and the answer does not say that it was refused.
    Unclear,
}

pub(super) async fn check(config: &Config, hosts: &[String]) -> Vec<Check> {
    let ours = listeners(config);
    let ours = join_all(
        ours.iter()
            .filter(|listener| listener.is_web())
            .map(|listener| within(AREA, listener.key.to_owned(), of_ours(config, listener))),
    );
    let hosts = each(AREA, hosts, |host| {
        let nobody = "nothing on the usual ports of proxies";
        let ports = PORTS.into_iter().chain([SOCKS_PORT]);
        each_port(AREA, host, ports, nobody, move |port| of_port(host, port))
    });
    let (ours, hosts) = futures::join!(ours, hosts);
    ours.into_iter().chain(hosts).collect()
}

async fn of_ours(config: &Config, listener: &Listener) -> Check {
    let subject = listener.key;
    let talks = async {
        let at = listener.reached_at().ok_or("the gateway does not run")?;
        Ok((talk_to_ours(config, listener).await?, talk_to_ours(config, listener).await?, at.ip()))
    };
    match talks.await {
        Err::<_, String>(why) => Check::not_checked(AREA, subject, why),
        Ok((first, second, ip)) => match by_http(first, second, ip).await {
            Ok(carried) => judged(subject.to_owned(), carried),
            Err(error) => Check::not_checked(AREA, subject, format!("cannot be asked: {}", error.kind())),
        },
    }
}

async fn of_port(host: &str, port: u16) -> io::Result<Option<Check>> {
    let Some(first) = connect(host, port).await? else { return Ok(None) };
    let ip = first.local_addr()?.ip();
    let carried = if port == SOCKS_PORT {
        by_socks(Talk::over(first), ip).await?
    } else {
        let Some(second) = Talk::plain(host, port).await? else { return Ok(None) };
        by_http(Talk::over(first), second, ip).await?
    };
    Ok(Some(judged(format!("{host}:{port}"), carried)))
}

fn judged(subject: String, carried: Carried) -> Check {
    match carried {
        Carried::On => Check::fail(AREA, subject, "open proxy: carries anybody's requests on", MEND),
        Carried::No => Check::pass(AREA, subject, "carries nobody's requests on"),
        Carried::Unclear => {
            let why =
                "no request arrived, and no answer says that it is refused: ask who runs it whom it is for";
            Check::not_checked(AREA, subject, why)
        }
    }
}

/// RFC 9110 9.3.6 (CONNECT) and RFC 9112 3.2.2 (the absolute form), each on a connection of its own.
async fn by_http(first: Talk, second: Talk, ip: IpAddr) -> io::Result<Carried> {
    let witness = TcpListener::bind((ip, 0)).await?;
    let at = witness.local_addr()?;
    let tunnel = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    let absolute = format!("GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let tunnelled = arrives(&witness, status(first, &tunnel)).await;
    let fetched = arrives(&witness, status(second, &absolute)).await;
    if tunnelled.is_none() || fetched.is_none() {
        return Ok(Carried::On);
    }
    // A web server answers the absolute form with its own page; a tunnel that is said to be open and leads nowhere is no refusal.
    let is_refused = |status: Answer, with_own_page| match status {
        Answer::Closed => true,
        Answer::Status(200..400) => with_own_page,
        Answer::Status(status) => status >= 400 && !TRIED.contains(&status),
        Answer::Odd => false,
    };
    let is_clear = tunnelled.is_some_and(|status| is_refused(status, false))
        && fetched.is_some_and(|status| is_refused(status, true));
    Ok(if is_clear { Carried::No } else { Carried::Unclear })
}

/// RFC 1928: the same by SOCKS.
async fn by_socks(mut talk: Talk, ip: IpAddr) -> io::Result<Carried> {
    talk.send(&SOCKS_GREETING).await?;
    match talk.exactly(SOCKS_OPEN.len()).await {
        Ok(answer) if answer == SOCKS_OPEN => {}
        // Whoever wants a password, or no such client at all, closes or says so.
        Ok(_) => return Ok(Carried::No),
        Err(error) if is_close(&error) => return Ok(Carried::No),
        Err(error) => return Err(error),
    }
    let witness = TcpListener::bind((ip, 0)).await?;
    let at = witness.local_addr()?;
    let address = match at.ip() {
        IpAddr::V4(ip) => [&[SOCKS_IPV4][..], &ip.octets()].concat(),
        IpAddr::V6(ip) => [&[SOCKS_IPV6][..], &ip.octets()].concat(),
    };
    let request = [&SOCKS_CONNECT[..], &address, &at.port().to_be_bytes()].concat();
    let answer = async {
        talk.send(&request).await?;
        talk.exactly(SOCKS_NOT_ALLOWED.len()).await
    };
    Ok(match arrives(&witness, answer).await {
        None => Carried::On,
        Some(Ok(answer)) if answer == SOCKS_NOT_ALLOWED => Carried::No,
        Some(Err(error)) if is_close(&error) => Carried::No,
        Some(_) => Carried::Unclear,
    })
}

/// What is said to a request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    Closed,
    /// Nothing, or no HTTP.
    Odd,
}

async fn status(mut talk: Talk, request: &str) -> Answer {
    let line = async {
        talk.send(request.as_bytes()).await?;
        talk.line().await
    };
    match line.await {
        Ok(line) => {
            let code = line.starts_with("HTTP/").then(|| line.split(' ').nth(1)?.parse().ok()).flatten();
            code.map_or(Answer::Odd, Answer::Status)
        }
        Err(error) if is_close(&error) => Answer::Closed,
        Err(_) => Answer::Odd,
    }
}

fn is_close(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// The answer; none where somebody came to the witness before it, or right after.
async fn arrives<T>(witness: &TcpListener, answer: impl Future<Output = T>) -> Option<T> {
    let answer = tokio::select! {
        Ok(_) = witness.accept() => return None,
        answer = answer => answer,
    };
    match tokio::time::timeout(ARRIVAL_WAIT, witness.accept()).await {
        Ok(Ok(_)) => None,
        _ => Some(answer),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// What comes of a server that takes clients without a password, and then does so with the request.
    async fn by(carries: bool, answer: &'static [u8]) -> Option<Carried> {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            client.read_exact(&mut [0; 3]).await.unwrap();
            client.write_all(&SOCKS_OPEN).await.unwrap();
            let mut request = [0; 10];
            client.read_exact(&mut request).await.unwrap();
            let port = u16::from_be_bytes([request[8], request[9]]);
            let onward =
                if carries { Some(TcpStream::connect((LOOPBACK, port)).await.unwrap()) } else { None };
            client.write_all(answer).await.unwrap();
            drop(onward);
        });
        let carried = by_socks(Talk::over(TcpStream::connect(at).await.unwrap()), LOOPBACK).await;
        served.await.unwrap();
        carried.ok()
    }

    #[tokio::test]
    async fn socks_is_judged_by_what_arrives_and_by_its_refusal() {
        assert_eq!(by(true, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await, Some(Carried::On));
        assert_eq!(by(false, &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).await, Some(Carried::No));
        assert_eq!(by(false, &[]).await, Some(Carried::No));
        // It could not get there, or said that it did.
        for answer in [&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(by(false, answer).await, Some(Carried::Unclear));
        }
    }

    async fn by_web(tunnel: &'static str, page: &'static str) -> Carried {
        let answering = |words: &'static str| {
            let (mut theirs, ours) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = theirs.read(&mut request).await;
                let _ = theirs.write_all(words.as_bytes()).await;
            });
            Talk::over(ours)
        };
        by_http(answering(tunnel), answering(page), LOOPBACK).await.unwrap()
    }

    #[tokio::test]
    async fn a_refusal_passes_and_a_failure_does_not() {
        let (refuses, own_page) = ("HTTP/1.1 403 no\r\n", "HTTP/1.1 200 OK\r\n");
        for (tunnel, page, carried) in [
            (refuses, refuses, Carried::No),
            ("HTTP/1.1 405 no\r\n", own_page, Carried::No),
            ("", "", Carried::No),
            (own_page, refuses, Carried::Unclear),
            ("HTTP/1.1 502 no\r\n", refuses, Carried::Unclear),
            (refuses, "HTTP/1.1 504 late\r\n", Carried::Unclear),
            ("SSH-2.0-x\r\n", refuses, Carried::Unclear),
        ] {
            assert_eq!(by_web(tunnel, page).await, carried, "{tunnel:?} {page:?}");
        }
    }
}
