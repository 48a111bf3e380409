//! The gateway's side: starts the inbound process, reads its records, and starts it again when it ends. The process is not trusted:
//! whatever it writes, this side stays alive, bounded, and believes only what is proved.

mod paced;

use super::enrolment::Enrolment;
use super::record::{Kind, RECORD_BYTES, Record, Trouble};
use super::request::{Pinned, Request};
use crate::submit::retry;
use paced::Paced;
use seal::native::{Recipient, SealError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::Receiver;

/// A process that ran for so long was healthy: the next start is not held back.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Command of `scanpost-gateway` that runs the inbound process.
const INBOUND: &str = "inbound";
/// The first descriptor that the process must not inherit: it has its three pipes.
const FIRST_FOREIGN_FD: i32 = 3;
/// Longest look-up of the server's name.
const LOOK_UP_WAIT: Duration = Duration::from_secs(30);
/// Pause between two looks at the files of certificates: the process has read them and can read none again, so it is started anew.
const FILES_PAUSE: Duration = Duration::from_secs(10);
/// Records taken in a second. The first look into a mailbox of some thousand covers takes seconds longer; a process that writes without end
/// costs little.
const RECORDS_PER_SECOND: u32 = 500;
/// Records told in the log in a minute.
const LOG_LINES_PER_MINUTE: u32 = 30;

/// Where what the process hands over goes.
#[derive(Clone)]
pub struct Sinks {
    /// Covers, receipts, trouble.
    pub records: Sender<Record>,
    /// Enrolments.
    pub enrolments: Sender<Enrolment>,
}

/// Runs this program's `inbound` for as long as somebody takes its records. When the request changes, the process is started anew.
pub async fn watch(requests: Receiver<Request>, sinks: Sinks) {
    match std::env::current_exe() {
        Ok(program) => watch_program(program, requests, sinks).await,
        Err(error) => {
            tracing::error!(stage = "pulled", %error, "this program cannot find itself: receipts are not read")
        }
    }
}

/// [`watch`] with another program.
pub async fn watch_program(program: PathBuf, requests: Receiver<Request>, sinks: Sinks) {
    let mut keeper = match Keeper::new(requests, sinks) {
        Ok(keeper) => keeper,
        Err(error) => {
            tracing::error!(stage = "pulled", %error, "a doctor's certificate cannot be used: receipts are not read");
            return;
        }
    };
    let mut failures = 0_u32;
    while !keeper.sinks.records.is_closed() {
        let began = Instant::now();
        match keeper.run(&program).await {
            Ok(Ended::Changed) => match keeper.take_up() {
                Ok(()) => continue,
                Err(error) => {
                    tracing::error!(stage = "pulled", %error, "a doctor's certificate cannot be used: what changed is not taken up");
                }
            },
            Ok(Ended::Closed) => {
                tracing::warn!(stage = "pulled", "the inbound process ended and is started again")
            }
            Err(error) => {
                tracing::warn!(stage = "pulled", %error, "the inbound process failed and is started again")
            }
        }
        failures = if began.elapsed() > HEALTHY_AFTER { 1 } else { failures.saturating_add(1) };
        // One process needs no draw: nothing else starts at the same time.
        tokio::select! {
            () = tokio::time::sleep(retry::delay(failures, u64::MAX)) => {}
            () = keeper.sinks.records.closed() => {}
        }
    }
}

/// Why a life of the process ended without an error.
enum Ended {
    /// It closed its output, certificates were renewed, or nobody takes its records.
    Closed,
    /// The request is another one now.
    Changed,
}

struct Keeper {
    requests: Receiver<Request>,
    request: Request,
    recipients: Vec<Recipient>,
    sinks: Sinks,
    taken: Paced,
    told: Paced,
}

impl Keeper {
    fn new(mut requests: Receiver<Request>, sinks: Sinks) -> Result<Self, SealError> {
        let request = requests.borrow_and_update().clone();
        Ok(Self {
            recipients: recipients(&request)?,
            requests,
            request,
            sinks,
            taken: Paced::new(RECORDS_PER_SECOND, Duration::from_secs(1)),
            told: Paced::new(LOG_LINES_PER_MINUTE, Duration::from_secs(60)),
        })
    }

    /// Goes on with the request as it is now.
    fn take_up(&mut self) -> Result<(), SealError> {
        let troubled = self.request.troubled;
        self.request = Request { troubled, ..self.requests.borrow_and_update().clone() };
        self.recipients = recipients(&self.request)?;
        Ok(())
    }

    /// One life of the process.
    async fn run(&mut self, program: &Path) -> io::Result<Ended> {
        // Here, because the process may not look names up.
        let server = (self.request.host.as_str(), self.request.port);
        let addresses = tokio::time::timeout(LOOK_UP_WAIT, tokio::net::lookup_host(server)).await??;
        self.request.addresses = addresses.collect();
        let mut child = spawn(program)?;
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = serde_json::to_vec(&self.request)?;
        line.push(b'\n');
        let mut stdin = stdin;
        let (records, files) = (self.sinks.records.clone(), self.request.tls.clone());
        let mut requests = self.requests.clone();
        let ended = tokio::select! {
            // A process that does not take its request must not stop this one either.
            read = async {
                stdin.write_all(&line).await?;
                stdin.flush().await?;
                self.forward(stdout).await
            } => read.map(|()| Ended::Closed),
            Ok(()) = requests.changed() => Ok(Ended::Changed),
            () = files.changed(FILES_PAUSE) => Ok(Ended::Closed),
            () = records.closed() => Ok(Ended::Closed),
        };
        // Its standard input stays open until here: the process ends when that closes, also when this one is killed.
        drop(stdin);
        child.kill().await?;
        ended
    }

    /// Ends without error when the process closes its output between two records.
    async fn forward(&mut self, mut stdout: ChildStdout) -> io::Result<()> {
        let mut bytes = [0; RECORD_BYTES];
        loop {
            if stdout.read(&mut bytes[..1]).await? == 0 {
                return Ok(());
            }
            stdout.read_exact(&mut bytes[1..]).await?;
            let is_taken = match Enrolment::begins(&bytes) {
                true => {
                    let record = Enrolment::parse(&bytes).ok_or(invalid("a record is malformed"))?;
                    self.sinks.enrolments.send(record).await.is_ok()
                }
                false => {
                    let record = Record::parse(&bytes).ok_or(invalid("a record is malformed"))?;
                    if !record.is_proved(&self.recipients) {
                        return Err(invalid("a record claims a receipt that nobody signed"));
                    }
                    self.note(&record);
                    self.sinks.records.send(record).await.is_ok()
                }
            };
            if !is_taken {
                return Ok(());
            }
            if !self.taken.allows(Instant::now()) {
                tokio::time::sleep(self.taken.period()).await;
            }
        }
    }

    fn note(&mut self, record: &Record) {
        if let Kind::Trouble(trouble) = record.kind {
            self.request.troubled = trouble != Trouble::None;
        }
        if matches!(record.kind, Kind::CoverSeen | Kind::Receipt(_) | Kind::NoneLeft) {
            return;
        }
        if self.told.allows(Instant::now()) {
            log(record);
        } else if self.told.first_refused() {
            tracing::warn!(
                stage = "pulled",
                "more is wrong with the mailboxes than is told here: the rest of this minute is left out"
            );
        }
    }
}

fn recipients(request: &Request) -> Result<Vec<Recipient>, SealError> {
    request.folders.iter().flat_map(|folder| &folder.recipients).map(Pinned::recipient).collect()
}

fn spawn(program: &Path) -> io::Result<Child> {
    // Ours are all closed on exec; what this process itself inherited may not be.
    close_fds::set_fds_cloexec_threadsafe(FIRST_FOREIGN_FD, &[]);
    Command::new(program)
        .arg(INBOUND)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // The text of a panic could hold what a server sent.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn log(record: &Record) {
    match record.kind {
        Kind::Trouble(Trouble::None) => tracing::info!(stage = "pulled", "{}", Trouble::None.words()),
        Kind::Trouble(trouble) => {
            tracing::warn!(stage = "pulled", recipient = %record.recipient, "{}", trouble.words())
        }
        Kind::Refused(refusal) => {
            tracing::warn!(stage = "pulled", delivery = %record.delivery, ?refusal, "a receipt was refused");
        }
        Kind::Confined(held) if held.is_whole() => tracing::info!(
            stage = "pulled",
            files = held.files,
            network = held.network,
            system_calls = held.system_calls,
            "the inbound process is confined"
        ),
        Kind::Confined(held) => tracing::warn!(
            stage = "pulled",
            files = held.files,
            network = held.network,
            system_calls = held.system_calls,
            "this kernel does not confine the inbound process fully (operator: Linux 6.7 or newer with Landlock and seccomp does)"
        ),
        Kind::Removed(mails) => {
            tracing::info!(stage = "pulled", delivery = %record.delivery, mails, "mails of a withdrawn delivery were deleted from a mailbox");
        }
        Kind::NotRemoved => tracing::warn!(
            stage = "pulled",
            delivery = %record.delivery,
            "a withdrawn delivery cannot be deleted from a mailbox (operator: grant t and e, RFC 4314, or see why the mail server refuses to)"
        ),
        Kind::CoverSeen | Kind::Receipt(_) | Kind::NoneLeft => {}
    }
}
