//! Why the portal cannot start, by who must act.

use super::cache::CacheError;
use super::shell::ShellError;
use super::store::StoreError;
use crate::config::ConfigError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tls::TlsError;

/// Why the portal, or a command of it, ends: the operator must act, as it says.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PortalError(#[from] Trouble);

/// See [`PortalError`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What it remembers.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The signed app.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// The port.
    #[error("cannot listen on {0}: {1} (operator: choose another portal.listen, or end what listens there)")]
    Listen(SocketAddr, io::Error),
    /// A file.
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, io::Error),
    /// What was typed.
    #[error("{0}")]
    Typed(String),
}
