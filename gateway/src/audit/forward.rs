//! Sends the trail to a syslog server over TLS (RFC 5424, 5425), from the files: what the server misses today it gets tomorrow.

use super::line::{HASH_CHARACTERS, Payload};
use super::trail::Durable;
use super::walk::{self, TAKEN};
use super::{Audit, Message, ServerRefusal};
use crate::config::Syslog;
use crate::submit::retry;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tls::{Stream, TlsError, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

/// Wait for the connection and its handshake, and for the server to take a batch.
const SERVER_WAIT: Duration = Duration::from_secs(20);
/// Bytes of the trail sent at a time.
const BATCH_BYTES: u64 = 256 << 10;
/// TLS syslog has no acknowledgement (RFC 5425 4.3): what was sent counts as taken when the connection has lived on for so long.
/// What was sent later is sent again after a cut; `sequenceId` tells who reads it twice.
const TAKEN_AFTER: Duration = Duration::from_secs(30);
/// Pause between looks at what counts as taken.
const TICK: Duration = Duration::from_secs(1);

/// Why a connection came to its end.
enum Broken {
    /// None came about.
    Tls(TlsError),
    /// The server or the network between.
    Server(io::Error),
    /// The trail could not be read here.
    Disk(io::Error),
}

/// Forwards for as long as the gateway runs. The operator is told once when the server cannot be reached, and once when it can again.
pub async fn forward(folder: PathBuf, server: Syslog, audit: Audit) {
    let mut failures = 0_u32;
    loop {
        let Err(broken) = session(&folder, &server, audit.grown(), &mut failures).await;
        failures = failures.saturating_add(1);
        if failures == 1 {
            tell(&server, &broken, &audit);
        }
        tokio::time::sleep(retry::delay(failures, u64::MAX)).await;
    }
}

fn tell(server: &Syslog, broken: &Broken, audit: &Audit) {
    let words: &dyn std::fmt::Display = match broken {
        Broken::Disk(error) => {
            tracing::error!(
                "the audit trail cannot be read for the syslog server: {} (operator: check the disk; what is missing is sent later)",
                error.kind()
            );
            return;
        }
        Broken::Server(error) => error,
        Broken::Tls(error) => {
            if let Some(refusal) = ServerRefusal::of(error) {
                audit.alert(Message::server_refused(super::Server::Syslog, &server.host, refusal));
            }
            &in_own_words(error)
        }
    };
    tracing::error!(
        host = server.host,
        port = server.port,
        "the syslog server does not take the audit trail: {words} (operator: look at the server; nothing is lost, it is sent later)"
    );
}

/// One connection, until it breaks.
async fn session(
    folder: &Path,
    server: &Syslog,
    mut grown: watch::Receiver<Durable>,
    failures: &mut u32,
) -> Result<std::convert::Infallible, Broken> {
    let trust = Trust::read(&server.tls).map_err(Broken::Tls)?;
    let stream = trust.connect(&server.host, server.port, SERVER_WAIT).await.map_err(Broken::Tls)?;
    // What the server's kernel has not taken for so long ends the connection, before it would count as taken.
    stream.set_user_timeout(SERVER_WAIT).map_err(Broken::Server)?;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut position = taken(folder);
    let mut sent: VecDeque<(Instant, Durable)> = VecDeque::new();
    let mut unexpected = [0; 64];
    loop {
        let durable = *grown.borrow_and_update();
        while let Some((frames, next)) = batch(folder, position, durable).map_err(Broken::Disk)? {
            send(&mut writing, &frames).await.map_err(Broken::Server)?;
            position = next;
            sent.push_back((Instant::now(), position));
        }
        if std::mem::take(failures) > 0 {
            tracing::info!(host = server.host, "the syslog server takes the audit trail again");
        }
        tokio::select! {
            _ = grown.changed() => {}
            () = tokio::time::sleep(TICK) => {}
            // A syslog server says nothing; that it ends the connection is seen here.
            read = reading.read(&mut unexpected) => if read.map_err(Broken::Server)? == 0 {
                let ended = io::Error::new(io::ErrorKind::ConnectionAborted, "it ended the connection");
                return Err(Broken::Server(ended));
            },
        }
        let mut last = None;
        while sent.front().is_some_and(|(at, _)| at.elapsed() > TAKEN_AFTER) {
            last = sent.pop_front();
        }
        if let Some((_, position)) = last {
            remember(folder, position).map_err(Broken::Disk)?;
        }
    }
}

/// Without the words of a mail server.
fn in_own_words(error: &TlsError) -> &'static str {
    match error {
        TlsError::Unreachable { .. } => "it cannot be reached",
        TlsError::Certificate { .. } => "its certificate is refused",
        TlsError::ClientCertificate { .. } => "it does not take our client certificate",
        TlsError::File { .. } => "a file of [audit.syslog.tls] cannot be used",
        TlsError::Exposed { .. } => "the key of [audit.syslog.tls] may be read by others",
        TlsError::HostName { .. } => "its name is not a host name",
        _ => "it does not speak TLS as required",
    }
}

async fn send(writing: &mut tokio::io::WriteHalf<Stream>, frames: &[u8]) -> io::Result<()> {
    let write = async {
        writing.write_all(frames).await?;
        writing.flush().await
    };
    tokio::time::timeout(SERVER_WAIT, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The next messages behind `position` as frames (RFC 5425 4.3), and where they end; `None` at the end. A file that is missing is passed
/// over, and the operator told: what stood in it cannot be sent any more.
pub(super) fn batch(
    folder: &Path,
    position: Durable,
    durable: Durable,
) -> io::Result<Option<(Vec<u8>, Durable)>> {
    if position >= durable {
        return Ok(None);
    }
    let next = Durable { file: position.file + 1, bytes: 0 };
    let mut file = match File::open(walk::path(folder, position.file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && position.file < durable.file => {
            tracing::error!(
                file = position.file,
                "a file of the audit trail is missing, and the syslog server never gets it (operator: find out who removed it)"
            );
            return Ok(Some((Vec::new(), next)));
        }
        file => file?,
    };
    file.seek(SeekFrom::Start(position.bytes))?;
    let most = if position.file == durable.file { durable.bytes - position.bytes } else { BATCH_BYTES };
    let mut bytes = Vec::new();
    file.take(most.min(BATCH_BYTES)).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
        // The file is sent whole.
        return Ok(Some((Vec::new(), next)));
    };
    let lines = bytes.get(..end).unwrap_or_default().split(|byte| *byte == b'\n');
    let mut frames = Vec::new();
    for line in lines {
        let payload = line.get(HASH_CHARACTERS + 1..).and_then(|payload| std::str::from_utf8(payload).ok());
        if let Some(Payload::Message { text, .. }) = payload.and_then(Payload::parse) {
            frames.extend(format!("{} {text}", text.len()).into_bytes());
        }
    }
    Ok(Some((frames, Durable { bytes: position.bytes + end as u64 + 1, ..position })))
}

/// The beginning where nothing is remembered.
fn taken(folder: &Path) -> Durable {
    let parse = |text: String| {
        let (file, bytes) = text.trim_end().split_once(' ')?;
        Some(Durable { file: file.parse().ok()?, bytes: bytes.parse().ok()? })
    };
    fs::read_to_string(folder.join(TAKEN)).ok().and_then(parse).unwrap_or(Durable { file: 1, bytes: 0 })
}

/// Not made durable: after a power cut, messages go twice.
fn remember(folder: &Path, position: Durable) -> io::Result<()> {
    let unfinished = folder.join("taken.unfinished");
    fs::write(&unfinished, format!("{} {}\n", position.file, position.bytes))?;
    fs::rename(unfinished, folder.join(TAKEN))
}
