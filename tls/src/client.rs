//! Towards a server: implicit TLS from the first byte.

use crate::error::{refused, unreachable};
use crate::files::{crls, file, roots};
use crate::living::Living;
use crate::{ClientFiles, Stream, TlsError, provider, versions};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whom to trust and who we are: read when made, and read again for the next connection after one of the files has changed.
#[derive(Clone, Debug)]
pub struct Trust {
    files: ClientFiles,
    living: Arc<Living<ClientConfig>>,
}

/// [`Trust`] read once: for a process that may open no file and look up no name.
#[derive(Clone, Debug)]
pub struct FixedTrust(Arc<ClientConfig>);

impl Trust {
    /// Reads all files; connects to nothing.
    ///
    /// # Errors
    /// [`TlsError::File`], [`TlsError::Exposed`].
    pub fn read(files: &ClientFiles) -> Result<Self, TlsError> {
        let living = Living::new(files.paths(), || config(files))?;
        Ok(Self { files: files.clone(), living: Arc::new(living) })
    }

    /// The configuration as the files say now.
    ///
    /// # Errors
    /// [`TlsError::File`], [`TlsError::Exposed`].
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        self.living.now(self.files.paths(), || config(&self.files))
    }

    /// Connects and completes the handshake within `wait`.
    ///
    /// # Errors
    /// [`TlsError`].
    pub async fn connect(&self, host: &str, port: u16, wait: Duration) -> Result<Stream, TlsError> {
        handshake(self.config()?, (host, port), TcpStream::connect((host, port)), wait).await
    }

    /// What the files say now, whatever becomes of them.
    ///
    /// # Errors
    /// [`TlsError::File`], [`TlsError::Exposed`].
    pub fn fixed(&self) -> Result<FixedTrust, TlsError> {
        Ok(FixedTrust(self.config()?))
    }
}

impl FixedTrust {
    /// [`Trust::connect`] to addresses found earlier.
    ///
    /// # Errors
    /// [`TlsError`], none of files.
    pub async fn connect(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        wait: Duration,
    ) -> Result<Stream, TlsError> {
        let port = addresses.first().map_or(0, SocketAddr::port);
        handshake(Arc::clone(&self.0), (host, port), TcpStream::connect(addresses), wait).await
    }
}

async fn handshake(
    config: Arc<ClientConfig>,
    (host, port): (&str, u16),
    connecting: impl Future<Output = io::Result<TcpStream>>,
    wait: Duration,
) -> Result<Stream, TlsError> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| TlsError::HostName { host: host.to_owned() })?;
    let done = async {
        let tcp = connecting.await.map_err(|error| unreachable(host, port, &error))?;
        // Commands are small and each waits for its answer: Nagle would add 40 ms to every one.
        tcp.set_nodelay(true).map_err(|error| unreachable(host, port, &error))?;
        TlsConnector::from(config).connect(name, tcp).await.map_err(|error| refused(host, port, &error))
    };
    let late = || unreachable(host, port, &io::ErrorKind::TimedOut.into());
    let stream = tokio::time::timeout(wait, done).await.unwrap_or_else(|_| Err(late())).map(Stream)?;
    if stream.is_tls12() {
        tracing::warn!(host, port, act = "server", "the server speaks only TLS 1.2 (server: enable TLS 1.3)");
    }
    Ok(stream)
}

fn config(files: &ClientFiles) -> Result<ClientConfig, TlsError> {
    let trusted = Arc::new(roots(files.ca.as_deref())?);
    let unusable = |error: &dyn ToString| {
        let path = files.crl.as_deref().or(files.ca.as_deref()).unwrap_or(Path::new("system"));
        file(path, error.to_string())
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(trusted, provider())
        .with_crls(crls(files.crl.as_deref())?)
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| unusable(&error))?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(files.tls12))
        .map_err(|error| unusable(&error))?
        .with_webpki_verifier(verifier);
    let config = match (files.identity()?, &files.client_certificate) {
        (Some(identity), Some(path)) => builder
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(|error| file(path, format!("does not go with the key: {error}")))?,
        _ => builder.with_no_client_auth(),
    };
    Ok(config)
}
