//! The audit trail: who moved which study of which patient where (PS3.15 A.5), durable before what it tells of, chained by hashes, signed by
//! the site, and forwarded to a syslog server over TLS. It names patients, which is what it is for, and so it is no log: a folder of mode 0700.

mod alerts;
mod codes;
mod command;
mod endings;
mod events;
mod forward;
mod line;
mod message;
#[cfg(test)]
mod tests;
mod trail;
mod walk;

pub use command::{list, verify};
pub(crate) use endings::{PURPOSE_OF_PROOF, endings};
pub use events::{Reading, RetrievalNodes, Server, ServerRefusal, Subject};
pub use forward::forward;
pub use message::{Message, Outcome};
pub use trail::Durable;
pub use walk::{Fault, Verdict};
pub(crate) use walk::{grows, names};

use crate::spool::{create_anew, sync_folder};
use alerts::Budgets;
use seal::native::SiteKey;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Messages of what has happened already that wait for room on a full disk; more are counted.
const KEPT_MAX: usize = 4096;
/// What is told of those that were counted.
const BEYOND_KEPT: &str = "the disk had no room for what has happened";

/// The trail cannot be written: what it would tell of must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// For now.
    #[error(
        "audit: the disk is full (operator: make room where the state folder is; then it goes on by itself)"
    )]
    Full,
    /// The writer has stopped.
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
    refuses: Arc<AtomicBool>,
}

struct Request {
    /// When it happens, and what.
    message: (OffsetDateTime, Message),
    done: Option<oneshot::Sender<Result<(), AuditError>>>,
    /// The last one: the site signs behind it.
    last: bool,
}

/// The folder of the trail below the state folder.
pub fn folder(state: &Path) -> PathBuf {
    state.join("audit")
}

/// Leaves whoever has the trail open with what is gone: the file that is appended to is replaced by a copy.
///
/// # Errors
/// Any I/O error.
pub(crate) fn leave_behind(folder: &Path) -> io::Result<()> {
    let last = match walk::files(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?.pop(),
    };
    let Some(last) = last else { return Ok(()) };
    let (path, unfinished) = (walk::path(folder, last), folder.join("trail.unfinished"));
    let mut copy = create_anew(&unfinished)?;
    io::copy(&mut File::open(&path)?, &mut copy)?;
    copy.sync_all()?;
    fs::rename(unfinished, path)?;
    sync_folder(folder)
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
        let alerts: Arc<Mutex<Budgets>> = Arc::default();
        let mut thread = Writer {
            trail,
            alerts: Arc::clone(&alerts),
            grow,
            anchored: Instant::now(),
            kept: Vec::new(),
            beyond: 0,
            lacks_room: None,
            refuses: Arc::default(),
        };
        let refuses = Arc::clone(&thread.refuses);
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || while thread.serve(&requests).is_continue() {})?;
        let audit = Self { writer, alerts, grown, refuses };
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
        let message = (OffsetDateTime::now_utc(), message);
        self.writer.send(Request { message, done: Some(done), last }).map_err(|_| AuditError::Stopped)?;
        recorded.await.map_err(|_| AuditError::Stopped)?
    }

    /// Writes a message of what has happened already, without waiting for it.
    pub fn note(&self, message: Message) {
        let message = (OffsetDateTime::now_utc(), message);
        let _ = self.writer.send(Request { message, done: None, last: false });
    }

    /// Writes a security alert, if not too many of its words came lately.
    pub fn alert(&self, message: Message) {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        if alerts.keeps(message.alert_words(), Instant::now()) {
            self.note(message);
        }
    }

    /// Whether the last message could be written, and the next one will be tried.
    pub fn is_written(&self) -> bool {
        // The writer's thread holds the other end, and ends with the first error that no room on the disk mends.
        self.grown.has_changed().is_ok() && !self.refuses.load(Ordering::Acquire)
    }

    /// How far the trail is durable.
    pub fn grown(&self) -> watch::Receiver<Durable> {
        self.grown.clone()
    }
}

/// The writer's thread. On a full disk it refuses what is to happen, keeps what has happened, and tries again. After any other error nothing is
/// written any more: what the disk holds is not known then (DESIGN 7).
struct Writer {
    trail: Trail,
    alerts: Arc<Mutex<Budgets>>,
    grow: watch::Sender<Durable>,
    /// When the chain was last signed.
    anchored: Instant,
    /// What has happened and waits for room.
    kept: Vec<(OffsetDateTime, Message)>,
    /// Messages beyond these.
    beyond: u64,
    /// What the trail cannot be for want of room, as the operator was told.
    lacks_room: Option<&'static str>,
    /// It lacks room: what [`Audit`] tells.
    refuses: Arc<AtomicBool>,
}

impl Writer {
    /// Serves who asks within a second, and signs.
    fn serve(&mut self, requests: &Receiver<Request>) -> ControlFlow<()> {
        let group: Vec<Request> = match requests.recv_timeout(ANCHOR_AFTER) {
            Ok(first) => std::iter::once(first).chain(requests.try_iter().take(GROUP_MAX - 1)).collect(),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(()),
        };
        let last = group.iter().any(|request| request.last);
        let dropped =
            self.alerts.lock().unwrap_or_else(PoisonError::into_inner).dropped(Instant::now(), last);
        for (words, count) in dropped {
            self.keep((OffsetDateTime::now_utc(), Message::alerts_dropped(&words, count)));
        }
        if group.is_empty() && self.kept.is_empty() && !self.trail.is_loose() {
            return ControlFlow::Continue(());
        }
        let written = outcome(self.write(&group));
        let signed = if written.is_ok() { outcome(self.sign(last)) } else { Ok(()) };
        self.grow.send_replace(self.trail.durable());
        self.say_of_room(written, signed);
        let mut answers = Vec::new();
        for Request { message, done, last } in group {
            match done {
                Some(done) => answers.push((done, if last { written.and(signed) } else { written })),
                None if written.is_err() => self.keep(message),
                None => {}
            }
        }
        let stopped = [written, signed].contains(&Err(AuditError::Stopped));
        let waiting = self.kept.len() as u64 + self.beyond;
        if waiting > 0 && (stopped || last) {
            tracing::error!(messages = waiting, "what has happened is lost to the audit trail");
        }
        for (done, answer) in answers {
            let _ = done.send(answer);
        }
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn keep(&mut self, message: (OffsetDateTime, Message)) {
        if self.kept.len() < KEPT_MAX { self.kept.push(message) } else { self.beyond += 1 }
    }

    /// What waited, then the group.
    fn write(&mut self, group: &[Request]) -> Result<(), TrailError> {
        while !self.kept.is_empty() {
            let next = self.kept.len().min(GROUP_MAX);
            self.trail.append(self.kept.iter().take(next))?;
            self.kept.drain(..next);
        }
        if self.beyond > 0 {
            let told = (OffsetDateTime::now_utc(), Message::alerts_dropped(BEYOND_KEPT, self.beyond));
            self.trail.append(std::iter::once(&told))?;
            self.beyond = 0;
        }
        self.trail.append(group.iter().map(|request| &request.message))
    }

    /// If it is time, or at once.
    fn sign(&mut self, at_once: bool) -> Result<(), TrailError> {
        if self.trail.is_loose() && (at_once || self.anchored.elapsed() >= ANCHOR_AFTER) {
            self.anchored = Instant::now();
            self.trail.anchor()?;
        }
        Ok(())
    }

    /// Says once what the full disk prevents, and once that it does no more.
    fn say_of_room(&mut self, written: Result<(), AuditError>, signed: Result<(), AuditError>) {
        let lacks = match (written, signed) {
            (Err(AuditError::Full), _) => Some("written"),
            (_, Err(AuditError::Full)) => Some("signed"),
            _ => None,
        };
        if lacks == std::mem::replace(&mut self.lacks_room, lacks) {
            return;
        }
        self.refuses.store(lacks.is_some(), Ordering::Release);
        match lacks {
            Some(what) => tracing::error!(
                "the audit trail cannot be {what}: the disk is full (operator: make room; until it is written again nothing is taken and nothing is sent)"
            ),
            None => tracing::info!("the audit trail is written again"),
        }
    }
}

fn outcome(written: Result<(), TrailError>) -> Result<(), AuditError> {
    written.map_err(|error| match error {
        TrailError::Full => AuditError::Full,
        TrailError::Broken(error) => {
            tracing::error!(
                "the audit trail cannot be written: {} (operator: check the disk, then restart; until then nothing is taken and nothing is sent)",
                error.kind()
            );
            AuditError::Stopped
        }
    })
}
