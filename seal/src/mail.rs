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

/// Of every mail of ours but those to mail programs.
const SUBJECT: &str = "Scanpost";
/// What PS3.12 asks of a subject that goes before a DICOM ZIP file; the same whether one is inside or not.
const SUBJECT_DICOM_ZIP: &str = "Scanpost DICOM-ZIP";

/// How a message to a mail program is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// AuthEnvelopedData, AES-256-GCM (RFC 5083, 5084).
    Authenticated,
    /// EnvelopedData, AES-256-CBC: for programs that cannot open the other. Whoever changes it on the way is not found out (EFAIL).
    QuirkCbc,
}

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
        let content_type = id.part().content_type();
        Self::lay_out(id, from, date, body_bytes, SUBJECT, content_type)
    }

    /// Lays out the headers of an S/MIME message for a mail program (SPEC 9.1).
    ///
    /// # Errors
    /// [`InvalidDate`].
    pub fn smime(
        id: MessageId,
        from: &Address,
        date: i64,
        body_bytes: u64,
        encryption: Encryption,
    ) -> Result<Self, InvalidDate> {
        Self::lay_out(id, from, date, body_bytes, SUBJECT_DICOM_ZIP, encryption.content_type())
    }

    fn lay_out(
        id: MessageId,
        from: &Address,
        date: i64,
        body_bytes: u64,
        subject: &str,
        content_type: &str,
    ) -> Result<Self, InvalidDate> {
        let date = OffsetDateTime::from_unix_timestamp(date).map_err(|_| InvalidDate)?;
        let date = date.format(&Rfc2822).map_err(|_| InvalidDate)?;
        let head = format!(
            "Date: {date}\r\nMessage-ID: {id}\r\nFrom: {from}\r\nTo: undisclosed-recipients:;\r\nSubject: {subject}\r\n\
             MIME-Version: 1.0\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
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
        body_lines(body, self.body_bytes)
    }
}

/// Base64 lines of exactly `bytes` from a reader, in blocks of about 64 kB, each line with its CRLF.
pub fn body_lines<R: Read>(body: R, bytes: u64) -> impl Iterator<Item = io::Result<Vec<u8>>> + use<R> {
    encode::Lines::new(body, bytes)
}

impl Encryption {
    fn content_type(self) -> &'static str {
        match self {
            Self::Authenticated => "application/pkcs7-mime; smime-type=authEnveloped-data; name=smime.p7m",
            Self::QuirkCbc => "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
        }
    }
}

#[cfg(test)]
mod tests;
