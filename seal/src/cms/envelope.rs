//! AuthEnvelopedData (RFC 5083) with AES-256-GCM (RFC 5084); the content encryption key is wrapped for each recipient by
//! [`agreement`] (P-256) or [`transport`] (RSA).

pub mod agreement;
pub mod cbc;
pub mod transport;

pub use agreement::{KeyAgreement, WRAPPED_KEY_BYTES};
pub use transport::KeyTransport;

use super::{AUTH_ENVELOPED_DATA, DATA, ENVELOPED_DATA, unwrap, wrap};
use crate::certificate::{Certificate, POINT_BYTES};
use crate::elements::{self, Element, Elements, SEQUENCE, SET, context, context_primitive};
use crate::error::Refusal;
use crate::limits::{RECIPIENT_INFO_BYTES_MAX, RECIPIENTS_MAX};
use crate::piece::TAG_BYTES;
use ::cms::content_info::CmsVersion;
use ::cms::enveloped_data::RecipientInfo;
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, SetOfVec};
use der::{Encode, Sequence};
use x509_cert::spki::AlgorithmIdentifierRef;

/// `id-aes256-GCM` (RFC 5084 3.2).
const AES256_GCM: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.46");

/// Content encryption key and key encryption key: AES-256.
pub const KEY_BYTES: usize = 32;
/// Nonce of AES-GCM (RFC 5084 3.2 recommends 12).
pub const NONCE_BYTES: usize = 12;
const COVER: &str = "the cover";
const MALFORMED: Refusal = Refusal::Malformed(COVER);
/// Tags of recipient infos (RFC 5652 6.2); those of the last three are for keys that no recipient of ours has.
const KEY_TRANSPORT: u8 = SEQUENCE;
const KEY_AGREEMENT: u8 = context(1);
const KEY_ENCRYPTION: u8 = context(2);
const PASSWORD: u8 = context(3);
const OTHER: u8 = context(4);

/// What a recipient must compute to get the content encryption key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRequest {
    /// With a P-256 key.
    Agreement(KeyAgreement),
    /// With an RSA key.
    Transport(KeyTransport),
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
    pub key: KeyRequest,
    /// Second.
    pub decryption: Decryption,
}

/// The content encryption key wrapped for one recipient.
#[derive(Debug)]
pub struct WrappedKey<'a> {
    /// Whose key it is.
    pub recipient: &'a Certificate,
    /// How it was wrapped.
    pub wrapping: Wrapping,
}

/// How a key was wrapped.
#[derive(Debug)]
pub enum Wrapping {
    /// By a key that was agreed on.
    Agreement {
        /// The ephemeral point, used for this recipient alone.
        ephemeral_point: [u8; POINT_BYTES],
        /// The wrapped content encryption key.
        wrapped_key: [u8; WRAPPED_KEY_BYTES],
    },
    /// By RSA-OAEP: the ciphertext, as long as the modulus.
    Transport(Vec<u8>),
    /// By RSA and PKCS #1 v1.5, for mail programs that know no OAEP. Written inside [`cbc`] alone, never read.
    Pkcs1(Vec<u8>),
}

/// Reads the outer frame of a cover and finds what concerns `recipient`.
///
/// # Errors
/// `Malformed`, `Unauthenticated` for EnvelopedData, `NotForUs`, `KeyWrapping`.
pub fn parse(der: &[u8], recipient: &Certificate) -> Result<Envelope, Refusal> {
    let (content_type, content) = unwrap(der).ok_or(MALFORMED)?;
    if content_type == ENVELOPED_DATA.as_bytes() {
        return Err(Refusal::Unauthenticated);
    }
    let data =
        Sealed::read(content).filter(|_| content_type == AUTH_ENVELOPED_DATA.as_bytes()).ok_or(MALFORMED)?;
    let key = find_key(data.recipient_infos, recipient)?;
    Ok(Envelope { key, decryption: data.decryption })
}

/// Lays out a cover, or an S/MIME message: `sealed` is the ciphertext with its tag.
///
/// # Errors
/// Lengths that DER cannot hold; `sealed` shorter than a tag.
pub fn build(keys: &[WrappedKey<'_>], nonce: &[u8; NONCE_BYTES], sealed: &[u8]) -> der::Result<Vec<u8>> {
    let infos = recipient_infos(keys)?;
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

/// What is read of AuthEnvelopedData (RFC 5083 2.1). originatorInfo and both sets of attributes are not accepted: nothing in them would be
/// authenticated or used.
struct Sealed<'a> {
    /// Elements of a set, not looked at.
    recipient_infos: &'a [u8],
    decryption: Decryption,
}

impl<'a> Sealed<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let mut fields = elements::sequence(der)?;
        let (version, recipient_infos, mut content, tag) =
            (fields.small()?, fields.value(SET)?, fields.sequence()?, fields.octets()?);
        fields.end(())?;
        // RFC 5652 6.1.
        let (content_type, algorithm, ciphertext) =
            (content.oid()?, content.algorithm()?, content.value(context_primitive(0))?);
        content.end(())?;
        // RFC 5084 3.2; the default of the tag's length, 12, is refused.
        let mut parameters = elements::sequence(algorithm.parameters?.whole)?;
        let (nonce, tag_bytes) = (parameters.octets()?, parameters.small()?);
        parameters.end(())?;
        let accepted = version == 0
            && content_type == DATA.as_bytes()
            && algorithm.oid == AES256_GCM.as_bytes()
            && usize::from(tag_bytes) == TAG_BYTES
            && tag.len() == TAG_BYTES;
        let nonce = nonce.try_into().ok().filter(|_| accepted)?;
        Some(Self { recipient_infos, decryption: Decryption { nonce, sealed: [ciphertext, tag].concat() } })
    }
}

/// RFC 5083 2.1, as it is written.
#[derive(Sequence)]
pub(super) struct AuthEnvelopedData<'a> {
    version: CmsVersion,
    pub(super) recipient_infos: AnyRef<'a>,
    pub(super) content: EncryptedContent<'a>,
    tag: OctetStringRef<'a>,
}

/// RFC 5652 6.1.
#[derive(Sequence)]
pub(super) struct EncryptedContent<'a> {
    content_type: ObjectIdentifier,
    pub(super) algorithm: AlgorithmIdentifierRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    ciphertext: OctetStringRef<'a>,
}

/// RFC 5084 3.2.
#[derive(Sequence)]
pub(super) struct GcmParameters<'a> {
    nonce: OctetStringRef<'a>,
    /// DEFAULT 12, never written.
    tag_bytes: u8,
}

/// One recipient after the other, until it is found.
fn find_key(infos: &[u8], recipient: &Certificate) -> Result<KeyRequest, Refusal> {
    let mut infos = Elements::of(infos);
    for _ in 0..RECIPIENTS_MAX {
        if infos.is_end() {
            return Err(Refusal::NotForUs);
        }
        let info = infos.element().ok_or(MALFORMED)?;
        if let Some(key) = key_for(&info, recipient)? {
            return Ok(key);
        }
    }
    Err(if infos.is_end() { Refusal::NotForUs } else { MALFORMED })
}

/// None if this recipient info is for somebody else.
fn key_for(info: &Element<'_>, recipient: &Certificate) -> Result<Option<KeyRequest>, Refusal> {
    if info.whole.len() > RECIPIENT_INFO_BYTES_MAX {
        return Err(MALFORMED);
    }
    match info.tag {
        KEY_AGREEMENT => agreement::read(info.value, recipient).map(|key| key.map(KeyRequest::Agreement)),
        KEY_TRANSPORT => transport::read(info.value, recipient).map(|key| key.map(KeyRequest::Transport)),
        KEY_ENCRYPTION | PASSWORD | OTHER => Ok(None),
        _ => Err(MALFORMED),
    }
}

/// DER of the set.
fn recipient_infos(keys: &[WrappedKey<'_>]) -> der::Result<Vec<u8>> {
    let infos: Vec<RecipientInfo> = keys.iter().map(recipient_info).collect::<der::Result<_>>()?;
    SetOfVec::try_from(infos)?.to_der()
}

fn recipient_info(key: &WrappedKey<'_>) -> der::Result<RecipientInfo> {
    match &key.wrapping {
        Wrapping::Agreement { ephemeral_point, wrapped_key } => {
            agreement::write(key.recipient, ephemeral_point, wrapped_key).map(RecipientInfo::Kari)
        }
        Wrapping::Transport(encrypted_key) => {
            transport::write(key.recipient, transport::oaep_sha256()?, encrypted_key).map(RecipientInfo::Ktri)
        }
        Wrapping::Pkcs1(encrypted_key) => {
            transport::write(key.recipient, transport::pkcs1(), encrypted_key).map(RecipientInfo::Ktri)
        }
    }
}

#[cfg(test)]
mod tests;
