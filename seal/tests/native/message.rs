//! S/MIME messages for mail programs: openssl opens them, and we read back only what may be read.

use crate::delivery::{DELIVERY, NOW, Party};
use crate::openssl::Openssl;
use seal::mail::Encryption;
use seal::native::{Addressee, SealError, SealedMessage, open_cover, seal_message};
use std::io::Read;
use tempfile::TempDir;

const ENTITY: &[u8] = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nimages of \xe5\xb1\xb1\xe7\x94\xb0\r\n";

fn message(
    site: &Party,
    to: &Party,
    encryption: Encryption,
    at: i64,
) -> Result<(TempDir, Vec<u8>), SealError> {
    let folder = TempDir::new().unwrap();
    let to = Addressee { number: 3, certificates: &[to.certificate()], encryption };
    let sealed = seal_message(ENTITY, DELIVERY, at, &site.site(), &to, folder.path())?;
    let again = SealedMessage::reopen(folder.path(), DELIVERY, 3)?.unwrap();
    assert_eq!((again.bytes(), again.encryption()), (sealed.bytes(), encryption));
    let mut der = Vec::new();
    again.open()?.read_to_end(&mut der)?;
    Ok((folder, der))
}

fn decrypted(der: &[u8], site: &Party, doctor: &Party) -> Openssl {
    let openssl = Openssl::new();
    openssl.write("doctor.key", &doctor.key);
    openssl.write("doctor.pem", &doctor.certificate);
    openssl.write("site.pem", &site.certificate);
    openssl.write("message.p7m", der);
    openssl.run("cms -decrypt -binary -inform DER -in message.p7m -inkey doctor.key -recip doctor.pem -out signed.eml");
    openssl
}

const VERIFY: &str = "cms -verify -in signed.eml -CAfile site.pem -purpose any -out entity -attime";

#[test]
fn openssl_decrypts_a_message_and_verifies_the_site() {
    let (site, elliptic, rsa) = (Party::new("site"), Party::new("elliptic"), Party::rsa("rsa"));
    for doctor in [&elliptic, &rsa] {
        for encryption in [Encryption::Authenticated, Encryption::QuirkCbc] {
            let (_folder, der) = message(&site, doctor, encryption, NOW).unwrap();
            let openssl = decrypted(&der, &site, doctor);
            openssl.run(&format!("{VERIFY} {NOW}"));
            assert_eq!(openssl.read("entity"), ENTITY);
        }
    }
}

#[test]
fn a_signature_of_another_site_or_over_other_words_does_not_verify() {
    let (site, other, doctor) = (Party::new("site"), Party::new("other"), Party::new("doctor"));
    let (_folder, der) = message(&other, &doctor, Encryption::Authenticated, NOW).unwrap();
    let openssl = decrypted(&der, &site, &doctor);
    assert!(!openssl.succeeds(&format!("{VERIFY} {NOW}")));
    let (_folder, der) = message(&site, &doctor, Encryption::Authenticated, NOW).unwrap();
    let openssl = decrypted(&der, &site, &doctor);
    let signed = String::from_utf8(openssl.read("signed.eml")).unwrap();
    openssl.write("signed.eml", signed.replace("images of", "images OF"));
    assert!(!openssl.succeeds(&format!("{VERIFY} {NOW}")));
}

/// No key but the recipient's opens it: the content key is not wrapped under a key that anybody has (the zero key of `cms` 0.3.0-rc.0).
#[test]
fn each_message_has_keys_of_its_own_and_no_reader_of_covers_takes_it() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    for encryption in [Encryption::Authenticated, Encryption::QuirkCbc] {
        let (_folder, one) = message(&site, &doctor, encryption, NOW).unwrap();
        let (_folder, two) = message(&site, &doctor, encryption, NOW).unwrap();
        let shared = one.windows(16).filter(|window| two.windows(16).any(|other| other == *window)).count();
        assert!(shared < one.len() / 2, "only names and algorithms are alike");
        let refused = open_cover(&one, &doctor.doctor(), &[site.certificate()]).unwrap_err();
        let words = refused.to_string();
        match encryption {
            Encryption::Authenticated => assert!(words.contains("malformed"), "{words}"),
            Encryption::QuirkCbc => assert!(words.contains("without authentication"), "{words}"),
        }
    }
}

#[test]
fn a_certificate_that_is_not_valid_is_refused_before_anything_is_written() {
    let (site, late) = (Party::new("site"), Party::valid_in("late", 2020, 2021));
    let refused = message(&site, &late, Encryption::Authenticated, NOW).unwrap_err();
    assert!(refused.to_string().contains("a recipient's certificate: not valid now"), "{refused}");
    let old = Party::valid_in("site", 2020, 2021);
    let refused = message(&old, &Party::new("doctor"), Encryption::Authenticated, NOW).unwrap_err();
    assert!(refused.to_string().contains("the site's certificate: not valid now"), "{refused}");
}

#[test]
fn a_message_that_was_not_finished_is_made_anew() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("smime-001.p7m.partial"), b"half").unwrap();
    assert!(SealedMessage::reopen(folder.path(), DELIVERY, 1).unwrap().is_none());
    let to =
        Addressee { number: 1, certificates: &[doctor.certificate()], encryption: Encryption::Authenticated };
    seal_message(ENTITY, DELIVERY, NOW, &site.site(), &to, folder.path()).unwrap();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["smime-001.p7m"]);
    std::fs::write(folder.path().join("smime-002.p7m"), b"something else").unwrap();
    assert!(SealedMessage::reopen(folder.path(), DELIVERY, 2).is_err());
}
