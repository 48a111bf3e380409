//! DCMTK's tools as peers. Where one is missing the test fails and says so.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// What a tool answered.
pub(crate) struct Ran {
    pub(crate) success: bool,
    pub(crate) text: String,
}

/// `echoscu`, calling this AE title.
pub(crate) fn echo(address: SocketAddr, called: &str) -> Ran {
    wait(start("echoscu", &["-v", "-aet", "PACS", "-aec", called], address, &[]))
}

/// `storescu` with these options and files.
pub(crate) fn store(address: SocketAddr, called: &str, options: &[&str], files: &[&Path]) -> Ran {
    wait(start_storing(address, called, options, files))
}

/// The same, not waited for.
pub(crate) fn start_storing(address: SocketAddr, called: &str, options: &[&str], files: &[&Path]) -> Child {
    let options = [&["-v", "-aet", "PACS", "-aec", called], options].concat();
    start("storescu", &options, address, files)
}

pub(crate) fn wait(child: Child) -> Ran {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ran { success: status.success(), text }
}

fn start(tool: &str, options: &[&str], address: SocketAddr, files: &[&Path]) -> Child {
    Command::new(tool)
        .args(options)
        .args([address.ip().to_string(), address.port().to_string()])
        .args(files)
        // Without it DCMTK waits for Nagle's algorithm at every image.
        .env("TCP_NODELAY", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool} is needed for this test (Debian package dcmtk): {error}"))
}
