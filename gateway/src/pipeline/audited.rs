//! What the pipeline tells the audit trail. A state is reached only after the trail has what led to it, so that after a crash something may be
//! told twice and nothing is left out.

use super::Pipeline;
use super::press::How;
use super::trouble::Trouble;
use crate::audit::{AuditError, Message, Reading, Server, ServerRefusal, Subject};
use crate::journal::{AnswerKind, DeliveryRow, DueNotice, EndedCase, Pressed, Recipient};
use crate::pulled::record::{self, Kind, Record, Refusal};
use crate::submit::SubmitError;
use ::seal::ids::DeliveryId;
use notifier::NoticeError;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// What was told of a delivery or of one of its recipients since the start of the program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// What came in; of no doctor in particular.
    Received,
    /// Who asked for it; of no doctor in particular.
    Pressed,
    /// That a first piece is about to go; of no doctor in particular.
    Begun,
    /// That the mail server took the study for the doctor.
    Exported,
}

impl Pipeline {
    /// The delivery's study, once for each patient that its images name.
    async fn subjects(&self, delivery: &DeliveryRow) -> Result<Vec<Subject>, Trouble> {
        let mut subjects: Vec<Subject> = Vec::new();
        for (_, subject) in self.subjects_by_sender(delivery).await? {
            match subjects.iter_mut().find(|known| known.banner == subject.banner) {
                Some(known) => {
                    for (class, instances) in subject.classes {
                        *known.classes.entry(class).or_default() += instances;
                    }
                }
                None => subjects.push(subject),
            }
        }
        Ok(subjects)
    }

    /// With the AE title that sent them. The study alone where the journal no longer knows whose it is.
    async fn subjects_by_sender(&self, delivery: &DeliveryRow) -> Result<Vec<(String, Subject)>, Trouble> {
        let id = delivery.residual_of.unwrap_or(delivery.id);
        let known = self.journal.subjects(id).await?;
        if !known.is_empty() {
            return Ok(known);
        }
        let mut classes = BTreeMap::new();
        for instance in self.journal.instances(id).await? {
            *classes.entry(instance.sop_class).or_default() += 1;
        }
        let study = Subject { study: delivery.study.clone(), classes, ..Subject::default() };
        Ok(vec![(delivery.calling.clone(), study)])
    }

    async fn record_each(
        &self,
        subjects: &[Subject],
        message: impl Fn(&Subject) -> Message,
    ) -> Result<(), AuditError> {
        for subject in subjects {
            self.audit.record(message(subject)).await?;
        }
        Ok(())
    }

    /// Before anything is done for a person who asked for it.
    pub(super) async fn audit_pressed(
        &self,
        delivery: &DeliveryRow,
        pressed: &Pressed,
    ) -> Result<(), Trouble> {
        if self.is_audited(delivery.id, "", Told::Pressed) {
            return Ok(());
        }
        let told = self.journal.recipients(delivery.id).await?.into_iter().filter(|one| one.is_told);
        let doctors: Vec<_> = told.map(|recipient| recipient.doctor).collect();
        let subjects = self.subjects(delivery).await?;
        self.record_each(&subjects, |subject| Message::pressed(&pressed.by, &doctors, subject)).await?;
        self.set_audited(delivery.id, String::new(), Told::Pressed);
        Ok(())
    }

    /// Before a person's word about a delivery is done.
    pub(super) async fn audit_wish(
        &self,
        delivery: DeliveryId,
        by: &str,
        words: &'static str,
    ) -> Result<(), Trouble> {
        let subjects = self.subjects(&self.journal.delivery(delivery).await?).await?;
        Ok(self.record_each(&subjects, |subject| Message::wished(by, words, subject)).await?)
    }

    /// Before a delivery ends or is withdrawn with its case. Only what surely happens names the case: one that nobody asked for in time may be asked
    /// for at the same moment.
    pub(super) async fn audit_withdrawn(&self, delivery: &DeliveryRow, how: How<'_>) -> Result<(), Trouble> {
        let (subjects, ids, by) = (self.subjects(delivery).await?, (delivery.case, delivery.id), how.by());
        let message = |subject: &Subject| match how {
            How::Ends { how, .. } => Message::ends(by, ids, how, subject),
            How::Wish { .. } => Message::withdraws(by, ids, subject),
            How::Late { .. } => Message::withdrawn(by, subject),
        };
        Ok(self.record_each(&subjects, message).await?)
    }

    /// Before the first thing is done with what came in.
    pub(super) async fn audit_received(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        if self.is_audited(delivery.id, "", Told::Received) {
            return Ok(());
        }
        for (calling, subject) in self.subjects_by_sender(delivery).await? {
            self.audit.record(Message::received(&calling, &delivery.destination, &subject)).await?;
        }
        self.set_audited(delivery.id, String::new(), Told::Received);
        Ok(())
    }

    /// Before the first byte goes to the mail server.
    pub(super) async fn audit_begin_export(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        if self.is_audited(delivery.id, "", Told::Begun) {
            return Ok(());
        }
        let recipients = self.journal.recipients(delivery.id).await?;
        let doctors: Vec<_> = recipients.into_iter().map(|recipient| recipient.doctor).collect();
        let subjects = self.subjects(delivery).await?;
        self.record_each(&subjects, |subject| Message::begin_export(&doctors, subject)).await?;
        self.set_audited(delivery.id, String::new(), Told::Begun);
        Ok(())
    }

    /// For each doctor for whom the mail server took everything, or will never take it.
    pub(super) async fn audit_exported(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        let mailbox =
            |doctor: &str| self.config.doctors.get(doctor).map_or("", |doctor| doctor.mailbox.as_str());
        self.audit_recipients(
            delivery,
            Told::Exported,
            |recipient| recipient.submitted || recipient.refused.is_some(),
            |recipient, subject| {
                Message::exported(
                    &recipient.doctor,
                    mailbox(&recipient.doctor),
                    subject,
                    !recipient.submitted,
                )
            },
        )
        .await
    }

    /// Before it counts that a channel took a notice.
    pub(super) async fn audit_notified(&self, due: &DueNotice) -> Result<(), Trouble> {
        let subjects = self.subjects(&self.journal.delivery(due.delivery).await?).await?;
        let message = |subject: &Subject| Message::notified(&due.doctor, &due.channel, subject);
        Ok(self.record_each(&subjects, message).await?)
    }

    /// Before it counts that a channel will not take it.
    pub(super) async fn audit_notice_refused(&self, due: &DueNotice) -> Result<(), Trouble> {
        let subjects = self.subjects(&self.journal.delivery(due.delivery).await?).await?;
        let message = |subject: &Subject| Message::notice_refused(&due.doctor, &due.channel, subject);
        Ok(self.record_each(&subjects, message).await?)
    }

    async fn audit_recipients(
        &self,
        delivery: &DeliveryRow,
        told: Told,
        concerned: impl Fn(&Recipient) -> bool,
        message: impl Fn(&Recipient, &Subject) -> Message,
    ) -> Result<(), Trouble> {
        let mut recipients = self.journal.recipients(delivery.id).await?;
        recipients.retain(|recipient| {
            concerned(recipient) && !self.is_audited(delivery.id, &recipient.doctor, told)
        });
        if recipients.is_empty() {
            return Ok(());
        }
        let subjects = self.subjects(delivery).await?;
        for recipient in recipients {
            self.record_each(&subjects, |subject| message(&recipient, subject)).await?;
            self.set_audited(delivery.id, recipient.doctor, told);
        }
        Ok(())
    }

    fn set_audited(&self, delivery: DeliveryId, doctor: String, told: Told) {
        self.audited.lock().unwrap_or_else(PoisonError::into_inner).insert((delivery, doctor, told));
    }

    fn is_audited(&self, delivery: DeliveryId, doctor: &str, told: Told) -> bool {
        let audited = self.audited.lock().unwrap_or_else(PoisonError::into_inner);
        audited.contains(&(delivery, doctor.to_owned(), told))
    }

    /// The delivery has nothing more to tell.
    pub(super) fn audit_forget(&self, delivery: DeliveryId) {
        let mut audited = self.audited.lock().unwrap_or_else(PoisonError::into_inner);
        audited.retain(|(told, ..)| *told != delivery);
    }

    /// Before a receipt counts.
    pub(super) async fn audit_pulled(&self, delivery: DeliveryId, doctor: &str) -> Result<(), Trouble> {
        let known = self.journal.recipients(delivery).await?;
        if known.iter().any(|recipient| recipient.doctor == doctor && recipient.pulled) {
            return Ok(());
        }
        let subjects = self.subjects(&self.journal.delivery(delivery).await?).await?;
        Ok(self.record_each(&subjects, |subject| Message::pulled(doctor, subject)).await?)
    }

    /// Before the receipt counts that the first image was shown.
    pub(super) async fn audit_shown(&self, delivery: DeliveryId, doctor: &str) -> Result<(), Trouble> {
        let subjects = self.subjects(&self.journal.delivery(delivery).await?).await?;
        Ok(self.record_each(&subjects, |subject| Message::first_image(doctor, subject)).await?)
    }

    /// Before a doctor's "seen" counts.
    pub(super) async fn audit_seen(&self, delivery: DeliveryId, doctor: &str) -> Result<(), Trouble> {
        let subjects = self.subjects(&self.journal.delivery(delivery).await?).await?;
        Ok(self.record_each(&subjects, |subject| Message::seen(doctor, subject)).await?)
    }

    /// Before a case counts as handed over by a doctor.
    pub(super) async fn audit_passed_on(&self, delivery: DeliveryId, doctor: &str) -> Result<(), Trouble> {
        let subjects = self.subjects(&self.journal.delivery(delivery).await?).await?;
        Ok(self
            .record_each(&subjects, |subject| Message::answered(doctor, "hands the case over", subject))
            .await?)
    }

    /// Before an answer counts: that there is one, never its words.
    pub(super) async fn audit_answered(
        &self,
        delivery: DeliveryId,
        doctor: &str,
        kind: AnswerKind,
    ) -> Result<(), Trouble> {
        if kind == AnswerKind::Unreadable {
            self.audit.alert(Message::receipt_refused(doctor, "an answer is no plain text"));
        }
        let subjects = self.subjects(&self.journal.delivery(delivery).await?).await?;
        let told = kind.told();
        Ok(self.record_each(&subjects, |subject| Message::answered(doctor, told, subject)).await?)
    }

    /// Before a reading counts, which ended at `ended_at` by the reader's clock, seconds since 1970-01-01 UTC.
    pub(super) async fn audit_read(
        &self,
        delivery: DeliveryId,
        doctor: &str,
        ended_at: i64,
        seconds: u32,
    ) -> Result<(), Trouble> {
        let subjects = self.subjects(&self.journal.delivery(delivery).await?).await?;
        let reading = Reading { ended_at, seconds };
        Ok(self.record_each(&subjects, |subject| Message::read(doctor, reading, subject)).await?)
    }

    /// A genuine receipt of somebody whom the delivery was not for.
    pub(super) fn alert_of_stranger(&self, doctor: &str) {
        self.audit
            .alert(Message::receipt_refused(doctor, "a receipt of a doctor whom the delivery was not for"));
    }

    /// Before a request for exact files is taken, if it is none that was taken before.
    pub(super) async fn audit_exact_asked(
        &self,
        base: DeliveryId,
        doctor: &str,
        asked_at: i64,
    ) -> Result<(), Trouble> {
        let recipients = self.journal.recipients(base).await?;
        let Some(asking) = recipients.iter().find(|recipient| recipient.doctor == doctor) else {
            let alert = "exact files are asked for by a doctor whom the delivery was not for";
            self.audit.alert(Message::receipt_refused(doctor, alert));
            return Ok(());
        };
        if asking.exact_asked_at.is_some_and(|before| before >= asked_at) {
            return Ok(());
        }
        let subjects = self.subjects(&self.journal.delivery(base).await?).await?;
        Ok(self.record_each(&subjects, |subject| Message::exact_asked(doctor, subject)).await?)
    }

    /// Before the spool gives a study back.
    pub(super) async fn audit_deleted(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        let subjects = self.subjects(delivery).await?;
        Ok(self.record_each(&subjects, Message::deleted).await?)
    }

    /// Before the journal forgets whose study an ended case was.
    pub(super) async fn audit_proved(&self, ended: &EndedCase, proof: &[u8]) -> Result<(), Trouble> {
        let mut told: Vec<Subject> = Vec::new();
        for delivery in &ended.deliveries {
            for subject in self.subjects(&self.journal.delivery(*delivery).await?).await? {
                // A supplement is of the same patient.
                if !told.iter().any(|known| known.banner == subject.banner) {
                    told.push(subject);
                }
            }
        }
        Ok(self.record_each(&told, |subject| Message::deletion_proved(proof, subject)).await?)
    }

    /// A record that may be an attack.
    pub(super) fn alert_of_record(&self, record: &Record, doctor: Option<&str>) {
        let doctor = doctor.unwrap_or("unknown");
        let refusal = match record.kind {
            // After a doctor's key was replaced, the receipts of the old one lie in the mailbox still.
            Kind::Refused(Refusal::Stranger) => return,
            Kind::Refused(_) => {
                return self.audit.alert(Message::receipt_refused(doctor, "a receipt is not genuine"));
            }
            Kind::Receipt(_) => {
                return self.audit.alert(Message::receipt_refused(doctor, "a receipt names another cover"));
            }
            Kind::Trouble(record::Trouble::Certificate) => ServerRefusal::Certificate,
            Kind::Trouble(record::Trouble::Tls | record::Trouble::ClientCertificate) => ServerRefusal::Tls,
            Kind::Trouble(record::Trouble::Login) => ServerRefusal::Login,
            _ => return,
        };
        self.alert_of(Server::Mailbox, &self.config.pulled.server.host, Some(refusal));
    }

    /// A mail server that is not to be trusted, or that does not let us in.
    pub(crate) fn alert_of_server(&self, error: &SubmitError) {
        let refusal = match error {
            SubmitError::Tls(error) => ServerRefusal::of(error),
            SubmitError::Login { .. } => Some(ServerRefusal::Login),
            _ => None,
        };
        self.alert_of(Server::Mail, &self.config.submit.host, refusal);
    }

    /// The same of a server that takes notices.
    pub(super) fn alert_of_notice(&self, channel: &str, error: &NoticeError) {
        let refusal = match error {
            NoticeError::Tls(error) => ServerRefusal::of(error),
            NoticeError::Login { .. } => Some(ServerRefusal::Login),
            _ => None,
        };
        self.alert_of(Server::Notice, &self.config.notice_host(channel), refusal);
    }

    fn alert_of(&self, server: Server, host: &str, refusal: Option<ServerRefusal>) {
        if let Some(refusal) = refusal {
            self.audit.alert(Message::server_refused(server, host, refusal));
        }
    }
}
