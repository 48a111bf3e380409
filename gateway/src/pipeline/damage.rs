//! Received files that are damaged or gone: nothing of them is sealed, the operator is alarmed, and the PACS is asked for them again.
//!
//! A damaged file stays where it lies, under its random name, until the same bytes have come again or its delivery is over: a disk, or a memory, that
//! lied once may tell the truth at the next try, and it takes no room that was not taken. What keeps it from the doctors is its digest.

use super::Pipeline;
use super::trouble::Trouble;
use crate::audit::Message;
use crate::clock::now_ms;
use crate::config::Pacs;
use crate::journal::{DeliveryInstance, DeliveryRow, State};
use crate::query::{Asking, Timeouts};
use crate::retrieve::{Fetched, How, Missing, RetrieveError};
use crate::spool::Received;
use compressor::Uid;
use std::collections::BTreeSet;
use std::io;

impl Pipeline {
    /// A stage met received files that it cannot use, or some are known to be damaged: what is damaged is found, marked, and fetched again. Returns where all
    /// of it is whole, so that the stage may go on; what the stage has `met` stays its trouble where no file is damaged.
    pub(super) async fn mend(&self, delivery: &DeliveryRow, met: Option<Trouble>) -> Result<(), Trouble> {
        let files = self.damaged_files(delivery).await?;
        let stage = stage_of(delivery);
        let known = self.journal.damaged(delivery.id).await?;
        let is_known = |file: &&String| known.iter().any(|one| one.file == **file);
        let found = files.len() - files.iter().filter(is_known).count();
        // Before it is marked: a crash in between has the operator told twice, and not never.
        if found > 0 {
            self.audit.record(Message::spool_damaged(delivery.id, found)).await?;
            tracing::error!(stage, delivery = %delivery.id, files = found, act = "operator",
                "received files are damaged or gone in the spool: nothing of them is sealed (operator: check the disk)");
        }
        self.journal.note_damaged(delivery.id, &files, now_ms()).await?;
        if files.is_empty() {
            return met.map_or(Ok(()), Err);
        }
        let Some((pacs, study)) = self.pacs_of(delivery).filter(|(pacs, _)| pacs.retrieve != How::None)
        else {
            return Err(Trouble::damaged_and_nobody_to_ask(files.len()));
        };
        let damaged = self.journal.damaged(delivery.id).await?;
        let asked = self.fetch_again(delivery, pacs, study, &damaged).await;
        match (self.journal.damaged(delivery.id).await?.len(), asked) {
            (0, _) if self.mended(delivery.id) => Ok(()),
            // A disk that damages what is written is not given more and more at once.
            (0, _) => Err(Trouble::damaged_anew()),
            (left, Ok(None)) => Err(Trouble::damaged_and_not_given_back(left)),
            (left, Ok(Some(fetched))) if fetched.is_all_that_we_take() => {
                Err(Trouble::damaged_and_not_given_back(left))
            }
            (left, Ok(Some(_))) => Err(Trouble::damaged_and_not_all_given(left)),
            (left, Err(why)) => Err(Trouble::damaged_and_asked_again(left, &why)),
        }
    }

    /// Reads every received file of a delivery.
    async fn damaged_files(&self, delivery: &DeliveryRow) -> Result<Vec<String>, Trouble> {
        let instances = self.journal.instances(delivery.id).await?;
        let case_key = self.journal.case_key(delivery.case).await?;
        let spool = self.spool.clone();
        let look = move || {
            let received = Received { spool: &spool, case_key: case_key.as_ref() };
            let mut damaged = Vec::new();
            for instance in instances {
                if !received.is_whole(&instance)? {
                    damaged.push(instance.file);
                }
            }
            Ok::<_, io::Error>(damaged)
        };
        tokio::task::spawn_blocking(look).await?.map_err(Trouble::spool_unreadable)
    }

    /// Has the PACS give what it lists of these, and nothing else of the study. None where it lists none of them.
    async fn fetch_again(
        &self,
        delivery: &DeliveryRow,
        pacs: &Pacs,
        study: &Uid,
        damaged: &[DeliveryInstance],
    ) -> Result<Option<Fetched>, RetrieveError> {
        let asking = Asking { pacs, audit: &self.audit, by: None };
        let listed = asking.instances_of_study(study, Timeouts::default()).await?;
        let lost: BTreeSet<&Uid> = damaged.iter().map(|instance| &instance.sop_instance).collect();
        let others = listed.values().flat_map(|series| series.instances.keys());
        let others = others.filter(|uid| !lost.contains(uid)).cloned().collect();
        let missing = Missing::between(&listed, &others);
        if missing.is_nothing() {
            return Ok(None);
        }
        let fetched = self.fetch(delivery, pacs, study, &missing, None).await?;
        tracing::info!(stage = stage_of(delivery), delivery = %delivery.id, asked = missing.instances(),
            failed = fetched.map(|fetched| fetched.failed), "the PACS was asked again for what is damaged in the spool");
        Ok(fetched)
    }
}

/// Both read what was received.
fn stage_of(delivery: &DeliveryRow) -> &'static str {
    match delivery.state {
        State::Compressed => "seal",
        _ => "compress",
    }
}
