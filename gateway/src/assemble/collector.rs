//! The collector: takes received instances into the journal and knows which deliveries are still growing.

use super::{Facts, Listing};
use crate::audit::{Audit, AuditError, Message, Subject};
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::{Journal, JournalError, NewInstance, Recorded};
use crate::receive::{AeTitle, Intake, IntakeRefusal, ReceivedInstance};
use crate::spool::{self, FileKey, Spool};
use compressor::Uid;
use compressor::dataset::{Banner, Encoding, Outline, outline};
use seal::ids::DeliveryId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// Shared by the DICOM listener, which feeds it, and the pipeline, which asks it.
pub struct Collector {
    config: Arc<Config>,
    journal: Journal,
    spool: Spool,
    growing: Mutex<HashMap<DeliveryId, Growing>>,
    associations: Mutex<HashMap<u64, Association>>,
    announced: Mutex<Vec<Announced>>,
    audit: Audit,
    begun: mpsc::UnboundedSender<DeliveryId>,
    storage_failed: AtomicBool,
    encrypted: bool,
}

/// A delivery that still collects.
struct Growing {
    active: Instant,
    associations: HashSet<u64>,
    /// What the PACS said when the delivery had so many instances.
    listing: (Listing, u32),
    /// Since when it lists what it does not give.
    missing_since: Option<Instant>,
    changed: Arc<Notify>,
}

impl Growing {
    fn new() -> Self {
        let listing = (Listing::NotAsked, 0);
        let (associations, changed) = (HashSet::new(), Arc::default());
        Self { active: Instant::now(), associations, listing, missing_since: None, changed }
    }

    fn touch(&mut self) {
        self.active = Instant::now();
        self.changed.notify_one();
    }
}

/// An association that has sent something.
#[derive(Default)]
struct Association {
    /// An object is under way.
    busy: bool,
    /// Instances that came again unchanged.
    duplicates: u32,
}

/// A study of one patient of which the trail says that it comes in, whatever the number of associations that bring it.
struct Announced {
    calling: String,
    called: String,
    study: Option<Uid>,
    /// Where no study is named, the association that tells studies apart.
    association: Option<u64>,
    banner: Banner,
    /// When its last instance came.
    last: Instant,
    /// The delivery that collects it; none before its first instance is recorded, or where that was known already.
    delivery: Option<DeliveryId>,
}

impl Announced {
    fn is_of(&self, instance: &NewInstance) -> bool {
        self.study == instance.study
            && self.association == unnamed(instance)
            && self.called == instance.destination
            && self.calling == instance.calling
            && self.banner == instance.banner
    }
}

fn unnamed(instance: &NewInstance) -> Option<u64> {
    instance.study.is_none().then_some(instance.association)
}

/// Studies that are remembered as announced; of more than these some are announced twice.
const ANNOUNCED_MAX: usize = 1024;
/// A study of which nothing came for so long is announced again when it goes on.
const ANNOUNCED_FOR: Duration = Duration::from_secs(600);

impl Collector {
    /// `encrypted`: what is received is written encrypted. `begun` is told of each new delivery.
    pub fn new(
        config: Arc<Config>,
        journal: Journal,
        spool: Spool,
        audit: Audit,
        encrypted: bool,
        begun: mpsc::UnboundedSender<DeliveryId>,
    ) -> Self {
        let (growing, associations, announced) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self {
            config,
            journal,
            spool,
            growing,
            associations,
            announced,
            audit,
            begun,
            storage_failed: AtomicBool::new(false),
            encrypted,
        }
    }

    /// A delivery that had been held is to go.
    pub fn begin(&self, delivery: DeliveryId) {
        let _ = self.begun.send(delivery);
    }

    /// Whether an object would be taken now: there is room, and no write has failed.
    pub fn takes(&self) -> bool {
        !self.storage_failed.load(Ordering::Acquire) && self.spool.has_room()
    }

    /// What is known of a delivery that collects. One that was collecting before a restart counts as active now.
    pub fn facts(&self, delivery: DeliveryId, instances: u32) -> Facts {
        let mut growing = self.growing();
        let entry = growing.entry(delivery).or_insert_with(Growing::new);
        let busy = entry.associations.iter().any(|association| self.is_busy(*association));
        let quiet = if busy { Duration::ZERO } else { entry.active.elapsed() };
        Facts {
            quiet_ms: u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX),
            association_open: !entry.associations.is_empty(),
            instances,
            listing: match entry.listing {
                (listing, asked_with) if asked_with == instances => listing,
                _ => Listing::NotAsked,
            },
        }
    }

    /// Notes what the PACS said about a delivery of so many instances; with another number it must be asked again.
    pub fn answered(&self, delivery: DeliveryId, instances: u32, listing: Listing) {
        if let Some(entry) = self.growing().get_mut(&delivery) {
            entry.listing = (listing, instances);
            let missing = matches!(listing, Listing::Lists { missing } if missing > 0);
            entry.missing_since = entry.missing_since.or_else(|| Some(Instant::now())).filter(|_| missing);
        }
    }

    /// The PACS is to be asked again, whatever it said.
    pub fn ask_again(&self, delivery: DeliveryId) {
        if let Some(entry) = self.growing().get_mut(&delivery) {
            entry.listing = (Listing::NotAsked, 0);
        }
    }

    /// Milliseconds for which the PACS lists what it does not give.
    pub fn missing_ms(&self, delivery: DeliveryId) -> u64 {
        let since = self.growing().get(&delivery).and_then(|entry| entry.missing_since);
        since.map_or(0, |since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Something was said about the delivery: it is to be looked at again.
    pub fn wake(&self, delivery: DeliveryId) {
        if let Some(entry) = self.growing().get(&delivery) {
            entry.changed.notify_one();
        }
    }

    /// Returns after `wait`, or earlier when something came for the delivery.
    pub async fn changed(&self, delivery: DeliveryId, wait: Duration) {
        let changed = self.growing().get(&delivery).map(|entry| entry.changed.clone());
        match changed {
            Some(changed) => drop(tokio::time::timeout(wait, changed.notified()).await),
            None => tokio::time::sleep(wait).await,
        }
    }

    /// The delivery no longer collects.
    pub fn forget(&self, delivery: DeliveryId) {
        self.growing().remove(&delivery);
        self.announced().retain(|announced| announced.delivery != Some(delivery));
    }

    fn growing(&self) -> MutexGuard<'_, HashMap<DeliveryId, Growing>> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn associations(&self) -> MutexGuard<'_, HashMap<u64, Association>> {
        self.associations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announced(&self) -> MutexGuard<'_, Vec<Announced>> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_busy(&self, association: u64) -> bool {
        self.associations().get(&association).is_some_and(|association| association.busy)
    }

    fn grew(&self, delivery: DeliveryId, association: u64, begins: bool) {
        let mut growing = self.growing();
        let entry = growing.entry(delivery).or_insert_with(Growing::new);
        entry.associations.insert(association);
        entry.touch();
        drop(growing);
        if begins {
            let _ = self.begun.send(delivery);
        }
    }

    /// A sender that repeats a study after a broken association is at work too, also while it sends what is known.
    fn at_work(&self, delivery: DeliveryId, association: u64) {
        if let Some(entry) = self.growing().get_mut(&delivery) {
            entry.associations.insert(association);
            entry.touch();
        }
    }

    fn repeated(&self, delivery: DeliveryId, association: u64) {
        self.at_work(delivery, association);
        self.associations().entry(association).or_default().duplicates += 1;
    }

    /// A row alone is no image: where its file is gone, the same bytes take its place.
    async fn recorded(&self, instance: &NewInstance) -> Result<Recorded, JournalError> {
        let recorded = self.journal.record_instance(instance.clone()).await?;
        let Recorded::Duplicate { delivery, file: Some(file) } = &recorded else { return Ok(recorded) };
        if matches!(self.spool.receive().join(file).try_exists(), Ok(true)) {
            return Ok(recorded);
        }
        self.journal.note_gone(*delivery, file, now_ms()).await?;
        self.journal.record_instance(instance.clone()).await
    }

    fn remove_file(&self, file: &str) {
        let _ = std::fs::remove_file(self.spool.receive().join(file));
    }

    async fn new_instance(&self, received: &ReceivedInstance) -> NewInstance {
        let parts = self.outline(received).await;
        NewInstance {
            file: received.file.clone(),
            file_key: received.key.clone(),
            destination: received.called.as_str().to_owned(),
            calling: received.calling.as_str().to_owned(),
            study: parts.study,
            series: parts.series,
            banner: named_in_trail(&parts.banner),
            urgent: self.config.destinations.get(received.called.as_str()).is_some_and(|to| to.urgent),
            modality: parts.modality,
            instance_number: parts.instance_number,
            card: parts.banner,
            sop_class: received.sop_class.clone(),
            sop_instance: received.sop_instance.clone(),
            transfer_syntax: received.transfer_syntax.clone(),
            bytes: received.bytes,
            sha256: received.sha256,
            association: received.association,
            asked_for: received.asked_for,
            doctors: self.config.doctors_of(received.called.as_str()),
            received_at_ms: now_ms(),
        }
    }

    /// Before the first instance of a study is recorded, the trail says that it comes in. What came in is told when it is assembled.
    async fn audit_begin(&self, instance: &NewInstance) -> Result<(), AuditError> {
        if self.is_announced(instance) {
            return Ok(());
        }
        let (calling, called, study) =
            (instance.calling.clone(), instance.destination.clone(), instance.study.clone());
        let banner = instance.banner.clone();
        let subject = Subject { study: study.clone(), banner: banner.clone(), classes: BTreeMap::new() };
        self.audit.record(Message::begin_receiving(&calling, &called, &subject)).await?;
        let (association, last) = (unnamed(instance), Instant::now());
        let mut announced = self.announced();
        announced.retain(|announced| announced.last.elapsed() < ANNOUNCED_FOR);
        if announced.len() >= ANNOUNCED_MAX {
            announced.remove(0);
        }
        announced.push(Announced { calling, called, study, association, banner, last, delivery: None });
        Ok(())
    }

    fn is_announced(&self, instance: &NewInstance) -> bool {
        let mut announced = self.announced();
        let known = announced.iter_mut().find(|announced| announced.is_of(instance));
        let Some(known) = known.filter(|known| known.last.elapsed() < ANNOUNCED_FOR) else { return false };
        known.last = Instant::now();
        true
    }

    fn announced_of(&self, instance: &NewInstance, delivery: DeliveryId) {
        let mut announced = self.announced();
        announced
            .iter_mut()
            .filter(|announced| announced.is_of(instance))
            .for_each(|announced| announced.delivery = Some(delivery));
    }

    /// A data set that cannot be scanned is carried whole all the same, in a case without a study.
    async fn outline(&self, received: &ReceivedInstance) -> Outline {
        let path = self.spool.receive().join(&received.file);
        let (bytes, encoding) = (received.bytes, Encoding::of_transfer_syntax(&received.transfer_syntax));
        let key = received.key.clone();
        let scanned = tokio::task::spawn_blocking(move || scan(&path, key.as_ref(), bytes, encoding)).await;
        scanned.ok().flatten().unwrap_or_else(|| {
            tracing::warn!(
                stage = "assemble",
                association = received.association,
                "a data set could not be scanned and is carried as it is (modality: check what it sends)"
            );
            Outline::default()
        })
    }
}

/// What the audit trail names of a patient: the rest differs from series to series and is nobody's business there.
fn named_in_trail(banner: &Banner) -> Banner {
    let Banner { name, patient_id, accession, .. } = banner.clone();
    Banner { name, patient_id, accession, ..Banner::default() }
}

fn scan(path: &Path, key: Option<&FileKey>, bytes: u64, encoding: Encoding) -> Option<Outline> {
    outline(&mut spool::open(path, key).ok()?, bytes, encoding).ok()
}

impl Intake for Collector {
    fn knows(&self, called: &AeTitle) -> bool {
        self.config.destinations.contains_key(called.as_str())
            || self.config.dicom.hold.as_deref() == Some(called.as_str())
    }

    fn ready(&self, association: u64) -> bool {
        let ready = self.takes();
        self.associations().entry(association).or_default().busy = ready;
        ready
    }

    fn peer_refused(&self, peer: SocketAddr, reason: &'static str) {
        self.audit.alert(Message::peer_refused(peer, reason));
    }

    fn new_key(&self) -> io::Result<Option<FileKey>> {
        if self.encrypted { FileKey::random().map(Some) } else { Ok(None) }
    }

    fn storage_failed(&self) {
        self.storage_failed.store(true, Ordering::Release);
        tracing::error!(
            stage = "receive",
            "the disk reported a write as failed: intake is stopped (operator: check the disk, then restart)"
        );
    }

    async fn commit(&self, received: ReceivedInstance) -> Result<(), IntakeRefusal> {
        let instance = self.new_instance(&received).await;
        let announced = self.audit_begin(&instance).await;
        self.associations().entry(received.association).or_default().busy = false;
        if let Err(error) = announced {
            tracing::error!(stage = "assemble", %error, "an instance could not be recorded");
            if error == AuditError::Stopped {
                self.storage_failed();
            }
            return Err(IntakeRefusal::OutOfResources);
        }
        match self.recorded(&instance).await {
            Ok(Recorded::New { delivery, conflict, begins, replaced }) => {
                self.announced_of(&instance, delivery);
                if let Some(file) = replaced {
                    self.remove_file(&file);
                }
                if conflict {
                    tracing::warn!(stage = "assemble", %delivery,
                        "a SOP Instance UID came again with other bytes: both are kept and marked (PACS: check this study)");
                }
                self.grew(delivery, received.association, begins);
                Ok(())
            }
            Ok(Recorded::Duplicate { delivery, file }) => {
                if file.as_ref() != Some(&received.file) {
                    self.remove_file(&received.file);
                }
                self.repeated(delivery, received.association);
                Ok(())
            }
            Ok(Recorded::Healed { delivery, replaced }) => {
                self.remove_file(&replaced);
                self.at_work(delivery, received.association);
                tracing::info!(stage = "assemble", %delivery, "an instance came again whose file was damaged in the spool: it is whole");
                Ok(())
            }
            Ok(Recorded::OfNoOpenCase) => Err(IntakeRefusal::NotAskedFor),
            Err(error) => {
                tracing::error!(stage = "assemble", %error, "an instance could not be recorded");
                if error.is_disk_failure() {
                    self.storage_failed();
                }
                Err(if error.may_be_kept() { IntakeRefusal::Unclear } else { IntakeRefusal::OutOfResources })
            }
        }
    }

    fn association_ended(&self, association: u64) {
        for entry in self.growing().values_mut() {
            if entry.associations.remove(&association) {
                entry.touch();
            }
        }
        let ended = self.associations().remove(&association).unwrap_or_default();
        let duplicates = ended.duplicates;
        if duplicates > 0 {
            tracing::info!(
                stage = "assemble",
                association,
                duplicates,
                "instances came again unchanged while their case is open: nothing new is delivered for them"
            );
        }
    }
}
