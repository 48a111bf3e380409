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
use seal::ids::DeliveryId;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// How far forwarding came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// Everything was acknowledged.
    Over,
    /// Everything was tried, and something waits.
    Waits,
    /// The time was over first.
    GoesOn,
}

/// One time through all deliveries, in several calls.
#[derive(Debug)]
pub struct Pass {
    time: Duration,
    tried: BTreeSet<DeliveryId>,
    waits: bool,
}

impl Pass {
    /// With so much time for each call.
    pub(super) fn new(time: Duration) -> Self {
        Self { time, tried: BTreeSet::new(), waits: false }
    }

    /// Begins anew; gives whether something waits of the one that ends.
    fn end(&mut self, waits: bool) -> bool {
        let before = std::mem::replace(self, Self::new(self.time));
        before.waits || waits
    }
}

/// One folder of a delivery, and what there is to send of it.
struct Consignment {
    ledger: Ledger,
    objects: Vec<Object>,
    left: Vec<Left>,
}

/// Sends what waits in the output folder; each delivery with news gets its words into its outcome, or an outcome of its own. In a `pass` the newest go
/// first, none begins when its time is over, and none is tried twice.
///
/// # Errors
/// [`PullError`] where the output folder cannot be used; what a peer refuses is in the outcomes.
pub async fn forward(
    config: &Config,
    to: &Target,
    outcomes: &mut Vec<Outcome>,
    mut pass: Option<&mut Pass>,
    progress: &Progress,
) -> Result<Forwarding, PullError> {
    let (output, begin) = (Output::lock(&config.output)?, Instant::now());
    let unreadable = PullError::output("cannot read what is to be forwarded");
    let known = output.known().map_err(&unreadable)?;
    let mut peer_is_gone = None;
    let mut records = known.in_order();
    if let Some(pass) = &pass {
        records.reverse();
        records.retain(|record| !pass.tried.contains(&record.delivery));
    }
    for record in records {
        if let Some(pass) = &mut pass {
            if begin.elapsed() > pass.time {
                pass.waits |= outcomes.iter().any(|outcome| outcome.exit == Exit::Forward);
                return Ok(Forwarding::GoesOn);
            }
            pass.tried.insert(record.delivery);
        }
        if output.images_deleted(record.delivery) {
            continue;
        }
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
    let waits = outcomes.iter().any(|outcome| outcome.exit == Exit::Forward);
    let waits = pass.map_or(waits, |pass| pass.end(waits));
    Ok(if waits { Forwarding::Waits } else { Forwarding::Over })
}

/// Deletes the images of deliveries that `to` has acknowledged whole and that came at `received_max` or before, seconds since 1970-01-01 UTC; gives of how many,
/// and the first error, which keeps none but its own delivery. That they came stays known, so that none is pulled again. Whose exact files are wanted and have
/// not come is kept.
pub(super) fn delete_forwarded(
    config: &Config,
    to: &Target,
    received_max: i64,
) -> (usize, Option<PullError>) {
    let unreadable = PullError::output("cannot delete what was forwarded");
    let opened =
        Output::lock(&config.output).and_then(|output| Ok((output.known().map_err(&unreadable)?, output)));
    let (known, output) = match opened {
        Ok(opened) => opened,
        Err(error) => return (0, Some(error)),
    };
    let (mut deleted, mut failed) = (0, None);
    for record in known.in_order() {
        let is_kept = record.received > received_max || output.lacks_exact(config.images, record);
        let is_over = match output.images_deleted(record.delivery) {
            // What a crash or an error has left.
            true => Ok(true),
            false if is_kept => Ok(false),
            false => is_forwarded(&output, record, to),
        };
        match is_over.and_then(|is_over| Ok(is_over && output.delete_images(record)?)) {
            Ok(is_deleted) => deleted += usize::from(is_deleted),
            Err(error) => failed = failed.or(Some(unreadable(error))),
        }
    }
    (deleted, failed)
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
