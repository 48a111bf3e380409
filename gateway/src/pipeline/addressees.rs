//! Whom a delivery is sealed for, and what was made for them.

use super::Pipeline;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::config::{Doctor, Kind};
use crate::directory::{self, Authorities, NoKey};
use crate::journal::{DeliveryRow, Recipient};
use crate::seal::{Program, Sealed};
use ::seal::limits::RECIPIENTS_MAX;
use ::seal::native::{Certificate, SealedMessage, SealedPieces};

impl Pipeline {
    /// Every valid certificate of every doctor: of those who have our reader, and of those who have only a mail program. A doctor without one does
    /// not hold up the others: the journal and the log say so.
    pub(super) async fn addressees(
        &self,
        delivery: &DeliveryRow,
    ) -> Result<(Vec<Certificate>, Vec<Program>), Trouble> {
        directory::audit(&self.journal, &self.audit).await?;
        let (devices, authorities) =
            (self.journal.devices().await?, Authorities::read(&self.config.directory)?);
        let (mut readers, mut programs, mut without) = (Vec::new(), Vec::new(), Vec::new());
        for (number, doctor, table) in self.left(delivery).await? {
            let usable = match table.kind {
                Kind::Link => {
                    let guests = self.guests(delivery, &doctor).await?;
                    if guests.is_empty() { Err(NoKey::None) } else { Ok(guests) }
                }
                kind => {
                    let at = now_ms() / 1000;
                    let recipients = directory::sealed_for(&devices, &doctor, kind, authorities.as_ref(), at);
                    recipients.map(|all| all.into_iter().map(|one| one.certificate().clone()).collect())
                }
            };
            let certificates: Vec<_> = match usable {
                Ok(certificates) => certificates,
                Err(no_key) => {
                    without.push((no_key.words(&doctor, table.kind), doctor));
                    continue;
                }
            };
            match table.kind {
                Kind::Reader | Kind::Link => readers.extend(certificates),
                Kind::Smime => {
                    fit_into_one(certificates.len())?;
                    programs.push(Program { doctor, number, certificates, table: table.clone() });
                }
            }
        }
        if let (true, true, Some((words, _))) = (readers.is_empty(), programs.is_empty(), without.first()) {
            return Err(Trouble::nobody_to_seal_for(words));
        }
        fit_into_one(readers.len())?;
        for (words, doctor) in without {
            tracing::error!(stage = "seal", delivery = %delivery.id, "left out: {words}");
            self.journal.left_out(delivery.id, &doctor, &words).await?;
        }
        Ok((readers, programs))
    }

    /// What the stage *seal* made durable.
    pub(super) async fn sealed(&self, delivery: &DeliveryRow) -> Result<Sealed, Trouble> {
        let folder = self.spool.sealed(delivery.id);
        let mut sealed = Sealed { pieces: None, messages: Vec::new() };
        for (number, _, table) in self.left(delivery).await? {
            match table.kind {
                Kind::Reader | Kind::Link if sealed.pieces.is_some() => {}
                Kind::Reader | Kind::Link => {
                    let pieces = SealedPieces::reopen(&folder, delivery.id)?;
                    sealed.pieces = Some(pieces.ok_or_else(Trouble::sealed_pieces_gone)?);
                }
                Kind::Smime => {
                    let message = SealedMessage::reopen(&folder, delivery.id, number)?;
                    sealed.messages.push(message.ok_or_else(Trouble::sealed_pieces_gone)?);
                }
            }
        }
        Ok(sealed)
    }

    /// Doctors who are not refused for good, with their numbers in the delivery, from 1. Mail programs and guests get no residual, as they can ask for none.
    async fn left(&self, delivery: &DeliveryRow) -> Result<Vec<(u32, String, &Doctor)>, Trouble> {
        let mut left = Vec::new();
        let numbered = (1..).zip(self.journal.recipients(delivery.id).await?);
        for (number, Recipient { doctor, .. }) in numbered.filter(|(_, one)| one.refused.is_none()) {
            let table = self.config.doctors.get(&doctor);
            let table = table.ok_or_else(|| Trouble::doctor_not_configured(&doctor))?;
            if table.kind == Kind::Reader || delivery.residual_of.is_none() {
                left.push((number, doctor, table));
            }
        }
        Ok(left)
    }
}

fn fit_into_one(certificates: usize) -> Result<(), Trouble> {
    if certificates > RECIPIENTS_MAX { Err(Trouble::too_many_certificates(certificates)) } else { Ok(()) }
}
