//! Pulled: what the inbound process hands over is matched with the journal, and ends a delivery.

use super::trouble::Trouble;
use super::{Pipeline, random};
use crate::clock::now_ms;
use crate::journal::{DeliveryRow, Ended, Recipient, State, Step};
use crate::pulled::doctors_of;
use crate::pulled::record::{Kind, Record};
use crate::submit::retry;
use ::seal::ids::{DeliveryId, Digest};
use ::seal::receipt::ReceiptKind;
use std::sync::Arc;
use tokio::sync::mpsc;

impl Pipeline {
    /// Takes records until the sender is gone.
    pub async fn take_records(self: Arc<Self>, mut records: mpsc::Receiver<Record>) {
        while let Some(record) = records.recv().await {
            self.take_surely(&record).await;
        }
    }

    /// The inbound process says it once: a journal that is busy must not make a receipt be forgotten.
    pub(crate) async fn take_surely(self: &Arc<Self>, record: &Record) {
        let mut failures = 0;
        while let Err(trouble) = self.take(record).await {
            trouble.log(record.delivery);
            failures += 1;
            tokio::time::sleep(retry::delay(failures, random())).await;
        }
    }

    async fn take(self: &Arc<Self>, record: &Record) -> Result<(), Trouble> {
        if let Kind::Removed(_) | Kind::NoneLeft | Kind::NotRemoved = record.kind {
            return self.take_withdrawn(record).await;
        }
        let doctor = match record.kind {
            Kind::Receipt(_) => self.journal.doctor_of(record.recipient).await?,
            _ => doctors_of(&self.config, record.recipient).next().cloned(),
        };
        let doctor = doctor.as_deref();
        if matches!(record.kind, Kind::Refused(_) | Kind::Trouble(_)) {
            self.alert_of_record(record, doctor);
        }
        let Some(doctor) = doctor else { return Ok(()) };
        let Some(cover) = self.cover_of(record, doctor).await? else { return Ok(()) };
        match record.kind {
            Kind::CoverSeen => {
                self.journal.cover_seen(record.delivery, doctor, now_ms()).await?;
                self.telling.ring();
            }
            Kind::Receipt(kind) if record.cover == cover => self.take_receipt(record, kind, doctor).await?,
            Kind::Receipt(_) => {
                self.alert_of_record(record, Some(doctor));
                tracing::warn!(stage = "pulled", delivery = %record.delivery, "a receipt names another cover and is ignored");
            }
            Kind::Refused(_)
            | Kind::Trouble(_)
            | Kind::Confined(_)
            | Kind::Removed(_)
            | Kind::NoneLeft
            | Kind::NotRemoved => {}
        }
        Ok(())
    }

    /// Digest of the delivery's cover; none where there is none.
    async fn cover_of(&self, record: &Record, doctor: &str) -> Result<Option<Digest>, Trouble> {
        let known = self.journal.cover_digest(record.delivery).await?;
        if known.is_some() || !matches!(record.kind, Kind::Receipt(_)) {
            return Ok(known);
        }
        let is_taken = self.journal.take_cover_of_receipt(record.delivery, doctor, record.cover).await?;
        Ok(is_taken.then_some(record.cover))
    }

    /// Of the cover that was sent, signed by this doctor.
    async fn take_receipt(
        self: &Arc<Self>,
        record: &Record,
        kind: ReceiptKind,
        doctor: &str,
    ) -> Result<(), Trouble> {
        let id = record.delivery;
        if kind == ReceiptKind::ExactWanted {
            return self.exact_asked(id, doctor, record.at).await;
        }
        let recipients = self.journal.recipients(id).await?;
        let Some(recipient) = recipients.iter().find(|recipient| recipient.doctor == doctor) else {
            self.alert_of_stranger(doctor);
            tracing::warn!(stage = "pulled", delivery = %id, doctor, "a receipt of a doctor whom the delivery was not for is ignored");
            return Ok(());
        };
        match kind {
            ReceiptKind::Fetched => {
                self.audit_pulled(id, doctor).await?;
                self.journal.pulled(id, doctor, now_ms()).await?;
                self.finish_if_pulled(id).await?;
            }
            ReceiptKind::FirstImageShown if !recipient.first_image => {
                self.audit_shown(id, doctor).await?;
                self.journal.first_image(id, doctor, now_ms()).await?;
            }
            ReceiptKind::Seen if !recipient.seen => {
                self.audit_seen(id, doctor).await?;
                self.journal.seen(id, doctor, now_ms()).await?;
            }
            ReceiptKind::Closed => {
                // Whoever closes it has seen it.
                if !recipient.seen {
                    self.audit_seen(id, doctor).await?;
                    self.journal.seen(id, doctor, now_ms()).await?;
                }
                let case = self.journal.delivery(id).await?.case;
                if !self.end(case, Ended::Closed, Some(doctor)).await? {
                    tracing::info!(stage = "pulled", %case, doctor, "a case that a doctor closed has more on its way, a dead letter, or has ended");
                }
            }
            ReceiptKind::PassedOn if !recipient.passed_on => self.take_passed_on(id, doctor).await?,
            ReceiptKind::Read => self.take_reading(record, doctor).await?,
            ReceiptKind::Answer => self.take_answer(record, doctor).await?,
            // Read again, as at every start of the inbound process.
            ReceiptKind::FirstImageShown
            | ReceiptKind::Seen
            | ReceiptKind::PassedOn
            | ReceiptKind::ExactWanted => {}
        }
        Ok(())
    }

    async fn take_passed_on(self: &Arc<Self>, id: DeliveryId, doctor: &str) -> Result<(), Trouble> {
        let delivery = self.journal.delivery(id).await?;
        if delivery.state.is_over() {
            return Ok(());
        }
        self.audit_passed_on(id, doctor).await?;
        let passed_on = self.journal.passed_on(delivery.case, doctor, now_ms()).await?;
        if !passed_on.is_empty() {
            tracing::warn!(stage = "pulled", delivery = %id, doctor, "a doctor hands the case over: whoever stands behind is told");
        }
        // Whoever was waited for may have been this one alone.
        for delivery in passed_on {
            self.start(delivery);
        }
        Ok(())
    }

    async fn take_withdrawn(&self, record: &Record) -> Result<(), Trouble> {
        for doctor in doctors_of(&self.config, record.recipient) {
            match record.kind {
                Kind::Removed(mails) => {
                    self.journal.mails_removed(record.delivery, doctor, mails.into()).await?;
                }
                Kind::NoneLeft => {
                    self.journal.no_mail_left(record.delivery, doctor, record.folders(), now_ms()).await?;
                }
                _ => self.journal.mails_stay(record.delivery, doctor).await?,
            }
        }
        Ok(())
    }

    /// Ends a delivery once every doctor who could be reached has pulled it, also one whose notice is still refused, and
    /// gives its spool back. A residual ends with those who asked for it: their colleagues may leave it where it is.
    pub(super) async fn finish_if_pulled(&self, id: DeliveryId) -> Result<(), Trouble> {
        if self.finished_if_pulled(id).await? {
            self.drop_residuals_over().await?;
            tracing::info!(stage = "pulled", delivery = %id, "pulled");
        }
        Ok(())
    }

    async fn finished_if_pulled(&self, id: DeliveryId) -> Result<bool, Trouble> {
        let _one_at_a_time = self.endings.lock().await;
        let delivery = self.journal.delivery(id).await?;
        let mut recipients = self.journal.recipients(id).await?;
        let may_be_told = |one: &Recipient| {
            !one.is_told && !one.passed_on && one.refused.is_none() && self.config.sends_receipts(&one.doctor)
        };
        let is_somebody_left =
            self.rules(&delivery).tell_those_behind() && recipients.iter().any(may_be_told);
        // Nobody waits for who was never told.
        recipients.retain(|recipient| recipient.is_told || recipient.pulled);
        if let Some(base) = delivery.residual_of {
            let asked = self.journal.recipients(base).await?;
            let asked: Vec<_> =
                asked.into_iter().filter(|one| one.exact_asked_at.is_some()).map(|one| one.doctor).collect();
            recipients.retain(|recipient| asked.contains(&recipient.doctor));
        }
        let is_handed_over =
            |recipient: &Recipient| recipient.submitted && !self.config.sends_receipts(&recipient.doctor);
        let all = recipients.iter().all(|recipient| {
            recipient.pulled
                || recipient.passed_on
                || recipient.refused.is_some()
                || is_handed_over(recipient)
        });
        let waits = delivery.state.after(Step::Pulled).is_some();
        if !all || !waits || delivery.handed_over {
            return Ok(false);
        }
        if !recipients.iter().any(|recipient| recipient.pulled && !recipient.passed_on) {
            let handed_over = recipients.iter().any(is_handed_over)
                && delivery.state == State::Notified
                && !is_somebody_left
                && !recipients.iter().any(|recipient| recipient.passed_on);
            if handed_over {
                self.release_handed_over(&delivery).await?;
            }
            return Ok(false);
        }
        if delivery.residual_of.is_none() && delivery.residual_until_ms.is_none() {
            self.audit_deleted(&delivery).await?;
        }
        self.journal.reached(id, Step::Pulled, now_ms()).await?;
        self.release(&delivery).await?;
        Ok(true)
    }

    /// Mail programs send no receipts: the delivery stays "notified", and what the mail server took needs no room here any more.
    async fn release_handed_over(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        self.audit_deleted(delivery).await?;
        // The row first: what outlives it is swept away at the next start.
        if self.journal.handed_over(delivery.id, now_ms()).await? {
            self.release(delivery).await?;
            self.spool.release_bundle(delivery.id);
            tracing::info!(stage = "pulled", delivery = %delivery.id, "handed over to mail programs: nobody will say whether it was read");
        }
        Ok(())
    }

    /// Gives the spool back, but for a residual that somebody may ask for.
    async fn release(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        let instances = self.journal.instances(delivery.id).await?;
        let files: Vec<_> = instances.into_iter().map(|instance| instance.file).collect();
        self.spool.release_received(&files);
        self.spool.release_sealed(delivery.id);
        if delivery.residual_until_ms.is_none() {
            self.spool.release_bundle(delivery.id);
        }
        Ok(())
    }
}
