//! Mail layout: constant headers, base64 in lines of 76 (SPEC 6).
//!
//! The sender makes a [`Message`] and streams its [`lines`](Message::lines); the receiver finds it by its [`MessageId`] and turns
//! the fetched body back into bytes with a [`Base64Decoder`].

mod address;
mod decode;
mod encode;
mod message_id;
mod site;

pub use address::Address;
pub use decode::{Base64Decoder, NotBase64};
pub use encode::{LINE_BYTES, LINE_CHARS};
pub use message_id::{MessageId, Part, RecipientTag};
pub use site::Site;

use std::io::{self, Read};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// One mail, whole but for the body's bytes, which [`Message::lines`] takes from a reader.
#[derive(Clone, Debug)]
pub struct Message {
    id: MessageId,
    head: String,
    body_bytes: u64,
}

/// A `Date` that RFC 5322 cannot write: before 1900 or after 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the date cannot be written in a mail header")]
pub struct InvalidDate;

impl Message {
    /// Lays out the headers (SPEC 6.1). `date` is in seconds since 1970-01-01 UTC, `body_bytes` the length before base64.
    ///
    /// # Errors
    /// [`InvalidDate`].
    pub fn new(id: MessageId, from: &Address, date: i64, body_bytes: u64) -> Result<Self, InvalidDate> {
        let date = OffsetDateTime::from_unix_timestamp(date).map_err(|_| InvalidDate)?;
        let date = date.format(&Rfc2822).map_err(|_| InvalidDate)?;
        let head = format!(
            "Date: {date}\r\nMessage-ID: {id}\r\nFrom: {from}\r\nTo: undisclosed-recipients:;\r\nSubject: Scanpost\r\n\
             MIME-Version: 1.0\r\nContent-Type: {}\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            id.part().content_type()
        );
        Ok(Self { id, head, body_bytes })
    }

    /// The same message with header fields before its own: whole lines with CRLF, such as a `DKIM-Signature` (RFC 6376 3.5).
    #[must_use]
    pub fn with_fields(mut self, fields: &str) -> Self {
        self.head.insert_str(0, fields);
        self
    }

    /// The header fields with the empty line that ends them.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Its Message-ID.
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// Exact octets of the message, headers and base64 with every CRLF, for SIZE (RFC 1870) and quota.
    pub fn encoded_bytes(&self) -> u64 {
        self.head.len() as u64 + encode::encoded_bytes(self.body_bytes)
    }

    /// Streams the message in blocks of about 64 kB that end with a line. `body` must give exactly the bytes announced: an
    /// error comes instead of the last block if it gives fewer or more, so a cut file is never sent as if it were whole.
    pub fn lines<R: Read>(&self, body: R) -> impl Iterator<Item = io::Result<Vec<u8>>> + use<R> {
        let head = self.head.clone().into_bytes();
        std::iter::once(Ok(head)).chain(self.body_lines(body))
    }

    /// [`lines`](Self::lines) without the header.
    pub fn body_lines<R: Read>(&self, body: R) -> impl Iterator<Item = io::Result<Vec<u8>>> + use<R> {
        encode::Lines::new(body, self.body_bytes)
    }
}

#[cfg(test)]
mod tests;
