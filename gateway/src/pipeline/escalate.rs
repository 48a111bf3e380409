//! Escalation: when nobody has opened a delivery in time, further channels are tried for its doctors, and the next one of the group is told.

use super::Pipeline;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::journal::DeliveryRow;
use crate::notify::{Escalation, Next, Raise, Rules, Standing};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Least pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest pause: where nothing changes, and after an error.
const LOOK: Duration = Duration::from_secs(30);
/// Who tells the next one, in the audit trail.
const BY: &str = "escalation";
const WORDS: &str = "nobody opened it in time: tell the next of the group";
const WORDS_OF_CHANNEL: &str = "nobody opened it in time: try further channels";

impl Pipeline {
    /// Does what it is time for, for ever. `changes` is marked after each change of the journal.
    pub async fn escalate(self: Arc<Self>, mut changes: watch::Receiver<()>) {
        if !self.config.escalates() {
            return;
        }
        if let Ok((roster, _)) = self.journal.roster().await {
            for group in self.config.groups.keys().filter(|group| !roster.groups.contains_key(*group)) {
                tracing::warn!(
                    group,
                    "[groups] has rules for a group that the roster does not have (operator: use its name on the page)"
                );
            }
        }
        loop {
            changes.mark_unchanged();
            let wait = match self.escalate_due().await {
                Ok(Some(at_ms)) => Duration::from_millis((at_ms - now_ms()).max(0).unsigned_abs()).min(LOOK),
                Ok(None) => LOOK,
                Err(trouble) => {
                    trouble.log_of_notices();
                    LOOK
                }
            };
            tokio::time::sleep(PAUSE).await;
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    /// Gives when the next turn comes.
    async fn escalate_due(&self) -> Result<Option<i64>, Trouble> {
        let mut first: Option<i64> = None;
        for id in self.journal.unopened_deliveries().await? {
            let delivery = self.journal.delivery(id).await?;
            let coming = [self.tell_next(&delivery).await?, self.raise(&delivery).await?];
            first = coming.into_iter().flatten().chain(first).min();
        }
        Ok(first)
    }

    /// Has the function answer that decides who is told next.
    pub(super) fn escalation<T>(
        &self,
        delivery: &DeliveryRow,
        standings: &[Standing],
        answer: impl FnOnce(Escalation<'_>) -> T,
    ) -> T {
        let is_urgent = delivery.urgent;
        answer(Escalation {
            standings,
            rules: self.rules(delivery),
            next_level: &|doctor, level| self.config.doctors.get(doctor)?.next_level(level),
            awake_at_ms: &|doctor, at_ms| self.config.awake_at_ms(doctor, is_urgent, at_ms),
        })
    }

    pub(super) fn rules(&self, delivery: &DeliveryRow) -> Rules {
        self.config.rules(delivery.duty_group.as_deref())
    }

    /// Tries further channels where it is time; gives when it is next.
    async fn raise(&self, delivery: &DeliveryRow) -> Result<Option<i64>, Trouble> {
        let (id, standings) = (delivery.id, self.journal.standings(delivery.id).await?);
        let mut first: Option<i64> = None;
        for Raise { doctor, level, at_ms } in self.escalation(delivery, &standings, |it| it.raises()) {
            if at_ms > now_ms() {
                first = first.into_iter().chain([at_ms]).min();
                continue;
            }
            self.audit_wish(id, BY, WORDS_OF_CHANNEL).await?;
            if self.journal.raise_level(id, &doctor, level, now_ms()).await? {
                tracing::warn!(stage = "notify", delivery = %id, doctor, level, "nobody opened a delivery in time: further channels are tried");
                self.telling.ring();
            }
        }
        Ok(first)
    }

    /// Tells the next of the group where it is time, and whoever comes after at once; gives when it is else.
    async fn tell_next(&self, delivery: &DeliveryRow) -> Result<Option<i64>, Trouble> {
        let id = delivery.id;
        loop {
            let standings = self.journal.standings(id).await?;
            let Next::Tell { doctor, at_ms } = self.escalation(delivery, &standings, |it| it.next()) else {
                return Ok(None);
            };
            if at_ms > now_ms() {
                return Ok(Some(at_ms));
            }
            self.audit_wish(id, BY, WORDS).await?;
            if !self.journal.escalate(id, &doctor, now_ms()).await? {
                return Ok(None);
            }
            tracing::warn!(stage = "notify", delivery = %id, doctor, "nobody opened a delivery in time: the next of the group is told");
            self.collector.begin(id);
        }
    }
}
