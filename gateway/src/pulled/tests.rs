//! Records, the inbound process over pipes, and its keeper.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod imap;

use super::record::{Kind, RECORD_BYTES, Record, Refusal, Trouble, folder_digest};
use super::*;
use crate::submit::tests::delivery::party;
use imap::{FakeImap, PASSWORD};
use proptest::prelude::*;
use seal::answer::{Answer, SEALED_BYTES, SealedAnswer};
use seal::ids::{DeliveryId, Digest, InvitationId};
use seal::limits::{ENROLMENT_BYTES_MAX, READ_SECONDS_MAX};
use seal::mail::{MessageId, Site};
use seal::native::{
    AnswerKey, Certificate, DoctorKey, Recipient, open_signed_receipt, seal_answer, sign_receipt,
};
use seal::receipt::{Receipt, ReceiptKind};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tls::ClientFiles;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const DELIVERY: DeliveryId = DeliveryId([0xDE; 16]);
const COVER: Digest = Digest([0xC0; 32]);
const LONG: Duration = Duration::from_secs(20);
const FETCHED: Kind = Kind::Receipt(ReceiptKind::Fetched);
const WANTED: Kind = Kind::Receipt(ReceiptKind::ExactWanted);

/// A record of a receipt with a signature that proves nothing.
fn fetched(recipient: Digest) -> Record {
    Record {
        cover: COVER,
        at: 1_795_373_465,
        count: 150,
        signature: vec![0x51; 70],
        ..Record::new(FETCHED, DELIVERY, recipient)
    }
}

fn wanted(recipient: Digest) -> Record {
    Record { count: 0, kind: WANTED, ..fetched(recipient) }
}

fn answered(recipient: Digest) -> Record {
    let sealed = Some(SealedAnswer(Box::new([0x5E; SEALED_BYTES])));
    Record { sealed, count: 0, kind: Kind::Receipt(ReceiptKind::Answer), ..fetched(recipient) }
}

fn read(recipient: Digest) -> Record {
    Record { count: 40, kind: Kind::Receipt(ReceiptKind::Read), ..fetched(recipient) }
}

fn unsigned(record: Record) -> Record {
    Record { signature: Vec::new(), ..record }
}

#[test]
fn record_has_exactly_these_bytes() {
    let bytes = fetched(Digest([0xAB; 32])).to_bytes();
    let mut expected = b"SCPR\x05\x02\x00\x00".to_vec();
    expected.extend([0xDE; 16]);
    expected.extend([0xAB; 32]);
    expected.extend([0xC0; 32]);
    expected.extend(1_795_373_465_i64.to_be_bytes());
    expected.extend([0, 0, 0, 150]);
    expected.extend([0, 70]);
    expected.extend([0x51; 70]);
    expected.resize(RECORD_BYTES, 0);
    assert_eq!(bytes.to_vec(), expected);
}

#[test]
fn only_a_signed_receipt_is_proved() {
    let (doctor, other) = (Doctor::new(), Doctor::new());
    let pinned = [&other, &doctor].map(Doctor::recipient);
    let (genuine, request) = (doctor.record(), doctor.record_of(ReceiptKind::ExactWanted));
    let (answer, reading) = (doctor.record_of(ReceiptKind::Answer), doctor.record_of(ReceiptKind::Read));
    for proved in [&genuine, &request, &answer, &reading] {
        assert!(proved.is_proved(&pinned) && !proved.is_proved(&pinned[..1]));
    }
    let lies = [
        Record { count: 151, ..genuine.clone() },
        Record { at: 1_795_373_466, ..genuine.clone() },
        Record { cover: Digest([1; 32]), ..genuine.clone() },
        Record { delivery: DeliveryId([1; 16]), ..genuine.clone() },
        Record { recipient: other.digest(), ..genuine.clone() },
        Record { signature: Vec::new(), ..genuine.clone() },
        Record { kind: WANTED, count: 0, ..genuine.clone() },
        Record { kind: FETCHED, ..request.clone() },
        Record { kind: Kind::Receipt(ReceiptKind::Seen), ..request.clone() },
        Record { sealed: answered(doctor.digest()).sealed, ..answer.clone() },
        Record { count: reading.count + 1, ..reading.clone() },
        Record { at: request.at + 1, ..request },
        fetched(doctor.digest()),
        wanted(doctor.digest()),
    ];
    for lie in lies {
        assert!(!lie.is_proved(&pinned), "{lie:?}");
    }
}

#[test]
fn every_kind_is_read_as_written() {
    let kinds = [
        Kind::CoverSeen,
        Kind::Refused(Refusal::Signature),
        Kind::Refused(Refusal::Malformed),
        Kind::Refused(Refusal::Mismatch),
        Kind::Refused(Refusal::Stranger),
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
        Trouble::Sandbox,
    ];
    let about_mailbox =
        troubles.map(|trouble| Record::new(Kind::Trouble(trouble), DeliveryId([0; 16]), recipient));
    let about_delivery = kinds.map(|kind| Record::new(kind, DELIVERY, recipient));
    let confined = inbound::Confinement { files: true, network: false, system_calls: true };
    let about_all = Record::new(Kind::Confined(confined), DeliveryId([0; 16]), Digest([0; 32]));
    let bare = [ReceiptKind::Seen, ReceiptKind::FirstImageShown, ReceiptKind::Closed, ReceiptKind::PassedOn]
        .map(Kind::Receipt);
    let bare = bare.map(|kind| Record { kind, ..wanted(recipient) });
    let receipts = [about_all, fetched(recipient), wanted(recipient), answered(recipient), read(recipient)]
        .into_iter()
        .chain(bare);
    let removed = Record::new(Kind::Removed(17), DELIVERY, recipient);
    assert_eq!(&removed.to_bytes()[5..8], [7, 0, 17]);
    let none_left = Record::new(Kind::NoneLeft, DELIVERY, recipient).with_folders(4, 65_535);
    assert_eq!(none_left.folders(), Some((4, 65_535)));
    let own_alone = Record::new(Kind::NoneLeft, DELIVERY, recipient);
    assert_eq!(own_alone.folders(), None);
    assert_eq!(&none_left.to_bytes()[5..8], [15, 0, 0]);
    assert_eq!(&none_left.to_bytes()[96..100], [0, 4, 255, 255]);
    let removed = [removed, none_left, own_alone, Record::new(Kind::NotRemoved, DELIVERY, recipient)];
    for record in about_mailbox.into_iter().chain(about_delivery).chain(receipts).chain(removed) {
        assert_eq!(Record::parse(&record.to_bytes()), Some(record));
    }
}

#[test]
fn fields_that_do_not_belong_are_refused() {
    let seen = Record { at: 1, ..Record::new(Kind::CoverSeen, DELIVERY, COVER) };
    let refused = Record { count: 1, ..Record::new(Kind::Refused(Refusal::Malformed), DELIVERY, COVER) };
    let trouble = Record::new(Kind::Trouble(Trouble::Login), DELIVERY, COVER);
    let confined = Record {
        recipient: COVER,
        ..Record::new(Kind::Confined(Default::default()), DeliveryId([0; 16]), COVER)
    };
    let long = Record { signature: vec![1; record::SIGNATURE_BYTES_MAX + 1], ..fetched(COVER) };
    let wanted = Record { count: 1, ..wanted(COVER) };
    let endless = Record { count: READ_SECONDS_MAX + 1, ..read(COVER) };
    let no_time = Record { count: 0, ..read(COVER) };
    let says_more = Record { kind: Kind::Receipt(ReceiptKind::Seen), ..answered(COVER) };
    let stays = Record::new(Kind::NotRemoved, DELIVERY, COVER).with_folders(1, 0);
    let removed = Record::new(Kind::Removed(1), DELIVERY, COVER).with_folders(1, 0);
    let nowhere = Record::new(Kind::NoneLeft, DELIVERY, COVER).with_folders(0, 1);
    let removals = [stays, removed, nowhere];
    for record in [seen, refused, trouble, confined, long, wanted, endless, no_time, says_more]
        .into_iter()
        .chain(removals)
    {
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
        let noise = bytes.repeat(RECORD_BYTES / bytes.len());
        let noise: [u8; RECORD_BYTES] = noise.try_into().unwrap();
        prop_assert!(Record::parse(&noise).is_none() || noise.starts_with(b"SCPR"));
    }
}

const CONFINEMENT: inbound::Confinement =
    inbound::Confinement { files: true, network: true, system_calls: true };

/// The inbound process in this one, with its pipes.
struct Pipes {
    stdin: DuplexStream,
    stdout: DuplexStream,
    running: tokio::task::JoinHandle<Result<(), inbound::InboundError>>,
}

impl Pipes {
    async fn open(request: &Request) -> Self {
        let ((mut stdin, to), (from, stdout)) = (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
        // The sandbox would hold for the whole test; tests/inbound looks at the real process.
        let running = tokio::spawn(inbound::serve(to, from, |_| Ok(CONFINEMENT)));
        let line = format!("{}\n", serde_json::to_string(request).unwrap());
        stdin.write_all(line.as_bytes()).await.unwrap();
        Self { stdin, stdout, running }
    }

    /// [`Pipes::open`] past the first record, which says how the process is confined.
    async fn confined(request: &Request) -> Self {
        let mut pipes = Self::open(request).await;
        assert_eq!(pipes.next().await.kind, Kind::Confined(CONFINEMENT));
        pipes
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

    fn recipient(&self) -> Recipient {
        Recipient::new(Certificate::from_pem(&self.pem).unwrap(), None).unwrap()
    }

    fn pinned(&self) -> Pinned {
        Pinned::of(&self.recipient())
    }

    fn record(&self) -> Record {
        self.record_of(ReceiptKind::Fetched)
    }

    fn record_of(&self, kind: ReceiptKind) -> Record {
        let signed = open_signed_receipt(&self.signed(DELIVERY, kind), &[self.recipient()]).unwrap();
        Record::of_receipt(signed).unwrap()
    }

    fn receipt(&self, delivery: DeliveryId) -> Vec<u8> {
        self.signed(delivery, ReceiptKind::Fetched)
    }

    fn signed(&self, delivery: DeliveryId, kind: ReceiptKind) -> Vec<u8> {
        let receipt = Receipt::new(kind, delivery, COVER, self.digest(), 1_795_373_465);
        let receipt = match kind {
            ReceiptKind::Fetched => Receipt { instances: 150, ..receipt },
            ReceiptKind::Read => Receipt { seconds: Some(40), ..receipt },
            ReceiptKind::Answer => {
                let site = AnswerKey::generate().unwrap().point().unwrap();
                let sealed = seal_answer(&Answer::CallBack, &receipt, &site).unwrap();
                Receipt { sealed: Some(sealed), ..receipt }
            }
            _ => receipt,
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
        withdrawn: Vec::new(),
    };
    Request {
        site: "hospital.example".into(),
        host: "localhost".into(),
        port: server.port,
        user: "gateway".into(),
        password: PASSWORD.into(),
        addresses: vec![([127, 0, 0, 1], server.port).into()],
        tls: ClientFiles { ca: Some(server.ca()), ..ClientFiles::default() },
        poll_ms: 50,
        troubled: false,
        folders: folders.iter().map(folder).collect(),
    }
}

#[tokio::test]
async fn covers_and_receipts_are_reported_once() {
    let (server, doctor) = (FakeImap::start(&["A"]).await, Doctor::new());
    server.put("A", "<other@elsewhere.example>", b"not ours");
    server.put("A", &MessageId::piece(DELIVERY, 1, &site()).to_string(), b"piece");
    server.put("A", &MessageId::cover(DELIVERY, &site()).to_string(), b"cover");
    let mut pipes = Pipes::confined(&request(&server, &[("A", &doctor)])).await;
    assert_eq!(pipes.next().await, Record::new(Kind::CoverSeen, DELIVERY, folder_digest("A")));
    assert!(pipes.is_quiet().await);
    server.put("A", &receipt_id(DELIVERY, &doctor), &doctor.receipt(DELIVERY));
    let receipt = pipes.next().await;
    assert!(receipt.is_proved(&[doctor.recipient()]));
    assert_eq!(unsigned(receipt), unsigned(fetched(doctor.digest())));
    assert!(pipes.is_quiet().await);
}

#[tokio::test]
async fn a_request_for_exact_files_counts_only_under_its_own_name() {
    let (server, doctor) = (FakeImap::start(&["A"]).await, Doctor::new());
    let mut pipes = Pipes::confined(&request(&server, &[("A", &doctor)])).await;
    let id = MessageId::receipt(DELIVERY, ReceiptKind::ExactWanted, &doctor.digest(), &site()).to_string();
    server.put("A", &id, &doctor.signed(DELIVERY, ReceiptKind::ExactWanted));
    let asked = pipes.next().await;
    assert!(asked.is_proved(&[doctor.recipient()]));
    assert_eq!(unsigned(asked), unsigned(wanted(doctor.digest())));
    server.put("A", &id, &doctor.receipt(DELIVERY));
    assert_eq!(pipes.next().await.kind, Kind::Refused(Refusal::Mismatch));
    assert!(pipes.is_quiet().await);
}

/// What a doctor says goes over as it is sealed; a forged, a moved and an overlong one do not.
#[tokio::test]
async fn answers_go_over_sealed_and_forged_ones_are_refused() {
    let (server, doctor, other) = (FakeImap::start(&["A"]).await, Doctor::new(), Doctor::new());
    let mut pipes = Pipes::confined(&request(&server, &[("A", &doctor)])).await;
    let id = |delivery, doctor: &Doctor| {
        MessageId::receipt(delivery, ReceiptKind::Answer, &doctor.digest(), &site()).to_string()
    };
    let answer = doctor.signed(DELIVERY, ReceiptKind::Answer);
    server.put("A", &id(DELIVERY, &doctor), &answer);
    let record = pipes.next().await;
    assert!(record.is_proved(&[doctor.recipient()]) && record.sealed.is_some());
    // The same words again are handed over again: whether they are known is the journal's to say.
    server.put("A", &id(DELIVERY, &doctor), &answer);
    assert_eq!(pipes.next().await, record);
    let long = Receipt {
        seconds: Some(READ_SECONDS_MAX),
        ..Receipt::new(ReceiptKind::Seen, DELIVERY, COVER, doctor.digest(), 1)
    };
    let refused: [(String, Vec<u8>, Refusal); 5] = [
        (id(DELIVERY, &doctor), other.signed(DELIVERY, ReceiptKind::Answer), Refusal::Signature),
        (id(DELIVERY, &other), other.signed(DELIVERY, ReceiptKind::Answer), Refusal::Stranger),
        (id(DeliveryId([1; 16]), &doctor), answer, Refusal::Mismatch),
        (id(DELIVERY, &doctor), doctor.signed(DELIVERY, ReceiptKind::Seen), Refusal::Mismatch),
        (id(DELIVERY, &doctor), sign_receipt(&long, &doctor.key).unwrap(), Refusal::Malformed),
    ];
    for (id, body, refusal) in refused {
        let delivery = MessageId::parse(&id).unwrap().delivery();
        server.put("A", &id, &body);
        assert_eq!(pipes.next().await, Record::new(Kind::Refused(refusal), delivery, folder_digest("A")));
    }
    assert!(pipes.is_quiet().await);
}

#[tokio::test]
async fn receipts_that_prove_nothing_are_refused() {
    let (server, doctor, other) = (FakeImap::start(&["A"]).await, Doctor::new(), Doctor::new());
    let mut pipes = Pipes::confined(&request(&server, &[("A", &doctor)])).await;
    let another = DeliveryId([1; 16]);
    let own_id = receipt_id(DELIVERY, &doctor);
    let cases: [(&str, Vec<u8>, Refusal); 4] = [
        (&own_id, other.receipt(DELIVERY), Refusal::Signature),
        (&own_id, doctor.receipt(another), Refusal::Mismatch),
        (&own_id, vec![7; 10_000], Refusal::Malformed),
        (&receipt_id(DELIVERY, &other), other.receipt(DELIVERY), Refusal::Stranger),
    ];
    for (id, body, refusal) in cases {
        server.put("A", id, &body);
        assert_eq!(pipes.next().await, Record::new(Kind::Refused(refusal), DELIVERY, folder_digest("A")));
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
    let mut pipes = Pipes::confined(&request).await;
    for device in [&desk, &phone] {
        server.put("A", &receipt_id(DELIVERY, device), &device.receipt(DELIVERY));
        assert_eq!(unsigned(pipes.next().await), unsigned(fetched(device.digest())));
    }
    server.put("A", &receipt_id(DELIVERY, &phone), &desk.receipt(DELIVERY));
    assert_eq!(
        pipes.next().await,
        Record::new(Kind::Refused(Refusal::Mismatch), DELIVERY, folder_digest("A"))
    );
}

#[tokio::test]
async fn missing_folder_holds_up_no_other() {
    let (server, a, b) = (FakeImap::start(&["B"]).await, Doctor::new(), Doctor::new());
    server.put("B", &MessageId::cover(DELIVERY, &site()).to_string(), b"cover");
    let mut pipes = Pipes::confined(&request(&server, &[("A", &a), ("B", &b)])).await;
    let nothing = DeliveryId([0; 16]);
    assert_eq!(
        pipes.next().await,
        Record::new(Kind::Trouble(Trouble::NoFolder), nothing, folder_digest("A"))
    );
    assert_eq!(pipes.next().await, Record::new(Kind::CoverSeen, DELIVERY, folder_digest("B")));
    assert!(pipes.is_quiet().await);
    server.folders.lock().unwrap().insert("A".into(), Vec::new());
    assert_eq!(pipes.next().await, Record::new(Kind::Trouble(Trouble::None), nothing, folder_digest("A")));
}

#[tokio::test]
async fn refused_login_and_wrong_root_are_told() {
    let (server, other, doctor) = (FakeImap::start(&["A"]).await, FakeImap::start(&[]).await, Doctor::new());
    let mut wrong = request(&server, &[("A", &doctor)]);
    wrong.password = "wrong".into();
    assert_eq!(Pipes::confined(&wrong).await.next().await.kind, Kind::Trouble(Trouble::Login));
    let wrong = Request {
        tls: ClientFiles { ca: Some(other.ca()), ..ClientFiles::default() },
        ..request(&server, &[("A", &doctor)])
    };
    assert_eq!(Pipes::confined(&wrong).await.next().await.kind, Kind::Trouble(Trouble::Certificate));
    let wrong = Request {
        tls: ClientFiles { ca: Some("/nowhere".into()), ..ClientFiles::default() },
        ..request(&server, &[("A", &doctor)])
    };
    assert_eq!(Pipes::open(&wrong).await.next().await.kind, Kind::Trouble(Trouble::Configuration));
}

#[tokio::test]
async fn ends_when_standard_input_closes() {
    let (server, doctor) = (FakeImap::start(&["A"]).await, Doctor::new());
    let pipes = Pipes::confined(&request(&server, &[("A", &doctor)])).await;
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

/// A request that stays.
fn requests(request: Request) -> watch::Receiver<Request> {
    watch::channel(request).1
}

fn sinks(records: mpsc::Sender<Record>) -> Sinks {
    Sinks { records, enrolments: mpsc::channel(1).0 }
}

fn any_request(doctor: &Doctor) -> Request {
    let (host, user, password) = ("localhost".into(), "gateway".into(), PASSWORD.into());
    let folders =
        vec![Folder { folder: "A".into(), recipients: vec![doctor.pinned()], withdrawn: Vec::new() }];
    let (tls, addresses, troubled) = (ClientFiles::default(), Vec::new(), false);
    Request {
        site: "x".into(),
        host,
        port: 1,
        user,
        password,
        addresses,
        tls,
        poll_ms: 50,
        troubled,
        folders,
    }
}

#[tokio::test]
async fn keeper_starts_the_process_again_and_clears_its_environment() {
    let (folder, doctor) = (tempfile::tempdir().unwrap(), Doctor::new());
    let (record, genuine) = (folder.path().join("record"), doctor.record());
    std::fs::write(&record, genuine.to_bytes()).unwrap();
    let seen = folder.path().join("seen");
    let script = format!(
        "read line; env > {0}; ls -l /proc/$$/fd >> {0}; echo \"$1 $PWD $line\" >> {0}; cat {1}",
        seen.display(),
        record.display()
    );
    let (sender, mut records) = mpsc::channel(1);
    tokio::spawn(watch_program(
        program(folder.path(), &script),
        requests(any_request(&doctor)),
        sinks(sender),
    ));
    for _ in 0..2 {
        assert_eq!(timeout(LONG, records.recv()).await.unwrap(), Some(genuine.clone()));
    }
    let seen = std::fs::read_to_string(&seen).unwrap();
    assert!(seen.contains("\ninbound / {\"site\":\"x\"") && seen.contains("\"127.0.0.1:1\""), "{seen}");
    // The shell sets PWD, SHLVL and _ itself.
    let of_ours = |line: &&str| {
        line.contains('=') && !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|own| line.starts_with(own))
    };
    assert_eq!(seen.lines().take_while(|line| !line.starts_with("total")).find(of_ours), None, "{seen}");
    // Its three pipes; beside them the shell has its script and the file that it writes to here.
    let own = |line: &&str| line.ends_with("/inbound") || line.ends_with("/seen");
    let inherited = seen.lines().filter(|line| line.contains(" -> ") && !own(line));
    assert!(
        inherited.clone().count() == 3
            && inherited.clone().all(|line| line.contains("pipe:") || line.contains("/dev/null")),
        "{seen}"
    );
}

#[tokio::test]
async fn a_process_that_lies_or_floods_is_ended_or_slowed_and_never_believed() {
    let (folder, doctor) = (tempfile::tempdir().unwrap(), Doctor::new());
    let lie = folder.path().join("lie");
    std::fs::write(&lie, fetched(doctor.digest()).to_bytes()).unwrap();
    // An unsigned receipt; the start of a record and no more; garbage without end; a request that is not read.
    for script in [
        format!("read line; cat {}; exec sleep 1000", lie.display()),
        format!("read line; head -c 1000 {}", lie.display()),
        "read line; exec cat /dev/urandom".to_owned(),
        "exec sleep 1000".to_owned(),
    ] {
        let (sender, mut records) = mpsc::channel(1);
        let keeper = tokio::spawn(watch_program(
            program(folder.path(), &script),
            requests(any_request(&doctor)),
            sinks(sender),
        ));
        assert!(timeout(Duration::from_millis(700), records.recv()).await.is_err(), "{script}");
        drop(records);
        timeout(LONG, keeper).await.unwrap().unwrap();
    }
    // Well-formed records without end: so many a second, and one after the other.
    let flood = folder.path().join("flood");
    std::fs::write(&flood, Record::new(Kind::CoverSeen, DELIVERY, doctor.digest()).to_bytes()).unwrap();
    let script = format!("read line; while cat {0} {0} {0} {0} {0} {0} {0} {0}; do :; done", flood.display());
    let (sender, mut records) = mpsc::channel(1);
    let keeper = tokio::spawn(watch_program(
        program(folder.path(), &script),
        requests(any_request(&doctor)),
        sinks(sender),
    ));
    let (began, mut count) = (std::time::Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(1900) {
        count += usize::from(timeout(Duration::from_millis(100), records.recv()).await.is_ok());
    }
    assert!((400..1200).contains(&count), "{count} in two seconds");
    drop(records);
    timeout(LONG, keeper).await.unwrap().unwrap();
}

#[tokio::test]
async fn malformed_record_ends_the_process_and_is_not_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!("echo $$ >> {}; head -c 1024 /dev/zero; exec sleep 1000", pids.display());
    let (sender, mut records) = mpsc::channel(1);
    let keeper = tokio::spawn(watch_program(
        program(folder.path(), &script),
        requests(any_request(&Doctor::new())),
        sinks(sender),
    ));
    assert!(timeout(Duration::from_millis(1500), records.recv()).await.is_err());
    let pids = std::fs::read_to_string(&pids).unwrap();
    let first = pids.lines().next().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{first}")).exists(), "the process was ended");
    drop(records);
    timeout(LONG, keeper).await.unwrap().unwrap();
}

fn enrolment(bytes: usize) -> Enrolment {
    let message = (0..bytes).map(|at| (at * 7) as u8).collect();
    Enrolment { kind: EnrolmentKind::Renewal, id: InvitationId([7; 16]), message }
}

#[test]
fn enrolments_are_read_as_written_and_what_is_too_long_is_cut() {
    for bytes in [0, 1, ENROLMENT_BYTES_MAX] {
        assert_eq!(Enrolment::parse(&enrolment(bytes).to_bytes()), Some(enrolment(bytes)));
    }
    let cut = Enrolment::parse(&enrolment(ENROLMENT_BYTES_MAX + 1).to_bytes());
    assert_eq!(
        cut,
        Some(Enrolment {
            message: enrolment(ENROLMENT_BYTES_MAX + 1).message[..984].to_vec(),
            ..enrolment(0)
        })
    );
    let mut padded = enrolment(3).to_bytes();
    padded[1023] = 1;
    assert_eq!(Enrolment::parse(&padded), None);
    let mut long = enrolment(3).to_bytes();
    long[6..8].copy_from_slice(&985_u16.to_be_bytes());
    assert_eq!(Enrolment::parse(&long), None);
}

/// A directory that changed reaches the process, and what it hands over of enrolments comes through.
#[tokio::test]
async fn a_changed_request_starts_the_process_anew_at_once() {
    let (folder, doctor) = (tempfile::tempdir().unwrap(), Doctor::new());
    let (record, seen) = (folder.path().join("record"), folder.path().join("seen"));
    std::fs::write(&record, enrolment(5).to_bytes()).unwrap();
    let script =
        format!("read line; echo \"$line\" >> {}; cat {}; exec sleep 1000", seen.display(), record.display());
    let (change, requests) = watch::channel(any_request(&doctor));
    let ((records, _records), (enrolments, mut handed)) = (mpsc::channel(1), mpsc::channel(1));
    tokio::spawn(watch_program(program(folder.path(), &script), requests, Sinks { records, enrolments }));
    assert_eq!(timeout(LONG, handed.recv()).await.unwrap(), Some(enrolment(5)));
    change.send_modify(|request| request.site = "another".into());
    let began = std::time::Instant::now();
    assert_eq!(timeout(LONG, handed.recv()).await.unwrap(), Some(enrolment(5)));
    assert!(began.elapsed() < Duration::from_secs(5));
    let seen = std::fs::read_to_string(&seen).unwrap();
    assert!(seen.lines().count() == 2 && seen.lines().last().unwrap().contains("\"another\""), "{seen}");
}
