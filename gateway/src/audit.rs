//! The audit trail: who moved which study of which patient where (PS3.15 A.5), durable before what it tells of, chained by hashes, signed by
//! the site, and forwarded to a syslog server over TLS. It names patients, which is what it is for, and so it is no log: a folder of mode 0700.

mod codes;
mod command;
mod events;
mod forward;
mod line;
mod message;
#[cfg(test)]
mod tests;
mod trail;
mod walk;

pub use command::{list, verify};
pub use events::Subject;
pub use forward::forward;
pub use message::{Message, Outcome};
pub use trail::Durable;
pub use walk::{Fault, Verdict};

use seal::native::SiteKey;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};
use trail::Trail;

/// Longest time that a message is not under the site's signature.
const ANCHOR_AFTER: Duration = Duration::from_secs(1);
/// Messages made durable with one fsync.
const GROUP_MAX: usize = 64;
/// Alerts kept in a minute: anybody in the hospital's network can cause them, and must not fill the disk.
const ALERTS_MAX: u64 = 60;
const ALERTS_SPAN: Duration = Duration::from_secs(60);

/// The trail cannot be written: what it would tell of must not happen.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "audit: the trail cannot be written (operator: check the disk that holds the state folder, then restart)"
)]
pub struct AuditError;

/// Handle to the trail; cheap to clone. The trail is closed when the last one is gone.
#[derive(Clone)]
pub struct Audit {
    writer: Sender<Request>,
    alerts: Arc<Mutex<Alerts>>,
    grown: watch::Receiver<Durable>,
}

struct Request {
    message: Message,
    done: Option<oneshot::Sender<Result<(), AuditError>>>,
    /// The last one: the site signs behind it.
    last: bool,
}

#[derive(Default)]
struct Alerts {
    began: Option<Instant>,
    kept: u64,
    dropped: u64,
}

/// The folder of the trail below the state folder.
pub fn folder(state: &Path) -> PathBuf {
    state.join("audit")
}

impl Audit {
    /// Opens the trail below `state`, or begins it. A trail that is damaged is told of in the trail itself, and goes on.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open(state: &Path, site: Arc<SiteKey>, name: &str) -> io::Result<Self> {
        let (trail, fault) = Trail::open(&folder(state), site, name)?;
        let (writer, requests) = channel();
        let (grow, grown) = watch::channel(trail.durable());
        std::thread::Builder::new().name("audit".into()).spawn(move || write(trail, &requests, &grow))?;
        let audit = Self { writer, alerts: Arc::default(), grown };
        if let Some(fault) = fault {
            tracing::error!(
                file = fault.file,
                line = fault.line,
                message = fault.message,
                "the audit trail is damaged: {} (operator: find out who did it; keep these files)",
                fault.reason
            );
            audit.note(Message::trail_damaged(&fault.file, fault.reason));
        }
        Ok(audit)
    }

    /// Writes a message; when this returns it survives a power cut.
    ///
    /// # Errors
    /// [`AuditError`], from the first write that failed on.
    pub async fn record(&self, message: Message) -> Result<(), AuditError> {
        self.send(message, false).await
    }

    /// Writes the last message, and the site's signature behind it.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn close(&self, message: Message) -> Result<(), AuditError> {
        self.send(message, true).await
    }

    async fn send(&self, message: Message, last: bool) -> Result<(), AuditError> {
        let (done, recorded) = oneshot::channel();
        self.writer.send(Request { message, done: Some(done), last }).map_err(|_| AuditError)?;
        recorded.await.map_err(|_| AuditError)?
    }

    /// Writes a message of what has happened already, without waiting for it.
    pub fn note(&self, message: Message) {
        let _ = self.writer.send(Request { message, done: None, last: false });
    }

    /// Writes a security alert, if not too many came in this minute.
    pub fn alert(&self, message: Message) {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        if alerts.began.is_none_or(|began| began.elapsed() > ALERTS_SPAN) {
            if alerts.dropped > 0 {
                self.note(Message::alerts_dropped(alerts.dropped));
            }
            *alerts = Alerts { began: Some(Instant::now()), ..Alerts::default() };
        }
        if alerts.kept < ALERTS_MAX {
            alerts.kept += 1;
            self.note(message);
        } else {
            alerts.dropped += 1;
        }
    }

    /// How far the trail is durable.
    pub fn grown(&self) -> watch::Receiver<Durable> {
        self.grown.clone()
    }
}

/// The writer's thread. After an error nothing is written any more: what the disk holds is not known then (DESIGN 7).
fn write(mut trail: Trail, requests: &Receiver<Request>, grow: &watch::Sender<Durable>) {
    let mut anchored = Instant::now();
    loop {
        let group: Vec<Request> = match requests.recv_timeout(ANCHOR_AFTER) {
            Ok(first) => std::iter::once(first).chain(requests.try_iter().take(GROUP_MAX - 1)).collect(),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let last = group.iter().any(|request| request.last);
        let mut written =
            trail.append(group.iter().map(|request| &request.message), OffsetDateTime::now_utc());
        if written.is_ok() && trail.is_loose() && (last || anchored.elapsed() >= ANCHOR_AFTER) {
            written = trail.anchor();
            anchored = Instant::now();
        }
        let result = written.as_ref().map_or(Err(AuditError), |()| Ok(()));
        grow.send_replace(trail.durable());
        for done in group.into_iter().filter_map(|request| request.done) {
            let _ = done.send(result);
        }
        if let Err(error) = written {
            return failed(&error);
        }
    }
}

fn failed(error: &io::Error) {
    tracing::error!(
        "the audit trail cannot be written: {} (operator: check the disk, then restart; until then nothing is taken and nothing is sent)",
        error.kind()
    );
}
