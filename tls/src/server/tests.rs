//! Files that change while the gateway runs.
#![allow(clippy::unwrap_used)]

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// The clock of a file system may stand still for some milliseconds.
const TICK: Duration = Duration::from_millis(20);

fn write(path: &Path, text: &str) {
    std::thread::sleep(TICK);
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn a_certificate_that_is_renewed_halfway_keeps_the_door_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let files = ServerFiles {
        certificate: path("cert"),
        key: path("key"),
        client_ca: Some(path("ca")),
        crl: None,
        tls12: false,
    };
    let (certificate, key) = pair();
    write(&files.certificate, &certificate);
    write(&files.key, &key);
    write(files.client_ca.as_deref().unwrap(), &certificate);
    let listener = Listener::read(&files).unwrap();
    let before = listener.config();
    let (renewed, renewed_key) = pair();
    for halfway in ["", "no certificate", &renewed] {
        write(&files.certificate, halfway);
        assert!(Arc::ptr_eq(&before, &listener.config()), "{halfway}");
        assert!(listener.unusable.load(Ordering::Relaxed));
    }
    write(&files.key, &renewed_key);
    let after = listener.config();
    assert!(!Arc::ptr_eq(&before, &after) && !listener.unusable.load(Ordering::Relaxed));
    assert!(Arc::ptr_eq(&after, &listener.config()), "unchanged files are not read again");
    // A mode is no change of the file, and yet it must be seen once it is mended.
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    write(files.client_ca.as_deref().unwrap(), &renewed);
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Arc::ptr_eq(&after, &listener.config()));
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!Arc::ptr_eq(&after, &listener.config()));
}
