//! Private keys with their certificates.

use crate::certificate::Certificate;
use crate::cms::signed::{Attested, Verification};
use crate::error::SealError;
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

const SITE_KEY: &str = "the site's key";
const DOCTOR_KEY: &str = "the doctor's key";

/// The site's P-256 signing key with its certificate.
pub struct SiteKey {
    signer: Signer,
}

/// The doctor's P-256 key with its certificate: opens covers and signs receipts.
pub struct DoctorKey {
    signer: Signer,
    agreement: PrivateKey,
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

    /// Signs a statement that is no cover: ECDSA with SHA-256 over `purpose`, a zero byte, and `content`. No content of CMS begins with letters, so
    /// that neither passes for the other. [`Certificate::verifies_statement`] checks it.
    ///
    /// # Errors
    /// [`SealError::Key`] where the library cannot sign.
    pub fn sign_statement(&self, purpose: &str, content: &[u8]) -> Result<Vec<u8>, SealError> {
        let signed = self.signer.key.sign(&SystemRandom::new(), &statement(purpose, content));
        Ok(signed.map_err(|_| SealError::key(SITE_KEY, "cannot sign"))?.as_ref().to_vec())
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }
}

impl Certificate {
    /// Whether the key of this certificate signed a statement, see [`SiteKey::sign_statement`].
    pub fn verifies_statement(&self, purpose: &str, content: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.point())
            .verify(&statement(purpose, content), signature)
            .is_ok()
    }
}

fn statement(purpose: &str, content: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), &[0], content].concat()
}

impl DoctorKey {
    /// Reads a PEM key without passphrase, in the forms of [`SiteKey::from_pem`], and its certificate.
    ///
    /// # Errors
    /// [`SealError::Key`] if they do not belong together.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, SealError> {
        let key = read_key(DOCTOR_KEY, key)?;
        let signer = Signer::new(DOCTOR_KEY, &key, certificate)?;
        let agreement = PrivateKey::from_private_key_der(&ECDH_P256, &key)
            .map_err(|_| SealError::key(DOCTOR_KEY, "not a P-256 key"))?;
        Ok(Self { signer, agreement })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.signer.certificate
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(super) fn agreement(&self) -> &PrivateKey {
        &self.agreement
    }
}

impl Signer {
    fn new(what: &'static str, key: &[u8], certificate: &str) -> Result<Self, SealError> {
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, key)
            .map_err(|_| SealError::key(what, "not a P-256 key"))?;
        let certificate = Certificate::from_pem(certificate)?;
        if key.public_key().as_ref() != certificate.point() {
            return Err(SealError::key(what, "the certificate belongs to another key"));
        }
        Ok(Self { what, key, certificate })
    }

    /// Signs `content` as SignedData; `signed_at` in seconds since 1970-01-01 UTC.
    pub(super) fn sign(
        &self,
        content: &[u8],
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
        attested.build(content, signature.as_ref(), &self.certificate, carry_certificate).map_err(cannot)
    }
}

/// Whether the signature was made by the key of this certificate.
pub(super) fn verifies(verification: &Verification, certificate: &Certificate) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, certificate.point())
        .verify(&verification.message, &verification.signature)
        .is_ok()
}

fn read_key(what: &'static str, pem: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    use zeroize::Zeroize;
    let mut key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| SealError::key(what, "not a PEM private key without passphrase"))?;
    let der = Zeroizing::new(key.secret_der().to_vec());
    key.zeroize();
    Ok(der)
}
