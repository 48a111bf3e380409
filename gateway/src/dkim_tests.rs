//! Against RFC 8463's own message and signature, and the rules of canonicalisation. On real mails: tests/scenarios/test_dkim.py.

#![allow(clippy::unwrap_used)]

use super::*;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

/// RFC 8463 A.1: seed of the Ed25519 key, in the PKCS#8 frame of RFC 8410 7.
const RFC_8463_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const RFC_8463_PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// RFC 8463 A.2.
const HEAD: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
    To: Suzie Q <suzie@shopping.example.net>\r\n\
    Subject: Is dinner ready?\r\n\
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
    Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n";
const BODY: &[u8] = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

fn signer() -> Signer {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(RFC_8463_KEY.as_bytes()).unwrap();
    let dkim = Dkim {
        domain: "football.example.com".into(),
        selector: "brisbane".into(),
        key: file.path().to_owned(),
    };
    Signer::read(&dkim).unwrap()
}

fn digest_of(pieces: &[&[u8]]) -> String {
    let mut hash = BodyHash::default();
    pieces.iter().for_each(|piece| hash.update(piece));
    BASE64.encode(hash.finish().0)
}

#[test]
fn key_and_record_are_those_of_rfc_8463() {
    let signer = signer();
    assert_eq!(signer.record(), format!("v=DKIM1; k=ed25519; p={RFC_8463_PUBLIC}"));
    assert_eq!(signer.record_name(), "brisbane._domainkey.football.example.com");
}

#[test]
fn body_digest_is_that_of_rfc_8463_however_it_is_cut() {
    // That example says relaxed, which for its body is what simple gives but for two spaces; RFC 6376 3.4.3 for the rest.
    let whole = digest_of(&[BODY]);
    for cut in 0..BODY.len() {
        let (first, second) = BODY.split_at(cut);
        assert_eq!(digest_of(&[first, second]), whole, "cut at {cut}");
    }
    assert_eq!(digest_of(&[BODY, b"\r\n\r\n", b"\r\n"]), whole, "empty lines at the end do not count");
    assert_ne!(digest_of(&[b"Hi.\r\n", BODY]), whole);
    // RFC 6376 3.4.3: the digest of an empty body.
    assert_eq!(digest_of(&[]), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
}

#[test]
fn relaxed_fields_are_those_of_rfc_6376() {
    // RFC 6376 3.4.5.
    assert_eq!(relaxed("A: X"), "a:X");
    assert_eq!(relaxed("B : Y\t\r\n\tZ  "), "b:Y Z");
}

#[test]
fn fields_that_are_there_are_signed_and_a_second_from_is_ruled_out() {
    let (names, signed) = signed_fields(HEAD);
    assert_eq!(names, ["from", "from", "to", "subject", "date", "message-id"]);
    assert!(signed.starts_with("from:Joe SixPack <joe@football.example.com>\r\nto:Suzie Q"), "{signed}");
    assert_eq!(signed.matches("from:").count(), 1);
}

#[test]
fn signature_is_right_and_depends_on_every_part() {
    let signer = signer();
    let mut hash = BodyHash::default();
    hash.update(BODY);
    let body = hash.finish();
    let field = signer.field(HEAD, &body, 1_795_373_465).unwrap();
    assert!(field.lines().all(|line| line.len() <= 78), "{field}");
    let (unsigned, signature) = field.trim_end().split_at(field.find(" b=").unwrap() + 3);
    let signature = BASE64.decode(signature.replace("\r\n ", "")).unwrap();
    let verified = |head: &str, field: &str| {
        let mut signed = signed_fields(head).1;
        signed.push_str(&relaxed(field));
        let public = BASE64.decode(RFC_8463_PUBLIC).unwrap();
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public)
            .verify(digest(&SHA256, signed.as_bytes()).as_ref(), &signature)
            .is_ok()
    };
    assert!(verified(HEAD, unsigned));
    assert!(
        verified(&HEAD.replace("Is dinner ready?", " Is   dinner\r\n ready?"), unsigned),
        "folding is no change"
    );
    assert!(!verified(&HEAD.replace("dinner", "lunch"), unsigned));
    assert!(!verified(HEAD, &unsigned.replace("s=brisbane", "s=sydney")));
}

#[test]
fn weak_and_exposed_keys_are_refused() {
    let key = |pem: &str, mode: u32| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let dkim = Dkim { domain: "a.example".into(), selector: "s".into(), key: file.path().to_owned() };
        Signer::read(&dkim).map(|_| ()).unwrap_err().to_string()
    };
    assert!(key(RFC_8463_KEY, 0o640).contains("chmod 600"));
    assert!(key("no key", 0o600).contains("Ed25519 or RSA from 2048 bits"));
}
