//! An IMAP server over TLS that is hostile once, and serves one genuine receipt from then on: on the same connection as a message that came
//! since, or on the next one.

#[path = "../support/identity.rs"]
mod identity;

use base64::Engine;
use identity::identity;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use seal::ids::{DeliveryId, Digest};
use seal::mail::{MessageId, Site};
use seal::native::{Certificate, DoctorKey, Recipient, sign_receipt};
use seal::receipt::{Receipt, ReceiptKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) const DELIVERY: DeliveryId = DeliveryId([0xDE; 16]);
pub(crate) const SITE: &str = "hospital.example";

/// What the server sends in the place of an honest answer.
#[derive(Clone)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// The command it answers so (`""`: the greeting).
    pub(crate) at: &'static str,
    /// The answer, without tag.
    pub(crate) answer: Vec<u8>,
    /// It is sent again and again until the connection is closed.
    pub(crate) endless: bool,
}

pub(crate) struct Doctor {
    pub(crate) key: DoctorKey,
    pub(crate) pem: String,
}

impl Doctor {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "doctor");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { key: DoctorKey::from_pem(&key.serialize_pem(), &pem).unwrap(), pem }
    }

    pub(crate) fn recipient(&self) -> Recipient {
        Recipient::new(Certificate::from_pem(&self.pem).unwrap(), None).unwrap()
    }

    pub(crate) fn receipt(&self, instances: u32) -> Vec<u8> {
        let (cover, recipient) = (Digest([0xC0; 32]), self.recipient().certificate().digest());
        let receipt = Receipt::new(ReceiptKind::Fetched, DELIVERY, cover, recipient, 1_795_373_465);
        sign_receipt(&Receipt { instances, ..receipt }, &self.key).unwrap()
    }

    pub(crate) fn receipt_id(&self) -> String {
        let site = Site::parse(SITE).unwrap();
        MessageId::receipt(DELIVERY, ReceiptKind::Fetched, &self.recipient().certificate().digest(), &site)
            .to_string()
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) connections: Arc<AtomicUsize>,
    folder: TempDir,
}

impl Server {
    pub(crate) async fn start(attack: Attack, doctor: &Doctor) -> Self {
        let folder = TempDir::new().unwrap();
        let (ca, config) = identity();
        std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (id, body) = (doctor.receipt_id(), mail(&doctor.receipt(150)));
        let (acceptor, connections) = (TlsAcceptor::from(Arc::new(config)), Arc::new(AtomicUsize::new(0)));
        let counter = connections.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let attack = (counter.fetch_add(1, Ordering::SeqCst) == 0).then(|| attack.clone());
                let (acceptor, id, body) = (acceptor.clone(), id.clone(), body.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        let _ = converse(BufReader::new(stream), attack, &id, &body).await;
                    }
                });
            }
        });
        Self { port, connections, folder }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

pub(crate) fn mail(der: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(der) + "\r\n"
}

async fn converse(
    mut stream: BufReader<TlsStream<TcpStream>>,
    attack: Option<Attack>,
    id: &str,
    body: &str,
) -> std::io::Result<()> {
    if let Some(attack) = attack.as_ref().filter(|attack| attack.at.is_empty()) {
        strike(&mut stream, attack).await?;
    }
    stream.write_all(b"* OK ready\r\n").await?;
    stream.flush().await?;
    let (mut line, mut uid) = (String::new(), 1);
    while stream.read_line(&mut line).await? > 0 {
        let (tag, command) = line.trim_end().split_once(' ').unwrap();
        match attack.as_ref().filter(|attack| !attack.at.is_empty() && command.starts_with(attack.at)) {
            Some(attack) if uid == 1 => {
                strike(&mut stream, attack).await?;
                uid = 2;
            }
            _ => stream.write_all(honest(command, uid, id, body).as_bytes()).await?,
        }
        stream.write_all(format!("{tag} OK done\r\n").as_bytes()).await?;
        stream.flush().await?;
        line.clear();
    }
    Ok(())
}

async fn strike(stream: &mut BufReader<TlsStream<TcpStream>>, attack: &Attack) -> std::io::Result<()> {
    loop {
        stream.write_all(&attack.answer).await?;
        if !attack.endless {
            return stream.flush().await;
        }
    }
}

/// One folder with one message, the receipt.
fn honest(command: &str, uid: u32, id: &str, body: &str) -> String {
    let header = format!("Message-ID: {id}\r\n\r\n");
    match command {
        _ if command.starts_with("EXAMINE") => {
            format!("* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT {}] n\r\n", uid + 1)
        }
        _ if command.starts_with("UID SEARCH") => format!("* SEARCH {uid}\r\n"),
        _ if command.contains("HEADER.FIELDS") => format!(
            "* 1 FETCH (UID {uid} RFC822.SIZE 900 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {{{}}}\r\n{header})\r\n",
            header.len()
        ),
        // The message that the attack was of is still there, whatever was asked for.
        _ if command.starts_with("UID FETCH") && command.ends_with(" (UID)") => {
            format!("* 1 FETCH (UID {})\r\n", command.split(' ').nth(2).unwrap_or_default())
        }
        _ if command.starts_with("UID FETCH") => {
            format!("* 1 FETCH (UID {uid} BODY[1]<0> {{{}}}\r\n{body})\r\n", body.len())
        }
        _ => String::new(),
    }
}
