//! Submitting against a scripted server over TLS: what is sent, and what each fault leads to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub(crate) mod delivery;
pub(crate) mod server;

use super::*;
use delivery::{Memory, Sealed, Sender, impatient, patient, sealed};
use seal::mail::Base64Decoder;
use server::{Act, FakeServer, Taken};
use tls::TlsError;

const SIZE: u64 = 10_000_000;
const PARTS: [Part; 4] = [Part::Piece(1), Part::Piece(2), Part::Piece(3), Part::Cover];

async fn run(sealed: &Sealed, sender: &Sender, memory: &Memory) -> Result<Submission, SubmitError> {
    submit(&sealed.pieces, &sender.target(), memory).await
}

/// One fault at one line, and what came of it.
async fn fault(line: &'static str, act: Act) -> (SubmitError, FakeServer, Memory) {
    let server =
        FakeServer::start(SIZE, move |came, _| if came.starts_with(line) { act } else { Act::Normal }).await;
    let (sealed, memory) = (sealed(), Memory::default());
    let sender = Sender::new(server.port, &server.ca(), impatient());
    let error = run(&sealed, &sender, &memory).await.unwrap_err();
    (error, server, memory)
}

/// Part and body of a message as it came.
fn opened(taken: &Taken) -> (String, Vec<u8>) {
    let text = String::from_utf8(taken.octets.clone()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let id = head.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap();
    let part = MessageId::parse(id).unwrap().part().to_string();
    let (mut decoder, mut bytes) = (Base64Decoder::new(), Vec::new());
    decoder.push(body.as_bytes(), &mut bytes).unwrap();
    decoder.finish().unwrap();
    (part, bytes)
}

#[tokio::test]
async fn connections_that_were_made_ready_are_used_and_opened_once() {
    let server = FakeServer::start(SIZE, |_, _| Act::Normal).await;
    let (sealed, memory) = (sealed(), Memory::default());
    let sender = Sender::new(server.port, &server.ca(), patient());
    sender.target().server.make_ready().await;
    sender.target().server.make_ready().await;
    assert_eq!((server.connections(), server.taken().len()), (2, 0));
    assert_eq!(run(&sealed, &sender, &memory).await.unwrap().submitted, ["a", "b"]);
    assert_eq!((server.connections(), server.taken().len()), (2, 4));
}

#[tokio::test]
async fn whole_delivery_arrives_with_the_cover_last() {
    let server = FakeServer::start(SIZE, |_, _| Act::Normal).await;
    let (sealed, memory) = (sealed(), Memory::default());
    let sender = Sender::new(server.port, &server.ca(), patient());
    let submission = run(&sealed, &sender, &memory).await.unwrap();
    assert_eq!(submission.submitted, ["a", "b"]);
    assert!(submission.refused.is_empty());
    let taken = server.taken();
    assert_eq!(taken.len(), 4);
    assert_eq!(opened(&taken[3]).0, "cover");
    for message in &taken {
        let (part, bytes) = opened(message);
        assert_eq!(bytes, sealed.bytes(&part), "part {part}");
        assert_eq!(message.to, ["RCPT TO:<a@clinic.example>", "RCPT TO:<b@clinic.example>"]);
    }
    assert!(server.connections() <= 2, "two connections carry all");
    let mut accepted = memory.of("a");
    accepted.sort_by_key(|part| PARTS.iter().position(|known| known == part));
    assert_eq!(accepted, PARTS);
}

#[tokio::test]
async fn size_announced_is_size_sent_and_the_login_is_ours() {
    let server = FakeServer::start(SIZE, |_, _| Act::Normal).await;
    let sender = Sender::new(server.port, &server.ca(), patient());
    run(&sealed(), &sender, &Memory::default()).await.unwrap();
    let lines = server.lines();
    let mut announced: Vec<u64> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("MAIL FROM:<scanpost@hospital.example> SIZE="))
        .map(|size| size.parse().unwrap())
        .collect();
    let mut sent: Vec<u64> = server.taken().iter().map(|message| message.octets.len() as u64).collect();
    announced.sort_unstable();
    sent.sort_unstable();
    assert_eq!(announced, sent);
    // "\0scanpost\0correct horse"
    assert!(lines.contains(&"AUTH PLAIN AHNjYW5wb3N0AGNvcnJlY3QgaG9yc2U=".to_owned()));
    assert!(lines.contains(&"EHLO hospital.example".to_owned()));
}

#[tokio::test]
async fn what_is_recorded_is_not_sent_again() {
    let server = FakeServer::start(SIZE, |_, _| Act::Normal).await;
    let (sealed, memory) = (sealed(), Memory::default());
    let sender = Sender::new(server.port, &server.ca(), patient());
    memory.accept(Part::Piece(1), &["a".into(), "b".into()]).await.unwrap();
    memory.accept(Part::Piece(2), &["a".into()]).await.unwrap();
    run(&sealed, &sender, &memory).await.unwrap();
    let taken: Vec<_> = server.taken().iter().map(|message| (opened(message).0, message.to.len())).collect();
    assert!(taken.contains(&("2".into(), 1)) && taken.contains(&("3".into(), 2)));
    assert_eq!(taken.len(), 3);
    run(&sealed, &sender, &memory).await.unwrap();
    assert_eq!(server.taken().len(), 3, "a run after success sends nothing");
}

#[tokio::test]
async fn one_refused_recipient_does_not_hold_up_the_other() {
    let server = FakeServer::start(SIZE, |line, _| {
        if line.contains("b@clinic") { Act::Reply("450 4.2.2 mailbox full") } else { Act::Normal }
    })
    .await;
    let (sealed, memory) = (sealed(), Memory::default());
    let sender = Sender::new(server.port, &server.ca(), patient());
    let submission = run(&sealed, &sender, &memory).await.unwrap();
    assert_eq!(submission.submitted, ["a"]);
    let (name, error) = &submission.refused[0];
    assert_eq!((name.as_str(), error.code(), error.culprit()), ("b", Some(450), Culprit::Recipient));
    assert_eq!(error.persistence(), Persistence::Temporary);
    assert_eq!(
        error.to_string(),
        "the mail server refuses the mailbox b@clinic.example: 450 4.2.2 mailbox full"
    );
    assert_eq!(memory.of("a").len(), 4);
    assert!(memory.of("b").is_empty(), "no cover without all pieces");
    assert!(server.taken().iter().all(|message| message.to == ["RCPT TO:<a@clinic.example>"]));
}

#[tokio::test]
async fn only_the_missing_recipient_is_sent_to_later() {
    let server = FakeServer::start(SIZE, |line, times| match line {
        "RCPT TO:<b@clinic.example>" if times <= 2 => Act::Reply("451 try later"),
        _ => Act::Normal,
    })
    .await;
    let (sealed, memory) = (sealed(), Memory::default());
    let sender = Sender::new(server.port, &server.ca(), patient());
    run(&sealed, &sender, &memory).await.unwrap();
    let before = server.taken().len();
    let submission = run(&sealed, &sender, &memory).await.unwrap();
    assert_eq!(submission.submitted, ["a", "b"]);
    let second = &server.taken()[before..];
    assert!(second.iter().all(|message| message.to == ["RCPT TO:<b@clinic.example>"]));
    assert_eq!(opened(second.last().unwrap()).0, "cover");
    assert_eq!((memory.of("a").len(), memory.of("b").len()), (4, 4));
}

#[tokio::test]
async fn all_recipients_refused_for_good() {
    let server = FakeServer::start(SIZE, |line, _| {
        if line.starts_with("RCPT") { Act::Reply("550 5.1.1 no such user") } else { Act::Normal }
    })
    .await;
    let sender = Sender::new(server.port, &server.ca(), patient());
    let submission = run(&sealed(), &sender, &Memory::default()).await.unwrap();
    assert!(submission.submitted.is_empty());
    assert!(submission.refused.iter().all(|(_, error)| error.is_permanent() && error.code() == Some(550)));
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn replies_are_sorted_by_step_and_persistence() {
    for (line, at) in [("MAIL", Step::Mail), ("DATA", Step::Data), (".", Step::AfterDot)] {
        for (text, code) in [("452 4.3.1 out of space", 452), ("554 5.7.1 not here", 554)] {
            let (error, server, memory) = fault(line, Act::Reply(text)).await;
            let SubmitError::Refused { at: where_, reply } = &error else { panic!("{error}") };
            assert_eq!((*where_, reply.code), (at, code));
            assert_eq!(error.is_permanent(), code == 554, "{line} {text}");
            assert_eq!(error.culprit(), Culprit::MailServer);
            assert!(memory.0.lock().unwrap().is_empty() && server.taken().is_empty());
        }
    }
}

#[tokio::test]
async fn cuts_and_silence_are_temporary() {
    let steps = [
        ("EHLO", Step::Greeting),
        ("AUTH", Step::Auth),
        ("MAIL", Step::Mail),
        ("RCPT", Step::Rcpt),
        ("DATA", Step::Data),
    ];
    for (line, step) in steps {
        let (error, ..) = fault(line, Act::Cut).await;
        assert!(matches!(error, SubmitError::Lost { at } if at == step), "{line}: {error:?}");
        assert!(!error.is_permanent());
        let (error, ..) = fault(line, Act::Silence).await;
        assert!(matches!(error, SubmitError::Silent { at } if at == step), "{line}: {error:?}");
        assert!(!error.is_permanent());
    }
}

#[tokio::test]
async fn closing_reply_421_to_a_recipient_is_the_servers_trouble() {
    let (error, ..) = fault("RCPT", Act::Reply("421 shutting down")).await;
    assert!(
        matches!(&error, SubmitError::Refused { at: Step::Rcpt, reply } if reply.code == 421),
        "{error:?}"
    );
    assert!(!error.is_permanent());
}

#[tokio::test]
async fn answer_lost_after_the_dot_repeats_the_same_message() {
    let server = FakeServer::start(SIZE, |line, times| match line {
        "." if times == 1 => Act::Cut,
        _ => Act::Normal,
    })
    .await;
    let (sealed, memory) = (sealed(), Memory::default());
    let sender = Sender::new(server.port, &server.ca(), patient());
    let error = run(&sealed, &sender, &memory).await.unwrap_err();
    assert!(matches!(error, SubmitError::Lost { at: Step::AfterDot }), "{error:?}");
    let lost = server.taken()[0].clone();
    run(&sealed, &sender, &memory).await.unwrap();
    let repeated: Vec<_> = server.taken().into_iter().filter(|taken| taken.octets == lost.octets).collect();
    assert_eq!(repeated.len(), 2, "octet for octet the same, Message-ID included");
    assert_eq!(memory.of("a").len(), 4);
}

#[tokio::test]
async fn silence_after_the_dot_is_told_from_silence_before() {
    let (error, ..) = fault(".", Act::Silence).await;
    assert!(matches!(error, SubmitError::Silent { at: Step::AfterDot }), "{error:?}");
}

#[tokio::test]
async fn piece_larger_than_the_server_allows_sends_nothing() {
    let server = FakeServer::start(100_000, |_, _| Act::Normal).await;
    let sender = Sender::new(server.port, &server.ca(), patient());
    let error = run(&sealed(), &sender, &Memory::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("mail server allows 100000 bytes, piece "), "{text}");
    assert!(text.ends_with(": lower seal.piece_bytes_max"), "{text}");
    assert!(error.is_permanent() && error.culprit() == Culprit::Operator);
    assert!(!server.lines().iter().any(|line| line.starts_with("MAIL") || line == "DATA"));
}

#[tokio::test]
async fn piece_cut_on_disk_never_gets_its_dot() {
    for kept in [0, 1000, 100_000] {
        let server = FakeServer::start(SIZE, |_, _| Act::Normal).await;
        let (sealed, memory) = (sealed(), Memory::default());
        let path = sealed.folder.path().join("piece-00001");
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(kept).unwrap();
        let sender = Sender::new(server.port, &server.ca(), patient());
        let error = run(&sealed, &sender, &memory).await.unwrap_err();
        assert!(matches!(&error, SubmitError::Sealed { part: Part::Piece(1), .. }), "{error:?}");
        assert_eq!(error.culprit(), Culprit::Us);
        assert!(server.taken().iter().all(|message| opened(message).0 != "1"));
    }
}

#[tokio::test]
async fn refused_login_is_temporary_and_not_insisted_on() {
    let server = FakeServer::start(SIZE, |line, _| {
        if line.starts_with("AUTH") { Act::Reply("535 5.7.8 wrong") } else { Act::Normal }
    })
    .await;
    let (sealed, memory) = (sealed(), Memory::default());
    let sender = Sender::new(server.port, &server.ca(), patient());
    let error = run(&sealed, &sender, &memory).await.unwrap_err();
    assert!(matches!(&error, SubmitError::Login { .. }), "{error:?}");
    assert_eq!(
        (error.culprit(), error.persistence(), error.code()),
        (Culprit::Operator, Persistence::Temporary, Some(535))
    );
    let asked = server.connections();
    let error = run(&sealed, &sender, &memory).await.unwrap_err();
    assert!(matches!(error, SubmitError::Login { .. }));
    assert_eq!(server.connections(), asked, "the server is left alone for a while");
}

#[tokio::test]
async fn server_without_login_is_the_operators_matter() {
    let (error, server, _) = fault("EHLO", Act::Reply("250 fake")).await;
    assert!(matches!(error, SubmitError::NoLogin), "{error:?}");
    assert!(!server.lines().iter().any(|line| line.starts_with("MAIL")));
}

#[tokio::test]
async fn certificate_under_another_root_is_refused() {
    let (server, other) = (
        FakeServer::start(SIZE, |_, _| Act::Normal).await,
        FakeServer::start(SIZE, |_, _| Act::Normal).await,
    );
    let sender = Sender::new(server.port, &other.ca(), patient());
    let error = run(&sealed(), &sender, &Memory::default()).await.unwrap_err();
    assert!(matches!(&error, SubmitError::Tls(TlsError::Certificate { .. })), "{error:?}");
    assert_eq!((error.culprit(), error.persistence()), (Culprit::Operator, Persistence::Temporary));
    assert!(server.lines().is_empty(), "not even EHLO was said");
}

#[tokio::test]
async fn server_that_is_down_is_temporary() {
    let server = FakeServer::start(SIZE, |_, _| Act::Normal).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sender = Sender::new(closed, &server.ca(), patient());
    let error = run(&sealed(), &sender, &Memory::default()).await.unwrap_err();
    assert!(matches!(&error, SubmitError::Tls(TlsError::Unreachable { .. })), "{error:?}");
    assert_eq!((error.culprit(), error.persistence()), (Culprit::MailServer, Persistence::Temporary));
}

#[tokio::test]
async fn servers_words_are_bounded_and_escaped() {
    let long: &'static str = Box::leak(format!("554 \u{1b}[31m{}", "x".repeat(600)).into_boxed_str());
    let (error, ..) = fault("MAIL", Act::Reply(long)).await;
    let text = error.to_string();
    assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}[31m"), "{text}");
    assert!(text.chars().count() < 300, "{text}");
}

#[tokio::test]
async fn record_that_fails_stops_the_run() {
    struct Full;
    impl SubmissionRecord for Full {
        async fn accepted(&self) -> Result<HashSet<(Part, String)>, RecordError> {
            Ok(HashSet::new())
        }
        async fn accept(&self, _: Part, _: &[String]) -> Result<(), RecordError> {
            Err(RecordError("disk full".into()))
        }
    }
    let server = FakeServer::start(SIZE, |_, _| Act::Normal).await;
    let sender = Sender::new(server.port, &server.ca(), patient());
    let error = submit(&sealed().pieces, &sender.target(), &Full).await.unwrap_err();
    assert!(matches!(error, SubmitError::Record(_)) && error.culprit() == Culprit::Us);
    assert!(server.taken().iter().all(|message| opened(message).0 != "cover"));
}
