//! Received files that are damaged, and what comes again of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::tests::instance;
use super::tests_postgres::database;
use super::*;
use crate::spool::Spool;
use compressor::bundle::Summary;
use seal::cover::Completeness;
use seal::ids::DeliveryId;
use std::fs;

/// A spool with two received images, all of them here; the first is damaged.
struct Bench {
    folder: tempfile::TempDir,
    spool: Spool,
    master: FileKey,
    delivery: DeliveryId,
}

impl Bench {
    async fn new() -> (Self, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("state")).unwrap();
        let (master, delivery) = (FileKey::random().unwrap(), DeliveryId([0; 16]));
        let mut bench = Self { folder, spool, master, delivery };
        let journal = bench.journal().await;
        for number in [1, 2] {
            let file_key = Some(FileKey::random().unwrap());
            let recorded = bench.record(&journal, NewInstance { file_key, ..instance(number) }).await;
            let Recorded::New { delivery, .. } = recorded else { panic!("{recorded:?}") };
            bench.delivery = delivery;
        }
        let complete = Completeness::NotProved { instances: 2 };
        assert!(journal.assembled(bench.delivery, 2, complete, 2000).await.unwrap());
        let damaged = [instance(1).file];
        assert_eq!(journal.note_damaged(bench.delivery, &damaged, 3000).await.unwrap(), 1);
        (bench, journal)
    }

    /// As the gateway opens it at a start.
    async fn journal(&self) -> Journal {
        Journal::open_with(database(&self.spool.journal()), Some(self.master.clone())).await.unwrap()
    }

    /// File first, then its row.
    async fn record(&self, journal: &Journal, new: NewInstance) -> Recorded {
        fs::write(self.spool.receive().join(&new.file), b"content").unwrap();
        journal.record_instance(new).await.unwrap()
    }

    /// The first image once more.
    fn again(&self) -> NewInstance {
        NewInstance {
            file: "again".into(),
            file_key: Some(FileKey::random().unwrap()),
            received_at_ms: 9000,
            ..instance(1)
        }
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.spool.receive()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn the_same_bytes_take_the_place_of_a_damaged_file_and_of_no_other() {
    let (bench, journal) = Bench::new().await;
    let id = bench.delivery;
    assert_eq!(
        bench.record(&journal, NewInstance { file: "whole".into(), ..instance(2) }).await,
        Recorded::Duplicate { delivery: id, file: Some(instance(2).file) },
        "what is whole stays"
    );
    let again = bench.again();
    let key = again.file_key.clone();
    let healed = Recorded::Healed { delivery: id, replaced: instance(1).file };
    assert_eq!(bench.record(&journal, again.clone()).await, healed);
    let once = Recorded::Duplicate { delivery: id, file: Some(again.file.clone()) };
    assert_eq!(bench.record(&journal, again).await, once);
    let row = journal.instances(id).await.unwrap().remove(0);
    let case_key = journal.case_key(journal.delivery(id).await.unwrap().case).await.unwrap().unwrap();
    assert_eq!((row.file.as_str(), row.sha256, row.received_at_ms), ("again", [1; 32], 1001));
    assert!(case_key.unwrap(&row.file_key.unwrap()) == key, "the new file opens");
    let report = journal.report_of(id).await.unwrap().unwrap();
    assert_eq!((report.instances, report.damaged, report.state.as_str()), (2, 0, "assembled"));
    assert!(journal.damaged(id).await.unwrap().is_empty());
    assert_eq!(journal.unfinished().await.unwrap(), [id], "no delivery begins with it");
}

#[tokio::test]
async fn other_bytes_heal_nothing_and_are_kept_apart() {
    let (bench, journal) = Bench::new().await;
    let other = NewInstance { sha256: [9; 32], ..bench.again() };
    let recorded = bench.record(&journal, other).await;
    let Recorded::New { delivery, conflict: true, begins: true, replaced: None } = recorded else {
        panic!("{recorded:?}")
    };
    assert_ne!(delivery, bench.delivery);
    let earlier = async || {
        let row = journal.delivery(delivery).await.unwrap();
        journal.earlier_is_damaged(row.case, row.sequence).await.unwrap()
    };
    assert!(earlier().await, "whether the case has the first image is not known");
    let damaged = journal.damaged(bench.delivery).await.unwrap();
    assert_eq!(damaged.iter().map(|one| one.file.clone()).collect::<Vec<_>>(), [instance(1).file]);
    assert_eq!(journal.report_of(bench.delivery).await.unwrap().unwrap().damaged, 1);
    journal.troubled(bench.delivery, "damaged", GivesUp::Yes, 10_000).await.unwrap();
    assert!(!earlier().await, "a dead letter: the case has none of it");
    assert!(journal.retry(bench.delivery).await.unwrap() && earlier().await, "tried again");
    journal.note_damaged(bench.delivery, &[], 11_000).await.unwrap();
    assert!(!earlier().await, "whole");
}

#[tokio::test]
async fn what_was_found_is_told_once_and_a_stage_that_has_read_all_forgets_it() {
    let (bench, journal) = Bench::new().await;
    let files = [instance(1).file, instance(2).file];
    let note = async |files: &[String]| journal.note_damaged(bench.delivery, files, 4000).await.unwrap();
    assert_eq!(note(&files[..1]).await, 0, "it was known");
    assert_eq!(note(&files).await, 1);
    assert_eq!(note(&files[1..]).await, 0);
    assert_eq!(
        journal.damaged(bench.delivery).await.unwrap()[0].file,
        files[1],
        "the first can be read again"
    );
    journal.compressed(bench.delivery, &Summary::default(), None, 5000).await.unwrap();
    assert!(journal.damaged(bench.delivery).await.unwrap().is_empty());
}

#[tokio::test]
async fn sent_again_after_a_dead_letter_it_joins_the_new_delivery_whole() {
    let (bench, journal) = Bench::new().await;
    journal.troubled(bench.delivery, "damaged", GivesUp::Yes, 4000).await.unwrap();
    let recorded = bench.record(&journal, bench.again()).await;
    let Recorded::New { delivery, conflict: false, replaced, .. } = recorded else { panic!("{recorded:?}") };
    assert_eq!(replaced, Some(instance(1).file));
    assert!(journal.damaged(delivery).await.unwrap().is_empty());
    assert!(!journal.retry(bench.delivery).await.unwrap(), "the old one is not whole any more");
}

#[tokio::test]
async fn what_came_again_before_it_was_given_up_is_no_dead_letter() {
    let (bench, journal) = Bench::new().await;
    let healed = bench.record(&journal, bench.again()).await;
    assert!(matches!(healed, Recorded::Healed { .. }), "{healed:?}");
    // The stage knows only what it saw before.
    assert!(!journal.troubled(bench.delivery, "damaged", GivesUp::WhileDamaged, 4000).await.unwrap());
    assert_eq!(journal.delivery(bench.delivery).await.unwrap().state, State::Assembled);
    journal.note_damaged(bench.delivery, &[instance(2).file], 5000).await.unwrap();
    assert!(journal.troubled(bench.delivery, "damaged", GivesUp::WhileDamaged, 6000).await.unwrap());
    assert_eq!(journal.delivery(bench.delivery).await.unwrap().state, State::Failed);
    assert!(
        !journal.troubled(bench.delivery, "damaged", GivesUp::WhileDamaged, 7000).await.unwrap(),
        "it was one before"
    );
}

#[tokio::test]
async fn a_dead_letter_of_a_case_that_is_closed_is_healed_where_it_lies() {
    let (bench, journal) = Bench::new().await;
    journal.troubled(bench.delivery, "damaged", GivesUp::Yes, 4000).await.unwrap();
    // Two days later another image of the study begins another case.
    let two_days_ms = 48 * 60 * 60 * 1000;
    journal.ran(two_days_ms).await.unwrap();
    let late = NewInstance { received_at_ms: 5000 + two_days_ms, ..instance(3) };
    let Recorded::New { delivery, .. } = bench.record(&journal, late).await else { panic!() };
    let case = journal.delivery(bench.delivery).await.unwrap().case;
    assert_ne!(journal.delivery(delivery).await.unwrap().case, case);
    assert!(journal.retry(bench.delivery).await.unwrap());
    let again = NewInstance { received_at_ms: 6000 + two_days_ms, ..bench.again() };
    let healed = Recorded::Healed { delivery: bench.delivery, replaced: instance(1).file };
    assert_eq!(bench.record(&journal, again.clone()).await, healed);
    let opened = journal.case_key(case).await.unwrap().unwrap();
    let row = journal.instances(bench.delivery).await.unwrap().remove(0);
    assert!(opened.unwrap(&row.file_key.unwrap()) == again.file_key, "under the key of its own case");
}

#[tokio::test]
async fn what_a_pacs_still_gives_of_a_case_that_was_withdrawn_begins_nothing() {
    let (bench, journal) = Bench::new().await;
    let case = journal.delivery(bench.delivery).await.unwrap().case;
    let asked = |new| NewInstance { asked_for: Some(case), ..new };
    let late = asked(NewInstance { received_at_ms: 4000, ..instance(3) });
    let Recorded::New { begins: true, .. } = bench.record(&journal, late).await else { panic!("open still") };
    journal.withdraw(case, None, "sato", 5000).await.unwrap().unwrap();
    for new in [bench.again(), NewInstance { sha256: [9; 32], ..bench.again() }, instance(4)] {
        assert_eq!(bench.record(&journal, asked(new)).await, Recorded::OfNoOpenCase);
    }
    assert!(journal.unfinished().await.unwrap().is_empty());
    // What is sent by itself begins a case, of which nothing was asked for.
    let Recorded::New { .. } = bench.record(&journal, instance(4)).await else { panic!("a push is taken") };
    assert_eq!(bench.record(&journal, asked(instance(5))).await, Recorded::OfNoOpenCase);
}

#[tokio::test]
async fn killed_anywhere_it_is_healed_once_and_one_file_is_left() {
    // After the mark.
    let (bench, journal) = Bench::new().await;
    drop(journal);
    let journal = bench.journal().await;
    assert_eq!(journal.damaged(bench.delivery).await.unwrap().len(), 1);
    bench.spool.sweep(&journal).await.unwrap();
    assert_eq!(
        bench.files(),
        [instance(1).file, instance(2).file],
        "the damaged file stays until it is replaced"
    );
    // The new file is durable, its row is not.
    fs::write(bench.spool.receive().join("again"), b"content").unwrap();
    drop(journal);
    let journal = bench.journal().await;
    bench.spool.sweep(&journal).await.unwrap();
    assert_eq!(bench.files(), [instance(1).file, instance(2).file]);
    // The row is, and the damaged file was not removed.
    let healed = bench.record(&journal, bench.again()).await;
    assert!(matches!(healed, Recorded::Healed { .. }), "{healed:?}");
    drop(journal);
    let journal = bench.journal().await;
    bench.spool.sweep(&journal).await.unwrap();
    assert_eq!(bench.files(), [instance(2).file, "again".to_owned()]);
    assert!(journal.damaged(bench.delivery).await.unwrap().is_empty());
    assert_eq!(journal.instances(bench.delivery).await.unwrap().len(), 2);
    assert!(bench.folder.path().exists());
}
