//! Why something was not forwarded, and who must act. No text of the peer is in it, and no UID of a patient's images.

use dimse::AssociationError;
use std::io;

/// Why objects wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// No association, or it ended.
    #[error("it {_0}{}", who_acts(_0))]
    Association(#[from] AssociationError),
    /// No answer over HTTPS.
    #[error("{0}")]
    Web(String),
    /// A status of HTTP that is no answer to STOW-RS.
    #[error("it answers with HTTP status {_0}{}", who_mends(*_0))]
    Http(u16),
    /// What was not acknowledged, by kind.
    #[error("{}", _0.join("; "))]
    Refused(Vec<String>),
    /// What was not acknowledged, by kind, and what kept the others back.
    #[error("{}; then {_1}", _0.join("; "))]
    Ended(Vec<String>, Box<Self>),
    /// This machine.
    #[error("{0}, {1} (you: check the disk)")]
    Disk(&'static str, io::ErrorKind),
}

impl ForwardError {
    /// What other deliveries would meet as well now.
    pub(super) fn of_the_peer(&self) -> Option<&Self> {
        match self {
            Self::Association(AssociationError::Source(_)) | Self::Refused(_) | Self::Disk(..) => None,
            Self::Association(_) | Self::Web(_) | Self::Http(_) => Some(self),
            Self::Ended(_, error) => error.of_the_peer(),
        }
    }
}

fn who_mends(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            " (you: check user and password_file in [forward], which are sent to its `to` alone; its administrator: allow it to store)"
        }
        404 | 405 => " (you: check the URL)",
        413 => " (its administrator: allow requests of 16 MiB, and larger ones for large objects)",
        415 => " (its administrator: allow this transfer syntax)",
        _ => " (its administrator: see its log)",
    }
}

fn who_acts(error: &AssociationError) -> &'static str {
    match error {
        AssociationError::Unreachable(_) => " (you: check its address, the network, whether it runs)",
        AssociationError::Broken(_) => " (its administrator: see its log; you: check the network)",
        AssociationError::Tls(_) => "",
        AssociationError::HungUp => " (you: it may want client_certificate and client_key in [forward.tls])",
        AssociationError::Silent => " (its administrator: check its load)",
        AssociationError::Rejected { permanent: true } => {
            " (its administrator: register our AE title and address; you: check its AE title)"
        }
        AssociationError::Rejected { permanent: false } => " for now (nobody: it is tried again)",
        AssociationError::Aborted => " (its administrator: see its log)",
        AssociationError::Malformed(_) => " (its administrator: ask its maker)",
        AssociationError::NotSendable => " (you: correct own_ae_title in [forward])",
        AssociationError::Source(_) => " (you: check the disk)",
    }
}
