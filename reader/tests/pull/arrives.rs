//! What arrives, in every way mail may bring it.

use crate::clinic::DOCTOR;
use crate::dovecot::SPAM;
use crate::site::{Delivery, SITE};
use crate::{Clinic, FIRST, Plan, SECOND, assert_placed, study};
use seal::mail::Part;
use std::fs;

#[test]
fn a_whole_delivery_is_placed_and_receipted() {
    let clinic = Clinic::new();
    let slices = study::slices(1, 6);
    let delivery = clinic.seal(FIRST, &slices);
    assert!(delivery.pieces() >= 3, "{} pieces", delivery.pieces());
    clinic.put(&delivery.mails());
    let (exit, list) = clinic.pull_json();
    assert_eq!(exit, 0, "{list}");
    assert_placed(&clinic, FIRST, &slices);
    let bytes: u64 = delivery.sealed.piece_bytes().iter().sum::<u64>() + delivery.sealed.cover_bytes();
    assert_eq!(
        (&list[0]["state"], &list[0]["instances"], &list[0]["bytes_mail"]),
        (&"pulled".into(), &6.into(), &bytes.into())
    );
    assert!(
        list[0]["seconds"]["fetch"].as_f64().unwrap() > 0.0
            && list[0]["seconds"]["unpack"].as_f64().unwrap() > 0.0
    );
    let receipts = clinic.receipts(DOCTOR, FIRST);
    assert_eq!(receipts.len(), 1);
    assert_eq!((receipts[0].cover, receipts[0].instances), (delivery.sealed.cover_digest(), 6));
    assert!(
        fs::read_dir(clinic.output().join(".incoming")).unwrap().next().is_none(),
        "pieces were left behind"
    );
}

#[test]
fn the_record_tells_what_it_is_and_nothing_of_the_patient() {
    let clinic = Clinic::new();
    clinic.put(&clinic.seal(FIRST, &study::slices(1, 2)).mails());
    assert_eq!(clinic.pull().exit, 0);
    let text = fs::read_to_string(clinic.place(FIRST).join("delivery.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&record["site"], &record["instances"]), (&SITE.into(), &2.into()));
    assert_eq!(record["completeness"]["is"], "proved");
    assert!(!text.contains("Doe") && !text.contains("1.2.3.9"), "{text}");
}

#[test]
fn another_program_opens_the_files() {
    let clinic = Clinic::new();
    clinic.put(&clinic.seal(FIRST, &study::slices(1, 2)).mails());
    assert_eq!(clinic.pull().exit, 0);
    let object = dicom_object::open_file(clinic.place(FIRST).join("s01/0002.dcm")).unwrap();
    assert_eq!(object.meta().media_storage_sop_instance_uid(), study::sop_instance(1, 2));
    assert_eq!(object.meta().transfer_syntax(), study::EXPLICIT_LITTLE);
    assert_eq!(object.element_by_name("PatientName").unwrap().to_str().unwrap(), "Doe^Jane");
}

#[test]
fn half_arrived_writes_nothing_and_goes_on_where_it_stopped() {
    let clinic = Clinic::new();
    let slices = study::slices(1, 6);
    let delivery = clinic.seal(FIRST, &slices);
    let pieces = delivery.pieces();
    let mails = (1..=pieces).filter(|number| *number != 3).map(|number| delivery.piece_mail(number));
    clinic.put(&mails.chain([delivery.cover_mail()]).collect::<Vec<_>>());
    let run = clinic.pull();
    assert_eq!(run.exit, 2, "{}{}", run.out, run.err);
    assert_eq!(run.out, format!("delivery {}: piece 3 of {pieces} has not arrived yet\n", FIRST.delivery()));
    clinic.assert_nothing_placed();
    assert!(clinic.receipts(DOCTOR, FIRST).is_empty());
    clinic.put(&[delivery.piece_mail(3)]);
    let (exit, list) = clinic.pull_json();
    assert_eq!(exit, 0, "{list}");
    // The pieces that were there are not fetched again.
    assert_eq!(list[0]["bytes_mail"], delivery.sealed.piece_bytes()[2] + delivery.sealed.cover_bytes());
    assert_placed(&clinic, FIRST, &slices);
}

#[test]
fn mails_twice_in_any_order_and_in_another_folder_do_no_harm() {
    let clinic = Clinic::new();
    clinic.configure(|text| text + &format!("folders = [\"INBOX\", \"Junk\", \"{SPAM}\"]\n"));
    let slices = study::slices(1, 4);
    let mut mails = clinic.seal(FIRST, &slices).mails();
    mails.reverse();
    clinic.put(&mails);
    clinic.put(&mails[..2]);
    mails.iter().take(3).for_each(|mail| clinic.dovecot.put(DOCTOR, SPAM, mail));
    assert_eq!(clinic.pull().exit, 0);
    assert_placed(&clinic, FIRST, &slices);
    assert_eq!(clinic.receipts(DOCTOR, FIRST).len(), 1);
}

#[test]
fn a_forged_mail_beside_the_genuine_one_does_no_harm() {
    let clinic = Clinic::new();
    let slices = study::slices(1, 6);
    let delivery = clinic.seal(FIRST, &slices);
    let (short, long) = (vec![7; 100], vec![7; 100_000]);
    let mut same_length = delivery.piece(2);
    same_length[100] ^= 1;
    clinic.put(&[
        delivery.mail(Part::Cover, &short),
        delivery.mail(Part::Piece(2), &short),
        delivery.mail(Part::Piece(2), &long),
        delivery.mail(Part::Piece(2), &same_length),
        delivery.piece_mail(2)[..900].to_vec(),
    ]);
    clinic.put(&delivery.mails());
    let run = clinic.pull();
    assert_eq!(run.exit, 0, "{}{}", run.out, run.err);
    assert_placed(&clinic, FIRST, &slices);
}

#[test]
fn a_supplement_stands_beside_the_first_delivery_and_a_gap_is_shown() {
    let clinic = Clinic::new();
    let (first, second, third) = (study::slices(1, 2), study::slices(1, 3), study::slices(2, 1));
    let last = Plan { case: 0xCA, delivery: 0x05, sequence: 3, ..FIRST };
    clinic.put(&clinic.seal(last, &third).mails());
    clinic.put(&clinic.seal(FIRST, &first).mails());
    let run = clinic.pull();
    assert_eq!(run.exit, 0, "{}", run.err);
    assert!(run.out.contains("; supplement 3 of the case is here, 2 is not\n"), "{}", run.out);
    clinic.put(&clinic.seal(SECOND, &second).mails());
    let run = clinic.pull();
    assert_eq!(run.exit, 0, "{}", run.err);
    assert!(
        !run.out.contains("is not") && run.out.contains("2 deliveries were pulled before"),
        "{}",
        run.out
    );
    assert_placed(&clinic, FIRST, &first);
    assert!(run.out.contains("; it does not follow number 1 of the case that is here\n"), "{}", run.out);
    assert_placed(&clinic, SECOND, &second);
    assert_placed(&clinic, last, &third);
}

#[test]
fn odd_instances_are_kept_and_named_for_what_they_are() {
    let clinic = Clinic::new();
    let (one, opaque) = (study::slice(1, 1), b"this is not DICOM".to_vec());
    let mut other = one.clone();
    *other.last_mut().unwrap() ^= 1;
    let sources = [study::source(&one, false), study::source(&other, true), study::source(&opaque, false)];
    clinic.put(&Delivery::seal(FIRST, &clinic.site, &clinic.doctor, &sources).mails());
    let run = clinic.pull();
    assert_eq!(run.exit, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("1 without SOP class or instance UID, written as .bin"), "{}", run.out);
    assert!(run.out.contains("1 with the SOP Instance UID of another"), "{}", run.out);
    let mut files = Vec::new();
    for series in ["s01", "s02"] {
        files.extend(
            fs::read_dir(clinic.place(FIRST).join(series)).unwrap().map(|entry| entry.unwrap().path()),
        );
    }
    files.sort();
    let ends = |end: &str| files.iter().find(|path| path.to_string_lossy().ends_with(end)).unwrap();
    assert_eq!(files.len(), 3, "{files:?}");
    assert_eq!(crate::data_set(ends("-conflict.dcm")), other);
    assert_eq!(fs::read(ends(".bin")).unwrap(), opaque);
}

#[test]
fn a_foreign_mail_is_left_alone() {
    let clinic = Clinic::new();
    clinic.put(&[
        b"From: a@b.example\r\nSubject: lunch\r\nMessage-ID: <x.cover@b.example>\r\n\r\nAt noon?\r\n"
            .to_vec(),
    ]);
    let run = clinic.pull();
    assert_eq!((run.exit, run.out.as_str()), (0, "nothing in the mailbox\n"), "{}", run.err);
}
