//! Press, choice and withdrawal on a real journal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::notices::tests::notified;
use super::tests::{earlier, instance, on_disk, reach};
use super::tests_postgres::database;
use super::*;
use crate::notify::{Escalation, Next, Rules};
use crate::roster::Standby;
use compressor::bundle::{Note, Summary};
use compressor::dataset::Banner;
use compressor::{Phi, Purpose, Uid};
use seal::cover::Completeness;
use seal::ids::{CaseId, DeliveryId, Digest, LinkId};
use seal::native::Certificate;
use std::collections::BTreeSet;

const HOLD: &str = "SCANPOST";
const NAME: &str = "Yamada^Tarou";
const WORDS: &str = "Yamada-san: stroke? Please call 2034.";

pub(super) fn held(number: u8) -> NewInstance {
    let mut card = Banner::default();
    card.name.alphabetic = Phi::new(NAME.to_owned());
    let key = FileKey::random().unwrap();
    NewInstance {
        destination: HOLD.into(),
        doctors: Vec::new(),
        card,
        file_key: Some(key),
        ..instance(number)
    }
}

pub(super) async fn journal() -> (Journal, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let master = FileKey::from_bytes([5; 32]);
    (Journal::open_with(database(&folder.path().join("journal.sqlite")), Some(master)).await.unwrap(), folder)
}

pub(super) async fn record(journal: &Journal, instance: NewInstance) -> (DeliveryRow, bool) {
    let Recorded::New { delivery, begins, .. } = journal.record_instance(instance).await.unwrap() else {
        panic!("must be new")
    };
    (journal.delivery(delivery).await.unwrap(), begins)
}

pub(super) const HELD_AS: Option<HeldAs<'static>> = Some(HeldAs { hold: HOLD, calling: "PACS" });

pub(super) fn press(study: PressedStudy, doctor: &str) -> Press {
    let note = Note::new(Phi::new(WORDS.to_owned()));
    Press {
        study,
        doctors: vec![doctor.into()],
        standby: Standby::default(),
        urgent: true,
        note,
        by: "sato".into(),
        at_ms: 5000,
    }
}

pub(super) async fn pressed(journal: &Journal, case: CaseId) -> DeliveryId {
    match journal.press(&press(PressedStudy::Case(case), "tanaka"), HELD_AS).await.unwrap() {
        PressAnswer::Begun(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_study_without_a_doctor_waits_for_one_press_and_a_second_one_is_told_of_it() {
    let (journal, folder) = journal().await;
    let (row, begins) = record(&journal, held(1)).await;
    assert_eq!((row.state, begins), (State::Held, false));
    assert_eq!(journal.unfinished().await.unwrap(), []);
    assert_eq!(journal.files().await.unwrap().len(), 1, "its files are kept");
    let study = &journal.studies(&StudyFilter { after: None, limit: 9 }).await.unwrap()[0];
    assert_eq!(study.card.as_ref().unwrap().name.alphabetic.expose_for(Purpose::Show), NAME);
    assert_eq!((study.modalities.as_slice(), study.series), (["MR".to_owned()].as_slice(), 1));
    let plain = on_disk(folder.path());
    assert!(!plain.windows(NAME.len()).any(|window| window == NAME.as_bytes()), "the list lies encrypted");

    assert_eq!(pressed(&journal, row.case).await, row.id);
    let again = journal.press(&press(PressedStudy::Case(row.case), "suzuki"), HELD_AS).await.unwrap();
    let PressAnswer::Already { delivery, pressed: Some(pressed), doctors } = again else { panic!() };
    assert_eq!((delivery, pressed.by.as_str(), doctors), (row.id, "sato", vec!["tanaka".to_owned()]));
    let row = journal.delivery(row.id).await.unwrap();
    assert!(row.state == State::Received && row.urgent);
    assert_eq!(journal.unfinished().await.unwrap(), [row.id]);
}

#[tokio::test]
async fn a_note_lies_encrypted_until_it_is_in_the_bundle() {
    let (journal, folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    let note = journal.note(row.id, row.case).await.unwrap().unwrap();
    assert_eq!(note.expose_for(Purpose::Show), WORDS);
    let plain = on_disk(folder.path());
    assert!(!plain.windows(WORDS.len()).any(|window| window == WORDS.as_bytes()));
    reach(&journal, row.id, State::Assembled, 6000).await;
    journal.compressed(row.id, &Summary::default(), None, 6000).await.unwrap();
    assert_eq!(journal.note(row.id, row.case).await.unwrap(), None);
    assert_eq!(Note::new(Phi::new("  \n".into())), None);
    assert_eq!(Note::new(Phi::new("x".repeat(4097))), None);
}

#[tokio::test]
async fn two_presses_at_once_make_one_delivery() {
    let (journal, _folder) = journal().await;
    let study = PressedStudy::AtPacs { pacs: "main".into(), study: Uid::parse("1.2.3").unwrap() };
    let presses = ["tanaka", "suzuki"].map(|doctor| press(study.clone(), doctor));
    let answers = futures::future::join_all(presses.iter().map(|press| journal.press(press, HELD_AS))).await;
    let begun: Vec<_> = answers.iter().filter(|one| matches!(one, Ok(PressAnswer::Begun(_)))).collect();
    let already: Vec<_> =
        answers.iter().filter(|one| matches!(one, Ok(PressAnswer::Already { .. }))).collect();
    assert_eq!((begun.len(), already.len()), (1, 1), "{answers:?}");
    // What the PACS gives then is of that delivery.
    let (row, begins) = record(&journal, held(1)).await;
    assert!(!begins && row.pressed.is_some() && row.state == State::Received);
}

#[tokio::test]
async fn what_comes_late_follows_to_the_same_doctors() {
    let (journal, _folder) = journal().await;
    let (first, _) = record(&journal, held(1)).await;
    pressed(&journal, first.case).await;
    assert!(journal.assembled(first.id, 1, Completeness::Proved { instances: 1 }, 6000).await.unwrap());
    let (late, begins) = record(&journal, held(2)).await;
    assert!(begins && late.case == first.case && late.sequence == 2 && late.urgent);
    assert_eq!(journal.recipients(late.id).await.unwrap()[0].doctor, "tanaka");
}

#[tokio::test]
async fn a_choice_counts_only_while_one_is_waited_for() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    assert!(!journal.choose(row.id, Choice::Partial, "sato").await.unwrap());
    journal.listed(row.id, Some(2)).await.unwrap();
    assert!(journal.choose(row.id, Choice::Partial, "sato").await.unwrap());
    let row = journal.delivery(row.id).await.unwrap();
    assert_eq!((row.listed, row.choice), (Some(2), Some(Choice::Partial)));
}

#[tokio::test]
async fn a_cancelled_study_waits_for_another_press_under_another_key() {
    let (journal, folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    let old_key = journal.case_key(row.case).await.unwrap().unwrap();
    let file_key = old_key.unwrap(&journal.instances(row.id).await.unwrap()[0].file_key.unwrap()).unwrap();
    let withdrawal = journal.withdraw(row.case, Some(HOLD), "sato", 6000).await.unwrap().unwrap();
    assert_eq!(withdrawal.ended, [(row.id, State::Cancelled)]);
    assert!(withdrawal.files.is_empty());
    assert!(matches!(journal.case_key(row.case).await, Err(JournalError::KeyDestroyed)));
    let case = withdrawal.held.unwrap();
    let study = journal.study_of(case).await.unwrap().unwrap();
    assert_eq!(study.delivery.state, "held");
    assert!(study.card.unwrap().name.alphabetic.expose_for(Purpose::Show) == NAME);
    let new_key = journal.case_key(case).await.unwrap().unwrap();
    let moved = journal.instances(study.delivery.id).await.unwrap().remove(0);
    assert!(new_key != old_key && new_key.unwrap(&moved.file_key.unwrap()) == Some(file_key));
    assert_eq!(journal.subjects(study.delivery.id).await.unwrap().len(), 1);
    assert_eq!(journal.subjects(row.id).await.unwrap().len(), 1, "a late receipt is of this patient still");
    assert_eq!(journal.withdraw(row.case, Some(HOLD), "sato", 6000).await.unwrap().map(|_| ()), None);
    assert!(journal.destroy_keys_over(6000).await.is_ok(), "the log is emptied");
    drop(folder);
    let next = pressed(&journal, case).await;
    assert_ne!(next, row.id);
}

#[tokio::test]
async fn a_recalled_study_is_looked_for_in_each_mailbox_until_none_is_left() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    assert!(journal.assembled(row.id, 1, Completeness::Proved { instances: 1 }, 6000).await.unwrap());
    reach(&journal, row.id, State::Compressed, 6000).await;
    journal.sealed(row.id, 1, 1000, Some(Digest([3; 32])), 6000).await.unwrap();
    journal.accepted(row.id, 1, "tanaka", 6000).await.unwrap();
    let withdrawal = journal.withdraw(row.case, None, "sato", 7000).await.unwrap().unwrap();
    assert_eq!(withdrawal.ended, [(row.id, State::Recalled)]);
    assert_eq!((withdrawal.held, withdrawal.files), (None, vec![held(1).file]));
    let hours = |hours: i64| 7000 + hours * 3_600_000;
    let mail = [Removal { delivery: row.id, doctor: "tanaka".into(), receipts: false, everywhere: true }];
    assert_eq!(journal.mails_to_remove(hours(9)).await.unwrap(), mail, "nobody has looked yet");
    journal.mails_removed(row.id, "tanaka", 2).await.unwrap();
    journal.no_mail_left(row.id, "tanaka", Some((1, 0)), 8000).await.unwrap();
    assert_eq!(journal.mails_to_remove(8000).await.unwrap(), mail, "one may be on its way");
    assert_eq!(
        journal.mails_to_remove(hours(9_000)).await.unwrap(),
        mail,
        "a clock that jumps ends no looking"
    );
    journal.ran(3_600_000).await.unwrap();
    assert_eq!(journal.mails_to_remove(8000).await.unwrap(), []);
    let known = journal.report().await.unwrap()[0].doctors[0].withdrawn.clone().unwrap();
    assert_eq!((known.removed, known.looked_at_ms, known.stays), (2, Some(8000), false));
    journal.troubled(row.id, "too late", GivesUp::Yes, 9000).await.unwrap();
    assert_eq!(journal.delivery(row.id).await.unwrap().state, State::Recalled, "a state never goes back");
}

#[tokio::test]
async fn mails_of_an_ended_link_are_not_looked_for_for_ever_where_they_must_stay() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let link = LinkRow {
        id: LinkId([7; 16]),
        doctor: "outside".into(),
        certificate: Certificate::from_der(certificate.der()).unwrap(),
        message: None,
        expires_at_ms: 7000,
    };
    let made = MadeLink { case: row.case, row: &link, by: "sato", at_ms: 6000 };
    journal.add_link(made).await.unwrap();
    assert_eq!(journal.end_links_over(7000).await.unwrap(), 1);
    let hours = |hours: i64| 7000 + hours * 3_600_000;
    let removal =
        |delivery, everywhere| Removal { delivery, doctor: "outside".into(), receipts: false, everywhere };
    let mails = |everywhere| {
        let mut mails = vec![removal(DeliveryId(link.id.0), everywhere), removal(row.id, everywhere)];
        mails.sort_by_key(|removal| removal.delivery.0);
        mails
    };
    assert_eq!(
        journal.mails_to_remove(hours(9)).await.unwrap(),
        mails(false),
        "nobody has looked yet, and the case is open"
    );
    journal.mails_stay(row.id, "outside").await.unwrap();
    assert_eq!(journal.mails_to_remove(8000).await.unwrap(), mails(false), "one may be on its way");
    assert_eq!(journal.mails_to_remove(hours(2)).await.unwrap(), [], "the mailbox gives no right to delete");
    let id = DeliveryId(link.id.0);
    journal.no_mail_left(id, "outside", None, 8000).await.unwrap();
    assert_eq!(journal.mails_to_remove(hours(2)).await.unwrap(), [], "one folder is enough");
    journal.withdraw(row.case, None, "sato", 9000).await.unwrap().unwrap();
    assert_eq!(journal.mails_to_remove(hours(2)).await.unwrap(), mails(true), "now it is not");
    journal.no_mail_left(id, "outside", None, 9100).await.unwrap();
    assert_eq!(journal.mails_to_remove(hours(2)).await.unwrap(), mails(true), "what was on its way by then");
    journal.no_mail_left(id, "outside", Some((2, 0)), 9200).await.unwrap();
    assert_eq!(journal.mails_to_remove(hours(2)).await.unwrap(), []);
}

#[tokio::test]
async fn a_dead_letter_is_taken_up_where_it_stood_and_a_notice_goes_again() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    assert!(journal.assembled(row.id, 1, Completeness::Proved { instances: 1 }, 6000).await.unwrap());
    journal.troubled(row.id, "refused", GivesUp::Yes, 6000).await.unwrap();
    assert!(journal.retry(row.id).await.unwrap() && !journal.retry(row.id).await.unwrap());
    assert_eq!(journal.delivery(row.id).await.unwrap().state, State::Assembled);
    assert!(journal.notify_again(row.id).await.unwrap().is_empty());
    reach(&journal, row.id, State::Notified, 7000).await;
    notified(&journal, row.id, "tanaka", 7000).await;
    let notice = journal.recipients(row.id).await.unwrap()[0].notice;
    assert_eq!(journal.notify_again(row.id).await.unwrap(), ["tanaka"]);
    let recipient = &journal.recipients(row.id).await.unwrap()[0];
    assert!(!recipient.notified && recipient.notice != notice);
    assert_eq!(journal.delivery(row.id).await.unwrap().state, State::Submitted);
}

#[tokio::test]
async fn a_journal_of_the_version_before_keeps_its_deliveries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let pool = earlier(&path, 0..12).await;
    for statement in [
        "INSERT INTO study_case VALUES (zeroblob(16), 'ONCALL', '1.2.3', 1, NULL, NULL, NULL)",
        "INSERT INTO delivery (id, case_id, sequence, state, calling, remark) VALUES (x'01010101010101010101010101010101', zeroblob(16), 1, 'notified', 'PACS', 'words')",
        "INSERT INTO delivery (id, case_id, sequence, state, calling, residual_of) VALUES (x'02020202020202020202020202020202', zeroblob(16), 2, 'sealed', 'PACS', x'01010101010101010101010101010101')",
        "INSERT INTO recipient (delivery_id, doctor, notice_id) VALUES (x'01010101010101010101010101010101', 'tanaka', zeroblob(16))",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let journal = Journal::open(Database::File(path)).await.unwrap();
    let base = journal.delivery(DeliveryId([1; 16])).await.unwrap();
    let residual = journal.delivery(DeliveryId([2; 16])).await.unwrap();
    assert_eq!((base.state, residual.residual_of), (State::Notified, Some(base.id)));
    assert_eq!(journal.recipients(base.id).await.unwrap().len(), 1);
    let broken = sql::query("PRAGMA foreign_key_check").fetch_all(&journal.pool).await.unwrap();
    assert!(broken.is_empty());
    let wrong = sql::query(
        "INSERT INTO recipient (delivery_id, doctor, notice_id) VALUES (x'03030303030303030303030303030303', 'x', zeroblob(16))",
    );
    assert!(wrong.execute(&journal.pool).await.is_err(), "rows still point to the new table");
}

/// The kept numbers are those that counting gives, whatever moved.
async fn assert_counts(journal: &Journal) {
    let wrong = sql::query(
        "SELECT 1 FROM delivery d LEFT JOIN delivery_count n ON n.delivery_id = d.id
         WHERE coalesce(n.instances, 0) <> (SELECT count(*) FROM instance i WHERE i.delivery_id = d.id)
            OR coalesce(n.conflicts, 0) <> (SELECT coalesce(sum(conflict), 0) FROM instance i WHERE i.delivery_id = d.id)
            OR coalesce(n.bytes, 0) <> (SELECT coalesce(sum(bytes), 0) FROM instance i WHERE i.delivery_id = d.id)",
    );
    assert!(wrong.fetch_all(&journal.pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_numbers_of_a_list_are_those_that_counting_gives() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    record(&journal, held(2)).await;
    record(&journal, NewInstance { sha256: [9; 32], modality: Some("CT".into()), series: None, ..held(2) })
        .await;
    assert_counts(&journal).await;
    let study = journal.study_of(row.case).await.unwrap().unwrap();
    assert_eq!((study.delivery.instances, study.delivery.conflicts, study.series), (3, 1, 2));
    assert_eq!(study.modalities, ["CT", "MR"]);
    pressed(&journal, row.case).await;
    journal.troubled(row.id, "lost", GivesUp::Yes, 5000).await.unwrap();
    let (again, _) = record(&journal, NewInstance { file: "again".into(), ..held(1) }).await;
    assert_ne!(again.id, row.id);
    assert_counts(&journal).await;
    journal.withdraw(row.case, Some(HOLD), "sato", 6000).await.unwrap();
    assert_counts(&journal).await;
    let listed = journal.searched(9).await.unwrap();
    let of_ct = listed.iter().filter(|study| study.modalities.contains("CT")).count();
    assert_eq!(of_ct, 2, "the one that was withdrawn and the one that waits");
}

#[tokio::test]
async fn a_study_that_was_withdrawn_says_whose_it_is_as_long_as_it_waits_again() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    let name = async |case: CaseId| {
        let card = journal.study_of(case).await.unwrap().unwrap().card;
        card.map(|card| card.name.alphabetic.expose_for(Purpose::Compare).clone())
    };
    let second = journal.withdraw(row.case, Some(HOLD), "sato", 6000).await.unwrap().unwrap().held.unwrap();
    pressed(&journal, second).await;
    let third = journal.withdraw(second, Some(HOLD), "sato", 7000).await.unwrap().unwrap().held.unwrap();
    for case in [row.case, second, third] {
        assert_eq!(name(case).await.as_deref(), Some(NAME));
    }
    assert_eq!(journal.searched(9).await.unwrap().len(), 3, "a search finds all of them");
    journal.ran(9_000).await.unwrap();
    journal.give_up_held(third, 9_000, "hold_hours", 9_000_000).await.unwrap().unwrap();
    for case in [row.case, second, third] {
        assert_eq!(name(case).await, None, "what is deleted is shown nowhere");
    }
}

fn standby() -> Standby {
    Standby { doctors: vec!["suzuki".to_owned(), "ito".to_owned()], group: Some("stroke".to_owned()) }
}

#[tokio::test]
async fn what_is_added_to_a_case_is_no_second_alarm_unless_it_is_urgent_or_a_person_asks() {
    for urgent in [false, true] {
        let (journal, _folder) = journal().await;
        let (row, _) = record(&journal, held(1)).await;
        let press = Press { urgent, standby: standby(), ..press(PressedStudy::Case(row.case), "tanaka") };
        journal.press(&press, HELD_AS).await.unwrap();
        assert_eq!(journal.delivery(row.id).await.unwrap().duty_group.as_deref(), Some("stroke"));
        journal.accepted(row.id, PART_COVER, "tanaka", 5000).await.unwrap();
        reach(&journal, row.id, State::Submitted, 5000).await;
        let (supplement, _) = record(&journal, held(2)).await;
        journal.accepted(supplement.id, PART_COVER, "tanaka", 5000).await.unwrap();
        reach(&journal, supplement.id, State::Submitted, 5000).await;
        let untold =
            async || journal.untold().await.unwrap().into_iter().map(|one| one.delivery).collect::<Vec<_>>();
        let both = vec![row.id, supplement.id];
        assert_eq!(
            BTreeSet::from_iter(untold().await),
            BTreeSet::from_iter(both.into_iter().take(if urgent { 2 } else { 1 }))
        );
        notified(&journal, row.id, "tanaka", 6000).await;
        assert_eq!(untold().await, if urgent { vec![supplement.id] } else { vec![] });
        assert_eq!(journal.not_notified(supplement.id).await.unwrap().is_empty(), !urgent);
        let supplement = journal.delivery(supplement.id).await.unwrap();
        assert_eq!(supplement.duty_group.as_deref(), Some("stroke"));
        assert!(journal.unopened_deliveries().await.unwrap().contains(&supplement.id));
        journal.seen(row.id, "tanaka", 7000).await.unwrap();
        assert_eq!(journal.unopened_deliveries().await.unwrap().contains(&supplement.id), urgent);
        if !urgent {
            reach(&journal, supplement.id, State::Notified, 8000).await;
            assert_eq!(journal.notify_again(supplement.id).await.unwrap(), ["tanaka"]);
            assert_eq!(untold().await, [supplement.id]);
        }
    }
}

#[tokio::test]
async fn who_stands_behind_is_told_when_the_turn_comes_and_not_once_somebody_opened_it() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    let standby = standby();
    let press = Press { standby, ..press(PressedStudy::Case(row.case), "tanaka") };
    journal.press(&press, HELD_AS).await.unwrap();
    assert_eq!(journal.unopened_deliveries().await.unwrap(), [], "nothing was mailed yet");
    reach(&journal, row.id, State::Notified, 6000).await;
    assert_eq!(journal.unopened_deliveries().await.unwrap(), [row.id]);
    let told = async || {
        let recipients = journal.recipients(row.id).await.unwrap().into_iter().filter(|one| one.is_told);
        recipients.map(|one| one.doctor).collect::<Vec<_>>()
    };
    assert_eq!(told().await, ["tanaka"]);
    assert_eq!(journal.notify_again(row.id).await.unwrap(), ["tanaka"], "who was not told is not told again");
    assert!(journal.reached(row.id, Step::Notified, 6500).await.unwrap());
    assert!(journal.escalate(row.id, "suzuki", 7000).await.unwrap());
    assert!(!journal.escalate(row.id, "suzuki", 7001).await.unwrap(), "once");
    assert!(journal.reached(row.id, Step::Notified, 7050).await.unwrap());
    assert!(
        !journal.report().await.unwrap().remove(0).seconds.contains_key("pulled"),
        "nobody has pulled it"
    );
    assert_eq!(told().await.len(), 2);
    notified(&journal, row.id, "suzuki", 7100).await;
    journal.pulled(row.id, "suzuki", 8000).await.unwrap();
    assert_eq!(journal.unopened_deliveries().await.unwrap(), []);
    assert!(!journal.escalate(row.id, "ito", 9000).await.unwrap());
    // A late image goes to those who know of the study at once.
    let (supplement, _) = record(&journal, held(2)).await;
    let standings = journal.standings(supplement.id).await.unwrap();
    let places: Vec<_> = standings.iter().map(|one| (one.doctor.as_str(), one.stands_behind)).collect();
    assert_eq!(places, [("ito", 2), ("suzuki", 0), ("tanaka", 0)]);
}

#[tokio::test]
async fn who_hands_a_case_over_has_not_opened_it_and_whoever_stands_behind_is_next() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    let press = Press { standby: standby(), ..press(PressedStudy::Case(row.case), "tanaka") };
    journal.press(&press, HELD_AS).await.unwrap();
    journal.accepted(row.id, PART_COVER, "tanaka", 5000).await.unwrap();
    reach(&journal, row.id, State::Submitted, 5000).await;
    notified(&journal, row.id, "tanaka", 6000).await;
    journal.pulled(row.id, "tanaka", 7000).await.unwrap();
    reach(&journal, row.id, State::Pulled, 7000).await;
    assert_eq!(journal.unopened_deliveries().await.unwrap(), []);
    assert_eq!(journal.passed_on(row.case, "nobody", 8000).await.unwrap(), []);
    assert_eq!(journal.passed_on(row.case, "tanaka", 8000).await.unwrap(), [row.id]);
    assert_eq!(journal.passed_on(row.case, "tanaka", 9000).await.unwrap(), [], "once");
    assert_eq!(journal.unopened_deliveries().await.unwrap(), [row.id]);
    assert_eq!(journal.unopened().await.unwrap().len(), 1, "the page may ring");
    assert!(!journal.recipients(row.id).await.unwrap().iter().any(|one| one.opened));
    let report = journal.report_of(row.id).await.unwrap().unwrap();
    assert_eq!((report.state.as_str(), report.doctors[2].passed_on_at_ms), ("pulled", Some(8000)));
    let standings = journal.standings(row.id).await.unwrap();
    let next = escalation(&standings).next();
    assert_eq!(next, Next::Tell { doctor: "suzuki".into(), at_ms: i64::MIN }, "at once");
    assert_eq!(
        journal.notify_again(row.id).await.unwrap(),
        Vec::<String>::new(),
        "who handed it over is left in peace"
    );
    assert!(journal.escalate(row.id, "suzuki", 8500).await.unwrap(), "though it was fetched");
    journal.accepted(row.id, PART_COVER, "suzuki", 8500).await.unwrap();
    assert_eq!(
        journal.untold().await.unwrap().into_iter().map(|one| one.doctor).collect::<Vec<_>>(),
        ["suzuki"]
    );
    // Also with what comes later.
    let (supplement, _) = record(&journal, held(2)).await;
    assert!(
        journal
            .recipients(supplement.id)
            .await
            .unwrap()
            .iter()
            .any(|one| one.passed_on && one.doctor == "tanaka")
    );
    assert!(journal.alarm(row.case, 9000).await.unwrap() && !journal.alarm(row.case, 9000).await.unwrap());
    assert_eq!(journal.passed_on(row.case, "suzuki", 10_000).await.unwrap().len(), 2);
    assert!(journal.alarm(row.case, 11_000).await.unwrap(), "the alarm is raised anew");
}

fn escalation(standings: &[crate::notify::Standing]) -> Escalation<'_> {
    let rules = Rules {
        channel_after_ms: None,
        escalate_after_ms: Some(0),
        everybody_after_ms: None,
        alarm_after_ms: 0,
    };
    Escalation { standings, rules, next_level: &|_, _| None, awake_at_ms: &|_, at_ms| at_ms }
}

/// Whatever shows that a person has it ends escalation, also for one whose turn came in the same moment.
#[tokio::test]
async fn an_image_on_the_screen_a_word_and_an_answer_each_end_escalation() {
    for receipt in 0..3 {
        let (journal, _folder) = journal().await;
        let (row, _) = record(&journal, held(1)).await;
        let standby = standby();
        let press = Press { standby, ..press(PressedStudy::Case(row.case), "tanaka") };
        journal.press(&press, HELD_AS).await.unwrap();
        reach(&journal, row.id, State::Notified, 6000).await;
        assert!(journal.escalate(row.id, "suzuki", 7000).await.unwrap());
        journal.accepted(row.id, PART_COVER, "suzuki", 7000).await.unwrap();
        assert_eq!(journal.untold().await.unwrap().len(), 1);
        assert_eq!(journal.unopened_deliveries().await.unwrap(), [row.id]);
        let digest = seal::ids::Digest([1; 32]);
        match receipt {
            0 => journal.first_image(row.id, "tanaka", 8000).await.unwrap(),
            1 => journal.seen(row.id, "tanaka", 8000).await.unwrap(),
            _ => {
                let came = Came::Answer(seal::answer::Answer::CallBack);
                assert!(journal.answered(row.id, "tanaka", &digest, &came, 8000).await.unwrap());
            }
        }
        assert_eq!(journal.unopened_deliveries().await.unwrap(), []);
        assert!(!journal.escalate(row.id, "ito", 9000).await.unwrap());
        assert_eq!(journal.untold().await.unwrap().len(), 0, "suzuki is left in peace");
        let standings = journal.standings(row.id).await.unwrap();
        assert_eq!(escalation(&standings).next(), Next::Over);
    }
}

#[tokio::test]
async fn key_images_are_marked_until_the_study_is_packed_and_stay_with_what_waits_again() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    record(&journal, held(2)).await;
    let ids: Vec<i64> = journal.choosable(row.case).await.unwrap().iter().map(|one| one.id).collect();
    assert_eq!(ids.len(), 2);
    assert!(journal.mark_key_images(row.case, &ids).await.unwrap());
    assert!(journal.mark_key_images(row.case, &[ids[1], 999]).await.unwrap());
    assert_eq!(journal.key_images(row.case).await.unwrap().len(), 1);
    assert_eq!(journal.study_of(row.case).await.unwrap().unwrap().key_images, 1);
    journal.keep_picture(row.case, 2, b"JPEG").await.unwrap();
    assert_eq!(journal.picture(row.case).await.unwrap(), Some((2, b"JPEG".to_vec())));
    pressed(&journal, row.case).await;
    assert!(journal.mark_key_images(row.case, &ids[..1]).await.unwrap(), "it is not packed yet");
    let again = journal.withdraw(row.case, Some(HOLD), "sato", 6000).await.unwrap().unwrap().held.unwrap();
    assert_eq!(journal.key_images(again).await.unwrap().len(), 1);
    assert_eq!(journal.study_of(row.case).await.unwrap().unwrap().key_images, 0);
    assert!(matches!(journal.picture(row.case).await, Ok(None)));
    let delivery = pressed(&journal, again).await;
    journal.assembled(delivery, 2, Completeness::Proved { instances: 2 }, 7000).await.unwrap();
    assert!(!journal.mark_key_images(again, &ids).await.unwrap(), "too late");
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended_also_among_studies_of_one_moment() {
    let (journal, _folder) = journal().await;
    for study in 0..7 {
        let study = Some(Uid::parse(&format!("1.2.{study}")).unwrap());
        record(&journal, NewInstance { study, ..held(1) }).await;
    }
    let all = journal.studies(&StudyFilter { after: None, limit: 9 }).await.unwrap();
    assert!(all.windows(2).all(|two| two[0].opened_at_ms >= two[1].opened_at_ms), "the newest first");
    let (mut after, mut parts) = (None, Vec::new());
    loop {
        let part = journal.studies(&StudyFilter { after, limit: 2 }).await.unwrap();
        let Some(last) = part.last() else { break };
        after = Some(last.delivery.case);
        parts.extend(part.into_iter().map(|study| study.delivery.case));
    }
    assert_eq!(parts, all.iter().map(|study| study.delivery.case).collect::<Vec<_>>());
    assert_eq!(journal.searched(9).await.unwrap().iter().map(|study| study.case).collect::<Vec<_>>(), parts);
}

/// Figures for docs/page.md: `cargo nextest run --run-ignored only a_list_of_two_thousand`.
#[tokio::test]
#[ignore = "a measurement"]
async fn a_list_of_two_thousand_studies() {
    let (journal, _folder) = journal().await;
    for study in 0..2000_u32 {
        let instances = (0..3).map(|number| NewInstance {
            file: format!("{study}-{number}"),
            study: Some(Uid::parse(&format!("1.2.{study}")).unwrap()),
            ..held(number)
        });
        let recorded = instances.map(|instance| journal.record_instance(instance));
        assert!(futures::future::join_all(recorded).await.iter().all(Result::is_ok));
    }
    let mut milliseconds: Vec<u128> = Vec::new();
    for _ in 0..20 {
        let began = std::time::Instant::now();
        let studies = journal.studies(&StudyFilter { after: None, limit: 5000 }).await.unwrap();
        assert_eq!(studies.len(), 2000);
        milliseconds.push(began.elapsed().as_millis());
    }
    milliseconds.sort_unstable();
    println!(
        "2000 studies listed in {} ms (median of 20), {} ms at most",
        milliseconds[10], milliseconds[19]
    );
}

#[tokio::test]
async fn a_study_that_was_withdrawn_waits_as_long_as_one_that_came_and_nobody_deletes_what_was_pressed() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    assert_eq!(
        journal.held_since(3_600, 9_000_000).await.unwrap(),
        [],
        "only its clock says that time went by"
    );
    journal.ran(3_600).await.unwrap();
    assert_eq!(journal.held_since(3_600, 9_000_000).await.unwrap(), [row.case]);
    pressed(&journal, row.case).await;
    assert!(journal.give_up_held(row.case, 3_600, "hold_hours", 9_000_000).await.unwrap().is_none());
    assert_eq!(journal.delivery(row.id).await.unwrap().state, State::Received);
    journal.withdraw(row.case, Some(HOLD), "sato", 9_500_000).await.unwrap().unwrap();
    assert_eq!(journal.held_since(3_600, 9_600_000).await.unwrap(), [], "its time begins anew");
    journal.ran(3_600).await.unwrap();
    let [case] = journal.held_since(3_600, 9_600_000).await.unwrap()[..] else { panic!() };
    let given_up = journal.give_up_held(case, 3_600, "hold_hours", 9_700_000).await.unwrap().unwrap();
    assert_eq!(given_up.files, [held(1).file]);
    assert!(journal.study_of(case).await.unwrap().unwrap().card.is_none());
}

#[tokio::test]
async fn a_dead_letter_that_was_partly_mailed_goes_on_for_all_it_was_sealed_for() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    let doctors = ["tanaka", "suzuki", "mori"].map(str::to_owned).to_vec();
    let all = Press { doctors, ..press(PressedStudy::Case(row.case), "tanaka") };
    journal.press(&all, HELD_AS).await.unwrap();
    assert!(journal.assembled(row.id, 1, Completeness::Proved { instances: 1 }, 6000).await.unwrap());
    journal.compressed(row.id, &Summary::default(), None, 6000).await.unwrap();
    journal.left_out(row.id, "mori", "no certificate").await.unwrap();
    journal.sealed(row.id, 2, 1000, Some(Digest([3; 32])), 6000).await.unwrap();
    journal.accepted(row.id, 1, "tanaka", 6500).await.unwrap();
    journal.refused(row.id, "tanaka", "552").await.unwrap();
    journal.refused(row.id, "suzuki", "552").await.unwrap();
    journal.troubled(row.id, "nobody is left", GivesUp::Yes, 7000).await.unwrap();
    assert!(journal.retry(row.id).await.unwrap());
    assert_eq!(journal.delivery(row.id).await.unwrap().state, State::Sealed, "with the same bytes");
    for recipient in journal.recipients(row.id).await.unwrap() {
        assert_eq!(recipient.refused.is_some(), recipient.doctor == "mori", "{}", recipient.doctor);
    }
}

#[tokio::test]
async fn a_dead_letter_is_tried_again_for_all_its_doctors_but_not_when_its_images_went_elsewhere() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    assert!(journal.assembled(row.id, 1, Completeness::Proved { instances: 1 }, 6000).await.unwrap());
    journal.compressed(row.id, &Summary::default(), None, 6000).await.unwrap();
    reach(&journal, row.id, State::Compressed, 6000).await;
    journal.sealed(row.id, 1, 1000, Some(Digest([3; 32])), 6000).await.unwrap();
    journal.refused(row.id, "tanaka", "550").await.unwrap();
    journal.troubled(row.id, "nobody is left", GivesUp::Yes, 7000).await.unwrap();
    assert_eq!(journal.dead_letters().await.unwrap(), [row.id], "what was made of it is kept");
    assert!(journal.retry(row.id).await.unwrap());
    assert_eq!(journal.delivery(row.id).await.unwrap().state, State::Compressed, "it is sealed anew");
    assert!(journal.recipients(row.id).await.unwrap()[0].refused.is_none());
    journal.troubled(row.id, "lost", GivesUp::Yes, 8000).await.unwrap();
    record(&journal, NewInstance { file: "again".into(), ..held(1) }).await;
    assert!(!journal.retry(row.id).await.unwrap(), "its image belongs to the delivery that was sent again");
}

#[tokio::test]
async fn a_case_that_is_over_makes_room_for_a_press_from_the_pacs() {
    let (journal, _folder) = journal().await;
    let (row, _) = record(&journal, held(1)).await;
    pressed(&journal, row.case).await;
    reach(&journal, row.id, State::Pulled, 6000).await;
    let study = PressedStudy::AtPacs { pacs: "main".into(), study: Uid::parse("1.2.3").unwrap() };
    let early = journal.press(&press(study.clone(), "tanaka"), HELD_AS).await.unwrap();
    assert!(matches!(early, PressAnswer::Already { .. }), "the case is open for a day");
    let late = Press { at_ms: 2 * 24 * 3_600_000, ..press(study, "tanaka") };
    let jumped = journal.press(&late, HELD_AS).await.unwrap();
    assert!(matches!(jumped, PressAnswer::Already { .. }), "a clock that jumps closes no case");
    journal.ran(24 * 3_600_000).await.unwrap();
    assert!(matches!(journal.press(&late, HELD_AS).await.unwrap(), PressAnswer::Begun(_)));
}

#[tokio::test]
async fn a_series_is_shown_by_instance_number_whatever_came_first() {
    let (journal, _folder) = journal().await;
    let mut case = None;
    for (number, place) in [(1, Some(30)), (2, None), (3, Some(10)), (4, Some(20)), (5, Some(-1))] {
        let coming = NewInstance { instance_number: place, ..instance(number) };
        case = Some(record(&journal, coming).await.0.case);
    }
    let case = case.unwrap();
    let shown = journal.choosable(case).await.unwrap();
    let shown: Vec<_> = shown.iter().map(|one| one.sop_instance.as_str()).collect();
    assert_eq!(shown, ["1.2.3.4.5", "1.2.3.4.3", "1.2.3.4.4", "1.2.3.4.1", "1.2.3.4.2"]);
    let (instances, middle) = journal.middle_instance(case).await.unwrap().unwrap();
    assert_eq!((instances, middle.sop_instance.as_str()), (5, "1.2.3.4.4"));
}
