//! Escalation: when nobody has opened a delivery in time, the next one of the group is told.

use super::Pipeline;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::notify::{Next, next};
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

impl Pipeline {
    /// Tells the next one wherever it is time, for ever. `changes` is marked after each change of the journal.
    pub async fn escalate(self: Arc<Self>, mut changes: watch::Receiver<()>) {
        let Some(after_ms) = self.config.notify.escalate_after_ms() else { return };
        loop {
            changes.mark_unchanged();
            let wait = match self.escalate_due(after_ms).await {
                Ok(Some(at_ms)) => Duration::from_millis((at_ms - now_ms()).max(0).unsigned_abs()).min(LOOK),
                Ok(None) => LOOK,
                Err(trouble) => {
                    tracing::warn!(
                        stage = "notify",
                        trouble = trouble.text,
                        "who is to be told next is looked for again"
                    );
                    LOOK
                }
            };
            tokio::time::sleep(PAUSE).await;
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    /// Tells everyone whose turn it is; gives when the next turn comes.
    async fn escalate_due(&self, after_ms: i64) -> Result<Option<i64>, Trouble> {
        let mut first = None;
        for delivery in self.journal.stood_by().await? {
            let Next::Tell { doctor, at_ms } = next(&self.journal.standings(delivery).await?, after_ms)
            else {
                continue;
            };
            if at_ms > now_ms() {
                first = Some(first.map_or(at_ms, |first: i64| first.min(at_ms)));
                continue;
            }
            self.audit_wish(delivery, BY, WORDS).await?;
            if self.journal.escalate(delivery, &doctor, now_ms()).await? {
                tracing::warn!(stage = "notify", %delivery, doctor, "nobody opened a delivery in time: the next of the group is told");
                self.collector.begin(delivery);
            }
        }
        Ok(first)
    }
}
