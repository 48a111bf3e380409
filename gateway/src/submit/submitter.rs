//! The gateway's own submitter: mail server, sender and doctors from the configuration, the record in the journal.

use super::connection::Mail;
use super::{
    MailServer, Recipient, RecordError, Step, SubmissionRecord, SubmitError, Target, Timeouts, submit,
};
use crate::clock::now_ms;
use crate::config::{Config, ConfigError};
use crate::journal::{Journal, JournalError, PART_COVER};
use crate::seal::Sealed;
use seal::ids::{DeliveryId, LinkId};
use seal::mail::{Address, Message, MessageId, Part, Site};
use seal::native::{SealedMessage, SealedPieces, SignedNotice};
use std::collections::HashSet;

/// Submits deliveries to the server of `[submit]`.
#[derive(Debug)]
pub struct Submitter {
    server: MailServer,
    site: Site,
    from: Address,
}

impl Submitter {
    /// Reads password and roots; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let wrong = |key: &str, reason| ConfigError::Value { key: key.to_owned(), reason };
        let site =
            Site::parse(&config.site).ok_or_else(|| wrong("site", "write a domain name in lower case"))?;
        let from = config.submit.sender();
        let from = Address::parse(from)
            .ok_or_else(|| wrong("submit.from", "write the address that the mails come from, in ASCII"))?;
        for (name, doctor) in &config.doctors {
            Address::parse(&doctor.mailbox)
                .ok_or_else(|| wrong(&format!("doctors.{name}.mailbox"), "write a mail address in ASCII"))?;
        }
        Ok(Self { server: MailServer::new(&config.submit, &site, Timeouts::default())?, site, from })
    }

    /// Connects, logs in and hangs up: a wrong password is found before the first study.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn check(&self) -> Result<(), SubmitError> {
        self.server.check().await
    }

    /// Greets the server and logs in, for what is sent soon.
    pub async fn make_ready(&self) {
        self.server.make_ready().await;
    }

    /// Octets of all messages of a delivery, sent once.
    pub fn mail_bytes(&self, sealed: &Sealed) -> u64 {
        let at = now_ms() / 1000;
        let messages = sealed.messages.iter().filter_map(|sealed| self.message(sealed, at).ok());
        let messages = messages.map(|mail| mail.encoded_bytes() + self.server.signature_bytes(&mail, at));
        sealed.pieces.as_ref().map_or(0, |pieces| self.pieces_bytes(pieces, at)) + messages.sum::<u64>()
    }

    fn pieces_bytes(&self, pieces: &SealedPieces, at: i64) -> u64 {
        let message = |id, bytes| Message::new(id, &self.from, at, bytes);
        let delivery = pieces.delivery();
        let cover = message(MessageId::cover(delivery, &self.site), pieces.cover_bytes());
        // Signatures are as long whatever they sign.
        let signatures = cover.as_ref().map_or(0, |cover| self.server.signature_bytes(cover, at));
        let numbered = (1_u32..).zip(pieces.piece_bytes());
        let parts =
            numbered.map(|(number, bytes)| message(MessageId::piece(delivery, number, &self.site), *bytes));
        parts.chain([cover]).flatten().map(|mail| mail.encoded_bytes() + signatures).sum()
    }

    /// Mails what the site signed for a doctor's mailbox: the answer to an enrolment, or a revocation.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn answer(&self, notice: &SignedNotice, mailbox: &Address) -> Result<(), SubmitError> {
        let (id, bytes) = (notice.message_id(&self.site), notice.bytes());
        let part = id.part();
        let message = Message::new(id, &self.from, now_ms() / 1000, bytes.len() as u64)
            .map_err(|_| SubmitError::Date)?;
        let mail = Mail { from: &self.from, to: &[mailbox], message: &message, part };
        let outcomes = self.server.deliver(&mail, || Ok(bytes)).await?;
        outcomes.into_iter().collect()
    }

    /// Mails the statement of a link into the guest mailbox.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn link(
        &self,
        id: LinkId,
        statement: &[u8],
        doctor: &str,
        config: &Config,
    ) -> Result<(), SubmitError> {
        let to = recipient(doctor.to_owned(), config)?;
        let at = now_ms() / 1000;
        let message = Message::new(MessageId::link(id, &self.site), &self.from, at, statement.len() as u64)
            .map_err(|_| SubmitError::Date)?;
        let message = self.server.signed(Part::Link, message, at, || Ok(statement))?;
        let mail = Mail { from: &self.from, to: &[&to.mailbox], message: &message, part: Part::Link };
        let outcomes = self.server.deliver(&mail, || Ok(statement)).await?;
        outcomes.into_iter().collect()
    }

    /// Submits what the journal does not yet hold as accepted, to every doctor of the delivery whom the server takes mail for: messages to mail
    /// programs, then pieces and cover to readers. A doctor whom it refuses for good is marked so in the journal, and the others get theirs.
    ///
    /// # Errors
    /// [`SubmitError`]: temporary while a doctor's share is still missing, permanent if no doctor is left.
    pub async fn submit(
        &self,
        delivery: DeliveryId,
        sealed: &Sealed,
        config: &Config,
        journal: &Journal,
    ) -> Result<(), SubmitError> {
        let mut all = recipients(delivery, config, journal).await?;
        let is_residual = journal.delivery(delivery).await?.residual_of.is_some();
        // Who can ask for none gets none: neither a mail program nor a guest.
        all.retain(|one| !is_residual || config.sends_receipts(&one.recipient.name));
        if all.is_empty() {
            return Err(SubmitError::NobodyLeft);
        }
        let names: Vec<String> = all.iter().map(|one| one.recipient.name.clone()).collect();
        let (mut refused, mut stopped) = (Vec::new(), None);
        for one in all.iter().filter(|one| !one.submitted) {
            let Some(message) = one.message(sealed) else { continue };
            let recipient = &one.recipient;
            match self.send(message, recipient).await {
                Ok(Ok(())) => journal.accepted(delivery, PART_COVER, &recipient.name, now_ms()).await?,
                Ok(Err(error)) => refused.push((recipient.name.clone(), error)),
                // Too large for this server: the others must not wait for that.
                Err(error) if error.is_permanent() => refused.push((recipient.name.clone(), error)),
                Err(error) => stopped = stopped.or(Some(error)),
            }
        }
        let readers: Vec<Recipient> = all
            .into_iter()
            .map(|one| one.recipient)
            .filter(|one| !config.is_mail_program(&one.name))
            .collect();
        if let Some(pieces) = sealed.pieces.as_ref().filter(|_| !readers.is_empty()) {
            let (server, site, from) = (&self.server, &self.site, &self.from);
            let target = Target { server, site, from, date: now_ms() / 1000, recipients: &readers };
            match submit(pieces, &target, &JournalRecord { journal, delivery }).await {
                Ok(submission) => refused.extend(submission.refused),
                Err(error) => stopped = stopped.or(Some(error)),
            }
        }
        for (doctor, error) in refused.iter().filter(|(_, error)| error.is_permanent()) {
            tracing::error!(stage = "submit", delivery = %delivery, doctor, %error, "a doctor gets nothing of this delivery");
            journal.refused(delivery, doctor, &error.to_string()).await?;
        }
        if let Some(error) = stopped {
            return Err(error);
        }
        let nobody_left = names.iter().all(|name| refused.iter().any(|(doctor, _)| doctor == name));
        let temporary = refused.iter().position(|(_, error)| !error.is_permanent());
        match temporary.or(nobody_left.then_some(0)) {
            Some(index) => Err(refused.swap_remove(index).1),
            None => Ok(()),
        }
    }

    fn message(&self, sealed: &SealedMessage, at: i64) -> Result<Message, SubmitError> {
        let id = MessageId::message(sealed.delivery(), sealed.number(), &self.site);
        Message::smime(id, &self.from, at, sealed.bytes(), sealed.encryption()).map_err(|_| SubmitError::Date)
    }

    /// Hands one message over. The inner result is what the server said of the recipient.
    async fn send(
        &self,
        sealed: &SealedMessage,
        to: &Recipient,
    ) -> Result<Result<(), SubmitError>, SubmitError> {
        let at = now_ms() / 1000;
        let part = Part::Message(sealed.number());
        let message = self.server.signed(part, self.message(sealed, at)?, at, || sealed.open())?;
        let mail = Mail { from: &self.from, to: &[&to.mailbox], message: &message, part };
        let outcomes = self.server.deliver(&mail, || sealed.open()).await?;
        Ok(outcomes.into_iter().next().unwrap_or(Err(SubmitError::Protocol { at: Step::Rcpt })))
    }
}

/// A recipient whom the server has not refused for good.
struct Addressed {
    /// Among the recipients of the delivery, from 1.
    number: u32,
    submitted: bool,
    recipient: Recipient,
}

impl Addressed {
    /// The message for this recipient's mail program.
    fn message<'a>(&self, sealed: &'a Sealed) -> Option<&'a SealedMessage> {
        sealed.messages.iter().find(|message| message.number() == self.number)
    }
}

async fn recipients(
    delivery: DeliveryId,
    config: &Config,
    journal: &Journal,
) -> Result<Vec<Addressed>, SubmitError> {
    let mut recipients = Vec::new();
    for (number, row) in (1..).zip(journal.recipients(delivery).await?) {
        if row.refused.is_none() {
            let (submitted, recipient) = (row.submitted, recipient(row.doctor, config)?);
            recipients.push(Addressed { number, submitted, recipient });
        }
    }
    Ok(recipients)
}

fn recipient(name: String, config: &Config) -> Result<Recipient, SubmitError> {
    let Some(doctor) = config.doctors.get(&name) else {
        return Err(SubmitError::DoctorUnknown { doctor: name });
    };
    let address = || SubmitError::Address { address: doctor.mailbox.clone() };
    Ok(Recipient { mailbox: Address::parse(&doctor.mailbox).ok_or_else(address)?, name })
}

struct JournalRecord<'a> {
    journal: &'a Journal,
    delivery: DeliveryId,
}

impl SubmissionRecord for JournalRecord<'_> {
    async fn accepted(&self) -> Result<HashSet<(Part, String)>, RecordError> {
        let rows = self.journal.accepted_parts(self.delivery).await?;
        Ok(rows.into_iter().map(|(number, doctor)| (part(number), doctor)).collect())
    }

    async fn accept(&self, part: Part, recipients: &[String]) -> Result<(), RecordError> {
        for doctor in recipients {
            self.journal.accepted(self.delivery, number(part), doctor, now_ms()).await?;
        }
        Ok(())
    }
}

fn part(number: u32) -> Part {
    if number == PART_COVER { Part::Cover } else { Part::Piece(number) }
}

fn number(part: Part) -> u32 {
    if let Part::Piece(number) = part { number } else { PART_COVER }
}

impl From<JournalError> for RecordError {
    fn from(error: JournalError) -> Self {
        Self(error.to_string())
    }
}

impl From<JournalError> for SubmitError {
    fn from(error: JournalError) -> Self {
        Self::Record(error.into())
    }
}
