//! Keys: none is guessable, none is used twice, and each piece is sealed as SPEC 2 says.

use crate::delivery::{DELIVERY, Party, Sealed, Segments, three_pieces};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use compressor::bundle::SegmentSource;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use seal::cms::envelope::{self, Envelope, KeyAgreement, KeyRequest};
use seal::native::{OpenedPieces, open_cover};
use std::collections::HashSet;

fn unwrap(kek: &[u8; 32], wrapped: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    AesKek::new(&AES_256, kek).unwrap().unwrap(wrapped, &mut key).ok()?;
    Some(key)
}

/// The content encryption key, as the owner of the private key computes it.
fn content_encryption_key(request: &KeyAgreement, party: &Party) -> [u8; 32] {
    let der = PrivateKeyDer::from_pem_slice(party.key.as_bytes()).unwrap();
    let key = PrivateKey::from_private_key_der(&ECDH_P256, der.secret_der()).unwrap();
    let peer = UnparsedPublicKey::new(&ECDH_P256, &request.ephemeral_point);
    let kek = agree(&key, peer, (), |secret| Ok(request.kek(secret))).unwrap();
    unwrap(&kek, &request.wrapped_key).unwrap()
}

fn agreement(envelope: &Envelope) -> &KeyAgreement {
    match &envelope.key {
        KeyRequest::Agreement(agreement) => agreement,
        KeyRequest::Transport(_) => panic!("not a P-256 recipient"),
    }
}

fn opens(envelope: &Envelope, key: &[u8; 32]) -> bool {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let nonce = Nonce::assume_unique_for_key(envelope.decryption.nonce);
    key.open_in_place(nonce, Aad::empty(), &mut envelope.decryption.sealed.clone()).is_ok()
}

/// There is no key encryption key in OAEP: what could be zero is the content encryption key, and what could be lacking is the
/// randomness of the padding.
#[test]
fn an_rsa_recipient_gives_no_key_away() {
    let (site, doctor) = (Party::new("site"), Party::rsa("doctor"));
    let der = PrivateKeyDer::from_pem_slice(doctor.key.as_bytes()).unwrap();
    let key = PrivateDecryptingKey::from_pkcs8(der.secret_der()).unwrap();
    let key = OaepPrivateDecryptingKey::new(key).unwrap();
    let mut seen = HashSet::new();
    for _ in 0..4 {
        let (sealed, _) = three_pieces(&site, &[&doctor]);
        let envelope = envelope::parse(&sealed.cover(), &doctor.certificate()).unwrap();
        let KeyRequest::Transport(request) = &envelope.key else { panic!("not an RSA recipient") };
        assert_eq!(request.encrypted_key.len(), 384);
        assert_eq!(unwrap(&[0; 32], &request.encrypted_key[..40]), None);
        assert!(!opens(&envelope, &[0; 32]));
        let mut plain = vec![0; 384];
        let plain = key.decrypt(&OAEP_SHA256_MGF1SHA256, &request.encrypted_key, &mut plain, None).unwrap();
        let content_encryption_key: [u8; 32] = (&*plain).try_into().unwrap();
        assert!(opens(&envelope, &content_encryption_key));
        assert!(seen.insert(content_encryption_key.to_vec()) && seen.insert(request.encrypted_key.clone()));
    }
}

#[test]
fn a_zero_key_encryption_key_unwraps_nothing() {
    let site = Party::new("site");
    let doctors: Vec<Party> = (0..4).map(|n| Party::new(&format!("doctor {n}"))).collect();
    let (sealed, _) = three_pieces(&site, &doctors.iter().collect::<Vec<_>>());
    for doctor in &doctors {
        let envelope = envelope::parse(&sealed.cover(), &doctor.certificate()).unwrap();
        let request = agreement(&envelope);
        assert_eq!(unwrap(&[0; 32], &request.wrapped_key), None);
        assert_ne!(content_encryption_key(request, doctor), [0; 32]);
        assert!(opens(&envelope, &content_encryption_key(request, doctor)));
        // The check of RFC 3394 would show a key that was wrapped with zeros.
        let mut weak = [0; 40];
        AesKek::new(&AES_256, &[0; 32]).unwrap().wrap(&[9; 32], &mut weak).unwrap();
        assert_eq!(unwrap(&[0; 32], &weak), Some([9; 32]));
    }
}

#[test]
fn no_two_covers_share_a_key_a_nonce_or_an_ephemeral_point() {
    let (site, doctors) = (Party::new("site"), [Party::new("first"), Party::new("second")]);
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let (sealed, _) = three_pieces(&site, &[&doctors[0], &doctors[1]]);
        let opened = open_cover(&sealed.cover(), &doctors[0].doctor(), &[site.certificate()]).unwrap();
        let requests =
            doctors.each_ref().map(|doctor| envelope::parse(&sealed.cover(), &doctor.certificate()).unwrap());
        let keys = [0, 1].map(|n| content_encryption_key(agreement(&requests[n]), &doctors[n]));
        assert_eq!(keys[0], keys[1]);
        let mut fresh = vec![keys[0].to_vec(), opened.cover.content_key.key().unwrap().to_vec()];
        fresh.push(requests[0].decryption.nonce.to_vec());
        fresh.extend(requests.iter().map(|request| agreement(request).ephemeral_point.to_vec()));
        fresh.extend(sealed.piece_paths().iter().map(|path| std::fs::read(path).unwrap()[32..64].to_vec()));
        for secret in fresh {
            assert!(secret.iter().any(|&byte| byte != 0) && seen.insert(secret));
        }
    }
}

/// HKDF (RFC 5869) written out, so that the derivation of SPEC 2.1 is checked against another one.
fn piece_key(content_key: &[u8], salt: &[u8], number: u32) -> LessSafeKey {
    let extracted = sign(&Key::new(HMAC_SHA256, salt), content_key);
    let info = [b"scanpost piece\x01".as_slice(), &DELIVERY.0, &number.to_be_bytes(), &[1]].concat();
    let key = sign(&Key::new(HMAC_SHA256, extracted.as_ref()), &info);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap())
}

fn open_by_hand(
    sealed: &Sealed,
    content_key: &[u8],
    number: u32,
    counter: u8,
    segment: u32,
    offset: usize,
    bytes: usize,
) -> Vec<u8> {
    let piece = std::fs::read(&sealed.piece_paths()[number as usize - 1]).unwrap();
    let key = piece_key(content_key, &piece[32..64], number);
    let nonce = Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, counter]);
    let bound = [&piece[..32], &segment.to_be_bytes()].concat();
    let mut bytes = piece[offset..offset + bytes].to_vec();
    key.open_in_place(nonce, Aad::from(bound), &mut bytes).unwrap().to_vec()
}

#[test]
fn pieces_are_sealed_as_the_specification_says() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, Segments(segments)) = three_pieces(&site, &[&doctor]);
    let cover = open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap().cover;
    let key = cover.content_key.key().unwrap();
    let first = std::fs::read(&sealed.piece_paths()[0]).unwrap();
    let index_bytes = 5 + 5 * 44 + 16;
    assert_eq!(&first[..32], [b"SCPPIECE\x01\0\0\0\0\0\0\x01".as_slice(), &DELIVERY.0].concat());
    assert_eq!(&first[64..68], (index_bytes as u32).to_be_bytes());

    let index = open_by_hand(&sealed, &*key, 1, 0, u32::MAX, 68, index_bytes);
    let data = 68 + index_bytes;
    assert_eq!(&index[..5], [1, 0, 0, 0, 5]);
    assert_eq!(&index[5..17], [[0, 0, 0, 1], (data as u32).to_be_bytes(), [0, 0, 0, 56]].concat());
    assert_eq!(open_by_hand(&sealed, &*key, 1, 1, 0, data, 56), segments[0]);
    assert_eq!(open_by_hand(&sealed, &*key, 1, 2, 1, data + 56, 316), segments[1]);
    assert_eq!(open_by_hand(&sealed, &*key, 2, 0, 2, 64, 516), segments[2]);
    assert_eq!(open_by_hand(&sealed, &*key, 2, 1, 3, 64 + 516, 116), segments[3]);
    assert_eq!(open_by_hand(&sealed, &*key, 3, 0, 4, 64, 716), segments[4]);
}

/// Whoever was a recipient once holds the content key; that must not let them change an image (DESIGN 4).
#[test]
fn the_content_key_alone_forges_nothing() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let cover = open_cover(&sealed.cover(), &doctor.doctor(), &[site.certificate()]).unwrap();
    let mut opened = OpenedPieces::open(&cover, &sealed.piece_paths()).unwrap();
    let path = &sealed.piece_paths()[2];
    let mut piece = std::fs::read(path).unwrap();
    let key = piece_key(&*cover.cover.content_key.key().unwrap(), &piece[32..64], 3);
    let mut forged = vec![0xF0; 700];
    let bound = Aad::from([&piece[..32], &[0, 0, 0, 4]].concat());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), bound, &mut forged).unwrap();
    piece.truncate(64);
    piece.extend_from_slice(&forged);
    std::fs::write(path, &piece).unwrap();
    assert!(opened.segment(4).unwrap_err().to_string().contains("a segment was changed"));
    assert!(OpenedPieces::open(&cover, &sealed.piece_paths()).is_err());
}
