//! What is sealed and signed around a case, before any key is used: certificates, the envelope of a cover, its signature, its text.

use seal::certificate::Certificate;
use seal::certificate::POINT_BYTES;
use seal::certificate::draft::{Role, draft, finish};
use seal::cms::envelope::{self, WRAPPED_KEY_BYTES, WrappedKey, Wrapping};
use seal::cms::signed::{self, Attested};
use seal::cover::Cover;
use std::sync::LazyLock;

const WHAT: &str = "the cover";
const COVER: &str = include_str!("sealed/cover.json");

static OWN: LazyLock<Certificate> =
    LazyLock::new(|| Certificate::from_der(&certificate()).expect("our own certificate"));

/// The first byte says which.
pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => {
            if let Ok(certificate) = Certificate::from_der(bytes) {
                assert_eq!(certificate.der(), bytes);
            }
        }
        1 => drop(envelope::parse(bytes, &OWN)),
        2 => {
            if let Ok(signed) = signed::parse(bytes, WHAT) {
                let _ = signed.candidates(std::slice::from_ref(&*OWN));
            }
        }
        _ => drop(Cover::parse(bytes)),
    }
}

fn certificate() -> Vec<u8> {
    let draft = draft(Role::Encryption, &[4; POINT_BYTES], [0x70; 16], 0, 2_900_000_000).unwrap();
    finish(&draft, &[0x7F; 64]).unwrap()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let wrapping =
        Wrapping::Agreement { ephemeral_point: [4; POINT_BYTES], wrapped_key: [1; WRAPPED_KEY_BYTES] };
    let envelope = envelope::build(&[WrappedKey { recipient: &OWN, wrapping }], &[9; 12], &[5; 100]);
    let attested = Attested::new(b"signed", 1_795_373_465).unwrap();
    let signed = attested.build(Some(b"signed"), &[0x30; 70], &OWN, true).unwrap();
    let seeds = [certificate(), envelope.unwrap(), signed.to_vec(), COVER.as_bytes().to_vec()];
    (0..).zip(seeds).map(|(kind, seed)| [&[kind], seed.as_slice()].concat()).collect()
}
