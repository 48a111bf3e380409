//! X.509 certificates of recipients and sites: P-256, or RSA of at least 3072 bits for recipients.

pub mod draft;
mod structure;

use crate::elements::{self, Algorithm};
use crate::error::SealError;
use crate::ids::Digest;
use crate::limits::{RSA_BITS_MAX, RSA_BITS_MIN};
use der::asn1::ObjectIdentifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;
use structure::Structure;

/// `id-ecPublicKey` (RFC 5480 2.1.1).
pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1`, P-256 (RFC 5480 2.1.1.1).
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `rsaEncryption` (RFC 3279 2.3.1).
pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// An uncompressed point: 0x04, then x and y of 32 bytes each (SEC 1 2.3.3).
pub const POINT_BYTES: usize = 65;
const POINT_UNCOMPRESSED: u8 = 4;

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// An uncompressed point on P-256. Whether it lies on the curve is checked by who computes with it.
    P256([u8; POINT_BYTES]),
    /// RSA of [`RSA_BITS_MIN`] bits or more: DER of its SubjectPublicKeyInfo (RFC 5280 4.1).
    Rsa(Vec<u8>),
}

/// An X.509 certificate of a recipient or a site. It is trusted because it was pinned, by its bytes; no chain is built.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// Issuer and serial number: the value of an IssuerAndSerialNumber (RFC 5652 10.2.4).
    identifier: Vec<u8>,
    public_key: PublicKey,
    not_before: i64,
    not_after: i64,
}

impl Certificate {
    /// Reads the first PEM certificate.
    ///
    /// # Errors
    /// [`SealError::Key`] if it is not a certificate with a key on P-256, or an RSA key that is long enough.
    pub fn from_pem(pem: &str) -> Result<Self, SealError> {
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| refused("not a PEM certificate"))?;
        Self::from_der(&der)
    }

    /// Reads a DER certificate.
    ///
    /// # Errors
    /// [`SealError::Key`] if it is not a certificate with a key on P-256, or an RSA key that is long enough.
    pub fn from_der(der: &[u8]) -> Result<Self, SealError> {
        let read = structure::read(der).ok_or_else(|| refused("not an X.509 certificate"))?;
        Ok(Self {
            der: der.to_vec(),
            public_key: public_key(&read)?,
            identifier: [read.issuer, read.serial].concat(),
            not_before: read.not_before,
            not_after: read.not_after,
        })
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// As PEM.
    pub fn to_pem(&self) -> String {
        der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &self.der).unwrap_or_default()
    }

    /// SHA-256 of its DER.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The public key if it can check signatures of SPEC 5.2 and 7: an uncompressed point on P-256.
    pub fn point(&self) -> Option<&[u8; POINT_BYTES]> {
        match &self.public_key {
            PublicKey::P256(point) => Some(point),
            PublicKey::Rsa(_) => None,
        }
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

    /// Issuer and serial number, by which CMS names it: the value of an IssuerAndSerialNumber.
    pub(crate) fn identifier(&self) -> &[u8] {
        &self.identifier
    }
}

/// Whom a cover is sealed for, and whose signature stands under the receipt (SPEC 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    certificate: Certificate,
    identity: Certificate,
}

impl Recipient {
    /// A P-256 certificate signs its own receipts where no `identity` is named; an RSA certificate needs one.
    ///
    /// # Errors
    /// [`SealError::Key`] for an identity that is not on P-256, or none beside an RSA certificate.
    pub fn new(certificate: Certificate, identity: Option<Certificate>) -> Result<Self, SealError> {
        let identity = identity.unwrap_or_else(|| certificate.clone());
        if identity.point().is_none() {
            return Err(refused("RSA signs no receipts: name a P-256 certificate as identity beside it"));
        }
        Ok(Self { certificate, identity })
    }

    /// Someone who has only a mail program, which signs no receipts, whatever key it has.
    pub fn of_mail_program(certificate: Certificate) -> Self {
        Self { identity: certificate.clone(), certificate }
    }

    /// Whether its identity can sign receipts.
    pub fn signs_receipts(&self) -> bool {
        self.identity.point().is_some()
    }

    /// The certificate that covers are sealed for.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate that receipts are signed under.
    pub fn identity(&self) -> &Certificate {
        &self.identity
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

fn public_key(read: &Structure<'_>) -> Result<PublicKey, SealError> {
    if read.algorithm.oid == RSA_ENCRYPTION.as_bytes() {
        return rsa_key(read);
    }
    point_of(&read.algorithm, read.key)
        .map(PublicKey::P256)
        .ok_or_else(|| refused("its key is neither on P-256 nor RSA of at least 3072 bits"))
}

fn point_of(algorithm: &Algorithm<'_>, key: Option<&[u8]>) -> Option<[u8; POINT_BYTES]> {
    let curve = elements::sole(algorithm.parameters?.whole, elements::OBJECT_IDENTIFIER)?;
    let is_p256 = algorithm.oid == EC_PUBLIC_KEY.as_bytes() && curve == P256.as_bytes();
    is_p256.then(|| read_point(key?)).flatten()
}

fn rsa_key(read: &Structure<'_>) -> Result<PublicKey, SealError> {
    let (modulus, exponent) =
        read.key.and_then(rsa_numbers).ok_or_else(|| refused("its RSA key is malformed"))?;
    let bits = bits(modulus);
    if bits < RSA_BITS_MIN {
        return Err(refused(&format!(
            "its RSA key has {bits} bits, at least {RSA_BITS_MIN} are needed: make a new one"
        )));
    }
    if bits > RSA_BITS_MAX || exponent.is_empty() {
        return Err(refused(&format!("its RSA key has more than {RSA_BITS_MAX} bits, or no exponent")));
    }
    Ok(PublicKey::Rsa(read.public_key.to_vec()))
}

/// Modulus and exponent (RFC 8017 A.1.1).
fn rsa_numbers(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut numbers = elements::sequence(key)?;
    let pair = (numbers.unsigned()?, numbers.unsigned()?);
    numbers.end(pair)
}

/// Length of a number, big endian without leading zero bytes.
fn bits(number: &[u8]) -> usize {
    let first = number.first().copied().unwrap_or_default();
    number.len() * 8 - first.leading_zeros() as usize
}

fn refused(reason: &str) -> SealError {
    SealError::key("certificate", reason)
}
