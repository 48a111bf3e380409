//! Against TLS servers on loopback that answer by the book, or not at all.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::{MustAct, NoticeId, Urgency};
use aws_lc_rs::hmac;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;
use time::macros::datetime;
use tls::ClientFiles;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const NOTICE: Notice =
    Notice { id: NoticeId([0xA5; 16]), at: datetime!(2026-11-22 17:14:59 UTC), urgency: Urgency::Urgent };
const LINE: &str = "Scanpost: URGENT, images are waiting for you. 2026-11-22 17:14 UTC";
const SECRET: &str = "geheim-token";

/// What a server does with the one connection that it takes.
#[derive(Clone, Copy)]
enum Does {
    /// Answers, and closes.
    Answers(&'static str),
    /// Says nothing.
    Hangs,
    /// Sends a body without an end.
    Floods,
}

/// A server, its root in a file, and what it was sent.
struct Server {
    port: u16,
    ca: TempDir,
    got: JoinHandle<String>,
}

impl Server {
    async fn start(does: Does, name: &str) -> Self {
        let (root, config) = identity(name);
        let ca = tempfile::tempdir().unwrap();
        std::fs::write(ca.path().join("ca.pem"), root).unwrap();
        let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = tokio::spawn(serve(listener, config, does));
        Self { port, ca, got }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    fn trust(&self) -> Trust {
        let ca = Some(self.ca.path().join("ca.pem"));
        Trust::read(&ClientFiles { ca, ..ClientFiles::default() }).unwrap()
    }

    fn channel(&self, path: &str, login: Login, template: Template) -> HttpChannel {
        let server =
            HttpServer { url: self.url(path), trust: self.trust(), login, template, answer_contains: None };
        HttpChannel::new(server).unwrap()
    }
}

fn identity(name: &str) -> (String, rustls::ServerConfig) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "test root");
    let root = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    (root, config)
}

/// Gives the request as it came; empty where none did.
async fn serve(listener: TcpListener, config: rustls::ServerConfig, does: Does) -> String {
    let (tcp, _) = listener.accept().await.unwrap();
    let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(tcp).await else { return String::new() };
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut part = [0; 4096];
        match stream.read(&mut part).await.unwrap() {
            0 => break,
            bytes => request.extend_from_slice(&part[..bytes]),
        }
    }
    match does {
        Does::Answers(answer) => {
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
        Does::Hangs => tokio::time::sleep(Duration::from_secs(60)).await,
        Does::Floods => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
        }
    }
    String::from_utf8(request).unwrap()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

fn secret(text: &'static str) -> Secret {
    Box::new(move || Some(text.to_owned()))
}

/// What a server got, and what came of it.
async fn exchange(path: &str, login: Login, template: Template, to: &str) -> (String, Value) {
    let server =
        Server::start(Does::Answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "localhost").await;
    let channel = server.channel(path, login, template);
    assert_eq!(channel.send(&NOTICE, to, Language::English).await, Ok(Accepted));
    let got = server.got.await.unwrap();
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())))
}

async fn fails(does: Does) -> NoticeError {
    let server = Server::start(does, "localhost").await;
    let mut channel = server.channel("/hook/geheim-path", Login::Bearer(secret(SECRET)), Template::Ntfy);
    channel.https.wait = Duration::from_millis(1500);
    let error = channel.send(&NOTICE, "topic", Language::English).await.unwrap_err();
    let words = error.to_string();
    assert!(!words.contains("geheim"), "a secret is told: {words}");
    error
}

#[tokio::test]
async fn ntfy_is_asked_by_its_json_interface() {
    let (head, body) = exchange("/", Login::Bearer(secret(SECRET)), Template::Ntfy, "dr-tanaka").await;
    assert!(
        head.starts_with("POST / HTTP/1.1\r\n") && head.contains("authorization: Bearer geheim-token"),
        "{head}"
    );
    let expected = json!({
        "topic": "dr-tanaka", "title": "Scanpost: URGENT, images are waiting for you", "priority": 5, "tags": ["rotating_light"],
        "message": "Images are waiting for you in Scanpost. Please open Scanpost and look at them at once.\n\n\
                    Time: 2026-11-22 17:14 UTC\nNotice: a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
        "sequence_id": "a5".repeat(16),
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_webhook_is_signed_over_its_id_its_time_and_its_body() {
    let webhook = Template::Webhook(secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"));
    let (head, body) = exchange("/hook", Login::None, webhook, "tanaka").await;
    let expected = json!({
        "type": "scanpost.notice", "timestamp": "2026-11-22T17:14:59Z",
        "data": { "id": "a5".repeat(16), "urgency": "urgent", "text": LINE, "to": "tanaka" },
    });
    assert_eq!(body, expected);
    let header = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned()
    };
    assert_eq!(header("webhook-id"), "a5".repeat(16));
    let content = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), body);
    let key: Vec<u8> = (0..24).collect();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), content.as_bytes());
    assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(tag)));
    let age =
        OffsetDateTime::now_utc().unix_timestamp() - header("webhook-timestamp").parse::<i64>().unwrap();
    assert!((0..60).contains(&age), "the time is that of the try, not of the notice");
}

#[tokio::test]
async fn teams_slack_and_line_works_get_what_they_take() {
    let (_, card) = exchange("/workflows/x", Login::None, Template::Teams, "").await;
    assert_eq!(card["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card["attachments"][0]["content"]["type"], "AdaptiveCard");
    assert_eq!(card["attachments"][0]["content"]["body"][1]["text"], LINE);
    let (_, slack) = exchange("/services/x", Login::None, Template::Slack, "").await;
    assert_eq!(slack, json!({ "text": LINE }));
    for (to, path) in [
        ("tanaka@h", "/v1.0/bots/1/users/tanaka@h/messages"),
        ("channel:r-1", "/v1.0/bots/1/channels/r-1/messages"),
    ] {
        let (head, line) =
            exchange("/v1.0/bots/1", Login::Bearer(secret("t")), Template::LineWorks, to).await;
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{head}");
        assert_eq!(line, json!({ "content": { "type": "text", "text": LINE } }));
    }
}

#[tokio::test]
async fn a_gateway_of_text_messages_gets_what_the_operator_wrote() {
    let body = Body::new(Format::Form, json!({ "To": "{to}", "Body": "{text}", "Ref": "{id}" })).unwrap();
    let login = Login::Basic { user: "site".into(), password: secret("pass:word") };
    let (head, form) = exchange("/send", login, Template::Sms(body), "+819012345678").await;
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
    assert!(head.contains(&format!("authorization: Basic {}", STANDARD.encode("site:pass:word"))), "{head}");
    let form: Vec<_> = form_urlencoded::parse(form.as_str().unwrap().as_bytes()).into_owned().collect();
    let expected = [("Body", LINE), ("Ref", &"a5".repeat(16)), ("To", "+819012345678")];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn an_answer_must_have_the_agreed_words_in_it() {
    for (words, taken) in [("\"queued\"", true), ("\"sent\"", false)] {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"status\":\"queued\"}";
        let server = Server::start(Does::Answers(answer), "localhost").await;
        let mut channel = server.channel("/", Login::None, Template::Ntfy);
        channel.answer_contains = Some(words.to_owned());
        let sent = channel.send(&NOTICE, "topic", Language::English).await;
        assert_eq!(sent.is_ok(), taken, "{words}");
        assert!(sent.is_ok() || sent.unwrap_err().is_permanent());
    }
}

#[tokio::test]
async fn each_status_says_whether_to_try_again_and_who_must_act() {
    for (answer, permanent, who, words) in [
        ("HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", false, MustAct::Server, "now: 500 Internal"),
        ("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", false, MustAct::Server, "now: 503"),
        ("HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n", false, MustAct::Server, "now: 429"),
        ("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", false, MustAct::Operator, "login: 401"),
        ("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n", false, MustAct::Operator, "login: 403"),
        (
            "HTTP/1.1 400 x\r\nContent-Length: 6\r\n\r\ngeheim",
            true,
            MustAct::Operator,
            "refuses the notice: 400 Bad Request",
        ),
        ("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n", true, MustAct::Operator, "refuses the notice: 404"),
        (
            "HTTP/1.1 301 x\r\nLocation: https://localhost/geheim\r\nContent-Length: 0\r\n\r\n",
            true,
            MustAct::Operator,
            "elsewhere: 301, which is not followed",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut",
            false,
            MustAct::Server,
            "without a whole answer",
        ),
        ("not HTTP at all\r\n\r\n", false, MustAct::Server, "without a whole answer"),
    ] {
        let error = fails(Does::Answers(answer)).await;
        assert_eq!((error.is_permanent(), error.must_act()), (permanent, who), "{answer}: {error}");
        assert!(error.to_string().contains(words), "{words} not in: {error}");
    }
}

#[tokio::test]
async fn who_asks_to_be_left_alone_says_for_how_long() {
    let now = datetime!(2026-11-22 17:14:59 UTC);
    let after = |text: &str| {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]), now)
    };
    assert_eq!(after("120"), Some(Duration::from_secs(120)));
    assert_eq!(after("Sun, 22 Nov 2026 17:15:29 GMT"), Some(Duration::from_secs(30)));
    for text in ["", "soon", "-3", "Sun, 22 Nov 2026 17:00:00 GMT"] {
        assert_eq!(after(text), None, "{text}");
    }
    let error = fails(Does::Answers("HTTP/1.1 429 x\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn one_that_hangs_or_never_ends_is_left_in_time() {
    let began = Instant::now();
    let silent = fails(Does::Hangs).await;
    assert!(!silent.is_permanent() && silent.to_string().contains("does not answer in time"), "{silent}");
    let flood = fails(Does::Floods).await;
    assert!(flood.is_permanent() && flood.to_string().contains("more than 65536 bytes"), "{flood}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_server_that_may_not_be_trusted_gets_no_request() {
    let answer = Does::Answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let server = Server::start(answer, "other.example").await;
    let channel = server.channel("/", Login::Bearer(secret(SECRET)), Template::Ntfy);
    let error = channel.send(&NOTICE, "topic", Language::English).await.unwrap_err();
    assert!(matches!(error, NoticeError::Tls(_)) && error.must_act() == MustAct::Operator, "{error}");
    assert!(!error.is_permanent(), "the notice waits for a right certificate");
    assert_eq!(server.got.await.unwrap(), "");
}

#[tokio::test]
async fn what_nobody_listens_for_is_tried_again() {
    let server = Server::start(Does::Hangs, "localhost").await;
    let channel = server.channel("/", Login::None, Template::Ntfy);
    server.got.abort();
    let _ = server.got.await;
    let error = channel.send(&NOTICE, "topic", Language::English).await.unwrap_err();
    assert!(!error.is_permanent() && error.must_act() == MustAct::Server, "{error}");
}

#[tokio::test]
async fn only_https_is_a_server_and_only_good_addresses_are_asked_for() {
    let trust = || Trust::read(&ClientFiles { ca: None, ..ClientFiles::default() }).unwrap();
    for url in ["http://ntfy.example/", "https://user:geheim@ntfy.example/", "ntfy.example", "https://"] {
        let server = HttpServer {
            url: url.to_owned(),
            trust: trust(),
            login: Login::None,
            template: Template::Ntfy,
            answer_contains: None,
        };
        let error = HttpChannel::new(server).err().unwrap();
        assert!(error.is_permanent() && !error.to_string().contains("geheim"), "{url}: {error}");
    }
    assert_eq!(host_of("https://ntfy.example:8443/x"), Some(("ntfy.example".to_owned(), 8443)));
    assert_eq!(host_of("http://ntfy.example/x"), None);
}

#[tokio::test]
async fn without_its_secret_nothing_is_sent() {
    let server = Server::start(Does::Hangs, "localhost").await;
    for (login, template) in [
        (Login::Bearer(Box::new(|| None)), Template::Ntfy),
        (Login::Bearer(secret("a\nb")), Template::Ntfy),
        (Login::None, Template::Webhook(secret("whsec_c2hvcnQ="))),
    ] {
        let to = if matches!(template, Template::Ntfy) { "topic" } else { "" };
        let error =
            server.channel("/", login, template).send(&NOTICE, to, Language::English).await.unwrap_err();
        assert!(matches!(error, NoticeError::Secret { .. }) && !error.is_permanent(), "{error}");
    }
    assert!(!server.got.is_finished());
    server.got.abort();
}
