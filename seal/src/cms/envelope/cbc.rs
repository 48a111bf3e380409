//! EnvelopedData (RFC 5652 6) with AES-256-CBC (RFC 3565), for mail programs that know no AuthEnvelopedData. Nothing tells whether it was changed on
//! the way (EFAIL): it is written where an operator asked for it, and never read.

use super::{WrappedKey, Wrapping, recipient_infos};
use crate::cms::{DATA, ENVELOPED_DATA, wrap};
use ::cms::content_info::CmsVersion;
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Encode, Sequence};
use x509_cert::spki::AlgorithmIdentifierRef;

/// `id-aes256-CBC` (RFC 3565 4.1).
const AES256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
/// Initialisation vector of AES-CBC.
pub const IV_BYTES: usize = 16;

/// RFC 5652 6.1, without originatorInfo and unprotected attributes.
#[derive(Sequence)]
struct EnvelopedData<'a> {
    version: CmsVersion,
    recipient_infos: AnyRef<'a>,
    content: super::EncryptedContent<'a>,
}

/// Lays out a message: `encrypted` is the padded ciphertext.
///
/// # Errors
/// Lengths that DER cannot hold.
pub fn build(keys: &[WrappedKey<'_>], iv: &[u8; IV_BYTES], encrypted: &[u8]) -> der::Result<Vec<u8>> {
    let infos = recipient_infos(keys)?;
    let iv = OctetStringRef::new(iv)?;
    let data = EnvelopedData {
        version: version(keys),
        recipient_infos: AnyRef::try_from(infos.as_slice())?,
        content: super::EncryptedContent {
            content_type: DATA,
            algorithm: AlgorithmIdentifierRef { oid: AES256_CBC, parameters: Some(iv.into()) },
            ciphertext: OctetStringRef::new(encrypted)?,
        },
    };
    wrap(ENVELOPED_DATA, &data.to_der()?)
}

/// RFC 5652 6.1: 0 where all recipient infos have version 0, which agreement has not.
fn version(keys: &[WrappedKey<'_>]) -> CmsVersion {
    let agreed = |key: &WrappedKey<'_>| matches!(key.wrapping, Wrapping::Agreement { .. });
    if keys.iter().any(agreed) { CmsVersion::V2 } else { CmsVersion::V0 }
}
