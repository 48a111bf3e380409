//! RSA key transport: OAEP with SHA-256, MGF1 with SHA-256, no label (RFC 3560, RFC 4055 4.1). PKCS #1 v1.5 is refused, and written
//! only for mail programs that need it.

use super::COVER;
use crate::certificate::{Certificate, RSA_ENCRYPTION};
use crate::cms::{SHA256, is_sha256, issuer_and_serial};
use crate::elements::{self, Algorithm, Elements, SEQUENCE, context};
use crate::error::Refusal;
use crate::limits::RSA_BITS_MAX;
use ::cms::content_info::CmsVersion;
use ::cms::enveloped_data::{KeyTransRecipientInfo, RecipientIdentifier};
use der::Sequence;
use der::asn1::{Any, ObjectIdentifier, OctetString};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// `id-RSAES-OAEP` (RFC 4055 4.1).
const RSAES_OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");
/// `id-mgf1` (RFC 4055 2.2).
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");

/// What a recipient must compute to get the content encryption key: RSA-OAEP with SHA-256, MGF1 with SHA-256 and no label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTransport {
    /// As long as the modulus.
    pub encrypted_key: Vec<u8>,
}

/// RFC 4055 4.1, as it is written. The label is left at its default, which is none.
#[derive(Sequence)]
struct OaepParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<AlgorithmIdentifierOwned>,
}

/// None if it is for somebody else.
pub(super) fn read(info: &[u8], recipient: &Certificate) -> Result<Option<KeyTransport>, Refusal> {
    let fields = || {
        let mut fields = Elements::of(info);
        let (version, identifier) = (fields.small()?, fields.element()?);
        let (algorithm, encrypted_key) = (fields.algorithm()?, fields.octets()?);
        fields.end((version, identifier, algorithm, encrypted_key))
    };
    let (version, identifier, algorithm, encrypted_key) = fields().ok_or(Refusal::Malformed(COVER))?;
    if identifier.tag != SEQUENCE || identifier.value != recipient.identifier() {
        return Ok(None);
    }
    if version != 0 || encrypted_key.len() > RSA_BITS_MAX / 8 {
        return Err(Refusal::Malformed(COVER));
    }
    if !is_oaep_sha256(&algorithm).unwrap_or_default() {
        return Err(Refusal::KeyWrapping);
    }
    Ok(Some(KeyTransport { encrypted_key: encrypted_key.to_vec() }))
}

pub(super) fn write(
    recipient: &Certificate,
    algorithm: AlgorithmIdentifierOwned,
    encrypted_key: &[u8],
) -> der::Result<KeyTransRecipientInfo> {
    Ok(KeyTransRecipientInfo {
        version: CmsVersion::V0,
        rid: RecipientIdentifier::IssuerAndSerialNumber(issuer_and_serial(recipient)?),
        key_enc_alg: algorithm,
        enc_key: OctetString::new(encrypted_key)?,
    })
}

pub(super) fn oaep_sha256() -> der::Result<AlgorithmIdentifierOwned> {
    Ok(AlgorithmIdentifierOwned {
        oid: RSAES_OAEP,
        parameters: Some(Any::encode_from(&OaepParameters {
            hash: Some(sha256_with_null()),
            mask: Some(AlgorithmIdentifierOwned {
                oid: MGF1,
                parameters: Some(Any::encode_from(&sha256_with_null())?),
            }),
        })?),
    })
}

/// RFC 3370 4.2.1.
pub(super) fn pkcs1() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(Any::null()) }
}

/// RFC 4055 2.1: written with NULL, read with it or without.
fn sha256_with_null() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: SHA256, parameters: Some(Any::null()) }
}

/// One spelling only: a label, or anything else, is not accepted. None for what is malformed.
fn is_oaep_sha256(algorithm: &Algorithm<'_>) -> Option<bool> {
    let mut parameters = elements::sequence(algorithm.parameters?.whole)?;
    let (hash, mask) = (sole(parameters.value(context(0))?)?, sole(parameters.value(context(1))?)?);
    parameters.end(())?;
    let mask_hash = sole(mask.parameters?.whole)?;
    Some(
        algorithm.oid == RSAES_OAEP.as_bytes()
            && is_sha256(&hash)
            && mask.oid == MGF1.as_bytes()
            && is_sha256(&mask_hash),
    )
}

fn sole(der: &[u8]) -> Option<Algorithm<'_>> {
    let mut elements = Elements::of(der);
    let algorithm = elements.algorithm()?;
    elements.end(algorithm)
}
