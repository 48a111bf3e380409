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
use trail::{Trail, TrailError};

/// Longest time that a message is not under the site's signature.
const ANCHOR_AFTER: Duration = Duration::from_secs(1);
/// Messages made durable with one fsync.
const GROUP_MAX: usize = 64;

/// Messages of what has happened already that wait for room on a full disk.
const KEPT_MAX: usize = 4096;

/// The trail cannot be written: what it would tell of must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// For now.
    #[error(
        "audit: the disk is full (operator: make room where the state folder is; then it goes on by itself)"
    )]
    Full,
    /// Until a restart.
    #[error(
        "audit: the trail cannot be written (operator: check the disk that holds the state folder, then restart)"
    )]
    Stopped,
}

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
        let (trail, fault) = Trail::open(&folder(state), site, name).map_err(io::Error::other)?;
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
    /// [`AuditError`]: the message is not in the trail.
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
        self.writer.send(Request { message, done: Some(done), last }).map_err(|_| AuditError::Stopped)?;
        recorded.await.map_err(|_| AuditError::Stopped)?
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

/// The writer's thread. On a full disk it refuses what is to happen, keeps what has happened, and tries again. After any other error nothing is
/// written any more: what the disk holds is not known then (DESIGN 7).
fn write(
    mut trail: Trail,
    requests: &Receiver<Request>,
    alerts: &Mutex<Budgets>,
    grow: &watch::Sender<Durable>,
) {
    let mut anchored = Instant::now();
    let mut kept: Vec<Message> = Vec::new();
    let mut is_full = false;
    loop {
        let group: Vec<Request> = match requests.recv_timeout(ANCHOR_AFTER) {
            Ok(first) => std::iter::once(first).chain(requests.try_iter().take(GROUP_MAX - 1)).collect(),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return lost(kept.len()),
        };
        let last = group.iter().any(|request| request.last);
        let dropped = alerts.lock().unwrap_or_else(PoisonError::into_inner).dropped(Instant::now(), last);
        kept.extend(dropped.iter().map(|(words, count)| Message::alerts_dropped(words, *count)));
        let messages = kept.iter().chain(group.iter().map(|request| &request.message));
        let written = trail.append(messages, OffsetDateTime::now_utc());
        let mut signed = Ok(());
        if written.is_ok() {
            kept.clear();
            if trail.is_loose() && (last || anchored.elapsed() >= ANCHOR_AFTER) {
                signed = trail.anchor();
                anchored = Instant::now();
            }
        }
        grow.send_replace(trail.durable());
        let full = written.is_err() || signed.is_err();
        let state = match (&written, &signed) {
            (Err(TrailError::Broken(error)), _) | (_, Err(TrailError::Broken(error))) => {
                failed(error);
                Err(AuditError::Stopped)
            }
            (Err(TrailError::Full), _) => Err(AuditError::Full),
            (Ok(()), _) => Ok(()),
        };
        for Request { message, done, .. } in group {
            match done {
                Some(done) => drop(done.send(state)),
                None if state == Err(AuditError::Full) => kept.push(message),
                None => {}
            }
        }
        if kept.len() > KEPT_MAX {
            tracing::error!(
                "the audit trail: too much waits for room on the disk (operator: make room, then restart; until then nothing is taken and nothing is sent)"
            );
            return lost(kept.len());
        }
        if state == Err(AuditError::Stopped) {
            return lost(kept.len());
        }
        say_of_room(&mut is_full, full);
    }
}

/// Says once that the disk is full, and once that it is not any more.
fn say_of_room(was_full: &mut bool, is_full: bool) {
    match (*was_full, is_full) {
        (false, true) => tracing::error!(
            "the audit trail cannot be written: the disk is full (operator: make room; until then nothing is taken and nothing is sent)"
        ),
        (true, false) => tracing::info!("the audit trail is written again"),
        _ => {}
    }
    *was_full = is_full;
}

fn lost(messages: usize) {
    if messages > 0 {
        tracing::error!(messages, "messages for the audit trail are lost: there was no room on the disk");
    }
}

fn failed(error: &io::Error) {
    tracing::error!(
        "the audit trail cannot be written: {} (operator: check the disk, then restart; until then nothing is taken and nothing is sent)",
        error.kind()
    );
}
