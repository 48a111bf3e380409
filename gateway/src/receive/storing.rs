//! Objects of one association on their way into spool and journal: durable first, then the journal, then the verdict (DESIGN 7).

use super::disk::Disk;
use super::store::{StoreError, Stored, Unfinished};
use super::{AssociationInfo, Intake, IntakeRefusal, ReceivedInstance};
use compressor::Uid;
use dimse::status;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A status, and a constant text that explains it to the operator of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict(pub(crate) u16, pub(crate) &'static str);

/// The object is durable.
pub(crate) const SUCCESS: Verdict = Verdict(status::SUCCESS, "");
const NO_STORAGE: Verdict =
    Verdict(status::OUT_OF_RESOURCES, "the object could not be written, see the gateway's log");
const NO_ROOM: Verdict = Verdict(status::OUT_OF_RESOURCES, "the gateway takes nothing at the moment");
const UNUSABLE: Verdict = Verdict(status::CANNOT_UNDERSTAND, "the gateway cannot use this object");
const NOT_ASKED_FOR: Verdict = Verdict(status::NOT_AUTHORIZED, "the object was not asked for");

/// Stores the objects of one association. Its steps block: it lives on a thread of its own.
pub(crate) struct Storing<I, D> {
    intake: Arc<I>,
    disk: Arc<D>,
    info: AssociationInfo,
    /// Where the journal's futures run.
    runtime: Handle,
    stored: u64,
}

/// An object that is being written.
pub(crate) struct Object<D: Disk> {
    unfinished: Unfinished<D>,
    sop_class: Uid,
    sop_instance: Uid,
    transfer_syntax: Uid,
}

impl<I: Intake, D: Disk> Storing<I, D> {
    pub(crate) fn new(intake: Arc<I>, disk: Arc<D>, info: AssociationInfo, runtime: Handle) -> Self {
        Self { intake, disk, info, runtime, stored: 0 }
    }

    /// How many objects were stored.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// Whether an object may be stored, and where.
    pub(crate) fn begin(
        &self,
        sop_class: Uid,
        sop_instance: Uid,
        transfer_syntax: Uid,
    ) -> Result<Object<D>, Verdict> {
        if !self.intake.ready(self.info.id) {
            return Err(NO_ROOM);
        }
        let unfinished = Unfinished::create(Arc::clone(&self.disk), || self.intake.new_key())
            .map_err(|error| self.failed(&error))?;
        Ok(Object { unfinished, sop_class, sop_instance, transfer_syntax })
    }

    /// Appends a fragment of its data set.
    pub(crate) fn write(&self, object: &mut Object<D>, fragment: &[u8]) -> Result<(), Verdict> {
        object.unfinished.write(fragment).map_err(|error| self.failed(&error))
    }

    /// Durable first, then the journal, then the answer (DESIGN 7).
    pub(crate) fn keep(&mut self, object: Object<D>) -> Verdict {
        let stored = match object.unfinished.finish() {
            Ok(stored) => stored,
            Err(error) => return self.failed(&error),
        };
        let Stored { file, key, bytes, sha256 } = stored;
        let instance = ReceivedInstance {
            file: file.clone(),
            key,
            bytes,
            sha256,
            sop_class: object.sop_class,
            sop_instance: object.sop_instance,
            transfer_syntax: object.transfer_syntax,
            calling: self.info.calling.clone(),
            called: self.info.called.clone(),
            association: self.info.id,
            asked_for: None,
        };
        match self.runtime.block_on(self.intake.commit(instance)) {
            Ok(()) => {
                self.stored += 1;
                SUCCESS
            }
            Err(refusal) => self.refused(&file, refusal),
        }
    }

    fn refused(&self, file: &str, refusal: IntakeRefusal) -> Verdict {
        let association = self.info.id;
        tracing::warn!(stage = "receive", association, act = "operator", "an object was refused: {refusal}");
        // Without a journal row nothing refers to it; a file that cannot be removed now, or may have one, is looked at at the next start.
        if refusal != IntakeRefusal::Unclear {
            let _ = self.disk.remove(file);
        }
        match refusal {
            IntakeRefusal::OutOfResources | IntakeRefusal::Unclear => NO_ROOM,
            IntakeRefusal::CannotUnderstand => UNUSABLE,
            IntakeRefusal::NotAskedFor => NOT_ASKED_FOR,
        }
    }

    fn failed(&self, error: &StoreError) -> Verdict {
        let association = self.info.id;
        match error {
            StoreError::Sync(_) => {
                tracing::error!(stage = "receive", association, act = "operator", "intake stops: {error}");
                self.intake.storage_failed();
            }
            _ => tracing::error!(
                stage = "receive",
                association,
                act = "operator",
                "an object was refused: {error}"
            ),
        }
        NO_STORAGE
    }
}
