//! RSA key transport: OAEP with SHA-256, MGF1 with SHA-256, no label (RFC 3560, RFC 4055 4.1). PKCS #1 v1.5 is refused, and written
//! only for mail programs that need it.

use super::COVER;
use crate::certificate::{Certificate, RSA_ENCRYPTION};
use crate::cms::{SHA256, is_sha256};
use crate::error::Refusal;
use crate::limits::RSA_BITS_MAX;
use ::cms::content_info::CmsVersion;
use ::cms::enveloped_data::{KeyTransRecipientInfo, RecipientIdentifier};
use der::asn1::{Any, AnyRef, ObjectIdentifier, OctetString};
use der::{Decode, Encode, Sequence};
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

/// RFC 4055 4.1. The label is left at its default, which is none.
#[derive(Sequence)]
struct OaepParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<AlgorithmIdentifierOwned>,
}

/// None if it is for somebody else.
pub(super) fn read(
    info: &KeyTransRecipientInfo,
    recipient: &Certificate,
) -> Result<Option<KeyTransport>, Refusal> {
    if !matches!(&info.rid, RecipientIdentifier::IssuerAndSerialNumber(id) if id == recipient.identifier()) {
        return Ok(None);
    }
    let encrypted_key = info.enc_key.as_bytes();
    if info.version != CmsVersion::V0 || encrypted_key.len() > RSA_BITS_MAX / 8 {
        return Err(Refusal::Malformed(COVER));
    }
    if !is_oaep_sha256(&info.key_enc_alg) {
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
        rid: RecipientIdentifier::IssuerAndSerialNumber(recipient.identifier().clone()),
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

fn is_oaep_sha256(algorithm: &AlgorithmIdentifierOwned) -> bool {
    let Some(parameters) = algorithm.parameters.as_ref().and_then(oaep_parameters) else { return false };
    let mask_hash = parameters
        .mask
        .filter(|mask| mask.oid == MGF1)
        .and_then(|mask| mask.parameters.and_then(|hash| hash.decode_as::<AlgorithmIdentifierOwned>().ok()));
    algorithm.oid == RSAES_OAEP
        && parameters.hash.is_some_and(|hash| is_sha256(&hash))
        && mask_hash.is_some_and(|hash| is_sha256(&hash))
}

/// One spelling only: a label, or anything else that the decoder passes over, is not accepted.
fn oaep_parameters(parameters: &Any) -> Option<OaepParameters> {
    let der = parameters.to_der().ok()?;
    let read = OaepParameters::from_der(&der).ok()?;
    (AnyRef::from_der(&read.to_der().ok()?) == AnyRef::from_der(&der)).then_some(read)
}
