#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::hex::hex;
use aws_lc_rs::digest::{SHA256, digest};

/// Of the passphrase in `what_comes_from_a_passphrase_is_as_others_compute_it`.
const MASTER: &str = "012ac306c10b0471a001637c998ca4e3e69381689340efef925a604ac2e211df";
const PROOF: &str = "a67bdcd01005ff9b2f5c43356a89e9505c1a21a693c94b245bdcdc6403005759";
const KEY: &str = "62cbf472a1b4545b32153ac5c020a6d475211fda4a5c5e4450a0636c1d037487";
const LINKS: &str = "portal_url = \"https://portal.example/\"\nuses = 3\ntries = 5";

fn site() -> SiteKey {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    SiteKey::from_pem(&key.serialize_pem(), &certificate.pem()).unwrap()
}

/// As the recipient's browser does it, from nothing but statement and passphrase.
#[test]
fn the_passphrase_opens_the_statement_and_nothing_else_does() {
    let (site, links): (_, Links) = (site(), toml::from_str(LINKS).unwrap());
    let expires_at_ms = 4_000_000_000_000;
    let new = NewLink::make(Language::Japanese, expires_at_ms).unwrap();
    let bytes = new.statement(CaseId([2; 16]), &links, &site).unwrap();
    let (signature, content) = statement::split(&bytes, "the link").unwrap();
    assert!(site.certificate().verifies_statement(PURPOSE, content, signature));
    let link = Link::parse(content).unwrap();
    assert_eq!(
        (link.terms.link, link.terms.case, link.terms.uses, link.terms.tries),
        (new.id, CaseId([2; 16]), 3, 5)
    );
    assert_eq!((link.terms.expires, link.terms.cost), (4_000_000_000, COST));
    let open = |passphrase: &str| {
        let master = master(passphrase, &link.terms.salt, link.terms.cost).unwrap();
        let proof = derived(&master, "proof", new.id).unwrap();
        let (nonce, sealed) = link.sealed.split_first_chunk::<NONCE_LEN>().unwrap();
        let key = LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, &*derived(&master, "key", new.id).unwrap()).unwrap(),
        );
        let mut sealed = sealed.to_vec();
        let bound = link.terms.to_bytes().unwrap();
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut sealed);
        (
            Digest(digest(&SHA256, &*proof).as_ref().try_into().unwrap()) == link.terms.proof,
            opened.ok().map(|plain| plain.to_vec()),
        )
    };
    let (proved, plain) = open(&new.passphrase);
    let secret = Secret::parse(&plain.unwrap()).unwrap();
    assert!(proved && &secret.site == site.certificate());
    let key = KeyPair::try_from(secret.key.as_slice()).unwrap();
    assert_eq!(
        new.certificate.point().unwrap().as_slice(),
        key.public_key_raw(),
        "the key of the certificate"
    );
    assert_eq!(open("another passphrase"), (false, None));
    let shown = new.shown("outside", &links);
    assert_eq!(shown.url, format!("https://portal.example/l/{}", new.id));
}

/// Made by other people's code: Argon2id and HKDF of Python's cryptography 48.
#[test]
fn what_comes_from_a_passphrase_is_as_others_compute_it() {
    let cost = Argon2Cost { memory_kib: 8 << 10, iterations: 2, lanes: 1 };
    let master = master("あいこくしん あいさつ", &[7; SALT_BYTES], cost).unwrap();
    let link = LinkId([9; 16]);
    assert_eq!(hex(&*master), MASTER);
    assert_eq!(hex(&*derived(&master, "proof", link).unwrap()), PROOF);
    assert_eq!(hex(&*derived(&master, "key", link).unwrap()), KEY);
}

#[test]
fn words_are_typed_as_they_are_shown() {
    for language in [Language::Japanese, Language::English] {
        let one = passphrase(language).unwrap();
        assert_eq!(one.split(' ').count(), 7);
        assert_eq!(*normalised(&one), *one, "what is shown is what keys are derived from");
        assert_ne!(*passphrase(language).unwrap(), *one);
        let is_theirs = |character: char| match language {
            Language::Japanese => ('\u{3041}'..='\u{3096}').contains(&character),
            Language::English => character.is_ascii_lowercase(),
        };
        assert!(one.chars().filter(|&character| character != ' ').all(is_theirs), "{}", one.len());
    }
    // Marks apart, as some keyboards send them; wide spaces, capitals.
    assert_eq!(*normalised("  か\u{3099}くせい\u{3000}ABLE\tｚｏｏ "), "がくせい able zoo");
}
