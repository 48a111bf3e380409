//! The signed receipt, sent once, after every instance is durable; the request for exact files; and what the doctor answers (SPEC 7).

use super::error::PullError;
use super::output::{Output, Record};
use super::session::{Session, is_of_message};
use crate::config::{Config, ConfigError, Keys};
use seal::answer::Answer;
use seal::limits::RECEIPT_DER_BYTES_MAX;
use seal::mail::{Address, Message, MessageId, Part, RecipientTag, Site};
use seal::mailbox::Found;
use seal::native::{DoctorKey, Recipient, open_receipt, seal_answer, sign_receipt};
use seal::receipt::{Receipt, ReceiptKind};
use std::io;

/// Who signs receipts, and where they go.
pub(crate) struct Receipts<'a> {
    /// Sender of receipts.
    pub(crate) address: Address,
    pub(crate) config: &'a Config,
    pub(crate) keys: &'a Keys,
    pub(crate) output: &'a Output,
    /// Seconds since 1970-01-01 UTC.
    pub(crate) now: fn() -> i64,
}

impl Receipts<'_> {
    /// Sends the receipt of a delivery that is in its place, unless that was done before.
    ///
    /// A run that was cut off between sending and remembering left it in the mailbox: it is found there by Message-ID and,
    /// since anybody may write one, by its signature.
    ///
    /// # Errors
    /// [`PullError`].
    pub(crate) async fn send(&self, session: &mut Session, record: &Record) -> Result<(), PullError> {
        if self.output.receipt_sent(record.delivery) {
            return Ok(());
        }
        let receipt = self.receipt(record, ReceiptKind::Fetched, record.received)?;
        if !self.is_in_mailbox(session, record, &receipt).await? {
            let message = self.message(record, &receipt)?;
            session.append(self.config.receipt_folder(), &message).await?;
            tracing::info!(delivery = %record.delivery, "receipt sent");
        }
        self.output
            .remember_receipt(record)
            .map_err(PullError::output("cannot remember that the receipt was sent"))
    }

    /// Asks the site for what gives exact files. Each request is a message of its own: the site takes the latest and answers once.
    ///
    /// # Errors
    /// [`PullError`].
    pub(crate) async fn ask(&self, session: &mut Session, record: &Record) -> Result<(), PullError> {
        let request = self.receipt(record, ReceiptKind::ExactWanted, (self.now)())?;
        let message = self.message(record, &request)?;
        session.append(self.config.receipt_folder(), &message).await?;
        tracing::info!(delivery = %record.delivery, "exact files asked for");
        self.output
            .remember_asked(record)
            .map_err(PullError::output("cannot remember that exact files were asked for"))
    }

    /// Tells the site something of this kind; `answer`: with the words of an answer.
    ///
    /// # Errors
    /// [`PullError`].
    pub(crate) async fn say(
        &self,
        session: &mut Session,
        record: &Record,
        kind: ReceiptKind,
        answer: Option<&Answer>,
    ) -> Result<(), PullError> {
        let mut receipt = self.receipt(record, kind, (self.now)())?;
        if let Some(answer) = answer {
            let takes_none =
                || PullError::Unavailable("the hospital takes no answers to this delivery: call it".into());
            let to = record.answers.as_ref().ok_or_else(takes_none)?;
            receipt.sealed = Some(seal_answer(answer, &receipt, to)?);
        }
        let message = self.message(record, &receipt)?;
        session.append(self.config.receipt_folder(), &message).await?;
        tracing::info!(delivery = %record.delivery, kind = kind.word(), "answer sent");
        Ok(())
    }

    fn receipt(&self, record: &Record, kind: ReceiptKind, at: i64) -> Result<Receipt, PullError> {
        let recipient = self.signer(record)?.certificate().digest();
        let receipt = Receipt::new(kind, record.delivery, record.cover, recipient, at);
        let instances = if kind == ReceiptKind::Fetched { record.instances } else { 0 };
        Ok(Receipt { instances, ..receipt })
    }

    /// The key that the delivery was opened by, or one that is as good: all of a device's have one identity.
    fn signer(&self, record: &Record) -> Result<&DoctorKey, PullError> {
        let opened = |doctor: &&DoctorKey| Some(doctor.certificate().digest()) == record.recipient;
        let signer = self.keys.doctors.iter().find(opened).or(self.keys.doctors.first());
        signer.ok_or(PullError::Config(ConfigError::NotEnrolled))
    }

    async fn is_in_mailbox(
        &self,
        session: &mut Session,
        record: &Record,
        receipt: &Receipt,
    ) -> Result<bool, PullError> {
        let signer = self.signer(record)?;
        let ours = Recipient::new(signer.certificate().clone(), signer.identity().cloned())?;
        for found in session.parts_of(receipt.delivery).await? {
            if is_receipt(&found, receipt) && is_by(session, &found, receipt, &ours).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn message(&self, record: &Record, receipt: &Receipt) -> Result<Vec<u8>, PullError> {
        let der = sign_receipt(receipt, self.signer(record)?)?;
        let malformed =
            || PullError::output("the site name in delivery.json")(io::ErrorKind::InvalidData.into());
        let site = Site::parse(&record.site).ok_or_else(malformed)?;
        let id = MessageId::receipt(record.delivery, receipt.kind, &receipt.recipient, &site);
        let message = Message::new(id, &self.address, (self.now)(), der.len() as u64)
            .map_err(|error| PullError::output("the clock of this machine")(io::Error::other(error)))?;
        let blocks: io::Result<Vec<_>> = message.lines(der.as_slice()).collect();
        Ok(blocks.map_err(PullError::output("cannot write the receipt"))?.concat())
    }
}

async fn is_by(
    session: &mut Session,
    found: &Found,
    receipt: &Receipt,
    ours: &Recipient,
) -> Result<bool, PullError> {
    let mut der = Vec::new();
    match session.fetch(found, &mut der, RECEIPT_DER_BYTES_MAX as u64).await {
        Err(error) if is_of_message(&error) => return Ok(false),
        fetched => _ = fetched?,
    }
    let signed = open_receipt(&der, std::slice::from_ref(ours));
    Ok(signed.is_ok_and(|signed| (signed.delivery, signed.cover) == (receipt.delivery, receipt.cover)))
}

fn is_receipt(found: &Found, receipt: &Receipt) -> bool {
    let recipient = RecipientTag::of(&receipt.recipient);
    found.id.part() == Part::Receipt { kind: receipt.kind, recipient }
}
