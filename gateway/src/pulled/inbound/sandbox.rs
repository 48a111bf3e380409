//! Landlock and seccomp: what the inbound process takes away from itself before it opens a connection.
//!
//! Both hold for the calling thread and those it starts, so they are taken on while the process has one thread; it cannot start
//! another afterwards.

use compressor::confinement::{self, equal, masked};
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
    Scope,
};
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use serde::{Deserialize, Serialize};
use std::io;

/// The newest rules that are asked for; the kernel takes those that it knows.
const RULES: ABI = ABI::V10;
/// Protocol numbers of TCP for `socket(2)`: chosen by the kernel, or named. Others (MPTCP, SCTP) would pass Landlock's rule for TCP.
const TCP: [u64; 2] = [0, libc::IPPROTO_TCP as u64];
/// The bits of the second argument of `socket(2)` that are the type; the others are flags.
const SOCKET_TYPE: u64 = 0xF;

/// What the kernel holds a process to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// It can open no file (Landlock, Linux 5.13).
    pub files: bool,
    /// It can connect to the port of the IMAP server only (Landlock, Linux 6.7).
    pub network: bool,
    /// It can make no system call but those of reading and writing what is open (seccomp).
    pub system_calls: bool,
}

/// Which of both to take on; tests look at each alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Landlock.
    pub landlock: bool,
    /// seccomp.
    pub seccomp: bool,
}

impl Layers {
    /// As the inbound process has it.
    pub const ALL: Self = Self { landlock: true, seccomp: true };
}

impl Confinement {
    /// As a record holds it: 1 files, 2 network, 4 system calls.
    pub(in crate::pulled) fn bits(self) -> u16 {
        u16::from(self.files) | u16::from(self.network) << 1 | u16::from(self.system_calls) << 2
    }

    /// Every one.
    pub(in crate::pulled) fn all() -> impl Iterator<Item = Self> {
        (0..8_u16).map(|bits| Self {
            files: bits & 1 != 0,
            network: bits & 2 != 0,
            system_calls: bits & 4 != 0,
        })
    }

    /// Whether nothing is missing.
    pub fn is_whole(self) -> bool {
        self.files && self.network && self.system_calls
    }
}

/// Takes away from this thread, for good, whatever reading a mailbox at `port` does not need. What the kernel does not know is left out of the
/// answer, and no error.
///
/// # Errors
/// A second thread, or rules that the kernel refuses though it knows them.
pub(super) fn enter(port: u16, layers: Layers) -> io::Result<Confinement> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a second thread runs already"));
    }
    let mut confinement = Confinement::default();
    if layers.landlock {
        (confinement.files, confinement.network) = landlock(port).map_err(io::Error::other)?;
    }
    if layers.seccomp {
        let filter =
            conditional().and_then(|rules| confinement::filter(TALKING, rules)).map_err(io::Error::other)?;
        // A kernel without seccomp is told by the answer.
        confinement.system_calls = seccompiler::apply_filter(&filter).is_ok();
    }
    Ok(confinement)
}

/// No file at all, no TCP but to `port`, no signal and no abstract socket outside. Gives whether files and network are held.
fn landlock(port: u16) -> Result<(bool, bool), landlock::RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .scope(Scope::from_all(RULES))?
        .create()?
        .add_rule(NetPort::new(port, AccessNet::ConnectTcp))?
        .restrict_self()?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else { return Ok((false, false)) };
    Ok((effective_abi >= ABI::V1, effective_abi >= ABI::V4))
}

/// System calls that talking over what is open takes beside computing, whatever their arguments.
const TALKING: &[i64] = &[
    // Pipes and the connection.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_close,
    libc::SYS_shutdown,
    libc::SYS_connect,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    // Waiting.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
];

/// System calls with conditions on their arguments; several rules of one call are alternatives.
fn conditional() -> Result<Vec<(i64, SeccompRule)>, seccompiler::BackendError> {
    let mut rules = Vec::new();
    let mut allow = |call, conditions: Vec<SeccompCondition>| {
        SeccompRule::new(conditions).map(|rule| rules.push((call, rule)))
    };
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in TCP {
            allow(
                libc::SYS_socket,
                vec![
                    equal(0, family as u64)?,
                    masked(1, SOCKET_TYPE, libc::SOCK_STREAM as u64)?,
                    equal(2, protocol)?,
                ],
            )?;
        }
    }
    // With an address it would connect by the way (TCP Fast Open), past Landlock.
    allow(libc::SYS_sendto, vec![SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?])?;
    allow(
        libc::SYS_setsockopt,
        vec![equal(1, libc::IPPROTO_TCP as u64)?, equal(2, libc::TCP_NODELAY as u64)?],
    )?;
    for command in [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL] {
        allow(libc::SYS_fcntl, vec![equal(1, command as u64)?])?;
    }
    Ok(rules)
}
