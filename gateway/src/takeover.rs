//! A state folder that several machines reach, and one gateway of several that works in it.
//!
//! All of the state lies in a folder of it, `taken.N`, that bears the number of the start that has the journal: the fencing token. Who takes over
//! renames it first, and from then on whoever was taken over from, whatever it was in the middle of, finds nothing under the name that it knows: it
//! can make, rename and delete no file here. What it has open is of files that the sweep of the start removes or that are made anew where they are
//! written again ([`create_anew`]), and of the trail, which gets a copy.

use crate::journal::Start;
use crate::spool::{Spool, create_anew, lock, make_folder, make_one, sync_folder};
use crate::{audit, config::Config};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// In front of the number.
const TAKEN: &str = "taken.";

/// Where the mounts of this process are told of (proc_pid_mountinfo(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

/// Why a state folder cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// A gateway by itself worked here.
    #[error(
        "{state} is the state of a gateway by itself, and [journal] shared_state = true (operator: docs/config.md, \"A gateway that takes over from \
         another\", says how to move it)", state = .0.display()
    )]
    OfOne(PathBuf),
    /// Gateways that take over from one another worked here.
    #[error(
        "{state} is the state of gateways that take over from one another (operator: set [journal] shared_state = true; for a gateway by itself stop \
         them all, and move what is in the folder {TAKEN}NUMBER up)", state = .0.display()
    )]
    Shared(PathBuf),
    /// Two of them: somebody has put one there.
    #[error("{state} holds several folders {TAKEN}NUMBER (operator: leave the one with the state)", state = .0.display())]
    Several(PathBuf),
    /// Nothing is there that the database was worked with.
    #[error(
        "{state} is empty, and this database was last worked with in {TAKEN}{taken} (operator: is the disk mounted? Where the state is lost for good, make \
         that folder, for the gateway's user alone)", state = state.display()
    )]
    Gone {
        /// The folder that all reach.
        state: PathBuf,
        /// The number of the last one.
        taken: i64,
    },
    /// Another one is there: a copy, or the database is one.
    #[error(
        "{place} is not the state that this database was last worked with, which was {TAKEN}{taken} (operator: give both from the same time; where they \
         are, name the folder so)", place = place.display()
    )]
    Other {
        /// What is there.
        place: PathBuf,
        /// The number of the last one.
        taken: i64,
    },
    /// This machine would look for a while where the state was.
    #[error(
        "{state} is on NFS, and this machine remembers its names for a time: who was taken over from would go on finding them (operator: mount it with \
         lookupcache=none on each machine)", state = .0.display()
    )]
    Remembered(PathBuf),
    /// A command holds the lock.
    #[error("a command works in {place} (operator: wait until it has ended)", place = .0.display())]
    Busy(PathBuf),
    /// The file system.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The state as this start has it. The folder is its own for as long as this is held.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Where it lies.
    pub(crate) place: PathBuf,
    /// Keeps commands away that need the state for themselves.
    pub(crate) lock: File,
}

/// Where the state lies below a folder that several machines reach, as it is now; where it will, if there is none yet.
///
/// # Errors
/// [`TakeoverError`].
pub(crate) fn place(state: &Path) -> Result<PathBuf, TakeoverError> {
    Ok(at_number(state, present(state)?.unwrap_or_default()))
}

/// Whether a folder is one that can be taken from whoever works in it: it is never made again.
pub(crate) fn is_place(folder: &Path) -> bool {
    number(folder).is_some()
}

/// Whether the state of gateways that take over from one another lies here.
///
/// # Errors
/// [`TakeoverError::Io`].
pub(crate) fn is_shared(state: &Path) -> Result<bool, TakeoverError> {
    Ok(!numbers(state)?.is_empty())
}

/// To be called before anything is made in the state folder of a gateway by itself.
///
/// # Errors
/// [`TakeoverError::Shared`], [`TakeoverError::Io`].
pub(crate) fn refuse_shared(config: &Config) -> Result<(), TakeoverError> {
    if !config.journal.shared_state && is_shared(&config.state)? {
        return Err(TakeoverError::Shared(config.state.clone()));
    }
    Ok(())
}

/// Takes the state for the gateway that has the journal. `known` is what [`place`] said when the configuration was read.
///
/// # Errors
/// [`TakeoverError`].
pub(crate) fn take(known: &Path, start: Start) -> Result<Taken, TakeoverError> {
    let (state, taken) = (known.parent().unwrap_or(known), start.taken);
    make_folder(state).map_err(io_at(state))?;
    let mounts = fs::read_to_string(MOUNTS).and_then(|mounts| Ok((mounts, state.canonicalize()?)));
    let (mounts, real) = mounts.map_err(io_at(state))?;
    if remembers_names(&mounts, &real) {
        return Err(TakeoverError::Remembered(state.to_owned()));
    }
    let place = at_number(state, start.number);
    // A lock that is held keeps commands away until there is another one.
    let _held = match present(state)? {
        Some(number) if number < taken || number >= start.number => {
            return Err(TakeoverError::Other { place: at_number(state, number), taken });
        }
        Some(number) => {
            let before = at_number(state, number);
            let held = held(&before, start.number)?;
            fs::rename(&before, &place).map_err(io_at(&before))?;
            held
        }
        None if taken > 0 => return Err(TakeoverError::Gone { state: state.to_owned(), taken }),
        None => {
            make_one(&place).map_err(io_at(&place))?;
            None
        }
    };
    sync_folder(state).map_err(io_at(state))?;
    audit::leave_behind(&audit::folder(&place)).map_err(io_at(&place))?;
    let lock = signed(&Spool::at(&place).lock_path(), start.number).map_err(io_at(&place))?;
    Ok(Taken { place, lock })
}

/// The lock of the state, signed at once, unless a gateway has it that was taken over from: that one has written its number into it.
fn held(place: &Path, start: i64) -> Result<Option<File>, TakeoverError> {
    let path = Spool::at(place).lock_path();
    match lock(&path) {
        Ok(mut file) => writeln!(file, "{start}").map(|()| Some(file)).map_err(io_at(&path)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text = fs::read_to_string(&path).map_err(io_at(&path))?;
            let is_fenced = text.trim_end().parse::<i64>().is_ok_and(|number| number < start);
            if is_fenced { Ok(None) } else { Err(TakeoverError::Busy(place.to_owned())) }
        }
        Err(error) => Err(io_at(&path)(error)),
    }
}

/// The lock of a file that nobody else has open, with a number in it from the moment that it has its name.
fn signed(path: &Path, start: i64) -> io::Result<File> {
    let unfinished = path.with_extension("unfinished");
    let mut file = create_anew(&unfinished)?;
    writeln!(file, "{start}")?;
    file.try_lock()?;
    fs::rename(&unfinished, path)?;
    Ok(file)
}

/// Whether a file system keeps a name that somebody else has changed. NFS does, for a minute by default (nfs(5), lookupcache and acdirmax).
fn remembers_names(mounts: &str, folder: &Path) -> bool {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let (point, mut right) = (left.split(' ').nth(4)?.replace("\\040", " "), right.split(' '));
        let (kind, options) = (right.next()?.to_owned(), right.nth(1).unwrap_or_default().to_owned());
        folder.starts_with(&point).then_some((point.len(), kind, options))
    };
    // The last one of a point hides those before it.
    let Some((_, kind, options)) = mounts.lines().filter_map(mount).max_by_key(|(length, ..)| *length) else {
        return false;
    };
    let has = |option: &str| options.split(',').any(|one| one == option);
    kind.starts_with("nfs")
        && !(has("lookupcache=none") || has("noac") || has("acdirmin=0") && has("acdirmax=0"))
}

/// The number of the folder that is there.
fn present(state: &Path) -> Result<Option<i64>, TakeoverError> {
    match numbers(state)?.as_slice() {
        [] if state.join("spool").exists() => Err(TakeoverError::OfOne(state.to_owned())),
        [] => Ok(None),
        [number] => Ok(Some(*number)),
        [..] => Err(TakeoverError::Several(state.to_owned())),
    }
}

/// Numbers of the folders that are there.
fn numbers(state: &Path) -> Result<Vec<i64>, TakeoverError> {
    let entries = match fs::read_dir(state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_at(state))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(number(&entry.map_err(io_at(state))?.path()));
    }
    Ok(found)
}

fn number(place: &Path) -> Option<i64> {
    place.file_name()?.to_str()?.strip_prefix(TAKEN)?.parse().ok()
}

fn at_number(state: &Path, number: i64) -> PathBuf {
    state.join(format!("{TAKEN}{number}"))
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> TakeoverError {
    move |error| TakeoverError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::spool::Spool;

    fn state() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        (folder, state)
    }

    fn taken(state: &Path, number: i64) -> Taken {
        let start = Start { number, taken: present(state).unwrap().unwrap_or_default() };
        let taken = take(&place(state).unwrap(), start).unwrap();
        Spool::open(&taken.place).unwrap();
        taken
    }

    #[test]
    fn who_was_taken_over_from_reaches_nothing_under_the_names_it_knows() {
        let (_folder, state) = state();
        let before = taken(&state, 1);
        let spool = Spool::open(&before.place).unwrap();
        let received = spool.receive().join("a");
        fs::write(&received, "image").unwrap();
        // While the first one holds its lock still.
        let after = taken(&state, 2);
        assert_eq!(place(&state).unwrap(), after.place);
        assert!(fs::write(&received, "other").is_err() && fs::remove_file(&received).is_err());
        assert!(fs::rename(spool.receive().join("a"), spool.receive().join("b")).is_err());
        assert!(spool.nameless().is_err() && Spool::open(&before.place).is_err() && !before.place.exists());
        assert_eq!(fs::read(Spool::at(&after.place).receive().join("a")).unwrap(), b"image");
        assert!(Spool::at(&after.place).lock().is_err(), "a command came in beside the second one");
    }

    #[test]
    fn what_is_appended_to_an_open_trail_is_not_in_the_one_that_was_taken() {
        let (_folder, state) = state();
        let before = taken(&state, 1);
        let folder = audit::folder(&before.place);
        make_folder(&folder).unwrap();
        fs::write(folder.join("trail-000001.log"), "one\n").unwrap();
        let mut trail = fs::OpenOptions::new().append(true).open(folder.join("trail-000001.log")).unwrap();
        let after = taken(&state, 2);
        let folder = audit::folder(&after.place);
        trail.write_all(b"two\n").unwrap();
        assert_eq!(fs::read(folder.join("trail-000001.log")).unwrap(), b"one\n");
    }

    #[test]
    fn what_is_written_into_a_file_that_was_made_anew_since_is_not_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.unfinished");
        let mut before = create_anew(&path).unwrap();
        create_anew(&path).unwrap().write_all(b"two").unwrap();
        before.write_all(b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_command_that_works_is_not_taken_over_from() {
        let (_folder, state) = state();
        drop(taken(&state, 1));
        let command = Spool::at(&place(&state).unwrap()).lock().unwrap();
        let start = Start { number: 2, taken: 1 };
        assert!(matches!(take(&place(&state).unwrap(), start), Err(TakeoverError::Busy(_))));
        drop(command);
        taken(&state, 3);
    }

    #[test]
    fn only_the_state_that_the_database_was_last_worked_with_is_taken() {
        let (_folder, state) = state();
        let known = state.join("taken.0");
        assert!(matches!(
            take(&known, Start { number: 5, taken: 4 }),
            Err(TakeoverError::Gone { taken: 4, .. })
        ));
        taken(&state, 7);
        // Older than the folder, and newer; a start that ended before it could say what it had taken counts for nothing.
        for (number, last) in [(3, 2), (7, 6), (12, 9)] {
            let start = Start { number, taken: last };
            assert!(matches!(take(&known, start), Err(TakeoverError::Other { .. })), "{number} {last}");
        }
        assert!(take(&known, Start { number: 9, taken: 5 }).is_ok());
        make_one(&state.join("taken.5")).unwrap();
        assert!(matches!(place(&state), Err(TakeoverError::Several(_))));
        let (_folder, state) = self::state();
        Spool::open(&state).unwrap();
        assert!(matches!(place(&state), Err(TakeoverError::OfOne(_))));
    }

    #[test]
    fn names_that_a_machine_remembers_are_refused() {
        let mounts = |options: &str| {
            format!(
                "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                 40 22 0:45 / /srv/x\\040y rw,relatime shared:1 - nfs4 store:/x rw,vers=4.2,{options}\n"
            )
        };
        let folder = Path::new("/srv/x y/scanpost");
        for (options, remembers) in [
            ("hard", true),
            ("lookupcache=pos", true),
            ("acdirmin=0,acdirmax=60", true),
            ("lookupcache=none", false),
            ("acregmin=0,acregmax=0,acdirmin=0,acdirmax=0", false),
            ("noac", false),
        ] {
            assert_eq!(remembers_names(&mounts(options), folder), remembers, "{options}");
        }
        assert!(!remembers_names(&mounts("hard"), Path::new("/var/lib/scanpost")));
    }
}
