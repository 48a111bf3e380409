//! X.509 certificates of recipients and sites, P-256 only.

use crate::error::SealError;
use crate::ids::Digest;
use ::cms::cert::IssuerAndSerialNumber;
use der::Decode;
use der::asn1::ObjectIdentifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Time;

/// `id-ecPublicKey` (RFC 5480 2.1.1).
pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1`, P-256 (RFC 5480 2.1.1.1).
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// An uncompressed point: 0x04, then x and y of 32 bytes each (SEC 1 2.3.3).
pub const POINT_BYTES: usize = 65;
const POINT_UNCOMPRESSED: u8 = 4;

/// An X.509 certificate of a recipient or a site, P-256. It is trusted because it was pinned, by its bytes; no chain is built.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    identifier: IssuerAndSerialNumber,
    point: [u8; POINT_BYTES],
    not_before: i64,
    not_after: i64,
}

impl Certificate {
    /// Reads the first PEM certificate.
    ///
    /// # Errors
    /// [`SealError::Key`] if it is not a P-256 certificate.
    pub fn from_pem(pem: &str) -> Result<Self, SealError> {
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| refused("not a PEM certificate"))?;
        Self::from_der(&der)
    }

    /// Reads a DER certificate.
    ///
    /// # Errors
    /// [`SealError::Key`] if it is not a P-256 certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, SealError> {
        let parsed =
            x509_cert::Certificate::from_der(der).map_err(|_| refused("not an X.509 certificate"))?;
        let tbs = parsed.tbs_certificate;
        Ok(Self {
            der: der.to_vec(),
            point: point_of(&tbs.subject_public_key_info)
                .ok_or_else(|| refused("its key is not on P-256"))?,
            identifier: IssuerAndSerialNumber { issuer: tbs.issuer, serial_number: tbs.serial_number },
            not_before: seconds(tbs.validity.not_before),
            not_after: seconds(tbs.validity.not_after),
        })
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of its DER.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// The public key, an uncompressed point on P-256. Whether it lies on the curve is checked by who computes with it.
    pub fn point(&self) -> &[u8; POINT_BYTES] {
        &self.point
    }

    /// Not-before, seconds since 1970-01-01 UTC.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Not-after, seconds since 1970-01-01 UTC.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether it is valid at `time`, seconds since 1970-01-01 UTC (RFC 5280 4.1.2.5: both ends belong to it).
    pub fn is_valid_at(&self, time: i64) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }

    /// Issuer and serial number, by which CMS names it.
    pub(crate) fn identifier(&self) -> &IssuerAndSerialNumber {
        &self.identifier
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Certificate({})", self.digest())
    }
}

/// An uncompressed point; the other forms of SEC 1 are not read.
pub(crate) fn read_point(bytes: &[u8]) -> Option<[u8; POINT_BYTES]> {
    let point: [u8; POINT_BYTES] = bytes.try_into().ok()?;
    (point.first() == Some(&POINT_UNCOMPRESSED)).then_some(point)
}

fn point_of(key: &SubjectPublicKeyInfoOwned) -> Option<[u8; POINT_BYTES]> {
    let curve: ObjectIdentifier = key.algorithm.parameters.as_ref()?.decode_as().ok()?;
    let is_p256 = key.algorithm.oid == EC_PUBLIC_KEY && curve == P256;
    is_p256.then(|| read_point(key.subject_public_key.as_bytes()?)).flatten()
}

fn seconds(time: Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

fn refused(reason: &str) -> SealError {
    SealError::key("certificate", reason)
}
