//! Forwards what lies in the output folder to another system, whole and each file once: what that acknowledged is remembered beside the delivery, what it did
//! not is sent again by the next run.

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
use refusals::Refusals;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

/// Associations or requests that end one after the other without anything acknowledged, before the rest waits for the next run: some objects may be too
/// much for a peer, not all.
const ENDS_IN_A_ROW_MAX: usize = 10;

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
    let mut peer_is_gone = None;
    for record in known.in_order() {
        for folder in output.folders(record) {
            let mut consignment = match Consignment::open(&output, record, &folder, to) {
                Ok(Some(consignment)) => consignment,
                Ok(None) => continue,
                // One folder that cannot be read keeps no other back.
                Err(error) => {
                    let error = ForwardError::Disk("what is there cannot be read", error.kind());
                    if let Some(outcome) = outcome_of(record, folder, outcomes) {
                        outcome.miss(Exit::Forward, format!("not forwarded to {to}: {error}"));
                    }
                    continue;
                }
            };
            let sent = match &peer_is_gone {
                Some(error) if consignment.waits() => Err(ForwardError::clone(error)),
                _ => consignment.send(config, to, &output, progress).await,
            };
            progress.clear();
            if let Some(error) = sent.as_ref().err().and_then(ForwardError::of_the_peer) {
                peer_is_gone = Some(error.clone());
            }
            if let Some(outcome) = outcome_of(record, folder, outcomes) {
                consignment.tell(to, sent, outcome);
            }
        }
    }
    Ok(())
}

/// Deletes the images of deliveries that `to` has acknowledged whole and that came before `received_max`, seconds since 1970-01-01 UTC; gives of how many.
/// Their records stay, so that none is pulled again. Exact files that are still to come are waited for.
///
/// # Errors
/// [`PullError::Output`].
pub(super) fn delete_forwarded(config: &Config, to: &Target, received_max: i64) -> Result<usize, PullError> {
    let output = Output::lock(&config.output)?;
    let unreadable = PullError::output("cannot delete what was forwarded");
    let mut deleted = 0;
    for record in output.known().map_err(&unreadable)?.in_order() {
        let is_over = record.received <= received_max && !output.lacks_exact(config.images, record);
        if is_over && is_forwarded(&output, record, to).map_err(&unreadable)? {
            let images = output.folders(record).map(|folder| output.delete_images(&folder));
            deleted += usize::from(images.sum::<io::Result<usize>>().map_err(&unreadable)? > 0);
        }
    }
    Ok(deleted)
}

fn is_forwarded(output: &Output, record: &Record, to: &Target) -> io::Result<bool> {
    output.folders(record).try_fold(true, |all, folder| {
        let ledger = Ledger::open(&output.forwarded(record.delivery, &folder, to), to)?;
        Ok(all && ledger.is_whole())
    })
}

/// The outcome of a delivery: that of this run, or a new one.
fn outcome_of<'o>(
    record: &Record,
    folder: PathBuf,
    outcomes: &'o mut Vec<Outcome>,
) -> Option<&'o mut Outcome> {
    let at = outcomes.iter().position(|outcome| outcome.delivery == record.delivery);
    let at = at.unwrap_or_else(|| {
        let mut outcome = Outcome::new(record.delivery, State::AlreadyPulled);
        outcome.placed(record, folder);
        outcomes.push(outcome);
        outcomes.len() - 1
    });
    outcomes.get_mut(at)
}

impl Consignment {
    /// None where all of it was acknowledged before.
    fn open(output: &Output, record: &Record, folder: &Path, to: &Target) -> io::Result<Option<Self>> {
        let ledger = Ledger::open(&output.forwarded(record.delivery, folder, to), to)?;
        if ledger.is_whole() {
            return Ok(None);
        }
        let (objects, left) = objects::of(folder)?;
        Ok(Some(Self { ledger, objects, left }))
    }

    /// Whether there is anything to send.
    fn waits(&self) -> bool {
        self.objects.iter().any(|object| !self.ledger.has(&object.name))
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
        let (ledger, mut refusals) = (&mut self.ledger, Refusals::default());
        let sent = match to {
            _ if waiting.is_empty() => Ok(()),
            Target::Association(peer) => {
                let forward = &config.forward;
                association::send(forward, peer, &waiting, ledger, &mut refusals, output, progress).await
            }
            Target::Web(base) => {
                let forward = config.forward.to_web(to);
                stow::send(&forward, base, &waiting, ledger, &mut refusals, progress).await
            }
        };
        refusals.result(sent)?;
        // What cannot be sent is named by every run.
        if self.left.is_empty() { self.ledger.close() } else { Ok(()) }
    }

    fn tell(&self, to: &Target, sent: Result<(), ForwardError>, outcome: &mut Outcome) {
        let acknowledged = self.objects.iter().filter(|object| self.ledger.has(&object.name)).count();
        let waiting = self.objects.len() - acknowledged;
        for left in &self.left {
            outcome.miss(Exit::Forward, left.to_string());
        }
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
