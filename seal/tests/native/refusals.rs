//! What is not genuine is refused, each with its own words, and nothing of it is released.

use crate::delivery::{DELIVERY, Party, Sealed, Segments, draft, seal_into, three_pieces};
use crate::openssl::{Openssl, cover_json};
use crate::round_trip::receipt;
use compressor::bundle::SegmentSource;
use proptest::prelude::*;
use seal::certificate::POINT_BYTES;
use seal::cms::{envelope, signed};
use seal::ids::DeliveryId;
use seal::limits::RECIPIENTS_MAX;
use seal::native::{
    Certificate, OpenedPieces, Refusal, SealError, Sealing, VerifiedCover, check_recipients, open_cover,
    open_receipt, seal_delivery, sign_receipt,
};
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use tempfile::TempDir;

fn refusal<T>(result: Result<T, SealError>) -> Refusal {
    match result {
        Err(SealError::Refused(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

fn verified(sealed: &Sealed, site: &Party, doctor: &Party) -> VerifiedCover {
    open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap()
}

fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

#[test]
fn every_flipped_bit_of_a_cover_is_refused() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let (key, sites) = (doctor.doctor(), [site.certificate()]);
    for (bit, flipped) in flips(&sealed.cover()).enumerate() {
        let opened = open_cover(&flipped, &key, &sites);
        assert!(matches!(opened, Err(SealError::Refused(_))), "bit {bit}: {opened:?}");
    }
}

#[test]
fn flipped_bits_of_a_cover_for_an_rsa_key_are_refused() {
    let (site, doctor) = (Party::new("site"), Party::rsa("doctor"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let (key, sites) = (doctor.doctor(), [site.certificate()]);
    // RSA takes 200 times as long as ECDH: every third bit of the recipient info, every 37th of the rest.
    let head = (0..600 * 8).step_by(3);
    for bit in head.chain((600 * 8..sealed.cover().len() * 8).step_by(37)) {
        let mut flipped = sealed.cover();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let opened = open_cover(&flipped, &key, &sites);
        assert!(matches!(opened, Err(SealError::Refused(_))), "bit {bit}: {opened:?}");
    }
}

/// The recipient info of somebody else is outside of what a recipient can check: it changes the digest, never the content.
#[test]
fn a_flipped_bit_of_a_cover_for_two_changes_nothing_unseen() {
    let (site, first, second) = (Party::new("site"), Party::new("first"), Party::new("second"));
    let (sealed, _) = three_pieces(&site, &[&first, &second]);
    let genuine = verified(&sealed, &site, &first);
    let (key, sites) = (first.doctor(), [site.certificate()]);
    for flipped in flips(&sealed.cover()) {
        match open_cover(&flipped, &key, &sites) {
            Err(SealError::Refused(_)) => {}
            Err(other) => panic!("{other}"),
            Ok(opened) => assert!(opened.cover == genuine.cover && opened.digest != genuine.digest),
        }
    }
}

#[test]
fn every_flipped_bit_of_a_piece_is_refused() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let cover = verified(&sealed, &site, &doctor);
    let paths = sealed.piece_paths();
    for place in [0, 2] {
        let genuine = std::fs::read(&paths[place]).unwrap();
        let mut file = OpenOptions::new().write(true).open(&paths[place]).unwrap();
        let mut put = |position: usize, byte: u8| {
            file.seek(SeekFrom::Start(position as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        for (position, &byte) in genuine.iter().enumerate() {
            for bit in 0..8 {
                put(position, byte ^ 1 << bit);
                let opened = OpenedPieces::open(&cover, &paths);
                assert!(
                    matches!(opened, Err(SealError::Refused(_))),
                    "bit {bit} of byte {position} of piece {}",
                    place + 1
                );
            }
            put(position, byte);
        }
    }
    assert!(OpenedPieces::open(&cover, &paths).is_ok());
}

#[test]
fn every_flipped_bit_of_a_receipt_is_refused() {
    let doctor = Party::new("doctor");
    let pinned = [doctor.recipient()];
    let der = sign_receipt(&receipt(&doctor), &doctor.doctor()).unwrap();
    for (bit, flipped) in flips(&der).enumerate() {
        let opened = open_receipt(&flipped, &pinned);
        assert!(matches!(opened, Err(SealError::Refused(_))), "bit {bit}: {opened:?}");
    }
}

#[test]
fn every_cut_is_refused() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let (cover, key, sites) = (sealed.cover(), doctor.doctor(), [site.certificate()]);
    assert!((0..cover.len()).all(|length| open_cover(&cover[..length], &key, &sites).is_err()));
    assert_eq!(
        refusal(open_cover(&[&cover[..], &[0]].concat(), &key, &sites)),
        Refusal::Malformed("the cover")
    );
    let verified = verified(&sealed, &site, &doctor);
    let piece = std::fs::read(&sealed.piece_paths()[2]).unwrap();
    let mut paths = sealed.piece_paths();
    paths[2] = sealed.folder.path().join("cut");
    for bytes in [&piece[..piece.len() - 1], &piece[..64], &[&piece[..], &[0]].concat()] {
        std::fs::write(&paths[2], bytes).unwrap();
        assert_eq!(refusal(OpenedPieces::open(&verified, &paths)), Refusal::UnsignedPiece(3));
    }
    std::fs::write(&paths[2], &piece[..63]).unwrap();
    assert_eq!(refusal(OpenedPieces::open(&verified, &paths)), Refusal::Malformed("a piece"));
}

#[test]
fn swapped_missing_surplus_and_foreign_pieces_are_told_apart() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, mut segments) = three_pieces(&site, &[&doctor]);
    let cover = verified(&sealed, &site, &doctor);
    let paths = sealed.piece_paths();
    let open = |pieces: &[&PathBuf]| {
        refusal(OpenedPieces::open(&cover, &pieces.iter().copied().cloned().collect::<Vec<_>>()))
    };
    assert_eq!(open(&[&paths[0], &paths[2], &paths[1]]), Refusal::WrongPiece { expected: 2, found: 3 });
    assert_eq!(open(&[&paths[0], &paths[1]]), Refusal::MissingPiece(3));
    assert_eq!(open(&[&paths[0], &"/nowhere".into(), &paths[2]]), Refusal::MissingPiece(2));
    assert_eq!(open(&[&paths[0], &paths[1], &paths[2], &paths[2]]), Refusal::Malformed("the list of pieces"));

    let other = TempDir::new().unwrap();
    let sealing = Sealing { site: &site.site(), recipients: &[doctor.certificate()], piece_bytes_max: 720 };
    let draft = draft(DeliveryId([0x0D; 16]), sealing.recipients);
    seal_delivery(&segments.lengths(), &mut segments, draft, &sealing, other.path()).unwrap();
    assert_eq!(open(&[&paths[0], &other.path().join("piece-00002"), &paths[2]]), Refusal::WrongDelivery(2));

    // The same delivery sealed again elsewhere: right header, other key.
    let again = TempDir::new().unwrap();
    seal_into(again.path(), &mut segments, &site, &[&doctor], 720).unwrap();
    assert_eq!(open(&[&paths[0], &again.path().join("piece-00002"), &paths[2]]), Refusal::UnsignedPiece(2));
}

#[test]
fn a_piece_that_changes_after_it_was_checked_releases_nothing() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let mut opened = OpenedPieces::open(&verified(&sealed, &site, &doctor), &sealed.piece_paths()).unwrap();
    let path = &sealed.piece_paths()[2];
    let mut piece = std::fs::read(path).unwrap();
    piece[100] ^= 1;
    std::fs::write(path, &piece).unwrap();
    let error = opened.segment(4).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("a segment was changed"), "{error}");
    std::fs::write(path, &piece[..200]).unwrap();
    assert!(opened.segment(4).is_err() && opened.segment(1).is_ok());
}

#[test]
fn wrong_doctors_and_unknown_sites_are_refused() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let open =
        |doctor: &Party, sites: &[Certificate]| refusal(open_cover(&sealed.cover(), &doctor.doctor(), sites));
    assert_eq!(open(&Party::new("other"), &[site.certificate()]), Refusal::NotForUs);
    // Same issuer and serial number, another key.
    assert_eq!(open(&Party::new("doctor"), &[site.certificate()]), Refusal::Damaged("the cover"));
    assert_eq!(open(&doctor, &[]), Refusal::UnknownSite);
    assert_eq!(open(&doctor, &[Party::new("another site").certificate()]), Refusal::UnknownSite);
    assert_eq!(open(&doctor, &[Party::new("site").certificate()]), Refusal::WrongSignature("the cover"));
    for (from, to) in [(2020, 2026), (2027, 2100)] {
        let renewed = site.renewed("site", from, to).certificate();
        assert_eq!(open(&doctor, &[renewed]), Refusal::SiteNotValid);
    }
    let both = [Party::new("site").certificate(), site.certificate()];
    assert!(open_cover(&sealed.cover(), &doctor.doctor(), &both).is_ok());
}

#[test]
fn a_genuine_cover_forwarded_to_somebody_else_is_not_for_them() {
    let (site, doctor, other) = (Party::new("site"), Party::new("doctor"), Party::new("other"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let forwarded = Openssl::new().forward(&sealed.cover(), &doctor, &other);
    assert_eq!(refusal(open_cover(&forwarded, &other.doctor(), &[site.certificate()])), Refusal::PassedOn);
}

#[test]
fn signed_covers_beyond_the_format_are_refused() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let open = |json: &[u8]| {
        let made = Openssl::new().cover(json, &site, &doctor);
        refusal(open_cover(&made, &doctor.doctor(), &[site.certificate()]))
    };
    assert_eq!(open(&cover_json(|cover| cover.format = 2, &doctor)), Refusal::UnknownFormat(2));
    assert_eq!(open(&cover_json(|cover| cover.sequence = 0, &doctor)), Refusal::Malformed("the cover"));
    assert_eq!(open(b"not json"), Refusal::Malformed("the cover"));
    let padded = [cover_json(|_| {}, &doctor), vec![b' '; 16 << 10]].concat();
    assert_eq!(open(&padded), Refusal::Malformed("the cover"));
}

#[test]
fn receipts_of_others_are_refused() {
    let (doctor, other) = (Party::new("doctor"), Party::new("other"));
    let der = sign_receipt(&receipt(&doctor), &doctor.doctor()).unwrap();
    assert_eq!(refusal(open_receipt(&der, &[])), Refusal::UnknownRecipient);
    assert_eq!(refusal(open_receipt(&der, &[other.recipient()])), Refusal::UnknownRecipient);
    let impostor = Party::new("doctor").recipient();
    assert_eq!(refusal(open_receipt(&der, &[impostor])), Refusal::WrongSignature("the receipt"));
    assert!(matches!(sign_receipt(&receipt(&other), &doctor.doctor()), Err(SealError::Key { .. })));
    // Signed by one recipient in the name of another.
    let json = serde_json::to_vec(&receipt(&doctor)).unwrap();
    let forged = Openssl::new().receipt(&json, &other);
    let pinned = [doctor.recipient(), other.recipient()];
    assert_eq!(refusal(open_receipt(&forged, &pinned)), Refusal::UnknownRecipient);
    assert_eq!(refusal(open_receipt(&vec![0x30; 1 << 20], &pinned)), Refusal::Malformed("the receipt"));
}

#[test]
fn sealing_refuses_certificates_that_are_not_valid_and_lists_that_differ() {
    let (site, doctor, other) = (Party::new("site"), Party::new("doctor"), Party::new("other"));
    let (expired, future) = (Party::valid_in("x", 2020, 2026), Party::valid_in("y", 2027, 2100));
    let folder = TempDir::new().unwrap();
    let seal = |site: &Party, doctors: &[&Party]| {
        seal_into(folder.path(), &mut Segments::of(&[40]), site, doctors, 720).unwrap_err().to_string()
    };
    assert_eq!(seal(&site, &[&doctor, &expired]), "a recipient's certificate: not valid now");
    assert_eq!(seal(&site, &[&future]), "a recipient's certificate: not valid now");
    assert_eq!(seal(&expired, &[&doctor]), "the site's certificate: not valid now");
    assert_eq!(seal(&site, &[]), "the cover: a field is beyond its limits");
    assert!(seal(&site, &[&doctor, &doctor]).contains("does not name exactly"));
    let sealing = Sealing { site: &site.site(), recipients: &[doctor.certificate()], piece_bytes_max: 720 };
    let foreign = draft(DELIVERY, &[other.certificate()]);
    let failed = seal_delivery(&[40], &mut Segments::of(&[40]), foreign, &sealing, folder.path());
    assert!(matches!(failed, Err(SealError::Key { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_cover_that_would_be_too_large_is_refused_before_anything_is_sealed() {
    let site = Party::new("site");
    let doctors: Vec<Party> = (0..32).map(|n| Party::new(&format!("{n:0>500}"))).collect();
    let folder = TempDir::new().unwrap();
    let failed =
        seal_into(folder.path(), &mut Segments::of(&[40]), &site, &doctors.iter().collect::<Vec<_>>(), 720);
    assert!(failed.unwrap_err().to_string().contains("larger than a cover may be"));
    let long = Party::new(&"x".repeat(3000));
    for (site, doctor) in [(&site, &long), (&long, &site)] {
        let failed = seal_into(folder.path(), &mut Segments::of(&[40]), site, &[doctor], 720);
        assert!(failed.unwrap_err().to_string().contains("issuer's name is too long"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn more_recipient_infos_than_allowed_are_malformed() {
    let others: Vec<Certificate> =
        (0..33).map(|n| Party::new(&format!("doctor {n}")).certificate()).collect();
    let last = Party::new("last");
    let key = |recipient| {
        let mut ephemeral_point = [7; POINT_BYTES];
        ephemeral_point[0] = 4;
        let wrapping = envelope::Wrapping::Agreement { ephemeral_point, wrapped_key: [1; 40] };
        envelope::WrappedKey { recipient, wrapping }
    };
    let build = |count: usize| {
        envelope::build(&others[..count].iter().map(key).collect::<Vec<_>>(), &[0; 12], &[0; 32]).unwrap()
    };
    assert_eq!(envelope::parse(&build(32), &last.certificate()), Err(Refusal::NotForUs));
    assert_eq!(envelope::parse(&build(33), &last.certificate()), Err(Refusal::Malformed("the cover")));
}

/// Made once: a party, its site, a cover, the signed content of a receipt.
fn samples() -> &'static (Party, Party, Vec<u8>, Vec<u8>) {
    static SAMPLES: OnceLock<(Party, Party, Vec<u8>, Vec<u8>)> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let (site, doctor) = (Party::new("site"), Party::new("doctor"));
        let (sealed, _) = three_pieces(&site, &[&doctor]);
        let receipt = sign_receipt(&receipt(&doctor), &doctor.doctor()).unwrap();
        (site, doctor, sealed.cover(), receipt)
    })
}

/// Overwrites, cuts or doubles a stretch.
fn mutate(bytes: &[u8], at: usize, with: &[u8], kind: u8) -> Vec<u8> {
    let at = at % bytes.len();
    let end = (at + with.len()).min(bytes.len());
    match kind % 3 {
        0 => [&bytes[..at], with, &bytes[end..]].concat(),
        1 => [&bytes[..at], &bytes[end..]].concat(),
        _ => [&bytes[..end], &bytes[at..]].concat(),
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (site, doctor, ..) = samples();
        prop_assert!(open_cover(&bytes, &doctor.doctor(), &[site.certificate()]).is_err());
        prop_assert!(open_receipt(&bytes, &[doctor.recipient()]).is_err());
        prop_assert!(Certificate::from_der(&bytes).is_err());
    }

    #[test]
    fn mutated_covers_and_receipts_are_refused(
        at in any::<usize>(),
        with in proptest::collection::vec(any::<u8>(), 1..12),
        kind in any::<u8>(),
    ) {
        let (site, doctor, cover, receipt) = samples();
        let mutated = mutate(cover, at, &with, kind);
        if mutated != *cover {
            prop_assert!(open_cover(&mutated, &doctor.doctor(), &[site.certificate()]).is_err());
        }
        let mutated = mutate(receipt, at, &with, kind);
        if mutated != *receipt {
            prop_assert!(open_receipt(&mutated, &[doctor.recipient()]).is_err());
        }
        let _ = signed::parse(&mutated, "the receipt");
        let _ = Certificate::from_der(&mutate(doctor.certificate().der(), at, &with, kind));
    }
}

#[test]
fn recipients_who_do_not_fit_into_a_cover_are_found_before_there_is_one() {
    let site = Party::new("site");
    let fits = |parties: &[Party]| {
        let recipients: Vec<_> = parties.iter().map(Party::certificate).collect();
        check_recipients(&site.site(), "hospital.example", "near 0", &recipients).is_ok()
    };
    let elliptic: Vec<_> = (0..RECIPIENTS_MAX).map(|number| Party::new(&number.to_string())).collect();
    assert!(fits(&elliptic));
    let first = Party::rsa("0");
    let mut same_key: Vec<_> =
        (1..RECIPIENTS_MAX).map(|number| first.renewed(&number.to_string(), 2020, 2100)).collect();
    assert!(!fits(&same_key));
    same_key.truncate(20);
    assert!(fits(&same_key));
    // What the check says is what sealing says.
    let sealed = three_pieces(&site, &same_key.iter().collect::<Vec<_>>());
    assert!(!sealed.0.cover().is_empty());
}
