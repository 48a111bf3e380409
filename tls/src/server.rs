//! As a server: every client shows a certificate of an authority that the operator chose, but for browsers, whose people sign in.

use crate::files::{Identity, crls, file, roots};
use crate::living::Living;
use crate::{ServerFiles, TlsError, provider, versions};
use rustls::server::WebPkiClientVerifier;
use rustls::{Error, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Makes TLS of accepted connections. Files that change are read again for the next connection; as long as they cannot be used, those
/// read before are.
#[derive(Debug)]
pub struct Listener {
    files: ServerFiles,
    protocols: &'static [&'static [u8]],
    living: Living<ServerConfig>,
    /// The last reading failed, and was told.
    unusable: AtomicBool,
}

/// The name of HTTP/2 in the handshake (RFC 9113 3.1).
pub const HTTP2: &[u8] = b"h2";

/// A connection whose client is known.
pub type Accepted<S> = StreamOwned<ServerConnection, S>;

/// The same on tokio.
pub type Served = tokio_rustls::server::TlsStream<TcpStream>;

/// Why a connection is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The client is refused: a constant text, nothing that it said, with who must do what.
    #[error("{0}")]
    Refused(&'static str),
    /// The stream broke before it was known.
    #[error(transparent)]
    Stream(#[from] io::Error),
}

impl Listener {
    /// Reads all files.
    ///
    /// # Errors
    /// [`TlsError::File`], [`TlsError::Exposed`].
    pub fn read(files: &ServerFiles) -> Result<Self, TlsError> {
        Self::read_for(files, &[])
    }

    /// [`Listener::read`] for browsers, which choose HTTP/2 in the handshake where they can (RFC 9113 3.2).
    ///
    /// # Errors
    /// [`TlsError::File`], [`TlsError::Exposed`].
    pub fn read_http(files: &ServerFiles) -> Result<Self, TlsError> {
        Self::read_for(files, &[HTTP2, b"http/1.1"])
    }

    fn read_for(files: &ServerFiles, protocols: &'static [&'static [u8]]) -> Result<Self, TlsError> {
        let living = Living::new(files.paths(), || config(files, protocols))?;
        Ok(Self { files: files.clone(), protocols, living, unusable: AtomicBool::new(false) })
    }

    /// Whether each client has to show a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// Completes the handshake on a blocking stream. `stream` must end its reads with an error at a deadline, or this may last.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub fn accept<S: Read + Write>(&self, stream: S) -> Result<Accepted<S>, AcceptError> {
        let connection = ServerConnection::new(self.config()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(refused)?;
        }
        Ok(stream)
    }

    /// [`Listener::accept`] on tokio. The caller sets the deadline.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub async fn serve(&self, stream: TcpStream) -> Result<Served, AcceptError> {
        TlsAcceptor::from(self.config()).accept(stream).await.map_err(refused)
    }

    /// The operator is told once of files that cannot be used, such as a certificate that was renewed without its key.
    fn config(&self) -> Arc<ServerConfig> {
        match self.living.now(self.files.paths(), || config(&self.files, self.protocols)) {
            Ok(config) => {
                self.unusable.store(false, Ordering::Relaxed);
                config
            }
            Err(error) => {
                if !self.unusable.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        act = "operator",
                        "{error}; until this is mended, what was read before is used"
                    );
                }
                self.living.last()
            }
        }
    }
}

fn config(files: &ServerFiles, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
    let identity = Identity::read(&files.certificate, &files.key)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(files.tls12))
        .map_err(|error| file(&files.certificate, error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(client_ca) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(Some(client_ca))?), provider())
                    .with_crls(crls(files.crl.as_deref())?)
                    .enforce_revocation_expiration()
                    .build()
                    .map_err(|error| file(client_ca, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(identity.chain, identity.key)
        .map_err(|error| file(&files.certificate, format!("does not go with the key: {error}")))?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// A constant text for each reason: nothing that the client said.
fn refused(error: io::Error) -> AcceptError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return AcceptError::Stream(error);
    };
    AcceptError::Refused(match tls {
        Error::NoCertificatesPresented => {
            "it shows no client certificate (peer: install one of the authority in client_ca)"
        }
        Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "its certificate comes from an authority that is not in client_ca (operator: add it there, if this peer may come)"
        }
        Error::InvalidCertificate(rustls::CertificateError::Revoked) => "its certificate is revoked",
        Error::InvalidCertificate(
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. },
        ) => "its certificate has expired (peer: renew it)",
        Error::InvalidCertificate(
            rustls::CertificateError::ExpiredRevocationList
            | rustls::CertificateError::ExpiredRevocationListContext { .. },
        ) => "the revocation list is out of date (operator: fetch a new one into crl)",
        Error::InvalidCertificate(rustls::CertificateError::UnknownRevocationStatus) => {
            "crl says nothing about the authority of its certificate (operator: add its list)"
        }
        Error::InvalidCertificate(_) => {
            "its certificate cannot be used (peer: one for clients, by a strong key and signature)"
        }
        Error::PeerIncompatible(_) => {
            "it offers no TLS 1.3 (peer: enable it; operator: tls12 = true takes 1.2 with AEAD suites as an exception)"
        }
        Error::InvalidMessage(_) => "it does not speak TLS (peer: enable DICOM TLS)",
        Error::AlertReceived(_) => "it refuses us (peer: it must trust the authority of our certificate)",
        _ => "the handshake fails (peer: see its log)",
    })
}

#[cfg(test)]
mod tests;
