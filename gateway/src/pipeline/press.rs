//! What a person asks for: to deliver a study, what to do about missing images, to withdraw it, to try again, to notify again.

use super::Pipeline;
use super::trouble::Trouble;
use super::turns::Rank;
use crate::clock::now_ms;
use crate::journal::{
    Choice, DeliveryReport, Ended, HeldAs, JournalError, Press, PressedStudy, Recipient, State, Withdrawal,
};
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

/// Why a case is withdrawn.
#[derive(Clone, Copy)]
pub(super) enum How<'a> {
    /// A person wants it.
    Wish {
        /// AE title under which the study waits for another press.
        hold: Option<&'a str>,
        /// Login name.
        by: &'a str,
    },
    /// Nobody asked for it for so long.
    Late {
        /// In milliseconds.
        age_ms: i64,
    },
    /// It has served its purpose, or its time is over.
    Ends {
        /// How.
        how: Ended,
        /// Login name, or doctor; none where its time is over.
        by: Option<&'a str>,
    },
}

impl How<'_> {
    pub(super) fn by(&self) -> &str {
        match self {
            Self::Wish { by, .. } => by,
            Self::Late { .. } => NOBODY,
            Self::Ends { how, by } => by.unwrap_or(how.word()),
        }
    }
}

impl Pipeline {
    /// How a study is received that is to be fetched.
    pub(super) fn held_as(&self, study: &PressedStudy) -> Result<Option<HeldAs<'_>>, WishError> {
        let PressedStudy::AtPacs { pacs, .. } = study else { return Ok(None) };
        let known = self.config.pacs.get(pacs).ok_or_else(|| WishError::NoSuchPacs(pacs.clone()))?;
        let hold = self.config.dicom.hold.as_deref().ok_or(WishError::NoHold)?;
        Ok(Some(HeldAs { hold, calling: &known.ae_title }))
    }

    pub(super) fn check_press(&self, press: &Press) -> Result<(), WishError> {
        if press.doctors.is_empty() {
            return Err(WishError::Nobody);
        }
        let unknown = press.doctors.iter().find(|doctor| !self.config.doctors.contains_key(*doctor));
        unknown.map_or(Ok(()), |unknown| Err(WishError::NoSuchDoctor(unknown.clone())))
    }

    /// Says what is to be done about instances that the PACS lists and does not give. False where no word is waited for any more.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn choose(&self, delivery: DeliveryId, choice: Choice, by: &str) -> Result<bool, WishError> {
        let words = match choice {
            Choice::Wait => "wait for the images that are missing",
            Choice::Partial => "send what is there",
        };
        self.audit_wish(delivery, by, words).await?;
        let chosen = self.journal.choose(delivery, choice, by).await?;
        self.collector.wake(delivery);
        Ok(chosen)
    }

    /// The key images of a delivery's case are these instances, by their numbers in the journal, and no others. False where its images are packed already.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn mark_key_images(
        &self,
        delivery: &DeliveryReport,
        instances: &[i64],
        by: &str,
    ) -> Result<bool, WishError> {
        self.audit_wish(delivery.id, by, "mark key images").await?;
        Ok(self.journal.mark_key_images(delivery.case, instances).await.map_err(Trouble::from)?)
    }

    /// Withdraws a case: whatever is under way of it ends, its key and what was made of it are destroyed, and its mails are deleted from the
    /// mailboxes by the inbound process. The study waits for another press where `[dicom] hold` is set. None where there is nothing to
    /// withdraw.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn withdraw(&self, case: CaseId, by: &str) -> Result<Option<Withdrawal>, WishError> {
        let hold = self.config.dicom.hold.as_deref();
        Ok(self.withdraw_as(case, How::Wish { hold, by }).await?)
    }

    pub(super) async fn withdraw_as(
        &self,
        case: CaseId,
        how: How<'_>,
    ) -> Result<Option<Withdrawal>, Trouble> {
        let _one_at_a_time = self.endings.lock().await;
        if let How::Ends { how, .. } = how
            && !self.journal.may_end(case, how).await?
        {
            return Ok(None);
        }
        let mut deliveries = Vec::new();
        for id in self.journal.to_withdraw(case).await? {
            deliveries.push(self.journal.delivery(id).await?);
        }
        for delivery in &deliveries {
            if let Some(pressed) = &delivery.pressed {
                self.audit_pressed(delivery, pressed).await?;
            }
            self.audit_withdrawn(delivery, how).await?;
        }
        let withdrawn = match how {
            How::Wish { hold, by } => self.journal.withdraw(case, hold, by, now_ms()).await?,
            How::Late { age_ms } => self.journal.give_up_held(case, age_ms, NOBODY, now_ms()).await?,
            How::Ends { how, by } => self.journal.end(case, how, by, now_ms()).await?,
        };
        let Some(withdrawal) = withdrawn else { return Ok(None) };
        for delivery in &deliveries {
            self.stop(delivery.id);
            // What the mail server took until then.
            self.audit_exported(delivery).await?;
            if !withdrawal.files.is_empty() {
                self.audit_deleted(delivery).await?;
            }
            self.collector.forget(delivery.id);
            self.audit_forget(delivery.id);
            self.spool.release_made(delivery.id);
            tracing::info!(delivery = %delivery.id, by = how.by(), "withdrawn");
        }
        for (delivery, _) in &withdrawal.ended {
            // Nobody of ours may look into the mailbox of a mail program.
            for Recipient { doctor, .. } in self.journal.recipients(*delivery).await? {
                if self.config.is_mail_program(&doctor) {
                    self.journal.mails_stay(*delivery, &doctor).await?;
                }
            }
        }
        self.spool.release_received(&withdrawal.files);
        // A bundle or pieces that are being written now are there when the next turn comes.
        let (turns, spool) = (self.turns.clone(), self.spool.clone());
        tokio::spawn(async move {
            let _turn = turns.take(Rank::Urgent).await;
            for delivery in deliveries {
                spool.release_made(delivery.id);
            }
        });
        Ok(Some(withdrawal))
    }

    /// Takes a dead letter up again. False where it is none, or some of its images were sent again since.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn retry(&self, delivery: DeliveryId, by: &str) -> Result<bool, WishError> {
        self.audit_wish(delivery, by, "try again").await?;
        let taken_up = self.journal.retry(delivery).await?;
        if taken_up {
            if self.journal.delivery(delivery).await?.state < State::Sealed {
                self.spool.release_sealed(delivery);
            }
            self.collector.begin(delivery);
        }
        Ok(taken_up)
    }

    /// Notifies the doctors again, by all their channels, who have not pulled the delivery. False where nobody is to be told.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn notify_again(&self, delivery: DeliveryId, by: &str) -> Result<bool, WishError> {
        self.audit_wish(delivery, by, "notify again").await?;
        let doctors = self.journal.notify_again(delivery).await?;
        if !doctors.is_empty() {
            self.collector.begin(delivery);
        }
        Ok(!doctors.is_empty())
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
        let age_ms = i64::from(self.config.dicom.hold_hours) * HOUR_MS;
        for case in self.journal.held_since(age_ms, now_ms()).await? {
            match self.withdraw_as(case, How::Late { age_ms }).await {
                Ok(Some(_)) => {
                    tracing::info!(stage = "receive", %case, "a study that nobody asked for in time is deleted");
                }
                Ok(None) => {}
                Err(trouble) => tracing::warn!(stage = "receive", %case, trouble = trouble.text,
                    "a study that nobody asked for in time cannot be deleted yet"),
            }
        }
        Ok(())
    }
}
