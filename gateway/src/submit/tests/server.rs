//! A mail server over implicit TLS that answers as a script says, for replies that no real server can be asked to give.

#[path = "../../../tests/support/identity.rs"]
mod identity;

pub(crate) use identity::identity;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What to answer instead of the normal reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Normal,
    Reply(&'static str),
    Cut,
    Silence,
}

/// `(line, n)`: the n-th time, from 1, that exactly this line came; `.` stands for the end of a message.
pub(super) type Script = Box<dyn Fn(&str, usize) -> Act + Send + Sync>;

#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) to: Vec<String>,
    pub(super) octets: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) connections: usize,
    pub(super) lines: Vec<String>,
    pub(super) taken: Vec<Taken>,
}

pub(super) struct FakeServer {
    pub(super) port: u16,
    pub(super) log: Arc<Mutex<Log>>,
    folder: TempDir,
}

struct Session {
    size: u64,
    script: Arc<Script>,
    log: Arc<Mutex<Log>>,
}

impl FakeServer {
    pub(super) async fn start(
        size: u64,
        script: impl Fn(&str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let (ca, config) = identity();
        std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Log::default()));
        let script: Arc<Script> = Arc::new(Box::new(script));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(accept(listener, acceptor, size, script, log.clone()));
        Self { port, log, folder }
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(super) fn taken(&self) -> Vec<Taken> {
        self.log.lock().unwrap().taken.clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().lines.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    size: u64,
    script: Arc<Script>,
    log: Arc<Mutex<Log>>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        log.lock().unwrap().connections += 1;
        let (acceptor, session) =
            (acceptor.clone(), Session { size, script: script.clone(), log: log.clone() });
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(tcp).await {
                let _ = session.converse(BufReader::new(stream)).await;
            }
        });
    }
}

impl Session {
    async fn converse(&self, mut stream: BufReader<TlsStream<TcpStream>>) -> std::io::Result<()> {
        stream.write_all(b"220 fake ESMTP\r\n").await?;
        let mut to = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_owned();
            let reply = match self.act(&line) {
                Act::Normal => self.normal(&line),
                Act::Reply(reply) => format!("{reply}\r\n"),
                Act::Cut => return Ok(()),
                Act::Silence => std::future::pending().await,
            };
            if reply.starts_with("2") && line.starts_with("RCPT") {
                to.push(line.clone());
            }
            stream.write_all(reply.as_bytes()).await?;
            stream.flush().await?;
            if reply.starts_with("354") && !self.message(&mut stream, std::mem::take(&mut to)).await? {
                return Ok(());
            }
        }
    }

    /// False: hang up.
    async fn message(
        &self,
        stream: &mut BufReader<TlsStream<TcpStream>>,
        to: Vec<String>,
    ) -> std::io::Result<bool> {
        let mut octets = Vec::new();
        loop {
            let start = octets.len();
            if stream.read_until(b'\n', &mut octets).await? == 0 {
                return Ok(false);
            }
            if &octets[start..] == b".\r\n" {
                octets.truncate(start);
                break;
            }
        }
        let reply = match self.act(".") {
            Act::Normal => "250 queued".to_owned(),
            Act::Reply(reply) => reply.to_owned(),
            // Taken, but the answer is lost.
            Act::Cut => {
                self.log.lock().unwrap().taken.push(Taken { to, octets });
                return Ok(false);
            }
            Act::Silence => std::future::pending().await,
        };
        if reply.starts_with('2') {
            self.log.lock().unwrap().taken.push(Taken { to, octets });
        }
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        stream.flush().await?;
        Ok(true)
    }

    fn act(&self, line: &str) -> Act {
        let mut log = self.log.lock().unwrap();
        log.lines.push(line.to_owned());
        let times = log.lines.iter().filter(|earlier| *earlier == line).count();
        (self.script)(line, times)
    }

    fn normal(&self, line: &str) -> String {
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => {
                format!("250-fake\r\n250-SIZE {}\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n", self.size)
            }
            "AUTH" => "235 welcome\r\n".to_owned(),
            "DATA" => "354 go on\r\n".to_owned(),
            "QUIT" => "221 bye\r\n".to_owned(),
            _ => "250 ok\r\n".to_owned(),
        }
    }
}
