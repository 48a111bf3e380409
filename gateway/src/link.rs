//! Links for outside recipients, who have no account: a key pair of their own, sealed under a passphrase that is told by another way. Link and
//! passphrase are shown once, to who asked; neither log nor journal nor trail has the passphrase (SPEC 10).

mod passphrase;

pub use passphrase::{normalised, passphrase};

use crate::config::Links;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use notifier::Language;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SerialNumber};
use seal::ids::{CaseId, Digest, LinkId};
use seal::link::{Argon2Cost, HKDF_SALT, Link, PURPOSE, SALT_BYTES, Secret, Terms, info};
use seal::native::{Certificate, SealError, SiteKey, random};
use seal::statement;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// RFC 9106 4, the second choice, which a phone computes in about a second: 64 MiB, three passes, four lanes.
const COST: Argon2Cost = Argon2Cost { memory_kib: 64 << 10, iterations: 3, lanes: 4 };
/// Of what comes from the passphrase.
const KEY_BYTES: usize = 32;
/// A clock outside may be some minutes behind.
const EARLIER: Duration = Duration::hours(1);

/// A link that is not of any case yet.
pub struct NewLink {
    /// Its id: all that stands in its address.
    pub id: LinkId,
    /// Whom covers are sealed for.
    pub certificate: Certificate,
    /// What is told to the recipient, by another way.
    pub passphrase: Zeroizing<String>,
    /// Until when, milliseconds since 1970-01-01 UTC.
    pub expires_at_ms: i64,
    key: Zeroizing<Vec<u8>>,
    salt: [u8; SALT_BYTES],
    proof: Digest,
    sealing: Zeroizing<[u8; KEY_BYTES]>,
}

/// What is shown once of a link.
pub struct ShownLink {
    /// The guest mailbox, by its name in the configuration.
    pub doctor: String,
    /// Where the portal shows the study.
    pub url: String,
    /// Not to be sent beside the address.
    pub passphrase: Zeroizing<String>,
    /// Until when, milliseconds since 1970-01-01 UTC.
    pub expires_at_ms: i64,
}

impl NewLink {
    /// Makes keys and passphrase, and computes what both sides derive from it: a second's work.
    ///
    /// # Errors
    /// [`SealError`]: the system gives no random bytes, or a library refuses.
    pub fn make(language: Language, expires_at_ms: i64) -> Result<Self, SealError> {
        let (id, salt) = (LinkId(random()?), random()?);
        let passphrase = passphrase(language)?;
        let master = master(&passphrase, &salt, COST)?;
        let (certificate, key) = key_pair(id, expires_at_ms)?;
        Ok(Self {
            id,
            certificate,
            key,
            salt,
            proof: Digest::of(&*derived(&master, "proof", id)?),
            sealing: derived(&master, "key", id)?,
            passphrase,
            expires_at_ms,
        })
    }

    /// The signed statement: all that the portal and the recipient's browser need, for who has the passphrase.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn statement(&self, case: CaseId, links: &Links, site: &SiteKey) -> Result<Vec<u8>, SealError> {
        let terms = Terms {
            link: self.id,
            case,
            expires: self.expires_at_ms / 1000,
            uses: links.uses,
            tries: links.tries,
            cost: COST,
            salt: self.salt,
            proof: self.proof,
            certificate: self.certificate.clone(),
        };
        let secret = Secret { key: self.key.clone(), site: site.certificate().clone() };
        let (bound, secret) = terms.to_bytes().zip(secret.to_bytes()).ok_or_else(failed)?;
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = secret.to_vec();
        let key = UnboundKey::new(&AES_256_GCM, &*self.sealing).map_err(|_| failed())?;
        LessSafeKey::new(key)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut sealed)
            .map_err(|_| failed())?;
        let sealed = [nonce.as_slice(), &sealed].concat();
        let content = Link { terms, sealed }.to_bytes().ok_or_else(failed)?;
        Ok(statement::join(&site.sign_statement(PURPOSE, &content)?, &content))
    }

    /// What is to be shown, once.
    pub fn shown(&self, doctor: &str, links: &Links) -> ShownLink {
        ShownLink {
            doctor: doctor.to_owned(),
            url: format!("{}/l/{}", links.portal_url.trim_end_matches('/'), self.id),
            passphrase: self.passphrase.clone(),
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// P-256, certified by itself; the name says nothing.
fn key_pair(id: LinkId, expires_at_ms: i64) -> Result<(Certificate, Zeroizing<Vec<u8>>), SealError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| failed())?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Scanpost link");
    params.serial_number = Some(SerialNumber::from_slice(&id.0));
    let ends = OffsetDateTime::from_unix_timestamp(expires_at_ms / 1000).map_err(|_| failed())?;
    params.not_before = OffsetDateTime::now_utc() - EARLIER;
    params.not_after = ends + EARLIER;
    let certificate = params.self_signed(&key).map_err(|_| failed())?;
    Ok((Certificate::from_der(certificate.der())?, Zeroizing::new(key.serialize_der())))
}

/// Argon2id, version 0x13 (RFC 9106).
fn master(
    passphrase: &str,
    salt: &[u8; SALT_BYTES],
    cost: Argon2Cost,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
    let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes.into(), Some(KEY_BYTES));
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(|_| failed())?);
    let mut master = Zeroizing::new([0; KEY_BYTES]);
    argon2.hash_password_into(passphrase.as_bytes(), salt, &mut *master).map_err(|_| failed())?;
    Ok(master)
}

/// HKDF-SHA-256 of the master for one use.
fn derived(
    master: &[u8; KEY_BYTES],
    usage: &str,
    link: LinkId,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
    let extracted: Prk = Salt::new(HKDF_SHA256, HKDF_SALT).extract(master);
    let info = info(usage, link);
    let mut out = Zeroizing::new([0; KEY_BYTES]);
    let filled = extracted.expand(&[&info], HKDF_SHA256).and_then(|okm| okm.fill(&mut *out));
    filled.map_err(|_| failed()).map(|()| out)
}

fn failed() -> SealError {
    SealError::Io(std::io::Error::other("a link cannot be made: a library refused"))
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
