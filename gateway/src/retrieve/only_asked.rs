//! An intake that takes only what was asked for: a PACS that sends another study sends another patient's, perhaps.

use super::{Missing, Order, Progress};
use crate::receive::{AeTitle, Intake, IntakeRefusal, ReceivedInstance};
use crate::spool::{self, FileKey};
use compressor::Uid;
use compressor::dataset::{Encoding, outline};
use seal::ids::CaseId;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::watch;

/// Stands before the intake of the listener.
pub(crate) struct OnlyAsked<I> {
    intake: Arc<I>,
    study: Uid,
    missing: Missing,
    case: Option<CaseId>,
    folder: PathBuf,
    progress: watch::Sender<Progress>,
    not_asked_for: AtomicU64,
    no_room: AtomicBool,
}

impl<I: Intake> OnlyAsked<I> {
    pub(crate) fn new(
        intake: Arc<I>,
        order: Order<'_>,
        folder: PathBuf,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let (study, missing, case) = (order.study.clone(), order.missing.clone(), order.case);
        let (not_asked_for, no_room) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { intake, study, missing, case, folder, progress, not_asked_for, no_room }
    }

    /// How many objects were refused because they were not asked for.
    pub(crate) fn not_asked_for(&self) -> u64 {
        self.not_asked_for.load(Ordering::Relaxed)
    }

    /// Whether the intake had no room.
    pub(crate) fn no_room(&self) -> bool {
        self.no_room.load(Ordering::Relaxed)
    }

    /// Whether the data set names the study. Where it names none, or cannot be scanned, the instance must have been asked for by its UID.
    async fn was_asked_for(&self, instance: &ReceivedInstance) -> bool {
        let (path, key, bytes) = (self.folder.join(&instance.file), instance.key.clone(), instance.bytes);
        let encoding = Encoding::of_transfer_syntax(&instance.transfer_syntax);
        let scan = move || outline(&mut spool::open(&path, key.as_ref()).ok()?, bytes, encoding).ok();
        let study = tokio::task::spawn_blocking(scan).await.ok().flatten().and_then(|outline| outline.study);
        study.map_or_else(|| self.missing.lists(&instance.sop_instance), |study| study == self.study)
    }
}

impl<I: Intake> Intake for OnlyAsked<I> {
    fn knows(&self, called: &AeTitle) -> bool {
        self.intake.knows(called)
    }

    fn ready(&self, association: u64) -> bool {
        let ready = self.intake.ready(association);
        self.no_room.fetch_or(!ready, Ordering::Relaxed);
        ready
    }

    fn new_key(&self) -> io::Result<Option<FileKey>> {
        self.intake.new_key()
    }

    async fn commit(&self, instance: ReceivedInstance) -> Result<(), IntakeRefusal> {
        if !self.was_asked_for(&instance).await {
            self.not_asked_for.fetch_add(1, Ordering::Relaxed);
            return Err(IntakeRefusal::NotAskedFor);
        }
        let committed = self.intake.commit(ReceivedInstance { asked_for: self.case, ..instance }).await;
        match committed {
            Ok(()) => self.progress.send_modify(|progress| progress.stored += 1),
            Err(IntakeRefusal::OutOfResources | IntakeRefusal::Unclear) => {
                self.no_room.store(true, Ordering::Relaxed)
            }
            Err(IntakeRefusal::NotAskedFor) => _ = self.not_asked_for.fetch_add(1, Ordering::Relaxed),
            Err(IntakeRefusal::CannotUnderstand) => {}
        }
        committed
    }

    fn storage_failed(&self) {
        self.no_room.store(true, Ordering::Relaxed);
        self.intake.storage_failed();
    }

    fn association_ended(&self, association: u64) {
        self.intake.association_ended(association);
    }
}
