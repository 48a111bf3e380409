//! Signs and opens what an enrolment sends (SPEC 8). All content is small, and looked at only after MAC and signature were.

use super::keys::{DoctorKey, Signer, SiteKey};
use super::random;
use crate::certificate::{Certificate, Recipient};
use crate::enrol::{
    CODE_SALT, CONFIRMATION, CONFIRMATION_PURPOSE, Code, Confirmation, RENEWAL, RENEWAL_PURPOSE, REQUEST,
    REQUEST_PURPOSE, REVOCATION, REVOCATION_PURPOSE, Renewal, Request, Revocation,
};
use crate::error::{Refusal, SealError};
use crate::ids::{Digest, InvitationId};
use crate::limits::{CONFIRMATION_BYTES_MAX, ENROLMENT_BYTES_MAX};
use crate::mail::{MessageId, Part, Site};
use crate::statement::{self, MAC_BYTES};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// What is derived from a code: all that a site keeps of it. The code cannot be found from it.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct CodeKeys {
    /// Names the invitation; no secret.
    #[zeroize(skip)]
    pub invitation: InvitationId,
    /// Authenticates requests.
    pub request: [u8; MAC_BYTES],
    /// Authenticates confirmations.
    pub confirmation: [u8; MAC_BYTES],
}

/// A request that the holder of the code made for these keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Certificate and identity.
    pub recipient: Recipient,
    /// Which device, in the doctor's words.
    pub device: String,
}

/// What a site has signed for a doctor's mailbox, ready to be mailed. Only [`sign_confirmation`] and [`sign_revocation`] make one.
#[derive(Debug)]
pub struct SignedNotice {
    bytes: Vec<u8>,
    id: InvitationId,
    part: Part,
}

impl SignedNotice {
    /// What to mail.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Under which Message-ID.
    pub fn message_id(&self, site: &Site) -> MessageId {
        MessageId::enrolment(self.id, self.part, site)
    }
}

/// A fresh code for a site.
///
/// # Errors
/// [`SealError::Io`] without random bytes.
pub fn new_code(site: Site) -> Result<Code, SealError> {
    Ok(Code::new(random()?, site))
}

impl CodeKeys {
    /// HKDF-SHA-256 of the code's secret, one output for each use.
    ///
    /// # Errors
    /// [`SealError::Key`], never for these lengths.
    pub fn of(code: &Code) -> Result<Self, SealError> {
        let invitation = derive(code, "invitation")?;
        Ok(Self {
            invitation: InvitationId(*invitation.first_chunk().unwrap_or(&[0; 16])),
            request: *derive(code, "request")?,
            confirmation: *derive(code, "confirmation")?,
        })
    }
}

/// Makes the request of a device, signed by its identity.
///
/// # Errors
/// [`SealError::Key`], also for keys that do not fit into a request.
pub fn sign_request(
    doctor: &DoctorKey,
    device: &str,
    keys: &CodeKeys,
    at: i64,
) -> Result<Vec<u8>, SealError> {
    let does_not_fit = || SealError::key(REQUEST, "its keys or the device's name do not fit");
    let request = Request {
        invitation: keys.invitation,
        certificate: doctor.certificate().clone(),
        identity: doctor.identity().ok_or_else(does_not_fit)?.clone(),
        device: device.to_owned(),
        at,
    };
    let content = request.to_bytes().ok_or_else(does_not_fit)?;
    Ok(authenticated(signed(doctor.signer()?, REQUEST_PURPOSE, &content)?, &keys.request))
}

/// Checks a request: who made it holds the code of this invitation, and the identity's key.
///
/// # Errors
/// [`Refusal::NotEnrolled`] for another code or invitation, `Malformed`, `Damaged`, `UnknownFormat`.
pub fn open_request(bytes: &[u8], keys: &CodeKeys) -> Result<Enrolled, Refusal> {
    let statement = unauthenticated(bytes, ENROLMENT_BYTES_MAX, &keys.request, REQUEST)?;
    let (signature, content) = statement::split(statement, REQUEST)?;
    let request = Request::parse(content)?;
    if request.invitation != keys.invitation {
        return Err(Refusal::NotEnrolled);
    }
    if !request.identity.verifies_statement(REQUEST_PURPOSE, content, signature) {
        return Err(Refusal::Damaged(REQUEST));
    }
    let recipient = Recipient::new(request.certificate, Some(request.identity));
    Ok(Enrolled { recipient: recipient.map_err(|_| Refusal::Malformed(REQUEST))?, device: request.device })
}

/// Confirms to a device that its keys are taken, and tells it the site's certificate.
///
/// # Errors
/// [`SealError::Key`].
pub fn sign_confirmation(
    recipient: &Recipient,
    site: &SiteKey,
    keys: &CodeKeys,
    at: i64,
) -> Result<SignedNotice, SealError> {
    let confirmation = Confirmation {
        invitation: keys.invitation,
        certificate: recipient.certificate().digest(),
        identity: recipient.identity().digest(),
        site: site.certificate().clone(),
        at,
    };
    let content = confirmation
        .to_bytes()
        .ok_or_else(|| SealError::key(CONFIRMATION, "the site's certificate does not fit"))?;
    let bytes = authenticated(signed(site.signer(), CONFIRMATION_PURPOSE, &content)?, &keys.confirmation);
    Ok(SignedNotice { bytes, id: keys.invitation, part: Part::Enrolled })
}

/// Checks a confirmation: it is for these keys of ours, from the holder of the code, signed by the site whose certificate comes back
/// to be pinned.
///
/// # Errors
/// [`Refusal::NotEnrolled`] for another code, invitation or keys, `Malformed`, `Damaged`, `UnknownFormat`.
pub fn open_confirmation(bytes: &[u8], doctor: &DoctorKey, keys: &CodeKeys) -> Result<Certificate, Refusal> {
    let statement = unauthenticated(bytes, CONFIRMATION_BYTES_MAX, &keys.confirmation, CONFIRMATION)?;
    let (signature, content) = statement::split(statement, CONFIRMATION)?;
    let confirmation = Confirmation::parse(content)?;
    if !confirmation.site.verifies_statement(CONFIRMATION_PURPOSE, content, signature) {
        return Err(Refusal::Damaged(CONFIRMATION));
    }
    let certificate = doctor.certificate().digest();
    let ours = doctor
        .identity()
        .is_some_and(|identity| confirmation.takes(keys.invitation, &certificate, &identity.digest()));
    if ours { Ok(confirmation.site) } else { Err(Refusal::NotEnrolled) }
}

/// Announces the certificate of `doctor` as the one to seal for from now on, under the identity that the site has pinned.
///
/// # Errors
/// [`SealError::Key`], also for keys that do not fit.
pub fn sign_renewal(doctor: &DoctorKey, at: i64) -> Result<(InvitationId, Vec<u8>), SealError> {
    let does_not_fit = || SealError::key(RENEWAL, "its keys do not fit");
    let renewal = Renewal {
        identity: doctor.identity().ok_or_else(does_not_fit)?.digest(),
        certificate: doctor.certificate().clone(),
        at,
    };
    let content = renewal.to_bytes().ok_or_else(does_not_fit)?;
    Ok((renewal.id(), signed(doctor.signer()?, RENEWAL_PURPOSE, &content)?))
}

/// Checks a renewal against pinned identities.
///
/// # Errors
/// [`Refusal::UnknownRecipient`] for an identity that is none of them, `Malformed`, `Damaged`, `UnknownFormat`.
pub fn open_renewal(bytes: &[u8], identities: &[&Certificate]) -> Result<Renewal, Refusal> {
    if bytes.len() > ENROLMENT_BYTES_MAX {
        return Err(Refusal::Malformed(RENEWAL));
    }
    let (signature, content) = statement::split(bytes, RENEWAL)?;
    let renewal = Renewal::parse(content)?;
    let identity = identities.iter().find(|identity| identity.digest() == renewal.identity);
    let identity = identity.ok_or(Refusal::UnknownRecipient)?;
    if !identity.verifies_statement(RENEWAL_PURPOSE, content, signature) {
        return Err(Refusal::Damaged(RENEWAL));
    }
    Ok(renewal)
}

/// Tells whoever keeps a device's sessions and wrapped keys that the site has revoked it.
///
/// # Errors
/// [`SealError::Key`] where the library cannot sign.
pub fn sign_revocation(identity: Digest, site: &SiteKey, at: i64) -> Result<SignedNotice, SealError> {
    let revocation = Revocation { identity, at };
    let bytes = signed(site.signer(), REVOCATION_PURPOSE, &revocation.to_bytes())?;
    Ok(SignedNotice { bytes, id: revocation.id(), part: Part::Revoked })
}

/// Checks a revocation against the certificates of pinned sites.
///
/// # Errors
/// [`Refusal::UnknownSite`] if none of them signed it, `Malformed`, `UnknownFormat`.
pub fn open_revocation(bytes: &[u8], sites: &[Certificate]) -> Result<Revocation, Refusal> {
    if bytes.len() > ENROLMENT_BYTES_MAX {
        return Err(Refusal::Malformed(REVOCATION));
    }
    let (signature, content) = statement::split(bytes, REVOCATION)?;
    let revocation = Revocation::parse(content)?;
    let is_signed = |site: &Certificate| site.verifies_statement(REVOCATION_PURPOSE, content, signature);
    if sites.iter().any(is_signed) { Ok(revocation) } else { Err(Refusal::UnknownSite) }
}

fn signed(signer: &Signer, purpose: &str, content: &[u8]) -> Result<Vec<u8>, SealError> {
    Ok(statement::join(&signer.sign_statement(purpose, content)?, content))
}

fn authenticated(bytes: Vec<u8>, key: &[u8; MAC_BYTES]) -> Vec<u8> {
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &bytes);
    [mac.as_ref(), &bytes].concat()
}

fn unauthenticated<'a>(
    bytes: &'a [u8],
    bytes_max: usize,
    key: &[u8; MAC_BYTES],
    what: &'static str,
) -> Result<&'a [u8], Refusal> {
    let (mac, rest) = statement::split_mac(bytes, bytes_max, what)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, rest, mac).map(|()| rest).map_err(|_| Refusal::NotEnrolled)
}

fn derive(code: &Code, usage: &str) -> Result<Zeroizing<[u8; MAC_BYTES]>, SealError> {
    let failed = |_| SealError::key("the code", "no key can be derived from it");
    let mut output = Zeroizing::new([0; MAC_BYTES]);
    let info = code.info(usage);
    let extracted = Salt::new(HKDF_SHA256, CODE_SALT).extract(code.secret());
    extracted
        .expand(&[&info], HKDF_SHA256)
        .and_then(|expanded| expanded.fill(&mut *output))
        .map_err(failed)?;
    Ok(output)
}
