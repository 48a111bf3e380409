//! Forwards what lies in the output folder to another system, whole and once: what that acknowledged is remembered beside the delivery, what it did not is
//! sent again by the next run.

mod association;
mod error;
mod ledger;
mod refusals;
mod stow;
mod target;

pub use error::ForwardError;
pub use target::{InvalidTarget, Target};

use super::error::{Exit, PullError};
use super::objects::{self, Left, Object};
use super::output::{Output, Record};
use super::progress::Progress;
use super::report::{Outcome, State};
use crate::config::Config;
use ledger::Ledger;
use serde::Serialize;
use std::path::PathBuf;

/// How far a delivery came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forwarded {
    /// Where to.
    pub to: String,
    /// Objects that were acknowledged, by this run or before.
    pub acknowledged: usize,
    /// Objects that are still to be sent.
    pub waiting: usize,
    /// Objects that are no files of a SOP instance of their own and stay in the folder.
    pub left: usize,
}

/// One folder of a delivery, and what there is to send of it.
struct Consignment {
    record: Record,
    folder: PathBuf,
    ledger: Ledger,
    objects: Vec<Object>,
    left: Vec<Left>,
}

/// Sends what waits in the output folder; each delivery with news gets its words into its outcome, or an outcome of its own.
///
/// # Errors
/// [`PullError`] where the output folder cannot be used; what a peer refuses is in the outcomes.
pub async fn forward(
    config: &Config,
    to: &Target,
    outcomes: &mut Vec<Outcome>,
    progress: &Progress,
) -> Result<(), PullError> {
    let output = Output::lock(&config.output)?;
    let unreadable = PullError::output("cannot read what is to be forwarded");
    let known = output.known().map_err(&unreadable)?;
    let mut records: Vec<&Record> = known.placed.values().collect();
    records.sort_by_key(|record| (record.sealed_at, record.sequence, record.delivery));
    let mut peer_is_gone = None;
    for record in records {
        for folder in output.folders(record) {
            let consignment = Consignment::open(&output, record, folder, to).map_err(&unreadable)?;
            let Some(mut consignment) = consignment else { continue };
            let sent = match &peer_is_gone {
                Some(error) => Err(ForwardError::clone(error)),
                None => consignment.send(config, to, &output, progress).await,
            };
            progress.clear();
            if let Err(error) = &sent
                && error.is_of_the_peer()
            {
                peer_is_gone = Some(error.clone());
            }
            consignment.tell(to, sent, outcomes);
        }
    }
    Ok(())
}

impl Consignment {
    /// None where all of it was acknowledged before.
    fn open(output: &Output, record: &Record, folder: PathBuf, to: &Target) -> std::io::Result<Option<Self>> {
        let ledger = Ledger::open(&output.forwarded(record.delivery, &folder, to), to)?;
        if ledger.is_whole() {
            return Ok(None);
        }
        let (objects, left) = objects::of(&folder)?;
        let record = record.clone();
        Ok(Some(Self { record, folder, ledger, objects, left }))
    }

    async fn send(
        &mut self,
        config: &Config,
        to: &Target,
        output: &Output,
        progress: &Progress,
    ) -> Result<(), ForwardError> {
        let waiting: Vec<&Object> =
            self.objects.iter().filter(|object| !self.ledger.has(&object.name)).collect();
        progress.forwarding(waiting.len() as u64);
        match to {
            Target::Association(peer) => {
                association::send(&config.forward, peer, &waiting, &mut self.ledger, output, progress)
                    .await?;
            }
            Target::Web(base) => {
                stow::send(&config.forward, base, &waiting, &mut self.ledger, progress).await?;
            }
        }
        self.ledger.close()
    }

    fn tell(&self, to: &Target, sent: Result<(), ForwardError>, outcomes: &mut Vec<Outcome>) {
        let at = outcomes.iter().position(|outcome| outcome.delivery == self.record.delivery);
        let at = at.unwrap_or_else(|| {
            let mut outcome = Outcome::new(self.record.delivery, State::AlreadyPulled);
            outcome.placed(&self.record, self.folder.clone());
            outcomes.push(outcome);
            outcomes.len() - 1
        });
        let Some(outcome) = outcomes.get_mut(at) else { return };
        let acknowledged = self.objects.iter().filter(|object| self.ledger.has(&object.name)).count();
        let waiting = self.objects.len() - acknowledged;
        outcome.notes.extend(self.left.iter().map(ToString::to_string));
        match sent {
            Ok(()) => outcome.notes.push(format!("{acknowledged} forwarded to {to}")),
            Err(error) => {
                let all = self.objects.len();
                let words = format!("{acknowledged} of {all} forwarded to {to}, the others wait: {error}");
                outcome.miss(Exit::Forward, words);
            }
        }
        let left = self.left.iter().map(|left| left.count).sum();
        outcome.forwarded.push(Forwarded { to: to.to_string(), acknowledged, waiting, left });
    }
}
