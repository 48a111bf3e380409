use super::*;
use crate::journal::tests::{instance, on_disk};
use crate::journal::tests_postgres::database;
use crate::journal::{Database, DeliveryRow, NewInstance, PressedStudy, Recorded, WaitingPress};
use compressor::bundle::Note;
use compressor::dataset::Banner;
use compressor::{Phi, Purpose};
use std::os::unix::fs::PermissionsExt;

/// What somebody searches for who got at the disk.
const NAME: &str = "Vermeulen^Saskia";
const WORDS: &str = "left side, since 22:10";

struct Bench {
    folder: tempfile::TempDir,
    spool: Spool,
    key: PathBuf,
    delivery: DeliveryRow,
    file_key: FileKey,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (spool, key) = (Spool::open(&folder.path().join("state")).unwrap(), folder.path().join("key"));
        fs::write(&key, FileKey::random().unwrap().bytes()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let file_key = FileKey::random().unwrap();
        let journal =
            Journal::open_under(database(&spool.journal()), FileKey::masters(Some(&key), None).unwrap())
                .await
                .unwrap();
        let banner = Banner { patient_id: Phi::new(NAME.to_owned()), ..Banner::default() };
        let instance = NewInstance { file_key: Some(file_key.clone()), banner, ..instance(1) };
        let Recorded::New { delivery, .. } = journal.record_instance(instance).await.unwrap() else {
            panic!()
        };
        let delivery = journal.delivery(delivery).await.unwrap();
        let press = WaitingPress {
            id: 0,
            study: PressedStudy::Case(delivery.case),
            doctors: vec!["sato".into()],
            urgent: false,
            note: Note::new(Phi::new(WORDS.to_owned())),
            by: "tech".into(),
            at_ms: 1,
            due_at_ms: 2,
        };
        assert!(journal.wait_press(&press).await.unwrap().is_some());
        Self { folder, spool, key, delivery, file_key }
    }

    fn database(&self) -> Database {
        database(&self.spool.journal())
    }

    fn keys(&self) -> Vec<FileKey> {
        FileKey::masters(Some(&self.key), None).unwrap()
    }

    /// As the gateway starts: all that lies under the master key can be read.
    async fn reads_all(&self) {
        let journal = Journal::open_under(database(&self.spool.journal()), self.keys()).await.unwrap();
        let case = journal.case_key(self.delivery.case).await.unwrap().unwrap();
        let wrapped = journal.instances(self.delivery.id).await.unwrap()[0].file_key.unwrap();
        assert!(case.unwrap(&wrapped) == Some(self.file_key.clone()));
        let subjects = journal.subjects(self.delivery.id).await.unwrap();
        assert_eq!(subjects[0].1.banner.patient_id.expose_for(Purpose::Compare), NAME);
        let presses = journal.waiting_presses().await.unwrap();
        assert_eq!(presses[0].note.as_ref().unwrap().expose_for(Purpose::Compare), WORDS);
        // The same patient comes again as the same one.
        let again = NewInstance {
            file_key: Some(FileKey::random().unwrap()),
            banner: subjects[0].1.banner.clone(),
            ..instance(2)
        };
        journal.record_instance(again).await.unwrap();
        assert_eq!(journal.subjects(self.delivery.id).await.unwrap().len(), 1);
    }

    /// Does the first steps of a rotation and breaks off, as a power cut would.
    async fn break_off_after(&self, steps: usize) {
        let old = FileKey::read(&self.key, true).unwrap();
        if steps > 0 {
            // What a cut leaves of a key that was not written whole.
            fs::write(beside(&self.key, ".unfinished"), [7; 9]).unwrap();
        }
        if steps > 1 {
            next_key(&self.key).unwrap();
        }
        if steps > 2 {
            let new = next_key(&self.key).unwrap();
            let journal =
                Journal::open_under(database(&self.spool.journal()), vec![old, new.clone()]).await.unwrap();
            journal.rewrap(&new).await.unwrap();
        }
        if steps > 3 {
            let (old, new) = (FileKey::read(&self.key, true).unwrap(), next_key(&self.key).unwrap());
            assert_eq!(
                rewrap(self.database(), old, &new).await.unwrap(),
                Rewrapped::default(),
                "it was done"
            );
        }
        if steps > 4 {
            take_place(&self.key).unwrap();
        }
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_crash_at_any_step_loses_nothing_and_the_next_run_finishes() {
    for steps in 0..=5 {
        let bench = Bench::new().await;
        let old = FileKey::read(&bench.key, true).unwrap();
        let case_key = {
            let journal =
                Journal::open_with(database(&bench.spool.journal()), Some(old.clone())).await.unwrap();
            journal.case_key(bench.delivery.case).await.unwrap().unwrap()
        };
        let wrapped = old.wrap(&case_key).unwrap();
        if let Database::File(_) = bench.database() {
            assert!(holds(&on_disk(&bench.folder.path().join("state")), &wrapped), "the search can find it");
        }
        bench.break_off_after(steps).await;
        bench.reads_all().await;
        let done = rotate(&bench.spool, bench.database(), &bench.key).await.unwrap();
        assert_eq!(done.cases, u64::from(!(3..=4).contains(&steps)), "{steps}");
        bench.reads_all().await;
        assert!(bench.keys().len() == 1 && bench.keys()[0] != old, "{steps}");
        let mut left: Vec<_> =
            fs::read_dir(bench.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["key", "state"], "{steps}");
        let mode = fs::metadata(&bench.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // The old key is of no use.
        assert!(!holds(&on_disk(&bench.folder.path().join("state")), &wrapped), "{steps}");
        let opened = Journal::open_with(database(&bench.spool.journal()), Some(old)).await;
        assert!(matches!(opened.err(), Some(JournalError::WrongKey)), "{steps}");
    }
}

/// Whatever the moment: all lies under the old key, or all under the new one.
#[tokio::test]
async fn a_commit_that_was_cut_off_is_whole_or_none() {
    for cut_us in [0, 100, 300, 1_000, 3_000] {
        let bench = Bench::new().await;
        let old = FileKey::read(&bench.key, true).unwrap();
        let new = next_key(&bench.key).unwrap();
        let journal = Journal::open_with(database(&bench.spool.journal()), Some(old)).await.unwrap();
        let _ = tokio::time::timeout(std::time::Duration::from_micros(cut_us), journal.rewrap(&new)).await;
        // As after a crash: what was under way is over, whichever way it went.
        journal.close().await;
        bench.reads_all().await;
        rotate(&bench.spool, bench.database(), &bench.key).await.unwrap();
        bench.reads_all().await;
    }
}

#[tokio::test]
async fn a_key_in_use_and_a_wrong_one_are_not_changed() {
    let bench = Bench::new().await;
    let lock = bench.spool.lock().unwrap();
    assert!(matches!(rotate(&bench.spool, bench.database(), &bench.key).await, Err(RotationError::Running)));
    assert_eq!(bench.keys().len(), 1, "nothing was begun");
    drop(lock);
    let right = fs::read(&bench.key).unwrap();
    fs::write(&bench.key, [3; 32]).unwrap();
    let error = rotate(&bench.spool, bench.database(), &bench.key).await.unwrap_err();
    assert!(matches!(error, RotationError::Journal(JournalError::WrongKey)), "{error}");
    assert_eq!(fs::read(&bench.key).unwrap(), [3; 32]);
    fs::write(&bench.key, right).unwrap();
    bench.reads_all().await;
}

#[tokio::test]
async fn a_linked_key_is_changed_where_it_lies() {
    let mut bench = Bench::new().await;
    let (real, link) = (bench.key.clone(), bench.folder.path().join("state").join("link"));
    std::os::unix::fs::symlink(&real, &link).unwrap();
    bench.key = link.clone();
    let before = fs::read(&real).unwrap();
    bench.break_off_after(3).await;
    bench.reads_all().await;
    rotate(&bench.spool, bench.database(), &link).await.unwrap();
    bench.reads_all().await;
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && fs::read(&real).unwrap() != before);
}
