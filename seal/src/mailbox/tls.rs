//! Implicit TLS towards a mail server, for IMAPS and SMTPS: TLS 1.3, or 1.2 with AEAD, and nothing else.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

/// Characters of a reason that are kept in an error.
const REASON_CHARS_MAX: usize = 200;

/// Why no TLS connection came about, by who must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Network or server down: try again.
    #[error("mail server {host}:{port} cannot be reached: {reason}")]
    Unreachable {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Operating system's words.
        reason: String,
    },
    /// Operator: the server's certificate is not one we may trust.
    #[error("the certificate of mail server {host} is refused: {reason}")]
    Certificate {
        /// Host.
        host: String,
        /// Why.
        reason: String,
    },
    /// Operator: what answers does not speak TLS 1.3 or 1.2 as we need it.
    #[error("mail server {host}:{port} does not speak implicit TLS 1.3 or 1.2 as required: {reason}")]
    Handshake {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Why.
        reason: String,
    },
    /// Operator: the file of roots cannot be used.
    #[error("CA file {path}: {reason}")]
    Roots {
        /// File, or `system`.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Operator: not a host name.
    #[error("{host:?} is not a host name")]
    HostName {
        /// As configured.
        host: String,
    },
}

impl TlsError {
    /// Whether it can pass without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Whom to trust: read once, used for many connections.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts the roots in `ca_file` and no others, or the system's where absent.
    ///
    /// # Errors
    /// [`TlsError::Roots`].
    pub fn read(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let roots = match ca_file {
            Some(path) => private_roots(path)?,
            None => system_roots()?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| roots_error(ca_file, error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Connects and completes the handshake within `wait`.
    ///
    /// # Errors
    /// [`TlsError`], all but `Roots`.
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        wait: Duration,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError::HostName { host: host.to_owned() })?;
        let stream = tokio::time::timeout(wait, self.handshake(host, port, name))
            .await
            .unwrap_or_else(|_| Err(unreachable(host, port, io::ErrorKind::TimedOut.into())))?;
        Ok(stream)
    }

    async fn handshake(
        &self,
        host: &str,
        port: u16,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| unreachable(host, port, error))?;
        // Commands are small and each waits for its answer: Nagle would add 40 ms to every one.
        tcp.set_nodelay(true).map_err(|error| unreachable(host, port, error))?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        connector.connect(name, tcp).await.map_err(|error| refused(host, port, error))
    }
}

/// Whether the connection had to fall back to TLS 1.2: worth a log line (DESIGN 7).
pub fn is_tls12(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_2)
}

fn private_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| roots_error(Some(path), error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| roots_error(Some(path), error))?;
        roots.add(certificate).map_err(|error| roots_error(Some(path), error))?;
    }
    if roots.is_empty() { Err(roots_error(Some(path), "no certificate in it")) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(roots_error(None, "no root certificate is installed")) } else { Ok(roots) }
}

fn roots_error(path: Option<&Path>, reason: impl ToString) -> TlsError {
    let path = path.unwrap_or(Path::new("system")).to_path_buf();
    TlsError::Roots { path, reason: bounded(&reason.to_string()) }
}

fn unreachable(host: &str, port: u16, error: io::Error) -> TlsError {
    TlsError::Unreachable { host: host.to_owned(), port, reason: bounded(&error.to_string()) }
}

fn refused(host: &str, port: u16, error: io::Error) -> TlsError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (host, reason) = (host.to_owned(), bounded(&error.to_string()));
    match tls {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            TlsError::Certificate { host, reason }
        }
        Some(_) => TlsError::Handshake { host, port, reason },
        None => TlsError::Unreachable { host, port, reason },
    }
}

/// A foreign text cut to a bearable length, control characters escaped.
pub fn bounded(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).flat_map(char::escape_debug).collect()
}
