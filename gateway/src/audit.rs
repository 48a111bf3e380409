//! The audit trail: who moved which study of which patient where (PS3.15 A.5), durable before what it tells of, chained by hashes, signed by
//! the site, and forwarded to a syslog server over TLS. It names patients, which is what it is for, and so it is no log: a folder of mode 0700.

mod alerts;
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
pub use events::{Reading, RetrievalNodes, Server, ServerRefusal, Subject};
pub use forward::forward;
pub use message::{Message, Outcome};
pub use trail::Durable;
pub use walk::{Fault, Verdict};

use alerts::Budgets;
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

/// The trail cannot be written: what it would tell of must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "audit: the trail cannot be written (operator: check the disk that holds the state folder, then restart)"
)]
pub struct AuditError;

/// Handle to the trail; cheap to clone. The trail is closed when the last one is gone.
#[derive(Clone)]
pub struct Audit {
    writer: Sender<Request>,
    alerts: Arc<Mutex<Budgets>>,
    grown: watch::Receiver<Durable>,
}

struct Request {
    message: Message,
    done: Option<oneshot::Sender<Result<(), AuditError>>>,
    /// The last one: the site signs behind it.
    last: bool,
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
        let alerts = Arc::default();
        let counted = Arc::clone(&alerts);
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || write(trail, &requests, &counted, &grow))?;
        let audit = Self { writer, alerts, grown };
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

    /// Writes a security alert, if not too many of its words came lately.
    pub fn alert(&self, message: Message) {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        if alerts.keeps(message.alert_words(), Instant::now()) {
            self.note(message);
        }
    }

    /// How far the trail is durable.
    pub fn grown(&self) -> watch::Receiver<Durable> {
        self.grown.clone()
    }
}

/// The writer's thread. After an error nothing is written any more: what the disk holds is not known then (DESIGN 7).
fn write(
    mut trail: Trail,
    requests: &Receiver<Request>,
    alerts: &Mutex<Budgets>,
    grow: &watch::Sender<Durable>,
) {
    let mut anchored = Instant::now();
    loop {
        let group: Vec<Request> = match requests.recv_timeout(ANCHOR_AFTER) {
            Ok(first) => std::iter::once(first).chain(requests.try_iter().take(GROUP_MAX - 1)).collect(),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let last = group.iter().any(|request| request.last);
        let dropped = alerts.lock().unwrap_or_else(PoisonError::into_inner).dropped(Instant::now(), last);
        let dropped: Vec<_> =
            dropped.iter().map(|(words, count)| Message::alerts_dropped(words, *count)).collect();
        let messages = dropped.iter().chain(group.iter().map(|request| &request.message));
        let mut written = trail.append(messages, OffsetDateTime::now_utc());
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
