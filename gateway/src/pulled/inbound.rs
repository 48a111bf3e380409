//! The inbound process: reads foreign bytes so that the gateway need not. It is given a request on standard input, limits itself,
//! watches the folders, and writes [`Record`]s to standard output. It ends when its standard input closes.

mod folder;
mod limits;

use super::record::{Kind, Record, Trouble};
use super::request::{REQUEST_BYTES_MAX, Request};
use crate::submit::retry;
use folder::Watched;
use seal::ids::{DeliveryId, Digest};
use seal::mailbox::{Mailbox, MailboxConfig, MailboxError};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use tls::TlsError;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

/// Shortest pause between two looks, in milliseconds.
const POLL_MS_MIN: u64 = 50;
/// Pause after a refused login: many servers lock an account that insists.
const LOGIN_PAUSE: Duration = Duration::from_secs(60);

/// Why the process ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboundError {
    /// Pipes to the gateway, or a limit that could not be set.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The request is not what this version writes.
    #[error("the request is malformed")]
    Request,
    /// A certificate in the request.
    #[error("a doctor's certificate cannot be used: {0}")]
    Certificate(#[from] seal::native::SealError),
}

/// Limits this process and runs until standard input closes.
///
/// # Errors
/// [`InboundError`].
pub async fn run() -> Result<(), InboundError> {
    limits::apply()?;
    let stdin = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let stdout = pipe::Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
    serve(stdin, stdout).await
}

/// [`run`] without limits, on any pipes.
///
/// # Errors
/// [`InboundError`].
pub async fn serve(
    stdin: impl AsyncRead + Unpin,
    stdout: impl AsyncWrite + Unpin + Send,
) -> Result<(), InboundError> {
    let mut stdin = BufReader::new(stdin);
    let request = request(&mut stdin).await?;
    let mut inbound = Inbound::new(&request, stdout)?;
    tokio::select! {
        ended = inbound.run(request.poll_ms.max(POLL_MS_MIN)) => ended,
        closed = closed(&mut stdin) => closed,
    }
}

async fn request(stdin: &mut (impl AsyncBufReadExt + Unpin)) -> Result<Request, InboundError> {
    let mut line = Vec::new();
    stdin.take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line).await?;
    serde_json::from_slice(&line).map_err(|_| InboundError::Request)
}

async fn closed(stdin: &mut (impl AsyncRead + Unpin)) -> Result<(), InboundError> {
    let mut rest = [0; 64];
    while stdin.read(&mut rest).await? > 0 {}
    Ok(())
}

struct Inbound<W> {
    config: MailboxConfig,
    folders: Vec<Watched>,
    records: Records<W>,
    trouble: Option<Trouble>,
}

/// Where records go.
struct Records<W>(W);

impl<W: AsyncWrite + Unpin> Records<W> {
    async fn write(&mut self, record: &Record) -> Result<(), InboundError> {
        self.0.write_all(&record.to_bytes()).await?;
        Ok(self.0.flush().await?)
    }

    /// `recipient`: whose folder, zero for all.
    async fn trouble(&mut self, trouble: Trouble, recipient: Digest) -> Result<(), InboundError> {
        self.write(&Record::new(Kind::Trouble(trouble), DeliveryId([0; 16]), recipient)).await
    }
}

impl<W: AsyncWrite + Unpin + Send> Inbound<W> {
    fn new(request: &Request, stdout: W) -> Result<Self, InboundError> {
        let Request { host, port, user, password, tls, .. } = request.clone();
        let folders = request.folders.iter().map(|folder| Watched::new(folder, &request.site));
        let config = MailboxConfig { host, port, user, password, tls, folders: Vec::new() };
        Ok(Self {
            config,
            folders: folders.collect::<Result<_, _>>()?,
            records: Records(stdout),
            trouble: None,
        })
    }

    /// Connects, looks, and connects again for ever.
    async fn run(&mut self, poll_ms: u64) -> Result<(), InboundError> {
        let mut failures = 0_u32;
        loop {
            let error = match Mailbox::connect(&self.config).await {
                Ok(mailbox) => {
                    failures = 0;
                    self.watch(mailbox, Duration::from_millis(poll_ms)).await?
                }
                Err(error) => error,
            };
            failures = failures.saturating_add(1);
            self.report(trouble_of(&error)).await?;
            let pause =
                if matches!(error, MailboxError::Login { .. }) { LOGIN_PAUSE } else { Duration::ZERO };
            tokio::time::sleep(retry::delay(failures, u64::MAX).max(pause)).await;
        }
    }

    /// Looks into all folders again and again, until the connection fails.
    async fn watch(&mut self, mut mailbox: Mailbox, poll: Duration) -> Result<MailboxError, InboundError> {
        loop {
            for folder in &mut self.folders {
                if let Err(error) = folder.look(&mut mailbox, &mut self.records).await? {
                    return Ok(error);
                }
            }
            self.report(Trouble::None).await?;
            tokio::time::sleep(poll).await;
        }
    }

    /// Says what is wrong when it changes; that nothing is wrong only after something was.
    async fn report(&mut self, trouble: Trouble) -> Result<(), InboundError> {
        if self.trouble.unwrap_or(Trouble::None) != trouble {
            self.records.trouble(trouble, Digest([0; 32])).await?;
        }
        self.trouble = Some(trouble);
        Ok(())
    }
}

fn trouble_of(error: &MailboxError) -> Trouble {
    match error {
        MailboxError::Tls(TlsError::Unreachable { .. })
        | MailboxError::Lost { .. }
        | MailboxError::Refused { .. } => Trouble::Unreachable,
        MailboxError::Tls(TlsError::Certificate { .. }) => Trouble::Certificate,
        MailboxError::Tls(TlsError::Handshake { .. }) => Trouble::Tls,
        MailboxError::Tls(TlsError::ClientCertificate { .. }) => Trouble::ClientCertificate,
        MailboxError::Tls(_) | MailboxError::Unsendable { .. } => Trouble::Configuration,
        MailboxError::Login { .. } => Trouble::Login,
        MailboxError::NoFolder { .. } => Trouble::NoFolder,
        _ => Trouble::Protocol,
    }
}
