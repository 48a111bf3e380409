//! A connection whose TLS handshake is done, client side.

use rustls::ProtocolVersion;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Bytes in and out of the TLS connection.
pub struct Stream(pub(crate) TlsStream<TcpStream>);

/// What a server showed in its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The connection had to fall back to TLS 1.2.
    pub tls12: bool,
    /// DER of its certificate, then of those above it.
    pub chain: Vec<Vec<u8>>,
}

impl Stream {
    /// Whether the connection had to fall back to TLS 1.2.
    pub(crate) fn is_tls12(&self) -> bool {
        self.0.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_2)
    }

    /// What the server showed.
    pub fn seen(&self) -> Seen {
        let chain = self.0.get_ref().1.peer_certificates().unwrap_or_default();
        Seen { tls12: self.is_tls12(), chain: chain.iter().map(|certificate| certificate.to_vec()).collect() }
    }

    /// Ends the connection when the peer has not acknowledged what was sent for so long (RFC 5482).
    ///
    /// # Errors
    /// The operating system's.
    pub fn set_user_timeout(&self, wait: Duration) -> io::Result<()> {
        let milliseconds = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        Ok(rustix::net::sockopt::set_tcp_user_timeout(self.0.get_ref().0, milliseconds)?)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Stream")
    }
}

#[cfg(feature = "lettre")]
impl lettre::transport::smtp::client::AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
