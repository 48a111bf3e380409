//! Why a notice was not taken, by who must act.

use tls::TlsError;

/// Why a notice was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeError {
    /// Mail server or network: try again.
    #[error("the notice server cannot be reached: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// No connection, or a server that may not be trusted.
    #[error("notice server: {0}")]
    Tls(#[from] TlsError),
    /// Operator: user or password.
    #[error("the notice server refuses the login: {code} {reply}")]
    Login {
        /// SMTP code.
        code: u16,
        /// The server's words, bounded and escaped.
        reply: String,
    },
    /// Mail server (4xx) or the phone's address (5xx).
    #[error("the notice server refuses the notice: {code} {reply}")]
    Refused {
        /// SMTP code.
        code: u16,
        /// The server's words, bounded and escaped.
        reply: String,
    },
    /// Operator: not a mail address.
    #[error("the phone's address is not a mail address")]
    Address,
    /// Operator: roots, host name or sender cannot be used.
    #[error("notices cannot be sent: {reason}")]
    Configuration {
        /// Why.
        reason: String,
    },
}

impl NoticeError {
    /// Whether trying again is in vain. Login and certificate are the operator's to mend, but the notice waits for that.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code >= 500,
            Self::Address | Self::Configuration { .. } => true,
            _ => false,
        }
    }
}
