//! What waits for somebody, on a real journal.
#![allow(clippy::unwrap_used)]

use super::super::notices::tests::notified;
use super::super::tests::{instance, journal, reach};
use super::*;
use crate::journal::{GivesUp, NewInstance, Recorded};
use seal::ids::DeliveryId;

/// A moment after all of them.
const LATER_MS: i64 = 9_000_000;

/// The delivery that takes an image of the one study.
async fn came(journal: &Journal, instance: NewInstance) -> DeliveryId {
    let Recorded::New { delivery, .. } = journal.record_instance(instance).await.unwrap() else { panic!() };
    delivery
}

/// A supplement that was told of.
async fn late_image(journal: &Journal, number: u8) -> DeliveryId {
    let supplement = came(journal, instance(number)).await;
    reach(journal, supplement, State::Notified, 6000).await;
    supplement
}

async fn outstanding(journal: &Journal) -> Outstanding {
    journal.outstanding(LATER_MS).await.unwrap()
}

#[tokio::test]
async fn a_late_image_hides_no_dead_letter_and_all_sent_again_is_none() {
    let (journal, _folder) = journal().await;
    let first = came(&journal, instance(1)).await;
    journal.refused(first, "tanaka", "unknown mailbox").await.unwrap();
    journal.troubled(first, &format!("operator: {MAILBOX_FULL}"), GivesUp::Yes, 5000).await.unwrap();
    let alone = outstanding(&journal).await;
    let dead =
        Outstanding { failed: 1, in_trouble: 1, mailboxes_full: 1, refused: 1, ..Outstanding::default() };
    assert_eq!(alone, dead);
    late_image(&journal, 2).await;
    assert_eq!(outstanding(&journal).await, dead);
    assert_eq!(journal.progress(10).await.unwrap().len(), 1, "one for each case");
    let again = came(&journal, NewInstance { file: "again".into(), ..instance(1) }).await;
    reach(&journal, again, State::Pulled, 7000).await;
    assert_eq!(outstanding(&journal).await, Outstanding::default());
}

#[tokio::test]
async fn a_late_image_hides_no_study_that_waits_for_the_mail_server() {
    let (journal, _folder) = journal().await;
    let first = came(&journal, instance(1)).await;
    reach(&journal, first, State::Sealed, 2000).await;
    journal.troubled(first, "the mail server does not answer", GivesUp::No, 5000).await.unwrap();
    late_image(&journal, 2).await;
    let waits = outstanding(&journal).await;
    assert_eq!((waits.in_trouble, waits.unsent_since_ms), (1, Some(instance(1).received_at_ms)));
    reach(&journal, first, State::Submitted, 7000).await;
    assert_eq!(outstanding(&journal).await.unsent_since_ms, None);
}

#[tokio::test]
async fn what_nobody_can_open_is_not_unopened_and_who_gets_nothing_of_it_counts() {
    let (journal, _folder) = journal().await;
    let first = came(&journal, instance(1)).await;
    journal.refused(first, "sato", "unknown mailbox").await.unwrap();
    reach(&journal, first, State::Notified, 2000).await;
    notified(&journal, first, "tanaka", 6000).await;
    let unopened = async |before_ms| journal.outstanding(before_ms).await.unwrap().unopened;
    assert_eq!((unopened(6000).await, unopened(6001).await), (0, 1));
    late_image(&journal, 2).await;
    assert_eq!(unopened(6001).await, 1);
    assert!(journal.handed_over(first, 7000).await.unwrap());
    let handed_over = outstanding(&journal).await;
    assert_eq!((handed_over.unopened, handed_over.refused), (0, 1));
}
