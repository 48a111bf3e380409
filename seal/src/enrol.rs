//! Enrolment by a one-time code: what travels between a new device and the site (SPEC 8).
//!
//! The code is the one secret that both ends share before anything else. All that is sent under it is authenticated by keys
//! derived from it, so whoever holds the mailbox can neither swap a key nor guess; what must be typed is 24 characters.

use crate::certificate::Certificate;
use crate::error::Refusal;
use crate::ids::{Digest, InvitationId};
use crate::limits::{DEVICE_BYTES_MAX, ENROLMENT_CERTIFICATE_BYTES_MAX};
use crate::mail::Site;
use crate::statement::{after_start, field, with_fields};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const REQUEST_START: [u8; 5] = *b"SCPQ\x01";
const CONFIRMATION_START: [u8; 5] = *b"SCPC\x01";
const RENEWAL_START: [u8; 5] = *b"SCPN\x01";
const REVOCATION_START: [u8; 5] = *b"SCPR\x01";
/// 104 bits: nobody can try them all, not even with the request at hand.
pub const SECRET_BYTES: usize = 13;
/// What finds a slip of the fingers, site name included: one of 65,536 passes.
const CHECK_BYTES: usize = 2;
const CODE_BYTES: usize = SECRET_BYTES + CHECK_BYTES;
/// Bytes of a fingerprint: 80 bits, so that nobody can search for another key with the same one.
const FINGERPRINT_BYTES: usize = 10;
/// Digits of a code and of a fingerprint stand in groups of this many.
const GROUP_CHARS: usize = 4;
/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Salt of HKDF for what comes from a code (SPEC 8.1).
pub const CODE_SALT: &[u8] = b"scanpost enrolment\x01";
/// What the device's signature under a request is for (SPEC 8.2).
pub const REQUEST_PURPOSE: &str = "scanpost enrolment request";
/// What the site's signature under a confirmation is for (SPEC 8.4).
pub const CONFIRMATION_PURPOSE: &str = "scanpost enrolment confirmation";
/// What the device's signature under a renewal is for (SPEC 8.5).
pub const RENEWAL_PURPOSE: &str = "scanpost certificate renewal";
/// What the signature of a revocation is for.
pub const REVOCATION_PURPOSE: &str = "scanpost device revocation";
/// What refusals call it.
pub const REQUEST: &str = "the enrolment request";
/// What refusals call it.
pub const CONFIRMATION: &str = "the confirmation of the enrolment";
/// What refusals call it.
pub const RENEWAL: &str = "the renewal of a certificate";
/// What refusals call it.
pub const REVOCATION: &str = "the revocation of a device";

/// A one-time code. It is shown once, by [`Code::text`], and never printed otherwise.
pub struct Code {
    secret: Zeroizing<[u8; SECRET_BYTES]>,
    site: Site,
}

impl Code {
    /// Of this secret, which must be random, for this site.
    pub fn new(secret: [u8; SECRET_BYTES], site: Site) -> Self {
        Self { secret: Zeroizing::new(secret), site }
    }

    /// Reads what somebody typed: groups, case and blanks do not matter, nor O for 0, I and L for 1. None if a digit is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, site) = text.trim().split_once('@')?;
        let site = Site::parse(site)?;
        let bytes: Zeroizing<[u8; CODE_BYTES]> = Zeroizing::new(decode(digits)?.try_into().ok()?);
        let (secret, check) = bytes.split_first_chunk::<SECRET_BYTES>()?;
        (check == check_of(secret, &site)).then(|| Self::new(*secret, site))
    }

    /// `XXXX-XXXX-XXXX-XXXX-XXXX-XXXX@SITE`.
    pub fn text(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([self.secret.as_slice(), &check_of(&self.secret, &self.site)].concat());
        Zeroizing::new(format!("{}@{}", grouped(&bytes), self.site))
    }

    /// The site that gave it out.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// What keys are derived from by HKDF-SHA-256 with [`CODE_SALT`].
    pub fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// Info of HKDF for the output that `usage` names: `invitation`, `request` or `confirmation` (SPEC 8.1).
    pub fn info(&self, usage: &str) -> Vec<u8> {
        [usage, self.site.as_str()].concat().into_bytes()
    }
}

/// What a new device asks for: signed by its identity, and authenticated under the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The invitation, from the code.
    pub invitation: InvitationId,
    /// Certificate that covers are to be sealed for, P-256.
    pub certificate: Certificate,
    /// Certificate that receipts will be signed under, P-256.
    pub identity: Certificate,
    /// Which device, in the doctor's words.
    pub device: String,
    /// When, seconds since 1970-01-01 UTC, by the device's clock.
    pub at: i64,
}

/// What the site answers once an administrator has compared the fingerprints: signed by the site, authenticated under the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The invitation, from the code.
    pub invitation: InvitationId,
    /// SHA-256 of the certificate that was taken.
    pub certificate: Digest,
    /// SHA-256 of the identity that was taken.
    pub identity: Digest,
    /// The site's signing certificate, to be pinned.
    pub site: Certificate,
    /// When, seconds since 1970-01-01 UTC.
    pub at: i64,
}

/// A new certificate of a device that is enrolled: signed by its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// SHA-256 of the identity, which stays.
    pub identity: Digest,
    /// Certificate that covers are to be sealed for from now on, P-256.
    pub certificate: Certificate,
    /// When, seconds since 1970-01-01 UTC, by the device's clock.
    pub at: i64,
}

/// The site seals nothing more for a device: signed by the site (SPEC 8.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// SHA-256 of the identity of the device.
    pub identity: Digest,
    /// When, seconds since 1970-01-01 UTC.
    pub at: i64,
}

impl Revocation {
    /// Its bytes (SPEC 8.6).
    pub fn to_bytes(&self) -> Vec<u8> {
        [&REVOCATION_START, self.at.to_be_bytes().as_slice(), &self.identity.0].concat()
    }

    /// Reads what [`Revocation::to_bytes`] writes.
    ///
    /// # Errors
    /// `UnknownFormat`, `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let rest = after_start(bytes, REVOCATION_START, REVOCATION)?;
        let (at, rest) = rest.split_first_chunk().ok_or(Refusal::Malformed(REVOCATION))?;
        let identity = rest.try_into().map_err(|_| Refusal::Malformed(REVOCATION))?;
        Ok(Self { identity: Digest(identity), at: i64::from_be_bytes(*at) })
    }

    /// Under which the message goes: the first half of the identity's SHA-256.
    pub fn id(&self) -> InvitationId {
        InvitationId(*self.identity.0.first_chunk().unwrap_or(&[0; 16]))
    }
}

impl Request {
    /// Its bytes (SPEC 8.2); none if a field does not fit.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let Self { invitation, certificate, identity, device, at } = self;
        let fits = device_fits(device) && is_small_p256(certificate) && is_small_p256(identity);
        let head = [&REQUEST_START, invitation.0.as_slice(), &at.to_be_bytes()].concat();
        fits.then(|| with_fields(head, &[certificate.der(), identity.der(), device.as_bytes()]))?
    }

    /// Reads what [`Request::to_bytes`] writes.
    ///
    /// # Errors
    /// `UnknownFormat`, `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let rest = after_start(bytes, REQUEST_START, REQUEST)?;
        Self::read(rest).ok_or(Refusal::Malformed(REQUEST))
    }

    fn read(rest: &[u8]) -> Option<Self> {
        let (invitation, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (certificate, rest) = field(rest)?;
        let (identity, rest) = field(rest)?;
        let (device, rest) = field(rest)?;
        let device = std::str::from_utf8(device).ok().filter(|device| device_fits(device))?;
        let certificate = Certificate::from_der(certificate).ok().filter(is_small_p256)?;
        let identity = Certificate::from_der(identity).ok().filter(is_small_p256)?;
        let (invitation, at) = (InvitationId(*invitation), i64::from_be_bytes(*at));
        rest.is_empty().then(|| Self { invitation, certificate, identity, device: device.to_owned(), at })
    }
}

impl Confirmation {
    /// Its bytes (SPEC 8.4); none if a field does not fit.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let Self { invitation, certificate, identity, site, at } = self;
        let head: [&[u8]; 5] =
            [&CONFIRMATION_START, &invitation.0, &at.to_be_bytes(), &certificate.0, &identity.0];
        site.point()?;
        with_fields(head.concat(), &[site.der()])
    }

    /// Reads what [`Confirmation::to_bytes`] writes.
    ///
    /// # Errors
    /// `UnknownFormat`, `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let rest = after_start(bytes, CONFIRMATION_START, CONFIRMATION)?;
        Self::read(rest).ok_or(Refusal::Malformed(CONFIRMATION))
    }

    /// Whether it takes exactly these keys, for this invitation.
    pub fn takes(&self, invitation: InvitationId, certificate: &Digest, identity: &Digest) -> bool {
        (self.invitation, &self.certificate, &self.identity) == (invitation, certificate, identity)
    }

    fn read(rest: &[u8]) -> Option<Self> {
        let (invitation, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (certificate, rest) = rest.split_first_chunk()?;
        let (identity, rest) = rest.split_first_chunk()?;
        let (site, rest) = field(rest)?;
        let site = Certificate::from_der(site).ok().filter(|site| site.point().is_some())?;
        let (certificate, identity) = (Digest(*certificate), Digest(*identity));
        let (invitation, at) = (InvitationId(*invitation), i64::from_be_bytes(*at));
        rest.is_empty().then_some(Self { invitation, certificate, identity, site, at })
    }
}

impl Renewal {
    /// Its bytes (SPEC 8.5); none if a field does not fit.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let head = [&RENEWAL_START, self.at.to_be_bytes().as_slice(), &self.identity.0].concat();
        is_small_p256(&self.certificate).then(|| with_fields(head, &[self.certificate.der()]))?
    }

    /// Reads what [`Renewal::to_bytes`] writes.
    ///
    /// # Errors
    /// `UnknownFormat`, `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let rest = after_start(bytes, RENEWAL_START, RENEWAL)?;
        Self::read(rest).ok_or(Refusal::Malformed(RENEWAL))
    }

    fn read(rest: &[u8]) -> Option<Self> {
        let (at, rest) = rest.split_first_chunk()?;
        let (identity, rest) = rest.split_first_chunk()?;
        let (certificate, rest) = field(rest)?;
        let certificate = Certificate::from_der(certificate).ok().filter(is_small_p256)?;
        let (identity, at) = (Digest(*identity), i64::from_be_bytes(*at));
        rest.is_empty().then_some(Self { identity, certificate, at })
    }

    /// Under which the message goes: the first half of the new certificate's SHA-256.
    pub fn id(&self) -> InvitationId {
        InvitationId(*self.certificate.digest().0.first_chunk().unwrap_or(&[0; 16]))
    }
}

/// What both ends show, to be compared by two people: no key was swapped if it is the same.
pub fn fingerprint(invitation: InvitationId, certificate: &Digest, identity: &Digest) -> String {
    let hash = Sha256::new().chain_update(b"scanpost fingerprint\x01").chain_update(invitation.0);
    let hash = hash.chain_update(certificate.0).chain_update(identity.0).finalize();
    grouped(hash.get(..FINGERPRINT_BYTES).unwrap_or_default())
}

/// Whether two fingerprints are the same, as people type them.
pub fn is_same_fingerprint(one: &str, other: &str) -> bool {
    decode(one).is_some_and(|bytes| bytes.len() == FINGERPRINT_BYTES && decode(other) == Some(bytes))
}

/// Whether this can be the name of a device.
pub fn device_fits(device: &str) -> bool {
    (1..=DEVICE_BYTES_MAX).contains(&device.len()) && !device.contains(char::is_control)
}

fn is_small_p256(certificate: &Certificate) -> bool {
    certificate.point().is_some() && certificate.der().len() <= ENROLMENT_CERTIFICATE_BYTES_MAX
}

fn check_of(secret: &[u8; SECRET_BYTES], site: &Site) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new().chain_update(b"scanpost code\x01").chain_update(secret);
    let hash: [u8; 32] = hash.chain_update(site.as_str()).finalize().into();
    let [first, second, ..] = hash;
    [first, second]
}

/// Five bits a digit, the first bits first; `bytes` is a multiple of 5 long.
fn grouped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for (at, digit) in digits(bytes).enumerate() {
        if at > 0 && at.is_multiple_of(GROUP_CHARS) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

fn digits(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    bytes.chunks(5).flat_map(|chunk| {
        let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).rev().map(move |at| {
            let value = usize::try_from(bits >> (5 * at) & 0x1F).unwrap_or_default();
            ALPHABET.get(value).copied().map_or('0', char::from)
        })
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let values: Vec<u64> =
        text.chars().filter(|sign| !matches!(sign, '-' | ' ')).map(value).collect::<Option<_>>()?;
    if values.is_empty() || !values.len().is_multiple_of(8) {
        return None;
    }
    let chunk = |chunk: &[u64]| {
        let bits = chunk.iter().fold(0_u64, |bits, value| bits << 5 | value);
        let [_, _, _, bytes @ ..] = bits.to_be_bytes();
        bytes
    };
    Some(values.chunks(8).flat_map(chunk).collect())
}

fn value(sign: char) -> Option<u64> {
    let sign = match sign.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        sign => sign,
    };
    let at = ALPHABET.iter().position(|digit| char::from(*digit) == sign)?;
    u64::try_from(at).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn site() -> Site {
        Site::parse("hospital.example").unwrap()
    }

    #[test]
    fn a_code_is_read_as_written_and_as_people_type_it() {
        let code = Code::new([0; SECRET_BYTES], site());
        let text = code.text();
        assert!(
            text.starts_with("0000-0000-0000-0000-0000-") && text.ends_with("@hospital.example"),
            "{}",
            *text
        );
        let typed = format!(" {} ", text.to_lowercase().replace('-', " ").replacen("0000", "oO0o", 1));
        assert_eq!(*Code::parse(&typed).unwrap().secret, [0; SECRET_BYTES]);
        let ones = Code::new([0xFF; SECRET_BYTES], site());
        assert!(ones.text().starts_with("ZZZZ-ZZZZ"), "{}", *ones.text());
    }

    /// 104 bits: 24 digits of which 20.8 are secret.
    #[test]
    fn every_bit_of_the_secret_is_in_the_code() {
        let mut seen = std::collections::HashSet::new();
        for bit in 0..SECRET_BYTES * 8 {
            let mut secret = [0; SECRET_BYTES];
            secret[bit / 8] = 1 << (bit % 8);
            let text = Code::new(secret, site()).text();
            assert_eq!(*Code::parse(&text).unwrap().secret, secret);
            assert!(seen.insert(text.to_string()));
        }
        assert!(seen.len() >= 80);
    }

    #[test]
    fn slips_are_found() {
        let text = Code::new(*b"thirteenbytes", site()).text().to_string();
        let (digits, _) = text.split_once('@').unwrap();
        let mut passed = 0;
        for at in 0..digits.len() {
            for digit in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars().filter(|_| &digits[at..=at] != "-") {
                let slip = format!("{}{digit}{}", &text[..at], &text[at + 1..]);
                passed += usize::from(slip != text && Code::parse(&slip).is_some());
            }
        }
        assert_eq!(passed, 0, "of 744 single slips");
        assert!(Code::parse(&text.replace("hospital", "hospitel")).is_none());
        assert!(Code::parse(digits).is_none() && Code::parse("").is_none() && Code::parse("@x").is_none());
        assert!(Code::parse(&format!("{digits}00000000@hospital.example")).is_none());
    }

    #[test]
    fn fingerprints_depend_on_all_they_stand_for() {
        let of = |invitation, certificate, identity| {
            fingerprint(InvitationId([invitation; 16]), &Digest([certificate; 32]), &Digest([identity; 32]))
        };
        let one = of(1, 2, 3);
        assert_eq!(one.len(), 19);
        assert!([of(2, 2, 3), of(1, 3, 3), of(1, 2, 2), of(1, 3, 2)].iter().all(|other| *other != one));
        assert!(is_same_fingerprint(&one, &one.to_lowercase().replace('-', "")));
        assert!(!is_same_fingerprint(&one, &of(2, 2, 3)) && !is_same_fingerprint("", ""));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Code::parse(&text);
            prop_assert!(Request::parse(&bytes).is_err() && Confirmation::parse(&bytes).is_err() && Renewal::parse(&bytes).is_err());
        }
    }
}
