//! A state folder that several machines reach, and one gateway of several that works in it.
//!
//! All of the state lies in a folder of it, `taken.N`, that bears the number of the start that has the journal: the fencing token. Who takes over
//! renames it first, and from then on whoever was taken over from, whatever it was in the middle of, finds nothing under the name that it knows: it
//! can make, rename and delete no file here. What it has open is of files that the sweep of the start removes, and of the trail, which gets a copy.

use crate::spool::{lock, make_folder, sync_folder};
use crate::{audit, config::Config};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// In front of the number.
const TAKEN: &str = "taken.";
/// Beside the bundles and the trail: what keeps commands away from the state of a gateway that works.
const LOCK: &str = "lock";

/// Why a state folder cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// A gateway by itself worked here.
    #[error(
        "{state} is the state of a gateway by itself, and [journal] shared_state = true (operator: stop it, make the folder {state}/taken.0, and move \
         all that is here into it)", state = .0.display()
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
    /// The database knows less than the folder.
    #[error(
        "{place} is of a later start than this one, {start}: the database is older than the state folder (operator: give both from the same time; \
         if they are, name the folder {TAKEN}0)", place = place.display()
    )]
    Newer {
        /// What is there.
        place: PathBuf,
        /// What the database says.
        start: i64,
    },
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
    match numbers(state)?.as_slice() {
        [] if state.join("spool").exists() => Err(TakeoverError::OfOne(state.to_owned())),
        [] => Ok(at_number(state, 0)),
        [number] => Ok(at_number(state, *number)),
        [..] => Err(TakeoverError::Several(state.to_owned())),
    }
}

/// To be called before anything is made in the state folder of a gateway by itself.
///
/// # Errors
/// [`TakeoverError::Shared`], [`TakeoverError::Io`].
pub(crate) fn refuse_shared(config: &Config) -> Result<(), TakeoverError> {
    let is_other = !config.journal.shared_state && !numbers(&config.state)?.is_empty();
    if is_other { Err(TakeoverError::Shared(config.state.clone())) } else { Ok(()) }
}

/// Takes the state for the gateway that has the journal, by its start's number. `known` is what [`place`] said when the configuration was read.
///
/// # Errors
/// [`TakeoverError`].
pub(crate) fn take(known: &Path, start: i64) -> Result<Taken, TakeoverError> {
    let state = known.parent().unwrap_or(known);
    let (before, place) = (place(state)?, at_number(state, start));
    if number(&before).is_some_and(|number| number >= start && before.exists()) {
        return Err(TakeoverError::Newer { place: before, start });
    }
    make_folder(&before).map_err(io_at(&before))?;
    // Kept until the end: no command comes in between.
    let held = held(&before)?;
    fs::rename(&before, &place).and_then(|()| sync_folder(state)).map_err(io_at(&place))?;
    audit::leave_behind(&audit::folder(&place)).map_err(io_at(&place))?;
    let lock = signed(&place.join(LOCK), start).map_err(io_at(&place))?;
    drop(held);
    Ok(Taken { place, lock })
}

/// The lock of the state, unless a gateway has it that was taken over from: that one has written its number into it.
fn held(place: &Path) -> Result<Option<File>, TakeoverError> {
    let path = place.join(LOCK);
    match lock(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text = fs::read_to_string(&path).map_err(io_at(&path))?;
            if text.trim_end().parse::<i64>().is_ok() {
                Ok(None)
            } else {
                Err(TakeoverError::Busy(place.to_owned()))
            }
        }
        Err(error) => Err(io_at(&path)(error)),
    }
}

/// A lock of a file that nobody else has open, with a number in it from the moment that it has its name.
fn signed(path: &Path, start: i64) -> io::Result<File> {
    let unfinished = path.with_extension("unfinished");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
    writeln!(file, "{start}")?;
    file.try_lock()?;
    fs::rename(&unfinished, path)?;
    Ok(file)
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

    fn taken(state: &Path, start: i64) -> Taken {
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
        assert!(spool.nameless().is_err() && !before.place.exists());
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
        let mut open = OpenOptions::new().append(true).open(folder.join("trail-000001.log")).unwrap();
        let after = taken(&state, 2);
        open.write_all(b"two\n").unwrap();
        assert_eq!(fs::read(audit::folder(&after.place).join("trail-000001.log")).unwrap(), b"one\n");
    }

    #[test]
    fn a_command_that_works_is_not_taken_over_from() {
        let (_folder, state) = state();
        drop(taken(&state, 1));
        let command = Spool::at(&place(&state).unwrap()).lock().unwrap();
        assert!(matches!(take(&place(&state).unwrap(), 2), Err(TakeoverError::Busy(_))));
        drop(command);
        taken(&state, 3);
    }

    #[test]
    fn a_database_that_is_older_and_states_of_another_kind_are_refused() {
        let (_folder, state) = state();
        let known = taken(&state, 7).place;
        for start in [3, 7] {
            assert!(matches!(take(&known, start), Err(TakeoverError::Newer { .. })));
        }
        make_folder(&state.join("taken.5")).unwrap();
        assert!(matches!(place(&state), Err(TakeoverError::Several(_))));
        let (_folder, state) = self::state();
        Spool::open(&state).unwrap();
        assert!(matches!(place(&state), Err(TakeoverError::OfOne(_))));
    }
}
