//! seccomp: what a process that reads foreign bytes takes away from itself.

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::io;

/// Answer of the kernel to a system call that is not on the list. Not the end of the process: a C library that tries something newer and
/// falls back goes on.
const REFUSED: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);

/// System calls that computing takes, and writing what is open, whatever their arguments.
const COMPUTING: &[i64] = &[
    // What is open already.
    libc::SYS_write,
    libc::SYS_writev,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Locks, time, randomness.
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    // Signals to itself and its end.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Takes away from this thread, for good, all system calls but those of computing and of writing what is open: no file, no socket, no
/// process, no signal to another.
///
/// # Errors
/// The kernel has no seccomp, or the architecture is not known: then nothing may be decoded.
pub(crate) fn enter() -> io::Result<()> {
    let filter = filter(&[], Vec::new()).map_err(io::Error::other)?;
    seccompiler::apply_filter(&filter).map_err(io::Error::other)
}

/// Lets the system calls of computing through, `calls`, and those that meet one of the `rules` given for them; the answer to any other is `EPERM`.
///
/// # Errors
/// The architecture is not known.
pub fn filter(calls: &[i64], rules: Vec<(i64, SeccompRule)>) -> Result<BpfProgram, BackendError> {
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> =
        COMPUTING.iter().chain(calls).map(|call| (*call, Vec::new())).collect();
    // Memory that can be written and executed is how foreign code gets in.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        allowed.insert(call, vec![SeccompRule::new(vec![masked(2, libc::PROT_EXEC as u64, 0)?])?]);
    }
    // `abort` of this process.
    let own = SeccompRule::new(vec![equal(0, std::process::id().into())?])?;
    allowed.insert(libc::SYS_tgkill, vec![own]);
    for (call, rule) in rules {
        allowed.entry(call).or_default().push(rule);
    }
    let target = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(allowed, REFUSED, SeccompAction::Allow, target)?.try_into()
}

/// An argument, counted from 0, has this value in its lower 32 bits.
///
/// # Errors
/// There is no such argument.
pub fn equal(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// [`equal`], of the bits in `mask` alone.
///
/// # Errors
/// As for [`equal`].
pub fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fs::File;
    use std::net::{TcpListener, UdpSocket};
    use std::process::Command;

    /// A filter holds for one thread, so a test has it in one that ends.
    #[test]
    fn decoder_has_memory_and_nothing_else() {
        assert!(File::open("/proc/self/status").is_ok());
        let confined = std::thread::spawn(|| {
            enter().unwrap();
            let refused = [
                File::open("/proc/self/status").err(),
                File::create("/tmp/scanpost-never").err(),
                TcpListener::bind("127.0.0.1:0").err(),
                UdpSocket::bind("127.0.0.1:0").err(),
                Command::new("/bin/true").spawn().err(),
                std::fs::remove_file("/tmp/scanpost-never").err(),
            ];
            let memory = vec![7_u8; 32 << 20];
            (
                refused.map(|error| error.and_then(|error| error.raw_os_error())),
                memory.iter().all(|byte| *byte == 7),
            )
        });
        let (refused, has_memory) = confined.join().unwrap();
        assert_eq!(refused, [Some(libc::EPERM); 6]);
        assert!(has_memory);
    }
}
