//! SignedData (RFC 5652 5): one signer, P-256 ECDSA with SHA-256, signed attributes.

use super::{ContentInfo, DATA, SHA256, SIGNED_DATA, is_sha256, wrap};
use crate::certificate::Certificate;
use crate::error::Refusal;
use crate::ids::Digest;
use crate::limits::SIGNER_INFO_BYTES_MAX;
use ::cms::cert::IssuerAndSerialNumber;
use ::cms::content_info::CmsVersion;
use ::cms::signed_data::{SignerIdentifier, SignerInfo};
use der::asn1::{Any, AnyRef, ObjectIdentifier, OctetString, OctetStringRef, SetOfVec};
use der::{
    Choice, Decode, DecodeValue, Encode, EncodeValue, Header, Length, Sequence, Tag, TagNumber, Tagged,
    Writer,
};
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
    signer: IssuerAndSerialNumber,
}

impl Signed<'_> {
    /// Whether the signer info names this certificate.
    pub fn is_by(&self, certificate: &Certificate) -> bool {
        &self.signer == certificate.identifier()
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
        let algorithms = SetOfVec::try_from(vec![sha256()])?.to_der()?;
        let signer_infos = SetOfVec::try_from(vec![signer_info(self.0, signature, signer)?])?.to_der()?;
        let data = SignedData {
            version: CmsVersion::V1,
            digest_algorithms: AnyRef::try_from(algorithms.as_slice())?,
            encapsulated: Encapsulated {
                content_type: DATA,
                content: content.map(OctetStringRef::new).transpose()?,
            },
            certificates: carry_certificate
                .then(|| AnyRef::new(Certificates::TAG, signer.der()).map(Certificates))
                .transpose()?,
            signer_infos: AnyRef::try_from(signer_infos.as_slice())?,
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
    let malformed = |_: der::Error| Refusal::Malformed(what);
    let outer = ContentInfo::from_der(der).map_err(malformed)?;
    if outer.content_type != SIGNED_DATA {
        return Err(Refusal::Unsigned(what));
    }
    let data: SignedData<'a> = outer.content.decode_as().map_err(malformed)?;
    if data.signer_infos.value().is_empty() {
        return Err(Refusal::Unsigned(what));
    }
    let info = sole_signer(&data).ok_or(Refusal::Malformed(what))?;
    let content = data.encapsulated.content.ok_or(Refusal::Malformed(what))?.as_bytes();
    let (signed, digest) = signed(info, content).ok_or(Refusal::Malformed(what))?;
    if digest == Digest::of(content) { Ok(signed) } else { Err(Refusal::Damaged(what)) }
}

/// RFC 5652 5.1, borrowing; without CRLs.
#[derive(Sequence)]
struct SignedData<'a> {
    version: CmsVersion,
    digest_algorithms: AnyRef<'a>,
    encapsulated: Encapsulated<'a>,
    certificates: Option<Certificates<'a>>,
    signer_infos: AnyRef<'a>,
}

/// RFC 5652 5.2; the content is always there where we read.
#[derive(Sequence)]
struct Encapsulated<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    content: Option<OctetStringRef<'a>>,
}

/// `[0] IMPLICIT CertificateSet`, not decoded.
struct Certificates<'a>(AnyRef<'a>);

impl Certificates<'_> {
    const TAG: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
}

impl<'a> Choice<'a> for Certificates<'a> {
    fn can_decode(tag: Tag) -> bool {
        tag == Self::TAG
    }
}

impl<'a> Decode<'a> for Certificates<'a> {
    fn decode<R: der::Reader<'a>>(reader: &mut R) -> der::Result<Self> {
        let header = Header::decode(reader)?;
        header.tag.assert_eq(Self::TAG)?;
        AnyRef::decode_value(reader, header).map(Self)
    }
}

impl Tagged for Certificates<'_> {
    fn tag(&self) -> Tag {
        Self::TAG
    }
}

impl EncodeValue for Certificates<'_> {
    fn value_len(&self) -> der::Result<Length> {
        self.0.value_len()
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.0.encode_value(writer)
    }
}

fn sole_signer(data: &SignedData<'_>) -> Option<SignerInfo> {
    let infos = data.signer_infos;
    let accepted = data.version == CmsVersion::V1
        && data.digest_algorithms.tag() == Tag::Set
        && AlgorithmIdentifierOwned::from_der(data.digest_algorithms.value())
            .is_ok_and(|only| is_sha256(&only))
        && data.encapsulated.content_type == DATA
        && infos.tag() == Tag::Set
        && infos.value().len() <= SIGNER_INFO_BYTES_MAX;
    // `from_der` refuses bytes after the first, so there is exactly one.
    accepted.then(|| SignerInfo::from_der(infos.value()).ok()).flatten()
}

fn signed(info: SignerInfo, content: &[u8]) -> Option<(Signed<'_>, Digest)> {
    let accepted = info.version == CmsVersion::V1
        && is_sha256(&info.digest_alg)
        && info.signature_algorithm.oid == ECDSA_WITH_SHA256
        && info.signature_algorithm.parameters.is_none()
        && info.unsigned_attrs.is_none();
    let SignerIdentifier::IssuerAndSerialNumber(signer) = info.sid else { return None };
    let attributes = info.signed_attrs?;
    let content_type: ObjectIdentifier = sole_value(&attributes, CONTENT_TYPE)?.decode_as().ok()?;
    let digest: OctetStringRef<'_> = sole_value(&attributes, MESSAGE_DIGEST)?.decode_as().ok()?;
    let digest = Digest(digest.as_bytes().try_into().ok()?);
    let signed_at = read_time(sole_value(&attributes, SIGNING_TIME)?)?;
    let verification =
        Verification { message: attributes.to_der().ok()?, signature: info.signature.as_bytes().to_vec() };
    let signed = Signed { content, verification, signed_at, signer };
    (accepted && content_type == DATA).then_some((signed, digest))
}

/// The one value of the one attribute of this type (RFC 5652 11).
fn sole_value(attributes: &Attributes, oid: ObjectIdentifier) -> Option<&Any> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    let (attribute, None) = (found.next()?, found.next()) else { return None };
    let mut values = attribute.values.iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    Some(value)
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

fn read_time(value: &Any) -> Option<i64> {
    let time = Time::from_der(&value.to_der().ok()?).ok()?;
    i64::try_from(time.to_unix_duration().as_secs()).ok()
}

fn signer_info(attributes: Attributes, signature: &[u8], signer: &Certificate) -> der::Result<SignerInfo> {
    Ok(SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(signer.identifier().clone()),
        digest_alg: sha256(),
        signed_attrs: Some(attributes),
        signature_algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    })
}

fn sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: SHA256, parameters: None }
}
