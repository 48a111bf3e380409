//! The files that a configuration names, and what is read from them.

use crate::TlsError;
use crate::living::stamps;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How one server is trusted, and who we are to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientFiles {
    /// PEM with the only roots to trust; the system's where absent.
    pub ca: Option<PathBuf>,
    /// PEM with the revocation lists of every authority in the server's chain; revocation is not looked at where absent.
    pub crl: Option<PathBuf>,
    /// PEM with our certificate and the chain above it.
    pub client_certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600.
    pub client_key: Option<PathBuf>,
    /// Whether TLS 1.2 is taken too, with AEAD suites.
    pub tls12: bool,
}

/// Who we are as a server, and whose clients may come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFiles {
    /// PEM with our certificate and the chain above it.
    pub certificate: PathBuf,
    /// Its private key, PEM, mode 0600.
    pub key: PathBuf,
    /// PEM with the only roots that a client's certificate may come from; every client must have one. Where absent, clients show none:
    /// browsers, whose people sign in.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// PEM with the revocation lists of every authority in the clients' chains.
    pub crl: Option<PathBuf>,
    /// Whether TLS 1.2 is taken too, with AEAD suites.
    #[serde(default)]
    pub tls12: bool,
}

impl ClientFiles {
    /// The same files by absolute paths, for a process that starts in another folder.
    ///
    /// # Errors
    /// [`TlsError::File`] if there is no current folder.
    pub fn absolute(&self) -> Result<Self, TlsError> {
        let absolute = |path: &Option<PathBuf>| {
            let made = path.as_ref().map(|path| std::path::absolute(path).map_err(|error| file(path, error)));
            made.transpose()
        };
        Ok(Self {
            ca: absolute(&self.ca)?,
            crl: absolute(&self.crl)?,
            client_certificate: absolute(&self.client_certificate)?,
            client_key: absolute(&self.client_key)?,
            tls12: self.tls12,
        })
    }

    /// Paths that are not absolute begin in `folder`.
    pub fn beside(&mut self, folder: &Path) {
        let Self { ca, crl, client_certificate, client_key, tls12: _ } = self;
        for path in [ca, crl, client_certificate, client_key].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    /// Waits until one of the files was changed, looking again after each `pause`.
    pub async fn changed(&self, pause: Duration) {
        let read = stamps(self.paths());
        while stamps(self.paths()) == read {
            tokio::time::sleep(pause).await;
        }
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let Self { ca, crl, client_certificate, client_key, tls12: _ } = self;
        [ca, crl, client_certificate, client_key].into_iter().flatten().map(PathBuf::as_path)
    }

    pub(crate) fn identity(&self) -> Result<Option<Identity>, TlsError> {
        match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => Ok(Some(Identity::read(certificate, key)?)),
            (None, None) => Ok(None),
            (Some(path), None) | (None, Some(path)) => {
                Err(file(path, "client_certificate and client_key belong together: name both"))
            }
        }
    }
}

impl ServerFiles {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let Self { certificate, key, client_ca, crl, tls12: _ } = self;
        [certificate, key].into_iter().chain(client_ca).chain(crl).map(PathBuf::as_path)
    }
}

/// A certificate chain, leaf first, and the leaf's key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let metadata = std::fs::metadata(key).map_err(|error| file(key, error))?;
        if keyfile::open_to_others(&metadata).is_some() {
            return Err(TlsError::Exposed { path: key.to_owned() });
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, error))?;
        Ok(Self { chain: certificates(certificate)?, key: private })
    }
}

pub(crate) fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let none = || file(Path::new("system"), "no root certificate is installed");
        return if roots.is_empty() { Err(none()) } else { Ok(roots) };
    };
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| file(path, error))?;
    }
    Ok(roots)
}

pub(crate) fn crls(path: Option<&Path>) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let lists = CertificateRevocationListDer::pem_file_iter(path).map_err(|error| file(path, error))?;
    let lists: Vec<_> = lists.collect::<Result<_, _>>().map_err(|error| file(path, error))?;
    if lists.is_empty() { Err(file(path, "no revocation list in it")) } else { Ok(lists) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| file(path, error))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| file(path, error))?;
    if certificates.is_empty() { Err(file(path, "no certificate in it")) } else { Ok(certificates) }
}

pub(crate) fn file(path: &Path, reason: impl ToString) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: crate::bounded(&reason.to_string()) }
}
