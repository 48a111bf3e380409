//! Notices by channel on a real journal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::super::tests::{earlier, instance, journal, journal_in_a_file, reach};
use super::*;
use crate::journal::{Database, GivesUp, Recorded, State};

const CHANNELS: [&str; 3] = ["mail", "sms", "ntfy-own"];

fn ways() -> Vec<Way> {
    let levels = [0, 0, 2];
    let way =
        |(channel, level): (&&str, u32)| Way { channel: (*channel).to_owned(), to: String::new(), level };
    CHANNELS.iter().zip(levels).map(way).collect()
}

/// A doctor is told by a channel, whatever was to be told before.
pub(in crate::journal) async fn notified(journal: &Journal, id: DeliveryId, doctor: &str, at_ms: i64) {
    let recipients = journal.recipients(id).await.unwrap();
    let notice = recipients.iter().find(|one| one.doctor == doctor).unwrap().notice;
    let untold = Untold {
        delivery: id,
        doctor: doctor.into(),
        level: 0,
        told_level: None,
        cover_seen: true,
        submitted_at_ms: at_ms,
    };
    let way = Way { channel: "mail".into(), to: String::new(), level: 0 };
    journal.begin_notices(&untold, &[way], at_ms).await.unwrap();
    let due = DueNotice {
        delivery: id,
        doctor: doctor.into(),
        channel: "mail".into(),
        notice,
        began_at_ms: at_ms,
        attempts: 0,
        next_try_ms: at_ms,
        was_refused: false,
        is_notified: false,
    };
    journal.notice_accepted(&due, at_ms).await.unwrap();
}

/// A delivery that the mail server has for `tanaka`, and not yet for `sato`.
async fn submitted(journal: &Journal) -> DeliveryId {
    let Recorded::New { delivery, .. } = journal.record_instance(instance(1)).await.unwrap() else {
        panic!()
    };
    reach(journal, delivery, State::Sealed, 1000).await;
    journal.accepted(delivery, PART_COVER, "tanaka", 1500).await.unwrap();
    delivery
}

/// Begins what is to be begun, by all ways of the level.
async fn begin(journal: &Journal, now_ms: i64) -> usize {
    let untold = journal.untold().await.unwrap();
    for one in &untold {
        let is_new = |way: &Way| way.level <= one.level && one.told_level.is_none_or(|told| way.level > told);
        let ways: Vec<Way> = ways().into_iter().filter(is_new).collect();
        journal.begin_notices(one, &ways, now_ms).await.unwrap();
    }
    untold.len()
}

async fn due(journal: &Journal) -> Vec<DueNotice> {
    journal.due_notices().await.unwrap()
}

fn names(due: &[DueNotice]) -> Vec<&str> {
    let mut names: Vec<_> = due.iter().map(|one| one.channel.as_str()).collect();
    names.sort_unstable();
    names
}

fn of<'a>(due: &'a [DueNotice], channel: &str) -> &'a DueNotice {
    due.iter().find(|one| one.channel == channel).unwrap()
}

fn busy() -> NoticeError {
    NoticeError::Busy { code: 503, reply: "Service Unavailable".into(), retry_after: None }
}

fn refused() -> NoticeError {
    NoticeError::Refused { code: 400, reply: "Bad Request".into() }
}

#[tokio::test]
async fn one_channel_notifies_and_the_others_go_on_by_themselves() {
    let (journal, _folder) = journal().await;
    let id = submitted(&journal).await;
    assert_eq!(begin(&journal, 2000).await, 0, "while all is well, the whole delivery is submitted first");
    journal.troubled(id, "the mailbox of a colleague stalls", GivesUp::No, 2000).await.unwrap();
    assert_eq!(begin(&journal, 2000).await, 1, "then who has all of it is told");
    assert_eq!(begin(&journal, 2000).await, 0, "once");
    reach(&journal, id, State::Submitted, 2500).await;
    let first = due(&journal).await;
    assert_eq!(names(&first), ["mail", "sms"], "a higher level waits");
    journal.notice_failed(of(&first, "mail"), &busy(), 9000).await.unwrap();
    assert_eq!(journal.not_notified(id).await.unwrap(), ["tanaka"]);
    journal.notice_accepted(of(&first, "sms"), 3000).await.unwrap();
    assert_eq!(journal.not_notified(id).await.unwrap(), Vec::<String>::new());
    let left = due(&journal).await;
    assert_eq!((names(&left), left[0].next_try_ms, left[0].attempts), (vec!["mail"], 9000, 1));
    // Who read the list before is told that it is another's by now.
    for one in &first {
        assert!(!journal.is_still_due(one).await.unwrap(), "{}", one.channel);
    }
    assert!(journal.is_still_due(&left[0]).await.unwrap());
    journal.notice_accepted(&left[0], 9100).await.unwrap();
    assert_eq!(due(&journal).await.len(), 0);
    let report = journal.report_of(id).await.unwrap().unwrap();
    let tanaka = report.doctors.iter().find(|one| one.doctor == "tanaka").unwrap();
    assert_eq!(tanaka.notified_at_ms, Some(3000), "when the first channel took it");
    let told: Vec<_> =
        tanaka.notices.iter().map(|one| (one.channel.as_str(), one.attempts, one.accepted_at_ms)).collect();
    assert_eq!(told, [("mail", 2, Some(9100)), ("sms", 1, Some(3000))]);
}

#[tokio::test]
async fn a_refused_channel_is_tried_again_only_while_no_other_reaches_the_doctor() {
    let (journal, _folder) = journal().await;
    let id = submitted(&journal).await;
    reach(&journal, id, State::Submitted, 2000).await;
    begin(&journal, 2000).await;
    let first = due(&journal).await;
    journal.notice_failed(of(&first, "sms"), &refused(), 9000).await.unwrap();
    assert!(of(&due(&journal).await, "sms").was_refused);
    journal.notice_accepted(of(&first, "mail"), 3000).await.unwrap();
    assert_eq!(due(&journal).await.len(), 0);
    let report = journal.report_of(id).await.unwrap().unwrap();
    let sms = &report.doctors.iter().find(|one| one.doctor == "tanaka").unwrap().notices[1];
    assert_eq!((sms.state.as_str(), sms.must_act.as_deref()), ("refused", Some("operator")));
    assert_eq!(sms.error.as_deref(), Some("the notice server refuses the notice: 400 Bad Request"));
    let counts = journal.notice_counts().await.unwrap();
    assert_eq!(counts, [("mail".into(), "accepted".into(), 1), ("sms".into(), "refused".into(), 1)]);
}

#[tokio::test]
async fn what_a_colleague_has_opened_counts_no_notices() {
    let (journal, _folder) = journal().await;
    let id = submitted(&journal).await;
    journal.accepted(id, PART_COVER, "sato", 1500).await.unwrap();
    reach(&journal, id, State::Submitted, 2000).await;
    begin(&journal, 2000).await;
    let counts = journal.notice_counts().await.unwrap();
    assert_eq!(counts, [("mail".into(), "waiting".into(), 2), ("sms".into(), "waiting".into(), 2)]);
    journal.first_image(id, "sato", 3000).await.unwrap();
    assert_eq!(journal.notice_counts().await.unwrap(), []);
}

#[tokio::test]
async fn a_level_that_is_raised_brings_its_channels_and_never_falls() {
    let (journal, _folder) = journal().await;
    let id = submitted(&journal).await;
    reach(&journal, id, State::Submitted, 2000).await;
    begin(&journal, 2000).await;
    assert!(journal.raise_level(id, "tanaka", 1, 4000).await.unwrap());
    assert_eq!((begin(&journal, 4000).await, names(&due(&journal).await)), (1, vec!["mail", "sms"]));
    assert!(journal.raise_level(id, "tanaka", 2, 5000).await.unwrap());
    assert_eq!(
        (begin(&journal, 5000).await, names(&due(&journal).await)),
        (1, vec!["mail", "ntfy-own", "sms"])
    );
    assert!(!journal.raise_level(id, "tanaka", 2, 6000).await.unwrap());
    assert!(!journal.raise_level(id, "tanaka", 1, 6000).await.unwrap());
    assert!(!journal.raise_level(id, "nobody", 3, 6000).await.unwrap());
}

#[tokio::test]
async fn who_asks_again_asks_every_channel_and_an_older_answer_counts_no_more() {
    let (journal, _folder) = journal().await;
    let id = submitted(&journal).await;
    reach(&journal, id, State::Submitted, 2000).await;
    begin(&journal, 2000).await;
    let first = due(&journal).await;
    journal.notice_accepted(of(&first, "mail"), 3000).await.unwrap();
    journal.notice_failed(of(&first, "sms"), &refused(), 9000).await.unwrap();
    reach(&journal, id, State::Notified, 3000).await;
    assert!(journal.notify_again(id).await.unwrap().contains(&"tanaka".to_owned()));
    begin(&journal, 4000).await;
    let again = due(&journal).await;
    assert_eq!((names(&again), again[0].attempts), (vec!["mail", "sms"], 0));
    assert_ne!(again[0].notice, first[0].notice);
    journal.notice_accepted(of(&first, "sms"), 4000).await.unwrap();
    assert_eq!((names(&due(&journal).await).len(), journal.not_notified(id).await.unwrap().len()), (2, 1));
}

#[tokio::test]
async fn whoever_opened_it_is_not_told_again() {
    let (journal, _folder) = journal().await;
    let id = submitted(&journal).await;
    reach(&journal, id, State::Submitted, 2000).await;
    begin(&journal, 2000).await;
    let first = due(&journal).await;
    journal.notice_failed(of(&first, "mail"), &busy(), 9000).await.unwrap();
    journal.first_image(id, "tanaka", 3000).await.unwrap();
    assert_eq!(names(&due(&journal).await), ["sms"], "a first notice is on its way, a second is not needed");
    assert_eq!(journal.not_notified(id).await.unwrap(), ["tanaka"]);
    journal.notice_failed(of(&first, "sms"), &refused(), 9000).await.unwrap();
    assert_eq!(journal.not_notified(id).await.unwrap(), Vec::<String>::new(), "no notice is waited for");
    assert_eq!(due(&journal).await.len(), 0);
}

#[tokio::test]
async fn what_is_asked_at_each_change_looks_at_what_is_open_alone() {
    let (journal, _folder) = journal_in_a_file().await;
    for (sql, index) in
        [(untold(), "SCAN r USING INDEX recipient_untold"), (super::due(), "SCAN n USING INDEX notice_open")]
    {
        let plan = sql::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let rows = plan.fetch_all(&journal.pool).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let scans: Vec<_> = steps.iter().filter(|step| step.starts_with("SCAN")).collect();
        assert!(scans.len() == 1 && scans[0].starts_with(index), "{steps:?}");
    }
}

#[tokio::test]
async fn mails_of_the_version_before_are_notices_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let pool = earlier(&path, 0..90).await;
    for statement in [
        "INSERT INTO study_case (id, destination, study_uid, opened_at_ms) VALUES (zeroblob(16), 'ONCALL', '1.2.3', 1)",
        "INSERT INTO delivery (id, case_id, sequence, state, calling) VALUES (x'01010101010101010101010101010101', zeroblob(16), 1, 'submitted', 'PACS')",
        "INSERT INTO recipient (delivery_id, doctor, notice_id, notified_at_ms) VALUES (x'01010101010101010101010101010101', 'sato', zeroblob(16), 7000)",
        "INSERT INTO recipient (delivery_id, doctor, notice_id) VALUES (x'01010101010101010101010101010101', 'tanaka', zeroblob(16))",
        "INSERT INTO accepted_part VALUES (x'01010101010101010101010101010101', 0, 'sato', 6000), (x'01010101010101010101010101010101', 0, 'tanaka', 6000)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let journal = Journal::open(Database::File(path)).await.unwrap();
    let report = journal.report_of(DeliveryId([1; 16])).await.unwrap().unwrap();
    let told = |doctor: &str| {
        let doctor = report.doctors.iter().find(|one| one.doctor == doctor).unwrap();
        doctor.notices.iter().map(|one| (one.channel.clone(), one.state.clone())).collect::<Vec<_>>()
    };
    assert_eq!(told("sato"), [("mail".into(), "accepted".into())]);
    assert_eq!(told("tanaka"), []);
    let untold: Vec<_> = journal.untold().await.unwrap().into_iter().map(|one| one.doctor).collect();
    assert_eq!(untold, ["tanaka"], "who was not told is told next");
}
