//! Why an association gave no usable answer. Who must act depends on what it is for: the caller says so.

use crate::fragments::Disorder;
use std::io;
use tls::TlsError;

/// Why there is no association, or why it ended. Holds no value of the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssociationError {
    /// No connection.
    #[error("cannot be reached, {0}")]
    Unreachable(io::ErrorKind),
    /// The connection broke.
    #[error("broke the connection, {0}")]
    Broken(io::ErrorKind),
    /// TLS: its certificate, or ours, or no TLS at all.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It ended the connection after the TLS handshake, and we showed no certificate.
    #[error("ends the connection after the TLS handshake")]
    HungUp,
    /// It did not answer in time.
    #[error("did not answer in time")]
    Silent,
    /// It rejected the association (PS3.8 9.3.4).
    #[error("rejected the association")]
    Rejected {
        /// Asking again helps nothing before somebody changed something.
        permanent: bool,
    },
    /// It aborted the association.
    #[error("aborted the association")]
    Aborted,
    /// What it sent cannot be used.
    #[error("sent {0}")]
    Malformed(&'static str),
    /// Our own AE titles or contexts cannot be sent.
    #[error("cannot be asked with these AE titles")]
    NotSendable,
    /// What is to be sent cannot be read, or is shorter than it was.
    #[error("what is to be sent cannot be read, {0}")]
    Source(io::ErrorKind),
}

impl From<Disorder> for AssociationError {
    fn from(_: Disorder) -> Self {
        Self::Malformed("fragments that make no message")
    }
}
