//! Escalation: when nobody has opened a delivery in time, further channels are tried for its doctors, and the next one of the group is told.

use super::Pipeline;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::notify::{Next, Raise, Standing, next, raises};
use ::seal::ids::DeliveryId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Least pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest pause: where nothing changes, and after an error.
const LOOK: Duration = Duration::from_secs(30);
/// Who tells the next one, in the audit trail.
const BY: &str = "escalate_after_s";
const WORDS: &str = "nobody opened it in time: tell the next of the group";
/// Who tries further channels.
const BY_CHANNEL: &str = "channel_after_s";
const WORDS_OF_CHANNEL: &str = "nobody opened it in time: try further channels";

impl Pipeline {
    /// Does what it is time for, for ever. `changes` is marked after each change of the journal.
    pub async fn escalate(self: Arc<Self>, mut changes: watch::Receiver<()>) {
        let notify = &self.config.notify;
        if notify.escalate_after_ms().is_none() && notify.channel_after_ms().is_none() {
            return;
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
        for delivery in self.journal.unopened_deliveries().await? {
            let standings = self.journal.standings(delivery).await?;
            let coming =
                [self.raise(delivery, &standings).await?, self.tell_next(delivery, &standings).await?];
            first = coming.into_iter().flatten().chain(first).min();
        }
        Ok(first)
    }

    /// Tries further channels where it is time; gives when it is next.
    async fn raise(&self, delivery: DeliveryId, standings: &[Standing]) -> Result<Option<i64>, Trouble> {
        let Some(after_ms) = self.config.notify.channel_after_ms() else { return Ok(None) };
        let mut first: Option<i64> = None;
        let next_level = |doctor: &str, level| self.config.doctors.get(doctor)?.next_level(level);
        for Raise { doctor, level, at_ms } in raises(standings, after_ms, next_level) {
            if at_ms > now_ms() {
                first = first.into_iter().chain([at_ms]).min();
                continue;
            }
            self.audit_wish(delivery, BY_CHANNEL, WORDS_OF_CHANNEL).await?;
            if self.journal.raise_level(delivery, &doctor, level, now_ms()).await? {
                tracing::warn!(stage = "notify", %delivery, doctor, level, "nobody opened a delivery in time: further channels are tried");
                self.telling.ring();
            }
        }
        Ok(first)
    }

    /// Tells the next of the group where it is time; gives when it is else.
    async fn tell_next(&self, delivery: DeliveryId, standings: &[Standing]) -> Result<Option<i64>, Trouble> {
        let Some(after_ms) = self.config.notify.escalate_after_ms() else { return Ok(None) };
        let Next::Tell { doctor, at_ms } = next(standings, after_ms) else { return Ok(None) };
        if at_ms > now_ms() {
            return Ok(Some(at_ms));
        }
        self.audit_wish(delivery, BY, WORDS).await?;
        if self.journal.escalate(delivery, &doctor, now_ms()).await? {
            tracing::warn!(stage = "notify", %delivery, doctor, "nobody opened a delivery in time: the next of the group is told");
            self.collector.begin(delivery);
        }
        Ok(None)
    }
}
