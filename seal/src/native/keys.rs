//! Private keys with their certificates.

use crate::certificate::{Certificate, PublicKey};
use crate::cms::envelope::{KEY_BYTES, KeyAgreement, KeyRequest, KeyTransport};
use crate::cms::signed::{Attested, Verification};
use crate::error::SealError;
use crate::statement;
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, agree};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

const SITE_KEY: &str = "the site's key";
const DOCTOR_KEY: &str = "the doctor's key";
const IDENTITY_KEY: &str = "the doctor's identity key";
const NOT_P256: &str = "not a P-256 key";
const OTHER_KEY: &str = "the certificate belongs to another key";

/// The site's P-256 signing key with its certificate.
pub struct SiteKey {
    signer: Signer,
}

/// The doctor's key with its certificate: opens covers, and signs receipts itself (P-256) or has an identity that does (RSA).
pub struct DoctorKey {
    certificate: Certificate,
    opener: Opener,
    identity: Option<Signer>,
}

/// What gets a content encryption key out of its wrapping.
enum Opener {
    P256(PrivateKey),
    Rsa(OaepPrivateDecryptingKey),
}

/// A signing key with the certificate of its public half.
pub(super) struct Signer {
    what: &'static str,
    key: EcdsaKeyPair,
    certificate: Certificate,
}

impl SiteKey {
    /// Reads a PEM key without passphrase and its certificate. Both forms that openssl writes are taken: PKCS#8, `BEGIN PRIVATE
    /// KEY` (`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`), and RFC 5915, `BEGIN EC PRIVATE KEY`
    /// (`openssl ecparam -name prime256v1 -genkey`).
    ///
    /// # Errors
    /// [`SealError::Key`] if they do not belong together.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, SealError> {
        let signer = Signer::new(SITE_KEY, &read_key(SITE_KEY, key)?, certificate)?;
        Ok(Self { signer })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.signer.certificate
    }

    /// Signs a statement that is no cover, see [`statement::message`]. [`Certificate::verifies_statement`] checks it.
    ///
    /// # Errors
    /// [`SealError::Key`] where the library cannot sign.
    pub fn sign_statement(&self, purpose: &str, content: &[u8]) -> Result<Vec<u8>, SealError> {
        self.signer.sign_statement(purpose, content)
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }
}

impl Certificate {
    /// Whether the key of this certificate signed a statement, see [`SiteKey::sign_statement`]; an RSA key signs none.
    pub fn verifies_statement(&self, purpose: &str, content: &[u8], signature: &[u8]) -> bool {
        let key = self.point().map(|point| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point));
        key.is_some_and(|key| key.verify(&statement::message(purpose, content), signature).is_ok())
    }
}

impl DoctorKey {
    /// Reads a PEM key without passphrase, in the forms of [`SiteKey::from_pem`], and its certificate; for RSA PKCS#8. A P-256
    /// key signs receipts too; an RSA key signs nothing until it is given an [identity](Self::with_identity).
    ///
    /// # Errors
    /// [`SealError::Key`] if they do not belong together.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, SealError> {
        let key = read_key(DOCTOR_KEY, key)?;
        let parsed = Certificate::from_pem(certificate)?;
        let (opener, identity) = match parsed.public_key() {
            PublicKey::P256(_) => {
                let signer = Signer::new(DOCTOR_KEY, &key, certificate)?;
                let agreement = PrivateKey::from_private_key_der(&ECDH_P256, &key)
                    .map_err(|_| SealError::key(DOCTOR_KEY, NOT_P256))?;
                (Opener::P256(agreement), Some(signer))
            }
            PublicKey::Rsa(public_key) => (Opener::Rsa(rsa(&key, public_key)?), None),
        };
        Ok(Self { certificate: parsed, opener, identity })
    }

    /// Signs receipts with this P-256 key from now on (SPEC 7).
    ///
    /// # Errors
    /// [`SealError::Key`] if they do not belong together.
    pub fn with_identity(self, key: &str, certificate: &str) -> Result<Self, SealError> {
        let identity = Signer::new(IDENTITY_KEY, &read_key(IDENTITY_KEY, key)?, certificate)?;
        Ok(Self { identity: Some(identity), ..self })
    }

    /// The certificate that covers are sealed for.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate that receipts are signed under; none for an RSA key without an identity.
    pub fn identity(&self) -> Option<&Certificate> {
        self.identity.as_ref().map(|signer| &signer.certificate)
    }

    /// # Errors
    /// [`SealError::Key`] for an RSA key without an identity.
    pub(super) fn signer(&self) -> Result<&Signer, SealError> {
        self.identity.as_ref().ok_or_else(|| {
            SealError::key(DOCTOR_KEY, "an RSA key signs no receipts: give it a P-256 identity")
        })
    }

    /// The content encryption key; none if it was not wrapped for this key.
    pub(super) fn unwrap(&self, request: &KeyRequest) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
        match (&self.opener, request) {
            (Opener::P256(key), KeyRequest::Agreement(request)) => unwrap_by_agreement(request, key),
            (Opener::Rsa(key), KeyRequest::Transport(request)) => unwrap_by_oaep(request, key),
            _ => None,
        }
    }
}

fn unwrap_by_agreement(request: &KeyAgreement, key: &PrivateKey) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let peer = agreement::UnparsedPublicKey::new(&ECDH_P256, &request.ephemeral_point);
    let kek = agree(key, peer, (), |secret| Ok(request.kek(secret))).ok()?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    AesKek::new(&AES_256, &*kek).ok()?.unwrap(&request.wrapped_key, &mut *key).ok()?;
    Some(key)
}

fn unwrap_by_oaep(
    request: &KeyTransport,
    key: &OaepPrivateDecryptingKey,
) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut plain = Zeroizing::new(vec![0; key.min_output_size()]);
    let decrypted = key.decrypt(&OAEP_SHA256_MGF1SHA256, &request.encrypted_key, &mut plain, None).ok()?;
    Some(Zeroizing::new((&*decrypted).try_into().ok()?))
}

fn rsa(key: &[u8], public_key: &[u8]) -> Result<OaepPrivateDecryptingKey, SealError> {
    let key = PrivateDecryptingKey::from_pkcs8(key)
        .map_err(|_| SealError::key(DOCTOR_KEY, "not an RSA key in PKCS#8, as its certificate wants"))?;
    let own: PublicKeyX509Der<'_> =
        key.public_key().as_der().map_err(|_| SealError::key(DOCTOR_KEY, "has no public half"))?;
    if own.as_ref() != public_key {
        return Err(SealError::key(DOCTOR_KEY, OTHER_KEY));
    }
    OaepPrivateDecryptingKey::new(key).map_err(|_| SealError::key(DOCTOR_KEY, "cannot be used for OAEP"))
}

impl Signer {
    fn new(what: &'static str, key: &[u8], certificate: &str) -> Result<Self, SealError> {
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, key)
            .map_err(|_| SealError::key(what, NOT_P256))?;
        let certificate = Certificate::from_pem(certificate)?;
        let point =
            certificate.point().ok_or_else(|| SealError::key(what, "its certificate is not on P-256"))?;
        if key.public_key().as_ref() != point {
            return Err(SealError::key(what, OTHER_KEY));
        }
        Ok(Self { what, key, certificate })
    }

    /// See [`SiteKey::sign_statement`].
    pub(super) fn sign_statement(&self, purpose: &str, content: &[u8]) -> Result<Vec<u8>, SealError> {
        let signed = self.key.sign(&SystemRandom::new(), &statement::message(purpose, content));
        Ok(signed.map_err(|_| SealError::key(self.what, "cannot sign"))?.as_ref().to_vec())
    }

    /// Signs `content` as SignedData around it; `signed_at` in seconds since 1970-01-01 UTC.
    pub(super) fn sign(
        &self,
        content: &[u8],
        signed_at: i64,
        carry_certificate: bool,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.signed(content, Some(content), signed_at, carry_certificate)
    }

    /// Signs `content` as SignedData that does not hold it, but the certificate.
    pub(super) fn sign_apart(&self, content: &[u8], signed_at: i64) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.signed(content, None, signed_at, true)
    }

    fn signed(
        &self,
        content: &[u8],
        held: Option<&[u8]>,
        signed_at: i64,
        carry_certificate: bool,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let cannot = |_: der::Error| SealError::key(self.what, "cannot lay out what it signs");
        let attested = Attested::new(content, signed_at).map_err(cannot)?;
        let message = attested.message().map_err(cannot)?;
        let signature = self
            .key
            .sign(&SystemRandom::new(), &message)
            .map_err(|_| SealError::key(self.what, "cannot sign"))?;
        attested.build(held, signature.as_ref(), &self.certificate, carry_certificate).map_err(cannot)
    }
}

/// Whether the signature was made by the key of this certificate.
pub(super) fn verifies(verification: &Verification, certificate: &Certificate) -> bool {
    let key = certificate.point().map(|point| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point));
    key.is_some_and(|key| key.verify(&verification.message, &verification.signature).is_ok())
}

/// A key as PKCS#8 and the certificate that belongs to it.
pub(super) fn pkcs8_and_certificate(
    key: &str,
    certificate: &str,
) -> Result<(Zeroizing<Vec<u8>>, Certificate), SealError> {
    let der = read_key(DOCTOR_KEY, key)?;
    let parsed = Certificate::from_pem(certificate)?;
    let pkcs8 = match parsed.public_key() {
        PublicKey::P256(_) => {
            let signer = Signer::new(DOCTOR_KEY, &der, certificate)?;
            let pkcs8 = signer.key.to_pkcs8v1().map_err(|_| SealError::key(DOCTOR_KEY, NOT_P256))?;
            Zeroizing::new(pkcs8.as_ref().to_vec())
        }
        PublicKey::Rsa(public_key) => rsa(&der, public_key).map(|_| der)?,
    };
    Ok((pkcs8, parsed))
}

fn read_key(what: &'static str, pem: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    use zeroize::Zeroize;
    let mut key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| SealError::key(what, "not a PEM private key without passphrase"))?;
    let der = Zeroizing::new(key.secret_der().to_vec());
    key.zeroize();
    Ok(der)
}
