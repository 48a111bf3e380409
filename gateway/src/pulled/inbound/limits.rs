//! What the inbound process takes away from itself before it reads a foreign byte.

use rustix::process::{Resource, Rlimit, setrlimit};
use std::io;

/// Address space in bytes. A reply is at most some MiB; the rest is program, runtime and stacks.
const ADDRESS_SPACE_BYTES: u64 = 512 << 20;
/// Open files: pipes, runtime, one connection, CA file, name resolution.
const FILES: u64 = 64;

/// Sets the limits of this process, for good.
///
/// # Errors
/// Any error of the operating system: then nothing foreign may be read.
pub(super) fn apply() -> io::Result<()> {
    let limits = [
        (Resource::As, ADDRESS_SPACE_BYTES),
        // A core file would hold the password.
        (Resource::Core, 0),
        (Resource::Nofile, FILES),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}
