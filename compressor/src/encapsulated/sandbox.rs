//! seccomp: what the decoding process takes away from itself once its request is read.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::io;

/// Answer of the kernel to a system call that is not on the list. Not the end of the process: a C library that tries something newer and
/// falls back goes on.
const REFUSED: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);

/// System calls that decoding memory to memory takes, whatever their arguments.
const ALWAYS: &[i64] = &[
    // The pipe that the frame goes to.
    libc::SYS_write,
    libc::SYS_writev,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Locks and time, of a single thread.
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
pub(super) fn enter() -> io::Result<()> {
    let filter = filter().map_err(io::Error::other)?;
    seccompiler::apply_filter(&filter).map_err(io::Error::other)
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let condition = |argument, operator, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALWAYS.iter().map(|call| (*call, Vec::new())).collect();
    // Memory that can be executed is how foreign code gets in.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![condition(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0)?]);
    }
    // `abort` of this process.
    rules.insert(libc::SYS_tgkill, vec![condition(0, SeccompCmpOp::Eq, std::process::id().into())?]);
    let target = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, REFUSED, SeccompAction::Allow, target)?.try_into()
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
