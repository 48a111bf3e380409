//! One doctor's folder: what is new in it, and whether it counts.

use super::super::enrolment::{Enrolment, EnrolmentKind};
use super::super::record::{Kind, Record, Refusal, Trouble, folder_digest};
use super::super::request::{Folder, Pinned};
use super::clearing::{Clearing, KEPT, Place, Reading};
use super::{InboundError, Records};
use seal::ids::{Digest, InvitationId};
use seal::limits::{ENROLMENT_BYTES_MAX, RECEIPT_DER_BYTES_MAX};
use seal::mail::{Part, RecipientTag};
use seal::mailbox::{FolderState, Found, ImapUid, Mailbox, MailboxError};
use seal::native::{Recipient, SealError, open_signed_receipt};
use seal::receipt::ReceiptKind;
use std::time::Instant;
use tokio::io::AsyncWrite;

/// A folder with what of it was already looked at.
pub(super) struct Watched {
    folder: String,
    recipients: Vec<Recipient>,
    /// Stands for the folder in what is told of it.
    digest: Digest,
    /// End of our Message-IDs.
    needle: String,
    uid_validity: u32,
    /// Messages below were looked at.
    next: ImapUid,
    /// When the last of them was.
    looked_at: Option<Instant>,
    /// When the last look began that came to its end.
    began: Option<Instant>,
    clearing: Clearing,
    missing: bool,
}

/// Outer: the pipe. Inner: the connection, which is of no use any more.
type Looked = Result<Result<(), MailboxError>, InboundError>;

impl Watched {
    /// `foreign`: the folders of other doctors.
    pub(super) fn new(folder: &Folder, foreign: Vec<String>, site: &str) -> Result<Self, InboundError> {
        let needle = format!("@{site}>");
        let place = Place { own: folder.folder.clone(), foreign, needle: needle.clone() };
        let recipients: Vec<_> = folder.recipients.iter().map(Pinned::recipient).collect::<Result<_, _>>()?;
        Ok(Self {
            folder: folder.folder.clone(),
            digest: folder_digest(&folder.folder),
            recipients,
            needle,
            clearing: Clearing::new(place, folder.withdrawn.clone()),
            uid_validity: 0,
            next: ImapUid(1),
            looked_at: None,
            began: None,
            missing: false,
        })
    }

    /// Reports what came since the last look. A folder that is missing is reported once and holds up no other.
    pub(super) async fn look<W: AsyncWrite + Unpin>(
        &mut self,
        mailbox: &mut Mailbox,
        records: &mut Records<W>,
    ) -> Looked {
        let began = Instant::now();
        let found = match self.news(mailbox).await {
            Ok(found) => found,
            Err(MailboxError::NoFolder { .. }) => return self.set_missing(true, records).await,
            Err(error) => return Ok(Err(error)),
        };
        for message in &found {
            match self.judge(message, mailbox).await {
                Ok(Some(record)) => records.write(&record).await?,
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
            match enrolment(message, mailbox).await {
                Ok(Some(enrolment)) => records.enrolment(&enrolment).await?,
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
            self.next = self.next.max(ImapUid(message.uid.0.saturating_add(1)));
            self.looked_at = Some(Instant::now());
        }
        self.began = Some(began);
        self.set_missing(false, records).await
    }

    async fn news(&mut self, mailbox: &mut Mailbox) -> Result<Vec<Found>, MailboxError> {
        let state = self.open(mailbox).await?;
        if state.uid_next != 0 && state.uid_next <= self.next.0 {
            return Ok(Vec::new());
        }
        let found = mailbox.find(&self.folder, self.next, &self.needle).await?;
        if found.is_empty() {
            self.next = self.next.max(ImapUid(state.uid_next));
        }
        Ok(found)
    }

    /// A folder that was made anew has other UIDs: nothing of it was looked at.
    async fn open(&mut self, mailbox: &mut Mailbox) -> Result<FolderState, MailboxError> {
        let state = mailbox.open_folder(&self.folder).await?;
        if state.uid_validity != self.uid_validity {
            (self.uid_validity, self.next) = (state.uid_validity, ImapUid(1));
        }
        Ok(state)
    }

    /// Deletes what lies in this mailbox of withdrawn deliveries, also what came after they were withdrawn. Receipts are the doctor's word: they
    /// stay with a delivery that was recalled, and go with a case that has ended only after they were looked at. `turn`: other folders that may still be
    /// looked into before receipts are read again.
    pub(super) async fn clear<W: AsyncWrite + Unpin>(
        &mut self,
        mailbox: &mut Mailbox,
        records: &mut Records<W>,
        turn: &mut usize,
    ) -> Looked {
        if !self.clearing.is_due() {
            return Ok(Ok(()));
        }
        let cleared = self.cleared(mailbox, turn).await;
        for record in self.clearing.take_records() {
            records.write(&record).await?;
        }
        match cleared {
            Err(MailboxError::NoFolder { .. }) => Ok(Ok(())),
            cleared => Ok(cleared),
        }
    }

    async fn cleared(&mut self, mailbox: &mut Mailbox, turn: &mut usize) -> Result<(), MailboxError> {
        let is_under_way = self.clearing.is_under_way();
        let state = if is_under_way { None } else { Some(self.open(mailbox).await?) };
        let is_recent = self.looked_at.is_some_and(|at| at.elapsed() < KEPT);
        let unread = if is_recent { ImapUid(0) } else { self.next };
        let reading = Reading { unread, began: self.began };
        if let Some(state) = state {
            self.clearing.begin(state, reading, mailbox).await?;
        }
        self.clearing.go_on(reading, mailbox, turn).await
    }

    async fn judge(&self, message: &Found, mailbox: &mut Mailbox) -> Result<Option<Record>, MailboxError> {
        let delivery = message.id.delivery();
        let record = |kind| Record::new(kind, delivery, self.digest);
        match message.id.part() {
            Part::Cover => Ok(Some(record(Kind::CoverSeen))),
            Part::Receipt { kind, recipient } if self.knows(recipient) => {
                match self.receipt(message, kind, mailbox).await {
                    Ok(Ok(fetched)) => Ok(Some(fetched)),
                    Ok(Err(refusal)) => Ok(Some(record(Kind::Refused(refusal)))),
                    // Deleted since it was listed.
                    Err(MailboxError::Gone) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            Part::Receipt { .. } => Ok(Some(record(Kind::Refused(Refusal::Stranger)))),
            Part::Piece(_)
            | Part::Message(_)
            | Part::Enrol
            | Part::Enrolled
            | Part::Renew
            | Part::Revoked
            | Part::Link => Ok(None),
        }
    }

    fn knows(&self, tag: RecipientTag) -> bool {
        self.recipients.iter().any(|recipient| RecipientTag::of(&recipient.certificate().digest()) == tag)
    }

    async fn receipt(
        &self,
        message: &Found,
        kind: ReceiptKind,
        mailbox: &mut Mailbox,
    ) -> Result<Result<Record, Refusal>, MailboxError> {
        let mut der = Vec::new();
        match mailbox.fetch_body(message, &mut der, RECEIPT_DER_BYTES_MAX as u64).await {
            Ok(_) => {}
            Err(MailboxError::TooLarge { .. } | MailboxError::NotBase64) => {
                return Ok(Err(Refusal::Malformed));
            }
            Err(error) => return Err(error),
        }
        Ok(self.verify(&der, message, kind))
    }

    fn verify(&self, der: &[u8], message: &Found, kind: ReceiptKind) -> Result<Record, Refusal> {
        let signed = open_signed_receipt(der, &self.recipients).map_err(|error| refusal(&error))?;
        let receipt = &signed.receipt;
        let named = Part::Receipt { kind: receipt.kind, recipient: RecipientTag::of(&receipt.recipient) };
        if receipt.delivery != message.id.delivery() || receipt.kind != kind || message.id.part() != named {
            return Err(Refusal::Mismatch);
        }
        Record::of_receipt(signed).ok_or(Refusal::Malformed)
    }

    async fn set_missing<W: AsyncWrite + Unpin>(
        &mut self,
        missing: bool,
        records: &mut Records<W>,
    ) -> Looked {
        if self.missing != missing {
            let trouble = if missing { Trouble::NoFolder } else { Trouble::None };
            records.trouble(trouble, self.digest).await?;
            self.missing = missing;
        }
        Ok(Ok(()))
    }
}

/// A message about an enrolment, unread; one that is too large or no base64 counts as an empty one.
async fn enrolment(message: &Found, mailbox: &mut Mailbox) -> Result<Option<Enrolment>, MailboxError> {
    let Some(kind) = EnrolmentKind::of(message.id.part()) else { return Ok(None) };
    let mut bytes = Vec::new();
    match mailbox.fetch_body(message, &mut bytes, ENROLMENT_BYTES_MAX as u64).await {
        Ok(_) => {}
        Err(MailboxError::TooLarge { .. } | MailboxError::NotBase64) => bytes.clear(),
        Err(MailboxError::Gone) => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(Some(Enrolment { kind, id: InvitationId(message.id.delivery().0), message: bytes }))
}

fn refusal(error: &SealError) -> Refusal {
    use seal::native::Refusal::Malformed;
    if matches!(error, SealError::Refused(Malformed(_))) { Refusal::Malformed } else { Refusal::Signature }
}
