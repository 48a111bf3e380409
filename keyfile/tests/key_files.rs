//! Private keys at rest, against openssl in both directions.
#![allow(clippy::unwrap_used)]

use keyfile::{Fault, KeyFileError, KeyFiles, Passphrase, Protection};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use zeroize::Zeroizing;

const WORDS: &str = "correct horse battery";

/// Runs openssl; a test without it fails.
fn openssl(folder: &Path, arguments: &str) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A folder with `plain.pem`, P-256 in PKCS#8.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    openssl(folder.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain.pem");
    folder
}

fn write(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn with_passphrase(folder: &Path, words: &str) -> Protection {
    let file = write(folder, "passphrase", words, 0o600);
    Protection { passphrase_file: Some(file), plain: false }
}

fn read(path: &Path, protection: &Protection) -> Result<Zeroizing<String>, KeyFileError> {
    KeyFiles::new(protection.clone()).read(path)
}

fn sealed(plain: &str) -> Zeroizing<String> {
    let folder = tempfile::tempdir().unwrap();
    KeyFiles::new(with_passphrase(folder.path(), WORDS))
        .seal(folder.path(), Zeroizing::new(plain.into()))
        .unwrap()
}

fn fault(read: Result<Zeroizing<String>, KeyFileError>) -> Fault {
    match read {
        Err(KeyFileError::Fault { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_we_encrypt_openssl_opens_and_so_do_we() {
    let folder = folder();
    let plain = fs::read_to_string(folder.path().join("plain.pem")).unwrap();
    let sealed = sealed(&plain);
    let path = write(folder.path(), "sealed.pem", &sealed, 0o600);
    assert!(sealed.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    assert_eq!(*read(&path, &with_passphrase(folder.path(), &format!("{WORDS}\n"))).unwrap(), plain);
    openssl(folder.path(), "pkcs8 -in sealed.pem -passin file:passphrase -out opened.pem");
    assert_eq!(fs::read_to_string(folder.path().join("opened.pem")).unwrap(), plain);
}

#[test]
fn what_openssl_encrypts_is_read_unless_its_passphrase_can_be_tried_out() {
    let folder = folder();
    let protection = with_passphrase(folder.path(), WORDS);
    let plain = fs::read_to_string(folder.path().join("plain.pem")).unwrap();
    let sealed_by = |options: &str| {
        openssl(
            folder.path(),
            &format!("pkcs8 -topk8 {options} -in plain.pem -passout file:passphrase -out sealed.pem"),
        );
        let path = folder.path().join("sealed.pem");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        read(&path, &protection)
    };
    assert_eq!(*sealed_by("-scrypt").unwrap(), plain);
    assert_eq!(*sealed_by("-v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000").unwrap(), plain);
    assert_eq!(fault(sealed_by("-v2 aes-256-cbc")), Fault::Weak, "2048 iterations");
    assert_eq!(fault(sealed_by("-scrypt -scrypt_N 1024")), Fault::Weak);
    assert_eq!(fault(sealed_by("-scrypt -scrypt_N 16384 -scrypt_p 64")), Fault::Costly);
    openssl(folder.path(), "ec -in plain.pem -aes256 -passout file:passphrase -out old.pem");
    let old = fs::read_to_string(folder.path().join("old.pem")).unwrap();
    assert_eq!(fault(read(&write(folder.path(), "old.pem", &old, 0o600), &protection)), Fault::Form);
}

#[test]
fn another_passphrase_or_a_changed_file_opens_nothing() {
    let folder = folder();
    let plain = fs::read_to_string(folder.path().join("plain.pem")).unwrap();
    let sealed = sealed(&plain);
    let path = write(folder.path(), "sealed.pem", &sealed, 0o600);
    assert_eq!(
        fault(read(&path, &with_passphrase(folder.path(), "correct horse batterY"))),
        Fault::Passphrase
    );
    let last_line = sealed.lines().rev().nth(1).unwrap();
    let changed =
        write(folder.path(), "sealed.pem", &sealed.replace(last_line, &"A".repeat(last_line.len())), 0o600);
    assert!(read(&changed, &with_passphrase(folder.path(), WORDS)).is_err());
}

#[test]
fn plain_keys_open_files_and_short_passphrases_are_refused_by_name() {
    let folder = folder();
    let plain = fs::read_to_string(folder.path().join("plain.pem")).unwrap();
    let path = write(folder.path(), "plain.pem", &plain, 0o600);
    let refused = read(&path, &Protection::default()).unwrap_err().to_string();
    assert!(
        refused.contains("plain.pem is not encrypted; run: openssl pkcs8")
            && refused.contains("plain_keys = true"),
        "{refused}"
    );
    let chosen = Protection { plain: true, ..Protection::default() };
    assert_eq!(*read(&path, &chosen).unwrap(), plain);
    let open = write(folder.path(), "open.pem", &plain, 0o640);
    assert!(
        read(&open, &chosen)
            .unwrap_err()
            .to_string()
            .contains("is open to others (mode 0640); run: chmod 600")
    );
    let sealed = sealed(&plain);
    let sealed = write(folder.path(), "sealed.pem", &sealed, 0o600);
    let short = read(&sealed, &with_passphrase(folder.path(), "elevenchars")).unwrap_err();
    assert_eq!(short.to_string(), "a passphrase of at least 12 characters is needed");
    let exposed =
        Protection { passphrase_file: Some(write(folder.path(), "words", WORDS, 0o644)), plain: false };
    assert!(read(&sealed, &exposed).unwrap_err().to_string().contains("words is open to others"));
}

#[test]
fn a_passphrase_is_never_printed() {
    assert_eq!(format!("{:?}", Passphrase::new(Zeroizing::new(WORDS.into())).unwrap()), "Passphrase");
}
