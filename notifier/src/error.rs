//! Why a notice was not taken, by who must act.

use std::time::Duration;
use tls::TlsError;

/// Why a notice was not taken. No text holds a URL, a token or a word of what an HTTP server answered: any of them may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeError {
    /// Server or network: try again.
    #[error("the notice server cannot be reached: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// No connection, or a server that may not be trusted.
    #[error("notice server: {0}")]
    Tls(#[from] TlsError),
    /// Operator: user, password or token. The notice waits for that.
    #[error("the notice server refuses the login: {code} {reply}")]
    Login {
        /// SMTP or HTTP code.
        code: u16,
        /// The mail server's words, bounded and escaped; the name of an HTTP status.
        reply: String,
    },
    /// Operator: a token, a password or a key. The notice waits for that.
    #[error("the channel's secret cannot be used: {reason}")]
    Secret {
        /// Why.
        reason: &'static str,
    },
    /// Server: not now.
    #[error("the notice server does not take the notice now: {code} {reply}")]
    Busy {
        /// SMTP or HTTP code.
        code: u16,
        /// As in [`NoticeError::Login`].
        reply: String,
        /// How long it asks to be left alone (RFC 9110 10.2.3).
        retry_after: Option<Duration>,
    },
    /// Operator: the phone's address, or what the channel sends.
    #[error("the notice server refuses the notice: {code} {reply}")]
    Refused {
        /// SMTP or HTTP code.
        code: u16,
        /// As in [`NoticeError::Login`].
        reply: String,
    },
    /// Operator: the URL. A redirect is not followed, since who answers there is not who was configured.
    #[error("the notice server sends us elsewhere: {code}, which is not followed (correct url)")]
    Redirected {
        /// HTTP code.
        code: u16,
    },
    /// Operator: what answers is not what the channel is for.
    #[error("the notice server's answer is not as agreed: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// Operator: the program of a command channel refuses the notice.
    #[error("the program refuses the notice: {reason}")]
    Program {
        /// Its exit code, or what became of it.
        reason: String,
    },
    /// Program of a command channel: not now.
    #[error("the program does not take the notice now: {reason}")]
    ProgramBusy {
        /// Its exit code, or what became of it.
        reason: String,
    },
    /// Operator: not an address of this channel.
    #[error("the phone's address is not one of this channel: {reason}")]
    Address {
        /// What it should be.
        reason: &'static str,
    },
    /// Operator: the channel cannot be used as it is configured.
    #[error("notices cannot be sent: {reason}")]
    Configuration {
        /// Why.
        reason: String,
    },
}

/// Who must act before a notice is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MustAct {
    /// Who keeps the gateway's configuration.
    Operator,
    /// Who runs the server or the program; without them, time may mend it.
    Server,
}

impl NoticeError {
    /// Whether trying again is in vain. Login and certificate are the operator's to mend, but the notice waits for that.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Tls(_)
            | Self::Login { .. }
            | Self::Secret { .. }
            | Self::Busy { .. }
            | Self::ProgramBusy { .. } => false,
            Self::Refused { .. }
            | Self::Redirected { .. }
            | Self::Answer { .. }
            | Self::Program { .. }
            | Self::Address { .. }
            | Self::Configuration { .. } => true,
        }
    }

    /// Who must act.
    pub fn must_act(&self) -> MustAct {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::ProgramBusy { .. } => MustAct::Server,
            Self::Tls(error) if error.is_temporary() => MustAct::Server,
            _ => MustAct::Operator,
        }
    }

    /// How long the server asks to be left alone, or is to be: one whose answer is not as agreed may have sent the notice.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Answer { .. } => Some(Duration::MAX),
            _ => None,
        }
    }
}

pub(crate) fn unusable(reason: &str) -> NoticeError {
    NoticeError::Configuration { reason: reason.to_owned() }
}
