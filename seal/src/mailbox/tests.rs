//! What a server may do wrong, on a scripted one over TLS. How it goes right is tested against Dovecot in the reader.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use tempfile::TempDir;
use tls::TlsError;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const OK: &str = "TAG OK done\r\n";
const OPENED: &str = "* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 2] n\r\nTAG OK done\r\n";
const SECRET: &str = "YAMADA^TARO";
const LONG: Duration = Duration::from_secs(10);

/// Start of a command, and the answer to it.
type Script = &'static [(&'static str, &'static str)];
/// Whether an error is the one expected.
type Check = fn(&MailboxError) -> bool;

struct Server {
    config: MailboxConfig,
    _folder: TempDir,
}

/// Answers each command by the first entry whose start it has; `TAG` stands for the command's tag. An empty answer hangs up.
async fn server(script: Script) -> Server {
    let folder = TempDir::new().unwrap();
    let (ca, identity) = identity();
    let tls = ClientFiles { ca: Some(folder.path().join("ca.pem")), ..ClientFiles::default() };
    std::fs::write(tls.ca.as_ref().unwrap(), ca).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(identity));
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(tcp).await else { return };
                let mut stream = BufReader::new(stream);
                let _ = stream.write_all(b"* OK ready\r\n").await;
                let _ = stream.flush().await;
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
                    let answer = script
                        .iter()
                        .find(|(start, _)| command.starts_with(start))
                        .map_or(OK, |(_, answer)| answer);
                    if answer.is_empty() {
                        return;
                    }
                    let _ = stream.write_all(answer.replace("TAG", tag).as_bytes()).await;
                    let _ = stream.flush().await;
                    line.clear();
                }
            });
        }
    });
    let (host, user, password) = ("localhost".into(), "doctor".into(), "correct horse".into());
    let config = MailboxConfig { host, port, user, password, tls, folders: vec!["INBOX".into()] };
    Server { config, _folder: folder }
}

fn identity() -> (String, ServerConfig) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    (ca_pem, config)
}

async fn connect(server: &Server) -> Result<Mailbox, MailboxError> {
    Mailbox::connect_within(&server.config, Duration::from_secs(10), Duration::from_millis(500)).await
}

fn found() -> Found {
    let id = MessageId::parse("<abababababababababababababababab.1@hospital.example>").unwrap();
    Found { folder: "INBOX".into(), uid: ImapUid(1), uid_validity: 7, id, rfc822_size: 100 }
}

/// Fetches from a server that answers FETCH so; afterwards the connection must be given up or still work.
async fn fetch(script: Script, bytes_max: u64) -> (Result<Vec<u8>, MailboxError>, Mailbox) {
    let server = server(script).await;
    let mut mailbox = connect(&server).await.unwrap();
    let mut bytes = Vec::new();
    let fetched = mailbox.fetch_body(&found(), &mut bytes, bytes_max).await;
    (fetched.map(|_| bytes), mailbox)
}

#[tokio::test]
async fn body_comes_back() {
    let answer = "* 1 FETCH (UID 1 BODY[1]<0> {6}\r\nYWJj\r\n)\r\nTAG OK done\r\n";
    let script = Box::leak(Box::new([("EXAMINE", OPENED), ("UID FETCH", answer)]));
    assert_eq!(fetch(script, 3).await.0.unwrap(), b"abc");
}

/// As Dovecot answers where another client has moved or expunged the message since the folder was opened.
#[tokio::test]
async fn a_message_that_is_moved_while_it_is_fetched_is_gone_and_not_empty() {
    let nothing = "* 1 FETCH (UID 1 BODY[1]<0> NIL)\r\n* 1 EXPUNGE\r\nTAG OK [EXPUNGEISSUED] gone\r\n";
    let script =
        Box::leak(Box::new([("EXAMINE", OPENED), ("UID FETCH 1 (UID)", OK), ("UID FETCH", nothing)]));
    let (fetched, mut mailbox) = fetch(script, 10).await;
    assert!(matches!(fetched, Err(MailboxError::Gone)), "{fetched:?}");
    assert!(mailbox.open_folder("INBOX").await.is_ok());
    let there = "* 1 FETCH (UID 1)\r\nTAG OK done\r\n";
    let script =
        Box::leak(Box::new([("EXAMINE", OPENED), ("UID FETCH 1 (UID)", there), ("UID FETCH", nothing)]));
    assert_eq!(fetch(script, 10).await.0.unwrap(), b"", "a message without a body");
}

#[tokio::test]
async fn refusals_are_not_taken_for_empty_answers() {
    let (fetched, mut mailbox) =
        fetch(&[("EXAMINE", OPENED), ("UID FETCH", "TAG NO [SERVERBUG] later\r\n")], 10).await;
    assert!(matches!(fetched, Err(MailboxError::Refused { during: "FETCH" })), "{fetched:?}");
    assert!(mailbox.open_folder("INBOX").await.is_ok(), "a refusal leaves the connection usable");
    let server = server(&[("EXAMINE", OPENED), ("UID SEARCH", "TAG NO not now\r\n")]).await;
    let mut mailbox = connect(&server).await.unwrap();
    assert!(matches!(mailbox.covers(None).await, Err(MailboxError::Refused { during: "SEARCH" })));
}

#[tokio::test]
async fn a_lost_connection_is_not_taken_for_an_empty_answer() {
    for script in [
        &[("EXAMINE", OPENED), ("UID FETCH", "")],
        &[("EXAMINE", OPENED), ("UID FETCH", "* BYE going down\r\n")],
        &[("EXAMINE", OPENED), ("UID FETCH", "* 1 FETCH (UID 1 BODY[1]<0> {100}\r\nYWJj")],
    ] {
        let (fetched, mut mailbox) = fetch(script, 10).await;
        assert!(matches!(fetched, Err(MailboxError::Lost { during: "FETCH" })), "{script:?} {fetched:?}");
        assert!(matches!(mailbox.open_folder("INBOX").await, Err(MailboxError::Lost { .. })));
    }
}

#[tokio::test]
async fn what_cannot_be_parsed_is_not_repeated_and_ends_the_connection() {
    let script = &[
        ("EXAMINE", OPENED),
        ("UID FETCH", "* 1 FETCH (UID 1 BODY[1]<0> ~{11}\r\nYAMADA^TARO)\r\nTAG OK done\r\n"),
    ];
    let (fetched, mut mailbox) = fetch(script, 100).await;
    let error = fetched.unwrap_err();
    assert!(matches!(error, MailboxError::Protocol { during: "FETCH" }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(SECRET));
    assert!(matches!(mailbox.open_folder("INBOX").await, Err(MailboxError::Lost { .. })));
}

#[tokio::test]
async fn a_server_that_sends_more_than_asked_for_is_cut_off() {
    let flood: &'static str =
        Box::leak(format!("* 1 FETCH (UID 1 BODY[1]<0> {{9000000}}\r\n{}", "A".repeat(9_000_000)).into());
    let script = Box::leak(Box::new([("EXAMINE", OPENED), ("UID FETCH", flood)]));
    let (fetched, _) = fetch(script, 100).await;
    assert!(matches!(fetched, Err(MailboxError::Protocol { .. })), "{fetched:?}");
}

#[tokio::test]
async fn body_beyond_the_limit_or_not_base64() {
    let script = &[
        ("EXAMINE", OPENED),
        ("UID FETCH", "* 1 FETCH (UID 1 BODY[1]<0> {8}\r\nYWJjYWJj)\r\nTAG OK done\r\n"),
    ];
    assert!(matches!(fetch(script, 5).await.0, Err(MailboxError::TooLarge { bytes_max: 5 })));
    let script = &[
        ("EXAMINE", OPENED),
        ("UID FETCH", "* 1 FETCH (UID 1 BODY[1]<0> {8}\r\n<html>..)\r\nTAG OK done\r\n"),
    ];
    assert!(matches!(fetch(script, 50).await.0, Err(MailboxError::NotBase64)));
}

#[tokio::test]
async fn message_that_is_gone_is_said_to_be_gone() {
    assert!(matches!(fetch(&[("EXAMINE", OPENED), ("UID FETCH", OK)], 5).await.0, Err(MailboxError::Gone)));
    let rebuilt = &[("EXAMINE", "* OK [UIDVALIDITY 8] v\r\nTAG OK done\r\n")];
    assert!(matches!(fetch(rebuilt, 5).await.0, Err(MailboxError::Gone)), "another UIDVALIDITY");
}

#[tokio::test]
async fn foreign_messages_do_no_harm() {
    let listing = "* 1 FETCH (UID 1 RFC822.SIZE 9 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {28}\r\nMessage-ID: <.cover@x.y>\r\n\r\n)\r\n\
        * 2 FETCH (UID 2 RFC822.SIZE 9 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {75}\r\n\
        Message-ID:\r\n <abababababababababababababababab.cover@hospital.example>\r\n\r\n)\r\n\
        * 3 FETCH (FLAGS (\\Seen))\r\nTAG OK done\r\n";
    let script = Box::leak(Box::new([
        ("EXAMINE", OPENED),
        ("UID SEARCH", "* SEARCH 1 2 3\r\nTAG OK\r\n"),
        ("UID FETCH", listing),
    ]));
    let server = server(script).await;
    let covers = connect(&server).await.unwrap().covers(Some("hospital.example")).await.unwrap();
    assert_eq!(covers.iter().map(|cover| cover.uid).collect::<Vec<_>>(), [ImapUid(2)]);
}

#[tokio::test]
async fn append_refused_by_who_must_act() {
    let cases: [(Script, Check); 3] = [
        (&[("APPEND", "TAG NO [OVERQUOTA] full\r\n")], |error| matches!(error, MailboxError::Quota { .. })),
        (&[("APPEND", "TAG NO [TRYCREATE] none\r\n")], |error| {
            matches!(error, MailboxError::NoFolder { .. })
        }),
        (&[("APPEND", "TAG NO never\r\n")], |error| matches!(error, MailboxError::Refused { .. })),
    ];
    for (script, expected) in cases {
        let server = server(script).await;
        let error = connect(&server).await.unwrap().append("INBOX", b"A: b\r\n\r\nc\r\n").await.unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
}

#[tokio::test]
async fn logins_by_who_must_act() {
    let cases: [(Script, Check); 4] = [
        (&[("LOGIN", "TAG NO [AUTHENTICATIONFAILED] no\r\n")], |error| {
            matches!(error, MailboxError::Login { .. })
        }),
        (&[("LOGIN", "TAG NO [UNAVAILABLE] later\r\n")], |error| {
            matches!(error, MailboxError::Refused { .. })
        }),
        (&[("LOGIN", "")], |error| matches!(error, MailboxError::Lost { .. })),
        (&[("LOGIN", "TAG BAD what\r\n")], |error| matches!(error, MailboxError::Protocol { .. })),
    ];
    for (script, expected) in cases {
        let error = connect(&server(script).await).await.unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
}

#[tokio::test]
async fn certificate_under_another_root_is_refused() {
    let (one, other) = (server(&[]).await, server(&[]).await);
    let config = MailboxConfig { tls: other.config.tls.clone(), ..one.config.clone() };
    let error = Mailbox::connect(&config).await.unwrap_err();
    assert!(matches!(error, MailboxError::Tls(TlsError::Certificate { .. })), "{error:?}");
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn silence_is_a_lost_connection() {
    let (fetched, _) = fetch(&[("EXAMINE", OPENED), ("UID FETCH", "* OK still thinking\r\n")], 5).await;
    assert!(matches!(fetched, Err(MailboxError::Lost { during: "FETCH" })), "{fetched:?}");
}

#[tokio::test]
async fn commands_cannot_be_smuggled_into_a_folder_name() {
    let mut mailbox = connect(&server(&[("EXAMINE", OPENED)]).await).await.unwrap();
    for folder in ["a\r\nx DELETE INBOX", "\u{65e5}\u{672c}", "a\0b"] {
        assert!(matches!(mailbox.open_folder(folder).await, Err(MailboxError::Unsendable { .. })));
    }
    assert_eq!(quoted("a\"b\\c").unwrap(), "\"a\\\"b\\\\c\"");
}

/// Dovecot tells of a message that comes while another is fetched beside the answer to the fetch, and never again.
#[tokio::test]
async fn what_came_before_idle_is_not_waited_for() {
    let fetched = "* 1 FETCH (UID 1 BODY[1]<0> {6}\r\nYWJj\r\n)\r\n* 2 EXISTS\r\nTAG OK done\r\n";
    let idle = "+ idling\r\n";
    let opened = "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 2] n\r\nTAG OK done\r\n";
    let script = Box::leak(Box::new([("EXAMINE", opened), ("UID FETCH", fetched), ("IDLE", idle)]));
    let server = server(script).await;
    let mut mailbox = connect(&server).await.unwrap();
    mailbox.fetch_body(&found(), &mut Vec::new(), 3).await.unwrap();
    assert!(mailbox.idle(Duration::from_secs(30)).await.unwrap());
    // What the server says as the folder is opened is no change: then it is waited, here in vain.
    mailbox.open_folder("INBOX").await.unwrap();
    let waited =
        tokio::time::timeout(Duration::from_millis(300), mailbox.idle(Duration::from_secs(30))).await;
    assert!(waited.is_err(), "{waited:?}");
}

const KEEPS: &str = "* CAPABILITY IMAP4rev1 quota QUOTA=RES-STORAGE\r\nTAG OK done\r\n";

/// What a server's answer to GETQUOTAROOT is taken for, and whether the connection still works.
async fn fill(answer: &'static str) -> (Result<Option<u8>, MailboxError>, bool) {
    let script =
        Box::leak(Box::new([("CAPABILITY", KEEPS), ("GETQUOTAROOT \"INBOX\"", answer), ("EXAMINE", OPENED)]));
    let server = server(script).await;
    let mut mailbox = connect(&server).await.unwrap();
    let fill = mailbox.fill("INBOX").await.map(|fill| fill.map(Fill::percent));
    (fill, mailbox.open_folder("INBOX").await.is_ok())
}

#[tokio::test]
async fn how_full_a_mailbox_is() {
    for (answer, expected) in [
        (
            "* QUOTAROOT INBOX \"User quota\"\r\n* QUOTA \"User quota\" (STORAGE 1741 2048)\r\nTAG OK done\r\n",
            Some(85),
        ),
        (
            "* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 10 512 MESSAGE 19 20)\r\nTAG OK done\r\n",
            Some(95),
        ),
        // The domain's is fuller than the user's; what belongs to other folders does not count.
        (
            "* QUOTAROOT INBOX u d\r\n* QUOTA d (STORAGE 9 10)\r\n* QUOTA u (STORAGE 1 10)\r\n* QUOTA x (STORAGE 1 1)\r\nTAG OK done\r\n",
            Some(90),
        ),
        ("* QUOTAROOT INBOX u\r\n* QUOTA u ()\r\nTAG OK done\r\n", None),
        ("* QUOTAROOT INBOX\r\nTAG OK done\r\n", None),
        ("TAG OK done\r\n", None),
        ("TAG NO [NOPERM] not yours\r\n", None),
    ] {
        let (fill, works) = fill(answer).await;
        assert_eq!(fill.unwrap(), expected, "{answer}");
        assert!(works, "{answer}");
    }
}

#[tokio::test]
async fn numbers_of_a_quota_that_lie_are_bounded() {
    for (numbers, expected) in [
        ("STORAGE 18446744073709551615 1", Some(100)),
        ("STORAGE 18446744073709551615 18446744073709551615", Some(100)),
        ("STORAGE 18446744073709551614 18446744073709551615", Some(99)),
        ("STORAGE 300 200", Some(100)),
        ("STORAGE 5 0", None),
        ("MAILBOX 99 100 ANNOTATION-STORAGE 100 100", None),
    ] {
        let answer = format!("* QUOTAROOT INBOX u\r\n* QUOTA u ({numbers})\r\nTAG OK done\r\n");
        let (fill, works) = fill(answer.leak()).await;
        assert_eq!(fill.unwrap(), expected, "{numbers}");
        assert!(works, "{numbers}");
    }
}

#[tokio::test]
async fn a_server_without_quota_is_not_asked() {
    for capabilities in ["* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n", OK] {
        let script =
            Box::leak(Box::new([("CAPABILITY", capabilities), ("GETQUOTAROOT", "TAG BAD what\r\n")]));
        let server = server(script).await;
        assert_eq!(connect(&server).await.unwrap().fill("INBOX").await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_answer_about_the_quota_that_is_none_ends_the_connection() {
    let many = format!("* QUOTAROOT INBOX{}\r\nTAG OK done\r\n", " u".repeat(17));
    let quotas =
        format!("* QUOTAROOT INBOX u\r\n{}TAG OK done\r\n", "* QUOTA u (STORAGE 1 2)\r\n".repeat(17));
    let flood = "* QUOTA u (STORAGE 1 2)\r\n".repeat(2_000);
    for answer in [
        "TAG BAD what\r\n",
        "* QUOTA u (STORAGE 99999999999999999999 1)\r\nTAG OK done\r\n",
        "* QUOTA u (STORAGE -1 1)\r\nTAG OK done\r\n",
        "* QUOTA u (STORAGE YAMADA^TARO)\r\nTAG OK done\r\n",
        many.leak(),
        quotas.leak(),
        flood.leak(),
    ] {
        let error = fill(answer).await.0.unwrap_err();
        assert!(matches!(error, MailboxError::Protocol { .. }), "{answer:.80} {error:?}");
        assert!(!format!("{error} {error:?}").contains(SECRET));
    }
    assert!(matches!(fill("* QUOTAROOT INBOX u\r\n").await.0, Err(MailboxError::Lost { .. })), "silence");
}

#[tokio::test]
async fn folders_that_hold_no_mail_are_not_listed_and_names_are_taken_as_they_are() {
    let list = "* LIST (\\HasNoChildren) \"/\" INBOX\r\n* LIST (\\Noselect) \"/\" a\r\n* LIST (\\NonExistent) \"/\" b\r\n\
        * LIST (\\HasNoChildren \\All) \"/\" \"All Mail\"\r\n* LIST (\\Archive) \"/\" Archive/&T92hew-\r\n* LIST () NIL {4}\r\na\\\"b\r\n\
        * LIST () \"/\" \"c\\\"d\"\r\nTAG OK done\r\n";
    let server =
        server(Box::leak(Box::new([("LIST \"\" \"*\"", list), ("LIST \"\" \"Arch*\"", list)]))).await;
    let mut mailbox = connect(&server).await.unwrap();
    let listed = mailbox.list("").await.unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|one| (one.name.as_str(), one.is_sendable, one.is_view, one.is_place_for_moved))
        .collect();
    let expected = [
        ("INBOX", true, false, false),
        ("All Mail", true, true, false),
        ("Archive/&T92hew-", true, false, true),
        ("a\\\"b", false, false, false),
        ("c\\\"d", false, false, false),
    ];
    assert_eq!(names, expected);
    let within: Vec<_> = mailbox.list("Arch").await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(within, ["Archive/&T92hew-"], "a server that lists more than was asked for");
}

#[tokio::test]
async fn the_delimiter_is_asked_for_where_the_folder_is() {
    for (answer, expected) in [
        ("* LIST (\\Noselect) \"/\" shared/\r\nTAG OK done\r\n", Some('/')),
        ("* LIST (\\Noselect) \"\\\\\" \"\"\r\nTAG OK done\r\n", Some('\\')),
        ("* LIST (\\Noselect) NIL \"\"\r\nTAG OK done\r\n", None),
    ] {
        let server = server(Box::leak(Box::new([("LIST \"shared/a\" \"\"", answer)]))).await;
        assert_eq!(
            connect(&server).await.unwrap().delimiter("shared/a").await.unwrap(),
            expected,
            "{answer}"
        );
    }
    let server = server(&[("LIST \"shared/a\" \"\"", OK)]).await;
    let error = connect(&server).await.unwrap().delimiter("shared/a").await.unwrap_err();
    assert!(matches!(error, MailboxError::Refused { .. }), "no answer is not: one level");
}

#[tokio::test]
async fn a_list_without_end_is_cut_off() {
    let many = "* LIST () \"/\" a\r\n".repeat(10_001) + OK;
    let flood = "* LIST () \"/\" a\r\n".repeat(300_000);
    for (list, is_expected) in [
        (many, (|error| matches!(error, MailboxError::TooManyFolders { .. })) as Check),
        (flood, |error| matches!(error, MailboxError::Protocol { .. })),
    ] {
        let server = server(Box::leak(Box::new([("LIST", list.leak() as &str)]))).await;
        // Not how long it takes is looked at, but where it ends.
        let mut mailbox = Mailbox::connect_within(&server.config, LONG, LONG).await.unwrap();
        let error = mailbox.list("").await.unwrap_err();
        assert!(is_expected(&error), "{error:?}");
    }
}

#[tokio::test]
async fn moved_pieces_are_found_and_a_folder_that_cannot_be_searched_hides_no_other() {
    let list = "* LIST () \"/\" INBOX\r\n* LIST () \"/\" closed\r\n* LIST () \"/\" virtual\r\n* LIST () \"/\" Archive\r\nTAG OK done\r\n";
    let piece = "* 1 FETCH (UID 1 RFC822.SIZE 9 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {69}\r\n\
        Message-ID: <abababababababababababababababab.1@hospital.example>\r\n\r\n)\r\n\
        * 2 FETCH (UID 2 RFC822.SIZE 9 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {69}\r\n\
        Message-ID: <abababababababababababababababab.2@hospital.example>\r\n\r\n)\r\nTAG OK done\r\n";
    let script = Box::leak(Box::new([
        ("LIST", list),
        ("EXAMINE \"INBOX\"", "TAG NO it is configured\r\n"),
        ("EXAMINE \"closed\"", "TAG NO [NOPERM] no\r\n"),
        ("EXAMINE \"virtual\"", "TAG NO [UNAVAILABLE] no\r\n"),
        ("EXAMINE", OPENED),
        ("UID SEARCH", "* SEARCH 1\r\nTAG OK done\r\n"),
        ("UID FETCH", piece),
    ]));
    let server = server(script).await;
    let moved = connect(&server).await.unwrap().moved_pieces(DeliveryId([0xAB; 16])).await.unwrap();
    let places: Vec<_> = moved.iter().map(|found| (found.folder.as_str(), found.uid)).collect();
    assert_eq!(places, [("Archive", ImapUid(1))], "and no message that was not asked for");
    // The name of a person's folder goes into no log.
    let gone = Found { folder: "closed".into(), ..moved[0].clone() };
    let error = connect(&server).await.unwrap().body_octets(&gone).await.unwrap_err();
    assert!(matches!(error, MailboxError::Gone), "{error:?}");
}
