//! The residual that a doctor may ask for: mailed once as a further delivery of the case, deleted when its time is over.

use super::Pipeline;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::journal::{Asked, State};
use ::seal::ids::DeliveryId;
use std::sync::Arc;
use std::time::Duration;

/// What gives exact files where the residual is gone. Within the day the study would be taken for a repetition (DESIGN 4).
const AGAIN: &str =
    "a study sent again under near = 0, once the gateway has run for a day after the first time, is exact";

/// Pause between two looks for residuals whose time is over; their lives are hours.
const LOOK: Duration = Duration::from_secs(60);

impl Pipeline {
    /// Answers a doctor's signed request. What cannot be given is said to the operator, since no mail of ours has free words.
    pub(super) async fn exact_asked(
        self: &Arc<Self>,
        base: DeliveryId,
        doctor: &str,
        asked_at: i64,
    ) -> Result<(), Trouble> {
        let _one_at_a_time = self.endings.lock().await;
        self.audit_exact_asked(base, doctor, asked_at).await?;
        match self.journal.exact_asked(base, doctor, asked_at, now_ms()).await? {
            Asked::Begun(delivery) => {
                tracing::info!(stage = "pulled", delivery = %base, doctor, residual = %delivery, "exact files are asked for");
                self.start(delivery);
            }
            Asked::Sent(delivery) => {
                tracing::info!(stage = "pulled", delivery = %base, doctor, residual = %delivery,
                    "exact files are asked for again: their residual goes once");
                let words = format!(
                    "doctor {doctor} asked for exact files that were begun before, as delivery {delivery} (technician: if its mails are lost, {AGAIN})"
                );
                self.journal.remarked(base, &words).await?;
            }
            // Every start of the inbound process reads the mailbox from its beginning.
            Asked::Replayed => {}
            Asked::Gone => {
                self.cannot(base, doctor, "its residual is deleted").await?;
            }
            Asked::NothingKept => {
                self.cannot(base, doctor, "no residual was kept back").await?;
            }
            Asked::NoRecipient => {
                tracing::warn!(stage = "pulled", delivery = %base, doctor,
                    "exact files are asked for by a doctor whom the delivery was not for: refused");
            }
        }
        Ok(())
    }

    async fn cannot(&self, base: DeliveryId, doctor: &str, why: &str) -> Result<(), Trouble> {
        let words = format!(
            "doctor {doctor} asked for exact files, but {why} (technician: call the doctor; {AGAIN})"
        );
        tracing::warn!(stage = "pulled", delivery = %base, trouble = words, "exact files cannot be given");
        Ok(self.journal.remarked(base, &words).await?)
    }

    /// Deletes residuals whose time is over, for ever.
    pub async fn drop_residuals(self: Arc<Self>) {
        loop {
            if let Err(trouble) = self.look().await {
                tracing::warn!(stage = "pulled", trouble = trouble.text, "residuals will be looked at again");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self) -> Result<(), Trouble> {
        for residual in self.journal.end_unpulled(now_ms()).await? {
            self.spool.release_sealed(residual);
            tracing::warn!(stage = "pulled", delivery = %residual, "exact files that were asked for were not pulled in time");
        }
        self.drop_residuals_over().await?;
        Ok(self.journal.forget_subjects(now_ms()).await?)
    }

    pub(super) async fn drop_residuals_over(&self) -> Result<(), Trouble> {
        let _one_at_a_time = self.endings.lock().await;
        for base in self.journal.residuals_over(now_ms()).await? {
            let delivery = self.journal.delivery(base).await?;
            // Of a delivery that failed the received files are kept, and so is the study.
            if delivery.state != State::Failed {
                self.audit_deleted(&delivery).await?;
            }
            // The row first: a bundle that outlives it is swept away at the next start.
            if self.journal.residual_gone(base, now_ms()).await? {
                self.spool.release_bundle(base);
                tracing::info!(stage = "pulled", delivery = %base, "its residual is deleted");
            }
        }
        Ok(())
    }
}
