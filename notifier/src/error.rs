//! Why a notice was not taken, by who must act.

/// Characters of a server's words that are kept.
const WORDS_MAX: usize = 200;

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
    /// Operator: the server's certificate may not be trusted.
    #[error("the certificate of the notice server is refused: {reason}")]
    Certificate {
        /// Why.
        reason: String,
    },
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

/// A foreign text cut to a bearable length, control characters escaped.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(WORDS_MAX).flat_map(char::escape_debug).collect()
}
