//! Who is sealed for, whose receipts count, what becomes of a code and of a new certificate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::journal::tests_postgres::database;
use crate::journal::{Invitation, TRIES_MAX, Taken};
use crate::pulled::{Enrolment, EnrolmentKind};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use seal::enrol::Code;
use seal::ids::Digest;
use seal::mail::Site;
use seal::native::{Certificate, CodeKeys, DoctorKey, Enrolled, new_code, sign_renewal, sign_request};
use std::fs;
use tempfile::TempDir;

/// 2026-11-22 18:51:05 UTC.
const NOW: i64 = 1_795_373_465;
const DAY: i64 = 86_400;
const ROOT: Actor<'static> = Actor { by: "root", at_ms: 500 };

fn params(from: i32, to: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params
}

/// A certificate valid from the first day of one year to that of another.
fn recipient(from: i32, to: i32) -> Recipient {
    let certificate = params(from, to).self_signed(&KeyPair::generate().unwrap()).unwrap();
    Recipient::new(Certificate::from_der(certificate.der()).unwrap(), None).unwrap()
}

/// Without a name, so that it fits into a request.
fn small(from: i32) -> CertificateParams {
    let mut params = params(from, 2100);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

fn device(doctor: &str, recipient: Recipient, standing: Standing) -> Device {
    let device = Device::new(doctor, "phone", recipient, Origin::Administrator, ROOT);
    Device { standing, ..device }
}

async fn journal() -> (TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(database(&folder.path().join("journal.sqlite"))).await.unwrap();
    (folder, journal)
}

#[test]
fn only_active_and_valid_certificates_are_sealed_for() {
    let (phone, desk) = (recipient(2020, 2100), recipient(2020, 2100));
    let devices = [
        device("tanaka", phone.clone(), Standing::Active),
        device("tanaka", desk.clone(), Standing::Active),
        device("tanaka", recipient(2020, 2100), Standing::Superseded),
        device("tanaka", recipient(2020, 2100), Standing::Revoked),
        device("tanaka", recipient(2020, 2021), Standing::Active),
        device("suzuki", recipient(2020, 2100), Standing::Revoked),
        device("sato", recipient(2020, 2021), Standing::Active),
        device("ito", recipient(2099, 2100), Standing::Active),
    ];
    let sealed_for = |doctor| sealed_for(&devices, doctor, Kind::Reader, None, NOW);
    assert_eq!(sealed_for("tanaka"), Ok(vec![phone, desk]));
    assert_eq!(sealed_for("suzuki"), Err(NoKey::Revoked));
    assert_eq!(sealed_for("sato"), Err(NoKey::Expired));
    assert_eq!(sealed_for("ito"), Err(NoKey::NotYet));
    assert_eq!(sealed_for("kato"), Err(NoKey::None));
    assert_eq!(receipts_of(&devices, "tanaka").count(), 4, "all but the revoked one");
    assert_eq!(receipts_of(&devices, "suzuki").count(), 0);
}

#[tokio::test]
async fn a_mail_program_has_any_key_but_that_of_a_device_that_enrolled_itself() {
    let (_folder, journal) = journal().await;
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_3072).unwrap();
    let rsa = params(2020, 2100).self_signed(&key).unwrap();
    let rsa = Recipient::of_mail_program(Certificate::from_der(rsa.der()).unwrap());
    let phone =
        Device { origin: Origin::Enrolment, ..device("tanaka", recipient(2020, 2100), Standing::Active) };
    for device in [&device("tanaka", rsa.clone(), Standing::Active), &phone] {
        assert!(journal.add_device(device, Act::Added).await.unwrap());
    }
    let devices = journal.devices().await.unwrap();
    assert_eq!(devices.len(), 2);
    let sealed_for = |kind| sealed_for(&devices, "tanaka", kind, None, NOW);
    assert_eq!(sealed_for(Kind::Smime), Ok(vec![rsa]));
    assert_eq!(sealed_for(Kind::Reader), Ok(vec![phone.recipient.clone()]));
    let counted: Vec<_> = receipts_of(&devices, "tanaka").map(|device| &device.recipient).collect();
    assert_eq!(counted, [&phone.recipient]);
}

/// An authority, what it issued, and its revocation list.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut ca = params(2020, 2100);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn issued(&self, serial: u64, origin: Origin) -> Device {
        let mut leaf = params(2020, 2100);
        leaf.serial_number = Some(SerialNumber::from(serial));
        let certificate = leaf.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let recipient = Recipient::new(Certificate::from_der(certificate.der()).unwrap(), None).unwrap();
        Device { origin, ..device("tanaka", recipient, Standing::Active) }
    }

    fn revoke(&self, serial: u64) -> Directory {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        fs::write(self.folder.path().join("crl.pem"), list.pem().unwrap()).unwrap();
        Directory { crl: Some(self.folder.path().join("crl.pem")), ..self.directory() }
    }

    fn directory(&self) -> Directory {
        Directory { ca: Some(self.folder.path().join("ca.pem")), ..Directory::default() }
    }
}

#[test]
fn where_an_authority_is_named_only_what_it_issued_and_did_not_revoke_is_sealed_for() {
    let (ours, other) = (Authority::new(), Authority::new());
    let good = ours.issued(7, Origin::Administrator);
    let foreign =
        [other.issued(7, Origin::Administrator), device("tanaka", recipient(2020, 2100), Standing::Active)];
    let authorities = Authorities::read(&ours.directory()).unwrap();
    let several = |devices: &[Device], authorities: &Option<Authorities>| {
        sealed_for(devices, "tanaka", Kind::Reader, authorities.as_ref(), NOW)
            .map(|recipients| recipients.len())
    };
    let of = |device: &Device, authorities: &Option<Authorities>| {
        several(std::slice::from_ref(device), authorities)
    };
    assert_eq!(of(&good, &authorities), Ok(1));
    for device in foreign {
        assert_eq!(of(&device, &authorities), Err(NoKey::Unvouched));
        assert_eq!(several(&[device.clone(), good.clone()], &authorities), Ok(1));
        assert_eq!(of(&device, &None), Ok(1), "without [directory] ca");
        let enrolled = Device { origin: Origin::Enrolment, ..device };
        assert_eq!(of(&enrolled, &authorities), Ok(1), "vouched for by who compared its fingerprint");
    }
    let revoking = Authorities::read(&ours.revoke(7)).unwrap();
    assert_eq!(of(&good, &revoking), Err(NoKey::Unvouched));
    assert_eq!(of(&ours.issued(8, Origin::Configuration), &revoking), Ok(1));
    let unreadable = Directory { ca: Some(ours.folder.path().join("crl.pem")), ..Directory::default() };
    assert!(
        Authorities::read(&unreadable).is_err()
            && Authorities::read(&Directory::default()).unwrap().is_none()
    );
}

#[test]
fn the_end_of_a_certificate_is_told_early() {
    let device = device("tanaka", recipient(2020, 2027), Standing::Active);
    let end = device.recipient.certificate().not_after();
    let told = [31, 29, 7, 6, 0].map(|days| expiry(&device, end - days * DAY - 1));
    assert_eq!(told, [Expiry::Far, Expiry::Soon(29), Expiry::Soon(7), Expiry::Urgent(6), Expiry::Urgent(0)]);
    // The second of now is not counted as left.
    assert_eq!(
        [30, 7, 0].map(|days| expiry(&device, end - days * DAY)),
        [Expiry::Soon(29), Expiry::Urgent(6), Expiry::Urgent(0)]
    );
    assert_eq!(expiry(&device, end + 1), Expiry::Expired);
}

#[tokio::test]
async fn a_configured_certificate_comes_in_once_and_replaces_the_one_before() {
    let (_folder, journal) = journal().await;
    let (old, new) = (recipient(2020, 2100), recipient(2020, 2100));
    for _ in 0..2 {
        take("tanaka", old.clone(), &journal).await.unwrap();
    }
    take("tanaka", new.clone(), &journal).await.unwrap();
    let devices = journal.devices().await.unwrap();
    let standing = |recipient: &Recipient| {
        devices.iter().find(|device| device.recipient == *recipient).map(|device| device.standing)
    };
    assert_eq!(
        (devices.len(), standing(&old), standing(&new)),
        (2, Some(Standing::Superseded), Some(Standing::Active))
    );
    assert!(matches!(take("suzuki", new, &journal).await, Err(DirectoryError::Taken { .. })));
}

#[tokio::test]
async fn what_is_revoked_stays_so_whatever_the_configuration_says() {
    let (_folder, journal) = journal().await;
    let theirs = recipient(2020, 2100);
    take("tanaka", theirs.clone(), &journal).await.unwrap();
    let known = journal.devices().await.unwrap().remove(0);
    assert!(journal.end_device(&known, Standing::Revoked, ROOT).await.unwrap());
    assert!(!journal.end_device(&known, Standing::Superseded, ROOT).await.unwrap());
    take("tanaka", theirs.clone(), &journal).await.unwrap();
    let again = device("tanaka", theirs, Standing::Active);
    assert!(!journal.add_device(&again, Act::Added).await.unwrap());
    let devices = journal.devices().await.unwrap();
    assert_eq!((devices[0].standing, &devices[0].ended), (Standing::Revoked, &Some((500, "root".into()))));
    assert_eq!(sealed_for(&devices, "tanaka", Kind::Reader, None, NOW), Err(NoKey::Revoked));
    let acts: Vec<_> = journal.acts().await.unwrap().into_iter().map(|act| (act.act, act.by)).collect();
    assert_eq!(acts, [(Act::Added, "configuration".into()), (Act::Revoked, "root".into())]);
}

/// Keys of a device, and how it asks.
struct Asking {
    doctor: DoctorKey,
    /// Key and certificate, PEM.
    identity: (String, String),
}

impl Asking {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = small(2020).self_signed(&key).unwrap();
        Self::under((key.serialize_pem(), certificate.pem()), 2020)
    }

    /// With a certificate that is valid from that year on.
    fn under(identity: (String, String), from: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = small(from).self_signed(&key).unwrap();
        let doctor = DoctorKey::from_pem(&key.serialize_pem(), &certificate.pem()).unwrap();
        Self { doctor: doctor.with_identity(&identity.0, &identity.1).unwrap(), identity }
    }

    fn renewed(&self, from: i32) -> Self {
        Self::under(self.identity.clone(), from)
    }

    fn renewal(&self) -> Enrolment {
        let (id, message) = sign_renewal(&self.doctor, NOW).unwrap();
        Enrolment { kind: EnrolmentKind::Renewal, id, message }
    }

    fn digest(&self) -> Digest {
        self.doctor.certificate().digest()
    }

    fn recipient(&self) -> Recipient {
        Recipient::new(self.doctor.certificate().clone(), self.doctor.identity().cloned()).unwrap()
    }

    fn message(&self, keys: &CodeKeys) -> Enrolment {
        let message = sign_request(&self.doctor, "phone", keys, NOW).unwrap();
        Enrolment { kind: EnrolmentKind::Request, id: keys.invitation, message }
    }
}

async fn invited(journal: &Journal) -> CodeKeys {
    let code: Code = new_code(Site::parse("hospital.example").unwrap()).unwrap();
    let keys = CodeKeys::of(&code).unwrap();
    journal.invite("tanaka", &keys, i64::MAX, ROOT).await.unwrap();
    keys
}

async fn open(journal: &Journal) -> Vec<Invitation> {
    journal.invitations(500).await.unwrap()
}

async fn requested(journal: &Journal) -> Vec<Enrolled> {
    open(journal).await.into_iter().filter_map(|invitation| invitation.requested).collect()
}

#[tokio::test]
async fn a_code_is_good_for_one_request_that_was_made_with_it() {
    let (_folder, journal) = journal().await;
    let (keys, asking, thief) = (invited(&journal).await, Asking::new(), Asking::new());
    let genuine = asking.message(&keys);
    for _ in 0..3 {
        enrolment::take(&journal, &genuine).await.unwrap();
    }
    assert_eq!(
        requested(&journal).await,
        [Enrolled { recipient: asking.recipient(), device: "phone".into() }]
    );
    enrolment::take(&journal, &thief.message(&keys)).await.unwrap();
    assert!(open(&journal).await.is_empty(), "two devices have the code");
    enrolment::take(&journal, &genuine).await.unwrap();
    assert!(open(&journal).await.is_empty());
    let acts: Vec<_> = journal.acts().await.unwrap().into_iter().map(|act| act.act).collect();
    assert_eq!(acts, [Act::Invited, Act::Requested, Act::CodeDead]);
}

/// Each way of swapping the doctor's key that needs no code; a message counts once, five of them end the code.
#[tokio::test]
async fn swapped_keys_are_never_taken_and_a_few_wrong_messages_end_an_invitation() {
    let (_folder, journal) = journal().await;
    let (keys, guessed) = (invited(&journal).await, invited(&journal).await);
    let (asking, mallory) = (Asking::new(), Asking::new());
    let (genuine, own) = (asking.message(&keys), mallory.message(&guessed));
    let spliced = [&genuine.message[..32], &own.message[32..]].concat();
    let mut changed = genuine.message.clone();
    changed[300] ^= 1;
    let wrong = [own.message.clone(), spliced, changed, Vec::new(), vec![0; 984]];
    assert_eq!(wrong.len() as i64, TRIES_MAX);
    for (number, message) in wrong.into_iter().enumerate() {
        assert_eq!(open(&journal).await.len(), 2, "before wrong message {number}");
        for _ in 0..2 {
            let forged = Enrolment { message: message.clone(), ..genuine.clone() };
            enrolment::take(&journal, &forged).await.unwrap();
        }
        assert!(requested(&journal).await.is_empty(), "wrong message {number}");
    }
    assert_eq!(open(&journal).await.len(), 1, "the other code is as good as before");
    enrolment::take(&journal, &genuine).await.unwrap();
    assert!(requested(&journal).await.is_empty(), "the code is dead for the genuine request too");
}

#[tokio::test]
async fn a_used_or_expired_code_takes_nothing() {
    let (_folder, journal) = journal().await;
    let (used, asking) = (invited(&journal).await, Asking::new());
    let late = {
        let keys = CodeKeys::of(&new_code(Site::parse("hospital.example").unwrap()).unwrap()).unwrap();
        journal.invite("tanaka", &keys, 1000, ROOT).await.unwrap();
        keys
    };
    enrolment::take(&journal, &asking.message(&late)).await.unwrap();
    let invitation =
        open(&journal).await.into_iter().find(|open| open.keys.invitation == late.invitation).unwrap();
    let enrolled = Enrolled { recipient: asking.recipient(), device: "phone".into() };
    let after = Actor { by: "mailbox", at_ms: 1000 };
    let taken = journal.requested(&invitation, Digest([1; 32]), &enrolled, after).await.unwrap();
    assert_eq!((taken, invitation.requested), (Taken::Nothing, None));
    enrolment::take(&journal, &asking.message(&used)).await.unwrap();
    let device = Device::new("tanaka", "phone", asking.recipient(), Origin::Enrolment, ROOT);
    assert!(journal.enrolled(used.invitation, &device).await.unwrap());
    assert!(open(&journal).await.iter().any(|invitation| invitation.confirmed), "the answer is owed");
    enrolment::take(&journal, &Asking::new().message(&used)).await.unwrap();
    assert!(
        open(&journal).await.iter().any(|invitation| invitation.confirmed),
        "nothing else comes in by it"
    );
    journal.invitation_answered(used.invitation).await.unwrap();
    assert!(open(&journal).await.iter().all(|invitation| invitation.keys.invitation == late.invitation));
}

async fn active(journal: &Journal) -> Vec<Digest> {
    let devices = journal.devices().await.unwrap();
    devices.iter().filter(|device| device.standing == Standing::Active).map(Device::digest).collect()
}

#[tokio::test]
async fn a_pinned_identity_renews_forwards_only_and_never_once_it_is_revoked() {
    let (_folder, journal) = journal().await;
    let first = Asking::new();
    let enrolled = Device::new("tanaka", "phone", first.recipient(), Origin::Enrolment, ROOT);
    journal.add_device(&enrolled, Act::Enrolled).await.unwrap();
    let (second, third, fourth) = (first.renewed(2022), first.renewed(2024), first.renewed(2026));
    let mut changed = second.renewal();
    changed.message[100] ^= 1;
    for foreign in [Asking::new().renewed(2025).renewal(), changed] {
        enrolment::take(&journal, &foreign).await.unwrap();
        assert_eq!(active(&journal).await, [first.digest()]);
    }
    enrolment::take(&journal, &third.renewal()).await.unwrap();
    assert_eq!(active(&journal).await, [third.digest()]);
    // Held back until now, and replayed.
    for old in [&second, &first, &third] {
        enrolment::take(&journal, &old.renewal()).await.unwrap();
        assert_eq!(active(&journal).await, [third.digest()]);
    }
    let devices = journal.devices().await.unwrap();
    assert_eq!(
        receipts_of(&devices, "tanaka").count(),
        2,
        "mail of open cases is still answered with the old key"
    );
    assert_eq!(journal.doctor_of(first.digest()).await.unwrap().as_deref(), Some("tanaka"));
    for device in &devices {
        journal.end_device(device, Standing::Revoked, ROOT).await.unwrap();
    }
    assert_eq!(
        journal.doctor_of(first.digest()).await.unwrap(),
        None,
        "a lost phone's receipts count no more"
    );
    enrolment::take(&journal, &fourth.renewal()).await.unwrap();
    // Nor by a renewal that was judged before the revocation, nor by a new code.
    let device = Device::new("tanaka", "phone", fourth.recipient(), Origin::Enrolment, ROOT);
    assert!(!journal.renew_device(&device, &[]).await.unwrap());
    assert!(!journal.add_device(&device, Act::Added).await.unwrap());
    assert!(active(&journal).await.is_empty());
    let acts: Vec<_> = journal.acts().await.unwrap().into_iter().map(|act| act.act).collect();
    assert_eq!(acts, [Act::Enrolled, Act::Renewed, Act::Superseded, Act::Revoked, Act::Revoked]);
}

#[tokio::test]
async fn a_certificate_that_did_not_enrol_itself_is_not_renewed_by_mail() {
    let (_folder, journal) = journal().await;
    let first = Asking::new();
    let added = Device::new("tanaka", "by hand", first.recipient(), Origin::Administrator, ROOT);
    journal.add_device(&added, Act::Added).await.unwrap();
    enrolment::take(&journal, &first.renewed(2024).renewal()).await.unwrap();
    assert_eq!(active(&journal).await, [first.digest()]);
}

/// What was done is told once, and stays noted until the trail has it.
#[tokio::test]
async fn acts_wait_for_the_trail() {
    let (_folder, journal) = journal().await;
    invited(&journal).await;
    let noted = journal.acts().await.unwrap();
    assert_eq!((noted.len(), noted[0].doctor.as_str(), noted[0].by.as_str()), (1, "tanaka", "root"));
    journal.act_told(noted[0].number).await.unwrap();
    assert!(journal.acts().await.unwrap().is_empty());
}

/// What the authority issues for the identity of a device that enrolled itself, and a renewed key of that device.
#[tokio::test]
async fn a_certified_identity_stands_behind_every_later_key_until_it_is_revoked() {
    let (_folder, journal) = journal().await;
    let authority = Authority::new();
    let identity_key = KeyPair::generate().unwrap();
    let own = |key: &KeyPair, params: CertificateParams| {
        Certificate::from_der(params.self_signed(key).unwrap().der()).unwrap()
    };
    let identity = own(&identity_key, params(2020, 2100));
    let enrolled = |name: &str| {
        let certificate = own(&KeyPair::generate().unwrap(), params(2020, 2100));
        let recipient = Recipient::new(certificate, Some(identity.clone())).unwrap();
        Device::new("tanaka", name, recipient, Origin::Enrolment, ROOT)
    };
    let certified = |serial: u64, key: &KeyPair, to: i32| {
        let mut leaf = params(2020, to);
        leaf.serial_number = Some(SerialNumber::from(serial));
        Certificate::from_der(leaf.signed_by(key, &authority.issuer).unwrap().der()).unwrap()
    };
    let phone = enrolled("phone");
    assert!(journal.add_device(&phone, Act::Enrolled).await.unwrap());
    let directory = |revoked: u64, enrolled| Directory { enrolled, ..authority.revoke(revoked) };
    let sealed_for = async |revoked, enrolled| {
        let authorities = Authorities::read(&directory(revoked, enrolled)).unwrap();
        let devices = journal.devices().await.unwrap();
        super::sealed_for(&devices, "tanaka", Kind::Reader, authorities.as_ref(), NOW)
            .map(|found| found.len())
    };
    assert_eq!(sealed_for(9, Vouched::Compared).await, Ok(1));
    assert_eq!(sealed_for(9, Vouched::Certified).await, Err(NoKey::Unvouched), "nobody certified it");
    let of_identity = certified(7, &identity_key, 2027);
    journal.certify_device(&phone, &of_identity, ROOT).await.unwrap();
    assert_eq!(sealed_for(9, Vouched::Certified).await, Ok(1));
    let renewed = enrolled("phone");
    assert!(journal.renew_device(&renewed, &[&phone]).await.unwrap());
    assert_eq!(sealed_for(9, Vouched::Certified).await, Ok(1), "a later key of the same identity");
    let devices = journal.devices().await.unwrap();
    assert!(devices.iter().all(|device| device.ends_at() == of_identity.not_after()), "it is warned of");
    for asked in [Vouched::Certified, Vouched::Compared] {
        assert_eq!(sealed_for(7, asked).await, Err(NoKey::Unvouched), "revoked by its authority");
    }
    let acts = journal.acts().await.unwrap();
    assert!(acts.iter().any(|act| act.act == Act::Certified && act.doctor == "tanaka" && act.by == "root"));
}

#[test]
fn certified_needs_an_authority() {
    let error = Directory { enrolled: Vouched::Certified, ..Directory::default() }.check().unwrap_err();
    assert!(error.to_string().contains("directory.enrolled"), "{error}");
}
