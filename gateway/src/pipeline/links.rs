//! Outside recipients: a press makes their links, a delivery is sealed for them, and its last mail is the link's statement.

use super::Pipeline;
use super::press::WishError;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::journal::{DeliveryRow, LinkRow, MadeLink, Press, PressAnswer};
use crate::link::{NewLink, ShownLink};
use ::seal::ids::DeliveryId;
use ::seal::native::Certificate;

const HOUR_MS: i64 = 3_600_000;

impl Pipeline {
    /// Takes the order to deliver a study. When this returns, it survives a power cut. A second press for the same study is answered with what
    /// the first one began. Where the delivery was begun, the link of each outside recipient that is named comes back, to be shown once.
    ///
    /// # Errors
    /// [`WishError`]; then nothing was begun, but where a link could not be kept.
    pub async fn press(&self, press: &Press) -> Result<(PressAnswer, Vec<ShownLink>), WishError> {
        self.check_press(press)?;
        let held_as = self.held_as(&press.study)?;
        let new = self.new_links(press).await?;
        let answer = self.journal.press(press, held_as).await?;
        let PressAnswer::Begun(delivery) = answer else { return Ok((answer, Vec::new())) };
        let shown = self.keep_links(delivery, press, &new).await;
        // Also where a link could not be kept: the others get theirs, and who was left out is named.
        tracing::info!(stage = "assemble", %delivery, urgent = press.urgent, "a person asked for this delivery");
        self.collector.begin(delivery);
        Ok((answer, shown?))
    }

    /// One for each outside recipient. What costs a second is done before the press is noted.
    async fn new_links(&self, press: &Press) -> Result<Vec<(String, NewLink)>, WishError> {
        let Some(links) = &self.config.links else { return Ok(Vec::new()) };
        let expires_at_ms = press.at_ms + i64::from(links.hours) * HOUR_MS;
        let mut new = Vec::new();
        for doctor in press.doctors.iter().filter(|doctor| self.config.is_outside(doctor)) {
            let language = self.config.doctors.get(doctor).map(|doctor| doctor.language).unwrap_or_default();
            let made = tokio::task::spawn_blocking(move || NewLink::make(language, expires_at_ms));
            new.push((doctor.clone(), made.await.map_err(Trouble::from)?.map_err(Trouble::from)?));
        }
        Ok(new)
    }

    async fn keep_links(
        &self,
        delivery: DeliveryId,
        press: &Press,
        new: &[(String, NewLink)],
    ) -> Result<Vec<ShownLink>, WishError> {
        let mut shown = Vec::new();
        let (Some(links), false) = (&self.config.links, new.is_empty()) else { return Ok(shown) };
        let case = self.journal.delivery(delivery).await?.case;
        for (doctor, link) in new {
            let statement = link.statement(case, links, &self.sealer.key);
            let row = LinkRow {
                id: link.id,
                doctor: doctor.clone(),
                certificate: link.certificate.clone(),
                message: Some(statement.map_err(Trouble::from)?),
                expires_at_ms: link.expires_at_ms,
            };
            let made = MadeLink { case, row: &row, by: &press.by, at_ms: press.at_ms };
            self.journal.add_link(made).await?;
            shown.push(link.shown(doctor, links));
        }
        Ok(shown)
    }

    /// Whom a delivery is sealed for in the guest mailbox of this name: none where a crash kept the link from being made, or its time is over.
    pub(super) async fn guests(
        &self,
        delivery: &DeliveryRow,
        doctor: &str,
    ) -> Result<Vec<Certificate>, Trouble> {
        let links = self.journal.links(delivery.case, now_ms()).await?;
        Ok(links.into_iter().filter(|link| link.doctor == doctor).map(|link| link.certificate).collect())
    }

    /// Mails the statements that were not mailed yet: the cover lies in the mailbox then.
    pub(super) async fn mail_links(&self, delivery: &DeliveryRow) -> Result<(), Trouble> {
        let recipients = self.journal.recipients(delivery.id).await?;
        for link in self.journal.links(delivery.case, now_ms()).await? {
            let took = recipients.iter().any(|one| one.doctor == link.doctor && one.submitted);
            let (Some(statement), true) = (&link.message, took) else { continue };
            self.submitter.link(link.id, statement, &link.doctor, &self.config).await?;
            self.journal.link_mailed(link.id, now_ms()).await?;
            tracing::info!(stage = "submit", delivery = %delivery.id, "a link for an outside recipient is in the guest mailbox");
        }
        Ok(())
    }
}
