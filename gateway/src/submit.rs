//! submit: hands the sealed pieces of a delivery to the mail server, the cover last (SPEC 6.4).
//!
//! Only [`SealedPieces`] are taken, so nothing plain can be sent. What the server accepted is recorded durably, part by part
//! and recipient by recipient, before going on: a run after a crash sends only what is missing, the same bytes under
//! the same Message-ID. A reply lost after the last dot leads to a repeated message, which the reader knows by its Message-ID.

mod connection;
mod error;
pub mod retry;
mod server;
mod submitter;
mod transport;

#[cfg(test)]
pub(crate) mod tests;

pub use connection::Timeouts;
pub use error::{Culprit, Persistence, Reply, Step, SubmitError};
pub use server::MailServer;
pub use submitter::Submitter;

use connection::Mail;
use futures::stream::{self, StreamExt, TryStreamExt};
use seal::ids::DeliveryId;
use seal::mail::{Address, Message, MessageId, Part, Site};
use seal::native::SealedPieces;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pieces under way at once: the second hides the server's answer to the first without turning the order around.
const PIECES_AT_ONCE: usize = 2;

/// Where a delivery goes.
#[derive(Debug)]
pub struct Target<'a> {
    /// The mail server with its login.
    pub server: &'a MailServer,
    /// The site, right of the `@` in Message-IDs.
    pub site: &'a Site,
    /// Sender of every message.
    pub from: &'a Address,
    /// `Date` of every message, seconds since 1970-01-01 UTC.
    pub date: i64,
    /// Who gets the delivery.
    pub recipients: &'a [Recipient],
}

/// A doctor's mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The doctor's name in the configuration, by which the record knows the recipient.
    pub name: String,
    /// Address of the mailbox.
    pub mailbox: Address,
}

/// What the mail server accepted of one delivery, kept where it survives a power cut.
pub trait SubmissionRecord: Sync {
    /// Every part already accepted, with the recipient's name.
    fn accepted(&self) -> impl Future<Output = Result<HashSet<(Part, String)>, RecordError>> + Send;

    /// Notes that the server accepted a part for these recipients; durable when it returns.
    fn accept(
        &self,
        part: Part,
        recipients: &[String],
    ) -> impl Future<Output = Result<(), RecordError>> + Send;
}

/// The record cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RecordError(pub String);

/// What a run reached. Both lists together are all recipients.
#[derive(Debug)]
pub struct Submission {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Names of those for whom the server accepted every piece and the cover, now or earlier.
    pub submitted: Vec<String>,
    /// Those whom the server refused, each with its reason: retry or dead letter by [`SubmitError::persistence`].
    pub refused: Vec<(String, SubmitError)>,
    /// Octets of the messages sent in this run.
    pub sent_bytes: u64,
}

/// Hands over every part that is not recorded as accepted: pieces in order, two at a time, then the cover to those
/// recipients who have all pieces. Refusal of one recipient does not hold up the others.
///
/// # Errors
/// [`SubmitError`] if nothing more can be sent to anybody in this run. What was accepted until then is recorded.
pub async fn submit(
    pieces: &SealedPieces,
    target: &Target<'_>,
    record: &impl SubmissionRecord,
) -> Result<Submission, SubmitError> {
    let accepted = record.accepted().await?;
    let run = Run { pieces, target, accepted, refused: Mutex::default(), sent_bytes: AtomicU64::new(0) };
    let numbers =
        (1_u32..).zip(pieces.piece_bytes()).map(|(number, bytes)| Ok((Part::Piece(number), *bytes)));
    let send = |(part, bytes)| run.send(part, bytes, record);
    stream::iter(numbers)
        .map(|part: Result<_, SubmitError>| part)
        .try_for_each_concurrent(PIECES_AT_ONCE, send)
        .await?;
    run.send(Part::Cover, pieces.cover_bytes(), record).await?;
    Ok(run.finish())
}

struct Run<'a> {
    pieces: &'a SealedPieces,
    target: &'a Target<'a>,
    accepted: HashSet<(Part, String)>,
    refused: Mutex<BTreeMap<usize, SubmitError>>,
    sent_bytes: AtomicU64,
}

impl Run<'_> {
    async fn send(&self, part: Part, bytes: u64, record: &impl SubmissionRecord) -> Result<(), SubmitError> {
        let pending = self.pending(part);
        if pending.is_empty() {
            return Ok(());
        }
        let message = self.signed(part, bytes)?;
        let to: Vec<&Address> = pending.iter().map(|(_, recipient)| &recipient.mailbox).collect();
        let mail = Mail { from: self.target.from, to: &to, message: &message, part };
        let outcomes = self.target.server.deliver(&mail, || self.open(part)).await?;
        let mut took = Vec::new();
        for ((index, recipient), outcome) in pending.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => took.push(recipient.name.clone()),
                Err(error) => drop(self.refused().insert(index, error)),
            }
        }
        if !took.is_empty() {
            self.sent_bytes.fetch_add(message.encoded_bytes(), Ordering::Relaxed);
            record.accept(part, &took).await?;
        }
        Ok(())
    }

    fn pending(&self, part: Part) -> Vec<(usize, &Recipient)> {
        let refused = self.refused();
        let missing = |recipient: &Recipient| !self.accepted.contains(&(part, recipient.name.clone()));
        let all = self.target.recipients.iter().enumerate();
        all.filter(|(index, recipient)| !refused.contains_key(index) && missing(recipient)).collect()
    }

    fn signed(&self, part: Part, bytes: u64) -> Result<Message, SubmitError> {
        let message = self.message(part, bytes)?;
        self.target.server.signed(part, message, self.target.date, || self.open(part))
    }

    fn message(&self, part: Part, bytes: u64) -> Result<Message, SubmitError> {
        let (delivery, site) = (self.pieces.delivery(), self.target.site);
        let id = match part {
            Part::Piece(number) => MessageId::piece(delivery, number, site),
            _ => MessageId::cover(delivery, site),
        };
        Message::new(id, self.target.from, self.target.date, bytes).map_err(|_| SubmitError::Date)
    }

    fn open(&self, part: Part) -> std::io::Result<File> {
        match part {
            Part::Piece(number) => self.pieces.open_piece(number),
            _ => self.pieces.open_cover(),
        }
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<usize, SubmitError>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(self) -> Submission {
        let mut refused = self.refused.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut submitted, mut failed) = (Vec::new(), Vec::new());
        for (index, recipient) in self.target.recipients.iter().enumerate() {
            match refused.remove(&index) {
                Some(error) => failed.push((recipient.name.clone(), error)),
                None => submitted.push(recipient.name.clone()),
            }
        }
        let sent_bytes = self.sent_bytes.into_inner();
        Submission { delivery: self.pieces.delivery(), submitted, refused: failed, sent_bytes }
    }
}
