//! The order of the steps towards durability, and what is left behind when one of them fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use std::sync::Mutex;

/// A disk that writes down what is asked of it, and fails at one step.
#[derive(Default)]
struct Recorder {
    steps: Arc<Mutex<Vec<&'static str>>>,
    fails_at: &'static str,
}

struct RecordedFile(Arc<Mutex<Vec<&'static str>>>, bool);

impl Write for RecordedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push("write");
        if self.1 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Recorder {
    fn step(&self, step: &'static str) -> io::Result<()> {
        self.steps.lock().unwrap().push(step);
        if self.fails_at == step { Err(io::Error::other("asked for")) } else { Ok(()) }
    }
}

impl Disk for Recorder {
    type File = RecordedFile;
    fn create(&self, name: &str) -> io::Result<RecordedFile> {
        assert!(is_unfinished(name));
        self.step("create").map(|()| RecordedFile(Arc::clone(&self.steps), self.fails_at == "write"))
    }
    fn sync(&self, _: &RecordedFile) -> io::Result<()> {
        self.step("sync")
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        assert_eq!(from.strip_suffix(UNFINISHED), Some(to));
        self.step("rename")
    }
    fn sync_folder(&self) -> io::Result<()> {
        self.step("sync folder")
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(if is_unfinished(name) { "remove unfinished" } else { "remove finished" })
    }
}

fn steps_failing_at(fails_at: &'static str) -> (Vec<&'static str>, Option<StoreError>) {
    let disk = Arc::new(Recorder { fails_at, ..Recorder::default() });
    let run = || {
        let mut unfinished = Unfinished::create(Arc::clone(&disk), || Ok(None))?;
        unfinished.write(&[7; WRITE_BUFFER_BYTES])?;
        unfinished.finish()
    };
    let error = run().err();
    let steps = disk.steps.lock().unwrap().clone();
    (steps, error)
}

#[test]
fn content_then_name_then_folder() {
    let (steps, error) = steps_failing_at("nothing");
    assert_eq!(steps, ["create", "write", "sync", "rename", "sync folder"]);
    assert!(error.is_none());
}

#[test]
fn a_step_that_fails_leaves_no_file() {
    assert_eq!(steps_failing_at("create").0, ["create"]);
    assert_eq!(steps_failing_at("write").0, ["create", "write", "remove unfinished"]);
    assert_eq!(steps_failing_at("sync").0, ["create", "write", "sync", "remove unfinished"]);
    assert_eq!(steps_failing_at("rename").0, ["create", "write", "sync", "rename", "remove unfinished"]);
    assert_eq!(steps_failing_at("sync folder").0.last(), Some(&"remove finished"));
}

#[test]
fn only_a_failed_sync_is_told_apart() {
    assert!(matches!(steps_failing_at("write").1, Some(StoreError::Write(_))));
    assert!(matches!(steps_failing_at("rename").1, Some(StoreError::Write(_))));
    assert!(matches!(steps_failing_at("sync").1, Some(StoreError::Sync(_))));
    assert!(matches!(steps_failing_at("sync folder").1, Some(StoreError::Sync(_))));
}

#[test]
fn length_and_digest_are_those_of_the_bytes() {
    let mut unfinished = Unfinished::create(Arc::new(Recorder::default()), || Ok(None)).unwrap();
    unfinished.write(b"a").unwrap();
    unfinished.write(b"").unwrap();
    unfinished.write(b"bc").unwrap();
    let stored = unfinished.finish().unwrap();
    assert_eq!(stored.bytes, 3);
    // SHA-256 of "abc" (FIPS 180-2 B.1).
    assert_eq!(stored.sha256[..4], [0xba, 0x78, 0x16, 0xbf]);
}

#[test]
fn only_own_unfinished_files_are_leftovers() {
    assert!(is_unfinished("0123456789abcdef0123456789abcdef.part"));
    assert!(!is_unfinished("0123456789abcdef0123456789abcdef"));
    assert!(!is_unfinished("notes.part"));
}

/// A disk that keeps what is written.
#[derive(Default)]
struct Keeper(Arc<Mutex<Vec<u8>>>);

struct KeptFile(Arc<Mutex<Vec<u8>>>);

impl Write for KeptFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Keeper {
    type File = KeptFile;
    fn create(&self, _: &str) -> io::Result<KeptFile> {
        Ok(KeptFile(Arc::clone(&self.0)))
    }
    fn sync(&self, _: &KeptFile) -> io::Result<()> {
        Ok(())
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn sync_folder(&self) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn under_a_key_the_disk_gets_nothing_plain_and_the_key_opens_it() {
    let disk = Arc::new(Keeper::default());
    let mut unfinished = Unfinished::create(Arc::clone(&disk), || FileKey::random().map(Some)).unwrap();
    let plain = b"YAMADA^TARO ".repeat(20_000);
    plain.chunks(1000).for_each(|fragment| unfinished.write(fragment).unwrap());
    let stored = unfinished.finish().unwrap();
    assert_eq!((stored.bytes, stored.sha256), (plain.len() as u64, Sha256::digest(&plain).into()));
    let file = disk.0.lock().unwrap().clone();
    assert!(!file.windows(6).any(|window| window == b"YAMADA") && file.len() > plain.len());
    let mut opened = Vec::new();
    let key = stored.key.unwrap();
    crate::spool::Decrypting::new(io::Cursor::new(file), &key).unwrap().read_to_end(&mut opened).unwrap();
    assert!(opened == plain);
}
