//! Tries, from within, what the sandbox is there to refuse: the same program, confined in the same way, behaving as if it had been taken over.

use super::limits;
use super::sandbox::{Confinement, Layers, enter};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

/// What a confined process could do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// What the kernel says that it holds.
    pub confinement: Confinement,
    /// Each attempt that succeeded; none where all is held.
    pub escapes: Vec<String>,
    /// Attempts made.
    pub attempts: usize,
    /// A connection to `allowed`, which must succeed for the refusals to mean anything.
    pub connected: bool,
}

/// Confines this process as the inbound process is, to the port of `allowed`, and tries to get out: files of `state`, system files, other
/// ports (`elsewhere` should have a listener), programs, threads, other processes.
///
/// # Errors
/// As the inbound process at its start.
pub fn probe(allowed: SocketAddr, elsewhere: SocketAddr, state: &Path, layers: Layers) -> io::Result<Probed> {
    limits::apply()?;
    let confinement = enter(allowed.port(), layers)?;
    let connected = TcpStream::connect(allowed).is_ok();
    let attempts = attempts(elsewhere, state);
    let escapes = attempts.iter().filter(|(_, done)| done.is_ok()).map(|(name, _)| (*name).to_owned());
    Ok(Probed { confinement, escapes: escapes.collect(), attempts: attempts.len(), connected })
}

fn attempts(elsewhere: SocketAddr, state: &Path) -> Vec<(&'static str, io::Result<()>)> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    vec![
        ("read a system file", done(fs::read("/etc/passwd"))),
        ("list the state folder", done(fs::read_dir(state))),
        ("read the journal", done(File::open(state.join("journal.sqlite")))),
        ("write into the state folder", fs::write(state.join("probe"), b"")),
        ("write a temporary file", fs::write(std::env::temp_dir().join("scanpost-probe"), b"")),
        ("read the memory of the gateway", done(File::open(format!("/proc/{}/mem", parent())))),
        ("connect to another port", done(TcpStream::connect(elsewhere))),
        ("listen", done(TcpListener::bind(any))),
        ("send a datagram", UdpSocket::bind(any).and_then(|socket| done(socket.send_to(b"", elsewhere)))),
        ("connect to a local service", done(UnixStream::pair())),
        ("run a program", Command::new("/bin/true").status().map(drop)),
        ("start a thread", done(std::thread::Builder::new().spawn(|| ()))),
        ("signal the gateway", signal_parent()),
        ("become dumpable", become_dumpable()),
    ]
}

fn done<T>(result: io::Result<T>) -> io::Result<()> {
    result.map(drop)
}

fn parent() -> i32 {
    rustix::process::getppid().map_or(1, rustix::process::Pid::as_raw_pid)
}

/// Asks whether it might.
fn signal_parent() -> io::Result<()> {
    let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
    Ok(rustix::process::test_kill_process(parent)?)
}

fn become_dumpable() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)?)
}
