//! Passkeys: what WebAuthn Level 3 asks of a relying party that takes ES256 and no attestation (7.1, 7.2).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Longest credential id (WebAuthn 4, credential id).
pub(crate) const CREDENTIAL_BYTES_MAX: usize = 1023;
/// Bytes of a point on P-256, uncompressed (SEC 1 2.3.3).
pub(crate) const POINT_BYTES: usize = 65;
/// Longest client data, attestation and authenticator data: real ones have some hundred bytes.
const PART_BYTES_MAX: usize = 8 << 10;

// Flags of authenticator data (WebAuthn 6.1).
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const HAS_CREDENTIAL: u8 = 0x40;

/// Whom passkeys are bound to.
pub(crate) struct RelyingParty {
    /// Domain.
    pub(crate) id: String,
    /// What the browser must have been at.
    pub(crate) origin: String,
}

/// A new passkey.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// Credential id.
    pub(crate) credential: Vec<u8>,
    /// P-256 point, uncompressed.
    pub(crate) public_key: [u8; POINT_BYTES],
    /// Signatures so far.
    pub(crate) sign_count: u32,
}

/// What a passkey signed at a sign-in.
pub(crate) struct Assertion<'a> {
    /// JSON by the browser.
    pub(crate) client_data: &'a [u8],
    /// By the authenticator.
    pub(crate) authenticator_data: &'a [u8],
    /// ECDSA, DER.
    pub(crate) signature: &'a [u8],
}

/// It is no passkey of ours, or not by our rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

impl RelyingParty {
    /// The challenge that client data answers, of unknown worth until the rest was checked.
    ///
    /// # Errors
    /// [`Wrong`] for another ceremony or origin.
    pub(crate) fn challenge(&self, client_data: &[u8], is_new: bool) -> Result<Vec<u8>, Wrong> {
        if client_data.len() > PART_BYTES_MAX {
            return Err(Wrong);
        }
        let data: ClientData = serde_json::from_slice(client_data).map_err(|_| Wrong)?;
        let kind = if is_new { "webauthn.create" } else { "webauthn.get" };
        let ours = data.r#type == kind && data.origin == self.origin && !data.cross_origin;
        if ours { URL_SAFE_NO_PAD.decode(data.challenge).map_err(|_| Wrong) } else { Err(Wrong) }
    }

    /// Reads a new passkey out of its attestation object (7.1, steps 13 to 21). Its format may be `none` alone: without a list of
    /// makers to trust an attestation proves nothing.
    ///
    /// # Errors
    /// [`Wrong`].
    pub(crate) fn register(&self, attestation: &[u8]) -> Result<Registered, Wrong> {
        let data = attestation_object(attestation).ok_or(Wrong)?;
        let (flags, sign_count, rest) = self.authenticator_data(data)?;
        if flags & HAS_CREDENTIAL == 0 {
            return Err(Wrong);
        }
        let (credential, public_key) = attested_credential(rest).ok_or(Wrong)?;
        Ok(Registered { credential: credential.to_vec(), public_key, sign_count })
    }

    /// Checks a sign-in with this key (7.2, steps 15 to 22); gives the count of signatures.
    ///
    /// # Errors
    /// [`Wrong`], also where the count did not grow: another copy of the key is at work.
    pub(crate) fn verify(
        &self,
        assertion: &Assertion<'_>,
        public_key: &[u8],
        counted: u32,
    ) -> Result<u32, Wrong> {
        let (_, sign_count, _) = self.authenticator_data(assertion.authenticator_data)?;
        let signed = [assertion.authenticator_data, &Sha256::digest(assertion.client_data)].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
            .verify(&signed, assertion.signature)
            .map_err(|_| Wrong)?;
        let counts = sign_count != 0 || counted != 0;
        if counts && sign_count <= counted { Err(Wrong) } else { Ok(sign_count) }
    }

    /// Flags, count, and what follows them (6.1); presence and verification of the user are always asked for.
    fn authenticator_data<'a>(&self, data: &'a [u8]) -> Result<(u8, u32, &'a [u8]), Wrong> {
        if data.len() > PART_BYTES_MAX {
            return Err(Wrong);
        }
        let (hash, rest) = data.split_first_chunk::<32>().ok_or(Wrong)?;
        let (flags, rest) = rest.split_first().ok_or(Wrong)?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or(Wrong)?;
        let needed = USER_PRESENT | USER_VERIFIED;
        if hash[..] != Sha256::digest(&self.id)[..] || flags & needed != needed {
            return Err(Wrong);
        }
        Ok((*flags, u32::from_be_bytes(*count), rest))
    }
}

/// Credential id and key (6.5.1); extension data may follow.
fn attested_credential(bytes: &[u8]) -> Option<(&[u8], [u8; POINT_BYTES])> {
    let (_aaguid, rest) = bytes.split_first_chunk::<16>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (credential, rest) = rest.split_at_checked(length)?;
    let fits = (1..=CREDENTIAL_BYTES_MAX).contains(&length);
    // An ES256 key in CTAP2 canonical form has one spelling (6.5.1.1): kty 2, alg -7, crv 1, x, y.
    let rest = rest.strip_prefix(b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20")?;
    let (x, rest) = rest.split_first_chunk::<32>()?;
    let (y, _) = rest.strip_prefix(b"\x22\x58\x20")?.split_first_chunk::<32>()?;
    let mut point = [4; POINT_BYTES];
    point.get_mut(1..33)?.copy_from_slice(x);
    point.get_mut(33..)?.copy_from_slice(y);
    fits.then_some((credential, point))
}

/// Authenticator data of an attestation object of format `none` (6.5.4, 8.7): a CBOR map of three entries in any order.
fn attestation_object(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.len() > PART_BYTES_MAX {
        return None;
    }
    let (MAP, 3, mut rest) = head(bytes)? else { return None };
    let (mut is_none, mut is_empty, mut data) = (false, false, None);
    for _ in 0..3 {
        let (key, after) = string(rest, TEXT)?;
        rest = after;
        match key {
            b"fmt" => {
                let (value, after) = string(rest, TEXT)?;
                (is_none, rest) = (value == b"none", after);
            }
            b"attStmt" => {
                let (MAP, 0, after) = head(rest)? else { return None };
                (is_empty, rest) = (true, after);
            }
            b"authData" => {
                let (value, after) = string(rest, BYTES)?;
                (data, rest) = (Some(value), after);
            }
            _ => return None,
        }
    }
    data.filter(|_| is_none && is_empty && rest.is_empty())
}

// Major types of CBOR (RFC 8949 3.1).
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const MAP: u8 = 5;

fn string(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, length, rest) = head(bytes)?;
    if found == kind { rest.split_at_checked(length) } else { None }
}

/// Major type, argument below 65,536, and what follows.
fn head(bytes: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (kind, argument) = (first >> 5, first & 0x1F);
    match argument {
        0..=23 => Some((kind, usize::from(argument), rest)),
        24 => rest.split_first().map(|(value, rest)| (kind, usize::from(*value), rest)),
        25 => rest
            .split_first_chunk()
            .map(|(value, rest)| (kind, usize::from(u16::from_be_bytes(*value)), rest)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    fn us() -> RelyingParty {
        RelyingParty { id: "scan.example".into(), origin: "https://scan.example".into() }
    }

    fn client_data(kind: &str, origin: &str) -> Vec<u8> {
        format!(r#"{{"type":"{kind}","challenge":"AQID","origin":"{origin}","other":1}}"#).into_bytes()
    }

    fn authenticator_data(id: &str, flags: u8, count: u32) -> Vec<u8> {
        [&Sha256::digest(id)[..], &[flags], &count.to_be_bytes()].concat()
    }

    fn attestation(data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".as_slice(), &length, data].concat()
    }

    fn key() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
    }

    fn new_credential(key: &EcdsaKeyPair, flags: u8) -> Vec<u8> {
        let point = key.public_key().as_ref();
        let cose =
            [b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20", &point[1..33], b"\x22\x58\x20", &point[33..]];
        [authenticator_data("scan.example", flags, 7), vec![0; 16], vec![0, 3, 9, 9, 9], cose.concat()]
            .concat()
    }

    #[test]
    fn a_passkey_registers_and_signs_in_and_its_count_must_grow() {
        let (us, key) = (us(), key());
        let made = us.register(&attestation(&new_credential(&key, 0x45))).unwrap();
        assert_eq!((made.credential.as_slice(), made.sign_count), ([9, 9, 9].as_slice(), 7));
        assert_eq!(&made.public_key, key.public_key().as_ref());
        let client_data = client_data("webauthn.get", "https://scan.example");
        assert_eq!(us.challenge(&client_data, false), Ok(vec![1, 2, 3]));
        let data = authenticator_data("scan.example", 5, 8);
        let signed = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
        let assertion =
            Assertion { client_data: &client_data, authenticator_data: &data, signature: signature.as_ref() };
        assert_eq!(us.verify(&assertion, &made.public_key, 7), Ok(8));
        assert_eq!(us.verify(&assertion, &made.public_key, 8), Err(Wrong));
        let other = self::key();
        assert_eq!(us.verify(&assertion, other.public_key().as_ref(), 7), Err(Wrong));
        let mut changed = client_data.clone();
        changed.push(b' ');
        let assertion = Assertion { client_data: &changed, ..assertion };
        assert_eq!(us.verify(&assertion, &made.public_key, 7), Err(Wrong));
    }

    #[test]
    fn other_origins_ceremonies_domains_and_unverified_users_are_refused() {
        let us = us();
        for (kind, origin) in [
            ("webauthn.create", "https://scan.example"),
            ("webauthn.get", "https://scan.example.evil"),
            ("webauthn.get", "http://scan.example"),
        ] {
            assert_eq!(us.challenge(&client_data(kind, origin), false), Err(Wrong), "{kind} {origin}");
        }
        let crossed = br#"{"type":"webauthn.get","challenge":"AQID","origin":"https://scan.example","crossOrigin":true}"#;
        assert_eq!(us.challenge(crossed, false), Err(Wrong));
        for data in [
            authenticator_data("other.example", 5, 8),
            authenticator_data("scan.example", 1, 8),
            authenticator_data("scan.example", 4, 8),
        ] {
            assert!(us.authenticator_data(&data).is_err());
        }
    }

    #[test]
    fn an_attestation_that_is_cut_or_of_another_format_is_refused() {
        let (us, key) = (us(), key());
        let whole = attestation(&new_credential(&key, 0x45));
        for end in 0..whole.len() {
            assert_eq!(us.register(&whole[..end]), Err(Wrong), "cut at {end}");
        }
        let text = |old: &[u8], new: &[u8]| {
            let at = whole.windows(old.len()).position(|window| window == old).unwrap();
            [&whole[..at], new, &whole[at + old.len()..]].concat()
        };
        assert_eq!(us.register(&text(b"\x64none", b"\x66packed")), Err(Wrong));
        assert_eq!(us.register(&text(b"\x03\x26", b"\x03\x27")), Err(Wrong));
        assert_eq!(us.register(&attestation(&new_credential(&key, 0x05))), Err(Wrong), "no credential in it");
    }
}
