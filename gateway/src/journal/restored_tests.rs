//! A journal of a backup against what trail and mailboxes show.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::press_tests::{held, journal, pressed, record};
use super::tests::{instance, reach};
use super::*;
use crate::simulate::replay;
use compressor::bundle::Summary;
use seal::cover::Completeness;
use seal::ids::{CaseId, DeliveryId, Digest};
use std::collections::BTreeSet;

const DOCTOR: &str = "tanaka";

fn doctors(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// A study of its own for one doctor, of which the backup has so much.
async fn at(journal: &Journal, state: State) -> (CaseId, DeliveryId) {
    let (row, _) = record(journal, held(1)).await;
    let (case, id) = (row.case, row.id);
    if state == State::Held {
        return (case, id);
    }
    pressed(journal, case).await;
    bring(journal, id, state).await;
    (case, id)
}

async fn bring(journal: &Journal, id: DeliveryId, state: State) {
    if state > State::Received {
        assert!(journal.assembled(id, 1, Completeness::Proved { instances: 1 }, 6000).await.unwrap());
    }
    if state > State::Assembled {
        journal.began(id, "compress", 6000).await.unwrap();
        journal.compressed(id, &Summary::default(), None, 6000).await.unwrap();
    }
    if state > State::Compressed {
        journal.began(id, "seal", 6000).await.unwrap();
        journal.sealed(id, 2, 1000, Some(Digest([3; 32])), 6000).await.unwrap();
    }
}

#[tokio::test]
async fn what_lies_in_a_mailbox_is_sent_whatever_the_backup_has_of_it() {
    for state in [State::Held, State::Received, State::Assembled, State::Compressed] {
        let (journal, _folder) = journal().await;
        let (_, id) = at(&journal, state).await;
        assert_eq!(journal.unsealed().await.unwrap(), [id], "{state:?}");
        assert!(journal.found_mailed(id, &doctors(&[DOCTOR]), 8000).await.unwrap());
        assert_eq!(journal.delivery(id).await.unwrap().state, State::Submitted, "{state:?}");
        assert_eq!(journal.unsealed().await.unwrap(), []);
        let recipient = &journal.recipients(id).await.unwrap()[0];
        assert!(recipient.submitted && recipient.cover_seen && recipient.refused.is_none());
        // Again, as after a crash.
        assert!(!journal.found_mailed(id, &doctors(&[DOCTOR]), 8000).await.unwrap());
        assert!(replay(&journal).await.unwrap().wrong.is_empty(), "{state:?}");
    }
}

#[tokio::test]
async fn what_is_sealed_and_with_everybody_needs_no_pieces_that_may_not_be_in_the_backup() {
    for fails in [false, true] {
        let (journal, _folder) = journal().await;
        let (_, id) = at(&journal, State::Sealed).await;
        if fails {
            journal.began(id, "submit", 7000).await.unwrap();
            journal.accepted(id, 1, DOCTOR, 7000).await.unwrap();
            journal.troubled(id, "no room", GivesUp::Yes, 7000).await.unwrap();
        }
        assert!(journal.found_mailed(id, &doctors(&[DOCTOR]), 8000).await.unwrap());
        assert_eq!(journal.delivery(id).await.unwrap().state, State::Submitted, "{fails}");
        assert_eq!(journal.accepted_parts(id).await.unwrap().len(), 3, "two pieces and the cover");
        assert!(!journal.found_mailed(id, &doctors(&[DOCTOR]), 8000).await.unwrap());
        assert!(replay(&journal).await.unwrap().wrong.is_empty(), "{fails}");
    }
    // With one of two it goes on where it stands: to who lacks it.
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, instance(1)).await;
    bring(&journal, row.id, State::Sealed).await;
    assert!(journal.found_mailed(row.id, &doctors(&[DOCTOR]), 8000).await.unwrap());
    assert_eq!(journal.delivery(row.id).await.unwrap().state, State::Sealed);
    journal.began(row.id, "submit", 9000).await.unwrap();
    for part in [1, 2, PART_COVER] {
        journal.accepted(row.id, part, "sato", 9000).await.unwrap();
    }
    assert!(reach(&journal, row.id, State::Submitted, 9000).await);
    assert!(replay(&journal).await.unwrap().wrong.is_empty());
}

#[tokio::test]
async fn numbers_that_may_have_been_used_after_the_backup_are_passed_over() {
    let (journal, _folder) = journal().await;
    let (_, id) = at(&journal, State::Sealed).await;
    let mut other = instance(7);
    (other.study, other.doctors) = (Some(compressor::Uid::parse("1.2.9").unwrap()), doctors(&["sato"]));
    let (other, _) = record(&journal, other).await;
    bring(&journal, other.id, State::Sealed).await;
    // One of them may be the supplement of the first case, and none is of the other, whose doctor has none.
    for number in [8, 9] {
        assert!(journal.found_mailed(DeliveryId([number; 16]), &doctors(&[DOCTOR]), 8000).await.unwrap());
    }
    // Twice, as after a crash.
    journal.pass_over_numbers().await.unwrap();
    journal.pass_over_numbers().await.unwrap();
    let (late, _) = record(&journal, held(2)).await;
    assert_ne!(late.id, id);
    assert_eq!(late.sequence, 4, "2 and 3 may be with the doctor, who takes a number once");
    let mut late = instance(8);
    (late.study, late.doctors) = (Some(compressor::Uid::parse("1.2.9").unwrap()), doctors(&["sato"]));
    assert_eq!(record(&journal, late).await.0.sequence, 2);
}

#[tokio::test]
async fn a_colleague_without_the_cover_is_named_and_nobody_waits_for_what_is_lost() {
    let (journal, _folder) = journal().await;
    let mut both = instance(1);
    both.doctors = doctors(&["sato", DOCTOR]);
    let (row, _) = record(&journal, both).await;
    journal.found_mailed(row.id, &doctors(&[DOCTOR]), 8000).await.unwrap();
    let recipients = journal.recipients(row.id).await.unwrap();
    let said: Vec<_> = recipients.iter().map(|one| (one.doctor.as_str(), one.refused.is_some())).collect();
    assert_eq!(said, [("sato", true), (DOCTOR, false)]);
    assert!(replay(&journal).await.unwrap().wrong.is_empty());
}

#[tokio::test]
async fn one_that_the_backup_does_not_know_is_a_case_of_its_own_that_can_end() {
    let (journal, _folder) = journal().await;
    let id = DeliveryId([9; 16]);
    assert!(journal.found_mailed(id, &doctors(&[DOCTOR]), 8000).await.unwrap());
    let row = journal.delivery(id).await.unwrap();
    assert_eq!((row.state, row.study), (State::Submitted, None));
    assert!(!journal.take_cover_of_receipt(id, "sato", Digest([1; 32])).await.unwrap(), "not a doctor of it");
    assert!(journal.take_cover_of_receipt(id, DOCTOR, Digest([1; 32])).await.unwrap());
    assert!(
        !journal.take_cover_of_receipt(id, DOCTOR, Digest([2; 32])).await.unwrap(),
        "the first one says it"
    );
    assert_eq!(journal.cover_digest(id).await.unwrap(), Some(Digest([1; 32])));
    journal.seen(id, DOCTOR, 8000).await.unwrap();
    assert!(journal.end(row.case, Ended::Closed, Some("sato"), 9000).await.unwrap().is_some());
    assert_eq!(journal.mails_to_remove(9000).await.unwrap().len(), 1);
    assert!(replay(&journal).await.unwrap().wrong.is_empty());

    let (journal, _folder) = super::press_tests::journal().await;
    let (_, known) = at(&journal, State::Sealed).await;
    assert!(
        !journal.take_cover_of_receipt(known, DOCTOR, Digest([1; 32])).await.unwrap(),
        "its cover is known"
    );
}

#[tokio::test]
async fn who_has_opened_it_is_not_told_and_who_has_not_is() {
    let (journal, _folder) = journal().await;
    let restored = Restored { backed_up_at_ms: 7000, restored_at_ms: 8000 };
    journal.mark_restored(restored).await.unwrap();
    assert_eq!(journal.restored().await.unwrap(), Some(restored));
    let (_, id) = at(&journal, State::Received).await;
    journal.found_mailed(id, &doctors(&["sato", DOCTOR]), 8000).await.unwrap();
    journal.pulled(id, DOCTOR, 8000).await.unwrap();
    journal.settled().await.unwrap();
    assert_eq!(journal.restored().await.unwrap(), None);
    let untold: Vec<_> = journal.untold().await.unwrap().into_iter().map(|one| one.doctor).collect();
    assert_eq!(untold, ["sato"]);
    assert_eq!(journal.not_notified(id).await.unwrap(), ["sato"]);
}

#[tokio::test]
async fn what_the_trail_has_as_over_ends_and_is_looked_for_in_every_mailbox() {
    let by = Some("sato".to_owned());
    let closed = EndedAgain { how: Some(Ended::Closed), by: by.clone(), deliveries: BTreeSet::new() };
    let recalled = EndedAgain { how: None, by, deliveries: BTreeSet::new() };
    for state in [State::Held, State::Received, State::Compressed, State::Sealed] {
        for (over, becomes) in [(&closed, State::Closed), (&recalled, State::Recalled)] {
            let (journal, _folder) = journal().await;
            let (case, id) = at(&journal, state).await;
            let end =
                async || journal.end_again(case, over, None, &doctors(&["abe", DOCTOR]), 9000).await.unwrap();
            let ended = end().await.unwrap();
            assert_eq!((ended.ended, ended.files), (vec![(id, becomes)], vec![held(1).file]), "{state:?}");
            let searched: Vec<_> =
                journal.mails_to_remove(9000).await.unwrap().into_iter().map(|one| one.doctor).collect();
            assert_eq!(searched, ["abe", DOCTOR], "{state:?}");
            assert!(matches!(journal.case_key(case).await, Err(JournalError::KeyDestroyed)));
            assert!(end().await.is_none(), "it ends once");
            assert!(replay(&journal).await.unwrap().wrong.is_empty(), "{state:?}");
        }
    }
    let (journal, _folder) = journal().await;
    assert!(journal.end_again(CaseId([7; 16]), &closed, None, &[], 9000).await.unwrap().is_none(), "unknown");
    // A recalled study waits for another press.
    let (case, _) = at(&journal, State::Sealed).await;
    let ended = journal.end_again(case, &recalled, Some("SCANPOST"), &[], 9000).await.unwrap().unwrap();
    assert!(ended.held.is_some() && ended.files.is_empty());
}
