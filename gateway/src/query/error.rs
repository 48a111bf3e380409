//! Why a PACS gave no usable answer, whether trying again can help, and who must act.

use crate::audit::AuditError;
use dimse::AssociationError;
use dimse::fragments::Disorder;
use dimse::status;
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
    /// It does not offer what is wanted.
    #[error("the PACS offers no {0} (PACS: allow it to our AE title)")]
    NotOffered(&'static str),
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
    /// More answers than [`crate::receive::limits::RESPONSES_MAX`] instances or [`crate::receive::limits::SERIES_MAX`] series.
    #[error("the PACS sent more answers than a study can have (PACS: ask its maker)")]
    TooMany,
    /// A server of DICOMweb answered with this HTTP status.
    #[error(
        "the PACS answers with HTTP status {status} (PACS: see its log; operator: with 401 or 403 see user and password_file in [pacs])"
    )]
    Http {
        /// Its code (RFC 9110 15).
        status: u16,
    },
    /// The password file of `[pacs.NAME.dicomweb]` cannot be read, or others may read it.
    #[error("password_file in [pacs] cannot be used (operator: it must exist with mode 0600)")]
    Password,
    /// A key has characters that `character_set` does not have.
    #[error(
        "what is looked for cannot be written in the character set of this PACS (operator: see character_set in [pacs])"
    )]
    NotWritable,
    /// A key that no query can hold: control characters, a backslash, too long, a modality that is no code.
    #[error(
        "what is looked for cannot be a key of a query (you: write it without backslash and control characters, shorter)"
    )]
    Keys,
    /// The audit trail cannot be written: nothing is asked then.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The AE titles in the configuration cannot be sent.
    #[error("an AE title in [pacs] cannot be sent (operator: correct the configuration)")]
    Configuration,
}

impl QueryError {
    /// Whether trying again can help.
    pub fn lasting(&self) -> Lasting {
        match self {
            Self::Unreachable(_) | Self::HungUp | Self::Silent | Self::Aborted | Self::Audit(_) => {
                Lasting::Temporary
            }
            Self::Refused(lasting) => *lasting,
            Self::Tls(error) if error.is_temporary() => Lasting::Temporary,
            Self::Tls(_) => Lasting::Permanent,
            Self::Failed { status } => lasting_of(*status),
            // Too early, too many, and whatever is wrong with the server (RFC 9110 15).
            Self::Http { status: 408 | 425 | 429 | 500.. } => Lasting::Temporary,
            Self::NotOffered(_)
            | Self::Malformed(_)
            | Self::TooMany
            | Self::Http { .. }
            | Self::Password
            | Self::NotWritable
            | Self::Keys
            | Self::Configuration => Lasting::Permanent,
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

impl From<AssociationError> for QueryError {
    fn from(error: AssociationError) -> Self {
        match error {
            // The source of what is asked with is our own memory.
            AssociationError::Unreachable(kind)
            | AssociationError::Broken(kind)
            | AssociationError::Source(kind) => Self::Unreachable(kind),
            AssociationError::Tls(error) => Self::Tls(error),
            AssociationError::HungUp => Self::HungUp,
            AssociationError::Silent => Self::Silent,
            AssociationError::Rejected { permanent: true } => Self::Refused(Lasting::Permanent),
            AssociationError::Rejected { permanent: false } => Self::Refused(Lasting::Temporary),
            AssociationError::Aborted => Self::Aborted,
            AssociationError::Malformed(what) => Self::Malformed(what),
            AssociationError::NotSendable => Self::Configuration,
        }
    }
}

impl From<Disorder> for QueryError {
    fn from(disorder: Disorder) -> Self {
        AssociationError::from(disorder).into()
    }
}
