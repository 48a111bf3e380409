//! Why something was not submitted, by who must act.

use super::RecordError;
use crate::dkim::CannotSign;
use seal::mail::Part;
use std::fmt;
use std::io;
use tls::{TlsError, bounded};

/// Point of the conversation (RFC 5321 4.5.3.2 names the waits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Greeting and first EHLO.
    Greeting,
    /// EHLO.
    Ehlo,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA.
    Data,
    /// The message itself.
    Body,
    /// The answer to the last dot: the server may or may not have taken the message.
    AfterDot,
    /// RSET.
    Rset,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Greeting => "the greeting",
            Self::Ehlo => "EHLO",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Body => "the message",
            Self::AfterDot => "the end of the message",
            Self::Rset => "RSET",
        })
    }
}

/// 552, exceeded storage allocation (RFC 5321 4.2.3).
const EXCEEDED_STORAGE: u16 = 552;

/// A negative reply (RFC 5321 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// The server's words, at most 200 characters, control characters escaped.
    pub text: String,
}

impl Reply {
    pub(super) fn new(code: u16, text: &str) -> Self {
        Self { code, text: bounded(text) }
    }

    /// Subject and detail of the enhanced status code (RFC 2034 4), as `2.2`; none where the text begins with none of the same class.
    fn status(&self) -> Option<&str> {
        let (status, _) = self.text.split_once(' ').unwrap_or((&self.text, ""));
        let (class, rest) = status.split_once('.')?;
        let is_status = class == (self.code / 100).to_string()
            && rest.split('.').count() == 2
            && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        is_status.then_some(rest)
    }

    /// 5xx: the same command will be refused again (RFC 5321 4.2.1).
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.code, self.text)
    }
}

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// Whoever runs the mail server, or the network to it.
    MailServer,
    /// Whoever runs this gateway: configuration, login, certificates.
    Operator,
    /// The recipient's mailbox.
    Recipient,
    /// This program or its disk.
    Us,
}

/// Whether the queue tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Yes.
    Temporary,
    /// No: dead letter, and a person is told.
    Permanent,
}

/// Why a delivery, or one recipient's share, was not submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// No connection, or a certificate that may not be trusted.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection broke.
    #[error("the mail server closed the connection at {at}")]
    Lost {
        /// Where.
        at: Step,
    },
    /// The server stayed silent.
    #[error("the mail server did not answer {at} in time")]
    Silent {
        /// Where.
        at: Step,
    },
    /// What the server said is not SMTP.
    #[error("the mail server's answer to {at} is not understood")]
    Protocol {
        /// Where.
        at: Step,
    },
    /// Name or password.
    #[error("the mail server refuses the login {user}: {reply}")]
    Login {
        /// Login name.
        user: String,
        /// Its answer.
        reply: Reply,
    },
    /// The server offers no login that we can use.
    #[error("the mail server offers no AUTH PLAIN: is it the submission port?")]
    NoLogin,
    /// A piece is larger than the server allows (RFC 1870).
    #[error("mail server allows {allowed_bytes} bytes, {} has {message_bytes}: lower seal.piece_bytes_max", part_name(.part))]
    TooLarge {
        /// Which message.
        part: Part,
        /// SIZE of the server.
        allowed_bytes: u64,
        /// Octets of the message.
        message_bytes: u64,
    },
    /// The server refused the message.
    #[error("the mail server refuses {at}: {reply}")]
    Refused {
        /// Where.
        at: Step,
        /// Its answer.
        reply: Reply,
    },
    /// The server refused one recipient.
    #[error("the mail server refuses the mailbox {mailbox}: {reply}")]
    Recipient {
        /// Address.
        mailbox: String,
        /// Its answer.
        reply: Reply,
    },
    /// An address in the configuration.
    #[error("{address:?} is not a mail address")]
    Address {
        /// As configured.
        address: String,
    },
    /// The mail server has refused every doctor of the delivery for good.
    #[error("the mail server refuses every doctor of the delivery")]
    NobodyLeft,
    /// A doctor of the delivery is no longer configured.
    #[error("doctor {doctor} is no longer in the configuration")]
    DoctorUnknown {
        /// Name.
        doctor: String,
    },
    /// A sealed file cannot be read.
    #[error("{} cannot be read: {source}", part_name(.part))]
    Sealed {
        /// Which one.
        part: Part,
        /// Why.
        source: io::Error,
    },
    /// The DKIM key.
    #[error(transparent)]
    Sign(#[from] CannotSign),
    /// The clock gave a date that mail cannot carry.
    #[error("the date of the delivery cannot be written in a mail")]
    Date,
    /// The record of what was accepted.
    #[error("the journal cannot record the submission: {0}")]
    Record(#[from] RecordError),
}

impl SubmitError {
    /// Who must act.
    pub fn culprit(&self) -> Culprit {
        match self {
            Self::Tls(TlsError::Unreachable { .. })
            | Self::Lost { .. }
            | Self::Silent { .. }
            | Self::Protocol { .. }
            | Self::Refused { .. } => Culprit::MailServer,
            Self::Recipient { .. } => Culprit::Recipient,
            Self::Tls(_)
            | Self::Login { .. }
            | Self::NoLogin
            | Self::TooLarge { .. }
            | Self::Address { .. }
            | Self::NobodyLeft
            | Self::DoctorUnknown { .. } => Culprit::Operator,
            Self::Sealed { .. } | Self::Sign(_) | Self::Date | Self::Record(_) => Culprit::Us,
        }
    }

    /// Whether the queue tries again. Login and certificate are the operator's to mend, but the study waits for that.
    pub fn persistence(&self) -> Persistence {
        let permanent = match self {
            Self::Refused { reply, .. } | Self::Recipient { reply, .. } => reply.is_permanent(),
            Self::TooLarge { .. } | Self::Address { .. } | Self::Date | Self::NobodyLeft => true,
            _ => false,
        };
        if permanent { Persistence::Permanent } else { Persistence::Temporary }
    }

    /// [`Persistence::Permanent`].
    pub fn is_permanent(&self) -> bool {
        self.persistence() == Persistence::Permanent
    }

    /// Whether the recipient's mailbox has no room: status 4.2.2 or 5.2.2 (RFC 3463 3.3), or 552 for a recipient without any (RFC 5321 4.2.3).
    pub fn is_mailbox_full(&self) -> bool {
        match self {
            Self::Recipient { reply, .. } => match reply.status() {
                Some(status) => status == "2.2",
                None => reply.code == EXCEEDED_STORAGE,
            },
            _ => false,
        }
    }

    /// The server's reply code, if it gave one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Login { reply, .. } | Self::Refused { reply, .. } | Self::Recipient { reply, .. } => {
                Some(reply.code)
            }
            _ => None,
        }
    }
}

fn part_name(part: &Part) -> String {
    match part {
        Part::Piece(number) => format!("piece {number}"),
        Part::Cover => "the cover".to_owned(),
        Part::Message(_) => "the S/MIME message".to_owned(),
        Part::Receipt { .. } => "the receipt".to_owned(),
        Part::Link => "the statement of a link".to_owned(),
        Part::Enrol | Part::Enrolled | Part::Renew => "the answer to an enrolment".to_owned(),
        Part::Revoked => "the revocation of a device".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_is_told_from_a_full_server_and_a_large_message() {
        for (code, text, is_full) in [
            (552, "5.2.2 <a@b>: Recipient address rejected: Mailbox is full", true),
            (452, "4.2.2 <a@b>: Recipient address rejected: Mailbox is full", true),
            (552, "over quota", true),
            (552, "5.2.2", true),
            (452, "4.3.1 Insufficient system storage", false),
            (452, "Too many recipients", false),
            (552, "5.3.4 Message size exceeds fixed limit", false),
            (552, "4.2.2.1 what", true),
            (550, "5.1.1 User unknown", false),
            (550, "2.2.2 is a version", false),
        ] {
            let (mailbox, reply) = ("a@b".to_owned(), Reply::new(code, text));
            let error = SubmitError::Recipient { mailbox, reply: reply.clone() };
            assert_eq!(error.is_mailbox_full(), is_full, "{code} {text}");
            assert!(!SubmitError::Refused { at: Step::Mail, reply }.is_mailbox_full(), "{code} {text}");
        }
    }
}
