//! A short conversation with a server of the hospital, in lines, plain or over TLS: bounded in time and in bytes, since who answers may be
//! anybody.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tls::{ClientFiles, TlsError, Trust};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection, and for each answer. Postfix holds its greeting back for some seconds to catch who talks first.
pub(super) const WAIT: Duration = Duration::from_secs(8);
/// RFC 5321 4.2.3: a server that greets and lets itself be asked.
pub(super) const READY: u16 = 220;
/// RFC 5321 4.5.3.1.5 has 512, IMAP's CAPABILITY some more.
const LINE_BYTES_MAX: u64 = 4096;
/// Lines of one reply; an EHLO has some twenty.
const REPLY_LINES_MAX: usize = 100;

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection.
pub(super) struct Talk(BufReader<Box<dyn Wire>>);

/// A reply of SMTP or FTP (RFC 5321 4.2, RFC 959 4.2).
pub(super) struct Reply {
    pub(super) code: u16,
    /// All its lines.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// 2xx: done.
    pub(super) fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// What is shown of it: the last line, bounded and escaped.
    pub(super) fn words(&self) -> String {
        tls::bounded(self.lines.last().map_or("", String::as_str))
    }
}

/// A TCP connection; none where the host itself says that nobody listens there.
///
/// # Errors
/// The connection's, and those of a name that is not found: nothing is known of the port then.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<Option<TcpStream>> {
    match timeout(WAIT, TcpStream::connect((host, port))).await? {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error),
    }
}

impl Talk {
    /// Without TLS; none where nobody listens there.
    ///
    /// # Errors
    /// As [`connect`].
    pub(super) async fn plain(host: &str, port: u16) -> io::Result<Option<Self>> {
        Ok(connect(host, port).await?.map(Self::over))
    }

    /// With TLS from the first byte.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) async fn tls(host: &str, port: u16, files: &ClientFiles) -> Result<Self, TlsError> {
        Ok(Self::over(Trust::read(files)?.connect(host, port, WAIT).await?))
    }

    /// The same to an address whose certificate says `name`.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) async fn tls_at(
        name: &str,
        address: SocketAddr,
        files: &ClientFiles,
    ) -> Result<Self, TlsError> {
        Ok(Self::over(Trust::read(files)?.fixed()?.connect(name, &[address], WAIT).await?))
    }

    pub(super) fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(BufReader::new(Box::new(stream)))
    }

    /// The next line, without its end; what is no UTF-8 is replaced.
    ///
    /// # Errors
    /// `TimedOut`, `UnexpectedEof`, `InvalidData` for one that is too long, and the connection's own.
    pub(super) async fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.0).take(LINE_BYTES_MAX);
        timeout(WAIT, limited.read_until(b'\n', &mut bytes)).await??;
        match bytes.last() {
            None => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(b'\n') => Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// A whole reply of SMTP or FTP.
    ///
    /// # Errors
    /// As [`Talk::line`]; `InvalidData` for what is no reply.
    pub(super) async fn reply(&mut self) -> io::Result<Reply> {
        let no_reply = || io::Error::from(io::ErrorKind::InvalidData);
        let mut lines = Vec::new();
        while lines.len() < REPLY_LINES_MAX {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let is_last = line.get(3..4).is_none_or(|mark| mark != "-") && code.is_some();
            // Only SMTP repeats the number on each line.
            if lines.is_empty() && code.is_none() {
                return Err(no_reply());
            }
            lines.push(line);
            if let (true, Some(code)) = (is_last, code) {
                return Ok(Reply { code, lines });
            }
        }
        Err(no_reply())
    }

    /// Sends a command, without its end.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn say(&mut self, command: &str) -> io::Result<()> {
        self.send(format!("{command}\r\n").as_bytes()).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.0.get_mut();
        let sent = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        timeout(WAIT, sent).await?
    }

    /// A command and its reply.
    ///
    /// # Errors
    /// As [`Talk::reply`].
    pub(super) async fn ask(&mut self, command: &str) -> io::Result<Reply> {
        self.say(command).await?;
        self.reply().await
    }

    /// The next bytes, so many.
    ///
    /// # Errors
    /// `TimedOut`, `UnexpectedEof`, and the connection's own.
    pub(super) async fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        timeout(WAIT, self.0.read_exact(&mut read)).await??;
        Ok(read)
    }

    /// What comes until the end, at most so many bytes, or until nothing more comes.
    pub(super) async fn rest(&mut self, bytes_max: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.0).take(bytes_max);
        // Whatever came before the silence is what there is to judge.
        let _ = timeout(WAIT, limited.read_to_end(&mut bytes)).await;
        bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::duplex;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn only_who_refuses_says_that_nobody_is_there() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        assert!(connect("127.0.0.1", free).await.unwrap().is_none());
        assert!(connect("no-such-host.invalid", free).await.is_err());
    }

    async fn hears(bytes: &[u8]) -> (Talk, tokio::io::DuplexStream) {
        let (mut theirs, ours) = duplex(1 << 20);
        theirs.write_all(bytes).await.unwrap();
        (Talk::over(ours), theirs)
    }

    #[tokio::test]
    async fn replies_of_many_lines_are_one_and_what_is_none_is_refused() {
        // FTP leaves the number out between (RFC 959 4.2).
        let (mut talk, _theirs) = hears(b"220-one\r\n two\r\n220 three\r\n250 next\r\n").await;
        let reply = talk.reply().await.unwrap();
        assert_eq!((reply.code, reply.lines.len(), reply.words().as_str()), (220, 3, "220 three"));
        assert_eq!(talk.reply().await.unwrap().code, 250);
        for (bytes, kind) in [
            (&b"+OK ready\r\n"[..], io::ErrorKind::InvalidData),
            (&vec![b'2'; 5000], io::ErrorKind::InvalidData),
            (&b"220-a\r\n".repeat(200), io::ErrorKind::InvalidData),
            (b"", io::ErrorKind::UnexpectedEof),
        ] {
            let (mut talk, theirs) = hears(bytes).await;
            drop(theirs);
            assert_eq!(talk.reply().await.err().unwrap().kind(), kind);
        }
    }
}
