//! What is not genuine, not for us, or used up: nothing of it is written.

use crate::clinic::{DOCTOR, Run};
use crate::site::{Delivery, Keypair};
use crate::{Clinic, FIRST, Plan, SECOND, assert_placed, study};
use seal::mail::{MessageId, Part, Site};

fn assert_refused(clinic: &Clinic, run: &Run, words: &str) {
    assert_eq!(run.exit, 3, "{}{}", run.out, run.err);
    assert!(run.out.contains(": refused: ") && run.out.contains(words), "{}", run.out);
    clinic.assert_nothing_placed();
    assert!(clinic.receipts(DOCTOR, FIRST).is_empty());
}

#[test]
fn a_changed_piece_is_named_and_other_deliveries_are_pulled() {
    let clinic = Clinic::new();
    let delivery = clinic.seal(FIRST, &study::slices(1, 6));
    let mut piece = delivery.piece(2);
    piece[1000] ^= 1;
    let mut mails = delivery.mails();
    mails[1] = delivery.mail(Part::Piece(2), &piece);
    clinic.put(&mails);
    assert_refused(&clinic, &clinic.pull(), "piece 2 is not the one that the site signed");
    let slices = study::slices(2, 2);
    let other = Plan { case: 0xBB, ..SECOND };
    clinic.put(&clinic.seal(other, &slices).mails());
    let run = clinic.pull();
    assert_eq!(run.exit, 3);
    assert_eq!(run.out.lines().count(), 2, "{}", run.out);
    assert_placed(&clinic, other, &slices);
    assert!(!clinic.place(FIRST).exists());
}

#[test]
fn a_changed_cover_is_refused_at_every_place() {
    let clinic = Clinic::new();
    let delivery = clinic.seal(FIRST, &study::slices(1, 2));
    let cover = delivery.cover();
    clinic.put(&delivery.mails()[..delivery.pieces() as usize]);
    for place in [20, cover.len() / 2, cover.len() - 1] {
        let mut changed = cover.clone();
        changed[place] ^= 1;
        clinic.put(&[delivery.mail(Part::Cover, &changed)]);
    }
    clinic.put(&[delivery.mail(Part::Cover, &cover[..cover.len() - 1]), delivery.mail(Part::Cover, &[])]);
    assert_refused(&clinic, &clinic.pull(), "cover");
}

#[test]
fn an_unknown_site_is_refused() {
    let clinic = Clinic::new();
    let delivery = Delivery::of_slices(FIRST, &Keypair::new("site"), &clinic.doctor, &study::slices(1, 2));
    clinic.put(&delivery.mails());
    assert_refused(&clinic, &clinic.pull(), "not signed by a site that this reader knows");
}

#[test]
fn another_doctors_cover_is_refused() {
    let clinic = Clinic::new();
    let delivery = Delivery::of_slices(FIRST, &clinic.site, &Keypair::new("doctor"), &study::slices(1, 2));
    clinic.put(&delivery.mails());
    assert_refused(&clinic, &clinic.pull(), "not addressed to this recipient");
}

#[test]
fn a_cover_under_another_message_id_is_refused() {
    let clinic = Clinic::new();
    let delivery = clinic.seal(SECOND, &study::slices(1, 2));
    let id = MessageId::cover(FIRST.delivery(), &Site::parse(crate::site::SITE).unwrap());
    clinic.put(&[crate::site::mail(id, &delivery.cover())]);
    assert_refused(&clinic, &clinic.pull(), "belongs to another delivery");
}

#[test]
fn a_sequence_number_is_used_once_even_when_its_folder_is_gone() {
    let clinic = Clinic::new();
    let slices = study::slices(1, 2);
    clinic.put(&clinic.seal(FIRST, &slices).mails());
    assert_eq!(clinic.pull().exit, 0);
    let repeat = Plan { delivery: 0x33, ..FIRST };
    clinic.put(&clinic.seal(repeat, &study::slices(2, 2)).mails());
    let run = clinic.pull();
    assert_eq!(run.exit, 3, "{}", run.out);
    assert!(run.out.contains("number 1 of the case was used by another cover"), "{}", run.out);
    assert_placed(&clinic, FIRST, &slices);
    std::fs::remove_dir_all(clinic.place(FIRST)).unwrap();
    // The doctor's own delivery comes back, the other is still refused.
    assert_eq!(clinic.pull().exit, 3);
    assert_placed(&clinic, FIRST, &slices);
    assert_eq!(clinic.receipts(DOCTOR, FIRST).len(), 1);
}
