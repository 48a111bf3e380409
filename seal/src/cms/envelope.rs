//! AuthEnvelopedData (RFC 5083) with AES-256-GCM (RFC 5084); the content encryption key is wrapped for each recipient by
//! [`agreement`] (P-256) or [`transport`] (RSA).

pub mod agreement;
pub mod cbc;
pub mod transport;

pub use agreement::{KeyAgreement, WRAPPED_KEY_BYTES};
pub use transport::KeyTransport;

use super::{AUTH_ENVELOPED_DATA, ContentInfo, DATA, ENVELOPED_DATA, wrap};
use crate::certificate::{Certificate, POINT_BYTES};
use crate::error::Refusal;
use crate::limits::{RECIPIENT_INFO_BYTES_MAX, RECIPIENTS_MAX};
use crate::piece::TAG_BYTES;
use ::cms::content_info::CmsVersion;
use ::cms::enveloped_data::RecipientInfo;
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, SetOfVec};
use der::{Decode, Encode, Reader, Sequence, SliceReader, Tag, Tagged};
use x509_cert::spki::AlgorithmIdentifierRef;

/// `id-aes256-GCM` (RFC 5084 3.2).
const AES256_GCM: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.46");

/// Content encryption key and key encryption key: AES-256.
pub const KEY_BYTES: usize = 32;
/// Nonce of AES-GCM (RFC 5084 3.2 recommends 12).
pub const NONCE_BYTES: usize = 12;
const COVER: &str = "the cover";

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
    let outer = ContentInfo::from_der(der).map_err(malformed)?;
    match outer.content_type {
        AUTH_ENVELOPED_DATA => {}
        ENVELOPED_DATA => return Err(Refusal::Unauthenticated),
        _ => return Err(Refusal::Malformed(COVER)),
    }
    let data: AuthEnvelopedData<'_> = outer.content.decode_as().map_err(malformed)?;
    let decryption = decryption(&data).ok_or(Refusal::Malformed(COVER))?;
    let key = find_key(data.recipient_infos, recipient)?;
    Ok(Envelope { key, decryption })
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
fn find_key(infos: AnyRef<'_>, recipient: &Certificate) -> Result<KeyRequest, Refusal> {
    if infos.tag() != Tag::Set {
        return Err(Refusal::Malformed(COVER));
    }
    let mut reader = SliceReader::new(infos.value()).map_err(malformed)?;
    for _ in 0..RECIPIENTS_MAX {
        if reader.is_finished() {
            return Err(Refusal::NotForUs);
        }
        let info = reader.tlv_bytes().map_err(malformed)?;
        if let Some(key) = key_for(info, recipient)? {
            return Ok(key);
        }
    }
    Err(if reader.is_finished() { Refusal::NotForUs } else { Refusal::Malformed(COVER) })
}

/// None if this recipient info is for somebody else.
fn key_for(bytes: &[u8], recipient: &Certificate) -> Result<Option<KeyRequest>, Refusal> {
    if bytes.len() > RECIPIENT_INFO_BYTES_MAX {
        return Err(Refusal::Malformed(COVER));
    }
    let info = RecipientInfo::from_der(bytes).map_err(malformed)?;
    // One spelling only: the decoder passes over unknown context-specific fields.
    if info.to_der().map_err(malformed)? != bytes {
        return Err(Refusal::Malformed(COVER));
    }
    match &info {
        RecipientInfo::Kari(info) => {
            agreement::read(info, recipient).map(|key| key.map(KeyRequest::Agreement))
        }
        RecipientInfo::Ktri(info) => {
            transport::read(info, recipient).map(|key| key.map(KeyRequest::Transport))
        }
        _ => Ok(None),
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

fn malformed(_: der::Error) -> Refusal {
    Refusal::Malformed(COVER)
}

#[cfg(test)]
mod tests;
