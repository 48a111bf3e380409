//! Connections: TLS, limits against slow and many clients, HTTP/1.1.

use super::limits::{
    ACCEPT_PAUSE, CONNECTIONS_MAX, CONNECTIONS_OF_ADDRESS_MAX, HANDSHAKE_WAIT, HEAD_BYTES_MAX, HEAD_WAIT,
    HEADERS_MAX, UNACKNOWLEDGED_MAX,
};
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tls::Listener;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Who made a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves until dropped.
pub(super) async fn serve(listener: TcpListener, tls: Option<Arc<Listener>>, router: Router) {
    let rooms = Arc::new(Rooms::default());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(room) = rooms.enter(peer.ip()) else { continue };
                tokio::spawn(connection(stream, peer, tls.clone(), router.clone(), room));
            }
            Err(error) => {
                tracing::error!(act = "operator", "the page cannot accept connections: {}", error.kind());
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How a connection ends is the peer's affair: nothing of it is logged.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Listener>>,
    router: Router,
    room: Room,
) {
    let unacknowledged_ms = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, unacknowledged_ms);
    let _ = stream.set_nodelay(true);
    match tls {
        None => requests(stream, peer, router).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WAIT, tls.serve(stream)).await {
                requests(stream, peer, router).await;
            }
        }
    }
    drop(room);
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

fn tower_service_of(
    router: Router,
    peer: SocketAddr,
) -> impl hyper::service::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = hyper::Response<Body>,
    Error = std::convert::Infallible,
    Future: Send,
> {
    TowerToHyperService::new(
        router.layer(axum::Extension(Peer(peer))).into_service::<hyper::body::Incoming>(),
    )
}

#[derive(Default)]
struct Rooms(Mutex<HashMap<IpAddr, usize>>);

/// Given back when dropped.
struct Room {
    rooms: Arc<Rooms>,
    address: IpAddr,
}

impl Rooms {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Room> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= CONNECTIONS_MAX {
            return None;
        }
        let theirs = taken.entry(address).or_default();
        if *theirs >= CONNECTIONS_OF_ADDRESS_MAX {
            return None;
        }
        *theirs += 1;
        Some(Room { rooms: Arc::clone(self), address })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.rooms.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(theirs) = taken.get_mut(&self.address) {
            *theirs -= 1;
            if *theirs == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn one_address_cannot_take_every_room_and_gives_its_own_back() {
        let rooms = Arc::new(Rooms::default());
        let address = |last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
        let first: Vec<_> = std::iter::from_fn(|| rooms.enter(address(1))).collect();
        assert_eq!(first.len(), CONNECTIONS_OF_ADDRESS_MAX);
        assert!(rooms.enter(address(2)).is_some());
        drop(first);
        assert!(rooms.enter(address(1)).is_some());
        let all: Vec<_> = (0..=255)
            .flat_map(|last| std::iter::from_fn(move || Some(last)).take(4))
            .map(|last| rooms.enter(address(last)))
            .collect();
        assert_eq!(all.iter().flatten().count(), CONNECTIONS_MAX);
    }
}
