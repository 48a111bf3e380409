//! Root who runs a command beside the service works as the service's user: what it leaves in the state folder must be the service's.

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where root runs this and the state folder is another user's, becomes that user for good. The process must still have one thread.
///
/// # Errors
/// The system refuses it.
pub fn become_owner_of(state: &Path) -> io::Result<()> {
    let Ok(owner) = std::fs::metadata(state) else { return Ok(()) };
    if !geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}
