//! Why a PACS gave no usable answer, whether trying again can help, and who must act.

use crate::dimse::fragments::Disorder;
use crate::dimse::status;
use std::io;
use tls::TlsError;

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It may go away by itself.
    Temporary,
    /// Somebody must change something first.
    Permanent,
}

/// Why a query has no result. Holds no value of the PACS but its status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No connection, or it broke.
    #[error("the PACS cannot be reached, {0} (operator: check its address, the network, whether it runs)")]
    Unreachable(io::ErrorKind),
    /// TLS: its certificate, or ours, or no TLS at all.
    #[error("the PACS: {0}")]
    Tls(#[from] TlsError),
    /// It ended the connection after the TLS handshake, and we showed no certificate.
    #[error(
        "the PACS ends the connection after the TLS handshake (operator: it may want client_certificate and client_key; PACS: see its log)"
    )]
    HungUp,
    /// It did not answer in time.
    #[error("the PACS did not answer in time (operator: check its load)")]
    Silent,
    /// It rejected the association.
    #[error("the PACS rejected the association (PACS: register our AE title and address)")]
    Refused(Lasting),
    /// It does not offer Study Root queries.
    #[error("the PACS offers no Study Root query (PACS: allow C-FIND to our AE title)")]
    NotOffered,
    /// It aborted the association.
    #[error("the PACS aborted the association (PACS: see its log)")]
    Aborted,
    /// It answered with a failure status (PS3.4 C.4.1.1.4).
    #[error("the PACS answered with status {status:04X} (PACS: see its log)")]
    Failed {
        /// Status (0000,0900).
        status: u16,
    },
    /// What it sent cannot be used.
    #[error("the PACS sent {0} (PACS: ask its maker)")]
    Malformed(&'static str),
    /// More answers than [`crate::receive::limits::RESPONSES_MAX`].
    #[error("the PACS sent more answers than a series can have (PACS: ask its maker)")]
    TooMany,
    /// The AE titles in the configuration cannot be sent.
    #[error("an AE title in [pacs] cannot be sent (operator: correct the configuration)")]
    Configuration,
}

impl QueryError {
    /// Whether trying again can help.
    pub fn lasting(&self) -> Lasting {
        match self {
            Self::Unreachable(_) | Self::HungUp | Self::Silent | Self::Aborted => Lasting::Temporary,
            Self::Refused(lasting) => *lasting,
            Self::Tls(error) if error.is_temporary() => Lasting::Temporary,
            Self::Tls(_) => Lasting::Permanent,
            Self::Failed { status } => lasting_of(*status),
            Self::NotOffered | Self::Malformed(_) | Self::TooMany | Self::Configuration => Lasting::Permanent,
        }
    }
}

/// Wrong requests stay wrong; lack of resources and an inability to process may pass (PS3.4 C.4.1.1.4).
fn lasting_of(status: u16) -> Lasting {
    let wrong_request = [
        status::SOP_CLASS_NOT_SUPPORTED,
        status::NOT_AUTHORIZED,
        status::UNRECOGNIZED_OPERATION,
        status::MISTYPED_ARGUMENT,
    ];
    // A9xx: the identifier does not match the SOP class.
    if wrong_request.contains(&status) || status & 0xFF00 == status::DATA_SET_MISMATCH {
        return Lasting::Permanent;
    }
    Lasting::Temporary
}

impl From<Disorder> for QueryError {
    fn from(_: Disorder) -> Self {
        Self::Malformed("fragments that make no message")
    }
}
