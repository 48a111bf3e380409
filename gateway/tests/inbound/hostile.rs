//! Servers and receipts that mean harm: the real process gives fixed records and nothing else, and reads on.

use crate::server::{Attack, DELIVERY, Doctor, SITE, Server, mail};
use gateway::pulled::record::{Kind, Record, Refusal, Trouble};
use gateway::pulled::{Folder, Pinned, Request, Sinks, watch_program};
use seal::receipt::ReceiptKind;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tls::ClientFiles;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const BINARY: &str = env!("CARGO_BIN_EXE_scanpost-gateway");
/// Longer than the reader of mailboxes waits for an answer (90 s).
const LONG: Duration = Duration::from_secs(150);
/// What the servers and receipts say, and no log may repeat.
const MARK: &str = "TARO-YAMADA";
/// A log line that this starts would colour the operator's terminal, or worse.
const ESCAPE: &str = "\x1b]0;TARO-YAMADA\x07\x1b[2J";

fn attack(name: &'static str, at: &'static str, answer: impl Into<Vec<u8>>) -> Attack {
    Attack { name, at, answer: answer.into(), endless: false }
}

fn endless(name: &'static str, at: &'static str, answer: impl Into<Vec<u8>>) -> Attack {
    Attack { endless: true, ..attack(name, at, answer) }
}

fn body(part: &[u8]) -> Vec<u8> {
    [format!("* 1 FETCH (UID 1 BODY[1]<0> {{{}}}\r\n", part.len()).as_bytes(), part, b")\r\n"].concat()
}

fn message_id(line: &[u8]) -> Vec<u8> {
    let head = "* 1 FETCH (UID 1 RFC822.SIZE 9 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> ";
    [format!("{head}{{{}}}\r\n", line.len()).as_bytes(), line, b")\r\n"].concat()
}

/// Answers that no honest server gives.
fn attacks(other: &Doctor) -> Vec<(Attack, Option<Refusal>)> {
    let megabyte = MARK.repeat((1 << 20) / MARK.len());
    let forged = mail(&other.receipt(1));
    let receipts = [
        attack("a receipt signed by another", "UID FETCH 1 (UID BODY.PEEK[1]", body(forged.as_bytes())),
        attack("a receipt of 1 MB", "UID FETCH 1 (UID BODY.PEEK[1]", body(megabyte.as_bytes())),
        attack("a receipt of control characters", "UID FETCH 1 (UID BODY.PEEK[1]", body(ESCAPE.as_bytes())),
        attack("an empty receipt", "UID FETCH 1 (UID BODY.PEEK[1]", body(b"")),
        attack(
            "a receipt nested without end",
            "UID FETCH 1 (UID BODY.PEEK[1]",
            body(mail(&[0x30, 0x80].repeat(1500)).as_bytes()),
        ),
        attack("a receipt of zeros", "UID FETCH 1 (UID BODY.PEEK[1]", body(mail(&[0; 3000]).as_bytes())),
    ];
    let refusals = [
        Refusal::Signature,
        Refusal::Malformed,
        Refusal::Malformed,
        Refusal::Malformed,
        Refusal::Malformed,
        Refusal::Malformed,
    ];
    let replies = [
        attack("a greeting of 1 MB", "", format!("* OK {megabyte}\r\n")),
        endless("a greeting without end", "", MARK),
        endless("a line without end", "UID SEARCH", "* SEARCH 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        endless("lines without end", "UID SEARCH", format!("* OK {MARK}\r\n")),
        attack("a literal of 4 GiB", "UID FETCH", "* 1 FETCH (UID 1 BODY[1]<0> {4294967295}\r\nTARO"),
        attack(
            "a literal beyond 64 bits",
            "UID FETCH",
            "* 1 FETCH (UID 1 BODY[1]<0> {99999999999999999999999}\r\nTARO",
        ),
        attack(
            "a literal longer than said",
            "UID FETCH",
            "* 1 FETCH (UID 1 BODY[1]<0> {4}\r\nTARO-YAMADA)\r\n",
        ),
        attack("a reply of escapes", "EXAMINE", format!("* OK [{ESCAPE}] {ESCAPE}\r\n* NO {ESCAPE}\r\n")),
        attack("a refusal of escapes", "LOGIN", format!("* BYE {ESCAPE}\r\n")),
        attack("bytes that are no text", "EXAMINE", vec![0xFF; 5000]),
        attack("NUL and line ends", "UID SEARCH", b"* SEARCH 1\0\r\r\n\n\r* \r\n".to_vec()),
        attack("brackets nested without end", "UID FETCH", format!("* 1 FETCH {}", "(".repeat(200_000))),
        attack(
            "a Message-ID of escapes",
            "UID FETCH",
            message_id(format!("Message-ID: <{ESCAPE}@{SITE}>\r\n\r\n").as_bytes()),
        ),
        attack("a Message-ID of 1 MB", "UID FETCH", message_id(megabyte.as_bytes())),
        attack("a tag that was not given", "UID SEARCH", "A9999 OK done\r\n"),
        attack("a continuation that was not asked for", "UID SEARCH", "+ TARO-YAMADA\r\n"),
        attack(
            "two million messages",
            "UID SEARCH",
            format!("* SEARCH{}\r\n", " 4294967295".repeat(300_000)),
        ),
    ];
    let refused = receipts.into_iter().zip(refusals).map(|(attack, refusal)| (attack, Some(refusal)));
    replies.into_iter().map(|attack| (attack, None)).chain(refused).collect()
}

/// Takes what is logged, from all tasks of the test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn request(server: &Server, doctor: &Doctor) -> Request {
    Request {
        site: SITE.into(),
        host: "localhost".into(),
        port: server.port,
        user: "gateway".into(),
        password: "correct horse".into(),
        addresses: Vec::new(),
        tls: ClientFiles { ca: Some(server.ca()), ..ClientFiles::default() },
        poll_ms: 50,
        troubled: false,
        folders: vec![Folder {
            folder: "A".into(),
            recipients: vec![Pinned::of(&doctor.recipient())],
            withdrawn: Vec::new(),
        }],
    }
}

/// Everything the process says until the genuine receipt comes: on the same connection, on the next one, or in a new process after an
/// attack that ended it.
async fn records(attack: Attack, doctor: &Doctor) -> (Vec<Record>, usize) {
    let server = Server::start(attack.clone(), doctor).await;
    let (sender, mut receiver) = mpsc::channel(4);
    let requests = watch::channel(request(&server, doctor)).1;
    let sinks = Sinks { records: sender, enrolments: mpsc::channel(4).0 };
    let keeper = tokio::spawn(watch_program(PathBuf::from(BINARY), requests, sinks));
    let mut all = Vec::new();
    loop {
        let next = timeout(LONG, receiver.recv()).await;
        let record = next.unwrap_or_else(|_| panic!("{}: silent after {all:?}", attack.name)).unwrap();
        let last = record.kind == Kind::Receipt(ReceiptKind::Fetched);
        all.push(record);
        if last || matches!(all.last().unwrap().kind, Kind::Refused(_)) {
            break;
        }
    }
    drop(receiver);
    timeout(LONG, keeper).await.unwrap().unwrap();
    (all, server.connections.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_servers_and_receipts_give_fixed_records_and_nothing_else() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let (doctor, other) = (Arc::new(Doctor::new()), Doctor::new());
    let attacks = attacks(&other);
    let count = attacks.len();
    let running = attacks.into_iter().map(|(attack, refusal)| {
        let doctor = doctor.clone();
        tokio::spawn(async move { (attack.name, refusal, records(attack, &doctor).await) })
    });
    for done in running.collect::<Vec<_>>() {
        let (name, refusal, (records, connections)) = done.await.unwrap();
        let last = records.last().unwrap();
        println!(
            "{name}: {:?}, {connections} connections",
            records.iter().map(|record| record.kind).collect::<Vec<_>>()
        );
        match refusal {
            Some(refusal) => {
                assert_eq!((last.kind, last.delivery), (Kind::Refused(refusal), DELIVERY), "{name}")
            }
            None => assert!(last.is_proved(&[doctor.recipient()]) && last.count == 150, "{name}"),
        }
        let fixed = |record: &Record| {
            matches!(
                record.kind,
                Kind::Confined(_) | Kind::Trouble(Trouble::Protocol | Trouble::Unreachable | Trouble::None)
            )
        };
        assert!(records[..records.len() - 1].iter().all(fixed), "{name}: {records:?}");
    }
    let log = log.0.lock().unwrap();
    let text = String::from_utf8_lossy(&log);
    println!("{count} attacks; the log has {} bytes", log.len());
    assert!(
        !text.is_empty() && !text.contains("YAMADA") && !text.contains('\x1b') && !text.contains('\x07'),
        "{text}"
    );
    assert!(log.len() < count * 2000, "{text}");
}

#[tokio::test]
#[ignore = "waits for the end of a command's time, 90 s; tests/run --long"]
async fn a_server_that_falls_silent_is_left() {
    let doctor = Doctor::new();
    let short =
        attack("a literal shorter than said", "UID FETCH", "* 1 FETCH (UID 1 BODY[1]<0> {400}\r\nTARO)\r\n");
    let (records, _) = records(short, &doctor).await;
    assert!(records.last().unwrap().is_proved(&[doctor.recipient()]));
    assert!(records.iter().any(|record| record.kind == Kind::Trouble(Trouble::Unreachable)), "{records:?}");
}
