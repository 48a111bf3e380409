//! AuthEnvelopedData (RFC 5083) with AES-256-GCM (RFC 5084) and one P-256 key agreement for each recipient (RFC 5753).

use super::{AUTH_ENVELOPED_DATA, ContentInfo, DATA, ENVELOPED_DATA, wrap};
use crate::certificate::{Certificate, EC_PUBLIC_KEY, P256, POINT_BYTES, read_point};
use crate::error::Refusal;
use crate::limits::{RECIPIENT_INFO_BYTES_MAX, RECIPIENTS_MAX};
use crate::piece::TAG_BYTES;
use ::cms::content_info::CmsVersion;
use ::cms::enveloped_data::{
    KeyAgreeRecipientIdentifier, KeyAgreeRecipientInfo, OriginatorIdentifierOrKey, OriginatorPublicKey,
    RecipientEncryptedKey, RecipientInfo,
};
use der::asn1::{Any, AnyRef, BitString, ObjectIdentifier, OctetString, OctetStringRef, SetOfVec};
use der::{Decode, Encode, Reader, Sequence, SliceReader, Tag, Tagged};
use sha2::{Digest as _, Sha256};
use x509_cert::spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};
use zeroize::Zeroizing;

/// `dhSinglePass-stdDH-sha256kdf-scheme` (RFC 5753 7.1.4).
const STD_DH_SHA256_KDF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.1.11.1");
/// `id-aes256-wrap` (RFC 3565 2.3.2).
const AES256_WRAP: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.45");
/// `id-aes256-GCM` (RFC 5084 3.2).
const AES256_GCM: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.46");

/// Content encryption key and key encryption key: AES-256.
pub const KEY_BYTES: usize = 32;
/// A wrapped key: the key and the check value of RFC 3394.
pub const WRAPPED_KEY_BYTES: usize = KEY_BYTES + 8;
/// Nonce of AES-GCM (RFC 5084 3.2 recommends 12).
pub const NONCE_BYTES: usize = 12;
/// Length of a key encryption key in bits, big endian (RFC 5753 7.2, suppPubInfo).
const KEY_BITS: [u8; 4] = ((KEY_BYTES as u32) * 8).to_be_bytes();
const COVER: &str = "the cover";

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

/// What must be decrypted with the content encryption key: AES-256-GCM without associated data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decryption {
    /// Nonce.
    pub nonce: [u8; NONCE_BYTES],
    /// Ciphertext, then the tag of 16 bytes.
    pub sealed: Vec<u8>,
}

/// The two requests in the order they are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// First.
    pub agreement: KeyAgreement,
    /// Second.
    pub decryption: Decryption,
}

/// The key wrapped for one recipient.
#[derive(Debug)]
pub struct WrappedKey<'a> {
    /// Whose key it is.
    pub recipient: &'a Certificate,
    /// The ephemeral point, used for this recipient alone.
    pub ephemeral_point: [u8; POINT_BYTES],
    /// The wrapped content encryption key.
    pub wrapped_key: [u8; WRAPPED_KEY_BYTES],
}

impl KeyAgreement {
    /// The key encryption key: X9.63 KDF with SHA-256, whose one block is all that is needed (SEC 1 3.6.1).
    pub fn kek(&self, shared_secret: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        kek(shared_secret, &self.shared_info)
    }
}

/// The key encryption key from the x coordinate of the shared point and ECC-CMS-SharedInfo.
pub fn kek(shared_secret: &[u8], shared_info: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let hash = Sha256::new().chain_update(shared_secret).chain_update(1_u32.to_be_bytes());
    Zeroizing::new(hash.chain_update(shared_info).finalize().into())
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

/// Reads the outer frame of a cover and finds what concerns `recipient`.
///
/// # Errors
/// `Malformed`, `Unauthenticated` for EnvelopedData, `NotForUs`.
pub fn parse(der: &[u8], recipient: &Certificate) -> Result<Envelope, Refusal> {
    let outer = ContentInfo::from_der(der).map_err(malformed)?;
    match outer.content_type {
        AUTH_ENVELOPED_DATA => {}
        ENVELOPED_DATA => return Err(Refusal::Unauthenticated),
        _ => return Err(Refusal::Malformed(COVER)),
    }
    let data: AuthEnvelopedData<'_> = outer.content.decode_as().map_err(malformed)?;
    let decryption = decryption(&data).ok_or(Refusal::Malformed(COVER))?;
    let agreement = find_agreement(data.recipient_infos, recipient)?;
    Ok(Envelope { agreement, decryption })
}

/// Lays out a cover: `sealed` is the ciphertext with its tag.
///
/// # Errors
/// Lengths that DER cannot hold; `sealed` shorter than a tag.
pub fn build(keys: &[WrappedKey<'_>], nonce: &[u8; NONCE_BYTES], sealed: &[u8]) -> der::Result<Vec<u8>> {
    let infos: Vec<RecipientInfo> = keys.iter().map(recipient_info).collect::<der::Result<_>>()?;
    let infos = SetOfVec::try_from(infos)?.to_der()?;
    let parameters =
        GcmParameters { nonce: OctetStringRef::new(nonce)?, tag_bytes: TAG_BYTES as u8 }.to_der()?;
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(der::ErrorKind::Failed)?;
    let data = AuthEnvelopedData {
        version: CmsVersion::V0,
        recipient_infos: AnyRef::try_from(infos.as_slice())?,
        content: EncryptedContent {
            content_type: DATA,
            algorithm: AlgorithmIdentifierRef {
                oid: AES256_GCM,
                parameters: Some(AnyRef::try_from(parameters.as_slice())?),
            },
            ciphertext: OctetStringRef::new(ciphertext)?,
        },
        tag: OctetStringRef::new(tag)?,
    };
    wrap(AUTH_ENVELOPED_DATA, &data.to_der()?)
}

/// RFC 5083 2.1. originatorInfo and both sets of attributes are not accepted: nothing in them would be authenticated or used.
#[derive(Sequence)]
struct AuthEnvelopedData<'a> {
    version: CmsVersion,
    recipient_infos: AnyRef<'a>,
    content: EncryptedContent<'a>,
    tag: OctetStringRef<'a>,
}

/// RFC 5652 6.1.
#[derive(Sequence)]
struct EncryptedContent<'a> {
    content_type: ObjectIdentifier,
    algorithm: AlgorithmIdentifierRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    ciphertext: OctetStringRef<'a>,
}

/// RFC 5084 3.2.
#[derive(Sequence)]
struct GcmParameters<'a> {
    nonce: OctetStringRef<'a>,
    #[asn1(default = "tag_bytes_default")]
    tag_bytes: u8,
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

/// RFC 5084 3.2: aes-ICVlen DEFAULT 12. Written otherwise, and refused on reading.
fn tag_bytes_default() -> u8 {
    12
}

fn decryption(data: &AuthEnvelopedData<'_>) -> Option<Decryption> {
    let content = &data.content;
    let parameters: GcmParameters<'_> = content.algorithm.parameters?.decode_as().ok()?;
    let accepted = data.version == CmsVersion::V0
        && content.content_type == DATA
        && content.algorithm.oid == AES256_GCM
        && usize::from(parameters.tag_bytes) == TAG_BYTES
        && data.tag.as_bytes().len() == TAG_BYTES;
    let nonce = parameters.nonce.as_bytes().try_into().ok()?;
    accepted
        .then(|| Decryption { nonce, sealed: [content.ciphertext.as_bytes(), data.tag.as_bytes()].concat() })
}

/// Walks the set without decoding it as one: that would sort it, at a cost that grows with its square.
fn find_agreement(infos: AnyRef<'_>, recipient: &Certificate) -> Result<KeyAgreement, Refusal> {
    if infos.tag() != Tag::Set {
        return Err(Refusal::Malformed(COVER));
    }
    let mut reader = SliceReader::new(infos.value()).map_err(malformed)?;
    for _ in 0..RECIPIENTS_MAX {
        if reader.is_finished() {
            return Err(Refusal::NotForUs);
        }
        let info = reader.tlv_bytes().map_err(malformed)?;
        if let Some(agreement) = agreement_for(info, recipient)? {
            return Ok(agreement);
        }
    }
    Err(if reader.is_finished() { Refusal::NotForUs } else { Refusal::Malformed(COVER) })
}

/// None if this recipient info is for somebody else.
fn agreement_for(bytes: &[u8], recipient: &Certificate) -> Result<Option<KeyAgreement>, Refusal> {
    if bytes.len() > RECIPIENT_INFO_BYTES_MAX {
        return Err(Refusal::Malformed(COVER));
    }
    let info = RecipientInfo::from_der(bytes).map_err(malformed)?;
    // One spelling only: the decoder passes over unknown context-specific fields.
    if info.to_der().map_err(malformed)? != bytes {
        return Err(Refusal::Malformed(COVER));
    }
    let RecipientInfo::Kari(info) = info else { return Ok(None) };
    let Some(encrypted) = info.recipient_enc_keys.iter().find(|key| is_for(key, recipient)) else {
        return Ok(None);
    };
    let agreement = key_agreement(&info, encrypted).ok_or(Refusal::Malformed(COVER))?;
    Ok(Some(agreement))
}

fn is_for(key: &RecipientEncryptedKey, recipient: &Certificate) -> bool {
    matches!(&key.rid, KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(id) if id == recipient.identifier())
}

fn key_agreement(info: &KeyAgreeRecipientInfo, key: &RecipientEncryptedKey) -> Option<KeyAgreement> {
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

fn recipient_info(key: &WrappedKey<'_>) -> der::Result<RecipientInfo> {
    let wrap = AlgorithmIdentifierOwned { oid: AES256_WRAP, parameters: None };
    Ok(RecipientInfo::Kari(KeyAgreeRecipientInfo {
        version: CmsVersion::V3,
        originator: OriginatorIdentifierOrKey::OriginatorKey(OriginatorPublicKey {
            algorithm: AlgorithmIdentifierOwned { oid: EC_PUBLIC_KEY, parameters: None },
            public_key: BitString::from_bytes(&key.ephemeral_point)?,
        }),
        ukm: None,
        key_enc_alg: AlgorithmIdentifierOwned {
            oid: STD_DH_SHA256_KDF,
            parameters: Some(Any::encode_from(&wrap)?),
        },
        recipient_enc_keys: vec![RecipientEncryptedKey {
            rid: KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(key.recipient.identifier().clone()),
            enc_key: OctetString::new(key.wrapped_key.as_slice())?,
        }],
    }))
}

fn malformed(_: der::Error) -> Refusal {
    Refusal::Malformed(COVER)
}

#[cfg(test)]
mod tests;
