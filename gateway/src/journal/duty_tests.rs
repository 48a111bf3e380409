//! Tests with synthetic cases on a real journal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::super::press_tests::{held, journal, record};
use super::super::tests::journal_in_a_file;
use super::super::*;
use super::{IS_LISTED, IS_REAL, NOT_REACHABLE, RECENT_OR_OPEN};
use seal::answer::Answer;
use seal::ids::{DeliveryId, Digest};
use std::collections::BTreeMap;

async fn begin(journal: &Journal, kind: TestKind, doctor: &str, occasion: &str, at_ms: i64) -> DutyTest {
    assert!(journal.begin_duty_test(kind, doctor, occasion, at_ms).await.unwrap());
    assert!(
        !journal.begin_duty_test(kind, doctor, occasion, at_ms + 1).await.unwrap(),
        "once for each occasion"
    );
    journal.newest_duty_tests(kind, 1).await.unwrap().remove(0)
}

/// A study for a doctor.
async fn sent(journal: &Journal, number: u8, destination: &str) -> DeliveryId {
    let instance = NewInstance {
        destination: destination.into(),
        doctors: vec!["tanaka".into()],
        ..tests::instance(number)
    };
    let Recorded::New { delivery, .. } = journal.record_instance(instance).await.unwrap() else { panic!() };
    delivery
}

#[tokio::test]
async fn whatever_a_doctor_opens_later_answers_and_only_its_own_case_brings_a_daily_one_back() {
    let (journal, _folder) = journal().await;
    let before = sent(&journal, 1, "ONCALL").await;
    let readiness = begin(&journal, TestKind::Readiness, "tanaka", "2026-11-29T08:00:00Z", 5000).await;
    let other = begin(&journal, TestKind::Readiness, "sato", "2026-11-29T08:00:00Z", 5000).await;
    let daily = begin(&journal, TestKind::Daily, "tanaka", "2026-11-29", 5000).await;
    let own = sent(&journal, 2, TEST_AE_TITLE).await;
    journal.duty_test_is(daily.id, own).await.unwrap();
    assert!(journal.not_reachable().await.unwrap().is_empty(), "nobody is late yet");
    for test in [&readiness, &other, &daily] {
        assert!(journal.duty_test_is_late(test, 6000).await.unwrap());
        assert!(!journal.duty_test_is_late(test, 7000).await.unwrap(), "it is said once");
    }
    let not_reachable = journal.not_reachable().await.unwrap();
    assert_eq!(
        not_reachable.into_iter().collect::<Vec<_>>(),
        [("sato".into(), 5000), ("tanaka".into(), 5000)]
    );
    journal.seen(before, "tanaka", 8000).await.unwrap();
    let not_reachable = journal.not_reachable().await.unwrap();
    assert_eq!(not_reachable.into_iter().collect::<Vec<_>>(), [("sato".into(), 5000)]);
    let read = async |kind| journal.newest_duty_tests(kind, 9).await.unwrap();
    assert_eq!(read(TestKind::Daily).await[0].returned_at_ms, None);
    assert_eq!(read(TestKind::Readiness).await[1].answered_at_ms, Some(8000));
    journal.pulled(own, "tanaka", 9000).await.unwrap();
    journal.seen(own, "tanaka", 9500).await.unwrap();
    assert_eq!(read(TestKind::Daily).await[0].returned_at_ms, Some(9000), "the first sign counts");
    assert_eq!(journal.daily_succeeded_at_ms().await.unwrap(), None, "it came back late");
    let seconds = BTreeMap::from([("submit".to_owned(), 0.5)]);
    journal.end_duty_test(daily.id, Some(&seconds), 9600).await.unwrap();
    let ended = read(TestKind::Daily).await.remove(0);
    assert_eq!((ended.seconds, ended.ended_at_ms), (Some(seconds), Some(9600)));
    let ids = |tests: Vec<DutyTest>| tests.into_iter().map(|test| test.id).collect::<Vec<_>>();
    assert_eq!(ids(journal.duty_tests(10_000).await.unwrap()), [readiness.id, other.id], "open ones");
    assert_eq!(journal.duty_tests(5000).await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_answer_in_time_is_no_cause_to_say_anything() {
    let (journal, _folder) = journal().await;
    let test = begin(&journal, TestKind::Readiness, "tanaka", "2026-11-29T08:00:00Z", 5000).await;
    let delivery = sent(&journal, 1, TEST_AE_TITLE).await;
    journal.duty_test_is(test.id, delivery).await.unwrap();
    journal.first_image(delivery, "tanaka", 5500).await.unwrap();
    assert!(!journal.duty_test_is_late(&test, 6000).await.unwrap());
    assert!(journal.not_reachable().await.unwrap().is_empty());
}

#[tokio::test]
async fn no_list_figure_or_alarm_counts_a_test() {
    let (journal, _folder) = journal().await;
    assert!(IS_REAL.contains(TEST_AE_TITLE) && IS_LISTED.contains(IS_REAL));
    let test = sent(&journal, 1, TEST_AE_TITLE).await;
    let filter = StudyFilter { after: None, limit: 10 };
    journal.troubled(test, "no mail server", GivesUp::No, 1).await.unwrap();
    assert!(journal.studies(&filter).await.unwrap().is_empty());
    assert!(journal.searched(10).await.unwrap().is_empty());
    assert!(journal.progress(10).await.unwrap().is_empty());
    assert!(journal.unopened().await.unwrap().is_empty());
    assert!(journal.unopened_deliveries().await.unwrap().is_empty());
    let came = Came::Answer(Answer::CallBack);
    assert!(journal.answered(test, "tanaka", &Digest([1; 32]), &came, 2).await.unwrap());
    let listed = journal.studies(&filter).await.unwrap();
    assert_eq!(listed[0].delivery.id, test, "what a doctor says to a test is read by somebody");
    assert!(journal.progress(10).await.unwrap().is_empty());
    let (row, _) = record(&journal, held(2)).await;
    let both = journal.studies(&filter).await.unwrap();
    assert_eq!(both.len(), 2);
    assert_eq!(journal.searched(10).await.unwrap()[0].case, row.case);
    assert_eq!(journal.progress(10).await.unwrap().len(), 1);
    let filter = StudyFilter { after: Some(both[0].delivery.case), limit: 10 };
    assert_eq!(journal.studies(&filter).await.unwrap()[0].delivery.id, both[1].delivery.id);
}

#[tokio::test]
async fn what_is_asked_at_each_change_does_not_go_through_the_tests_of_years() {
    let (journal, _folder) = journal_in_a_file().await;
    for sql in [RECENT_OR_OPEN, NOT_REACHABLE] {
        let plan = sql::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let rows = plan.fetch_all(&journal.pool).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert!(!steps.iter().any(|step| step == "SCAN duty_test"), "{steps:?}");
    }
}
