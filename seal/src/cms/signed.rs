//! SignedData (RFC 5652 5): one signer, P-256 ECDSA with SHA-256, signed attributes.

use super::{DATA, SHA256, SIGNED_DATA, is_sha256, unwrap, wrap};
use crate::certificate::Certificate;
use crate::elements::{
    self, Element, Elements, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, context, set, time,
};
use crate::error::Refusal;
use crate::ids::Digest;
use crate::limits::SIGNER_INFO_BYTES_MAX;
use ::cms::content_info::CmsVersion;
use der::asn1::{Any, AnyRef, ObjectIdentifier, OctetString, OctetStringRef, SetOfVec};
use der::{Encode, Sequence, Tag, TagNumber};
use std::time::Duration;
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;
use zeroize::Zeroizing;

/// `id-contentType` (RFC 5652 11.1).
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
/// `id-messageDigest` (RFC 5652 11.2).
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// `id-signingTime` (RFC 5652 11.3).
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
/// `ecdsa-with-SHA256` (RFC 5754 3.3).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// A signature to be checked with the public key of a certificate that [`Signed::is_by`] names: ECDSA, P-256, SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// What was signed: the DER of the signed attributes as a SET OF (RFC 5652 5.4).
    pub message: Vec<u8>,
    /// DER of ECDSA-Sig-Value.
    pub signature: Vec<u8>,
}

/// A SignedData whose content fits its message digest. **Nothing is proved** until the verification is answered.
#[derive(Clone, Debug)]
pub struct Signed<'a> {
    /// The encapsulated content.
    pub content: &'a [u8],
    /// The question to a primitive.
    pub verification: Verification,
    /// The signing-time attribute, seconds since 1970-01-01 UTC.
    pub signed_at: i64,
    /// Issuer and serial number, as [`Certificate::identifier`].
    signer: &'a [u8],
}

impl Signed<'_> {
    /// Whether the signer info names this certificate.
    pub fn is_by(&self, certificate: &Certificate) -> bool {
        self.signer == certificate.identifier()
    }

    /// The pinned sites that may have signed: there can be several of one name.
    ///
    /// # Errors
    /// `UnknownSite` where there is none.
    pub fn candidates<'s>(&self, sites: &'s [Certificate]) -> Result<Vec<&'s Certificate>, Refusal> {
        let named: Vec<_> = sites.iter().filter(|site| self.is_by(site)).collect();
        if named.is_empty() { Err(Refusal::UnknownSite) } else { Ok(named) }
    }

    /// Checks that the site whose key signed was allowed to at that time.
    ///
    /// # Errors
    /// `SiteNotValid`.
    pub fn check_time(&self, site: &Certificate) -> Result<(), Refusal> {
        if site.is_valid_at(self.signed_at) { Ok(()) } else { Err(Refusal::SiteNotValid) }
    }
}

/// Signed attributes that wait for a signature.
#[derive(Clone, Debug)]
pub struct Attested(Attributes);

impl Attested {
    /// Content type, message digest and signing time of `content`; `signed_at` in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// A time before 1970 or after 9999.
    pub fn new(content: &[u8], signed_at: i64) -> der::Result<Self> {
        let digest = OctetString::new(Digest::of(content).0.as_slice())?;
        let attributes = vec![
            attribute(CONTENT_TYPE, Any::encode_from(&DATA)?)?,
            attribute(MESSAGE_DIGEST, Any::encode_from(&digest)?)?,
            attribute(SIGNING_TIME, Any::encode_from(&signing_time(signed_at)?)?)?,
        ];
        Ok(Self(SetOfVec::try_from(attributes)?))
    }

    /// The bytes to sign (RFC 5652 5.4).
    ///
    /// # Errors
    /// Never for attributes made by [`Attested::new`].
    pub fn message(&self) -> der::Result<Vec<u8>> {
        self.0.to_der()
    }

    /// Lays out the SignedData around the same content, or apart from it where that is not given again (RFC 5652 5.2, "external
    /// signatures"), with the signer's certificate or without any.
    ///
    /// # Errors
    /// Lengths that DER cannot hold.
    pub fn build(
        self,
        content: Option<&[u8]>,
        signature: &[u8],
        signer: &Certificate,
        carry_certificate: bool,
    ) -> der::Result<Zeroizing<Vec<u8>>> {
        let algorithm = sha256().to_der()?;
        let signer_info = SignerInfo {
            version: CmsVersion::V1,
            signer: AnyRef::new(Tag::Sequence, signer.identifier())?,
            digest_algorithm: sha256(),
            attributes: self.0,
            signature_algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
            signature: OctetStringRef::new(signature)?,
        };
        let signer_info = signer_info.to_der()?;
        let data = SignedData {
            version: CmsVersion::V1,
            digest_algorithms: AnyRef::new(Tag::Set, &algorithm)?,
            encapsulated: Encapsulated {
                content_type: DATA,
                content: content.map(OctetStringRef::new).transpose()?,
            },
            certificates: carry_certificate.then(|| AnyRef::new(CERTIFICATES, signer.der())).transpose()?,
            signer_infos: AnyRef::new(Tag::Set, &signer_info)?,
        };
        // Wiped, because a cover holds the content key.
        let der = Zeroizing::new(data.to_der()?);
        wrap(SIGNED_DATA, &der).map(Zeroizing::new)
    }
}

/// Reads a SignedData and compares the content with its message digest. Certificates inside are passed over: signers are pinned.
///
/// # Errors
/// `Malformed`, `Unsigned` and `Damaged`, of `what`.
pub fn parse<'a>(der: &'a [u8], what: &'static str) -> Result<Signed<'a>, Refusal> {
    let malformed = Refusal::Malformed(what);
    let (content_type, content) = unwrap(der).ok_or(malformed.clone())?;
    if content_type != SIGNED_DATA.as_bytes() {
        return Err(Refusal::Unsigned(what));
    }
    let (content, signer_infos) = read_data(content).ok_or(malformed.clone())?;
    if signer_infos.is_end() {
        return Err(Refusal::Unsigned(what));
    }
    let content = content.ok_or(malformed.clone())?;
    let (signed, digest) = signed(signer_infos, content).ok_or(malformed)?;
    if digest == Digest::of(content) { Ok(signed) } else { Err(Refusal::Damaged(what)) }
}

/// The content, where there is one, and the signer infos of a SignedData (RFC 5652 5.1) without CRLs.
fn read_data(der: &[u8]) -> Option<(Option<&[u8]>, Elements<'_>)> {
    let mut fields = elements::sequence(der)?;
    let (version, mut algorithms, mut encapsulated) =
        (fields.small()?, Elements::of(fields.value(SET)?), fields.sequence()?);
    fields.optional(context(0))?;
    let signer_infos = Elements::of(fields.value(SET)?);
    fields.end(())?;
    // RFC 5652 5.2.
    let (content_type, content) = (encapsulated.oid()?, encapsulated.optional(context(0))?);
    encapsulated.end(())?;
    let content = match content {
        Some(content) => Some(elements::sole(content, OCTET_STRING)?),
        None => None,
    };
    // Without a signer it says nothing of algorithms: then that is what is refused.
    let is_accepted = signer_infos.is_end()
        || version == 1
            && algorithms.algorithm().is_some_and(|only| is_sha256(&only))
            && algorithms.is_end()
            && content_type == DATA.as_bytes();
    is_accepted.then_some((content, signer_infos))
}

/// RFC 5652 5.1, as it is written.
#[derive(Sequence)]
struct SignedData<'a> {
    version: CmsVersion,
    digest_algorithms: AnyRef<'a>,
    encapsulated: Encapsulated<'a>,
    certificates: Option<AnyRef<'a>>,
    signer_infos: AnyRef<'a>,
}

/// RFC 5652 5.2.
#[derive(Sequence)]
struct Encapsulated<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    content: Option<OctetStringRef<'a>>,
}

/// `[0] IMPLICIT CertificateSet`.
const CERTIFICATES: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };

/// RFC 5652 5.3, as it is written.
#[derive(Sequence)]
struct SignerInfo<'a> {
    version: CmsVersion,
    signer: AnyRef<'a>,
    digest_algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    attributes: Attributes,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: OctetStringRef<'a>,
}

/// The one signer (RFC 5652 5.3), without attributes that are not signed.
fn signed<'a>(mut infos: Elements<'a>, content: &'a [u8]) -> Option<(Signed<'a>, Digest)> {
    let info = infos.tagged(SEQUENCE).filter(|info| info.whole.len() <= SIGNER_INFO_BYTES_MAX)?;
    infos.end(())?;
    let mut fields = Elements::of(info.value);
    let (version, signer, digest_algorithm) =
        (fields.small()?, fields.tagged(SEQUENCE)?, fields.algorithm()?);
    let (attributes, algorithm, signature) =
        (fields.tagged(context(0))?, fields.algorithm()?, fields.octets()?);
    fields.end(())?;
    let accepted = version == 1
        && is_sha256(&digest_algorithm)
        && algorithm.oid == ECDSA_WITH_SHA256.as_bytes()
        && algorithm.parameters.is_none();
    let found = set(attributes.value).filter(|_| accepted)?;
    let content_type = elements::sole(sole_value(&found, CONTENT_TYPE)?.whole, OBJECT_IDENTIFIER)?;
    let digest = elements::sole(sole_value(&found, MESSAGE_DIGEST)?.whole, OCTET_STRING)?;
    let signed_at = time(&sole_value(&found, SIGNING_TIME)?)?;
    // The same bytes, with the tag of a set (RFC 5652 5.4).
    let mut message = attributes.whole.to_vec();
    *message.first_mut()? = SET;
    let verification = Verification { message, signature: signature.to_vec() };
    let signed = Signed { content, verification, signed_at, signer: signer.value };
    (content_type == DATA.as_bytes()).then_some((signed, Digest(digest.try_into().ok()?)))
}

/// The one value of the one attribute of this type (RFC 5652 11).
fn sole_value<'a>(attributes: &[Element<'a>], oid: ObjectIdentifier) -> Option<Element<'a>> {
    let mut sole = None;
    for attribute in attributes {
        let mut fields = elements::sequence(attribute.whole)?;
        let (own, values) = (fields.oid()?, fields.value(SET)?);
        fields.end(())?;
        if own == oid.as_bytes() {
            let mut values = Elements::of(values);
            let value = values.element().filter(|_| sole.is_none() && values.is_end())?;
            sole = Some(value);
        }
    }
    sole
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}

/// UTCTime until 2049, GeneralizedTime after (RFC 5652 11.3).
fn signing_time(seconds: i64) -> der::Result<Time> {
    let seconds = u64::try_from(seconds).map_err(|_| der::ErrorKind::DateTime)?;
    let since_epoch = Duration::from_secs(seconds);
    der::asn1::UtcTime::from_unix_duration(since_epoch)
        .map(Time::UtcTime)
        .or_else(|_| der::asn1::GeneralizedTime::from_unix_duration(since_epoch).map(Time::GeneralTime))
}

fn sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: SHA256, parameters: None }
}
