//! What the inbound process takes away from itself as soon as it starts.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::io;

/// Address space in bytes. A reply is at most some MiB; the rest is program, runtime and stack.
const ADDRESS_SPACE_BYTES: u64 = 512 << 20;
/// Open files: pipes, runtime, one connection, CA files while they are read.
const FILES: u64 = 32;
/// Processor time in seconds, after which the gateway starts the process anew: an endless loop over a hostile reply does not take a core
/// for ever. A look takes about 1 ms, so that a healthy process comes to this after days.
const PROCESSOR_SECONDS: u64 = 600;

/// Sets the limits of this process, for good.
///
/// # Errors
/// Any error of the operating system: then nothing foreign may be read.
pub(super) fn apply() -> io::Result<()> {
    let limits = [
        (Resource::As, ADDRESS_SPACE_BYTES),
        // A core file would hold the password.
        (Resource::Core, 0),
        // It writes to pipes and sockets only.
        (Resource::Fsize, 0),
        (Resource::Nofile, FILES),
        (Resource::Cpu, PROCESSOR_SECONDS),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    // Other processes of the same user may not attach to it or read its memory, and it may not gain rights by a program it starts.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}
