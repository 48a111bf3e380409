//! The collector: takes received instances into the journal and knows which deliveries are still growing.

use super::{Facts, Listing};
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::{Journal, JournalError, NewInstance, Recorded};
use crate::receive::{AeTitle, Intake, IntakeRefusal, ReceivedInstance};
use crate::spool::Spool;
use compressor::dataset::{Encoding, Outline, outline};
use seal::ids::DeliveryId;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
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
    begun: mpsc::UnboundedSender<DeliveryId>,
    storage_failed: AtomicBool,
}

/// A delivery that still collects.
struct Growing {
    active: Instant,
    associations: HashSet<u64>,
    listing: Listing,
    changed: Arc<Notify>,
}

impl Growing {
    fn new(listing: Listing) -> Self {
        Self { active: Instant::now(), associations: HashSet::new(), listing, changed: Arc::default() }
    }
}

impl Collector {
    /// `begun` is told of each new delivery.
    pub fn new(
        config: Arc<Config>,
        journal: Journal,
        spool: Spool,
        begun: mpsc::UnboundedSender<DeliveryId>,
    ) -> Self {
        let growing = Mutex::default();
        Self { config, journal, spool, growing, begun, storage_failed: AtomicBool::new(false) }
    }

    /// What is known of a delivery that collects. One that was collecting before a restart counts as active now.
    pub fn facts(&self, delivery: DeliveryId, instances: u32) -> Facts {
        let mut growing = self.growing();
        let entry = growing.entry(delivery).or_insert_with(|| Growing::new(Listing::NotAsked));
        Facts {
            quiet_ms: u64::try_from(entry.active.elapsed().as_millis()).unwrap_or(u64::MAX),
            association_open: !entry.associations.is_empty(),
            instances,
            listing: entry.listing,
        }
    }

    /// Notes what the PACS said, unless something came since `asked_at`: then it must be asked again.
    pub fn answered(&self, delivery: DeliveryId, asked_at: Instant, listing: Listing) {
        if let Some(entry) = self.growing().get_mut(&delivery)
            && entry.active <= asked_at
        {
            entry.listing = listing;
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
    }

    fn growing(&self) -> MutexGuard<'_, HashMap<DeliveryId, Growing>> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grew(&self, delivery: DeliveryId, association: u64, is_first: bool) {
        let mut growing = self.growing();
        let entry = growing.entry(delivery).or_insert_with(|| Growing::new(Listing::NotAsked));
        entry.active = Instant::now();
        entry.listing = Listing::NotAsked;
        entry.associations.insert(association);
        entry.changed.notify_waiters();
        drop(growing);
        if is_first {
            let _ = self.begun.send(delivery);
        }
    }

    async fn new_instance(&self, received: &ReceivedInstance) -> NewInstance {
        let parts = self.outline(received).await;
        NewInstance {
            file: received.file.clone(),
            destination: received.called.as_str().to_owned(),
            calling: received.calling.as_str().to_owned(),
            study: parts.study,
            series: parts.series,
            sop_class: received.sop_class.clone(),
            sop_instance: received.sop_instance.clone(),
            transfer_syntax: received.transfer_syntax.clone(),
            bytes: received.bytes,
            sha256: received.sha256,
            doctors: self.config.doctors_of(received.called.as_str()),
            received_at_ms: now_ms(),
        }
    }

    /// A data set that cannot be scanned is carried whole all the same, in a case without a study.
    async fn outline(&self, received: &ReceivedInstance) -> Outline {
        let path = self.spool.receive().join(&received.file);
        let (bytes, encoding) = (received.bytes, Encoding::of_transfer_syntax(&received.transfer_syntax));
        let scanned = tokio::task::spawn_blocking(move || scan(&path, bytes, encoding)).await;
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

fn scan(path: &Path, bytes: u64, encoding: Encoding) -> Option<Outline> {
    outline(&mut BufReader::new(File::open(path).ok()?), bytes, encoding).ok()
}

impl Intake for Collector {
    fn knows(&self, called: &AeTitle) -> bool {
        self.config.destinations.contains_key(called.as_str())
    }

    fn ready(&self) -> bool {
        !self.storage_failed.load(Ordering::Acquire)
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
        match self.journal.record_instance(instance).await {
            Ok(Recorded::New { delivery, conflict, is_first }) => {
                if conflict {
                    tracing::warn!(stage = "assemble", %delivery,
                        "a SOP Instance UID came again with other bytes: both are kept and marked (PACS: check this study)");
                }
                self.grew(delivery, received.association, is_first);
                Ok(())
            }
            Ok(Recorded::Duplicate { delivery }) => {
                tracing::debug!(stage = "assemble", %delivery, "an instance came again unchanged");
                let _ = std::fs::remove_file(self.spool.receive().join(&received.file));
                Ok(())
            }
            Err(error) => {
                tracing::error!(stage = "assemble", %error, "an instance could not be recorded");
                Err(refusal(&error))
            }
        }
    }

    fn association_ended(&self, association: u64) {
        for entry in self.growing().values_mut() {
            if entry.associations.remove(&association) {
                entry.active = Instant::now();
                entry.changed.notify_waiters();
            }
        }
    }
}

fn refusal(_error: &JournalError) -> IntakeRefusal {
    IntakeRefusal::OutOfResources
}
