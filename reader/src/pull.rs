//! Pulls every delivery in the mailbox: cover, pieces, unpack, place, receipt.
//!
//! A delivery is genuine or nothing of it is written into its place, and it is in its place whole or not at all. The receipt goes
//! only after that. Each run begins with what earlier runs left, so it can be cut off anywhere and be run again.

mod answer;
mod covers;
mod dicom_file;
pub(crate) mod durable;
mod error;
mod exact;
mod export;
mod fetch;
mod forward;
mod objects;
mod output;
mod place;
mod progress;
mod receipts;
mod report;
mod serve;
mod session;

pub use answer::{Say, answer, typed};
pub use error::{Exit, PullError};
pub use exact::Exact;
pub use export::{Exported, export};
pub use forward::{ForwardError, Forwarded, Forwarding, InvalidTarget, Pass, Target, forward};
pub use output::Record;
pub use progress::Progress;
pub use report::{Outcome, Seconds, State, banner_lines, exit, lines, told};
pub use serve::serve;

use crate::config::{Config, Images, Keys};
use compressor::bundle::{Manifest, SegmentSource, Wanted};
use covers::Opened;
use output::{Known, Output};
use receipts::Receipts;
use seal::cover::{Completeness, Cover};
use seal::ids::{CaseId, DeliveryId, Digest};
use seal::mail::Part;
use seal::mailbox::Found;
use seal::native::OpenedPieces;
pub(crate) use session::{Session, is_of_message};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::PathBuf;
use std::time::Instant;
use time::OffsetDateTime;

/// How long before its end a certificate is told of.
const EXPIRY_WARNING_SECONDS: i64 = 30 * 86_400;

/// Pulls what is new, but for deliveries to `leave` alone; then asks for the exact files of a case, if one is given. `now` gives seconds since
/// 1970-01-01 UTC. What happened to a delivery is in its [`Outcome`], however the run ends.
///
/// # Errors
/// [`PullError`] where the run could not even begin, or something that is no delivery failed at its end.
pub async fn pull(
    config: &Config,
    ask_exact: Option<CaseId>,
    leave: &BTreeSet<DeliveryId>,
    outcomes: &mut Vec<Outcome>,
    now: fn() -> i64,
    progress: &Progress,
) -> Result<(), PullError> {
    let keys = config.keys()?;
    let login = config.mailbox_login()?;
    if login.tls.tls12 {
        tracing::warn!("tls12 = true: TLS 1.2 is allowed, 1.3 would be safer");
    }
    let mut session = Session::new(login);
    let output = Output::lock(&config.output)?;
    let known = output.known().map_err(PullError::output("cannot read the output folder"))?;
    let receipts = Receipts { address: config.address()?, config, keys: &keys, output: &output, now };
    let covers = covers::by_delivery(session.covers().await?);
    let (images, waiting) = (config.images, BTreeSet::new());
    let run = Run { receipts, keys: &keys, output: &output, known, session, images, waiting, now, progress };
    run.all(covers, ask_exact, leave, outcomes).await
}

struct Run<'a> {
    receipts: Receipts<'a>,
    keys: &'a Keys,
    output: &'a Output,
    known: Known,
    session: Session,
    images: Images,
    /// Deliveries whose residual lies in the mailbox and is left there.
    waiting: BTreeSet<DeliveryId>,
    now: fn() -> i64,
    progress: &'a Progress,
}

impl Run<'_> {
    async fn all(
        mut self,
        mut covers: BTreeMap<DeliveryId, Vec<Found>>,
        ask_exact: Option<CaseId>,
        leave: &BTreeSet<DeliveryId>,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), PullError> {
        let is_done = |id| self.known.placed.get(&id).is_some_and(|record| !self.lacks_exact(record));
        let wanted = |id| covers.contains_key(&id) && !is_done(id);
        self.output.sweep(wanted).map_err(PullError::output("cannot clear the folder of what arrived"))?;
        let in_mailbox: Vec<DeliveryId> = covers.keys().copied().collect();
        covers.retain(|id, _| !leave.contains(id));
        outcomes.extend(self.placed_before(&mut covers).await);
        for (delivery, opened) in self.open_covers(covers).await {
            let outcome = self.journey(delivery, opened).await;
            self.progress.clear();
            outcomes.push(outcome);
        }
        outcomes.iter_mut().for_each(|outcome| self.note_gaps(outcome));
        match ask_exact {
            Some(case) => self.ask(case, outcomes).await?,
            None => outcomes.iter_mut().for_each(|outcome| self.note_what_is_exact(outcome)),
        }
        if let Some(fill) = self.session.fill().await.filter(|fill| fill.is_nearly_full()) {
            tracing::warn!(
                "the mailbox is {} % full, new studies may not arrive: delete in your mail program what you do not need, and tell the hospital or whoever runs the mailbox",
                fill.percent()
            );
        }
        self.session.close().await;
        self.retire_keys(&in_mailbox)
    }

    /// Keys that nothing is sealed for any more die; one that ends soon is told of.
    fn retire_keys(&self, in_mailbox: &[DeliveryId]) -> Result<(), PullError> {
        let now = (self.now)();
        let newest = self.keys.doctors.first().map(|doctor| doctor.certificate().not_after());
        if newest.is_some_and(|not_after| not_after - now < EXPIRY_WARNING_SECONDS) {
            tracing::warn!("the certificate of this device ends within 30 days: run scanpost-reader renew");
        }
        let Some(folder) = &self.keys.folder else { return Ok(()) };
        let of = |id: &DeliveryId| self.known.placed.get(id).and_then(|record| record.recipient);
        let opened_by = self.known.placed.values().filter_map(|record| record.recipient).collect();
        let in_mailbox: Option<BTreeSet<Digest>> = in_mailbox.iter().map(of).collect();
        let now = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Ok(folder.retire(&opened_by, in_mailbox.as_ref(), now)?)
    }

    /// Deliveries that are in their place: taken out of `covers`; a receipt that is still owed is sent.
    async fn placed_before(&mut self, covers: &mut BTreeMap<DeliveryId, Vec<Found>>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let placed: Vec<Record> = self.known.placed.values().cloned().collect();
        for record in &placed {
            let candidates = covers.remove(&record.delivery);
            let is_settled = self.output.receipt_sent(record.delivery) && !self.lacks_exact(record);
            if candidates.is_none() && is_settled {
                continue;
            }
            let mut outcome = Outcome::new(record.delivery, State::AlreadyPulled);
            outcome.placed(record, self.output.place(record.case, record.sequence));
            if let Err(error) = self.receipts.send(&mut self.session, record).await {
                outcome.fail(&error);
            }
            if self.lacks_exact(record)
                && let Err(error) =
                    self.exact_beside(record, &candidates.unwrap_or_default(), &mut outcome).await
            {
                outcome.miss(error.exit(), format!("exact files were not written: {error}"));
            }
            self.progress.clear();
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Opens all covers first: deliveries are pulled in the order in which they were sealed, refused ones come last.
    async fn open_covers(
        &mut self,
        covers: BTreeMap<DeliveryId, Vec<Found>>,
    ) -> Vec<(DeliveryId, Result<Opened, PullError>)> {
        let mut opened = Vec::new();
        for (delivery, candidates) in covers {
            let start = Instant::now();
            let cover = covers::open(&mut self.session, delivery, &candidates, self.keys).await;
            let cover = cover.map(|cover| Opened { seconds: start.elapsed().as_secs_f64(), ..cover });
            opened.push((delivery, cover));
        }
        opened.sort_by_key(|(delivery, opened)| match opened {
            Ok(Opened { verified, .. }) => (0, verified.cover.sealed_at, verified.cover.sequence, *delivery),
            Err(_) => (1, 0, 0, *delivery),
        });
        opened
    }

    async fn journey(&mut self, delivery: DeliveryId, opened: Result<Opened, PullError>) -> Outcome {
        let mut outcome = Outcome::new(delivery, State::Failed);
        let delivered = match opened {
            Ok(opened) => self.deliver(&opened, &mut outcome).await,
            Err(error) => Err(error),
        };
        if let Err(error) = delivered {
            outcome.fail(&error);
        }
        outcome
    }

    async fn deliver(&mut self, opened: &Opened, outcome: &mut Outcome) -> Result<(), PullError> {
        let cover = &opened.verified.cover;
        (outcome.case, outcome.sequence) = (Some(cover.case), Some(cover.sequence));
        (outcome.bytes_mail, outcome.seconds.fetch) = (opened.bytes, opened.seconds);
        self.new_in_case(opened)?;
        outcome.notes.extend(fork_note(&self.known, cover));
        tracing::info!(delivery = %cover.delivery, case = %cover.case, sequence = cover.sequence, "cover opened");
        let record = match cover.residual_of {
            None => {
                let files = self.fetch(cover, outcome).await?;
                self.unpack(opened, &files, outcome)?
            }
            Some(base) if self.wants_residual_of(base) => self.join(opened, base, outcome).await?,
            Some(base) => {
                outcome.state = State::Left;
                self.waiting.insert(base);
                self.known.seen.insert((cover.case, cover.sequence), opened.verified.digest);
                return Ok(());
            }
        };
        tracing::info!(delivery = %record.delivery, instances = record.instances, "in its place");
        self.known.add(record.clone());
        let start = Instant::now();
        let sent = self.receipts.send(&mut self.session, &record).await;
        outcome.seconds.receipt = start.elapsed().as_secs_f64();
        sent
    }

    /// A sequence number is used once: another cover with it is a repeat, or a replay.
    fn new_in_case(&self, opened: &Opened) -> Result<(), PullError> {
        let Cover { case, sequence, .. } = opened.verified.cover;
        match self.known.seen.get(&(case, sequence)) {
            Some(digest) if *digest != opened.verified.digest => Err(PullError::Refused(format!(
                "number {sequence} of the case was used by another cover: a repeat"
            ))),
            _ if self.output.place(case, sequence).exists() => {
                let unknown =
                    PullError::output("the folder of this delivery is there without its delivery.json");
                Err(unknown(io::ErrorKind::AlreadyExists.into()))
            }
            _ => Ok(()),
        }
    }

    async fn fetch(&mut self, cover: &Cover, outcome: &mut Outcome) -> Result<Vec<PathBuf>, PullError> {
        let start = Instant::now();
        let found = self.pieces_of(cover, outcome).await?;
        let folder = self.output.incoming(cover.delivery);
        let fetched = fetch::pieces(&mut self.session, cover, &found, &folder, self.progress).await?;
        outcome.seconds.fetch += start.elapsed().as_secs_f64();
        outcome.bytes_mail += fetched.bytes;
        fetched.files
    }

    /// Where pieces of it are not in the configured folders, others are searched: a mail program or a filter may have moved them.
    async fn pieces_of(&mut self, cover: &Cover, outcome: &mut Outcome) -> Result<Vec<Found>, PullError> {
        let mut found = self.session.parts_of(cover.delivery).await?;
        let numbers = 1..=u32::try_from(cover.pieces.len()).unwrap_or(u32::MAX);
        let is_here = |number| found.iter().any(|found| found.id.part() == Part::Piece(number));
        let missing: BTreeSet<u32> = numbers.filter(|number| !is_here(*number)).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let is_missing =
            |found: &Found| matches!(found.id.part(), Part::Piece(number) if missing.contains(&number));
        let mut moved = self.session.moved_pieces(cover.delivery).await;
        moved.retain(is_missing);
        let numbers: HashSet<Part> = moved.iter().map(|found| found.id.part()).collect();
        if !numbers.is_empty() {
            outcome.notes.push(format!(
                "{} of its {} mails had been moved to other folders of the mailbox and were found there: see to the filters of your mail program",
                numbers.len(),
                cover.pieces.len()
            ));
        }
        found.extend(moved);
        Ok(found)
    }

    fn unpack(&self, opened: &Opened, files: &[PathBuf], outcome: &mut Outcome) -> Result<Record, PullError> {
        let start = Instant::now();
        let mut pieces = OpenedPieces::open(&opened.verified, files)?;
        let manifest = compressor::bundle::read_manifest(&mut pieces)?;
        outcome.seconds.open = start.elapsed().as_secs_f64();
        let exact = Exact::of(&opened.verified.cover, &manifest, pieces.segments(), self.images);
        let is_restored = manifest.is_bounded() && exact == Exact::Here;
        let wanted = if is_restored { Wanted::Exact } else { Wanted::Shown };
        let record = self.record(opened, &manifest, exact);
        let folder = self.output.place(record.case, record.sequence);
        self.put(&record, folder, &manifest, &mut pieces, wanted, outcome)?;
        outcome.note = manifest.note;
        outcome.banners = manifest.series.into_iter().map(|series| series.banner).collect();
        Ok(record)
    }

    fn record(&self, opened: &Opened, manifest: &Manifest, exact: Exact) -> Record {
        let instances: usize = manifest.series.iter().map(|series| series.instances.len()).sum();
        Record::new(&opened.verified, exact, u32::try_from(instances).unwrap_or(u32::MAX), (self.now)())
    }

    /// Writes all instances into `folder` and notes what was done.
    fn put(
        &self,
        record: &Record,
        folder: PathBuf,
        manifest: &Manifest,
        segments: &mut dyn SegmentSource,
        wanted: Wanted,
        outcome: &mut Outcome,
    ) -> Result<(), PullError> {
        let start = Instant::now();
        let unpacked = place::place(self.output, record, &folder, manifest, segments, wanted, self.progress)?;
        outcome.state = State::Pulled;
        outcome.placed(record, folder);
        outcome.notes.extend(completeness_note(record));
        outcome.notes.extend(place::notes(manifest, wanted, unpacked));
        outcome.seconds.unpack = start.elapsed().as_secs_f64();
        Ok(())
    }

    fn lacks_exact(&self, record: &Record) -> bool {
        self.output.lacks_exact(self.images, record)
    }

    fn note_what_is_exact(&self, outcome: &mut Outcome) {
        let is_news = outcome.state == State::Pulled || self.images == Images::Exact;
        let here = matches!(outcome.state, State::Pulled | State::AlreadyPulled);
        let record = self.known.placed.get(&outcome.delivery);
        if let (true, Some(record)) = (is_news && here, record)
            && !self.output.exact_place(record.case, record.sequence).exists()
            && !(self.images == Images::Exact && record.exact == Exact::InMailbox)
        {
            self.note_exact(record, outcome);
        }
    }

    fn note_gaps(&self, outcome: &mut Outcome) {
        let here = matches!(outcome.state, State::Pulled | State::AlreadyPulled);
        if let (true, Some(case), Some(sequence)) = (here, outcome.case, outcome.sequence) {
            outcome.notes.extend(gap_note(&self.known, case, sequence));
        }
    }
}

fn gap_note(known: &Known, case: CaseId, sequence: u32) -> Option<String> {
    let gaps: Vec<String> = known.gaps(case, sequence).iter().map(u32::to_string).collect();
    let verb = if gaps.len() == 1 { "is" } else { "are" };
    (!gaps.is_empty())
        .then(|| format!("supplement {sequence} of the case is here, {} {verb} not", gaps.join(", ")))
}

/// Each cover names the one before it (SPEC 5.2): another one than that which came says that mails were exchanged or lost.
fn fork_note(known: &Known, cover: &Cover) -> Option<String> {
    let before = cover.sequence.checked_sub(1)?;
    let here = known.seen.get(&(cover.case, before))?;
    (cover.previous != Some(*here))
        .then(|| format!("it does not follow number {before} of the case that is here"))
}

/// What must be said aloud where it is not proved that these are all images (DESIGN 6).
fn completeness_note(record: &Record) -> Option<String> {
    let here = record.instances;
    match record.completeness {
        sent if sent.instances() != here => {
            Some(format!("the cover speaks of {} instances, {here} are here", sent.instances()))
        }
        Completeness::Proved { .. } => None,
        Completeness::NotProved { .. } => Some("completeness not proved".into()),
        Completeness::Partial { listed, .. } => Some(format!("{here} of {listed} instances")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn record(completeness: Completeness) -> Record {
        Record {
            delivery: DeliveryId([1; 16]),
            case: CaseId([2; 16]),
            sequence: 1,
            site: "hospital.example".into(),
            signer: Digest([3; 32]),
            cover: Digest([4; 32]),
            recipient: None,
            completeness,
            residual_of: None,
            answers: None,
            exact: Exact::Here,
            instances: 149,
            sealed_at: 0,
            received: 0,
        }
    }

    #[test]
    fn what_is_missing_is_said_aloud() {
        let note = |completeness| completeness_note(&record(completeness)).unwrap_or_default();
        assert_eq!(note(Completeness::Proved { instances: 149 }), "");
        assert_eq!(note(Completeness::Partial { instances: 149, listed: 150 }), "149 of 150 instances");
        assert_eq!(note(Completeness::NotProved { instances: 149 }), "completeness not proved");
        let words = "the cover speaks of 150 instances, 149 are here";
        assert_eq!(note(Completeness::Proved { instances: 150 }), words);
    }

    #[test]
    fn a_gap_is_named() {
        let mut known = Known::default();
        let case = CaseId([2; 16]);
        known.add(record(Completeness::Proved { instances: 149 }));
        assert_eq!(gap_note(&known, case, 2), None);
        assert_eq!(gap_note(&known, case, 3).unwrap(), "supplement 3 of the case is here, 2 is not");
        assert_eq!(gap_note(&known, case, 4).unwrap(), "supplement 4 of the case is here, 2, 3 are not");
    }
}
