//! What a person asks for: to deliver a study, what to do about missing images, to withdraw it, to try again, to notify again.

use super::Pipeline;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::journal::{Choice, JournalError, Press, PressAnswer, PressedStudy, Recipient, State, Withdrawal};
use ::seal::ids::{CaseId, DeliveryId};
use std::sync::Arc;
use std::time::Duration;

/// Pause between two looks for studies that nobody asked for in time.
const LOOK: Duration = Duration::from_secs(60);
const HOUR_MS: i64 = 60 * 60 * 1000;
/// Who withdraws them.
const NOBODY: &str = "hold_hours";

/// Why a person's wish is not done.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// The journal or the audit trail.
    #[error("{0}")]
    Trouble(String),
    /// A doctor whom the configuration does not know.
    #[error("doctor {0} is not in the configuration")]
    NoSuchDoctor(String),
    /// A PACS that the configuration does not know.
    #[error("PACS {0} is not in the configuration")]
    NoSuchPacs(String),
    /// Nobody to deliver to.
    #[error("name at least one doctor")]
    Nobody,
    /// Studies of a PACS are received under an AE title of their own.
    #[error(
        "[dicom] hold is missing in the configuration (operator: name the AE title that studies wait under)"
    )]
    NoHold,
}

impl From<JournalError> for WishError {
    fn from(error: JournalError) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<Trouble> for WishError {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble.text)
    }
}

impl Pipeline {
    /// A study at a PACS, as [`Pipeline::press`] takes it.
    ///
    /// # Errors
    /// [`WishError::NoSuchPacs`], [`WishError::NoHold`].
    pub fn study_at(&self, pacs: &str, study: compressor::Uid) -> Result<PressedStudy, WishError> {
        let known = self.config.pacs.get(pacs).ok_or_else(|| WishError::NoSuchPacs(pacs.to_owned()))?;
        let hold = self.config.dicom.hold.clone().ok_or(WishError::NoHold)?;
        Ok(PressedStudy::AtPacs { hold, pacs: pacs.to_owned(), calling: known.ae_title.clone(), study })
    }

    /// Takes the order to deliver a study. When this returns, it survives a power cut. A second press for the same study is answered with what
    /// the first one began.
    ///
    /// # Errors
    /// [`WishError`]; then nothing was begun.
    pub async fn press(&self, press: &Press) -> Result<PressAnswer, WishError> {
        if press.doctors.is_empty() {
            return Err(WishError::Nobody);
        }
        if let Some(unknown) = press.doctors.iter().find(|doctor| !self.config.doctors.contains_key(*doctor))
        {
            return Err(WishError::NoSuchDoctor(unknown.clone()));
        }
        let answer = self.journal.press(press).await?;
        if let PressAnswer::Begun(delivery) = answer {
            tracing::info!(stage = "assemble", %delivery, urgent = press.urgent, "a person asked for this delivery");
            self.collector.begin(delivery);
        }
        Ok(answer)
    }

    /// Says what is to be done about instances that the PACS lists and does not give. False where no word is waited for any more.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn choose(&self, delivery: DeliveryId, choice: Choice, by: &str) -> Result<bool, WishError> {
        let chosen = self.journal.choose(delivery, choice, by).await?;
        self.collector.wake(delivery);
        Ok(chosen)
    }

    /// Withdraws a case: whatever is under way of it ends, its key and what was made of it are destroyed, and its mails are deleted from the
    /// mailboxes by the inbound process. The study waits for another press where `[dicom] hold` is set. None where there is nothing to
    /// withdraw.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn withdraw(&self, case: CaseId, by: &str) -> Result<Option<Withdrawal>, WishError> {
        Ok(self.withdraw_to(case, self.config.dicom.hold.as_deref(), by).await?)
    }

    async fn withdraw_to(
        &self,
        case: CaseId,
        hold: Option<&str>,
        by: &str,
    ) -> Result<Option<Withdrawal>, Trouble> {
        let _one_at_a_time = self.endings.lock().await;
        let Some(study) = self.journal.study_of(case).await? else { return Ok(None) };
        let delivery = self.journal.delivery(study.delivery.id).await?;
        if matches!(delivery.state, State::Cancelled | State::Recalled) {
            return Ok(None);
        }
        self.audit_withdrawn(&delivery, by).await?;
        let Some(withdrawal) = self.journal.withdraw(case, hold, by, now_ms()).await? else {
            return Ok(None);
        };
        for (delivery, state) in &withdrawal.ended {
            self.stop(*delivery);
            self.collector.forget(*delivery);
            self.audit_forget(*delivery);
            self.spool.release(*delivery, &[]);
            self.spool.release_bundle(*delivery);
            tracing::info!(delivery = %delivery, state = state.word(), "withdrawn");
        }
        if !withdrawal.files.is_empty() {
            self.audit_deleted(&delivery).await?;
            self.spool.remove_received(&withdrawal.files);
        }
        for (delivery, _) in &withdrawal.ended {
            // Nobody of ours may look into the mailbox of a mail program.
            for Recipient { doctor, .. } in self.journal.recipients(*delivery).await? {
                if self.config.is_mail_program(&doctor) {
                    self.journal.mails_stay(*delivery, &doctor).await?;
                }
            }
        }
        Ok(Some(withdrawal))
    }

    /// Takes a dead letter up again. False where it is none.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn retry(&self, delivery: DeliveryId) -> Result<bool, WishError> {
        let taken_up = self.journal.retry(delivery).await?;
        if taken_up {
            self.collector.begin(delivery);
        }
        Ok(taken_up)
    }

    /// Notifies the doctors again who have not pulled the delivery. False where nobody is to be told.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn notify_again(&self, delivery: DeliveryId) -> Result<bool, WishError> {
        let again = self.journal.notify_again(delivery).await?;
        if again {
            self.audit_forget(delivery);
            self.collector.begin(delivery);
        }
        Ok(again)
    }

    /// Deletes studies that nobody asked for in time, for ever.
    pub async fn drop_held(self: Arc<Self>) {
        loop {
            if let Err(trouble) = self.drop_held_once().await {
                tracing::warn!(
                    stage = "receive",
                    trouble = trouble.text,
                    "studies that wait for a press will be looked at again"
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn drop_held_once(&self) -> Result<(), Trouble> {
        let before_ms = now_ms() - i64::from(self.config.dicom.hold_hours) * HOUR_MS;
        for case in self.journal.held_since(before_ms).await? {
            self.withdraw_to(case, None, NOBODY).await?;
            tracing::info!(stage = "receive", %case, "a study that nobody asked for in time is deleted");
        }
        Ok(())
    }
}
