//! The journal on a real file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::tests_postgres::database;
use super::*;
use compressor::dataset::{Banner, PersonName};
use compressor::{Phi, Purpose, Uid};
use seal::cover::Completeness;
use seal::ids::{CaseId, DeliveryId};

pub(crate) fn instance(number: u8) -> NewInstance {
    NewInstance {
        file: format!("{number:032x}"),
        file_key: None,
        destination: "ONCALL".into(),
        calling: "PACS".into(),
        study: Some(Uid::parse("1.2.3").unwrap()),
        series: Some(Uid::parse("1.2.3.4").unwrap()),
        banner: Banner::default(),
        urgent: false,
        modality: Some("MR".into()),
        instance_number: None,
        card: Banner::default(),
        sop_class: Uid::parse("1.2.840.10008.5.1.4.1.1.4").unwrap(),
        sop_instance: Uid::parse(&format!("1.2.3.4.{number}")).unwrap(),
        transfer_syntax: Uid::parse("1.2.840.10008.1.2.1").unwrap(),
        bytes: 7,
        sha256: [number; 32],
        association: 1,
        asked_for: None,
        doctors: vec!["tanaka".into(), "sato".into()],
        received_at_ms: 1000 + i64::from(number),
    }
}

pub(super) async fn journal() -> (Journal, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Journal::open(database(&folder.path().join("journal.sqlite"))).await.unwrap(), folder)
}

/// As [`journal`], in a file also where the tests run on a server: for what is SQLite's alone.
pub(super) async fn journal_in_a_file() -> (Journal, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Journal::open(Database::File(folder.path().join("journal.sqlite"))).await.unwrap(), folder)
}

/// A file without a schema, or with that of an earlier version.
pub(super) async fn earlier(path: &std::path::Path, versions: std::ops::Range<i64>) -> sqlx::SqlitePool {
    let options = sql::sqlite_options(path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let mut before = sqlx::migrate!("migrations/sqlite");
    before.migrations =
        before.migrations.iter().filter(|one| versions.contains(&one.version)).cloned().collect();
    before.run(&pool).await.unwrap();
    pool
}

/// Through all stages that lie between. False where the delivery has come that far.
pub(super) async fn reach(journal: &Journal, id: DeliveryId, state: State, now_ms: i64) -> bool {
    let stages = [
        (State::Assembled, Step::Assembled),
        (State::Compressed, Step::Compressed),
        (State::Sealed, Step::Sealed),
        (State::Submitted, Step::Submitted),
        (State::Notified, Step::Notified),
        (State::Pulled, Step::Pulled),
    ];
    let mut reached = false;
    for (_, step) in stages.into_iter().filter(|stage| stage.0 <= state) {
        reached |= journal.reached(id, step, now_ms).await.unwrap();
    }
    reached
}

/// Wherever a gateway is killed, its times tell of each stage that its state leads to.
#[tokio::test]
async fn the_wait_for_the_doctors_begins_with_the_step_that_leads_to_it() {
    let (journal, _folder) = journal().await;
    let wait = async |id: DeliveryId| {
        let sql =
            "SELECT began_at_ms, done_at_ms FROM stage_time WHERE delivery_id = $1 AND stage = 'pulled'";
        let row = sql::query(sql).bind(id.0.as_slice()).fetch_optional(&journal.pool).await.unwrap();
        row.map(|row| (row.get::<i64, _>("began_at_ms"), row.get::<Option<i64>, _>("done_at_ms")))
    };
    let (told, _) = press_tests::record(&journal, instance(1)).await;
    reach(&journal, told.id, State::Submitted, 2000).await;
    assert_eq!(wait(told.id).await, None);
    reach(&journal, told.id, State::Notified, 3000).await;
    assert_eq!(wait(told.id).await, Some((3000, None)));
    reach(&journal, told.id, State::Pulled, 4000).await;
    assert_eq!(wait(told.id).await, Some((3000, Some(4000))));
    // Fetched while the notice goes.
    let other_study = NewInstance { study: Some(Uid::parse("1.2.4").unwrap()), ..instance(2) };
    let (quick, _) = press_tests::record(&journal, other_study).await;
    reach(&journal, quick.id, State::Submitted, 2000).await;
    assert!(journal.reached(quick.id, Step::Pulled, 2500).await.unwrap());
    assert_eq!(wait(quick.id).await, Some((2500, Some(2500))));
}

#[tokio::test]
async fn the_journal_survives_a_power_cut_and_keeps_nothing_that_was_deleted() {
    let (journal, _folder) = journal_in_a_file().await;
    for (pragma, is) in [("synchronous", 2), ("secure_delete", 1), ("foreign_keys", 1)] {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
        let found: i64 = sql::query(sql).fetch_one(&journal.pool).await.unwrap().get(0);
        assert_eq!(found, is, "{pragma}");
    }
}

#[tokio::test]
async fn identical_bytes_are_recorded_once_and_other_bytes_are_kept_apart() {
    let (journal, _folder) = journal().await;
    let Recorded::New { delivery, conflict: false, begins: true, replaced: None } =
        journal.record_instance(instance(1)).await.unwrap()
    else {
        panic!("first instance must be new");
    };
    assert_eq!(
        journal.record_instance(instance(1)).await.unwrap(),
        Recorded::Duplicate { delivery, file: Some(instance(1).file) }
    );
    let other = NewInstance { sha256: [9; 32], ..instance(1) };
    assert_eq!(
        journal.record_instance(other).await.unwrap(),
        Recorded::New { delivery, conflict: true, begins: false, replaced: None }
    );
    assert_eq!(journal.instances(delivery).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_instance_after_assembly_begins_a_supplement_of_the_same_case() {
    let (journal, _folder) = journal().await;
    let Recorded::New { delivery: first, .. } = journal.record_instance(instance(1)).await.unwrap() else {
        panic!()
    };
    let complete = Completeness::NotProved { instances: 1 };
    assert!(!journal.assembled(first, 2, complete, 2000).await.unwrap(), "counted two, there is one");
    assert!(journal.assembled(first, 1, complete, 2000).await.unwrap());
    let Recorded::New { delivery: second, .. } = journal.record_instance(instance(2)).await.unwrap() else {
        panic!()
    };
    let (first, second) = (journal.delivery(first).await.unwrap(), journal.delivery(second).await.unwrap());
    assert_eq!((first.case, first.sequence, first.state), (second.case, 1, State::Assembled));
    assert_eq!((second.sequence, second.state), (2, State::Received));
    assert!(journal.waits_for_earlier(second.case, 2).await.unwrap());
    assert_eq!(
        journal.record_instance(instance(1)).await.unwrap(),
        Recorded::Duplicate { delivery: first.id, file: Some(instance(1).file) }
    );
}

#[tokio::test]
async fn a_group_of_waiting_senders_is_recorded_whole() {
    let (journal, _folder) = journal().await;
    let all = (0..100).map(|number| journal.record_instance(instance(number)));
    let recorded: Vec<_> = futures::future::join_all(all).await;
    assert!(recorded.iter().all(|one| matches!(one, Ok(Recorded::New { conflict: false, .. }))));
    assert_eq!(journal.files().await.unwrap().len(), 100);
}

#[tokio::test]
async fn rows_survive_reopening_and_failures_are_counted() {
    let (journal, folder) = journal().await;
    let Recorded::New { delivery, .. } = journal.record_instance(instance(1)).await.unwrap() else {
        panic!()
    };
    journal.troubled(delivery, "mail server does not answer", GivesUp::No, 5000).await.unwrap();
    journal.troubled(delivery, "mail server does not answer", GivesUp::No, 9000).await.unwrap();
    drop(journal);
    let journal = Journal::open(database(&folder.path().join("journal.sqlite"))).await.unwrap();
    assert_eq!(journal.unfinished().await.unwrap(), [delivery]);
    let row = journal.delivery(delivery).await.unwrap();
    assert_eq!((row.attempts, row.failing_since_ms), (2, Some(5000)));
    journal.accepted(delivery, 1, "doctor", 9500).await.unwrap();
    let row = journal.delivery(delivery).await.unwrap();
    assert_eq!((row.attempts, row.failing_since_ms), (1, Some(5000)), "it gets on, and is failing still");
    let report = journal.report().await.unwrap().remove(0);
    assert_eq!((report.instances, report.trouble.as_deref()), (1, Some("mail server does not answer")));
    assert_eq!(report.doctors.len(), 2);
}

#[tokio::test]
async fn sent_again_after_a_failure_the_same_instances_make_a_new_delivery() {
    let (journal, _folder) = journal().await;
    let Recorded::New { delivery: first, .. } = journal.record_instance(instance(1)).await.unwrap() else {
        panic!()
    };
    journal.troubled(first, "mail server refuses the recipient", GivesUp::Yes, 5000).await.unwrap();
    let again = NewInstance { file: "again".into(), ..instance(1) };
    let Recorded::New { delivery: second, conflict: false, begins: true, replaced } =
        journal.record_instance(again).await.unwrap()
    else {
        panic!("a second press after a failure must be new")
    };
    assert_ne!(first, second);
    assert_eq!(replaced, Some(instance(1).file));
    assert_eq!(journal.instances(second).await.unwrap().remove(0).file, "again");
    assert_eq!(journal.unfinished().await.unwrap(), [second]);
}

#[tokio::test]
async fn a_press_a_day_after_the_last_receipt_is_a_new_case() {
    let (journal, _folder) = journal().await;
    let Recorded::New { delivery: first, .. } = journal.record_instance(instance(1)).await.unwrap() else {
        panic!()
    };
    let day_later = NewInstance { received_at_ms: 1001 + 25 * 60 * 60 * 1000, ..instance(1) };
    assert_eq!(
        journal.record_instance(day_later.clone()).await.unwrap(),
        Recorded::Duplicate { delivery: first, file: Some(instance(1).file) },
        "a case with an unfinished delivery stays open"
    );
    reach(&journal, first, State::Pulled, 2000).await;
    assert_eq!(
        journal.record_instance(instance(1)).await.unwrap(),
        Recorded::Duplicate { delivery: first, file: None }
    );
    assert_eq!(
        journal.record_instance(day_later.clone()).await.unwrap(),
        Recorded::Duplicate { delivery: first, file: None },
        "a clock that jumps closes no case"
    );
    journal.ran(DAY_MS).await.unwrap();
    let Recorded::New { delivery: second, .. } = journal.record_instance(day_later).await.unwrap() else {
        panic!()
    };
    let (first, second) = (journal.delivery(first).await.unwrap(), journal.delivery(second).await.unwrap());
    assert!(first.case != second.case && second.sequence == 1);
}

#[tokio::test]
async fn instances_without_a_study_are_kept_apart_by_association() {
    let (journal, _folder) = journal().await;
    let lost = |association| NewInstance { study: None, association, ..instance(1) };
    let Recorded::New { delivery: first, .. } = journal.record_instance(lost(1)).await.unwrap() else {
        panic!()
    };
    let Recorded::New { delivery: second, .. } = journal.record_instance(lost(2)).await.unwrap() else {
        panic!()
    };
    assert_ne!(first, second);
}

/// A delivery whose residual is kept until 9000, in its doctors' mailboxes.
async fn kept(journal: &Journal) -> seal::ids::DeliveryId {
    let Recorded::New { delivery, .. } = journal.record_instance(instance(1)).await.unwrap() else {
        panic!()
    };
    let complete = Completeness::Proved { instances: 1 };
    assert!(journal.assembled(delivery, 1, complete, 2000).await.unwrap());
    let summary = compressor::bundle::Summary::default();
    journal.compressed(delivery, &summary, Some(9000), 2000).await.unwrap();
    reach(journal, delivery, State::Compressed, 2000).await;
    journal.sealed(delivery, 1, 1000, Some(seal::ids::Digest([3; 32])), 2000).await.unwrap();
    reach(journal, delivery, State::Notified, 2000).await;
    delivery
}

#[tokio::test]
async fn a_residual_is_begun_once_and_again_only_after_it_failed() {
    let (journal, _folder) = journal().await;
    let base = kept(&journal).await;
    assert_eq!(journal.exact_asked(base, "stranger", 5, 3000).await.unwrap(), Asked::NoRecipient);
    let Asked::Begun(residual) = journal.exact_asked(base, "sato", 5, 3000).await.unwrap() else { panic!() };
    let row = journal.delivery(residual).await.unwrap();
    assert_eq!((row.state, row.sequence, row.residual_of), (State::Compressed, 2, Some(base)));
    assert_eq!(row.completeness, Some(Completeness::Proved { instances: 1 }));
    assert_eq!(journal.recipients(residual).await.unwrap().len(), 2);
    assert_eq!(journal.exact_asked(base, "sato", 5, 3000).await.unwrap(), Asked::Replayed);
    assert_eq!(journal.exact_asked(base, "sato", 6, 3000).await.unwrap(), Asked::Sent(residual));
    assert_eq!(journal.exact_asked(base, "tanaka", 1, 3000).await.unwrap(), Asked::Sent(residual));
    journal.troubled(residual, "refused", GivesUp::Yes, 4000).await.unwrap();
    assert_eq!(journal.exact_asked(base, "sato", 6, 5000).await.unwrap(), Asked::Replayed);
    let Asked::Begun(again) = journal.exact_asked(base, "sato", 7, 5000).await.unwrap() else { panic!() };
    assert_eq!(journal.delivery(again).await.unwrap().sequence, 3);
    let report = journal.report().await.unwrap();
    assert_eq!(report[2].residual_of, Some(base));
    assert_eq!(report[2].doctors[0].exact_asked_at, Some(7), "{:?}", report[2].doctors);
    journal.troubled(base, "the mail server does not answer", GivesUp::No, 5000).await.unwrap();
    journal.remarked(base, "its residual is deleted").await.unwrap();
    let base = journal.report().await.unwrap().remove(0);
    assert_eq!(
        (base.trouble.as_deref(), base.remark.as_deref()),
        (Some("the mail server does not answer"), Some("its residual is deleted"))
    );
}

#[tokio::test]
async fn a_residual_is_kept_while_it_may_be_needed() {
    let (journal, _folder) = journal().await;
    let base = kept(&journal).await;
    assert_eq!(journal.residuals_kept().await.unwrap(), [base]);
    reach(&journal, base, State::Pulled, 3000).await;
    assert_eq!(journal.residuals_over(99_999).await.unwrap(), [], "only its clock says that time went by");
    sql::query("UPDATE delivery SET state = 'notified'").execute(&journal.pool).await.unwrap();
    journal.ran(60 * DAY_MS).await.unwrap();
    assert_eq!(journal.residuals_over(99_999).await.unwrap(), [], "the doctors do not have it yet");
    reach(&journal, base, State::Pulled, 3000).await;
    assert_eq!(journal.residuals_over(8_999).await.unwrap(), [], "its time has not passed");
    assert_eq!(journal.residuals_over(9_000).await.unwrap(), [base]);
    let Asked::Begun(residual) = journal.exact_asked(base, "sato", 5, 8_999).await.unwrap() else { panic!() };
    assert_eq!(journal.residuals_over(9_000).await.unwrap(), [], "its bundle is needed");
    assert!(!journal.residual_gone(base, 9_000).await.unwrap(), "asked for since it was found to be over");
    assert_eq!(journal.residuals_kept().await.unwrap(), [base]);
    journal.sealed(residual, 1, 1000, Some(seal::ids::Digest([4; 32])), 8_999).await.unwrap();
    assert_eq!(journal.residuals_over(8_999).await.unwrap(), [], "it may have to be begun again");
    assert_eq!(journal.residuals_over(9_000).await.unwrap(), [base], "nothing needs its bundle any more");
    reach(&journal, residual, State::Pulled, 8_999).await;
    assert_eq!(journal.residuals_over(8_999).await.unwrap(), [base], "who asked has it");
    assert!(journal.residual_gone(base, 9_000).await.unwrap());
    assert!(journal.residuals_kept().await.unwrap().is_empty());
    assert_eq!(journal.residuals_over(99_999).await.unwrap(), []);
    sql::query("UPDATE delivery SET state = 'failed' WHERE residual_of IS NOT NULL")
        .execute(&journal.pool)
        .await
        .unwrap();
    assert_eq!(journal.exact_asked(base, "sato", 6, 9_001).await.unwrap(), Asked::Gone);
}

#[tokio::test]
async fn a_residual_that_nobody_pulls_ends_and_swallows_no_press() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let (journal, _folder) = journal().await;
    let base = kept(&journal).await;
    reach(&journal, base, State::Pulled, 3000).await;
    let Asked::Begun(residual) = journal.exact_asked(base, "sato", 5, 3000).await.unwrap() else { panic!() };
    journal.sealed(residual, 1, 1000, Some(seal::ids::Digest([4; 32])), 8000).await.unwrap();
    journal.began(residual, "submit", 8000).await.unwrap();
    reach(&journal, residual, State::Submitted, 8000).await;
    reach(&journal, residual, State::Notified, 8000).await;
    let again = NewInstance { received_at_ms: 2000 + DAY_MS, ..instance(1) };
    journal.ran(DAY_MS).await.unwrap();
    let Recorded::New { delivery, .. } = journal.record_instance(again).await.unwrap() else {
        panic!("a press a day later was swallowed by a residual")
    };
    assert_ne!(journal.delivery(delivery).await.unwrap().case, journal.delivery(base).await.unwrap().case);
    journal.ran(60 * DAY_MS).await.unwrap();
    assert_eq!(journal.residuals_over(8_999).await.unwrap(), [], "the cover promised it, whatever the case");
    assert_eq!(journal.end_unpulled(8_000 + DAY_MS - 1).await.unwrap(), [], "it was mailed late");
    assert_eq!(journal.end_unpulled(8_000 + DAY_MS).await.unwrap(), [residual]);
    assert_eq!(journal.delivery(residual).await.unwrap().state, State::Failed);
    assert_eq!(journal.end_unpulled(9 * DAY_MS).await.unwrap(), []);
}

#[tokio::test]
async fn a_state_never_goes_back() {
    let (journal, _folder) = journal().await;
    let base = kept(&journal).await;
    assert!(reach(&journal, base, State::Pulled, 3000).await);
    assert!(!reach(&journal, base, State::Notified, 3001).await, "the notice went while it was pulled");
    assert!(!reach(&journal, base, State::Pulled, 3001).await);
    assert_eq!(journal.delivery(base).await.unwrap().state, State::Pulled);
}

fn patient(id: &str) -> Banner {
    let name = PersonName { ideographic: Phi::new("山田^太郎".to_owned()), ..PersonName::default() };
    Banner { name, patient_id: Phi::new(id.to_owned()), ..Banner::default() }
}

/// (patient, instances) of a delivery as the trail will name them.
async fn named(journal: &Journal, delivery: seal::ids::DeliveryId) -> Vec<(String, u64)> {
    let subjects = journal.subjects(delivery).await.unwrap();
    let named = subjects.into_iter().map(|(calling, subject)| {
        assert_eq!((calling.as_str(), subject.study.as_ref().map(Uid::as_str)), ("PACS", Some("1.2.3")));
        let id = subject.banner.patient_id.expose_for(Purpose::Compare).clone();
        (id, subject.classes.values().sum())
    });
    named.collect()
}

#[tokio::test]
async fn each_patient_of_a_series_is_known_until_no_receipt_can_come() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let (journal, _folder) = journal().await;
    let of = |number, id| NewInstance { banner: patient(id), ..instance(number) };
    let mut first = None;
    for (number, id) in [(1, "4711"), (2, "0815"), (3, "4711")] {
        let Recorded::New { delivery, .. } = journal.record_instance(of(number, id)).await.unwrap() else {
            panic!()
        };
        first = Some(delivery);
    }
    let first = first.unwrap();
    assert_eq!(named(&journal, first).await, [("4711".to_owned(), 2), ("0815".to_owned(), 1)]);
    journal.troubled(first, "refused", GivesUp::Yes, 2000).await.unwrap();
    let Recorded::New { delivery: second, .. } = journal.record_instance(of(2, "0815")).await.unwrap() else {
        panic!()
    };
    assert_eq!(named(&journal, second).await, [("0815".to_owned(), 1)], "sent again, it is of the second");
    assert_eq!(named(&journal, first).await, [("4711".to_owned(), 2)]);
    journal.ran(60 * DAY_MS).await.unwrap();
    journal.forget_subjects(40 * DAY_MS).await.unwrap();
    assert_eq!(named(&journal, second).await.len(), 1, "it is under way");
    reach(&journal, second, State::Pulled, 3000).await;
    journal.forget_subjects(31 * DAY_MS).await.unwrap();
    assert_eq!(named(&journal, second).await.len(), 1, "a late receipt names the patient");
    journal.forget_subjects(40 * DAY_MS).await.unwrap();
    assert!(named(&journal, first).await.is_empty() && named(&journal, second).await.is_empty());
}

#[tokio::test]
async fn a_supplement_goes_on_collecting_beside_a_residual() {
    let (journal, _folder) = journal().await;
    let base = kept(&journal).await;
    let Recorded::New { delivery: supplement, .. } = journal.record_instance(instance(2)).await.unwrap()
    else {
        panic!()
    };
    let Asked::Begun(residual) = journal.exact_asked(base, "sato", 5, 3000).await.unwrap() else { panic!() };
    assert_eq!(journal.delivery(residual).await.unwrap().sequence, 3);
    let Recorded::New { delivery, begins, .. } = journal.record_instance(instance(3)).await.unwrap() else {
        panic!()
    };
    assert_eq!((delivery, begins), (supplement, false));
}

/// Every byte that the journal has on the disk.
pub(crate) fn on_disk(folder: &std::path::Path) -> Vec<u8> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
    files.collect::<Vec<_>>().concat()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The delivery of the one instance, which has this key.
async fn keyed(journal: &Journal, number: u8, key: &FileKey) -> DeliveryRow {
    let instance = NewInstance { file_key: Some(key.clone()), ..instance(number) };
    let Recorded::New { delivery, .. } = journal.record_instance(instance).await.unwrap() else { panic!() };
    journal.delivery(delivery).await.unwrap()
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn destroying_the_key_of_a_case_leaves_nothing_readable() {
    let (folder, master) = (tempfile::tempdir().unwrap(), FileKey::random().unwrap());
    let path = folder.path().join("journal.sqlite");
    let journal = Journal::open_with(Database::File(path.clone()), Some(master.clone())).await.unwrap();
    let file_key = FileKey::random().unwrap();
    let row = keyed(&journal, 1, &file_key).await;
    let case_key = journal.case_key(row.case).await.unwrap().unwrap();
    let wrapped = journal.instances(row.id).await.unwrap()[0].file_key.unwrap();
    assert!(case_key.unwrap(&wrapped) == Some(file_key) && master.unwrap(&wrapped).is_none());
    let wrapped_case_key = master.wrap(&case_key).unwrap();
    assert!(holds(&on_disk(folder.path()), &wrapped_case_key), "the search must be able to find it");

    reach(&journal, row.id, State::Pulled, 2000).await;
    journal.ran(60 * DAY_MS).await.unwrap();
    assert_eq!(journal.destroy_keys_over(2 * DAY_MS).await.unwrap(), [row.case]);
    assert!(!holds(&on_disk(folder.path()), &wrapped_case_key), "neither journal nor log holds the key");
    assert!(matches!(journal.case_key(row.case).await, Err(JournalError::KeyDestroyed)));
    // What is left is the file's key under one that is gone.
    assert!(journal.instances(row.id).await.unwrap()[0].file_key == Some(wrapped));
    assert_eq!(journal.destroy_keys_over(2 * DAY_MS).await.unwrap(), []);
    // The next press is a new case with a key of its own.
    let next = keyed(&journal, 2, &FileKey::random().unwrap()).await;
    assert_ne!(next.case, row.case);
    assert!(journal.case_key(next.case).await.unwrap().is_some_and(|key| key != case_key));
}

#[tokio::test]
async fn the_key_of_a_case_lives_as_long_as_anything_needs_it() {
    let (folder, master) = (tempfile::tempdir().unwrap(), FileKey::random().unwrap());
    let journal =
        Journal::open_with(database(&folder.path().join("journal.sqlite")), Some(master)).await.unwrap();
    let row = keyed(&journal, 1, &FileKey::random().unwrap()).await;
    let none: [CaseId; 0] = [];
    journal.ran(60 * DAY_MS).await.unwrap();
    assert_eq!(journal.destroy_keys_over(9 * DAY_MS).await.unwrap(), none, "it is under way");
    reach(&journal, row.id, State::Pulled, 2000).await;
    assert_eq!(journal.destroy_keys_over(DAY_MS).await.unwrap(), none, "the case is open");
    let supplement = keyed(&journal, 2, &FileKey::random().unwrap()).await;
    assert_eq!((supplement.case, supplement.sequence), (row.case, 2));
    let summary = compressor::bundle::Summary::default();
    reach(&journal, supplement.id, State::Assembled, 3000).await;
    journal.compressed(supplement.id, &summary, Some(9 * DAY_MS), 3000).await.unwrap();
    reach(&journal, supplement.id, State::Pulled, 3000).await;
    assert_eq!(journal.destroy_keys_over(8 * DAY_MS).await.unwrap(), none, "its residual may be asked for");
    journal.residual_gone(supplement.id, 9 * DAY_MS).await.unwrap();
    assert_eq!(journal.destroy_keys_over(9 * DAY_MS).await.unwrap(), [row.case]);
    let failed = keyed(&journal, 3, &FileKey::random().unwrap()).await;
    journal.troubled(failed.id, "refused", GivesUp::Yes, 3000).await.unwrap();
    assert_eq!(journal.destroy_keys_over(20 * DAY_MS).await.unwrap(), none, "its files are all that is left");
}

fn words(text: &str) -> Came {
    Came::Answer(seal::answer::Answer::Words(seal::answer::Words::new(Phi::new(text.to_owned())).unwrap()))
}

#[tokio::test]
async fn words_lie_encrypted_count_once_and_die_with_their_case() {
    let (folder, master) = (tempfile::tempdir().unwrap(), FileKey::random().unwrap());
    let journal =
        Journal::open_with(database(&folder.path().join("journal.sqlite")), Some(master)).await.unwrap();
    let row = keyed(&journal, 1, &FileKey::random().unwrap()).await;
    let case_key = journal.case_key(row.case).await.unwrap();
    let point = journal.answer_point(row.id, case_key.as_ref()).await.unwrap();
    assert_eq!(journal.answer_point(row.id, case_key.as_ref()).await.unwrap(), point, "made once");
    let key = journal.answer_key(row.id).await.unwrap().unwrap();
    assert_eq!(key.point().unwrap(), point);
    let secret = key.to_bytes().unwrap();
    assert!(!holds(&on_disk(folder.path()), &*secret));

    let digest = |number: u8| seal::ids::Digest([number; 32]);
    let new = async |number| journal.is_new_answer(row.id, "tanaka", &digest(number)).await.unwrap();
    assert_eq!(new(1).await, Noted::New);
    assert!(
        journal
            .answered(row.id, "tanaka", &digest(1), &words("Herniation, TARO-YAMADA"), 5000)
            .await
            .unwrap()
    );
    assert!(
        !journal
            .answered(row.id, "tanaka", &digest(1), &words("Herniation, TARO-YAMADA"), 6000)
            .await
            .unwrap()
    );
    assert_eq!((new(1).await, new(2).await), (Noted::Known, Noted::New));
    assert!(!holds(&on_disk(folder.path()), b"TARO-YAMADA"));
    let shown = async || journal.study_of(row.case).await.unwrap().unwrap().answers;
    let answers = shown().await;
    let text = answers[0].words.as_ref().map(|words| words.expose_for(Purpose::Show));
    assert_eq!((answers.len(), answers[0].came_at_ms, text), (1, 5000, Some("Herniation, TARO-YAMADA")));
    let report = journal.report_of(row.id).await.unwrap().unwrap();
    let tanaka = report.doctors.iter().find(|doctor| doctor.doctor == "tanaka").unwrap();
    assert_eq!((tanaka.seen_at_ms, tanaka.opened_at_ms(), tanaka.answers.len()), (Some(5000), Some(5000), 1));
    assert!(!serde_json::to_string(&report).unwrap().contains("YAMADA"), "the report is without words");
    for number in 2..=20 {
        journal.answered(row.id, "tanaka", &digest(number), &words("more"), 7000).await.unwrap();
    }
    assert_eq!((new(1).await, new(99).await), (Noted::Known, Noted::TooMany));

    reach(&journal, row.id, State::Pulled, 8000).await;
    journal.ran(60 * DAY_MS).await.unwrap();
    assert_eq!(journal.destroy_keys_over(2 * DAY_MS).await.unwrap(), [row.case]);
    assert!(journal.answer_key(row.id).await.unwrap().is_none(), "no more can be opened");
    let after = shown().await;
    assert!(after.len() == 20 && after.iter().all(|answer| answer.words.is_none()), "that they came stays");
}

#[tokio::test]
async fn words_are_gone_with_a_withdrawn_case_also_where_the_spool_is_plain() {
    let (journal, folder) = journal_in_a_file().await;
    let Recorded::New { delivery, .. } = journal.record_instance(instance(1)).await.unwrap() else {
        panic!()
    };
    journal.answer_point(delivery, None).await.unwrap();
    let digest = seal::ids::Digest([1; 32]);
    journal.answered(delivery, "tanaka", &digest, &words("TARO-YAMADA"), 5000).await.unwrap();
    assert!(holds(&on_disk(folder.path()), b"TARO-YAMADA"), "the search must be able to find it");
    let case = journal.delivery(delivery).await.unwrap().case;
    journal.withdraw(case, None, "technician", 6000).await.unwrap().unwrap();
    journal.ran(60 * DAY_MS).await.unwrap();
    journal.destroy_keys_over(7000).await.unwrap();
    assert!(!holds(&on_disk(folder.path()), b"TARO-YAMADA"));
    assert!(journal.answer_key(delivery).await.unwrap().is_none());
}

#[tokio::test]
async fn readings_add_up_and_count_once() {
    let (journal, _folder) = journal().await;
    let Recorded::New { delivery, .. } = journal.record_instance(instance(1)).await.unwrap() else {
        panic!()
    };
    let new = async |at, seconds| journal.is_new_reading(delivery, "tanaka", at, seconds).await.unwrap();
    for (at, seconds) in [(1000, 40), (1000, 40), (2000, 20)] {
        journal.was_read(delivery, "tanaka", at, seconds).await.unwrap();
    }
    assert_eq!((new(1000, 40).await, new(1000, 50).await), (Noted::Known, Noted::New));
    let report = journal.report_of(delivery).await.unwrap().unwrap();
    let read: Vec<_> = report.doctors.iter().map(|doctor| doctor.read_seconds).collect();
    assert_eq!(read, [None, Some(60)], "sato, tanaka");
    for at in 0..200 {
        journal.was_read(delivery, "tanaka", at, 10).await.unwrap();
    }
    assert_eq!(new(9000, 10).await, Noted::TooMany);
}

/// Nobody is waited for: the case ends, and a withdrawal has nothing of it to hold again.
#[tokio::test]
async fn what_mail_programs_have_is_over() {
    let (folder, master) = (tempfile::tempdir().unwrap(), FileKey::random().unwrap());
    let journal =
        Journal::open_with(database(&folder.path().join("journal.sqlite")), Some(master)).await.unwrap();
    let row = keyed(&journal, 1, &FileKey::random().unwrap()).await;
    assert!(!journal.handed_over(row.id, 2000).await.unwrap(), "it has not come that far");
    reach(&journal, row.id, State::Notified, 2000).await;
    journal.ran(60 * DAY_MS).await.unwrap();
    assert_eq!(journal.destroy_keys_over(2 * DAY_MS).await.unwrap(), []);
    assert!(journal.handed_over(row.id, 3000).await.unwrap());
    assert!(journal.delivery(row.id).await.unwrap().handed_over);
    assert_eq!((journal.unfinished().await.unwrap(), journal.files().await.unwrap()), (vec![], vec![]));
    assert_eq!(journal.destroy_keys_over(2 * DAY_MS).await.unwrap(), [row.case]);
    let withdrawn = journal.withdraw(row.case, Some("HOLD"), "sato", 4000).await.unwrap().unwrap();
    assert_eq!((withdrawn.held, withdrawn.files), (None, vec![]));
}

#[tokio::test]
async fn a_spool_of_another_key_is_refused_at_the_start_and_a_plain_one_needs_none() {
    let (folder, master) = (tempfile::tempdir().unwrap(), FileKey::random().unwrap());
    let path = folder.path().join("journal.sqlite");
    drop(Journal::open(database(&path)).await.unwrap());
    let journal = Journal::open_with(database(&path), Some(master.clone())).await.unwrap();
    let row = keyed(&journal, 1, &FileKey::random().unwrap()).await;
    for (other, words) in [(None, "name their key"), (Some(FileKey::random().unwrap()), "put the key back")] {
        let error = Journal::open_with(database(&path), other).await.err().unwrap();
        assert!(matches!(error, JournalError::WrongKey | JournalError::NoKey), "{error}");
        assert!(error.to_string().contains(words) && error.to_string().contains("operator"), "{error}");
    }
    reach(&journal, row.id, State::Pulled, 2000).await;
    journal.ran(60 * DAY_MS).await.unwrap();
    journal.destroy_keys_over(2 * DAY_MS).await.unwrap();
    assert!(Journal::open(database(&path)).await.is_ok(), "nothing is left that a key would be for");
    let (plain, _folder) = self::journal().await;
    let Recorded::New { delivery, .. } = plain.record_instance(instance(1)).await.unwrap() else { panic!() };
    assert!(plain.instances(delivery).await.unwrap()[0].file_key.is_none());
}

/// A receipt may come long after the key of the case died, and whoever gets at the disk reads no name.
#[tokio::test]
async fn a_patient_lies_encrypted_until_a_late_receipt_and_in_no_byte_of_the_file() {
    const NAME: &str = "Vermeulen^Saskia";
    let (folder, master) = (tempfile::tempdir().unwrap(), FileKey::random().unwrap());
    let path = folder.path().join("journal.sqlite");
    let plain = Journal::open(Database::File(path.clone())).await.unwrap();
    let of = |number, file_key| NewInstance { banner: patient(NAME), file_key, ..instance(number) };
    let Recorded::New { delivery, .. } = plain.record_instance(of(1, None)).await.unwrap() else { panic!() };
    // As rows lie there that an older version wrote.
    sql::query("UPDATE subject SET tag = NULL").execute(&plain.pool).await.unwrap();
    drop(plain);
    assert!(holds(&on_disk(folder.path()), NAME.as_bytes()), "the search must be able to find it");

    let journal = Journal::open_with(Database::File(path.clone()), Some(master.clone())).await.unwrap();
    let again = of(2, Some(FileKey::random().unwrap()));
    let Recorded::New { delivery: same, .. } = journal.record_instance(again).await.unwrap() else {
        panic!()
    };
    assert_eq!(same, delivery);
    assert_eq!(named(&journal, delivery).await, [(NAME.to_owned(), 2)], "one patient, one row");
    reach(&journal, delivery, State::Pulled, 2000).await;
    journal.ran(60 * DAY_MS).await.unwrap();
    assert_eq!(journal.destroy_keys_over(2 * DAY_MS).await.unwrap().len(), 1);
    assert_eq!(named(&journal, delivery).await, [(NAME.to_owned(), 2)], "a late receipt names the patient");
    assert!(!holds(&on_disk(folder.path()), NAME.as_bytes()));
    for ideographic in ["山田", "太郎"] {
        assert!(!holds(&on_disk(folder.path()), ideographic.as_bytes()));
    }
    drop(journal);
    // Who lost the key has lost the name, and nothing stops for that.
    for lost in [None, Some(FileKey::random().unwrap())] {
        let journal = Journal::open_with(Database::File(path.clone()), lost).await.unwrap();
        assert!(named(&journal, delivery).await.is_empty());
    }
    let journal = Journal::open_with(Database::File(path.clone()), Some(master)).await.unwrap();
    assert_eq!(named(&journal, delivery).await, [(NAME.to_owned(), 2)], "found again, it serves");
}

#[tokio::test]
async fn the_same_patient_looks_another_one_in_each_delivery() {
    let (folder, master) = (tempfile::tempdir().unwrap(), FileKey::random().unwrap());
    let journal =
        Journal::open_with(database(&folder.path().join("journal.sqlite")), Some(master)).await.unwrap();
    for (number, destination) in [(1, "ONCALL"), (2, "OTHER")] {
        let instance =
            NewInstance { destination: destination.into(), banner: patient("4711"), ..instance(number) };
        journal.record_instance(instance).await.unwrap();
    }
    let tags = sql::query("SELECT DISTINCT tag FROM subject").fetch_all(&journal.pool).await.unwrap();
    assert_eq!(tags.len(), 2);
}

/// On `SQLITE_FULL` at the end of a transaction SQLite rolls it back by itself: as if somebody else had, beside the driver.
#[tokio::test]
async fn a_transaction_that_sqlite_rolled_back_by_itself_leaves_no_connection_unusable() {
    let (journal, _folder) = journal_in_a_file().await;
    for _ in 0..sql::CONNECTIONS_MAX {
        let mut transaction = journal.pool.begin_writing().await.unwrap();
        sql::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        drop(transaction);
    }
    for number in 1..=8 {
        journal.record_instance(instance(number)).await.unwrap();
    }
}
