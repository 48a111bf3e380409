//! What another system acknowledged of a delivery: a line each, on the disk before the next object is sent. A line that a crash tore is no line, and its object
//! is sent again, which no system minds: it has the same UID and the same bytes.

use super::super::durable;
use super::{ForwardError, Target};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The line behind the last object.
const WHOLE: &str = "whole";

/// The lines of one folder and one target.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    acknowledged: BTreeSet<String>,
    is_whole: bool,
}

impl Ledger {
    /// Reads what is there, and drops a torn line.
    pub(super) fn open(path: &Path, to: &Target) -> io::Result<Self> {
        for folder in [path.parent().and_then(Path::parent), path.parent()].into_iter().flatten() {
            durable::create_folder(folder)?;
        }
        if !path.exists() {
            durable::write_file(path, format!("to {to}\n").as_bytes())?;
        }
        let text = fs::read_to_string(path)?;
        let kept = text.rfind('\n').map_or(0, |end| end + 1);
        let file = File::options().append(true).open(path)?;
        if kept < text.len() {
            file.set_len(kept as u64)?;
            file.sync_all()?;
        }
        let lines = || text.get(..kept).unwrap_or_default().lines().skip(1);
        let names = lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name.to_owned());
        Ok(Self { file, acknowledged: names.collect(), is_whole: lines().any(|line| line == WHOLE) })
    }

    /// Whether all there was to send was acknowledged.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether this object was acknowledged.
    pub(super) fn has(&self, name: &str) -> bool {
        self.acknowledged.contains(name)
    }

    /// Remembers that it was, and how.
    pub(super) fn acknowledge(&mut self, name: &str, status: u16) -> Result<(), ForwardError> {
        self.write(&format!("{name} {status:04X}\n"))?;
        self.acknowledged.insert(name.to_owned());
        Ok(())
    }

    /// Remembers that nothing is left.
    pub(super) fn close(&mut self) -> Result<(), ForwardError> {
        self.write(&format!("{WHOLE}\n"))?;
        self.is_whole = true;
        Ok(())
    }

    fn write(&mut self, line: &str) -> Result<(), ForwardError> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| ForwardError::Disk("cannot remember what was acknowledged", error.kind()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_no_line_and_the_next_one_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, to) = (folder.path().join("delivery/forwarded/pacs"), "A@pacs:104".parse().unwrap());
        fs::create_dir(folder.path().join("delivery")).unwrap();
        let mut ledger = Ledger::open(&path, &to).unwrap();
        ledger.acknowledge("s01/0001.dcm", 0).unwrap();
        ledger.acknowledge("s01/0002.dcm", 0xB000).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 1..13 {
            fs::write(&path, whole.get(..whole.len() - cut).unwrap()).unwrap();
            let mut ledger = Ledger::open(&path, &to).unwrap();
            assert!(ledger.has("s01/0001.dcm") && !ledger.has("s01/0002.dcm") && !ledger.is_whole());
            ledger.acknowledge("s01/0002.dcm", 0xB000).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        Ledger::open(&path, &to).unwrap().close().unwrap();
        let ledger = Ledger::open(&path, &to).unwrap();
        assert!(ledger.is_whole() && ledger.has("s01/0002.dcm"));
        assert_eq!(fs::read_to_string(path).unwrap().lines().next(), Some("to A@pacs:104"));
    }
}
