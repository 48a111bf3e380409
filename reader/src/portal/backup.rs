//! Copies the portal's state while it runs, and puts a copy back where there is none (docs/backup.md).

use super::config::Settings;
use super::error::Trouble;
use super::store::{self, Store};
use crate::pull::durable;
use std::fs;
use std::io;
use std::path::Path;

/// Folder in the state folder, until what is put back is known to be whole.
const UNFINISHED: &str = "restore.unfinished";

/// Copies the state to the file `to`, which is not there yet, for its owner alone.
///
/// # Errors
/// [`Trouble`]; nothing is left of a copy that cannot be made.
pub(super) async fn backup(settings: &Settings, to: &Path) -> Result<String, Trouble> {
    if to.exists() {
        return Err(typed(to, "is there already (operator: name a file that is not)"));
    }
    if !settings.state.join(store::FILE).exists() {
        return Err(typed(&settings.state, "holds no state of a portal (operator: check portal.state)"));
    }
    let unfinished = to.with_extension("unfinished");
    // SQLite takes an empty file for one that is not there, and leaves it its mode.
    durable::write_secret(&unfinished, b"").map_err(write(&unfinished))?;
    let copied = Store::open(&settings.state).await?.copy_into(&unfinished).await;
    let finished = || {
        fs::File::open(&unfinished)?.sync_all()?;
        durable::rename(&unfinished, to)
    };
    if let Err(trouble) = copied.map_err(Trouble::from).and_then(|()| finished().map_err(write(to))) {
        let _ = fs::remove_file(&unfinished);
        return Err(trouble);
    }
    Ok(format!(
        "{}: accounts, devices and what was told of (operator: it is as secret as portal.state)",
        to.display()
    ))
}

/// Puts a copy back. Nobody is signed in then.
///
/// # Errors
/// [`Trouble`]; the state folder is as it was then.
pub(super) async fn restore(settings: &Settings, from: &Path) -> Result<String, Trouble> {
    let metadata = fs::metadata(from).map_err(|error| typed(from, &format!("cannot be read: {error}")))?;
    if keyfile::open_to_others(&metadata).is_some() {
        return Err(typed(
            from,
            "is open to others than its owner (operator: find out who read it, then chmod 600 it)",
        ));
    }
    let place = settings.state.join(store::FILE);
    // A log that is left there would be applied to what is put back.
    let log = settings.state.join(format!("{}-wal", store::FILE));
    if let Some(there) = [&place, &log].into_iter().find(|path| path.exists()) {
        return Err(typed(
            there,
            "is there: restore puts nothing over it (operator: stop the portal, and move the state folder away)",
        ));
    }
    let aside = settings.state.join(UNFINISHED);
    let put_back = put_back(settings, from, &aside, &place).await;
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(write(&aside))?;
    }
    put_back?;
    Ok(format!(
        "{}: put back; all sessions have ended. Remove again which accounts and phones were removed since then (operator: docs/backup.md), then start the portal",
        place.display()
    ))
}

async fn put_back(settings: &Settings, from: &Path, aside: &Path, place: &Path) -> Result<(), Trouble> {
    let copy = || -> io::Result<()> {
        store::make_folder(&settings.state)?;
        let _ = fs::remove_dir_all(aside);
        durable::create_folder(aside)?;
        durable::write_secret(&aside.join(store::FILE), &fs::read(from)?)
    };
    copy().map_err(write(aside))?;
    let damaged = || {
        typed(
            from,
            "is no whole state of a portal of this version or an older one (operator: take another backup)",
        )
    };
    // Migrates it, where an older version has made it.
    let opened = Store::open(aside).await.map_err(|_| damaged())?;
    let is_whole = opened.is_whole().await;
    if is_whole.is_ok_and(|whole| whole) {
        opened.end_all_sessions().await?;
        opened.close().await;
        durable::rename(&aside.join(store::FILE), place).map_err(write(place))
    } else {
        opened.close().await;
        Err(damaged())
    }
}

fn typed(path: &Path, what: &str) -> Trouble {
    Trouble::Typed(format!("{} {what}", path.display()))
}

fn write(path: &Path) -> impl Fn(io::Error) -> Trouble + '_ {
    move |error| Trouble::Write(path.to_owned(), error)
}
