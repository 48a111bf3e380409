//! Beside the `x509-cert` crate, which reads the same of every certificate with one bit changed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::certificate::draft::{Role, draft, finish};
use crate::elements::tests::edited;
use der::{Decode, Encode};

/// Of our own devices, and one with all that the standard lets stand in it.
fn certificates() -> Vec<Vec<u8>> {
    let own =
        |role| finish(&draft(role, &[4; 65], [0xC0; 16], 0, 2_900_000_000).unwrap(), &[0xFF; 64]).unwrap();
    let mut full = rcgen::CertificateParams::new(["site.example".to_owned()]).unwrap();
    full.distinguished_name.push(rcgen::DnType::OrganizationName, "病院");
    full.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(1));
    full.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    full.use_authority_key_identifier_extension = true;
    let full = full.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    vec![own(Role::Identity), own(Role::Encryption), full.der().to_vec()]
}

type Told = (Vec<u8>, Vec<u8>, i64, i64, Vec<u8>);

fn ours(der: &[u8]) -> Option<Told> {
    let Structure { issuer, serial, not_before, not_after, public_key, .. } = read(der)?;
    Some((issuer.to_vec(), serial.to_vec(), not_before, not_after, public_key.to_vec()))
}

fn theirs(der: &[u8]) -> Option<Told> {
    let tbs = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs() as i64;
    Some((
        tbs.issuer.to_der().ok()?,
        tbs.serial_number.to_der().ok()?,
        seconds(tbs.validity.not_before),
        seconds(tbs.validity.not_after),
        tbs.subject_public_key_info.to_der().ok()?,
    ))
}

/// What we take is what the crate takes. It takes a little more: what it passes over, and what it writes otherwise than it was.
#[test]
fn a_certificate_with_a_bit_changed_is_read_as_the_crate_reads_it() {
    let (mut same, mut stricter) = (0, 0);
    for whole in certificates() {
        assert_eq!(ours(&whole), theirs(&whole));
        assert!(ours(&whole).is_some());
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match (ours(&changed), theirs(&changed)) {
                (ours, theirs) if ours == theirs => same += 1,
                (None, Some(_)) => stricter += 1,
                (ours, theirs) => panic!("bit {bit}: {ours:?} {theirs:?}"),
            }
        }
        assert!((0..whole.len()).all(|bytes| ours(&whole[..bytes]).is_none()));
        assert_eq!(ours(&[whole.as_slice(), &[0]].concat()), None);
    }
    assert!(stricter * 100 < same, "{stricter} of {same}");
}

#[test]
fn a_certificate_with_an_element_too_many_or_too_few_is_read_as_the_crate_reads_it() {
    for changed in certificates().iter().flat_map(|whole| edited(whole)) {
        let (ours, theirs) = (ours(&changed), theirs(&changed));
        assert!(ours.is_none() || ours == theirs, "{changed:02x?}");
    }
}
