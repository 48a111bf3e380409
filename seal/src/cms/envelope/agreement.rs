//! P-256 key agreement with X9.63 KDF and AES-256 key wrap, one ephemeral key for each recipient (RFC 5753).

use super::{COVER, KEY_BYTES};
use crate::certificate::{Certificate, EC_PUBLIC_KEY, P256, POINT_BYTES, read_point};
use crate::error::Refusal;
use ::cms::content_info::CmsVersion;
use ::cms::enveloped_data::{
    KeyAgreeRecipientIdentifier, KeyAgreeRecipientInfo, OriginatorIdentifierOrKey, OriginatorPublicKey,
    RecipientEncryptedKey,
};
use der::asn1::{Any, BitString, ObjectIdentifier, OctetString, OctetStringRef};
use der::{Encode, Sequence};
use sha2::{Digest as _, Sha256};
use x509_cert::spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};
use zeroize::Zeroizing;

/// `dhSinglePass-stdDH-sha256kdf-scheme` (RFC 5753 7.1.4).
const STD_DH_SHA256_KDF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.1.11.1");
/// `id-aes256-wrap` (RFC 3565 2.3.2).
const AES256_WRAP: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.45");
/// A wrapped key: the key and the check value of RFC 3394.
pub const WRAPPED_KEY_BYTES: usize = KEY_BYTES + 8;
/// Length of a key encryption key in bits, big endian (RFC 5753 7.2, suppPubInfo).
const KEY_BITS: [u8; 4] = ((KEY_BYTES as u32) * 8).to_be_bytes();

/// What a recipient must compute to get the content encryption key: ECDH with its own key, [`KeyAgreement::kek`], AES unwrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAgreement {
    /// The sender's ephemeral point, uncompressed.
    pub ephemeral_point: [u8; POINT_BYTES],
    /// DER of ECC-CMS-SharedInfo (RFC 5753 7.2).
    pub shared_info: Vec<u8>,
    /// The content encryption key, wrapped (RFC 3394).
    pub wrapped_key: [u8; WRAPPED_KEY_BYTES],
}

impl KeyAgreement {
    /// The key encryption key: the first block of the X9.63 KDF with SHA-256, which is all that is needed (SEC 1 3.6.1).
    pub fn kek(&self, shared_secret: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        kek(shared_secret, &self.shared_info)
    }
}

/// The key encryption key from the x coordinate of the shared point and ECC-CMS-SharedInfo: SHA-256 of the x coordinate and
/// [`kdf_tail`].
pub fn kek(shared_secret: &[u8], shared_info: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let hash = Sha256::new().chain_update(shared_secret).chain_update(kdf_tail(shared_info));
    Zeroizing::new(hash.finalize().into())
}

/// What the X9.63 KDF hashes behind the shared secret: the counter, which is 1, and ECC-CMS-SharedInfo (SEC 1 3.6.1).
pub fn kdf_tail(shared_info: &[u8]) -> Vec<u8> {
    [&1_u32.to_be_bytes(), shared_info].concat()
}

/// ECC-CMS-SharedInfo for AES-256 key wrap (RFC 5753 7.2).
///
/// # Errors
/// Only if `ukm` is too long for DER.
pub fn shared_info(ukm: Option<&[u8]>) -> der::Result<Vec<u8>> {
    SharedInfo {
        key_info: AlgorithmIdentifierRef { oid: AES256_WRAP, parameters: None },
        entity_u_info: ukm.map(OctetStringRef::new).transpose()?,
        supp_pub_info: OctetStringRef::new(&KEY_BITS)?,
    }
    .to_der()
}

/// RFC 5753 7.2.
#[derive(Sequence)]
struct SharedInfo<'a> {
    key_info: AlgorithmIdentifierRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    entity_u_info: Option<OctetStringRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT")]
    supp_pub_info: OctetStringRef<'a>,
}

/// None if it is for somebody else.
pub(super) fn read(
    info: &KeyAgreeRecipientInfo,
    recipient: &Certificate,
) -> Result<Option<KeyAgreement>, Refusal> {
    let Some(encrypted) = info.recipient_enc_keys.iter().find(|key| is_for(key, recipient)) else {
        return Ok(None);
    };
    request(info, encrypted).map(Some).ok_or(Refusal::Malformed(COVER))
}

pub(super) fn write(
    recipient: &Certificate,
    ephemeral_point: &[u8; POINT_BYTES],
    wrapped_key: &[u8; WRAPPED_KEY_BYTES],
) -> der::Result<KeyAgreeRecipientInfo> {
    let wrap = AlgorithmIdentifierOwned { oid: AES256_WRAP, parameters: None };
    Ok(KeyAgreeRecipientInfo {
        version: CmsVersion::V3,
        originator: OriginatorIdentifierOrKey::OriginatorKey(OriginatorPublicKey {
            algorithm: AlgorithmIdentifierOwned { oid: EC_PUBLIC_KEY, parameters: None },
            public_key: BitString::from_bytes(ephemeral_point)?,
        }),
        ukm: None,
        key_enc_alg: AlgorithmIdentifierOwned {
            oid: STD_DH_SHA256_KDF,
            parameters: Some(Any::encode_from(&wrap)?),
        },
        recipient_enc_keys: vec![RecipientEncryptedKey {
            rid: KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(recipient.identifier().clone()),
            enc_key: OctetString::new(wrapped_key.as_slice())?,
        }],
    })
}

fn is_for(key: &RecipientEncryptedKey, recipient: &Certificate) -> bool {
    matches!(&key.rid, KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(id) if id == recipient.identifier())
}

fn request(info: &KeyAgreeRecipientInfo, key: &RecipientEncryptedKey) -> Option<KeyAgreement> {
    let OriginatorIdentifierOrKey::OriginatorKey(originator) = &info.originator else { return None };
    let wrap: AlgorithmIdentifierOwned = info.key_enc_alg.parameters.as_ref()?.decode_as().ok()?;
    let accepted = info.version == CmsVersion::V3
        && info.key_enc_alg.oid == STD_DH_SHA256_KDF
        && wrap.oid == AES256_WRAP
        && wrap.parameters.is_none()
        && is_p256(&originator.algorithm);
    if !accepted {
        return None;
    }
    Some(KeyAgreement {
        ephemeral_point: read_point(originator.public_key.as_bytes()?)?,
        shared_info: shared_info(info.ukm.as_ref().map(|ukm| ukm.as_bytes())).ok()?,
        wrapped_key: key.enc_key.as_bytes().try_into().ok()?,
    })
}

/// RFC 5753 3.1.1: parameters are absent or NULL, or name the curve.
fn is_p256(algorithm: &AlgorithmIdentifierOwned) -> bool {
    let curve_fits = algorithm
        .parameters
        .as_ref()
        .is_none_or(|curve| curve.is_null() || curve.decode_as::<ObjectIdentifier>() == Ok(P256));
    algorithm.oid == EC_PUBLIC_KEY && curve_fits
}
