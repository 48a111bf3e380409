//! Seals and opens the cover: signed by the site, encrypted for each recipient (SPEC 5).

use super::keys::{DoctorKey, SiteKey, verifies};
use super::random;
use crate::answer::AnswerPoint;
use crate::certificate::{Certificate, POINT_BYTES, PublicKey};
use crate::cms::envelope::agreement::{kek, shared_info};
use crate::cms::envelope::{
    self, Decryption, KEY_BYTES, NONCE_BYTES, WRAPPED_KEY_BYTES, WrappedKey, Wrapping,
};
use crate::cms::signed::{self, Signed};
use crate::cover::{
    CONTENT_KEY_BYTES, Completeness, ContentKeyText, Cover, FORMAT, PieceEntry, cover_bytes_max,
};
use crate::error::{Refusal, SealError};
use crate::ids::{CaseId, DeliveryId, Digest};
use crate::limits::PIECES_MAX;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

/// A time of as many digits as any that a gateway will see; seconds since 1970-01-01 UTC.
const SOME_TIME: i64 = 1_800_000_000;
const COVER: &str = "the cover";
const RECIPIENT: &str = "a recipient's certificate";
const TOO_LONG: &str = "its issuer's name is too long for a cover";
const DAMAGED: Refusal = Refusal::Damaged(COVER);

/// A cover whose decryption, signature, addressee and format were checked: proof that the check ran, because only [`open_cover`]
/// makes one.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifiedCover {
    /// What the site signed.
    pub cover: Cover,
    /// SHA-256 of the DER.
    pub digest: Digest,
    /// SHA-256 of the site certificate that signed it.
    pub signer: Digest,
    /// SHA-256 of the certificate that it was opened by.
    pub recipient: Digest,
}

/// Opens and checks a cover (SPEC 5.4).
///
/// # Errors
/// [`SealError::Refused`].
pub fn open_cover(der: &[u8], doctor: &DoctorKey, sites: &[Certificate]) -> Result<VerifiedCover, SealError> {
    if der.len() > cover_bytes_max(PIECES_MAX as usize) {
        return Err(Refusal::Malformed(COVER).into());
    }
    let envelope = envelope::parse(der, doctor.certificate())?;
    let content_encryption_key = doctor.unwrap(&envelope.key).ok_or(DAMAGED)?;
    let plain = decrypt(envelope.decryption, &content_encryption_key)?;
    let signed = signed::parse(&plain, COVER)?;
    let signer = find_signer(&signed, sites)?.digest();
    let recipient = doctor.certificate().digest();
    let cover = Cover::accept(signed.content, der.len(), &recipient)?;
    Ok(VerifiedCover { cover, digest: Digest::of(der), signer, recipient })
}

/// Signs and encrypts a cover; gives its DER.
pub(super) fn seal_cover(
    cover: &Cover,
    site: &SiteKey,
    recipients: &[Certificate],
) -> Result<Vec<u8>, SealError> {
    if !cover.is_sound() {
        return Err(SealError::key(COVER, "a field is beyond its limits"));
    }
    let json = cover.to_json().map_err(std::io::Error::from)?;
    let mut sealed = site.signer().sign(&json, cover.sealed_at, true)?;
    signed::parse(&sealed, COVER).map_err(|_| SealError::key("the site's certificate", TOO_LONG))?;
    let content_encryption_key = Zeroizing::new(random::<KEY_BYTES>()?);
    let nonce = random()?;
    encrypt(&mut sealed, &content_encryption_key, nonce)
        .map_err(|_| SealError::key(COVER, "cannot encrypt"))?;
    let keys: Vec<WrappedKey<'_>> = recipients
        .iter()
        .map(|recipient| wrap(&content_encryption_key, recipient))
        .collect::<Result<_, _>>()?;
    let der =
        envelope::build(&keys, &nonce, &sealed).map_err(|_| SealError::key(COVER, "cannot be laid out"))?;
    check_readable(&der, cover.pieces.len(), recipients)?;
    Ok(der)
}

/// Whether a reader takes covers for these recipients: seals the longest cover that a delivery to them can have, and throws it away. So many
/// RSA recipients as [`crate::limits::RECIPIENTS_MAX`] allows do not fit.
///
/// # Errors
/// [`SealError::Key`].
pub fn check_recipients(
    site: &SiteKey,
    site_name: &str,
    policy: &str,
    recipients: &[Certificate],
) -> Result<(), SealError> {
    let digest = Digest([0; 32]);
    let cover = Cover {
        format: FORMAT,
        case: CaseId([0; 16]),
        delivery: DeliveryId([0; 16]),
        sequence: u32::MAX,
        previous: Some(digest),
        residual_of: None,
        residual_until: Some(i64::MAX),
        answers: Some(AnswerPoint([0xFF; POINT_BYTES])),
        content: digest,
        site: site_name.to_owned(),
        sealed_at: SOME_TIME,
        recipients: recipients.iter().map(Certificate::digest).collect(),
        completeness: Completeness::Partial { instances: u32::MAX, listed: u32::MAX },
        policy: policy.to_owned(),
        content_key: ContentKeyText("0".repeat(2 * CONTENT_KEY_BYTES)),
        index: digest,
        manifest: digest,
        pieces: vec![PieceEntry::new(u32::MAX, &digest)],
    };
    seal_cover(&cover, site, recipients).map(drop)
}

/// A reader's limits are met here, before anything is sent.
fn check_readable(der: &[u8], pieces: usize, recipients: &[Certificate]) -> Result<(), SealError> {
    if der.len() > cover_bytes_max(pieces) {
        return Err(SealError::key(
            COVER,
            "larger than a cover may be: too many recipients, or names too long",
        ));
    }
    let readable = recipients.iter().all(|recipient| envelope::parse(der, recipient).is_ok());
    if readable { Ok(()) } else { Err(SealError::key(RECIPIENT, TOO_LONG)) }
}

fn decrypt(request: Decryption, key: &[u8; KEY_BYTES]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut bytes = Zeroizing::new(request.sealed);
    let key = gcm(key).map_err(|_| DAMAGED)?;
    let nonce = Nonce::assume_unique_for_key(request.nonce);
    let plain = key.open_in_place(nonce, Aad::empty(), &mut bytes).map_err(|_| DAMAGED)?.len();
    bytes.truncate(plain);
    Ok(bytes)
}

/// The pinned site that signed, valid at signing time.
fn find_signer<'a>(signed: &Signed<'_>, sites: &'a [Certificate]) -> Result<&'a Certificate, Refusal> {
    let mut candidates = signed.candidates(sites)?.into_iter();
    let site = candidates.find(|site| verifies(&signed.verification, site));
    let site = site.ok_or(Refusal::WrongSignature(COVER))?;
    signed.check_time(site).map(|()| site)
}

/// By AES-256-GCM, the tag at the end.
pub(super) fn encrypt(
    bytes: &mut Vec<u8>,
    key: &[u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
) -> Result<(), Unspecified> {
    gcm(key)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), bytes)
}

fn gcm(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, Unspecified> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?))
}

pub(super) fn wrap<'a>(
    key: &[u8; KEY_BYTES],
    recipient: &'a Certificate,
) -> Result<WrappedKey<'a>, SealError> {
    wrapped(recipient, |public_key| match public_key {
        PublicKey::P256(point) => wrap_by_agreement(key, point),
        PublicKey::Rsa(public_key) => wrap_by_oaep(key, public_key),
    })
}

/// As [`wrap`], but RSA by PKCS #1 v1.5.
pub(super) fn wrap_for_old_programs<'a>(
    key: &[u8; KEY_BYTES],
    recipient: &'a Certificate,
) -> Result<WrappedKey<'a>, SealError> {
    wrapped(recipient, |public_key| match public_key {
        PublicKey::P256(point) => wrap_by_agreement(key, point),
        PublicKey::Rsa(public_key) => wrap_by_pkcs1(key, public_key),
    })
}

fn wrapped(
    recipient: &Certificate,
    wrapping: impl FnOnce(&PublicKey) -> Result<Wrapping, Unspecified>,
) -> Result<WrappedKey<'_>, SealError> {
    let wrapping = wrapping(recipient.public_key());
    let wrapping = wrapping.map_err(|Unspecified| SealError::key(RECIPIENT, "its key cannot be used"))?;
    Ok(WrappedKey { recipient, wrapping })
}

/// With an ephemeral key of its own.
fn wrap_by_agreement(key: &[u8; KEY_BYTES], point: &[u8; POINT_BYTES]) -> Result<Wrapping, Unspecified> {
    let ephemeral = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
    let ephemeral_point = ephemeral.compute_public_key()?.as_ref().try_into().map_err(|_| Unspecified)?;
    let shared_info = shared_info(None).map_err(|_| Unspecified)?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, point);
    let kek = agree_ephemeral(ephemeral, peer, Unspecified, |secret| Ok(kek(secret, &shared_info)))?;
    let mut wrapped_key = [0; WRAPPED_KEY_BYTES];
    AesKek::new(&AES_256, &*kek)?.wrap(key, &mut wrapped_key)?;
    Ok(Wrapping::Agreement { ephemeral_point, wrapped_key })
}

fn wrap_by_oaep(key: &[u8; KEY_BYTES], public_key: &[u8]) -> Result<Wrapping, Unspecified> {
    let public_key = PublicEncryptingKey::from_der(public_key).map_err(|_| Unspecified)?;
    let public_key = OaepPublicEncryptingKey::new(public_key)?;
    let mut encrypted = vec![0; public_key.ciphertext_size()];
    public_key.encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut encrypted, None)?;
    Ok(Wrapping::Transport(encrypted))
}

fn wrap_by_pkcs1(key: &[u8; KEY_BYTES], public_key: &[u8]) -> Result<Wrapping, Unspecified> {
    let public_key = PublicEncryptingKey::from_der(public_key).map_err(|_| Unspecified)?;
    let public_key = Pkcs1PublicEncryptingKey::new(public_key)?;
    let mut encrypted = vec![0; public_key.ciphertext_size()];
    public_key.encrypt(key, &mut encrypted)?;
    Ok(Wrapping::Pkcs1(encrypted))
}
