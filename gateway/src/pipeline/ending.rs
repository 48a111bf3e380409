//! The end of a case: who closes it, when its time is over, when the hospital is alarmed because nobody opened it, and the proof that what was
//! mailed is gone.

use super::Pipeline;
use super::press::{How, WishError};
use super::trouble::Trouble;
use crate::audit::PURPOSE_OF_PROOF;
use crate::clock::now_ms;
use crate::config::Encryption;
use crate::journal::{Ended, EndedCase, EndedMail, JournalError};
use crate::notify::ends;
use crate::queue::RAN_MAX_MS;
use ::seal::ids::{CaseId, DeliveryId};
use ::seal::statement;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Least pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest pause: where nothing changes, and after an error. The age of cases is noted as often.
const LOOK: Duration = Duration::from_secs(30);
/// Pause where somebody reads the journal, so that its log cannot be emptied, in milliseconds.
const BUSY_MS: i64 = 500;
/// Format of a proof.
const FORMAT: u32 = 2;
/// What no proof can say.
const NOT_PROVED: &str = "backups that the provider of a mailbox keeps of its own; folders that the gateway's login does not see; folders that are counted as not searched; other mailboxes that the doctor can write to; what a doctor saved elsewhere";

/// What is signed.
#[derive(Serialize)]
struct Proof<'a> {
    format: u32,
    site: &'a str,
    case: CaseId,
    deliveries: &'a [DeliveryId],
    how: Ended,
    by: Option<&'a str>,
    ended_at_ms: i64,
    /// Null where the spool is plain.
    spool_key_destroyed: Option<bool>,
    mailboxes: &'a [EndedMail],
    proved_at_ms: i64,
    not_proved: &'static str,
}

impl Pipeline {
    /// Closes a case that somebody has opened. False where nobody has, or it has ended before.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn close(&self, case: CaseId, by: &str) -> Result<bool, WishError> {
        Ok(self.end(case, Ended::Closed, Some(by)).await?)
    }

    /// `by`: login name, or doctor; none where its time is over.
    pub(super) async fn end(&self, case: CaseId, how: Ended, by: Option<&str>) -> Result<bool, Trouble> {
        Ok(self.withdraw_as(case, How::Ends { how, by }).await?.is_some())
    }

    /// A person has heard the alarm of a case, and looks after it. False where there is none that nobody has heard.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn alarm_heard(&self, case: CaseId, delivery: DeliveryId, by: &str) -> Result<bool, WishError> {
        self.audit_wish(delivery, by, "heard the alarm").await?;
        Ok(self.journal.alarm_heard(case, by, now_ms()).await?)
    }

    /// Alarms, ends and proves whatever it is time for, for ever. `changes` is marked after each change of the journal.
    pub async fn watch_over_cases(self: Arc<Self>, mut changes: watch::Receiver<()>) {
        let mut told = Instant::now();
        loop {
            changes.mark_unchanged();
            let wait = match self.look_after_cases(&mut told).await {
                Ok(Some(at_ms)) => Duration::from_millis((at_ms - now_ms()).max(0).unsigned_abs()).min(LOOK),
                Ok(None) => LOOK,
                Err(trouble) => {
                    tracing::warn!(stage = "pulled", trouble = trouble.text, "cases will be looked at again");
                    LOOK
                }
            };
            tokio::time::sleep(PAUSE).await;
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    /// Gives when the next alarm is due. `told`: until when the journal knows that the gateway ran.
    async fn look_after_cases(&self, told: &mut Instant) -> Result<Option<i64>, Trouble> {
        // Not at each change, since noting it is one.
        if told.elapsed() >= LOOK {
            let ran = told.elapsed();
            let ran_ms = i64::try_from(ran.as_millis()).unwrap_or(i64::MAX);
            // In a longer while the process was stopped.
            self.journal.ran(ran_ms.min(RAN_MAX_MS)).await?;
            *told += ran;
        }
        // First of all: no other trouble may keep it back.
        let next = self.alarm_due().await?;
        for (case, aged) in self.journal.aged(self.config.case.expire_ms()).await? {
            let Some(how) = ends(aged) else { continue };
            match self.end(case, how, None).await {
                Ok(true) => {
                    tracing::info!(stage = "pulled", %case, how = how.word(), "the time of a case is over")
                }
                Ok(false) => {}
                Err(trouble) => log(case, &trouble),
            }
        }
        // Keys that were destroyed are in the log of the journal until it is emptied.
        match self.journal.empty_held_log().await {
            Err(JournalError::Busy) => return Ok(Some(now_ms() + BUSY_MS)),
            emptied => emptied?,
        }
        self.give_up_mailboxes().await?;
        for ended in self.journal.to_prove().await? {
            if let Err(trouble) = self.prove(&ended).await {
                log(ended.case, &trouble);
            }
        }
        Ok(next)
    }

    /// Nobody of ours can look into the mailbox of a mail program, nor into one that is no longer in the configuration.
    async fn give_up_mailboxes(&self) -> Result<(), Trouble> {
        for (delivery, doctor) in self.journal.unlooked().await? {
            let is_known = self.config.doctors.contains_key(&doctor);
            if !is_known {
                tracing::warn!(stage = "pulled", %delivery, doctor,
                    "mails of a case that has ended stay in a mailbox that is no longer in the configuration (operator: empty it by hand)");
            }
            if !is_known || self.config.is_mail_program(&doctor) {
                self.journal.mails_stay(delivery, &doctor).await?;
            }
        }
        Ok(())
    }

    async fn alarm_due(&self) -> Result<Option<i64>, Trouble> {
        let mut first = None;
        for unopened in self.journal.unopened().await? {
            let delivery = self.journal.delivery(unopened.delivery).await?;
            let at_ms = self.escalation(&delivery, &unopened.standings, |it| it.alarm_at_ms());
            let alarm_after_ms = self.rules(&delivery).alarm_after_ms;
            let stuck = unopened.stuck_since_ms.map(|since_ms| since_ms.saturating_add(alarm_after_ms));
            let Some(at_ms) = at_ms.into_iter().chain(stuck).min() else { continue };
            if at_ms > now_ms() {
                first = Some(first.map_or(at_ms, |first: i64| first.min(at_ms)));
                continue;
            }
            self.audit_wish(
                unopened.delivery,
                "alarm_after_s",
                "nobody opened it in time: alarm the hospital",
            )
            .await?;
            if self.journal.alarm(unopened.case, now_ms()).await? {
                tracing::error!(stage = "notify", delivery = %unopened.delivery,
                    "nobody has opened a delivery, and everybody was told (technician: telephone, then say on the page that you heard)");
            }
        }
        Ok(first)
    }

    /// The trail gets the proof before the journal forgets whose study it was.
    async fn prove(&self, ended: &EndedCase) -> Result<(), Trouble> {
        // Once more what a crash may have left.
        for delivery in &ended.deliveries {
            let instances = self.journal.instances(*delivery).await?;
            self.spool
                .release_received(&instances.into_iter().map(|instance| instance.file).collect::<Vec<_>>());
            self.spool.release_made(*delivery);
        }
        let now_ms = now_ms();
        let proof = Proof {
            format: FORMAT,
            site: &self.config.site,
            case: ended.case,
            deliveries: &ended.deliveries,
            how: ended.how,
            by: ended.by.as_deref(),
            ended_at_ms: ended.at_ms,
            spool_key_destroyed: (self.config.spool.encryption == Encryption::On).then_some(true),
            mailboxes: &ended.mails,
            proved_at_ms: now_ms,
            not_proved: NOT_PROVED,
        };
        let content = serde_json::to_vec(&proof).map_err(Trouble::ours)?;
        let signature = self.sealer.key.sign_statement(PURPOSE_OF_PROOF, &content)?;
        self.audit_proved(ended, &statement::join(&signature, &content)).await?;
        self.journal.forget(ended.case, now_ms).await?;
        tracing::info!(stage = "pulled", case = %ended.case, "the deletion of a case is proved: the audit trail has the proof");
        Ok(())
    }
}

fn log(case: CaseId, trouble: &Trouble) {
    tracing::warn!(stage = "pulled", %case, trouble = trouble.text, "the end of a case is tried again");
}
