//! Enrolment against somebody who holds the mailbox: reads, rewrites, repeats and invents messages, and does not have the code.

use crate::delivery::{NOW, Party};
use aws_lc_rs::hmac;
use seal::enrol::{Code, fingerprint};
use seal::ids::Digest;
use seal::limits::ENROLMENT_BYTES_MAX;
use seal::mail::Site;
use seal::native::{
    CodeKeys, DoctorKey, Enrolled, Refusal, new_code, open_confirmation, open_renewal, open_request,
    sign_confirmation, sign_renewal, sign_request,
};

/// A device before it is enrolled.
struct Device {
    key: DoctorKey,
    identity: Party,
    encryption: Party,
}

impl Device {
    fn new() -> Self {
        Self::with(Party::new("identity"), Party::new("encryption"))
    }

    fn with(identity: Party, encryption: Party) -> Self {
        let key = encryption.doctor().with_identity(&identity.key, &identity.certificate).unwrap();
        Self { key, identity, encryption }
    }

    fn request(&self, keys: &CodeKeys) -> Vec<u8> {
        sign_request(&self.key, "phone", keys, NOW).unwrap()
    }
}

fn code() -> Code {
    new_code(Site::parse("hospital.example").unwrap()).unwrap()
}

fn keys() -> CodeKeys {
    CodeKeys::of(&code()).unwrap()
}

fn opened(device: &Device, keys: &CodeKeys) -> Enrolled {
    open_request(&device.request(keys), keys).unwrap()
}

/// With another MAC: what somebody makes who has the code and changes the rest.
fn authenticated(rest: &[u8], keys: &CodeKeys) -> Vec<u8> {
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys.request), rest);
    [mac.as_ref(), rest].concat()
}

#[test]
fn both_ends_get_each_others_keys() {
    let (device, site, code) = (Device::new(), Party::new("site"), code());
    let typed = Code::parse(&code.text().to_lowercase()).unwrap();
    let (at_site, at_device) = (CodeKeys::of(&code).unwrap(), CodeKeys::of(&typed).unwrap());
    let enrolled = open_request(&device.request(&at_device), &at_site).unwrap();
    assert_eq!(enrolled.recipient.certificate(), &device.encryption.certificate());
    assert_eq!(enrolled.recipient.identity(), &device.identity.certificate());
    assert_eq!(enrolled.device, "phone");
    let answer = sign_confirmation(&enrolled.recipient, &site.site(), &at_site, NOW).unwrap();
    let pinned = open_confirmation(answer.bytes(), &device.key, &at_device).unwrap();
    assert_eq!(pinned, site.certificate());
}

#[test]
fn keys_of_a_code_are_its_own_and_do_not_hold_it() {
    let code = code();
    let keys = CodeKeys::of(&code).unwrap();
    let kept = [keys.invitation.0.as_slice(), &keys.request, &keys.confirmation];
    let text = code.text();
    let digits = text.split('@').next().unwrap();
    let elsewhere = CodeKeys::of(&Code::parse(&text).unwrap()).unwrap();
    assert_eq!((elsewhere.invitation, elsewhere.request), (keys.invitation, keys.request));
    assert!(
        kept.iter()
            .enumerate()
            .all(|(at, one)| kept.iter().skip(at + 1).all(|other| !other.starts_with(one)))
    );
    assert!(!digits.is_empty() && !String::from_utf8_lossy(&kept.concat()).contains(digits));
    let mut seen = std::collections::HashSet::new();
    assert!((0..50).all(|_| seen.insert(self::keys().request)), "codes are random");
}

/// Known answer: whoever writes another reader finds the same keys (SPEC 8.1).
#[test]
fn keys_of_a_known_code() {
    let code = Code::new(*b"thirteenbytes", Site::parse("hospital.example").unwrap());
    assert_eq!(*code.text(), "EHM6-JWKM-CNJP-WRKS-EHJQ-78R0@hospital.example");
    let keys = CodeKeys::of(&code).unwrap();
    assert_eq!(keys.invitation.to_string(), "a13921dddcfcbbc90f29a5f794f30a3e");
    let hex = |key: [u8; 32]| Digest(key).to_string();
    assert_eq!(hex(keys.request), "999b5e633108cb414e90618e5e17f555c805c0f2556fabf1b9a042bf8c996abc");
    assert_eq!(hex(keys.confirmation), "ec1f1b5292e5bbf649c0e44eaaec0728ff4d456b7eafd676be1513ec598e9519");
}

/// The mailbox operator puts own keys into the request, in every way that needs no code.
#[test]
fn a_key_of_the_doctor_that_is_swapped_is_caught() {
    let (device, mallory, keys) = (Device::new(), Device::new(), keys());
    let (genuine, guessed) = (device.request(&keys), self::keys());
    // Own request under a guessed code, for the invitation that is seen in the Message-ID.
    let mut invented = guessed.clone();
    invented.invitation = keys.invitation;
    assert_eq!(open_request(&mallory.request(&invented), &keys), Err(Refusal::NotEnrolled));
    // The genuine MAC before another statement, and the other way round.
    let forged = [&genuine[..32], &mallory.request(&invented)[32..]].concat();
    assert_eq!(open_request(&forged, &keys), Err(Refusal::NotEnrolled));
    let forged = [&mallory.request(&invented)[..32], &genuine[32..]].concat();
    assert_eq!(open_request(&forged, &keys), Err(Refusal::NotEnrolled));
    // Without any MAC key: zeros.
    let mut zero = keys.clone();
    zero.request = [0; 32];
    assert_eq!(open_request(&mallory.request(&zero), &keys), Err(Refusal::NotEnrolled));
}

/// The other direction: the device must not come to trust another site.
#[test]
fn a_key_of_the_site_that_is_swapped_is_caught() {
    let (device, site, mallory, keys) = (Device::new(), Party::new("site"), Party::new("site"), keys());
    let recipient = opened(&device, &keys).recipient;
    let mut guessed = self::keys();
    guessed.invitation = keys.invitation;
    let forged = sign_confirmation(&recipient, &mallory.site(), &guessed, NOW).unwrap();
    assert_eq!(open_confirmation(forged.bytes(), &device.key, &keys), Err(Refusal::NotEnrolled));
    let genuine = sign_confirmation(&recipient, &site.site(), &keys, NOW).unwrap();
    let spliced = [&genuine.bytes()[..32], &forged.bytes()[32..]].concat();
    assert_eq!(open_confirmation(&spliced, &device.key, &keys), Err(Refusal::NotEnrolled));
    // The request sent back as if it were the answer, and the answer as a request: other keys.
    assert_eq!(open_confirmation(&device.request(&keys), &device.key, &keys), Err(Refusal::NotEnrolled));
    assert_eq!(open_request(genuine.bytes(), &keys), Err(Refusal::NotEnrolled));
}

#[test]
fn every_flipped_bit_and_every_cut_of_all_messages_is_refused() {
    let (device, site, keys) = (Device::new(), Party::new("site"), keys());
    let identity = device.identity.certificate();
    let recipient = opened(&device, &keys).recipient;
    let answered = sign_confirmation(&recipient, &site.site(), &keys, NOW).unwrap();
    let asked = device.request(&keys);
    let renewed = sign_renewal(&device.key, NOW).unwrap().1;
    let is_refused = |what: usize, bytes: &[u8]| match what {
        0 => open_request(bytes, &keys).is_err(),
        1 => open_confirmation(bytes, &device.key, &keys).is_err(),
        _ => open_renewal(bytes, &[&identity]).is_err(),
    };
    for (what, genuine) in [asked.as_slice(), answered.bytes(), &renewed].into_iter().enumerate() {
        assert!(!is_refused(what, genuine));
        for bit in 0..genuine.len() * 8 {
            let mut changed = genuine.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(is_refused(what, &changed), "bit {bit} of message {what}");
        }
        assert!((0..genuine.len()).all(|length| is_refused(what, &genuine[..length])));
        assert!(is_refused(what, &[genuine, &[0]].concat()) && is_refused(what, &vec![0; 1 << 20]));
    }
}

#[test]
fn messages_of_another_invitation_or_device_are_refused() {
    let (device, other, site) = (Device::new(), Device::new(), Party::new("site"));
    let (first, second) = (keys(), keys());
    assert_eq!(open_request(&device.request(&first), &second), Err(Refusal::NotEnrolled), "a replay");
    let recipient = opened(&device, &first).recipient;
    let answer = sign_confirmation(&recipient, &site.site(), &first, NOW).unwrap();
    assert_eq!(open_confirmation(answer.bytes(), &device.key, &second), Err(Refusal::NotEnrolled));
    // Somebody else who was handed the same code does not take this for an answer to their own keys.
    assert_eq!(open_confirmation(answer.bytes(), &other.key, &first), Err(Refusal::NotEnrolled));
}

/// Whoever has the code can ask with own keys: the fingerprints that two people compare tell them apart.
#[test]
fn a_thief_of_the_code_has_another_fingerprint() {
    let (device, thief, keys) = (Device::new(), Device::new(), keys());
    let print = |device: &Device| {
        let recipient = opened(device, &keys).recipient;
        fingerprint(keys.invitation, &recipient.certificate().digest(), &recipient.identity().digest())
    };
    assert_ne!(print(&device), print(&thief));
}

/// Even with the code, nobody can name an identity whose key they do not hold.
#[test]
fn a_foreign_identity_is_not_taken() {
    let (device, victim, keys) = (Device::new(), Device::new(), keys());
    let (own, foreign) = (device.identity.certificate(), victim.identity.certificate());
    if own.der().len() != foreign.der().len() {
        // Signatures in DER differ by a byte or two; the next pair fits.
        return a_foreign_identity_is_not_taken();
    }
    let asked = device.request(&keys);
    let at = asked.windows(own.der().len()).position(|window| window == own.der()).unwrap();
    let mut rest = asked;
    rest[at..at + foreign.der().len()].copy_from_slice(foreign.der());
    assert_eq!(
        open_request(&authenticated(&rest[32..], &keys), &keys),
        Err(Refusal::Damaged("the enrolment request"))
    );
}

#[test]
fn only_a_pinned_identity_renews() {
    let (device, other) = (Device::new(), Device::new());
    let (identity, foreign) = (device.identity.certificate(), other.identity.certificate());
    let renewed = Device::with(Party { ..device.identity }, Party::new("new"));
    let (id, bytes) = sign_renewal(&renewed.key, NOW).unwrap();
    let renewal = open_renewal(&bytes, &[&foreign, &identity]).unwrap();
    assert_eq!((renewal.certificate.clone(), renewal.at), (renewed.encryption.certificate(), NOW));
    assert_eq!((renewal.id(), &id.0[..]), (id, &renewal.certificate.digest().0[..16]));
    assert_eq!(open_renewal(&bytes, &[&foreign]), Err(Refusal::UnknownRecipient));
    // The victim's digest over the attacker's signature.
    let mut forged = sign_renewal(&other.key, NOW).unwrap().1;
    let at = forged.windows(32).position(|window| window == foreign.digest().0).unwrap();
    forged[at..at + 32].copy_from_slice(&identity.digest().0);
    assert_eq!(
        open_renewal(&forged, &[&identity, &foreign]),
        Err(Refusal::Damaged("the renewal of a certificate"))
    );
}

#[test]
fn rsa_and_large_certificates_do_not_enrol() {
    let (rsa, identity, keys) = (Party::rsa("rsa"), Party::new("identity"), keys());
    let device = rsa.doctor().with_identity(&identity.key, &identity.certificate).unwrap();
    assert!(sign_request(&device, "phone", &keys, NOW).is_err() && sign_renewal(&device, NOW).is_err());
    let long = Party::new(&"x".repeat(200));
    assert!(sign_request(&long.doctor(), "phone", &keys, NOW).is_err());
    let fits = identity.doctor();
    assert!(
        sign_request(&fits, "", &keys, NOW).is_err() && sign_request(&fits, "a\u{1b}b", &keys, NOW).is_err()
    );
    let longest = sign_request(&Device::new().key, &"電".repeat(21), &keys, NOW).unwrap();
    assert!(longest.len() <= ENROLMENT_BYTES_MAX, "{} bytes", longest.len());
}
