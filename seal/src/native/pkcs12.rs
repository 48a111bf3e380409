//! A PKCS#12 file (RFC 7292) with a key and its certificate, for phones and mail programs: PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC, MAC by
//! HMAC-SHA-256. The password is what protects it, so the caller makes one that cannot be guessed.

use super::keys::pkcs8_and_certificate;
use super::message::encrypt_cbc;
use super::random;
use crate::cms::envelope::KEY_BYTES;
use crate::error::SealError;
use crate::ids::Digest;
use ::pkcs12::digest_info::DigestInfo;
use ::pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
use ::pkcs12::mac_data::MacData;
use ::pkcs12::pfx::{Pfx, Version};
use ::pkcs12::safe_bag::SafeBag;
use ::pkcs12::{PKCS_12_CERT_BAG_OID, PKCS_12_PKCS8_KEY_BAG_OID, PKCS_12_X509_CERT_OID};
use aws_lc_rs::hmac;
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use cms::content_info::ContentInfo;
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Encode, Sequence};
use std::num::NonZeroU32;
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

/// RFC 5652 4 and 8.
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
/// RFC 8018 A.
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
/// RFC 3565 4.1.
const AES256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
/// RFC 5754 2.2.
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// RFC 2985 5.5.2: ties key and certificate together.
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
/// Rounds of PBKDF2; a generated password of 80 bits needs none, they are for programs that ask for some.
const ROUNDS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
/// Rounds of the key of the MAC (RFC 7292 B).
const MAC_ROUNDS: i32 = 10_000;
const SALT_BYTES: usize = 16;
const FILE: &str = "the PKCS#12 file";

/// RFC 8018 A.4.
#[derive(Sequence)]
struct Pbes2 {
    key_derivation: AlgorithmIdentifierOwned,
    encryption: AlgorithmIdentifierOwned,
}

/// RFC 8018 A.2, with a salt of its own.
#[derive(Sequence)]
struct Pbkdf2 {
    salt: OctetString,
    rounds: u32,
    prf: AlgorithmIdentifierOwned,
}

/// RFC 5958 3.
#[derive(Sequence)]
struct EncryptedKey {
    algorithm: AlgorithmIdentifierOwned,
    encrypted: OctetString,
}

/// RFC 5652 8.
#[derive(Sequence)]
struct EncryptedData {
    version: u8,
    content: EncryptedContent,
}

/// RFC 5652 6.1.
#[derive(Sequence)]
struct EncryptedContent {
    content_type: ObjectIdentifier,
    algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    encrypted: OctetString,
}

/// RFC 7292 4.2.3.
#[derive(Sequence)]
struct CertificateBag {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    certificate: OctetString,
}

/// Writes a key without passphrase and its certificate, both PEM, under a password.
///
/// # Errors
/// [`SealError::Key`] if they do not belong together.
pub fn identity_file(key: &str, certificate: &str, password: &str) -> Result<Vec<u8>, SealError> {
    let (key, certificate) = pkcs8_and_certificate(key, certificate)?;
    lay_out(&key, certificate.der(), password).map_err(|_| SealError::key(FILE, "cannot be made"))
}

fn lay_out(key: &[u8], certificate: &[u8], password: &str) -> der::Result<Vec<u8>> {
    let id = Digest::of(certificate).0;
    let safes = vec![
        encrypted_safe(certificate_bag(certificate, &id)?, password)?,
        data(&vec![key_bag(key, &id, password)?].to_der()?)?,
    ];
    let safes = safes.to_der()?;
    let mac_data = mac(&safes, password)?;
    Pfx { version: Version::V3, auth_safe: data(&safes)?, mac_data: Some(mac_data) }.to_der()
}

/// RFC 7292 4: a content of plain octets.
fn data(content: &[u8]) -> der::Result<ContentInfo> {
    Ok(ContentInfo { content_type: DATA, content: Any::encode_from(&OctetString::new(content)?)? })
}

fn encrypted_safe(bag: SafeBag, password: &str) -> der::Result<ContentInfo> {
    let (algorithm, encrypted) = encrypted(&vec![bag].to_der()?, password)?;
    let content = EncryptedContent { content_type: DATA, algorithm, encrypted: OctetString::new(encrypted)? };
    let data = EncryptedData { version: 0, content };
    Ok(ContentInfo { content_type: ENCRYPTED_DATA, content: Any::encode_from(&data)? })
}

fn certificate_bag(certificate: &[u8], id: &[u8]) -> der::Result<SafeBag> {
    let bag = CertificateBag { kind: PKCS_12_X509_CERT_OID, certificate: OctetString::new(certificate)? };
    bag_of(PKCS_12_CERT_BAG_OID, bag.to_der()?, id)
}

fn key_bag(key: &[u8], id: &[u8], password: &str) -> der::Result<SafeBag> {
    let (algorithm, encrypted) = encrypted(key, password)?;
    let key = EncryptedKey { algorithm, encrypted: OctetString::new(encrypted)? };
    bag_of(PKCS_12_PKCS8_KEY_BAG_OID, key.to_der()?, id)
}

fn bag_of(bag_id: ObjectIdentifier, bag_value: Vec<u8>, id: &[u8]) -> der::Result<SafeBag> {
    let id = SetOfVec::try_from(vec![Any::encode_from(&OctetString::new(id)?)?])?;
    let attributes = SetOfVec::try_from(vec![Attribute { oid: LOCAL_KEY_ID, values: id }])?;
    Ok(SafeBag { bag_id, bag_value, bag_attributes: Some(attributes) })
}

/// By PBES2 (RFC 8018 6.2), with a salt of its own.
fn encrypted(plain: &[u8], password: &str) -> der::Result<(AlgorithmIdentifierOwned, Vec<u8>)> {
    let failed = || der::Error::from(der::ErrorKind::Failed);
    let salt = random::<SALT_BYTES>().map_err(|_| failed())?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    derive(PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.as_bytes(), &mut *key);
    let mut bytes = plain.to_vec();
    let iv = encrypt_cbc(&mut bytes, &key).map_err(|_| failed())?;
    let pbkdf2 = Pbkdf2 {
        salt: OctetString::new(salt)?,
        rounds: ROUNDS.get(),
        prf: AlgorithmIdentifierOwned { oid: HMAC_SHA256, parameters: Some(Any::null()) },
    };
    let pbes2 = Pbes2 {
        key_derivation: algorithm(PBKDF2, Any::encode_from(&pbkdf2)?),
        encryption: algorithm(AES256_CBC, Any::encode_from(&OctetString::new(iv)?)?),
    };
    Ok((algorithm(PBES2, Any::encode_from(&pbes2)?), bytes))
}

/// RFC 7292 5.1.
fn mac(safes: &[u8], password: &str) -> der::Result<MacData> {
    let salt = random::<SALT_BYTES>().map_err(|_| der::ErrorKind::Failed)?;
    let bytes = hmac::HMAC_SHA256.digest_algorithm().output_len();
    let key = derive_key_utf8::<sha2::Sha256>(password, &salt, Pkcs12KeyType::Mac, MAC_ROUNDS, bytes)?;
    let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &Zeroizing::new(key)), safes);
    Ok(MacData {
        mac: DigestInfo {
            algorithm: algorithm(SHA256, Any::null()),
            digest: OctetString::new(digest.as_ref())?,
        },
        mac_salt: OctetString::new(salt)?,
        iterations: MAC_ROUNDS,
    })
}

fn algorithm(oid: ObjectIdentifier, parameters: Any) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(parameters) }
}
