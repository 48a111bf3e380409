//! A residual that came apart: joined with its own bundle, refused with any other.

use crate::{Clinic, FIRST, Plan, SECOND, assert_placed, study};
use seal::ids::DeliveryId;

#[test]
fn a_residual_is_joined_with_its_bundle() {
    let clinic = Clinic::new();
    let slices = study::slices(1, 3);
    clinic.put(&clinic.seal_cut(FIRST, &slices, None).mails());
    assert_eq!(clinic.pull().exit, 0);
    clinic.put(&clinic.seal_cut(SECOND, &slices, Some(FIRST.delivery())).mails());
    let run = clinic.pull();
    assert!(run.exit == 0 && run.out.contains("pull --exact"), "{}", run.out);
    assert!(!clinic.place(SECOND).exists(), "nobody asked for it");
    let run = clinic.run(&["--exact"]);
    assert!(run.exit == 0 && run.out.contains("exact: every file is as it came"), "{}", run.out);
    assert_placed(&clinic, SECOND, &slices);
    let before = clinic.snapshot();
    assert_eq!(clinic.run(&["--exact"]).exit, 0);
    assert_eq!(clinic.snapshot(), before);
}

#[test]
fn a_residual_of_another_bundle_is_refused() {
    let (slices, others) = (study::slices(1, 3), study::slices(2, 3));
    let elsewhere = Plan { case: 0xBB, ..SECOND };
    for (plan, slices, of, words) in [
        (SECOND, &others, FIRST.delivery(), "the residual belongs to another bundle"),
        (elsewhere, &slices, FIRST.delivery(), "a delivery of another case or site"),
        (SECOND, &slices, DeliveryId([7; 16]), "no longer in the mailbox"),
    ] {
        let clinic = Clinic::new();
        clinic.put(&clinic.seal_cut(FIRST, &study::slices(1, 3), None).mails());
        clinic.put(&clinic.seal_cut(plan, slices, Some(of)).mails());
        let run = clinic.run(&["--exact"]);
        assert!(run.exit != 0 && run.out.contains(words), "{words} not in: {}", run.out);
        assert!(clinic.place(FIRST).exists() && !clinic.place(plan).exists());
    }
}
