//! Room on the disk, folders that others could change, and the age of the backup.

use super::Check;
use super::files::closed;
use crate::config::Config;
use crate::spool::{FREE_BYTES_MIN, Spool};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(super) const DISK: &str = "disk";
pub(super) const PERMISSIONS: &str = "permissions";
pub(super) const BACKUP: &str = "backup";
/// Four times what the intake keeps free: a large study away from no study at all.
const FREE_BYTES_SOON: u64 = 4 * FREE_BYTES_MIN;
/// Each image is a file as long as its study is under way; some studies have thousands.
const FREE_FILES_MIN: u64 = 20_000;
/// The stamp may lie on a file server with a clock of its own.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(60);
/// Mode bits of group and others that write, and that of a folder where everybody's files are their own (inode(7)).
const WRITTEN_BY_GROUP: u32 = 0o020;
const WRITTEN_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

pub(super) fn disk(config: &Config) -> Check {
    let subject = format!("state {}", config.state.display());
    let Ok(disk) = rustix::fs::statvfs(&config.state) else {
        return Check::not_checked(DISK, subject, "the state folder is not there yet");
    };
    let (free, files) = (disk.f_bavail * disk.f_frsize, disk.f_favail);
    let found = format!("{} MB free", free / 1_000_000);
    if !Spool::at(&config.state).has_room() {
        let mend = "make room on this disk now, or give it more";
        return Check::fail(DISK, subject, format!("{found}: no study is taken any more"), mend);
    }
    if free < FREE_BYTES_SOON {
        let found = format!("{found}: intake stops at {} MB", FREE_BYTES_MIN / 1_000_000);
        return Check::fail(DISK, subject, found, "make room on this disk, or give it more");
    }
    // A file system that makes inodes as it needs them counts none.
    if disk.f_files > 0 && files < FREE_FILES_MIN {
        let mend = "delete files, or make the file system with more inodes";
        return Check::fail(DISK, subject, format!("room for {files} files only"), mend);
    }
    Check::pass(DISK, subject, found)
}

/// Whoever may write into a folder can put another file in the place of one that is closed to them.
pub(super) fn permissions(config: &Config) -> Vec<Check> {
    let mut folders = BTreeMap::<PathBuf, String>::new();
    let mut checks = Vec::new();
    let paths = [("state".to_owned(), config.state.as_path())].into_iter().chain(closed(config));
    for (key, path) in paths {
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(error) => {
                let subject = format!("{key} {}", path.display());
                checks.push(Check::not_checked(PERMISSIONS, subject, error.kind()));
                continue;
            }
        };
        for folder in path.ancestors().skip(1) {
            folders.entry(folder.to_owned()).or_insert_with(|| key.clone());
        }
    }
    let mut owners = vec![0, rustix::process::getuid().as_raw()];
    owners.extend(std::fs::metadata(&config.state).map(|state| state.uid()));
    let count = folders.len();
    checks.extend(folders.iter().filter_map(|(folder, key)| changed_by(folder, key, &owners)));
    if checks.is_empty() {
        let found = format!("none of the {count} above keys and state can be changed by others");
        checks.push(Check::pass(PERMISSIONS, "folders", found));
    }
    checks
}

fn changed_by(folder: &Path, key: &str, owners: &[u32]) -> Option<Check> {
    let subject = format!("{key}, in {}", folder.display());
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) => return Some(Check::not_checked(PERMISSIONS, subject, error.kind())),
    };
    let (mode, uid) = (metadata.mode(), metadata.uid());
    let by_others = mode & WRITTEN_BY_OTHERS != 0 && mode & STICKY == 0;
    // Root's group is root's.
    let by_group = mode & WRITTEN_BY_GROUP != 0 && mode & STICKY == 0 && metadata.gid() != 0;
    if by_others || by_group {
        let found = format!("mode {:04o}: others can put another file there", mode & 0o7777);
        return Some(Check::fail(PERMISSIONS, subject, found, "chmod go-w it"));
    }
    (!owners.contains(&uid)).then(|| {
        let found = format!("belongs to user {uid}, who can put another file there");
        Check::fail(PERMISSIONS, subject, found, "chown it to root, or to the gateway's user")
    })
}

pub(super) fn backup(config: &Config) -> Check {
    let Some(stamp) = &config.check.backup_stamp else {
        let why = "have the backup job touch a file when it is done, and name that in [check] backup_stamp";
        return Check::not_checked(BACKUP, "backup", why);
    };
    let subject = format!("backup_stamp {}", stamp.display());
    let mend = "look why the backup job did not run to its end, and run it";
    let done_at = match std::fs::metadata(stamp).and_then(|metadata| metadata.modified()) {
        Ok(done_at) => done_at,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Check::fail(BACKUP, subject, "no backup was ever finished", mend);
        }
        Err(error) => return Check::not_checked(BACKUP, subject, error.kind()),
    };
    let now = SystemTime::now();
    if done_at > now + CLOCKS_APART_MAX {
        let mend = "correct the clock of whatever touches it, and run the backup job";
        return Check::fail(BACKUP, subject, "is of the future: its age is not known", mend);
    }
    let age = now.duration_since(done_at).unwrap_or_default();
    let found = format!("{} hours old", age.as_secs() / 3600);
    if age > Duration::from_secs(u64::from(config.check.backup_hours_max) * 3600) {
        let found = format!("{found}, more than the {} of backup_hours_max", config.check.backup_hours_max);
        return Check::fail(BACKUP, subject, found, mend);
    }
    Check::pass(BACKUP, subject, found)
}
