//! The files to pack, and the names under which they come back.

use anyhow::{Context, bail};
use compressor::Uid;
use compressor::bundle::{Source, is_safe_name};
use compressor::dataset::{self, FilePart};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a file that is not DICOM is written down as; nothing in it is read by that.
const TRANSFER_SYNTAX_OF_OTHERS: &str = "1.2.840.10008.1.2";

/// Finds all files in `inputs`, each with its name in the bundle, in the order of the names.
///
/// A single folder lends no name to its files; of several inputs, each folder does.
pub(crate) fn find(inputs: &[PathBuf]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for input in inputs {
        let alone = inputs.len() == 1 && input.is_dir();
        let prefix = if alone { String::new() } else { own_name(input)? };
        add(input, prefix, &mut files)?;
    }
    if files.is_empty() {
        bail!("no file to pack");
    }
    Ok(files)
}

fn add(path: &Path, name: String, files: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
            let inner = entry?.path();
            // A link to a folder may lead back up.
            if inner.is_symlink() && inner.is_dir() {
                bail!("{} is a link to a folder; name that folder instead", inner.display());
            }
            let own = own_name(&inner)?;
            add(&inner, if name.is_empty() { own } else { format!("{name}/{own}") }, files)?;
        }
        return Ok(());
    }
    if !is_safe_name(&name) {
        bail!("{} has a name that not every system could write back", path.display());
    }
    if files.insert(name, path.to_owned()).is_some() {
        bail!("{} has the same name as another file to pack", path.display());
    }
    Ok(())
}

fn own_name(path: &Path) -> anyhow::Result<String> {
    let whole = path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?;
    // A link keeps its own name.
    let name = path.file_name().or(whole.file_name()).and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has no name in UTF-8", path.display()))?.to_owned())
}

/// Looks into a file for its data set.
pub(crate) fn source(name: String, path: &Path) -> anyhow::Result<Source<'_>> {
    let unreadable = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let bytes = file.metadata().with_context(unreadable)?.len();
    let others = FilePart { prefix_bytes: 0, transfer_syntax: Uid::parse(TRANSFER_SYNTAX_OF_OTHERS)? };
    let part = dataset::locate(&mut file, bytes).with_context(unreadable)?.unwrap_or(others);
    Ok(Source { name: Some(name), ..Source::of_file(path, bytes, part) })
}
