//! The gateway's side: starts the inbound process, reads its records, and starts it again when it ends.

use super::Request;
use super::record::{Kind, RECORD_BYTES, Record, Trouble};
use crate::submit::retry;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc::Sender;

/// A process that ran for so long was healthy: the next start is not held back.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Command of `scanpost-gateway` that runs the inbound process.
const INBOUND: &str = "inbound";
/// One thread is enough, and each further one reserves address space that is limited.
const ENVIRONMENT: [(&str, &str); 2] = [("TOKIO_WORKER_THREADS", "1"), ("MALLOC_ARENA_MAX", "1")];

/// Runs this program's `inbound` for as long as somebody takes its records.
pub async fn watch(request: Request, records: Sender<Record>) {
    match std::env::current_exe() {
        Ok(program) => watch_program(program, request, records).await,
        Err(error) => {
            tracing::error!(stage = "pulled", %error, "this program cannot find itself: receipts are not read")
        }
    }
}

/// [`watch`] with another program.
pub async fn watch_program(program: PathBuf, request: Request, records: Sender<Record>) {
    let mut failures = 0_u32;
    while !records.is_closed() {
        let began = Instant::now();
        match run(&program, &request, &records).await {
            Ok(()) => tracing::warn!(stage = "pulled", "the inbound process ended and is started again"),
            Err(error) => {
                tracing::warn!(stage = "pulled", %error, "the inbound process failed and is started again")
            }
        }
        failures = if began.elapsed() > HEALTHY_AFTER { 1 } else { failures.saturating_add(1) };
        // One process needs no draw: nothing else starts at the same time.
        tokio::select! {
            () = tokio::time::sleep(retry::delay(failures, u64::MAX)) => {}
            () = records.closed() => {}
        }
    }
}

async fn run(program: &Path, request: &Request, records: &Sender<Record>) -> io::Result<()> {
    let mut child = spawn(program)?;
    let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let mut stdin = stdin;
    stdin.write_all(&line).await?;
    stdin.flush().await?;
    let read = tokio::select! {
        read = forward(stdout, records) => read,
        () = records.closed() => Ok(()),
    };
    // Its standard input stays open until here: the process ends when that closes, also when this one is killed.
    drop(stdin);
    child.kill().await?;
    read
}

fn spawn(program: &Path) -> io::Result<Child> {
    Command::new(program)
        .arg(INBOUND)
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
}

/// Ends without error when the process closes its output between two records.
async fn forward(mut stdout: ChildStdout, records: &Sender<Record>) -> io::Result<()> {
    let mut bytes = [0; RECORD_BYTES];
    loop {
        if stdout.read(&mut bytes[..1]).await? == 0 {
            return Ok(());
        }
        stdout.read_exact(&mut bytes[1..]).await?;
        let record = Record::parse(&bytes)
            .ok_or(io::Error::new(io::ErrorKind::InvalidData, "a record is malformed"))?;
        log(&record);
        if records.send(record).await.is_err() {
            return Ok(());
        }
    }
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
        Kind::CoverSeen | Kind::Fetched | Kind::ExactWanted => {}
    }
}
