//! Why the mailbox could not be read or written, by who must act.

use std::io;
use tls::TlsError;

/// Why a call failed. Nothing in it was said by the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxError {
    /// Connection or certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server closed the connection or stayed silent too long.
    #[error("the connection to the mail server was lost during {during}")]
    Lost {
        /// Command.
        during: &'static str,
    },
    /// Operator: login name or password.
    #[error("the mail server refuses the login {user}: check user and password")]
    Login {
        /// Login name.
        user: String,
    },
    /// Operator: the folder is missing, or this login has no rights on it.
    #[error("folder {folder} is missing or may not be opened: create it or grant the rights (RFC 4314)")]
    NoFolder {
        /// Folder.
        folder: String,
    },
    /// Recipient: the mailbox is full.
    #[error("folder {folder} is full")]
    Quota {
        /// Folder.
        folder: String,
    },
    /// Mail server: it answered NO.
    #[error("the mail server refuses {during} for now")]
    Refused {
        /// Command.
        during: &'static str,
    },
    /// Mail server: it answered what IMAP does not allow, or more than was asked for.
    #[error("the mail server's answer to {during} is not understood")]
    Protocol {
        /// Command.
        during: &'static str,
    },
    /// The message is no longer in the folder.
    #[error("the message is no longer in the folder")]
    Gone,
    /// The message is larger than it may be.
    #[error("the message has more than the {bytes_max} bytes that are allowed")]
    TooLarge {
        /// Limit in bytes.
        bytes_max: u64,
    },
    /// The body is not base64.
    #[error("the body of the message is not base64")]
    NotBase64,
    /// More messages of ours than any plan foresees.
    #[error("the folder holds more than {messages_max} messages of ours: delete old ones")]
    TooMany {
        /// Limit.
        messages_max: usize,
    },
    /// More folders than any person has.
    #[error("the login sees more than {folders_max} folders")]
    TooManyFolders {
        /// Limit.
        folders_max: usize,
    },
    /// Us: a name or message that IMAP cannot carry.
    #[error("the {what} holds characters that cannot be sent")]
    Unsendable {
        /// What.
        what: &'static str,
    },
    /// Our disk, or whatever takes the bytes.
    #[error("cannot write what was fetched: {0}")]
    Disk(#[source] io::Error),
}

impl MailboxError {
    /// Whether trying again later can help without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Tls(error) => error.is_temporary(),
            Self::Lost { .. } | Self::Refused { .. } | Self::Quota { .. } | Self::Gone => true,
            _ => false,
        }
    }
}
