//! DKIM signatures (RFC 6376, RFC 8463) on everything that the gateway mails: pieces, covers, notices.
//!
//! A body is hashed as it streams by, in a first pass. Canonicalisation is relaxed for the header, which servers may fold anew, and
//! simple for the body, which is base64 in short lines that no server touches.

use crate::config::{ConfigError, Dkim, read_secret};
use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;

/// Fields that are signed where a mail has them. `From` stands twice: a second one, put in later, breaks the signature (RFC 6376 5.4.2).
const SIGNED_FIELDS: [&str; 10] = [
    "from",
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "auto-submitted",
];
/// Characters of a signature in one line of the field, so that lines stay below 78 (RFC 5322 2.1.1).
const LINE_CHARS: usize = 70;
/// Smallest RSA key that receivers must take (RFC 8301 3.2), in bytes of its modulus.
const RSA_MODULUS_BYTES_MIN: usize = 256;

/// A domain's key.
pub struct Signer {
    domain: String,
    selector: String,
    key: Key,
}

enum Key {
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>),
}

/// The key could not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mail could not be signed with the DKIM key")]
pub struct CannotSign;

impl Signer {
    /// Reads a key, PKCS#8 PEM: Ed25519, or RSA from 2048 bits.
    ///
    /// # Errors
    /// [`ConfigError`] if the file is open to others or holds no such key.
    pub fn read(dkim: &Dkim) -> Result<Self, ConfigError> {
        let pem = read_secret(&dkim.key)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok().and_then(|der| {
            let der = der.secret_pkcs8_der();
            let rsa = || {
                RsaKeyPair::from_pkcs8(der)
                    .ok()
                    .filter(|key| key.public_modulus_len() >= RSA_MODULUS_BYTES_MIN)
            };
            match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                Ok(key) => Some(Key::Ed25519(Box::new(key))),
                Err(_) => rsa().map(|key| Key::Rsa(Box::new(key))),
            }
        });
        let key = key.ok_or(ConfigError::Value {
            key: format!("dkim (selector {})", dkim.selector),
            reason: "the key must be PKCS#8 PEM, Ed25519 or RSA from 2048 bits",
        })?;
        Ok(Self { domain: dkim.domain.clone(), selector: dkim.selector.clone(), key })
    }

    /// Where the public key is published (RFC 6376 3.6.2.1).
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// The TXT record to publish there (RFC 6376 3.6.1, RFC 8463 4.2).
    pub fn record(&self) -> String {
        let (kind, public) = match &self.key {
            Key::Ed25519(key) => ("ed25519", key.public_key().as_ref().to_vec()),
            Key::Rsa(key) => ("rsa", subject_public_key_info(key)),
        };
        format!("v=DKIM1; k={kind}; p={}", BASE64.encode(public))
    }

    /// The `DKIM-Signature` field, with its CRLF, for a mail whose header is `head` (with or without the empty line that ends it).
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn field(&self, head: &str, body: &BodyDigest, at: i64) -> Result<String, CannotSign> {
        let (names, mut signed) = signed_fields(head);
        let algorithm = match self.key {
            Key::Ed25519(_) => "ed25519-sha256",
            Key::Rsa(_) => "rsa-sha256",
        };
        let field = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/simple;\r\n d={};\r\n s={};\r\n t={at}; h={};\r\n bh={};\r\n b=",
            self.domain,
            self.selector,
            names.join(":\r\n "),
            BASE64.encode(body.0)
        );
        signed.push_str(&relaxed(&field));
        let signature = BASE64.encode(self.sign(signed.as_bytes())?);
        let lines: Vec<&str> = signature
            .as_bytes()
            .chunks(LINE_CHARS)
            .filter_map(|line| std::str::from_utf8(line).ok())
            .collect();
        Ok(format!("{field}{}\r\n", lines.join("\r\n ")))
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, CannotSign> {
        match &self.key {
            // RFC 8463 3: the hash is what is signed.
            Key::Ed25519(key) => Ok(key.sign(digest(&SHA256, bytes).as_ref()).as_ref().to_vec()),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature)
                    .map_err(|_| CannotSign)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signer({})", self.record_name())
    }
}

/// Reads all keys of a server.
///
/// # Errors
/// [`ConfigError`].
pub fn read(keys: &[Dkim]) -> Result<Vec<Signer>, ConfigError> {
    keys.iter().map(Signer::read).collect()
}

/// The fields of all signers, to be put before a mail.
///
/// # Errors
/// [`CannotSign`].
pub fn fields(signers: &[Signer], head: &str, body: &BodyDigest, at: i64) -> Result<String, CannotSign> {
    signers.iter().map(|signer| signer.field(head, body, at)).collect()
}

/// [`fields`] for a mail that is held whole.
///
/// # Errors
/// [`CannotSign`], also for a mail without the empty line that ends its header.
pub fn fields_of(signers: &[Signer], mail: &[u8], at: i64) -> Result<String, CannotSign> {
    let end = mail.windows(4).position(|window| window == b"\r\n\r\n").ok_or(CannotSign)?;
    let (head, body) = mail.split_at_checked(end + 4).ok_or(CannotSign)?;
    let mut hash = BodyHash::default();
    hash.update(body);
    fields(signers, std::str::from_utf8(head).map_err(|_| CannotSign)?, &hash.finish(), at)
}

/// SHA-256 of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyDigest([u8; 32]);

/// Hashes a body in any pieces, without the empty lines at its end (RFC 6376 3.4.3).
pub struct BodyHash {
    context: Context,
    /// Line ends that count only if something follows.
    held: Vec<u8>,
}

impl Default for BodyHash {
    fn default() -> Self {
        Self { context: Context::new(&SHA256), held: Vec::new() }
    }
}

impl BodyHash {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let line_ends = bytes.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (text, ends) = bytes.split_at(bytes.len() - line_ends);
        if !text.is_empty() {
            self.context.update(&self.held);
            self.held.clear();
            self.context.update(text);
        }
        self.held.extend_from_slice(ends);
    }

    /// The digest of all that came.
    pub fn finish(mut self) -> BodyDigest {
        self.context.update(b"\r\n");
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.context.finish().as_ref());
        BodyDigest(bytes)
    }
}

fn subject_public_key_info(key: &RsaKeyPair) -> Vec<u8> {
    let der: Result<PublicKeyX509Der<'_>, _> = key.public_key().as_der();
    der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
}

/// Names to sign, and the canonical fields in that order.
fn signed_fields(head: &str) -> (Vec<&'static str>, String) {
    let head = head.trim_end_matches("\r\n").to_owned();
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", "\t");
    let fields: Vec<String> = unfolded.split("\r\n").map(relaxed).collect();
    let (mut names, mut signed) = (Vec::new(), String::new());
    for name in SIGNED_FIELDS {
        let earlier = names.iter().filter(|known| **known == name).count();
        // RFC 6376 5.4.2: from the last one upwards; a name more than there are fields stands for none.
        let mut of_name =
            fields.iter().rev().filter(|field| field.split(':').next() == Some(name)).peekable();
        if of_name.peek().is_some() {
            names.push(name);
        }
        if let Some(field) = of_name.nth(earlier) {
            signed.push_str(field);
            signed.push_str("\r\n");
        }
    }
    (names, signed)
}

/// RFC 6376 3.4.2: name in small letters, line ends gone, runs of white space one space, none at the ends.
fn relaxed(field: &str) -> String {
    let (name, value) = field.split_once(':').unwrap_or((field, ""));
    let words: Vec<&str> = value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect();
    format!("{}:{}", name.trim_end().to_ascii_lowercase(), words.join(" "))
}

#[cfg(test)]
#[path = "dkim_tests.rs"]
mod tests;
