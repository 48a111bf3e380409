//! One doctor's folder: what is new in it, and whether it counts.

use super::super::enrolment::{Enrolment, EnrolmentKind};
use super::super::record::{Kind, Record, Refusal, Trouble, folder_digest};
use super::super::request::{Folder, Pinned, Withdrawn};
use super::{InboundError, Records};
use seal::ids::{DeliveryId, Digest, InvitationId};
use seal::limits::{ENROLMENT_BYTES_MAX, RECEIPT_DER_BYTES_MAX};
use seal::mail::{Part, RecipientTag};
use seal::mailbox::{FolderState, Found, ImapUid, Mailbox, MailboxError};
use seal::native::{Recipient, SealError, open_signed_receipt};
use seal::receipt::ReceiptKind;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;

/// Pause before mails that could not be deleted are tried again: somebody may grant the right meanwhile.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// How long a receipt stays after it was looked at, where its case has ended: what was told of it may still be on its way to the journal.
const KEPT: Duration = Duration::from_secs(10);

/// A folder with what of it was already looked at.
pub(super) struct Watched {
    folder: String,
    recipients: Vec<Recipient>,
    /// Stands for the folder's doctor in what is told of the folder: the digest of the first certificate.
    doctor: Digest,
    /// End of our Message-IDs.
    needle: String,
    uid_validity: u32,
    /// Messages below were looked at.
    next: ImapUid,
    /// When the last of them was.
    looked_at: Option<Instant>,
    /// What is deleted here.
    withdrawn: Vec<Withdrawn>,
    /// Nothing of them was left when the next message was to get this UID.
    cleared: Option<u32>,
    /// Mails deleted of each, until that is told.
    removed: HashMap<DeliveryId, u16>,
    /// They could not be deleted; when that is tried again.
    try_again: Option<Instant>,
    missing: bool,
}

/// Outer: the pipe. Inner: the connection, which is of no use any more.
type Looked = Result<Result<(), MailboxError>, InboundError>;

impl Watched {
    pub(super) fn new(folder: &Folder, site: &str) -> Result<Self, InboundError> {
        let recipients: Vec<_> = folder.recipients.iter().map(Pinned::recipient).collect::<Result<_, _>>()?;
        Ok(Self {
            folder: folder.folder.clone(),
            doctor: recipients.first().map_or(Digest([0; 32]), |first| first.certificate().digest()),
            recipients,
            needle: format!("@{site}>"),
            uid_validity: 0,
            next: ImapUid(1),
            looked_at: None,
            withdrawn: folder.withdrawn.clone(),
            cleared: None,
            removed: HashMap::new(),
            try_again: None,
            missing: false,
        })
    }

    /// Reports what came since the last look. A folder that is missing is reported once and holds up no other.
    pub(super) async fn look<W: AsyncWrite + Unpin>(
        &mut self,
        mailbox: &mut Mailbox,
        records: &mut Records<W>,
    ) -> Looked {
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
            (self.uid_validity, self.next, self.cleared) = (state.uid_validity, ImapUid(1), None);
        }
        Ok(state)
    }

    /// Deletes what lies here of withdrawn deliveries, also what came after they were withdrawn. Receipts are the doctor's word: they stay with a
    /// delivery that was recalled, and go with a case that has ended only after they were looked at.
    pub(super) async fn clear<W: AsyncWrite + Unpin>(
        &mut self,
        mailbox: &mut Mailbox,
        records: &mut Records<W>,
    ) -> Looked {
        if self.withdrawn.is_empty() || self.try_again.is_some_and(|at| Instant::now() < at) {
            return Ok(Ok(()));
        }
        let uid_next = match self.open(mailbox).await {
            Ok(state) => state.uid_next,
            Err(MailboxError::NoFolder { .. }) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        // A server that does not say is looked at each time.
        if uid_next != 0 && self.cleared == Some(uid_next) {
            return Ok(Ok(()));
        }
        let found = match mailbox.find(&self.folder, ImapUid(1), &self.needle).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        self.try_again = None;
        let mut is_kept = false;
        let is_recent = self.looked_at.is_some_and(|at| at.elapsed() < KEPT);
        for Withdrawn { delivery, receipts } in &self.withdrawn {
            let goes = |message: &&Found| match message.id.part() {
                Part::Cover | Part::Piece(_) | Part::Link => true,
                Part::Receipt { .. } => *receipts,
                _ => false,
            };
            let theirs = found.iter().filter(|message| message.id.delivery() == *delivery).filter(goes);
            let (kept, theirs): (Vec<_>, Vec<_>) = theirs.cloned().partition(|message| {
                matches!(message.id.part(), Part::Receipt { .. }) && (is_recent || message.uid >= self.next)
            });
            let kind = match mailbox.remove(&theirs).await {
                Ok(true) => {
                    // Receipts tell nothing of whether all of the delivery was here.
                    let mailed = theirs.iter().filter(|one| !matches!(one.id.part(), Part::Receipt { .. }));
                    let removed = self.removed.entry(*delivery).or_default();
                    *removed = removed.saturating_add(u16::try_from(mailed.count()).unwrap_or(u16::MAX));
                    if !kept.is_empty() {
                        // It is told when nothing is left.
                        is_kept = true;
                        continue;
                    }
                    Kind::Removed(self.removed.remove(delivery).unwrap_or(0))
                }
                Ok(false) => {
                    self.try_again = Some(Instant::now() + TRY_AGAIN);
                    Kind::NotRemoved
                }
                Err(error) => return Ok(Err(error)),
            };
            // A folder whose doctor has no certificate any more is known by its name.
            records.write(&Record::new(kind, *delivery, folder_digest(&self.folder))).await?;
        }
        self.cleared = (self.try_again.is_none() && !is_kept).then_some(uid_next);
        Ok(Ok(()))
    }

    async fn judge(&self, message: &Found, mailbox: &mut Mailbox) -> Result<Option<Record>, MailboxError> {
        let delivery = message.id.delivery();
        let record = |kind| Record::new(kind, delivery, self.doctor);
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
            records.trouble(trouble, self.doctor).await?;
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
