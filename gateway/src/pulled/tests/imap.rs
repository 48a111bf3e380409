//! An IMAP server over TLS that knows just the commands that looking for receipts takes, on folders that a test fills.

use crate::submit::tests::server::identity;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(super) const PASSWORD: &str = "correct horse";

/// Message-ID line and body of each message, by UID from 1.
pub(super) type Folders = BTreeMap<String, Vec<(String, String)>>;

pub(super) struct FakeImap {
    pub(super) port: u16,
    pub(super) folders: Arc<Mutex<Folders>>,
    folder: TempDir,
}

impl FakeImap {
    pub(super) async fn start(names: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let (ca, config) = identity();
        std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let empty = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        let folders: Arc<Mutex<Folders>> = Arc::new(Mutex::new(empty));
        let (acceptor, shared) = (TlsAcceptor::from(Arc::new(config)), folders.clone());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, folders) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        let _ = converse(BufReader::new(stream), &folders).await;
                    }
                });
            }
        });
        Self { port, folders, folder }
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(super) fn put(&self, folder: &str, id: &str, body: &[u8]) {
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD.encode(body);
        let message = (format!("Message-ID: {id}\r\n\r\n"), format!("{body}\r\n"));
        self.folders.lock().unwrap().get_mut(folder).unwrap().push(message);
    }
}

async fn converse<S>(mut stream: BufReader<S>, folders: &Mutex<Folders>) -> std::io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(b"* OK ready\r\n").await?;
    stream.flush().await?;
    let mut open = String::new();
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let (tag, command) = line.trim_end().split_once(' ').unwrap();
        let answer = answer(command, &mut open, &folders.lock().unwrap());
        let (untagged, done) = answer.unwrap_or_else(|| (String::new(), "NO [NONEXISTENT] no".to_owned()));
        stream.write_all(format!("{untagged}{tag} {done}\r\n").as_bytes()).await?;
        stream.flush().await?;
        line.clear();
    }
    Ok(())
}

/// Untagged lines, and what follows the tag; none: NO.
fn answer(command: &str, open: &mut String, folders: &Folders) -> Option<(String, String)> {
    let done = "OK done".to_owned();
    let messages = || folders.get(open.as_str());
    if command.starts_with("LOGIN") {
        return command.contains(&format!("\"{PASSWORD}\"")).then_some((String::new(), done));
    }
    if let Some(name) = command.strip_prefix("EXAMINE ") {
        let name = name.trim_matches('"');
        let next = folders.get(name)?.len() + 1;
        *open = name.to_owned();
        return Some((format!("* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT {next}] n\r\n"), done));
    }
    if let Some(rest) = command.strip_prefix("UID SEARCH UID ") {
        let from: usize = rest.split(':').next()?.parse().ok()?;
        let needle = rest.rsplit('"').nth(1)?;
        let hits =
            messages()?.iter().enumerate().filter(|(at, (id, _))| at + 1 >= from && id.contains(needle));
        let uids: Vec<String> = hits.map(|(at, _)| (at + 1).to_string()).collect();
        return Some((format!("* SEARCH {}\r\n", uids.join(" ")), done));
    }
    let (set, query) = command.strip_prefix("UID FETCH ")?.split_once(' ')?;
    let mut text = String::new();
    for uid in set.split(',').map(|uid| uid.parse::<usize>().unwrap()) {
        let (id, body) = messages()?.get(uid - 1)?;
        let item = if query.contains("HEADER.FIELDS") {
            format!(
                "RFC822.SIZE {} BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {{{}}}\r\n{id}",
                body.len() + id.len(),
                id.len()
            )
        } else {
            let range = query.rsplit_once('<')?.1.trim_end_matches(['>', ')']);
            let (offset, length) = range.split_once('.')?;
            let (offset, length): (usize, usize) = (offset.parse().ok()?, length.parse().ok()?);
            let part = body.get(offset..body.len().min(offset + length)).unwrap_or_default();
            format!("BODY[1]<{offset}> {{{}}}\r\n{part}", part.len())
        };
        text.push_str(&format!("* {uid} FETCH (UID {uid} {item})\r\n"));
    }
    Some((text, done))
}
