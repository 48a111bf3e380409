//! The listener: as many associations at once as allowed, from everywhere and from one address, the next ones told so, and an orderly stop.

use super::Intake;
use super::association::{Caller, Service, run, turn_away};
use super::disk::{Disk, Folder};
use super::limits::{ACCEPT_PAUSE, ASSOCIATIONS_MAX, TURNED_AWAY};
use super::store::is_unfinished;
use crate::config::Dicom;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use web::rooms::{Connections, Rooms};

/// Where peers come in; at least one of the two.
#[derive(Debug, Default)]
pub struct Doors {
    /// Plain DICOM.
    pub plain: Option<TcpListener>,
    /// DICOM over TLS (PS3.15 B.12).
    pub tls: Option<(TcpListener, Arc<tls::Listener>)>,
}

impl Doors {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Option<Arc<tls::Listener>>)> {
        let plain = async {
            match &self.plain {
                Some(listener) => listener.accept().await.map(|(stream, peer)| (stream, peer, None)),
                None => std::future::pending().await,
            }
        };
        let secure = async {
            match &self.tls {
                Some((listener, tls)) => {
                    listener.accept().await.map(|(stream, peer)| (stream, peer, Some(Arc::clone(tls))))
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = plain => accepted,
            accepted = secure => accepted,
        }
    }
}

/// Serves associations until `shutdown` holds `true` or its sender is gone; then those still open are ended, objects
/// under way are dropped, and those already durable are still answered.
///
/// Temporary files of an earlier run are removed from `folder` first. Files under a final name are left alone: whether
/// the journal knows them is not known here.
///
/// # Errors
/// Only where `folder` cannot be opened or cleaned. What happens on a connection ends that connection.
pub async fn serve<I: Intake>(
    doors: Doors,
    config: Dicom,
    folder: PathBuf,
    intake: Arc<I>,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let disk = Arc::new(Folder::open(folder, is_unfinished)?);
    serve_on(doors, &config, disk, intake, shutdown).await;
    Ok(())
}

async fn serve_on<I: Intake, D: Disk>(
    doors: Doors,
    config: &Dicom,
    disk: Arc<D>,
    intake: Arc<I>,
    mut shutdown: watch::Receiver<bool>,
) {
    let stopping = StopWhenDropped::default();
    let service = Arc::new(Service {
        intake,
        disk,
        idle: Duration::from_millis(config.idle_ms),
        runtime: Handle::current(),
        stopping: Arc::clone(&stopping.0),
    });
    let places = Places::new(config);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = told_to_stop(&mut shutdown) => break,
            Some(ended) = connections.join_next() => report_panic(ended),
            accepted = doors.accept() => match accepted {
                Ok((stream, peer, tls)) => admit(&service, &places, &mut connections, stream, peer, tls),
                Err(error) => pause(&error).await,
            },
        }
    }
    drop((doors, stopping));
    while let Some(ended) = connections.join_next().await {
        report_panic(ended);
    }
}

/// A sender that is gone means stop as well: nobody could tell us any more.
async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Tells every association to end, also where the future that serves them is dropped.
#[derive(Default)]
struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who is served, and who is told that there is no room.
struct Places {
    associations: Arc<Rooms>,
    turned_away: Arc<Rooms>,
}

impl Places {
    fn new(config: &Dicom) -> Self {
        Self {
            associations: Rooms::new(Connections {
                at_once_max: config.associations_max.min(ASSOCIATIONS_MAX),
                of_address_max: config.of_address_max(),
            }),
            turned_away: Rooms::new(TURNED_AWAY),
        }
    }
}

/// Gives a connection a thread: to be served, to be told that there is no room, or none at all.
fn admit<I: Intake, D: Disk>(
    service: &Arc<Service<I, D>>,
    places: &Places,
    connections: &mut JoinSet<()>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<tls::Listener>>,
) {
    let Ok(stream) = stream.into_std() else { return };
    let caller = Caller { stream, peer, tls };
    let service = Arc::clone(service);
    if let Some(room) = places.associations.enter(peer.ip()) {
        connections.spawn_blocking(move || {
            run(&service, caller);
            drop(room);
        });
    } else if let Some(room) = places.turned_away.enter(peer.ip()) {
        connections.spawn_blocking(move || {
            turn_away(&service, caller);
            drop(room);
        });
    } else {
        tracing::warn!(stage = "receive", %peer, act = "operator", "connection closed: too many at once");
    }
}

async fn pause(error: &io::Error) {
    tracing::error!(stage = "receive", act = "operator", "cannot accept connections: {}", error.kind());
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn report_panic(ended: Result<(), JoinError>) {
    if ended.is_err() {
        tracing::error!(stage = "receive", act = "us", "an association ended by a defect of this program");
    }
}
