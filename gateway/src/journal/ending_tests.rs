//! The end of a case on a real journal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::notices::tests::notified;
use super::press_tests::{HELD_AS, held, journal, press, pressed, record};
use super::tests::{journal_in_a_file, on_disk, reach};
use super::*;
use crate::notify::ends;
use compressor::bundle::Summary;
use seal::cover::Completeness;
use seal::ids::{CaseId, DeliveryId, Digest};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const STUDY: &[u8] = b"1.2.3.4";

/// A study that lies in the mailbox of one doctor, who was notified.
async fn mailed(journal: &Journal) -> (CaseId, DeliveryId) {
    let (row, _) = record(journal, held(1)).await;
    pressed(journal, row.case).await;
    assert!(journal.assembled(row.id, 1, Completeness::Proved { instances: 1 }, 6000).await.unwrap());
    journal.compressed(row.id, &Summary::default(), None, 6000).await.unwrap();
    journal.sealed(row.id, 1, 1000, Some(Digest([3; 32])), 6000).await.unwrap();
    for part in [1, 0] {
        journal.accepted(row.id, part, "tanaka", 6000).await.unwrap();
    }
    reach(journal, row.id, State::Submitted, 6000).await;
    notified(journal, row.id, "tanaka", 7000).await;
    reach(journal, row.id, State::Notified, 7000).await;
    (row.case, row.id)
}

/// Cases that end by their time.
async fn overdue(journal: &Journal) -> Vec<(CaseId, Ended)> {
    let aged = journal.aged(DAY_MS).await.unwrap();
    aged.into_iter().filter_map(|(case, aged)| Some((case, ends(aged)?))).collect()
}

fn holds(folder: &tempfile::TempDir, needle: &[u8]) -> bool {
    on_disk(folder.path()).windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn a_closed_case_is_forgotten_once_every_mailbox_is_known_to_be_empty() {
    let (journal, folder) = journal_in_a_file().await;
    let (case, delivery) = mailed(&journal).await;
    assert!(
        journal.end(case, Ended::Closed, Some("sato"), 8000).await.unwrap().is_none(),
        "nobody has opened it"
    );
    journal.seen(delivery, "tanaka", 8000).await.unwrap();
    let withdrawal = journal.end(case, Ended::Closed, Some("sato"), 9000).await.unwrap().unwrap();
    assert_eq!((withdrawal.ended, withdrawal.held), (vec![(delivery, State::Closed)], None));
    assert_eq!(withdrawal.files, [held(1).file]);
    assert!(matches!(journal.case_key(case).await, Err(JournalError::KeyDestroyed)));
    assert!(journal.study_of(case).await.unwrap().unwrap().card.is_none(), "the list forgets at once");
    assert!(journal.end(case, Ended::Closed, Some("sato"), 9000).await.unwrap().is_none(), "it ends once");
    let removal = Removal { delivery, doctor: "tanaka".into(), receipts: true, everywhere: true };
    assert_eq!(journal.mails_to_remove(9000).await.unwrap(), [removal]);
    assert_eq!(journal.to_prove().await.unwrap(), [], "nobody has looked into the mailbox");
    assert_eq!(journal.subjects(delivery).await.unwrap().len(), 1, "the trail will be told whose it was");
    journal.mails_removed(delivery, "tanaka", 2).await.unwrap();
    journal.mails_removed(delivery, "tanaka", 1).await.unwrap();
    assert_eq!(
        journal.to_prove().await.unwrap(),
        [],
        "that some were deleted does not say that none is left"
    );
    journal.no_mail_left(delivery, "tanaka", None, 9400).await.unwrap();
    assert_eq!(journal.to_prove().await.unwrap(), [], "that was a look into one folder alone");
    journal.no_mail_left(delivery, "tanaka", Some((4, 1)), 9500).await.unwrap();
    let mail = EndedMail {
        doctor: "tanaka".into(),
        removed: 3,
        empty_at_ms: Some(9500),
        folders: Some(4),
        folders_unsearched: Some(1),
        arrived: true,
    };
    let proved = EndedCase {
        case,
        how: Ended::Closed,
        by: Some("sato".into()),
        at_ms: 9000,
        deliveries: vec![delivery],
        mails: vec![mail],
    };
    assert_eq!(journal.to_prove().await.unwrap(), [proved]);
    assert!(holds(&folder, STUDY));
    journal.forget(case, 9600).await.unwrap();
    journal.empty_held_log().await.unwrap();
    assert!(!holds(&folder, STUDY), "no UID of it is on the disk, in the log neither");
    assert_eq!(journal.to_prove().await.unwrap(), []);
    let report = journal.report_of(delivery).await.unwrap().unwrap();
    let ended = report.ended.unwrap();
    assert_eq!((ended.how, ended.proved_at_ms, report.instances), (Ended::Closed, Some(9600), 1));
    let (again, _) = record(&journal, held(1)).await;
    assert_ne!(again.case, case, "a study that comes again is a new case");
}

#[tokio::test]
async fn only_the_time_that_the_gateway_ran_ends_a_case_and_nobodys_only_after_an_alarm_that_was_heard() {
    let (journal, _folder) = journal().await;
    journal.ran(5 * DAY_MS).await.unwrap();
    let (case, delivery) = mailed(&journal).await;
    assert_eq!(overdue(&journal).await, [], "a journal that is older ends no new case");
    journal.ran(DAY_MS - 1).await.unwrap();
    journal.ran(-DAY_MS).await.unwrap();
    journal.seen(delivery, "tanaka", i64::MAX / 2).await.unwrap();
    assert_eq!(overdue(&journal).await, [], "no clock of a receipt counts");
    journal.ran(1).await.unwrap();
    assert_eq!(overdue(&journal).await, [(case, Ended::Expired)]);
    assert!(journal.end(case, Ended::Expired, None, 9000).await.unwrap().is_some());
    assert_eq!(overdue(&journal).await, []);

    let (case, delivery) = mailed(&journal).await;
    journal.ran(40 * DAY_MS).await.unwrap();
    assert_eq!(overdue(&journal).await, [], "nobody has opened it, nobody was alarmed");
    let unopened = journal.unopened().await.unwrap();
    assert_eq!((unopened[0].case, unopened[0].delivery, unopened[0].standings.len()), (case, delivery, 1));
    assert!(!journal.alarm_heard(case, "sato", 9000).await.unwrap(), "there is no alarm");
    assert!(journal.alarm(case, 9000).await.unwrap() && !journal.alarm(case, 9000).await.unwrap());
    assert!(journal.unopened().await.unwrap().is_empty(), "it rings already");
    assert_eq!(overdue(&journal).await, [], "nobody has heard it");
    assert!(journal.alarm_heard(case, "sato", 9500).await.unwrap());
    assert_eq!(overdue(&journal).await, [(case, Ended::Unopened)]);
    journal.seen(delivery, "tanaka", 9600).await.unwrap();
    assert!(
        journal.end(case, Ended::Unopened, None, 9700).await.unwrap().is_none(),
        "somebody opened it meanwhile"
    );
    assert_eq!(overdue(&journal).await, [(case, Ended::Expired)]);
}

#[tokio::test]
async fn a_mailbox_that_keeps_its_mails_holds_up_no_end_and_is_named() {
    let (journal, _folder) = journal().await;
    let (case, delivery) = mailed(&journal).await;
    journal.seen(delivery, "tanaka", 8000).await.unwrap();
    journal.end(case, Ended::Closed, Some("tanaka"), 9000).await.unwrap().unwrap();
    journal.mails_stay(delivery, "tanaka").await.unwrap();
    let proved = journal.to_prove().await.unwrap().remove(0);
    assert_eq!((proved.mails[0].removed, proved.mails[0].empty_at_ms), (0, None));
}

/// Another image of the same study came late.
async fn late(journal: &Journal) -> DeliveryId {
    let (supplement, begins) = record(journal, held(2)).await;
    assert!(begins && supplement.sequence == 2);
    supplement.id
}

#[tokio::test]
async fn nothing_ends_while_more_of_it_is_on_its_way_or_a_dead_letter() {
    let (journal, _folder) = journal().await;
    let (case, first) = mailed(&journal).await;
    journal.seen(first, "tanaka", 8000).await.unwrap();
    assert!(journal.may_end(case, Ended::Closed).await.unwrap());
    let supplement = late(&journal).await;
    journal.ran(2 * DAY_MS).await.unwrap();
    for how in [Ended::Closed, Ended::Expired] {
        assert!(journal.end(case, how, None, 9000).await.unwrap().is_none(), "its images would be lost");
    }
    assert!(journal.assembled(supplement, 1, Completeness::Proved { instances: 1 }, 9000).await.unwrap());
    reach(&journal, supplement, State::Compressed, 9000).await;
    journal.sealed(supplement, 1, 1000, Some(Digest([4; 32])), 9000).await.unwrap();
    assert!(!journal.may_end(case, Ended::Expired).await.unwrap(), "nobody has it");
    journal.accepted(supplement, 0, "tanaka", 9000).await.unwrap();
    assert_eq!(overdue(&journal).await, [], "its time begins with the last of it");
    assert!(!journal.may_end(case, Ended::Closed).await.unwrap(), "nobody has opened the supplement");
    journal.seen(supplement, "tanaka", 9100).await.unwrap();
    assert!(journal.may_end(case, Ended::Closed).await.unwrap());
    journal.ran(DAY_MS).await.unwrap();
    assert_eq!(overdue(&journal).await, [(case, Ended::Expired)]);
    journal.troubled(supplement, "refused", GivesUp::Yes, 9200).await.unwrap();
    for how in [Ended::Closed, Ended::Expired] {
        assert!(!journal.may_end(case, how).await.unwrap(), "its files are all that is left");
    }
}

#[tokio::test]
async fn one_mailbox_that_stalls_keeps_no_case_from_ending_and_its_mails_are_looked_for_for_days() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    let press = Press {
        doctors: vec!["tanaka".into(), "suzuki".into()],
        ..press(PressedStudy::Case(row.case), "tanaka")
    };
    journal.press(&press, HELD_AS).await.unwrap();
    assert!(journal.assembled(row.id, 1, Completeness::Proved { instances: 1 }, 6000).await.unwrap());
    reach(&journal, row.id, State::Compressed, 6000).await;
    journal.sealed(row.id, 1, 1000, Some(Digest([3; 32])), 6000).await.unwrap();
    journal.accepted(row.id, 0, "tanaka", 6000).await.unwrap();
    journal.cover_seen(row.id, "tanaka", 6100).await.unwrap();
    journal.troubled(row.id, "the mailbox is full", GivesUp::No, 6200).await.unwrap();
    let unopened = journal.unopened().await.unwrap();
    assert_eq!(unopened[0].stuck_since_ms, Some(6200), "it does not get on: that rings, too");
    journal.seen(row.id, "tanaka", 7000).await.unwrap();
    journal.end(row.case, Ended::Closed, Some("tanaka"), 8000).await.unwrap().unwrap();
    let unlooked = journal.unlooked().await.unwrap();
    assert_eq!(unlooked.len(), 2);
    for (delivery, doctor) in unlooked {
        // Piece and cover were there; of the other's the mail server has all still.
        if doctor == "tanaka" {
            journal.mails_removed(delivery, &doctor, 2).await.unwrap();
        }
        journal.no_mail_left(delivery, &doctor, Some((1, 0)), 8100).await.unwrap();
    }
    let mails = journal.to_prove().await.unwrap().remove(0).mails;
    let arrived: Vec<_> = mails.iter().map(|mail| (mail.doctor.as_str(), mail.arrived)).collect();
    assert_eq!(arrived, [("suzuki", false), ("tanaka", true)]);
    let looked_for = || journal.mails_to_remove(8000 + 400 * DAY_MS);
    assert_eq!(looked_for().await.unwrap().len(), 2, "a clock that jumps ends no looking");
    journal.ran(4 * DAY_MS).await.unwrap();
    assert_eq!(looked_for().await.unwrap().len(), 1, "one that is on its way");
    journal.ran(2 * DAY_MS).await.unwrap();
    assert!(looked_for().await.unwrap().is_empty());
}
