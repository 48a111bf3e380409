//! Message-IDs: by them alone both ends find the mails of a delivery (SPEC 6.2).

use super::Site;
use crate::ids::{DeliveryId, Digest, InvitationId, LinkId};
use crate::limits::PIECES_MAX;
use crate::receipt::ReceiptKind;
use std::fmt;

/// In the Message-ID of a message for a mail program.
const MESSAGE: &str = "smime";

/// `<DELIVERY.PART@SITE>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    delivery: DeliveryId,
    part: Part,
    site: Site,
}

/// Which mail of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A piece by its number, from 1.
    Piece(u32),
    /// The cover.
    Cover,
    /// The one message for a mail program, by its recipient's number, from 1.
    Message(u32),
    /// A receipt.
    Receipt {
        /// What it attests.
        kind: ReceiptKind,
        /// Who signed it.
        recipient: RecipientTag,
    },
    /// A device asks to be enrolled (SPEC 8).
    Enrol,
    /// The site has enrolled it.
    Enrolled,
    /// An enrolled device has a new certificate.
    Renew,
    /// The site has revoked a device (SPEC 8.6).
    Revoked,
    /// The statement of a link (SPEC 10).
    Link,
}

/// The first 8 bytes of the SHA-256 of a recipient's certificate, written as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecipientTag([u8; 8]);

impl MessageId {
    /// Of a piece; `number` from 1.
    pub fn piece(delivery: DeliveryId, number: u32, site: &Site) -> Self {
        Self { delivery, part: Part::Piece(number), site: site.clone() }
    }

    /// Of the cover.
    pub fn cover(delivery: DeliveryId, site: &Site) -> Self {
        Self { delivery, part: Part::Cover, site: site.clone() }
    }

    /// Of the message for a mail program; `number` from 1.
    pub fn message(delivery: DeliveryId, number: u32, site: &Site) -> Self {
        Self { delivery, part: Part::Message(number), site: site.clone() }
    }

    /// Of a receipt; `recipient` is the SHA-256 of the recipient's certificate, `site` that of the delivery.
    pub fn receipt(delivery: DeliveryId, kind: ReceiptKind, recipient: &Digest, site: &Site) -> Self {
        let part = Part::Receipt { kind, recipient: RecipientTag::of(recipient) };
        Self { delivery, part, site: site.clone() }
    }

    /// Of a message of an enrolment, where the invitation stands in the place of a delivery.
    pub fn enrolment(invitation: InvitationId, part: Part, site: &Site) -> Self {
        Self { delivery: DeliveryId(invitation.0), part, site: site.clone() }
    }

    /// Of the statement of a link, which stands in the place of a delivery.
    pub fn link(link: LinkId, site: &Site) -> Self {
        Self { delivery: DeliveryId(link.0), part: Part::Link, site: site.clone() }
    }

    /// Reads a Message-ID with its angle brackets; none if it is not exactly one that this crate writes.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('<')?.strip_suffix('>')?;
        let (left, site) = inner.split_once('@')?;
        let (delivery, part) = left.split_once('.')?;
        Some(Self {
            delivery: DeliveryId::parse(delivery)?,
            part: Part::parse(part)?,
            site: Site::parse(site)?,
        })
    }

    /// The delivery; of an enrolment, its invitation.
    pub fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    /// Which mail of the delivery.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The site.
    pub fn site(&self) -> &Site {
        &self.site
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{}.{}@{}>", self.delivery, self.part, self.site)
    }
}

impl Part {
    /// Its Content-Type (SPEC 6.3).
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Piece(_) | Self::Enrol | Self::Enrolled | Self::Renew | Self::Revoked | Self::Link => {
                "application/octet-stream"
            }
            Self::Cover | Self::Message(_) => {
                "application/pkcs7-mime; smime-type=authEnveloped-data; name=smime.p7m"
            }
            Self::Receipt { .. } => "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "cover" => return Some(Self::Cover),
            "enrol" => return Some(Self::Enrol),
            "enrolled" => return Some(Self::Enrolled),
            "renew" => return Some(Self::Renew),
            "revoked" => return Some(Self::Revoked),
            "link" => return Some(Self::Link),
            _ => {}
        }
        match text.split_once('.') {
            None => parse_number(text).map(Self::Piece),
            Some((MESSAGE, number)) => parse_number(number).map(Self::Message),
            Some((kind, recipient)) => Some(Self::Receipt {
                kind: ReceiptKind::from_word(kind)?,
                recipient: RecipientTag::parse(recipient)?,
            }),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Piece(number) => write!(formatter, "{number}"),
            Self::Cover => formatter.write_str("cover"),
            Self::Enrol => formatter.write_str("enrol"),
            Self::Enrolled => formatter.write_str("enrolled"),
            Self::Renew => formatter.write_str("renew"),
            Self::Revoked => formatter.write_str("revoked"),
            Self::Link => formatter.write_str("link"),
            Self::Message(number) => write!(formatter, "{MESSAGE}.{number}"),
            Self::Receipt { kind, recipient } => write!(formatter, "{}.{recipient}", kind.word()),
        }
    }
}

impl RecipientTag {
    /// Of the recipient whose certificate has this digest.
    pub fn of(certificate: &Digest) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = certificate.0;
        Self([a, b, c, d, e, f, g, h])
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self(crate::ids::parse_hex(text)?))
    }
}

impl fmt::Display for RecipientTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Exactly one spelling for each number: no sign, no leading zero.
fn parse_number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    let valid = (1..=PIECES_MAX).contains(&number) && number.to_string() == text;
    valid.then_some(number)
}
