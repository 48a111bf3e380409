//! Plain notices, and the channels that carry them. Nothing here knows what a study is: no field of a [`Notice`] can hold
//! patient data, and every text is a constant.

mod address;
mod command;
mod error;
mod http;
mod limits;
mod mail;
mod text;

pub use address::Kind;
pub use command::CommandChannel;
pub use error::{MustAct, NoticeError};
pub use http::{Body, Format, HttpChannel, HttpServer, Login, Template, host_of};
pub use mail::{MailChannel, MailServer, Sign};

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use time::OffsetDateTime;

/// What reaches the phone: that something waits, how urgent it is, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Random; the same at each try, so that a channel can tell a repeated notice.
    pub id: NoticeId,
    /// When it was first sent.
    pub at: OffsetDateTime,
    /// How urgent.
    pub urgency: Urgency,
}

/// 128 random bits, written as 32 hex digits. It says nothing about the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoticeId(pub [u8; 16]);

impl fmt::Display for NoticeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// How urgent a notice is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Routine.
    #[default]
    Routine,
    /// The doctor is asked to look at once.
    Urgent,
}

/// Language of a notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// Japanese.
    #[default]
    #[serde(rename = "ja")]
    Japanese,
}

/// A channel took a notice; whether the phone shows it, it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted;

/// A notice under way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Accepted, NoticeError>> + Send + 'a>>;

/// A secret, read when it is needed: what was renewed on the disk counts at once. None where it cannot be read.
pub type Secret = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Something that carries notices to a phone. It ends by itself: each has its own longest wait.
pub trait Channel: Send + Sync {
    /// Sends a notice to an address of this channel; fails with [`NoticeError`]. The same notice again is at most a repetition of the first.
    fn send<'a>(&'a self, notice: &'a Notice, to: &'a str, language: Language) -> Sending<'a>;
}
