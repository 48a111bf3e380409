//! CMS structures of cover and receipt (RFC 5652, 5083, 5753, 3560), without a key.
//!
//! Reading gives plain requests, [`envelope::KeyRequest`], [`envelope::Decryption`] and [`signed::Verification`], which whoever
//! holds keys answers: aws-lc-rs in `native`, WebCrypto in a browser. Writing takes the answers and lays them out.
//!
//! Structures are bounded in size before they are decoded, and only what the cover needs is accepted: the fewer spellings, the
//! fewer bits an attacker can move.

pub mod envelope;
pub mod signed;

use crate::certificate::Certificate;
use crate::elements::{self, Algorithm, context};
#[cfg(feature = "native")]
use crate::mail::Encryption;
use ::cms::cert::IssuerAndSerialNumber;
use der::asn1::{AnyRef, ObjectIdentifier};
#[cfg(feature = "native")]
use der::{Decode, Header, SliceReader};
use der::{Encode, Sequence, Tag};

/// `id-data` (RFC 5652 4).
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// `id-signedData` (RFC 5652 5.1).
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// `id-envelopedData` (RFC 5652 6.1).
const ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.3");
/// `id-ct-authEnvelopedData` (RFC 5083 2.1).
const AUTH_ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.23");
/// `id-sha256` (RFC 5754 2.2).
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// Content type and content (RFC 5652 3).
fn unwrap(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = elements::sequence(der)?;
    let pair = (fields.oid()?, fields.value(context(0))?);
    fields.end(pair)
}

/// RFC 5652 3, as it is written.
#[derive(Sequence)]
struct ContentInfo<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: AnyRef<'a>,
}

fn wrap(content_type: ObjectIdentifier, content: &[u8]) -> der::Result<Vec<u8>> {
    ContentInfo { content_type, content: AnyRef::try_from(content)? }.to_der()
}

/// By which CMS names a certificate (RFC 5652 10.2.4), as it is written.
fn issuer_and_serial(certificate: &Certificate) -> der::Result<IssuerAndSerialNumber> {
    let whole = AnyRef::new(Tag::Sequence, certificate.identifier())?;
    whole.decode_as()
}

/// How a message is encrypted, by its first bytes; none if it is no encrypted message.
#[cfg(feature = "native")]
pub(crate) fn outermost(front: &[u8]) -> Option<Encryption> {
    let mut reader = SliceReader::new(front).ok()?;
    Header::decode(&mut reader).ok()?;
    match ObjectIdentifier::decode(&mut reader).ok()? {
        AUTH_ENVELOPED_DATA => Some(Encryption::Authenticated),
        ENVELOPED_DATA => Some(Encryption::QuirkCbc),
        _ => None,
    }
}

/// RFC 5754 2: parameters absent, or NULL from older senders.
fn is_sha256(algorithm: &Algorithm<'_>) -> bool {
    algorithm.oid == SHA256.as_bytes() && algorithm.is_plain()
}

#[cfg(test)]
mod tests;
