//! Certificates that a device makes for its own keys (SPEC 8.2): laid out here, signed by whoever holds the identity's key.

use super::{EC_PUBLIC_KEY, P256, POINT_BYTES};
use crate::ecdsa;
use der::asn1::{
    Any, AnyRef, BitString, BitStringRef, GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, UtcTime,
};
use der::{Decode, Encode, Sequence, Tag};
use std::time::Duration;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use x509_cert::{TbsCertificate, Version};

/// `ecdsa-with-SHA256` (RFC 5754 3.3).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// Common Name (X.520).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Basic Constraints (RFC 5280 4.2.1.9).
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
/// Key Usage (RFC 5280 4.2.1.3).
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// Bytes of a serial number.
pub const SERIAL_BYTES: usize = 16;

/// What a certificate is for. Neither names a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Signs receipts and the other certificates; signed by itself.
    Identity,
    /// Covers are sealed for it; signed by the identity.
    Encryption,
}

impl Role {
    fn name(self) -> der::Result<Name> {
        let text = match self {
            Self::Identity => "Scanpost id",
            Self::Encryption => "Scanpost key",
        };
        let value = Any::new(Tag::Utf8String, text.as_bytes())?;
        let name = SetOfVec::try_from(vec![AttributeTypeAndValue { oid: COMMON_NAME, value }])?;
        Ok(RdnSequence(vec![RelativeDistinguishedName(name)]))
    }

    fn extensions(self) -> der::Result<Vec<Extension>> {
        let usage = |usage| extension(KEY_USAGE, &KeyUsage(usage));
        match self {
            Self::Identity => Ok(vec![
                usage(KeyUsages::DigitalSignature | KeyUsages::KeyCertSign)?,
                extension(BASIC_CONSTRAINTS, &BasicConstraints { ca: true, path_len_constraint: Some(0) })?,
            ]),
            Self::Encryption => Ok(vec![usage(KeyUsages::KeyAgreement.into())?]),
        }
    }
}

/// What the identity's key has to sign (RFC 5280 4.1): DER of a TBSCertificate. `serial` is random: covers name a certificate by it. Times are in
/// seconds since 1970-01-01 UTC.
///
/// # Errors
/// Times before 1970 or after 9999.
pub fn draft(
    role: Role,
    point: &[u8; POINT_BYTES],
    serial: [u8; SERIAL_BYTES],
    not_before: i64,
    not_after: i64,
) -> der::Result<Vec<u8>> {
    let curve = AlgorithmIdentifierOwned { oid: EC_PUBLIC_KEY, parameters: Some(Any::encode_from(&P256)?) };
    TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&positive(serial))?,
        signature: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        issuer: Role::Identity.name()?,
        validity: Validity { not_before: time(not_before)?, not_after: time(not_after)? },
        subject: role.name()?,
        subject_public_key_info: SubjectPublicKeyInfoOwned {
            algorithm: curve,
            subject_public_key: BitString::from_bytes(point)?,
        },
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(role.extensions()?),
    }
    .to_der()
}

/// The certificate: the draft with the signature r ‖ s over it.
///
/// # Errors
/// A draft that is no DER.
pub fn finish(draft: &[u8], pair: &[u8; ecdsa::PAIR_BYTES]) -> der::Result<Vec<u8>> {
    #[derive(Sequence)]
    struct Whole<'a> {
        draft: AnyRef<'a>,
        algorithm: AlgorithmIdentifierOwned,
        signature: BitStringRef<'a>,
    }
    Whole {
        draft: AnyRef::from_der(draft)?,
        algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        signature: BitStringRef::from_bytes(&ecdsa::der(pair)?)?,
    }
    .to_der()
}

/// Not negative, and of the same length whatever was drawn (RFC 5280 4.1.2.2).
fn positive(mut serial: [u8; SERIAL_BYTES]) -> [u8; SERIAL_BYTES] {
    let [first, ..] = &mut serial;
    *first = *first & 0x7F | 0x40;
    serial
}

fn extension(oid: ObjectIdentifier, value: &impl Encode) -> der::Result<Extension> {
    Ok(Extension { extn_id: oid, critical: true, extn_value: OctetString::new(value.to_der()?)? })
}

/// UTCTime until 2049, GeneralizedTime after (RFC 5280 4.1.2.5).
fn time(seconds: i64) -> der::Result<Time> {
    let since_epoch = Duration::from_secs(u64::try_from(seconds).map_err(|_| der::ErrorKind::DateTime)?);
    UtcTime::from_unix_duration(since_epoch)
        .map(Time::UtcTime)
        .or_else(|_| GeneralizedTime::from_unix_duration(since_epoch).map(Time::GeneralTime))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::certificate::Certificate;
    use crate::limits::ENROLMENT_CERTIFICATE_BYTES_MAX;

    #[test]
    fn certificates_are_read_as_laid_out_and_fit_into_a_request() {
        let point = [4; POINT_BYTES];
        for (role, subject) in [(Role::Identity, "CN=Scanpost id"), (Role::Encryption, "CN=Scanpost key")] {
            let draft = draft(role, &point, [0xFF; SERIAL_BYTES], 1_800_000_000, 2_900_000_000).unwrap();
            let der = finish(&draft, &[0xFF; ecdsa::PAIR_BYTES]).unwrap();
            assert!(der.len() <= ENROLMENT_CERTIFICATE_BYTES_MAX, "{} bytes", der.len());
            let read = Certificate::from_der(&der).unwrap();
            assert_eq!(read.point(), Some(&point));
            assert_eq!((read.not_before(), read.not_after()), (1_800_000_000, 2_900_000_000));
            let whole = x509_cert::Certificate::from_der(&der).unwrap();
            assert_eq!(whole.tbs_certificate.subject.to_string(), subject);
            assert_eq!(whole.tbs_certificate.issuer.to_string(), "CN=Scanpost id");
        }
    }
}
