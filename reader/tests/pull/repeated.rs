//! Run again, run twice at once, cut off anywhere: one folder, one receipt.

use crate::clinic::DOCTOR;
use crate::{Clinic, FIRST, SECOND, assert_placed, study};
use seal::ids::Digest;
use seal::mail::{MessageId, Site};
use seal::receipt::ReceiptKind;
use std::fs;
use std::time::Duration;

#[test]
fn a_second_run_changes_nothing() {
    let clinic = Clinic::new();
    clinic.put(&clinic.seal(FIRST, &study::slices(1, 4)).mails());
    assert_eq!(clinic.pull().exit, 0);
    let before = clinic.snapshot();
    let run = clinic.pull();
    assert_eq!((run.exit, run.out.as_str()), (0, "1 delivery was pulled before\n"), "{}", run.err);
    assert_eq!(clinic.snapshot(), before);
    assert_eq!(clinic.receipts(DOCTOR, FIRST).len(), 1);
}

#[test]
fn two_runs_at_once_do_not_fight() {
    let clinic = Clinic::new();
    let slices = study::slices(1, 6);
    clinic.put(&clinic.seal(FIRST, &slices).mails());
    let mut runs = [(); 2].map(|()| clinic.command().stdout(std::process::Stdio::null()).spawn().unwrap());
    assert!(runs.iter_mut().all(|run| run.wait().unwrap().success()));
    assert_placed(&clinic, FIRST, &slices);
    assert_eq!(clinic.receipts(DOCTOR, FIRST).len(), 1);
}

#[test]
fn a_run_killed_anywhere_is_completed_by_the_next() {
    let clinic = Clinic::new();
    let slices = study::slices(1, 12);
    clinic.put(&clinic.seal(FIRST, &slices).mails());
    let mut killed = 0;
    for wait_ms in (10..).step_by(15) {
        let mut run = clinic.command().stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        run.kill().unwrap();
        if run.wait().unwrap().success() {
            break;
        }
        killed += 1;
        // A place that is there is there whole.
        if clinic.place(FIRST).exists() {
            assert_placed(&clinic, FIRST, &slices);
        }
    }
    assert!(killed > 2, "killed only {killed} times");
    assert_eq!(clinic.pull().exit, 0);
    assert_placed(&clinic, FIRST, &slices);
    assert_eq!(clinic.receipts(DOCTOR, FIRST).len(), 1);
}

#[test]
fn a_receipt_that_was_sent_but_not_remembered_is_not_sent_again() {
    let clinic = Clinic::new();
    clinic.put(&clinic.seal(FIRST, &study::slices(1, 2)).mails());
    assert_eq!(clinic.pull().exit, 0);
    fs::remove_file(clinic.marker(FIRST)).unwrap();
    assert_eq!(clinic.pull().exit, 0);
    assert!(clinic.marker(FIRST).exists());
    assert_eq!(clinic.receipts(DOCTOR, FIRST).len(), 1);
}

#[test]
fn a_receipt_that_is_owed_is_sent_though_somebody_forged_one() {
    let clinic = Clinic::new();
    clinic.put(&clinic.seal(FIRST, &study::slices(1, 2)).mails());
    assert_eq!(clinic.pull().exit, 0);
    fs::remove_file(clinic.marker(FIRST)).unwrap();
    // Another mailbox: the cover is gone, and only a forged receipt lies there.
    let second = "second@lab.test";
    clinic.configure(|text| text.replace(&format!("user = \"{DOCTOR}\""), &format!("user = \"{second}\"")));
    let recipient: Digest = clinic.doctor.certificate().digest();
    let site = Site::parse(crate::site::SITE).unwrap();
    let id = MessageId::receipt(FIRST.delivery(), ReceiptKind::Fetched, &recipient, &site);
    clinic.dovecot.put(second, "INBOX", &crate::site::mail(id, b"forged"));
    assert!(clinic.receipts(second, FIRST).is_empty());
    assert_eq!(clinic.pull().exit, 0);
    assert_eq!(clinic.receipts(second, FIRST).len(), 1);
    assert!(clinic.marker(FIRST).exists());
}

#[test]
fn pieces_of_a_recalled_delivery_are_swept_away() {
    let clinic = Clinic::new();
    let delivery = clinic.seal(FIRST, &study::slices(1, 6));
    clinic.put(&[delivery.piece_mail(1), delivery.cover_mail()]);
    assert_eq!(clinic.pull().exit, 2);
    let incoming = clinic.output().join(".incoming");
    assert!(incoming.join(FIRST.delivery().to_string()).join("piece-00001").exists());
    clinic.configure(|text| text.replace(&format!("user = \"{DOCTOR}\""), "user = \"second@lab.test\""));
    assert_eq!(clinic.pull().exit, 0);
    assert!(!incoming.join(FIRST.delivery().to_string()).exists());
    assert!(!incoming.join(SECOND.delivery().to_string()).exists());
}
