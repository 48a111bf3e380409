//! The inbound process: reads foreign bytes so that the gateway need not. It is given a request on standard input, reads the roots to
//! trust, confines itself ([`sandbox`]), watches the folders, and writes [`Record`]s to standard output. It ends when its standard input closes.

mod clearing;
mod folder;
mod limits;
mod probe;
mod sandbox;

pub use probe::{Probed, probe};
pub use sandbox::{Confinement, Layers};

use super::enrolment::Enrolment;
use super::record::{Kind, Record, Trouble};
use super::request::{Folder, REQUEST_BYTES_MAX, Request};
use crate::submit::retry;
use clearing::is_same_folder;
use folder::Watched;
use seal::ids::{DeliveryId, Digest};
use seal::mailbox::{Mailbox, MailboxConfig, MailboxError};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;
use tls::{FixedTrust, TlsError, Trust};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

/// Shortest pause between two looks, in milliseconds.
const POLL_MS_MIN: u64 = 50;
/// Pause after a refused login: many servers lock an account that insists.
const LOGIN_PAUSE: Duration = Duration::from_secs(60);
/// Connections that fail in a row before the process ends: the gateway looks the server's addresses up anew.
const FAILURES_MAX: u32 = 6;
/// Folders besides those that mails come to that are looked into for withdrawn deliveries, in all mailboxes together, before receipts are read again.
const FOLDERS_PER_TURN: usize = 50;

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
    /// The files of certificates that the request names.
    #[error("a file of certificates cannot be read")]
    Files(#[from] TlsError),
    /// The server could not be reached for a while: its addresses are to be looked up anew.
    #[error("the server cannot be reached")]
    Unreachable,
    /// A certificate in the request.
    #[error("a doctor's certificate cannot be used: {0}")]
    Certificate(#[from] seal::native::SealError),
}

/// Limits this process, confines it and runs until standard input closes. Nothing else may run in the process.
///
/// # Errors
/// [`InboundError`].
pub fn run() -> Result<(), InboundError> {
    limits::apply()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stdin = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        let stdout = pipe::Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
        serve(stdin, stdout, |port| sandbox::enter(port, Layers::ALL)).await
    })
}

/// [`run`] on any pipes; `confine` is called with the server's port once all that is needed has been read.
///
/// # Errors
/// [`InboundError`].
pub async fn serve(
    stdin: impl AsyncRead + Unpin,
    stdout: impl AsyncWrite + Unpin + Send,
    confine: impl FnOnce(u16) -> io::Result<Confinement>,
) -> Result<(), InboundError> {
    let mut stdin = BufReader::new(stdin);
    let request = request(&mut stdin).await?;
    let mut records = Records(stdout);
    let trust = match Trust::read(&request.tls).and_then(|trust| trust.fixed()) {
        Ok(trust) => trust,
        Err(error) => return records.last_word(Trouble::Configuration, error.into()).await,
    };
    match confine(request.port) {
        Ok(confinement) => records.about_all(Kind::Confined(confinement)).await?,
        Err(error) => return records.last_word(Trouble::Sandbox, error.into()).await,
    }
    let mut inbound = Inbound::new(&request, trust, records)?;
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
    trust: FixedTrust,
    addresses: Vec<SocketAddr>,
    folders: Vec<Watched>,
    records: Records<W>,
    trouble: Option<Trouble>,
    /// The last look for what is new ended with an error.
    look_failed: bool,
    /// The folder whose mailbox has the next turn to be cleared.
    turn: usize,
}

/// Where records go.
struct Records<W>(W);

impl<W: AsyncWrite + Unpin> Records<W> {
    async fn write(&mut self, record: &Record) -> Result<(), InboundError> {
        self.0.write_all(&record.to_bytes()).await?;
        Ok(self.0.flush().await?)
    }

    async fn enrolment(&mut self, enrolment: &Enrolment) -> Result<(), InboundError> {
        self.0.write_all(&enrolment.to_bytes()).await?;
        Ok(self.0.flush().await?)
    }

    /// `folder`: which one.
    async fn trouble(&mut self, trouble: Trouble, folder: Digest) -> Result<(), InboundError> {
        self.write(&Record::new(Kind::Trouble(trouble), DeliveryId([0; 16]), folder)).await
    }

    async fn about_all(&mut self, kind: Kind) -> Result<(), InboundError> {
        self.write(&Record::new(kind, DeliveryId([0; 16]), Digest([0; 32]))).await
    }

    /// Says what keeps the process from its work, which it then leaves to the next start.
    async fn last_word(mut self, trouble: Trouble, error: InboundError) -> Result<(), InboundError> {
        self.about_all(Kind::Trouble(trouble)).await?;
        Err(error)
    }
}

impl<W: AsyncWrite + Unpin + Send> Inbound<W> {
    fn new(request: &Request, trust: FixedTrust, records: Records<W>) -> Result<Self, InboundError> {
        let Request { host, port, user, password, tls, addresses, troubled, .. } = request.clone();
        let foreign = |folder: &Folder| {
            let names = request.folders.iter().map(|one| &one.folder);
            names.filter(|name| !is_same_folder(name, &folder.folder)).cloned().collect::<Vec<_>>()
        };
        let folders =
            request.folders.iter().map(|folder| Watched::new(folder, foreign(folder), &request.site));
        let own = request.folders.iter().map(|one| one.folder.clone()).collect();
        let config = MailboxConfig { host, port, user, password, tls, folders: own };
        let folders = folders.collect::<Result<_, _>>()?;
        let trouble = troubled.then_some(Trouble::Unreachable);
        Ok(Self { config, trust, addresses, folders, records, trouble, look_failed: false, turn: 0 })
    }

    /// Connects, looks, and connects again, until the server is out of reach for long.
    async fn run(&mut self, poll_ms: u64) -> Result<(), InboundError> {
        let mut failures = 0_u32;
        while failures < FAILURES_MAX {
            let error = match Mailbox::connect_to(&self.config, &self.trust, &self.addresses).await {
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
        Err(InboundError::Unreachable)
    }

    /// Looks into all folders again and again, until the connection fails.
    async fn watch(&mut self, mut mailbox: Mailbox, poll: Duration) -> Result<MailboxError, InboundError> {
        loop {
            // A folder that cannot be read keeps nothing from being deleted.
            if std::mem::take(&mut self.look_failed)
                && let Err(error) = self.clear(&mut mailbox).await?
            {
                return Ok(error);
            }
            for folder in &mut self.folders {
                if let Err(error) = folder.look(&mut mailbox, &mut self.records).await? {
                    self.look_failed = true;
                    return Ok(error);
                }
            }
            if let Err(error) = self.clear(&mut mailbox).await? {
                return Ok(error);
            }
            self.report(Trouble::None).await?;
            tokio::time::sleep(poll).await;
        }
    }

    /// What was withdrawn: in the folders that mails come to, and in a bounded number of others, so that many mailboxes of many folders keep no receipt
    /// waiting. The mailbox where that was reached goes on first.
    async fn clear(&mut self, mailbox: &mut Mailbox) -> Result<Result<(), MailboxError>, InboundError> {
        let (mut left, mut next) = (FOLDERS_PER_TURN, None);
        let (first, all) = (self.turn, self.folders.len());
        for number in (first..all).chain(0..first.min(all)) {
            let Some(folder) = self.folders.get_mut(number) else { continue };
            if let Err(error) = folder.clear(mailbox, &mut self.records, &mut left).await? {
                // Whatever it is: the others first.
                self.turn = (number + 1) % all;
                return Ok(Err(error));
            }
            if left == 0 {
                next = next.or(Some(number));
            }
        }
        self.turn = next.unwrap_or(0);
        Ok(Ok(()))
    }

    /// Says what is wrong when it changes; that nothing is wrong only after something was.
    async fn report(&mut self, trouble: Trouble) -> Result<(), InboundError> {
        if self.trouble.unwrap_or(Trouble::None) != trouble {
            self.records.about_all(Kind::Trouble(trouble)).await?;
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
