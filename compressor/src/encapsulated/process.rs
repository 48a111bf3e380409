//! A process of our own for foreign bytes: it has nothing but its two pipes.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program of the process that opens it (proc(5)), whatever its path leads to by now: after an upgrade it is still the one that runs.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts a hidden command of a program, with pipes as its standard input and output.
///
/// # Errors
/// Any error of the operating system.
pub fn start(program: &Path, command: &str) -> io::Result<Child> {
    Command::new(program)
        .arg(command)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}
