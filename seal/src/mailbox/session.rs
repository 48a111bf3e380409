//! One logged-in connection and the strict exchange of one command.
//!
//! The library's own search and fetch calls take a NO, and even a lost connection, for an empty answer; so commands are
//! run here, up to the tagged reply. After a parse error the library is out of step: the connection is dropped.

use super::{COMMAND_TIMEOUT, CONNECT_TIMEOUT, MailboxConfig, MailboxError};
use async_imap::imap_proto::{MailboxDatum, Outcome, RequestId, Response, ResponseCode, Status};
use async_imap::{Client, Session, error::Error as ImapError};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tls::{FixedTrust, Stream, TlsError, Trust};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// Octets that greeting and login may have.
const LOGIN_BYTES_MAX: u64 = 256 << 10;
/// Octets that a server may say while a client idles for some minutes: lines of 30 octets.
const IDLE_BYTES_MAX: u64 = 1 << 20;

/// A connection, or what is left when it was lost.
#[derive(Debug)]
pub(super) struct Link {
    session: Option<Session<Metered>>,
    wait: Duration,
    /// A message came or went since the folder was opened, and the server said so beside the answer to a command: it will not say it again.
    changed: bool,
}

/// The tagged reply, as far as it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Ok,
    No,
    /// RFC 5530 3: OVERQUOTA.
    OverQuota,
    /// RFC 3501 7.1: TRYCREATE.
    TryCreate,
    /// RFC 5530 3: UNAVAILABLE, SERVERBUG or INUSE.
    Unavailable,
}

impl Reply {
    pub(super) fn accepted(self, during: &'static str) -> Result<(), MailboxError> {
        if self == Self::Ok { Ok(()) } else { Err(MailboxError::Refused { during }) }
    }
}

impl Link {
    pub(super) async fn open(
        config: &MailboxConfig,
        connect: Duration,
        wait: Duration,
    ) -> Result<Self, MailboxError> {
        let trust = Trust::read(&config.tls)?;
        let stream = trust.connect(&config.host, config.port, connect).await?;
        Self::log_in(config, stream, connect, wait).await
    }

    /// [`Link::open`] with roots and addresses found earlier.
    pub(super) async fn open_to(
        config: &MailboxConfig,
        trust: &FixedTrust,
        addresses: &[SocketAddr],
    ) -> Result<Self, MailboxError> {
        let stream = trust.connect(&config.host, addresses, CONNECT_TIMEOUT).await?;
        Self::log_in(config, stream, CONNECT_TIMEOUT, COMMAND_TIMEOUT).await
    }

    async fn log_in(
        config: &MailboxConfig,
        stream: Stream,
        connect: Duration,
        wait: Duration,
    ) -> Result<Self, MailboxError> {
        let metered = Metered { stream, left: LOGIN_BYTES_MAX };
        let session = timeout(connect, login(config, metered)).await;
        let session = session.map_err(|_| MailboxError::Lost { during: "LOGIN" })??;
        Ok(Self { session: Some(session), wait, changed: false })
    }

    /// Runs one command; `each` sees every untagged response. `budget`: octets the server may send in answer.
    pub(super) async fn command(
        &mut self,
        during: &'static str,
        command: &str,
        budget: u64,
        mut each: impl FnMut(&Response<'_>) + Send,
    ) -> Result<Reply, MailboxError> {
        // Taken out, so that a call that is dropped or fails half-way leaves no connection behind that is out of step.
        let mut session = self.session.take().ok_or(MailboxError::Lost { during })?;
        session.get_mut().left = budget;
        let mut changed = false;
        let mut see = |response: &Response<'_>| {
            changed |= is_change(response);
            each(response);
        };
        let reply = timeout(self.wait, exchange(&mut session, during, command, None, &mut see)).await;
        let reply = reply.map_err(|_| MailboxError::Lost { during })??;
        self.session = Some(session);
        self.changed |= changed;
        Ok(reply)
    }

    /// The folder was opened: what the server said of it then is no change.
    pub(super) fn opened(&mut self) {
        self.changed = false;
    }

    pub(super) async fn append(&mut self, command: &str, message: &str) -> Result<Reply, MailboxError> {
        let during = "APPEND";
        let mut session = self.session.take().ok_or(MailboxError::Lost { during })?;
        session.get_mut().left = LOGIN_BYTES_MAX;
        let reply =
            timeout(self.wait, exchange(&mut session, during, command, Some(message), &mut |_| {})).await;
        let reply = reply.map_err(|_| MailboxError::Lost { during })??;
        self.session = Some(session);
        Ok(reply)
    }

    /// IDLE (RFC 2177): waits at most `wait` for a change of the open folder since it was opened, and gives whether there was one.
    pub(super) async fn idle(&mut self, wait: Duration) -> Result<bool, MailboxError> {
        let during = "IDLE";
        if std::mem::take(&mut self.changed) {
            return Ok(true);
        }
        let mut session = self.session.take().ok_or(MailboxError::Lost { during })?;
        session.get_mut().left = IDLE_BYTES_MAX;
        let idled = idle(&mut session, wait, self.wait).await?;
        self.session = Some(session);
        idled.ok_or(MailboxError::Refused { during })
    }
}

/// Whether something changed; none from a server without IDLE.
async fn idle(
    session: &mut Session<Metered>,
    wait: Duration,
    answer: Duration,
) -> Result<Option<bool>, MailboxError> {
    let during = "IDLE";
    let lost = |_| MailboxError::Lost { during };
    let tag = session.run_command("IDLE").await.map_err(|error| imap_error(&error, during))?;
    let mut changed = false;
    loop {
        match timeout(answer, heard(session, &tag)).await.map_err(lost)?? {
            Heard::Continue => break,
            Heard::Done(_) => return Ok(None),
            Heard::Change => changed = true,
            Heard::Nothing => {}
        }
    }
    if !changed {
        let waiting = change(session, &tag);
        changed = timeout(wait, waiting).await.map_or(Ok(false), |ended| ended.map(|()| true))?;
    }
    session.run_command_untagged("DONE").await.map_err(|error| imap_error(&error, during))?;
    loop {
        match timeout(answer, heard(session, &tag)).await.map_err(lost)?? {
            Heard::Done(true) => return Ok(Some(changed)),
            Heard::Done(_) | Heard::Continue => return Err(MailboxError::Protocol { during }),
            Heard::Change => changed = true,
            Heard::Nothing => {}
        }
    }
}

async fn change(session: &mut Session<Metered>, tag: &RequestId) -> Result<(), MailboxError> {
    loop {
        match heard(session, tag).await? {
            Heard::Change => return Ok(()),
            Heard::Nothing => {}
            Heard::Continue | Heard::Done(_) => return Err(MailboxError::Protocol { during: "IDLE" }),
        }
    }
}

/// What a response means to who idles.
enum Heard {
    Continue,
    /// The end of IDLE, accepted or not.
    Done(bool),
    /// A message came or went.
    Change,
    Nothing,
}

async fn heard(session: &mut Session<Metered>, tag: &RequestId) -> Result<Heard, MailboxError> {
    let during = "IDLE";
    let response = session.read_response().await.map_err(|error| io_error(&error, during))?;
    let response = response.ok_or(MailboxError::Lost { during })?;
    Ok(match response.parsed() {
        Response::Continue(_) => Heard::Continue,
        Response::Done { tag: done, status, .. } if done == tag => Heard::Done(*status == Status::Ok),
        Response::Done { .. } => return Err(MailboxError::Protocol { during }),
        Response::Data { status: Status::Bye, .. } => return Err(MailboxError::Lost { during }),
        response if is_change(response) => Heard::Change,
        _ => Heard::Nothing,
    })
}

/// A message came or went (RFC 3501 7.3.1, 7.4.1; RFC 7162 3.2.10).
fn is_change(response: &Response<'_>) -> bool {
    matches!(
        response,
        Response::MailboxData(MailboxDatum::Exists(_)) | Response::Expunge(_) | Response::Vanished { .. }
    )
}

async fn login(config: &MailboxConfig, stream: Metered) -> Result<Session<Metered>, MailboxError> {
    let during = "LOGIN";
    let mut client = Client::new(stream);
    // A server that wants another client certificate says so where its greeting is awaited (RFC 8446 4.4.2.4).
    let greeting = client.read_response().await.map_err(|error| {
        let refused = TlsError::behind(&error, &config.host, config.port);
        refused.map_or_else(|| io_error(&error, "greeting"), MailboxError::Tls)
    })?;
    greeting.ok_or(MailboxError::Lost { during: "greeting" })?;
    client.login(&config.user, &config.password).await.map_err(|(error, _)| match error {
        // RFC 5530 3: the login may be right, the server cannot check it now.
        ImapError::No(text) if text.contains("[UNAVAILABLE]") => MailboxError::Refused { during },
        ImapError::No(_) => MailboxError::Login { user: config.user.clone() },
        ImapError::Validate(_) => MailboxError::Unsendable { what: "login" },
        other => imap_error(&other, during),
    })
}

async fn exchange(
    session: &mut Session<Metered>,
    during: &'static str,
    command: &str,
    mut literal: Option<&str>,
    each: &mut (dyn FnMut(&Response<'_>) + Send),
) -> Result<Reply, MailboxError> {
    let tag = session.run_command(command).await.map_err(|error| imap_error(&error, during))?;
    loop {
        let response = session.read_response().await.map_err(|error| io_error(&error, during))?;
        let response = response.ok_or(MailboxError::Lost { during })?;
        match response.parsed() {
            Response::Done { tag: done, status, outcome } => {
                return finished(&tag, done, status, outcome, during);
            }
            Response::Continue(_) => {
                let text = literal.take().ok_or(MailboxError::Protocol { during })?;
                session.run_command_untagged(text).await.map_err(|error| imap_error(&error, during))?;
            }
            Response::Data { status: Status::Bye, .. } if during != "LOGOUT" => {
                return Err(MailboxError::Lost { during });
            }
            other => each(other),
        }
    }
}

fn finished(
    tag: &RequestId,
    done: &RequestId,
    status: &Status,
    outcome: &Outcome<'_>,
    during: &'static str,
) -> Result<Reply, MailboxError> {
    match status {
        _ if tag != done => Err(MailboxError::Protocol { during }),
        Status::Ok => Ok(Reply::Ok),
        Status::No => Ok(reason(outcome)),
        _ => Err(MailboxError::Protocol { during }),
    }
}

/// The library leaves codes that it does not know (RFC 5530) at the start of the text.
fn reason(outcome: &Outcome<'_>) -> Reply {
    if matches!(outcome.code, Some(ResponseCode::TryCreate)) {
        return Reply::TryCreate;
    }
    let text = outcome.information.as_deref().unwrap_or_default();
    let code = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("", |(code, _)| code);
    match code {
        "OVERQUOTA" => Reply::OverQuota,
        "UNAVAILABLE" | "SERVERBUG" | "INUSE" => Reply::Unavailable,
        _ => Reply::No,
    }
}

/// The error's own text holds what the server sent and goes no further.
fn imap_error(error: &ImapError, during: &'static str) -> MailboxError {
    match error {
        ImapError::Io(error) => io_error(error, during),
        ImapError::ConnectionLost => MailboxError::Lost { during },
        _ => MailboxError::Protocol { during },
    }
}

fn io_error(error: &io::Error, during: &'static str) -> MailboxError {
    // The library reports unparsable replies as `Other`.
    if error.kind() == io::ErrorKind::Other {
        MailboxError::Protocol { during }
    } else {
        MailboxError::Lost { during }
    }
}

/// The TLS stream with the number of octets that the server may still send: the library would buffer 512 MiB.
struct Metered {
    stream: Stream,
    left: u64,
}

impl fmt::Debug for Metered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Metered(left {})", self.left)
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        let came = buffer.filled().len().saturating_sub(before) as u64;
        match self.left.checked_sub(came) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other("more than was asked for"))),
        }
        poll
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
