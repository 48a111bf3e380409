//! As a server: every client shows a certificate of an authority that the operator chose.

use crate::files::{Identity, crls, file, roots, stamps};
use crate::{ServerFiles, TlsError, provider, versions};
use rustls::server::WebPkiClientVerifier;
use rustls::{Error, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Makes TLS of accepted connections. Files that change are read again for the next connection.
#[derive(Debug)]
pub struct Listener {
    files: ServerFiles,
    read: Mutex<(Vec<Option<SystemTime>>, Arc<ServerConfig>)>,
}

/// A connection whose client is known.
pub type Accepted<S> = StreamOwned<ServerConnection, S>;

impl Listener {
    /// Reads all files.
    ///
    /// # Errors
    /// [`TlsError::File`], [`TlsError::Exposed`].
    pub fn read(files: &ServerFiles) -> Result<Self, TlsError> {
        let read = Mutex::new((stamps(files.paths()), config(files)?));
        Ok(Self { files: files.clone(), read })
    }

    /// Completes the handshake on a blocking stream. `stream` must end its reads with an error at a deadline, or this may last.
    ///
    /// # Errors
    /// An error of the stream, or why the client is refused with who must do what, as [`io::ErrorKind::InvalidData`].
    pub fn accept<S: Read + Write>(&self, stream: S) -> io::Result<Accepted<S>> {
        let config = self.config().map_err(io::Error::other)?;
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(refused)?;
        }
        Ok(stream)
    }

    fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(self.files.paths());
        if read.0 != now {
            *read = (now, config(&self.files)?);
        }
        Ok(Arc::clone(&read.1))
    }
}

fn config(files: &ServerFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let trusted = Arc::new(roots(Some(&files.client_ca))?);
    let verifier = WebPkiClientVerifier::builder_with_provider(trusted, provider())
        .with_crls(crls(files.crl.as_deref())?)
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| file(&files.client_ca, error))?;
    let identity = Identity::read(&files.certificate, &files.key)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(files.tls12))
        .map_err(|error| file(&files.certificate, error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(|error| file(&files.certificate, format!("does not go with the key: {error}")))?;
    Ok(Arc::new(config))
}

/// A constant text for each reason: nothing that the client said.
fn refused(error: io::Error) -> io::Error {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return error };
    let words = match tls {
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
    };
    io::Error::new(io::ErrorKind::InvalidData, words)
}
