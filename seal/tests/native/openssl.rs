//! `openssl cms` reads what we write, and we read what it writes.

use crate::delivery::{DELIVERY, NOW, Party, draft, three_pieces};
use crate::round_trip::receipt;
use seal::cover::{ContentKeyText, Cover, PieceEntry};
use seal::ids::Digest;
use seal::native::{
    Certificate, DoctorKey, Refusal, SealError, SiteKey, open_cover, open_receipt, sign_receipt,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder in which openssl works.
pub(crate) struct Openssl(TempDir);

impl Openssl {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    fn party(&self, name: &str, party: &Party) {
        self.write(&format!("{name}.key"), &party.key);
        self.write(&format!("{name}.pem"), &party.certificate);
    }

    /// Runs `openssl` with these words; not being there is a failure.
    fn try_run(&self, words: &str) -> Output {
        let command =
            Command::new("openssl").current_dir(self.path()).args(words.split_whitespace()).output();
        command.expect("these tests need the program openssl")
    }

    pub(crate) fn succeeds(&self, words: &str) -> bool {
        self.try_run(words).status.success()
    }

    pub(crate) fn run(&self, words: &str) {
        let output = self.try_run(words);
        assert!(output.status.success(), "openssl {words}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Signs `json` as the site and encrypts it to the doctor as AuthEnvelopedData, all by openssl.
    pub(crate) fn cover(&self, json: &[u8], site: &Party, doctor: &Party) -> Vec<u8> {
        self.sign(json, site);
        self.encrypt(doctor)
    }

    fn sign(&self, content: &[u8], signer: &Party) {
        self.party("signer", signer);
        self.write("content", content);
        self.run("cms -sign -binary -nodetach -nosmimecap -md sha256 -outform DER -signer signer.pem -inkey signer.key -in content -out signed.der");
    }

    fn encrypt(&self, doctor: &Party) -> Vec<u8> {
        self.party("doctor", doctor);
        self.run("cms -encrypt -binary -outform DER -aes-256-gcm -in signed.der -out made.p7m -recip doctor.pem -keyopt ecdh_kdf_md:sha256");
        self.read("made.p7m")
    }

    /// A cover that nobody signed.
    pub(crate) fn unsigned(&self, json: &[u8], doctor: &Party) -> Vec<u8> {
        self.write("content", json);
        self.run("cms -data_create -binary -in content -outform DER -out signed.der");
        self.encrypt(doctor)
    }

    /// A cover as EnvelopedData, AES-256-CBC without authentication.
    pub(crate) fn cbc(&self, json: &[u8], site: &Party, doctor: &Party) -> Vec<u8> {
        self.cover(json, site, doctor);
        self.run("cms -encrypt -binary -outform DER -aes-256-cbc -in signed.der -out cbc.p7m -recip doctor.pem -keyopt ecdh_kdf_md:sha256");
        self.read("cbc.p7m")
    }

    /// Signs with openssl and leaves out the certificate.
    pub(crate) fn receipt(&self, json: &[u8], signer: &Party) -> Vec<u8> {
        self.party("signer", signer);
        self.write("content", json);
        self.run("cms -sign -binary -nodetach -nosmimecap -nocerts -md sha256 -outform DER -signer signer.pem -inkey signer.key -in content -out signed.der");
        self.read("signed.der")
    }

    /// Takes the signed content out of a cover with one doctor's key and encrypts it to another.
    pub(crate) fn forward(&self, cover: &[u8], from: &Party, to: &Party) -> Vec<u8> {
        self.party("from", from);
        self.write("cover.p7m", cover);
        self.run(
            "cms -decrypt -binary -inform DER -in cover.p7m -inkey from.key -recip from.pem -out signed.der",
        );
        self.encrypt(to)
    }
}

/// A whole cover as JSON, with pieces that do not exist.
pub(crate) fn cover_json(edit: impl FnOnce(&mut Cover), doctor: &Party) -> Vec<u8> {
    let mut cover = draft(DELIVERY, &[doctor.certificate()]);
    cover.content_key = ContentKeyText::of(&[0xC0; 32]);
    cover.pieces = vec![PieceEntry::new(1000, &Digest([2; 32]))];
    edit(&mut cover);
    serde_json::to_vec(&cover).unwrap()
}

#[test]
fn openssl_opens_our_cover_for_each_recipient_and_verifies_the_site() {
    let (site, first, second) = (Party::new("site"), Party::new("first"), Party::rsa("second"));
    let (sealed, _) = three_pieces(&site, &[&first, &second]);
    let expected = open_cover(&sealed.cover(), &first.doctor(), &[site.certificate()]).unwrap().cover;
    for doctor in [&first, &second] {
        let openssl = Openssl::new();
        openssl.party("doctor", doctor);
        openssl.party("site", &site);
        openssl.write("cover.p7m", sealed.cover());
        openssl.run("cms -decrypt -binary -inform DER -in cover.p7m -inkey doctor.key -recip doctor.pem -out signed.der");
        openssl.run(&format!("cms -verify -binary -inform DER -in signed.der -CAfile site.pem -purpose any -attime {NOW} -out cover.json"));
        assert_eq!(Cover::parse(&openssl.read("cover.json")).unwrap(), expected);
    }
}

#[test]
fn openssl_does_not_open_our_cover_for_anybody_else() {
    let (site, doctor, other) = (Party::new("site"), Party::new("doctor"), Party::new("other"));
    let (sealed, _) = three_pieces(&site, &[&doctor]);
    let openssl = Openssl::new();
    openssl.party("other", &other);
    openssl.write("cover.p7m", sealed.cover());
    let output = openssl.try_run(
        "cms -decrypt -binary -inform DER -in cover.p7m -inkey other.key -recip other.pem -out plain",
    );
    assert!(!output.status.success());
}

#[test]
fn openssl_verifies_our_receipt() {
    let doctor = Party::new("doctor");
    let openssl = Openssl::new();
    openssl.party("doctor", &doctor);
    openssl.write("receipt.p7m", sign_receipt(&receipt(&doctor), &doctor.doctor()).unwrap());
    openssl.run(&format!("cms -verify -binary -inform DER -in receipt.p7m -nointern -certfile doctor.pem -CAfile doctor.pem -purpose any -attime {NOW} -out receipt.json"));
    assert_eq!(openssl.read("receipt.json"), serde_json::to_vec(&receipt(&doctor)).unwrap());
}

#[test]
fn a_cover_made_by_openssl_opens() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let json = cover_json(|_| {}, &doctor);
    let made = Openssl::new().cover(&json, &site, &doctor);
    let opened = open_cover(&made, &doctor.doctor(), &[site.certificate()]).unwrap();
    assert_eq!(serde_json::to_vec(&opened.cover).unwrap(), json);
    let flipped = [&made[..made.len() - 1], &[made[made.len() - 1] ^ 1]].concat();
    let refused = open_cover(&flipped, &doctor.doctor(), &[site.certificate()]).unwrap_err();
    assert!(matches!(refused, SealError::Refused(Refusal::Damaged("the cover"))), "{refused}");
}

/// openssl's words for RSA-OAEP with SHA-256; MGF1 takes the same hash.
const OAEP: &str = "-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256";

fn encrypt_for_rsa(openssl: &Openssl, cipher: &str, keyopt: &str) -> Vec<u8> {
    openssl.run(&format!(
        "cms -encrypt -binary -outform DER {cipher} -in signed.der -out rsa.p7m -recip doctor.pem {keyopt}"
    ));
    openssl.read("rsa.p7m")
}

#[test]
fn a_cover_for_rsa_made_by_openssl_opens_with_oaep_alone() {
    let (site, doctor) = (Party::new("site"), Party::rsa("doctor"));
    let (json, openssl) = (cover_json(|_| {}, &doctor), Openssl::new());
    openssl.sign(&json, &site);
    openssl.party("doctor", &doctor);
    let open = |cipher: &str, keyopt: &str| {
        let made = encrypt_for_rsa(&openssl, cipher, keyopt);
        open_cover(&made, &doctor.doctor(), &[site.certificate()])
    };
    let opened = open("-aes-256-gcm", OAEP).unwrap();
    assert_eq!(serde_json::to_vec(&opened.cover).unwrap(), json);
    let refused = |cipher: &str, keyopt: &str| match open(cipher, keyopt) {
        Err(SealError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("-aes-256-gcm", ""), Refusal::KeyWrapping);
    assert_eq!(refused("-aes-256-gcm", "-keyopt rsa_padding_mode:oaep"), Refusal::KeyWrapping);
    let other_mask = format!("{OAEP} -keyopt rsa_mgf1_md:sha1");
    assert_eq!(refused("-aes-256-gcm", &other_mask), Refusal::KeyWrapping);
    let label = format!("{OAEP} -keyopt rsa_oaep_label:00");
    assert_eq!(refused("-aes-256-gcm", &label), Refusal::KeyWrapping);
    assert_eq!(refused("-aes-128-gcm", OAEP), Refusal::Malformed("the cover"));
    assert_eq!(refused("-aes-256-cbc", OAEP), Refusal::Unauthenticated);
}

#[test]
fn an_rsa_recipient_beside_ours_does_not_disturb() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let openssl = Openssl::new();
    openssl.run("req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.pem -subj /CN=rsa -days 30");
    openssl.sign(&cover_json(|_| {}, &doctor), &site);
    openssl.party("doctor", &doctor);
    openssl.run("cms -encrypt -binary -outform DER -aes-256-gcm -in signed.der -out made.p7m -recip rsa.pem -recip doctor.pem -keyopt ecdh_kdf_md:sha256");
    open_cover(&openssl.read("made.p7m"), &doctor.doctor(), &[site.certificate()]).unwrap();
}

#[test]
fn a_receipt_made_by_openssl_opens() {
    let doctor = Party::new("doctor");
    let json = serde_json::to_vec(&receipt(&doctor)).unwrap();
    let made = Openssl::new().receipt(&json, &doctor);
    assert_eq!(open_receipt(&made, &[doctor.recipient()]).unwrap(), receipt(&doctor));
}

#[test]
fn enveloped_data_without_authentication_is_refused() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let cbc = Openssl::new().cbc(&cover_json(|_| {}, &doctor), &site, &doctor);
    let refused = open_cover(&cbc, &doctor.doctor(), &[site.certificate()]).unwrap_err();
    assert!(matches!(refused, SealError::Refused(Refusal::Unauthenticated)), "{refused}");
}

#[test]
fn the_old_key_derivation_is_refused() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let openssl = Openssl::new();
    openssl.cover(&cover_json(|_| {}, &doctor), &site, &doctor);
    openssl.run("cms -encrypt -binary -outform DER -aes-256-gcm -in signed.der -out sha1.p7m -recip doctor.pem -keyopt ecdh_kdf_md:sha1");
    let refused = open_cover(&openssl.read("sha1.p7m"), &doctor.doctor(), &[site.certificate()]).unwrap_err();
    assert!(matches!(refused, SealError::Refused(Refusal::Malformed("the cover"))), "{refused}");
}

#[test]
fn keys_that_openssl_writes_are_read() {
    let openssl = Openssl::new();
    openssl.run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out pkcs8.key");
    openssl.run("ecparam -name prime256v1 -genkey -out sec1.key");
    for name in ["pkcs8", "sec1"] {
        openssl.run(&format!("req -x509 -new -key {name}.key -out {name}.pem -subj /CN={name} -days 30"));
        let (key, certificate) = (openssl.text(&format!("{name}.key")), openssl.text(&format!("{name}.pem")));
        let doctor = Party { key, certificate };
        SiteKey::from_pem(&doctor.key, &doctor.certificate).unwrap();
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!(
            doctor.certificate().is_valid_at(now) && !doctor.certificate().is_valid_at(now + 31 * 86_400)
        );
        assert_eq!(doctor.certificate().not_after() - doctor.certificate().not_before(), 30 * 86_400);
    }
    assert!(openssl.text("pkcs8.key").contains("BEGIN PRIVATE KEY"));
    assert!(openssl.text("sec1.key").contains("BEGIN EC PRIVATE KEY"));
}

#[test]
fn other_keys_are_refused_with_a_reason() {
    let openssl = Openssl::new();
    openssl.run("req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.pem -subj /CN=rsa -days 30");
    openssl.run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout p384.key -out p384.pem -subj /CN=p384 -days 30");
    openssl.run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -passout pass:word -keyout locked.key -out locked.pem -subj /CN=locked -days 30");
    let (one, other) = (Party::new("one"), Party::new("other"));
    let reason =
        |key: &str, certificate: &str| DoctorKey::from_pem(key, certificate).err().unwrap().to_string();
    assert_eq!(reason(&openssl.text("rsa.key"), &one.certificate), "the doctor's key: not a P-256 key");
    let (rsa, other_rsa) = (Party::rsa("one"), Party::rsa("other"));
    assert_eq!(
        reason(&rsa.key, &other_rsa.certificate),
        "the doctor's key: the certificate belongs to another key"
    );
    assert!(reason(&one.key, &rsa.certificate).contains("not an RSA key in PKCS#8"));
    let site = SiteKey::from_pem(&rsa.key, &rsa.certificate).err().unwrap().to_string();
    assert_eq!(site, "the site's key: not a P-256 key");
    assert_eq!(reason(&openssl.text("p384.key"), &one.certificate), "the doctor's key: not a P-256 key");
    assert!(reason(&openssl.text("locked.key"), &openssl.text("locked.pem")).contains("without passphrase"));
    assert!(reason(&one.key, &other.certificate).contains("another key"));
    let refused = |name: &str| Certificate::from_pem(&openssl.text(name)).unwrap_err().to_string();
    assert_eq!(
        refused("rsa.pem"),
        "certificate: its RSA key has 2048 bits, at least 3072 are needed: make a new one"
    );
    assert_eq!(refused("p384.pem"), "certificate: its key is neither on P-256 nor RSA of at least 3072 bits");
    assert_eq!(
        Certificate::from_pem(&one.key).unwrap_err().to_string(),
        "certificate: not a PEM certificate"
    );
}
