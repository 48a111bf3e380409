//! Records, the inbound process over pipes, and its keeper.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod imap;

use super::record::{Kind, RECORD_BYTES, Record, Refusal, Trouble};
use super::*;
use crate::submit::tests::delivery::party;
use imap::{FakeImap, PASSWORD};
use proptest::prelude::*;
use seal::ids::{DeliveryId, Digest};
use seal::mail::{MessageId, Site};
use seal::native::{Certificate, DoctorKey, Recipient, sign_receipt};
use seal::receipt::{self, Receipt, ReceiptKind};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tls::ClientFiles;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

const DELIVERY: DeliveryId = DeliveryId([0xDE; 16]);
const COVER: Digest = Digest([0xC0; 32]);
const LONG: Duration = Duration::from_secs(20);

fn fetched(recipient: Digest) -> Record {
    Record {
        cover: COVER,
        at: 1_795_373_465,
        instances: 150,
        ..Record::new(Kind::Fetched, DELIVERY, recipient)
    }
}

fn wanted(recipient: Digest) -> Record {
    Record { instances: 0, kind: Kind::ExactWanted, ..fetched(recipient) }
}

#[test]
fn record_has_exactly_these_bytes() {
    let bytes = fetched(Digest([0xAB; 32])).to_bytes();
    let mut expected = b"SCPR\x01\x02\x00\x00".to_vec();
    expected.extend([0xDE; 16]);
    expected.extend([0xAB; 32]);
    expected.extend([0xC0; 32]);
    expected.extend(1_795_373_465_i64.to_be_bytes());
    expected.extend([0, 0, 0, 150]);
    expected.resize(RECORD_BYTES, 0);
    assert_eq!(bytes.to_vec(), expected);
}

#[test]
fn every_kind_is_read_as_written() {
    let kinds = [
        Kind::CoverSeen,
        Kind::Refused(Refusal::Signature),
        Kind::Refused(Refusal::Malformed),
        Kind::Refused(Refusal::Mismatch),
    ];
    let recipient = Digest([3; 32]);
    let troubles = [
        Trouble::None,
        Trouble::Unreachable,
        Trouble::Certificate,
        Trouble::Login,
        Trouble::NoFolder,
        Trouble::Protocol,
        Trouble::Configuration,
        Trouble::Tls,
        Trouble::ClientCertificate,
    ];
    let about_mailbox =
        troubles.map(|trouble| Record::new(Kind::Trouble(trouble), DeliveryId([0; 16]), recipient));
    let about_delivery = kinds.map(|kind| Record::new(kind, DELIVERY, recipient));
    for record in
        about_mailbox.into_iter().chain(about_delivery).chain([fetched(recipient), wanted(recipient)])
    {
        assert_eq!(Record::parse(&record.to_bytes()), Some(record));
    }
}

#[test]
fn fields_that_do_not_belong_are_refused() {
    let seen = Record { at: 1, ..Record::new(Kind::CoverSeen, DELIVERY, COVER) };
    let refused = Record { instances: 1, ..Record::new(Kind::Refused(Refusal::Malformed), DELIVERY, COVER) };
    let trouble = Record::new(Kind::Trouble(Trouble::Login), DELIVERY, COVER);
    let wanted = Record { instances: 1, ..wanted(COVER) };
    for record in [seen, refused, trouble, wanted] {
        assert_eq!(Record::parse(&record.to_bytes()), None, "{record:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_is_what_would_be_written(mut bytes in proptest::array::uniform32(any::<u8>()), at in 0_usize..RECORD_BYTES, with in any::<u8>()) {
        let mut record = fetched(Digest(bytes)).to_bytes();
        record[at] = with;
        if let Some(parsed) = Record::parse(&record) {
            prop_assert_eq!(parsed.to_bytes(), record);
        }
        bytes[0] ^= 1;
        let noise = [bytes, bytes, bytes, bytes].concat();
        let noise: [u8; RECORD_BYTES] = noise.try_into().unwrap();
        prop_assert!(Record::parse(&noise).is_none() || noise.starts_with(b"SCPR"));
    }
}

/// The inbound process in this one, with its pipes.
struct Pipes {
    stdin: DuplexStream,
    stdout: DuplexStream,
    running: tokio::task::JoinHandle<Result<(), inbound::InboundError>>,
}

impl Pipes {
    async fn open(request: &Request) -> Self {
        let ((mut stdin, to), (from, stdout)) = (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
        let running = tokio::spawn(inbound::serve(to, from));
        let line = format!("{}\n", serde_json::to_string(request).unwrap());
        stdin.write_all(line.as_bytes()).await.unwrap();
        Self { stdin, stdout, running }
    }

    async fn next(&mut self) -> Record {
        let mut bytes = [0; RECORD_BYTES];
        timeout(LONG, self.stdout.read_exact(&mut bytes)).await.expect("no record came").unwrap();
        Record::parse(&bytes).unwrap()
    }

    /// Nothing more within some looks.
    async fn is_quiet(&mut self) -> bool {
        timeout(Duration::from_millis(400), self.stdout.read_u8()).await.is_err()
    }
}

struct Doctor {
    key: DoctorKey,
    pem: String,
}

impl Doctor {
    fn new() -> Self {
        let (key, pem) = party();
        Self { key: DoctorKey::from_pem(&key, &pem).unwrap(), pem }
    }

    fn digest(&self) -> Digest {
        Certificate::from_pem(&self.pem).unwrap().digest()
    }

    fn pinned(&self) -> Pinned {
        let certificate = Certificate::from_pem(&self.pem).unwrap();
        Pinned::of(&Recipient::new(certificate, None).unwrap())
    }

    fn receipt(&self, delivery: DeliveryId) -> Vec<u8> {
        self.signed(delivery, ReceiptKind::Fetched)
    }

    fn signed(&self, delivery: DeliveryId, kind: ReceiptKind) -> Vec<u8> {
        let receipt = Receipt {
            format: receipt::FORMAT,
            delivery,
            cover: COVER,
            recipient: self.digest(),
            kind,
            at: 1_795_373_465,
            instances: 150,
        };
        sign_receipt(&receipt, &self.key).unwrap()
    }
}

fn site() -> Site {
    Site::parse("hospital.example").unwrap()
}

fn receipt_id(delivery: DeliveryId, doctor: &Doctor) -> String {
    MessageId::receipt(delivery, ReceiptKind::Fetched, &doctor.digest(), &site()).to_string()
}

fn request(server: &FakeImap, folders: &[(&str, &Doctor)]) -> Request {
    let folder = |(folder, doctor): &(&str, &Doctor)| Folder {
        folder: (*folder).into(),
        recipients: vec![doctor.pinned()],
    };
    Request {
        site: "hospital.example".into(),
        host: "localhost".into(),
        port: server.port,
        user: "gateway".into(),
        password: PASSWORD.into(),
        tls: ClientFiles { ca: Some(server.ca()), ..ClientFiles::default() },
        poll_ms: 50,
        folders: folders.iter().map(folder).collect(),
    }
}

#[tokio::test]
async fn covers_and_receipts_are_reported_once() {
    let (server, doctor) = (FakeImap::start(&["A"]).await, Doctor::new());
    server.put("A", "<other@elsewhere.example>", b"not ours");
    server.put("A", &MessageId::piece(DELIVERY, 1, &site()).to_string(), b"piece");
    server.put("A", &MessageId::cover(DELIVERY, &site()).to_string(), b"cover");
    let mut pipes = Pipes::open(&request(&server, &[("A", &doctor)])).await;
    assert_eq!(pipes.next().await, Record::new(Kind::CoverSeen, DELIVERY, doctor.digest()));
    assert!(pipes.is_quiet().await);
    server.put("A", &receipt_id(DELIVERY, &doctor), &doctor.receipt(DELIVERY));
    assert_eq!(pipes.next().await, fetched(doctor.digest()));
    assert!(pipes.is_quiet().await);
}

#[tokio::test]
async fn a_request_for_exact_files_counts_only_under_its_own_name() {
    let (server, doctor) = (FakeImap::start(&["A"]).await, Doctor::new());
    let mut pipes = Pipes::open(&request(&server, &[("A", &doctor)])).await;
    let id = MessageId::receipt(DELIVERY, ReceiptKind::ExactWanted, &doctor.digest(), &site()).to_string();
    server.put("A", &id, &doctor.signed(DELIVERY, ReceiptKind::ExactWanted));
    assert_eq!(pipes.next().await, wanted(doctor.digest()));
    server.put("A", &id, &doctor.receipt(DELIVERY));
    assert_eq!(pipes.next().await.kind, Kind::Refused(Refusal::Mismatch));
    assert!(pipes.is_quiet().await);
}

#[tokio::test]
async fn receipts_that_prove_nothing_are_refused() {
    let (server, doctor, other) = (FakeImap::start(&["A"]).await, Doctor::new(), Doctor::new());
    let mut pipes = Pipes::open(&request(&server, &[("A", &doctor)])).await;
    let another = DeliveryId([1; 16]);
    let own_id = receipt_id(DELIVERY, &doctor);
    let cases: [(&str, Vec<u8>, Refusal); 4] = [
        (&own_id, other.receipt(DELIVERY), Refusal::Signature),
        (&own_id, doctor.receipt(another), Refusal::Mismatch),
        (&own_id, vec![7; 10_000], Refusal::Malformed),
        (&receipt_id(DELIVERY, &other), other.receipt(DELIVERY), Refusal::Mismatch),
    ];
    for (id, body, refusal) in cases {
        server.put("A", id, &body);
        assert_eq!(pipes.next().await, Record::new(Kind::Refused(refusal), DELIVERY, doctor.digest()));
    }
    let mut tampered = doctor.receipt(DELIVERY);
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    server.put("A", &own_id, &tampered);
    assert!(matches!(pipes.next().await.kind, Kind::Refused(_)));
    assert!(pipes.is_quiet().await);
}

/// Each device of a doctor has a certificate of its own, and they share a folder.
#[tokio::test]
async fn receipts_of_several_devices_are_told_apart() {
    let (server, phone, desk) = (FakeImap::start(&["A"]).await, Doctor::new(), Doctor::new());
    let mut request = request(&server, &[("A", &phone)]);
    request.folders[0].recipients.push(desk.pinned());
    let mut pipes = Pipes::open(&request).await;
    for device in [&desk, &phone] {
        server.put("A", &receipt_id(DELIVERY, device), &device.receipt(DELIVERY));
        assert_eq!(pipes.next().await, fetched(device.digest()));
    }
    server.put("A", &receipt_id(DELIVERY, &phone), &desk.receipt(DELIVERY));
    assert_eq!(pipes.next().await, Record::new(Kind::Refused(Refusal::Mismatch), DELIVERY, phone.digest()));
}

#[tokio::test]
async fn missing_folder_holds_up_no_other() {
    let (server, a, b) = (FakeImap::start(&["B"]).await, Doctor::new(), Doctor::new());
    server.put("B", &MessageId::cover(DELIVERY, &site()).to_string(), b"cover");
    let mut pipes = Pipes::open(&request(&server, &[("A", &a), ("B", &b)])).await;
    let nothing = DeliveryId([0; 16]);
    assert_eq!(pipes.next().await, Record::new(Kind::Trouble(Trouble::NoFolder), nothing, a.digest()));
    assert_eq!(pipes.next().await, Record::new(Kind::CoverSeen, DELIVERY, b.digest()));
    assert!(pipes.is_quiet().await);
    server.folders.lock().unwrap().insert("A".into(), Vec::new());
    assert_eq!(pipes.next().await, Record::new(Kind::Trouble(Trouble::None), nothing, a.digest()));
}

#[tokio::test]
async fn refused_login_and_wrong_root_are_told() {
    let (server, other, doctor) = (FakeImap::start(&["A"]).await, FakeImap::start(&[]).await, Doctor::new());
    let mut wrong = request(&server, &[("A", &doctor)]);
    wrong.password = "wrong".into();
    assert_eq!(Pipes::open(&wrong).await.next().await.kind, Kind::Trouble(Trouble::Login));
    let wrong = Request {
        tls: ClientFiles { ca: Some(other.ca()), ..ClientFiles::default() },
        ..request(&server, &[("A", &doctor)])
    };
    assert_eq!(Pipes::open(&wrong).await.next().await.kind, Kind::Trouble(Trouble::Certificate));
    let wrong = Request {
        tls: ClientFiles { ca: Some("/nowhere".into()), ..ClientFiles::default() },
        ..request(&server, &[("A", &doctor)])
    };
    assert_eq!(Pipes::open(&wrong).await.next().await.kind, Kind::Trouble(Trouble::Configuration));
}

#[tokio::test]
async fn ends_when_standard_input_closes() {
    let (server, doctor) = (FakeImap::start(&["A"]).await, Doctor::new());
    let pipes = Pipes::open(&request(&server, &[("A", &doctor)])).await;
    drop(pipes.stdin);
    timeout(LONG, pipes.running).await.unwrap().unwrap().unwrap();
}

/// A program for the keeper to start, which writes what it is told to.
fn program(folder: &std::path::Path, script: &str) -> std::path::PathBuf {
    let path = folder.join("inbound");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn any_request() -> Request {
    let (host, user, password) = ("localhost".into(), "gateway".into(), PASSWORD.into());
    Request {
        site: "x".into(),
        host,
        port: 1,
        user,
        password,
        tls: ClientFiles::default(),
        poll_ms: 50,
        folders: Vec::new(),
    }
}

#[tokio::test]
async fn keeper_starts_the_process_again_and_clears_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    std::fs::write(&record, fetched(COVER).to_bytes()).unwrap();
    let seen = folder.path().join("seen");
    let script = format!(
        "read line; env > {0}; echo \"$1 $PWD $line\" >> {0}; cat {1}",
        seen.display(),
        record.display()
    );
    let (sender, mut records) = mpsc::channel(1);
    tokio::spawn(watch_program(program(folder.path(), &script), any_request(), sender));
    for _ in 0..2 {
        assert_eq!(timeout(LONG, records.recv()).await.unwrap(), Some(fetched(COVER)));
    }
    let seen = std::fs::read_to_string(&seen).unwrap();
    assert!(seen.contains("\ninbound / {\"site\":\"x\"") && !seen.contains("CARGO"), "{seen}");
}

#[tokio::test]
async fn malformed_record_ends_the_process_and_is_not_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!("echo $$ >> {}; head -c 128 /dev/zero; exec sleep 1000", pids.display());
    let (sender, mut records) = mpsc::channel(1);
    let keeper = tokio::spawn(watch_program(program(folder.path(), &script), any_request(), sender));
    assert!(timeout(Duration::from_millis(1500), records.recv()).await.is_err());
    let pids = std::fs::read_to_string(&pids).unwrap();
    let first = pids.lines().next().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{first}")).exists(), "the process was ended");
    drop(records);
    timeout(LONG, keeper).await.unwrap().unwrap();
}
