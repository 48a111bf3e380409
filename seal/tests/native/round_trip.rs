//! What is sealed is opened, by every recipient, and by nobody twice under one key.

use crate::delivery::{DELIVERY, NOW, Party, Sealed, Segments, draft, seal_into, three_pieces};
use compressor::bundle::SegmentSource;
use seal::ids::{DeliveryId, Digest};
use seal::native::{
    OpenedPieces, Recipient, Refusal, SealError, SealedPieces, Sealing, open_cover, open_receipt,
    seal_delivery, sign_receipt,
};
use seal::receipt::{Receipt, ReceiptKind};
use std::io::{ErrorKind, Read};
use tempfile::TempDir;

#[test]
fn every_recipient_opens_every_segment() {
    let (site, first, second) = (Party::new("site"), Party::new("first"), Party::new("second"));
    let (sealed, segments) = three_pieces(&site, &[&first, &second]);
    for doctor in [&first, &second] {
        let cover = open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap();
        assert_eq!((cover.digest, cover.signer), (sealed.pieces.cover_digest(), site.certificate().digest()));
        let mut opened = OpenedPieces::open(&cover, &sealed.piece_paths()).unwrap();
        assert_eq!(opened.segments(), 5);
        for number in [0, 4, 1, 3, 2, 0] {
            assert_eq!(opened.segment(number).unwrap(), segments.0[number as usize]);
        }
        assert_eq!(opened.segment(5).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn a_group_with_both_kinds_of_key_opens_one_cover() {
    let (site, first, second) = (Party::new("site"), Party::rsa("first"), Party::new("second"));
    let (sealed, _) = three_pieces(&site, &[&first, &second]);
    let open =
        |doctor: &Party| open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap().cover;
    assert_eq!(open(&first), open(&second));
}

/// An RSA key opens and a P-256 identity signs (SPEC 7).
#[test]
fn an_identity_signs_for_an_rsa_key() {
    let (doctor, identity, other) = (Party::rsa("doctor"), Party::new("identity"), Party::new("other"));
    let bare = sign_receipt(&receipt(&doctor), &doctor.doctor()).unwrap_err();
    assert_eq!(bare.to_string(), "the doctor's key: an RSA key signs no receipts: give it a P-256 identity");
    assert!(Recipient::new(doctor.certificate(), None).is_err());
    assert!(Recipient::new(other.certificate(), Some(doctor.certificate())).is_err());
    let key = doctor.doctor().with_identity(&identity.key, &identity.certificate).unwrap();
    let der = sign_receipt(&receipt(&doctor), &key).unwrap();
    let pinned = Recipient::new(doctor.certificate(), Some(identity.certificate())).unwrap();
    assert_eq!(open_receipt(&der, &[other.recipient(), pinned]).unwrap(), receipt(&doctor));
    // The same identity, but a certificate that it does not speak for.
    let foreign = Recipient::new(other.certificate(), Some(identity.certificate())).unwrap();
    let refused = open_receipt(&der, &[foreign]).unwrap_err();
    assert!(matches!(refused, SealError::Refused(Refusal::UnknownRecipient)), "{refused}");
}

#[test]
fn large_segments_and_empty_ones_come_back() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let mut segments = Segments::of(&[0, 4 << 20, 0, 1, 2 << 20]);
    let folder = TempDir::new().unwrap();
    let pieces = seal_into(folder.path(), &mut segments, &site, &[&doctor], 6 << 20).unwrap();
    let sealed = Sealed { folder, pieces };
    assert!(sealed.pieces.piece_bytes().iter().all(|&bytes| bytes <= 6 << 20));
    let cover = open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap();
    let mut opened = OpenedPieces::open(&cover, &sealed.piece_paths()).unwrap();
    for (number, segment) in (0..).zip(&segments.0) {
        assert_eq!(&opened.segment(number).unwrap(), segment);
    }
}

#[test]
fn the_cover_says_what_was_drafted_and_names_every_piece() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let opened = open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap().cover;
    let mut expected = draft(DELIVERY, &[doctor.certificate()]);
    expected.content_key = opened.content_key.clone();
    (expected.index, expected.manifest) = (opened.index, opened.manifest);
    expected.pieces = opened.pieces.clone();
    assert_eq!(opened, expected);
    for (entry, path) in opened.pieces.iter().zip(sealed.piece_paths()) {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!((entry.bytes() as usize, entry.digest()), (bytes.len(), Some(Digest::of(&bytes))));
    }
}

#[test]
fn a_finished_delivery_is_reopened_and_never_sealed_again() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, mut segments) = three_pieces(&site, &[&doctor]);
    let reopened = SealedPieces::reopen(sealed.folder.path(), DELIVERY).unwrap().unwrap();
    assert_eq!(format!("{reopened:?}"), format!("{:?}", sealed.pieces));
    let (mut piece, mut cover) = (Vec::new(), Vec::new());
    reopened.open_piece(3).unwrap().read_to_end(&mut piece).unwrap();
    reopened.open_cover().unwrap().read_to_end(&mut cover).unwrap();
    assert_eq!((piece.len() as u64, cover.len() as u64), (reopened.piece_bytes()[2], reopened.cover_bytes()));
    assert_eq!(cover, sealed.cover());
    let again = seal_into(sealed.folder.path(), &mut segments, &site, &[&doctor], 720).unwrap_err();
    assert!(matches!(again, SealError::Io(error) if error.kind() == ErrorKind::AlreadyExists));
    assert_eq!(cover, sealed.cover());
    assert!(SealedPieces::reopen(sealed.folder.path(), DeliveryId([0; 16])).is_err());
    for lost in [2, 1] {
        std::fs::remove_file(sealed.folder.path().join(format!("piece-0000{lost}"))).unwrap();
        assert!(SealedPieces::reopen(sealed.folder.path(), DELIVERY).is_err());
    }
}

#[test]
fn an_interrupted_delivery_is_sealed_anew_with_new_salts() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let folder = TempDir::new().unwrap();
    let mut segments = Segments::of(&[40, 300, 500, 100, 700]);
    let mut short = Segments::of(&[40, 300, 500, 100]);
    let sealing = Sealing { site: &site.site(), recipients: &[doctor.certificate()], piece_bytes_max: 720 };
    let cover = draft(DELIVERY, sealing.recipients);
    let failed = seal_delivery(&segments.lengths(), &mut short, cover.clone(), &sealing, folder.path());
    assert!(matches!(failed, Err(SealError::Io(_))));
    let left = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let salts = [left("piece-00001.partial"), left("piece-00002")].map(|piece| piece[32..64].to_vec());
    assert!(SealedPieces::reopen(folder.path(), DELIVERY).unwrap().is_none());

    let pieces = seal_delivery(&segments.lengths(), &mut segments, cover, &sealing, folder.path()).unwrap();
    let sealed = Sealed { folder, pieces };
    for (path, salt) in sealed.piece_paths().iter().zip(salts) {
        assert_ne!(std::fs::read(path).unwrap()[32..64], salt);
    }
    let mut names: Vec<_> =
        std::fs::read_dir(sealed.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["cover.p7m", "piece-00001", "piece-00002", "piece-00003"]);
    let cover = open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap();
    let mut opened = OpenedPieces::open(&cover, &sealed.piece_paths()).unwrap();
    assert_eq!(opened.segment(4).unwrap(), segments.0[4]);
}

#[test]
fn a_segment_of_another_length_is_not_sealed() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let sealing = Sealing { site: &site.site(), recipients: &[doctor.certificate()], piece_bytes_max: 720 };
    for announced in [[40, 299], [40, 301]] {
        let folder = TempDir::new().unwrap();
        let mut segments = Segments::of(&[40, 300]);
        let cover = draft(DELIVERY, sealing.recipients);
        let failed = seal_delivery(&announced, &mut segments, cover, &sealing, folder.path());
        assert!(matches!(failed, Err(SealError::Io(error)) if error.kind() == ErrorKind::InvalidData));
        assert!(SealedPieces::reopen(folder.path(), DELIVERY).unwrap().is_none());
    }
}

#[test]
fn thirty_two_recipients_fit_and_each_opens() {
    let site = Party::new("site");
    let doctors: Vec<Party> =
        (0..32).map(|n| Party::new(&format!("Doctor {n} of Neuroradiology, Example Hospital"))).collect();
    let (sealed, _) = three_pieces(&site, &doctors.iter().collect::<Vec<_>>());
    for doctor in &doctors {
        open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap();
    }
    assert!(sealed.pieces.cover_bytes() <= (16 << 10) + 3 * 64, "{}", sealed.pieces.cover_bytes());
}

#[test]
fn a_receipt_comes_back() {
    let doctor = Party::new("doctor");
    let receipt = receipt(&doctor);
    let der = sign_receipt(&receipt, &doctor.doctor()).unwrap();
    assert!(der.len() <= 1024, "{}", der.len());
    let others = [Party::new("other").recipient(), doctor.recipient()];
    assert_eq!(open_receipt(&der, &others).unwrap(), receipt);
}

pub(crate) fn receipt(doctor: &Party) -> Receipt {
    let recipient = doctor.certificate().digest();
    let receipt = Receipt::new(ReceiptKind::Fetched, DELIVERY, Digest([7; 32]), recipient, NOW + 60);
    Receipt { instances: 3, ..receipt }
}
