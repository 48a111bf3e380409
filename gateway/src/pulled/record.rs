//! Records of fixed size: all that the inbound process can say.
//!
//! | bytes | field |
//! |---|---|
//! | 0…3 | `SCPR` |
//! | 4 | format, 5 |
//! | 5 | kind: 1 cover seen, 3 refused, 4 trouble, 6 confined, 7 removed, 8 not removed, 15 none left; a receipt: 2 fetched, 5 exact wanted, 9 first image shown, 10 seen, 11 read, 12 answer, 13 closed, 14 passed on |
//! | 6, 7 | code of 3, 4 and 6, number of mails for 7, else 0 |
//! | 8…23 | delivery, 0 for 4 and 6 |
//! | 24…55 | SHA-256 of the recipient's certificate for receipts, else of the folder's name; 0 for 6 and for trouble that concerns all |
//! | 56…87 | SHA-256 of the cover, for receipts |
//! | 88…95 | time by the reader's clock, seconds since 1970-01-01 UTC, for receipts |
//! | 96…99 | instances for 2, seconds for 11; for 15 folders that were searched (2 bytes) and folders that were not (2), or 0 where that was only the folder that mails come to |
//! | 100, 101 | length of the signature, for receipts |
//! | … | signature, at most 72 bytes, for receipts |
//! | … | sealed answer, 401 bytes, for 12 |
//! | …1023 | 0 |
//!
//! Numbers are big endian. A record that holds anything else is refused as a whole, and the process that sent it is ended. The
//! signature is checked again by whoever takes the record ([`Record::is_proved`]): a process that was taken over cannot make one.

use super::inbound::Confinement;
use seal::answer::{SEALED_BYTES, SealedAnswer};
use seal::ids::{DeliveryId, Digest};
use seal::native::{Recipient, SignedReceipt, verify_receipt};
use seal::receipt::{Receipt, ReceiptKind};
use sha2::{Digest as _, Sha256};

/// Bytes of a record.
pub const RECORD_BYTES: usize = 1024;
/// Longest signature: DER of ECDSA-Sig-Value on P-256 (RFC 3279 2.2.3), two integers of at most 33 bytes.
pub const SIGNATURE_BYTES_MAX: usize = 72;

const MAGIC: [u8; 4] = *b"SCPR";
const FORMAT: u8 = 5;

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What.
    pub kind: Kind,
    /// For which delivery; zero for [`Kind::Trouble`].
    pub delivery: DeliveryId,
    /// SHA-256 of the recipient's certificate for receipts, else [`folder_digest`]; zero for what concerns all folders.
    pub recipient: Digest,
    /// SHA-256 of the cover that the receipt names; zero unless there is one.
    pub cover: Digest,
    /// When the reader had it or asked, by its clock, seconds since 1970-01-01 UTC; zero unless there is a receipt.
    pub at: i64,
    /// Instances durable at the reader, or seconds that the case was on the screen, or folders ([`Record::folders`]); zero where a record tells of none.
    pub count: u32,
    /// What the doctor says back, which only the site's key for this delivery opens.
    pub sealed: Option<SealedAnswer>,
    /// The recipient's signature on the receipt; empty unless there is one.
    pub signature: Vec<u8>,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The cover lies in the recipient's folder.
    CoverSeen,
    /// A receipt with the recipient's signature.
    Receipt(ReceiptKind),
    /// A message that names itself a receipt is none.
    Refused(Refusal),
    /// State of the mailbox, sent when it changes.
    Trouble(Trouble),
    /// What the process could take away from itself, sent first.
    Confined(Confinement),
    /// So many mails of a withdrawn delivery were deleted from the mailbox, besides those that were told of before.
    Removed(u16),
    /// No mail of a withdrawn delivery is left in the folders of the mailbox that were searched.
    NoneLeft,
    /// The mailbox gives no right to delete the mails of a withdrawn delivery.
    NotRemoved,
}

/// Why a receipt was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not signed by the certificate of this folder.
    Signature = 1,
    /// Not base64, not CMS, or too large.
    Malformed = 2,
    /// Message-ID and signed content name different deliveries or recipients.
    Mismatch = 3,
    /// It names a recipient who is none of this folder.
    Stranger = 4,
}

/// What is wrong with the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing any more.
    None = 1,
    /// Network or server down.
    Unreachable = 2,
    /// Operator: the server's certificate may not be trusted.
    Certificate = 3,
    /// Operator: user or password.
    Login = 4,
    /// Operator: the folder is missing or the gateway has no rights on it.
    NoFolder = 5,
    /// The server does not speak as it should.
    Protocol = 6,
    /// Operator: CA file, host name or folder name cannot be used.
    Configuration = 7,
    /// The server does not speak TLS as required.
    Tls = 8,
    /// Operator: the server wants a client certificate, or another one.
    ClientCertificate = 9,
    /// The process could not confine itself, and reads nothing.
    Sandbox = 10,
}

impl Trouble {
    /// Plain words, with who must act.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "the mailboxes can be read again",
            Self::Unreachable => "the IMAP server cannot be reached",
            Self::Certificate => {
                "the certificate of the IMAP server is refused (operator: check [pulled] ca and host)"
            }
            Self::Login => "the IMAP server refuses the login (operator: check [pulled] user and password)",
            Self::NoFolder => {
                "a doctor's folder is missing or may not be read (operator: create it or grant l, r)"
            }
            Self::Protocol => "the IMAP server's answers are not understood (operator: look at the server)",
            Self::Configuration => {
                "[pulled] cannot be used (operator: check host, folder names and the files of certificates)"
            }
            Self::Tls => {
                "the IMAP server does not speak TLS 1.3 from the first byte (operator: check [pulled] port; server: enable TLS 1.3)"
            }
            Self::ClientCertificate => {
                "the IMAP server demands a client certificate or refuses ours (operator: check [pulled] client_certificate and client_key)"
            }
            Self::Sandbox => {
                "the process that reads the mailboxes cannot confine itself and ended (us: report this with the kernel's version)"
            }
        }
    }
}

/// What a folder is known by in all records but receipts: its doctor may have no certificate.
pub fn folder_digest(folder: &str) -> Digest {
    Digest(Sha256::digest(folder).into())
}

impl Record {
    /// A record of this kind about a delivery, all else zero.
    pub fn new(kind: Kind, delivery: DeliveryId, recipient: Digest) -> Self {
        let (cover, at, count, sealed, signature) = (Digest([0; 32]), 0, 0, None, Vec::new());
        Self { kind, delivery, recipient, cover, at, count, sealed, signature }
    }

    /// With how many folders of the mailbox were searched, at least the one that mails come to, and how many were not.
    pub fn with_folders(self, searched: u16, unsearched: u16) -> Self {
        Self { count: u32::from(searched) << 16 | u32::from(unsearched), ..self }
    }

    /// How many folders of the mailbox were searched, and how many were not; none where only the one that mails come to was to be.
    pub fn folders(&self) -> Option<(u16, u16)> {
        let (searched, unsearched) = ((self.count >> 16) as u16, (self.count & 0xFFFF) as u16);
        (searched > 0).then_some((searched, unsearched))
    }

    /// The record of a receipt; none for one with fields that do not belong to its kind.
    pub fn of_receipt(signed: SignedReceipt) -> Option<Self> {
        let SignedReceipt { receipt, signature } = signed;
        let Receipt { delivery, recipient, cover, at, instances, seconds, sealed, .. } = receipt;
        let (kind, count) = (Kind::Receipt(receipt.kind), seconds.unwrap_or(instances));
        Some(Self { kind, delivery, recipient, cover, at, count, sealed, signature })
            .filter(Self::is_consistent)
    }

    /// The receipt that the record is of; none for one of another kind.
    pub fn receipt(&self) -> Option<Receipt> {
        let Kind::Receipt(kind) = self.kind else { return None };
        let receipt = Receipt::new(kind, self.delivery, self.cover, self.recipient, self.at);
        let (instances, seconds) = match kind {
            ReceiptKind::Read => (0, Some(self.count)),
            _ => (self.count, None),
        };
        Some(Receipt { instances, seconds, sealed: self.sealed.clone(), ..receipt })
    }

    /// Whether the record may be believed: what claims to be a receipt bears the signature of the recipient that it names, who is
    /// one of these.
    pub fn is_proved(&self, recipients: &[Recipient]) -> bool {
        let Some(receipt) = self.receipt() else { return true };
        let signed = SignedReceipt { receipt, signature: self.signature.clone() };
        recipients.iter().any(|recipient| verify_receipt(&signed, recipient).is_ok())
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let (kind, code) = self.kind.numbers();
        let signature_bytes = u16::try_from(self.signature.len()).unwrap_or(0);
        let sealed = self.sealed.as_ref().map_or(&[][..], |sealed| &sealed.0[..]);
        let fields: [&[u8]; 11] = [
            &MAGIC,
            &[FORMAT, kind],
            &code.to_be_bytes(),
            &self.delivery.0,
            &self.recipient.0,
            &self.cover.0,
            &self.at.to_be_bytes(),
            &self.count.to_be_bytes(),
            &signature_bytes.to_be_bytes(),
            &self.signature,
            sealed,
        ];
        let mut bytes = [0; RECORD_BYTES];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Reads a record; none if a single byte is not as this module writes it.
    pub fn parse(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (&[kind, high, low], rest) =
            bytes.strip_prefix(&MAGIC)?.strip_prefix(&[FORMAT])?.split_first_chunk()?;
        let (delivery, rest) = rest.split_first_chunk()?;
        let (recipient, rest) = rest.split_first_chunk()?;
        let (cover, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (signature_bytes, rest) = rest.split_first_chunk()?;
        let signature_bytes = usize::from(u16::from_be_bytes(*signature_bytes));
        let kind = Kind::parse(kind, u16::from_be_bytes([high, low]))?;
        let (signature, rest) = rest.split_at_checked(signature_bytes)?;
        let sealed = match kind {
            Kind::Receipt(ReceiptKind::Answer) => Some(SealedAnswer::new(rest.get(..SEALED_BYTES)?)?),
            _ => None,
        };
        let record = Self {
            kind,
            delivery: DeliveryId(*delivery),
            recipient: Digest(*recipient),
            cover: Digest(*cover),
            at: i64::from_be_bytes(*at),
            count: u32::from_be_bytes(*count),
            sealed,
            signature: signature.to_vec(),
        };
        (record.is_consistent() && record.to_bytes() == *bytes).then_some(record)
    }

    /// Fields that do not belong to the kind are zero.
    fn is_consistent(&self) -> bool {
        let bare = Self::new(self.kind, self.delivery, self.recipient);
        let no_delivery = self.delivery == DeliveryId([0; 16]);
        match self.kind {
            Kind::Receipt(_) => {
                self.signature.len() <= SIGNATURE_BYTES_MAX
                    && self.receipt().is_some_and(|receipt| receipt.is_sound())
            }
            Kind::NoneLeft => {
                *self == Self { count: self.count, ..bare } && (self.count == 0 || self.folders().is_some())
            }
            Kind::CoverSeen | Kind::Refused(_) | Kind::Removed(_) | Kind::NotRemoved => *self == bare,
            Kind::Trouble(_) => *self == bare && no_delivery,
            Kind::Confined(_) => *self == bare && no_delivery && self.recipient == Digest([0; 32]),
        }
    }
}

impl Kind {
    fn numbers(self) -> (u8, u16) {
        match self {
            Self::CoverSeen => (1, 0),
            Self::Refused(refusal) => (3, refusal as u16),
            Self::Trouble(trouble) => (4, trouble as u16),
            Self::Receipt(kind) => (receipt_number(kind), 0),
            Self::Confined(confinement) => (6, confinement.bits()),
            Self::Removed(mails) => (7, mails),
            Self::NotRemoved => (8, 0),
            Self::NoneLeft => (15, 0),
        }
    }

    fn parse(kind: u8, code: u16) -> Option<Self> {
        use Trouble::{
            Certificate, ClientCertificate, Configuration, Login, NoFolder, None as Nothing, Protocol,
            Sandbox, Tls, Unreachable,
        };
        let refusals =
            [Refusal::Signature, Refusal::Malformed, Refusal::Mismatch, Refusal::Stranger].map(Self::Refused);
        let troubles = [
            Nothing,
            Unreachable,
            Certificate,
            Login,
            NoFolder,
            Protocol,
            Configuration,
            Tls,
            ClientCertificate,
            Sandbox,
        ]
        .map(Self::Trouble);
        let confined = Confinement::all().map(Self::Confined);
        let others = [Self::CoverSeen, Self::NotRemoved, Self::NoneLeft, Self::Removed(code)];
        let receipts = ReceiptKind::ALL.map(Self::Receipt);
        let mut kinds = others.into_iter().chain(receipts).chain(refusals).chain(troubles).chain(confined);
        kinds.find(|known| known.numbers() == (kind, code))
    }
}

fn receipt_number(kind: ReceiptKind) -> u8 {
    match kind {
        ReceiptKind::Fetched => 2,
        ReceiptKind::ExactWanted => 5,
        ReceiptKind::FirstImageShown => 9,
        ReceiptKind::Seen => 10,
        ReceiptKind::Read => 11,
        ReceiptKind::Answer => 12,
        ReceiptKind::Closed => 13,
        ReceiptKind::PassedOn => 14,
    }
}
