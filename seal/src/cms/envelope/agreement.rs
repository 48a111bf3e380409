//! P-256 key agreement with X9.63 KDF and AES-256 key wrap, one ephemeral key for each recipient (RFC 5753).

use super::{COVER, KEY_BYTES};
use crate::certificate::{Certificate, EC_PUBLIC_KEY, P256, POINT_BYTES, read_point};
use crate::cms::issuer_and_serial;
use crate::elements::{
    self, Algorithm, Element, Elements, OCTET_STRING, SEQUENCE, context, context_primitive,
};
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
/// Of KeyAgreeRecipientInfo (RFC 5652 6.2.2).
const VERSION: u8 = 3;
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

/// Its algorithm, and its bits where they fill bytes.
type OriginatorKey<'a> = (Algorithm<'a>, Option<&'a [u8]>);

/// What is read of KeyAgreeRecipientInfo (RFC 5652 6.2.2).
struct Info<'a> {
    version: u8,
    /// Of the originator; none where it is named by a certificate.
    originator: Option<OriginatorKey<'a>>,
    ukm: Option<&'a [u8]>,
    algorithm: Algorithm<'a>,
    /// The key wrapped for the recipient.
    wrapped_key: Option<&'a [u8]>,
}

/// None if it is for somebody else.
pub(super) fn read(info: &[u8], recipient: &Certificate) -> Result<Option<KeyAgreement>, Refusal> {
    let info = Info::read(info, recipient).ok_or(Refusal::Malformed(COVER))?;
    let Some(wrapped_key) = info.wrapped_key else { return Ok(None) };
    request(&info, wrapped_key).map(Some).ok_or(Refusal::Malformed(COVER))
}

impl<'a> Info<'a> {
    fn read(value: &'a [u8], recipient: &Certificate) -> Option<Self> {
        let mut fields = Elements::of(value);
        let version = fields.small()?;
        let originator = originator(fields.value(context(0))?)?;
        let ukm = match fields.optional(context(1))? {
            Some(ukm) => Some(elements::sole(ukm, OCTET_STRING)?),
            None => None,
        };
        let (algorithm, mut keys) = (fields.algorithm()?, fields.sequence()?);
        fields.end(())?;
        let mut wrapped_key = None;
        while !keys.is_end() {
            let mut key = keys.sequence()?;
            let (identifier, wrapped) = (key.element()?, key.octets()?);
            key.end(())?;
            let is_ours = identifier.tag == SEQUENCE && identifier.value == recipient.identifier();
            if is_ours && wrapped_key.is_none() {
                wrapped_key = Some(wrapped);
            }
        }
        Some(Self { version, originator, ukm, algorithm, wrapped_key })
    }
}

/// OriginatorIdentifierOrKey; no key where a certificate is named instead.
fn originator(value: &[u8]) -> Option<Option<OriginatorKey<'_>>> {
    let mut choice = Elements::of(value);
    let named = choice.element()?;
    choice.end(())?;
    if named.tag != context(1) {
        return (named.tag == SEQUENCE || named.tag == context_primitive(0)).then_some(None);
    }
    let mut key = Elements::of(named.value);
    let read = (key.algorithm()?, key.bits());
    key.end(Some(read))
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
            rid: KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(issuer_and_serial(recipient)?),
            enc_key: OctetString::new(wrapped_key.as_slice())?,
        }],
    })
}

fn request(info: &Info<'_>, wrapped_key: &[u8]) -> Option<KeyAgreement> {
    let (algorithm, point) = info.originator?;
    let mut parameters = Elements::of(info.algorithm.parameters?.whole);
    let wrap = parameters.algorithm()?;
    let accepted = info.version == VERSION
        && info.algorithm.oid == STD_DH_SHA256_KDF.as_bytes()
        && wrap.oid == AES256_WRAP.as_bytes()
        && wrap.parameters.is_none()
        && is_p256(&algorithm);
    if !accepted {
        return None;
    }
    Some(KeyAgreement {
        ephemeral_point: read_point(point?)?,
        shared_info: shared_info(info.ukm).ok()?,
        wrapped_key: wrapped_key.try_into().ok()?,
    })
}

/// RFC 5753 3.1.1: parameters are absent or NULL, or name the curve.
fn is_p256(algorithm: &Algorithm<'_>) -> bool {
    let names = |parameters: Element<'_>| Elements::of(parameters.whole).oid() == Some(P256.as_bytes());
    algorithm.oid == EC_PUBLIC_KEY.as_bytes()
        && (algorithm.is_plain() || algorithm.parameters.is_some_and(names))
}
