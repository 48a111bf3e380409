//! Assemble, for a delivery that a person asked for: the PACS says what the whole study is, what is missing is fetched, and UIDs are compared.

use super::trouble::Trouble;
use super::{EARLIER_POLL, Pipeline, number};
use crate::assemble::{Listing, PressDecision, PressFacts, decide_press};
use crate::clock::now_ms;
use crate::config::Pacs;
use crate::journal::{Choice, DeliveryInstance, DeliveryRow, Pressed};
use crate::query::{Asking, QueryError, Series, Timeouts};
use crate::receive::AeTitle;
use crate::retrieve::{self, Fetched, Missing, Order, RetrieveError};
use compressor::Uid;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;

/// Pause between two looks whether a person said that what is here is enough.
const CHOICE_LOOK: Duration = Duration::from_millis(500);

impl Pipeline {
    pub(super) async fn gather(&self, delivery: &DeliveryRow, pressed: &Pressed) -> Result<(), Trouble> {
        let started_at_ms = self.journal.started_at_ms(delivery.id).await?.unwrap_or(pressed.at_ms);
        // Nobody pressed for a supplement.
        if started_at_ms == pressed.at_ms {
            self.audit_pressed(delivery, pressed).await?;
        }
        let here = self.journal.instances_here(delivery.id).await?;
        let facts = self.collector.facts(delivery.id, here);
        let press = PressFacts {
            pressed_ms: u64::try_from(now_ms() - started_at_ms).unwrap_or(0),
            missing_ms: self.collector.missing_ms(delivery.id),
            choice: delivery.choice,
        };
        match decide_press(facts, press, self.silence(), self.config.dicom.choice_ms) {
            PressDecision::Wait { for_ms } => {
                self.collector.changed(delivery.id, Duration::from_millis(for_ms)).await;
            }
            PressDecision::Ask
                if self.journal.earlier_is_damaged(delivery.case, delivery.sequence).await? =>
            {
                self.collector.changed(delivery.id, EARLIER_POLL).await;
            }
            PressDecision::Ask => self.ask_and_fetch(delivery, pressed).await?,
            PressDecision::Offer { for_ms } => {
                self.collector.changed(delivery.id, Duration::from_millis(for_ms)).await;
                if self.journal.delivery(delivery.id).await?.choice == delivery.choice {
                    self.collector.ask_again(delivery.id);
                }
            }
            PressDecision::Nothing => {
                self.collector.ask_again(delivery.id);
                return Err(Trouble::nothing_to_deliver());
            }
            PressDecision::Deliver(completeness) => self.assembled(delivery, here, completeness).await?,
        }
        Ok(())
    }

    /// What comes by the fetch changes the number of instances, so that the PACS is asked once more before the delivery goes.
    async fn ask_and_fetch(&self, delivery: &DeliveryRow, pressed: &Pressed) -> Result<(), Trouble> {
        let instances = self.journal.instances(delivery.id).await?;
        let here = number(instances.len());
        if let Some(missing) = Self::missing_of_test(delivery, here) {
            self.collector.answered(delivery.id, here, Listing::Lists { missing });
            return Ok(());
        }
        let Some((pacs, study)) = self.pacs_of(delivery) else {
            self.collector.answered(delivery.id, here, Listing::NobodyToAsk);
            return Ok(());
        };
        let listed = self.listed(delivery, pressed, pacs, study).await?;
        let held = self.journal.held(delivery.case).await?;
        let missing = listed.as_ref().map(|listed| Missing::between(listed, &held));
        let listing = match &missing {
            None => unanswered(delivery, here),
            Some(_) if !listed.as_ref().is_some_and(|listed| lists_all(listed, &instances)) => {
                tracing::warn!(stage = "assemble", delivery = %delivery.id,
                    "the PACS does not list what is here: its answer proves nothing");
                Listing::NoAnswer
            }
            Some(missing) => Listing::Lists { missing: number(missing.instances()) },
        };
        self.collector.answered(delivery.id, here, listing);
        self.note_listed(delivery, here, listing).await?;
        match missing {
            Some(missing) if !missing.is_nothing() => {
                self.fetch_unless_enough(delivery, pressed, pacs, study, &missing).await
            }
            _ => Ok(()),
        }
    }

    /// The PACS that the press named, or the one that sent the study.
    pub(super) fn pacs_of<'a>(&'a self, delivery: &'a DeliveryRow) -> Option<(&'a Pacs, &'a Uid)> {
        let named = delivery.pressed.as_ref().and_then(|pressed| pressed.pacs.as_ref());
        let named = named.map(|name| self.config.pacs.get(name));
        let pacs = named.unwrap_or_else(|| self.config.pacs_called(&delivery.calling));
        pacs.zip(delivery.study.as_ref())
    }

    /// None where it did not answer.
    async fn listed(
        &self,
        delivery: &DeliveryRow,
        pressed: &Pressed,
        pacs: &Pacs,
        study: &Uid,
    ) -> Result<Option<BTreeMap<Uid, Series>>, Trouble> {
        let asking = Asking { pacs, audit: &self.audit, by: Some(&pressed.by) };
        match asking.instances_of_study(study, Timeouts::default()).await {
            Ok(listed) => Ok(Some(listed)),
            Err(QueryError::Audit(error)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(stage = "assemble", delivery = %delivery.id, %error, "the PACS did not say what the study holds");
                Ok(None)
            }
        }
    }

    /// Says that instances are missing, once for each number of them.
    async fn note_listed(&self, delivery: &DeliveryRow, here: u32, listing: Listing) -> Result<(), Trouble> {
        let listed = match listing {
            Listing::Lists { missing } if missing > 0 => Some(here.saturating_add(missing)),
            Listing::Lists { .. } => None,
            _ => return Ok(()),
        };
        if delivery.listed != listed {
            self.journal.listed(delivery.id, listed).await?;
            if let Some(listed) = listed {
                tracing::info!(stage = "assemble", delivery = %delivery.id, instances = here, listed, "the PACS lists more than is here");
            }
        }
        Ok(())
    }

    /// Fetches what is missing, until a person says that what is here is enough. A PACS that gives nothing is no trouble of the delivery: what
    /// is missing is a person's choice.
    async fn fetch_unless_enough(
        &self,
        delivery: &DeliveryRow,
        pressed: &Pressed,
        pacs: &Pacs,
        study: &Uid,
        missing: &Missing,
    ) -> Result<(), Trouble> {
        let fetched = tokio::select! {
            fetched = self.fetch(delivery, pacs, study, missing, Some(&pressed.by)) => fetched,
            enough = self.enough(delivery) => return enough,
        };
        match fetched {
            Ok(None) => {}
            Ok(Some(fetched)) => {
                tracing::info!(stage = "assemble", delivery = %delivery.id, stored = fetched.stored,
                failed = fetched.failed, "the PACS was asked for what is missing")
            }
            Err(error) => tracing::warn!(stage = "assemble", delivery = %delivery.id, %error,
                "the PACS does not give what it lists"),
        }
        Ok(())
    }

    /// Has the PACS give instances for a delivery. None where its destination cannot be called.
    pub(super) async fn fetch(
        &self,
        delivery: &DeliveryRow,
        pacs: &Pacs,
        study: &Uid,
        missing: &Missing,
        by: Option<&str>,
    ) -> Result<Option<Fetched>, RetrieveError> {
        let Ok(called) = AeTitle::parse(&delivery.destination) else { return Ok(None) };
        let order = Order { pacs, study, missing, called: &called, case: Some(delivery.case), by };
        let (progress, _) = watch::channel(retrieve::Progress::default());
        let (intake, folder) = (self.collector.clone(), self.spool.receive());
        retrieve::fetch(order, intake, &folder, &self.audit, progress).await.map(Some)
    }

    /// Returns once a person has said that what is here is enough.
    async fn enough(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        while self.journal.delivery(delivery.id).await?.choice != Some(Choice::Partial) {
            tokio::time::sleep(CHOICE_LOOK).await;
        }
        Ok(())
    }
}

/// A PACS that dies half-way has said how many there are.
fn unanswered(delivery: &DeliveryRow, here: u32) -> Listing {
    match delivery.listed.and_then(|listed| listed.checked_sub(here)) {
        Some(missing) if missing > 0 => Listing::Lists { missing },
        _ => Listing::NoAnswer,
    }
}

fn lists_all(listed: &BTreeMap<Uid, Series>, instances: &[DeliveryInstance]) -> bool {
    let listed: BTreeSet<&Uid> = listed.values().flat_map(|series| series.instances.keys()).collect();
    instances.iter().all(|instance| listed.contains(&instance.sop_instance))
}
