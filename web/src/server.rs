//! Connections: TLS, limits against slow and many clients, HTTP/1.1, and HTTP/2 where the client chose it in the handshake.

use crate::linger;
use crate::rooms::{Connections, Rooms};
use axum::Router;
use axum::body::Body;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tls::{AcceptError, Listener};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// TLS handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// A whole request head, and the pause between two requests.
const HEAD_WAIT: Duration = Duration::from_secs(20);
/// Bytes sent that the peer does not acknowledge.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);
/// Request head in bytes: cookies and a search, with room.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Request headers.
const HEADERS_MAX: usize = 64;
/// Pause between two lines of the log about clients that are refused in the handshake: whoever knocks does not fill the disk.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// Pause after `accept` failed, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Requests at once on one HTTP/2 connection: an app has its events, one stream of ranges and a few calls.
const STREAMS_MAX: u32 = 32;
/// Bytes of answers that wait in memory for one HTTP/2 stream: several hundred slow phones cost some tens of MB.
const SEND_BUFFER_BYTES: usize = 128 << 10;
/// A connection that says nothing is asked whether it lives.
const PING_PAUSE: Duration = Duration::from_secs(30);

/// Who made a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Serves until dropped.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Listener>>,
    router: Router,
    connections: Connections,
) {
    let (rooms, refusals) = (Rooms::new(connections), Arc::new(Refusals::default()));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(room) = rooms.enter(peer.ip()) else { continue };
                let (tls, router, refusals) = (tls.clone(), router.clone(), Arc::clone(&refusals));
                tokio::spawn(async move {
                    connection(stream, peer, tls, router, &refusals).await;
                    drop(room);
                });
            }
            Err(error) => {
                tracing::error!(act = "operator", "connections cannot be accepted: {}", error.kind());
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How a connection ends is the peer's affair: nothing of it is logged, but why a client's own certificate is refused.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Listener>>,
    router: Router,
    refusals: &Refusals,
) {
    let unacknowledged_ms = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, unacknowledged_ms);
    let _ = stream.set_nodelay(true);
    match tls {
        None => requests(stream, peer, router).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE_WAIT, tls.serve(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) => {
                streams(stream, peer, router).await;
            }
            Ok(Ok(stream)) => requests(stream, peer, router).await,
            Ok(Err(AcceptError::Refused(reason)))
                if tls.asks_for_certificates() && refusals.may_be_told() =>
            {
                tracing::warn!(reason, "a client is refused in the handshake");
            }
            _ => {}
        },
    }
}

async fn requests(stream: impl AsyncRead + AsyncWrite + Unpin + Send, peer: SocketAddr, router: Router) {
    let service = tower_service_of(router, peer);
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// HTTP/2 (RFC 9113): a connection without requests ends when it no longer answers pings.
async fn streams(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
) {
    let service = tower_service_of(router, peer);
    let _ = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_PAUSE)
        .keep_alive_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn tower_service_of(
    router: Router,
    peer: SocketAddr,
) -> impl hyper::service::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = hyper::Response<Body>,
    Error = std::convert::Infallible,
    Future: Send + 'static,
> {
    TowerToHyperService::new(
        router
            .layer(axum::Extension(Peer(peer)))
            .layer(axum::middleware::from_fn(linger::read_to_the_end))
            .into_service::<hyper::body::Incoming>(),
    )
}

/// When a refusal was told last.
#[derive(Default)]
struct Refusals(Mutex<Option<Instant>>);

impl Refusals {
    /// Whether a line of the log about one more is not too much now.
    fn may_be_told(&self) -> bool {
        let mut told_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told_at.is_none_or(|at| at.elapsed() >= REFUSED_PAUSE);
        if may {
            *told_at = Some(Instant::now());
        }
        may
    }
}
