//! The whole run on one page: each delivery is driven from stage to stage by a task of its own, from wherever the
//! journal says it stands, until it waits for its receipts or is a dead letter.

mod addressees;
mod ahead;
mod answers;
mod audited;
mod damage;
mod duty;
mod ending;
mod escalate;
mod gather;
mod keys;
mod links;
mod press;
mod receipts;
mod residual;
mod tell;
mod trouble;
mod turns;

use crate::assemble::{Collector, Decision, Listing, Silence, decide};
use crate::audit::Audit;
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::{DeliveryInstance, DeliveryRow, Journal, State, Step};
use crate::notify::Notifier;
use crate::query::{Asking, QueryError, Timeouts};
use crate::seal::{Beside, Sealed, Sealer};
use crate::spool::{FileKey, Spool};
use crate::submit::{Submitter, retry};
use crate::{compress, seal, spool};
use ::seal::cover::Completeness;
use ::seal::ids::DeliveryId;
use ::seal::native::{SealError, SealedPieces};
pub use ahead::Ahead;
pub use audited::Told;
use compressor::Uid;
use compressor::bundle::{Options, PackError};
pub use press::WishError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
pub use tell::Telling;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::AbortHandle;
use trouble::Trouble;
use turns::Rank;
pub use turns::Turns;

/// Pause before an earlier delivery of the case is looked at again.
const EARLIER_POLL: Duration = Duration::from_millis(200);

/// What the stages share.
pub struct Pipeline {
    /// The configuration.
    pub config: Arc<Config>,
    /// Where everything stands.
    pub journal: Journal,
    /// Where files lie.
    pub spool: Spool,
    /// Which deliveries still grow.
    pub collector: Arc<Collector>,
    /// The audit trail.
    pub audit: Audit,
    /// What it was told since the start, of which delivery and doctor.
    pub audited: Mutex<BTreeSet<(DeliveryId, String, Told)>>,
    /// Seals.
    pub sealer: Arc<Sealer>,
    /// Submits.
    pub submitter: Submitter,
    /// Sends notices.
    pub notifier: Notifier,
    /// Held by whoever ends a delivery, deletes a residual or begins one: what one of them has found out must stay true until it has acted.
    pub endings: AsyncMutex<()>,
    /// Who compresses or seals.
    pub turns: Turns,
    /// Series compressed before their study is here whole.
    pub ahead: Ahead,
    /// Notices under way.
    pub telling: Telling,
    /// Deliveries under way.
    pub driven: Mutex<HashMap<DeliveryId, Driven>>,
}

/// A delivery under way.
pub struct Driven {
    task: AbortHandle,
    /// It was to be started while it was under way: what it waits for may be there.
    again: bool,
    /// Damaged files of it were replaced meanwhile.
    mended: bool,
}

impl Pipeline {
    /// Takes up `unfinished` deliveries, then each new one. Ends when nobody can begin one any more.
    pub async fn run(
        self: Arc<Self>,
        unfinished: Vec<DeliveryId>,
        mut begun: mpsc::UnboundedReceiver<DeliveryId>,
    ) {
        for delivery in unfinished {
            self.start(delivery);
        }
        while let Some(delivery) = begun.recv().await {
            self.start(delivery);
        }
    }

    /// Whatever a commit did that was not answered: all that is under way goes on. Ends when this gateway has the journal no more.
    pub async fn start_after_silence(self: Arc<Self>) {
        while let Ok(unfinished) = self.journal.unfinished_after_silence().await {
            for delivery in unfinished {
                self.start(delivery);
            }
        }
    }

    /// Drives a delivery that is not driven yet.
    fn start(self: &Arc<Self>, delivery: DeliveryId) {
        let mut driven = self.driven();
        match driven.get_mut(&delivery) {
            Some(driven) => driven.again = true,
            None => {
                let task = tokio::spawn(self.clone().drive(delivery)).abort_handle();
                driven.insert(delivery, Driven { task, again: false, mended: false });
            }
        }
    }

    /// What is under way of a delivery ends at its next pause.
    fn stop(&self, delivery: DeliveryId) {
        if let Some(driven) = self.driven().remove(&delivery) {
            driven.task.abort();
        }
    }

    fn driven(&self) -> MutexGuard<'_, HashMap<DeliveryId, Driven>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives one delivery; what is at rest of it is compressed meanwhile.
    async fn drive(self: Arc<Self>, id: DeliveryId) {
        tokio::select! {
            () = self.go_on_with(id) => {}
            never = self.compress_ahead(id) => match never {},
        }
    }

    /// Takes a delivery from stage to stage. A temporary failure is tried again, ever more slowly; a permanent one makes it a dead letter.
    async fn go_on_with(self: &Arc<Self>, id: DeliveryId) {
        loop {
            let trouble = match self.step(id).await {
                Ok(false) if self.is_over(id) => break,
                Ok(_) => continue,
                Err(trouble) => trouble,
            };
            trouble.log(id);
            let noted = self.journal.troubled(id, &trouble.text, trouble.gives_up, now_ms()).await;
            if noted.is_ok_and(|is_dead_letter| is_dead_letter) && self.is_over(id) {
                break;
            }
            // Of one that collects, what it lacks may come earlier.
            self.collector.changed(id, self.pause(id).await).await;
        }
        self.collector.forget(id);
        self.audit_forget(id);
    }

    /// Nothing is left to do, unless somebody started it again meanwhile.
    fn is_over(&self, id: DeliveryId) -> bool {
        let mut driven = self.driven();
        let again = driven.get_mut(&id).is_some_and(|driven| std::mem::take(&mut driven.again));
        if !again {
            driven.remove(&id);
        }
        !again
    }

    /// Damaged files of a delivery are whole again. False where that is not the first time since it was started.
    fn mended(&self, id: DeliveryId) -> bool {
        let mut driven = self.driven();
        !driven.get_mut(&id).is_some_and(|driven| std::mem::replace(&mut driven.mended, true))
    }

    /// How long to wait after a failure; one that lasts is said aloud.
    async fn pause(&self, id: DeliveryId) -> Duration {
        let Ok(delivery) = self.journal.delivery(id).await else { return retry::delay(1, random()) };
        alarm_of_lasting(&delivery);
        retry::delay(delivery.attempts, random())
    }

    async fn alarm_of_lasting(&self, id: DeliveryId) {
        if let Ok(delivery) = self.journal.delivery(id).await {
            alarm_of_lasting(&delivery);
        }
    }

    /// One stage. True: go on at once; false: nothing left to do here.
    async fn step(self: &Arc<Self>, id: DeliveryId) -> Result<bool, Trouble> {
        let delivery = self.journal.delivery(id).await?;
        match delivery.state {
            State::Received => self.assemble(&delivery).await?,
            State::Assembled => self.compress(&delivery).await?,
            State::Compressed => self.seal(&delivery).await?,
            State::Sealed => self.submit(&delivery).await?,
            State::Submitted => return self.notify(&delivery).await,
            State::Notified => {
                self.finish_if_pulled(id).await?;
                return Ok(false);
            }
            State::Held
            | State::Pulled
            | State::Failed
            | State::Cancelled
            | State::Recalled
            | State::Closed => {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn silence(&self) -> Silence {
        Silence { settle_ms: self.config.dicom.settle_ms, silence_ms: self.config.dicom.silence_ms }
    }

    async fn assemble(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        if let Some(pressed) = &delivery.pressed {
            return self.gather(delivery, pressed).await;
        }
        let here = self.journal.instances_here(delivery.id).await?;
        match decide(self.collector.facts(delivery.id, here), self.silence()) {
            Decision::Wait { for_ms } => {
                self.collector.changed(delivery.id, Duration::from_millis(for_ms)).await;
            }
            Decision::Ask => {
                let instances = self.journal.instances(delivery.id).await?;
                let listing = self.ask(delivery, &instances).await?;
                self.collector.answered(delivery.id, number(instances.len()), listing);
            }
            Decision::Deliver(completeness) => self.assembled(delivery, here, completeness).await?,
        }
        Ok(())
    }

    async fn assembled(
        &self,
        delivery: &DeliveryRow,
        instances: u32,
        completeness: Completeness,
    ) -> Result<(), Trouble> {
        if self.journal.assembled(delivery.id, instances, completeness, now_ms()).await? {
            self.collector.forget(delivery.id);
            tracing::info!(stage = "assemble", delivery = %delivery.id, instances, ?completeness, "assembled");
        }
        Ok(())
    }

    /// Asks the sender for the instances of each series that it sent (PS3.4 C.6.2.1).
    async fn ask(&self, delivery: &DeliveryRow, instances: &[DeliveryInstance]) -> Result<Listing, Trouble> {
        let (Some(pacs), Some(study)) = (self.config.pacs_called(&delivery.calling), &delivery.study) else {
            return Ok(Listing::NobodyToAsk);
        };
        let mut sent: BTreeMap<&Uid, BTreeSet<Uid>> = BTreeMap::new();
        for instance in instances {
            let Some(series) = &instance.series else { return Ok(Listing::NoAnswer) };
            sent.entry(series).or_default().insert(instance.sop_instance.clone());
        }
        let held = self.journal.held(delivery.case).await?;
        let asking = Asking { pacs, audit: &self.audit, by: None };
        let mut missing = 0;
        for (series, sent) in sent {
            match asking.instances_of_series(study, series, Timeouts::default()).await {
                Err(QueryError::Audit(error)) => return Err(error.into()),
                Ok(listed) if !sent.is_subset(&listed) => {
                    tracing::warn!(stage = "assemble", delivery = %delivery.id,
                        "the PACS does not list what it sent: its answer proves nothing");
                    return Ok(Listing::NoAnswer);
                }
                Ok(listed) => missing += listed.difference(&held).count(),
                Err(error) => {
                    tracing::warn!(stage = "assemble", delivery = %delivery.id, %error, "the PACS did not say what the series holds");
                    return Ok(Listing::NoAnswer);
                }
            }
        }
        Ok(Listing::Lists { missing: number(missing) })
    }

    async fn compress(self: &Arc<Self>, delivery: &DeliveryRow) -> Result<(), Trouble> {
        self.audit_received(delivery).await?;
        // What is known to lack something is not packed up to there once more.
        if !self.journal.damaged(delivery.id).await?.is_empty() {
            return self.mend(delivery, None).await;
        }
        self.ahead.await_turn(delivery.id, &self.journal.series_so_far(delivery.id).await?);
        let turn = self.turns.take(Rank::of(delivery.urgent)).await;
        let ahead = self.ahead.take(delivery.id);
        self.journal.began(delivery.id, "compress", now_ms()).await?;
        let pipeline = Arc::clone(self);
        tokio::spawn(async move { pipeline.submitter.make_ready().await });
        let instances = self.journal.instances(delivery.id).await?;
        let case_key = self.journal.case_key(delivery.case).await?;
        let (spool, id) = (self.spool.clone(), delivery.id);
        let note = self.journal.note(id, delivery.case).await?;
        let key_images = self.journal.key_images(delivery.case).await?;
        let options = Options { note, key_images, ..self.config.compress.options() };
        let compressed = tokio::task::spawn_blocking(move || {
            // Also where nobody waits for the end any more: the next turn begins when this work is done.
            let _turn = turn;
            compress::compress(&spool, id, &instances, ahead, case_key.as_ref(), &options)
        })
        .await?;
        let summary = match compressed {
            Err(error) if is_of_source(&error) => return self.mend(delivery, Some(error.into())).await,
            compressed => compressed?,
        };
        let residual_until_ms = self.config.compress.residual_until_ms(&summary, now_ms());
        self.journal.compressed(delivery.id, &summary, residual_until_ms, now_ms()).await?;
        tracing::info!(stage = "compress", delivery = %delivery.id, source_bytes = summary.source_bytes,
            bundle_bytes = summary.bundle_bytes, max_error = summary.max_error, "compressed");
        Ok(())
    }

    async fn seal(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        while self.journal.waits_for_earlier(delivery.case, delivery.sequence).await? {
            tokio::time::sleep(EARLIER_POLL).await;
        }
        let turn = self.turns.take(Rank::of(delivery.urgent)).await;
        self.journal.began(delivery.id, "seal", now_ms()).await?;
        let instances = self.journal.instances(delivery.residual_of.unwrap_or(delivery.id)).await?;
        let (readers, programs) = self.addressees(delivery).await?;
        let case_key = self.journal.case_key(delivery.case).await?;
        let beside = self.beside(delivery, case_key.as_ref()).await?;
        let (sealer, spool, row) = (self.sealer.clone(), self.spool.clone(), delivery.clone());
        let sealed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let key = case_key.as_ref();
            let pieces = match readers.is_empty() {
                true => None,
                false => {
                    let pieces = seal::seal(&sealer, &spool, &row, &instances, &readers, key, beside);
                    Some(pieces.map_err(Unsealed::Pieces)?)
                }
            };
            let messages = seal::seal_messages(&sealer, &spool, &row, instances, &programs, key);
            Ok(Sealed { pieces, messages: messages.map_err(Unsealed::Messages)? })
        })
        .await?;
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(Unsealed::Messages(SealError::Io(error))) if spool::is_damage(&error) => {
                return self.mend(delivery, Some(SealError::Io(error).into())).await;
            }
            Err(Unsealed::Messages(error)) => return Err(error.into()),
            Err(Unsealed::Pieces(error)) => return Err(self.not_sealed(delivery, error)),
        };
        let pieces = number(sealed.pieces.as_ref().map_or(0, |pieces| pieces.piece_bytes().len()));
        let mail_bytes = self.submitter.mail_bytes(&sealed);
        let cover = sealed.pieces.as_ref().map(SealedPieces::cover_digest);
        self.journal.sealed(delivery.id, pieces, mail_bytes, cover, now_ms()).await?;
        tracing::info!(stage = "seal", delivery = %delivery.id, pieces, messages = sealed.messages.len(), mail_bytes, "sealed");
        Ok(())
    }

    async fn beside(&self, delivery: &DeliveryRow, case_key: Option<&FileKey>) -> Result<Beside, Trouble> {
        let previous = self.journal.previous_cover(delivery.case, delivery.sequence).await?;
        // Whoever gets a residual answers to what it completes.
        let answers = match delivery.residual_of {
            None => Some(self.journal.answer_point(delivery.id, case_key).await?),
            Some(_) => None,
        };
        Ok(Beside { previous, answers })
    }

    fn not_sealed(&self, delivery: &DeliveryRow, error: SealError) -> Trouble {
        let has_bundle = self.spool.bundle(delivery.residual_of.unwrap_or(delivery.id)).try_exists();
        if has_bundle.is_ok_and(|there| !there) { Trouble::bundle_gone() } else { error.into() }
    }

    async fn submit(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        self.journal.began(delivery.id, "submit", now_ms()).await?;
        let sealed = self.sealed(delivery).await?;
        self.audit_begin_export(delivery).await?;
        let submitted = self.submitter.submit(delivery.id, &sealed, &self.config, &self.journal).await;
        self.audit_exported(delivery).await?;
        // A colleague whose mailbox stalls does not keep the notice from those who have everything.
        submitted.inspect_err(|error| self.alert_of_server(error))?;
        self.mail_links(delivery).await?;
        self.journal.reached(delivery.id, Step::Submitted, now_ms()).await?;
        tracing::info!(stage = "submit", delivery = %delivery.id, "submitted");
        Ok(())
    }

    /// False where somebody was not told yet: each notice that goes begins here again. A residual was asked for by who knows of the case:
    /// no second alarm (DESIGN 4).
    async fn notify(&self, delivery: &DeliveryRow) -> Result<bool, Trouble> {
        self.journal.began(delivery.id, "notify", now_ms()).await?;
        self.telling.ring();
        for doctor in self.journal.not_notified(delivery.id).await? {
            let Some(configured) = self.config.doctors.get(&doctor) else {
                return Err(Trouble::doctor_not_configured(&doctor));
            };
            // A mail program shows the message itself; a notice beside it is a choice.
            if configured.ways().next().is_some() {
                return Ok(false);
            }
        }
        self.journal.reached(delivery.id, Step::Notified, now_ms()).await?;
        tracing::info!(stage = "notify", delivery = %delivery.id, "all are notified");
        Ok(true)
    }
}

/// What could not be sealed.
enum Unsealed {
    /// Made of the bundle.
    Pieces(SealError),
    /// Messages for mail programs, made of what was received.
    Messages(SealError),
}

/// What was received may be damaged.
fn is_of_source(error: &PackError) -> bool {
    match error {
        PackError::SourceChanged { .. } => true,
        PackError::Io(error) => spool::is_damage(error),
        PackError::Decoder(_) | PackError::TooLarge { .. } => false,
    }
}

fn alarm_of_lasting(delivery: &DeliveryRow) {
    let since_ms = delivery.failing_since_ms.unwrap_or_else(now_ms);
    if retry::is_alarm(since_ms / 1000, now_ms() / 1000) {
        tracing::error!(delivery = %delivery.id, attempts = delivery.attempts,
            "a delivery has been failing for more than an hour (operator: see its trouble)");
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
