//! Bouncy Castle, a second implementation of CMS, opens what we write: a mistake that we share with openssl would show.

use crate::delivery::{Party, three_pieces};
use crate::openssl::Openssl;
use seal::cover::Cover;
use seal::native::open_cover;
use std::path::Path;
use std::process::Command;

const JARS: &str = "/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar:/usr/share/java/bcpkix.jar:/usr/share/java/bcmail.jar";
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/peers/bouncycastle/OpenCover.java");

/// The signed content, or what Java said.
fn open(cover: &[u8], doctor: &Party, site: &Party) -> Result<Vec<u8>, String> {
    let jars_are_there = JARS.split(':').all(|jar| Path::new(jar).exists());
    assert!(jars_are_there, "this test needs the Debian packages libbcmail-java and default-jdk-headless");
    let folder = Openssl::new();
    let files = [
        folder.write("cover.p7m", cover),
        folder.write("doctor.key", &doctor.key),
        folder.write("doctor.pem", &doctor.certificate),
        folder.write("site.pem", &site.certificate),
    ];
    let output = Command::new("java").args(["-cp", JARS, PROGRAM]).args(files).output();
    let output = output.expect("this test needs the program java");
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}

#[test]
fn bouncy_castle_opens_our_cover_with_both_kinds_of_key() {
    let (site, elliptic, rsa) = (Party::new("site"), Party::new("elliptic"), Party::rsa("rsa"));
    let (sealed, _) = three_pieces(&site, &[&elliptic, &rsa]);
    let expected = open_cover(&sealed.cover(), &elliptic.doctor(), &[site.certificate()]).unwrap().cover;
    for doctor in [&elliptic, &rsa] {
        let json = open(&sealed.cover(), doctor, &site).unwrap();
        assert_eq!(Cover::parse(&json).unwrap(), expected);
    }
    let mut changed = sealed.cover();
    *changed.last_mut().unwrap() ^= 1;
    assert!(open(&changed, &rsa, &site).is_err());
    assert!(open(&sealed.cover(), &rsa, &Party::new("site")).unwrap_err().contains("not the site's"));
}
