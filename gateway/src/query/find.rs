//! C-FIND requests on an association, one after the other (PS3.4 C.4.1).

use super::answers::{Answers, Told};
use super::association::associate;
use super::{QueryError, Root};
use crate::config::Pacs;
use crate::receive::limits::CANCEL_WAIT;
use dicom_ul::pdu::PresentationContextProposed;
use dimse::fragments::{Messages, Pdvs};
use dimse::{Association, command, field, status, uid};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The one presentation context that is proposed (PS3.8 9.3.2.2: odd).
const CONTEXT: u8 = 1;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its last answer.
    All,
    /// We had enough, and the PACS stopped.
    Cancelled,
    /// We had enough, and the PACS goes on: nothing more can be asked on this association.
    Unheeded,
}

/// An association for queries.
pub(super) struct Finder {
    association: Association,
    sop_class: &'static str,
    message_id: u16,
}

impl Finder {
    /// Connects; each step may take `wait`.
    pub(super) async fn connect(pacs: &Pacs, root: Root, wait: Duration) -> Result<Self, QueryError> {
        let sop_class = root.find_class();
        let context = PresentationContextProposed {
            id: CONTEXT,
            abstract_syntax: sop_class.to_owned(),
            transfer_syntaxes: vec![uid::IMPLICIT_LITTLE.to_owned()],
        };
        let association = associate(pacs, &pacs.ae_title, vec![context], Vec::new(), wait).await?;
        if !association.accepted().contains_key(&CONTEXT) {
            association.release().await;
            return Err(QueryError::NotOffered(root.words()));
        }
        Ok(Self { association, sop_class, message_id: 0 })
    }

    /// Asks, and hands each identifier to `take`, of which an error ends it all; at most `answers_max` of them.
    pub(super) async fn find(
        &mut self,
        identifier: &[u8],
        answers_max: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), &'static str>,
    ) -> Result<End, QueryError> {
        self.message_id += 1;
        let request = command::request(field::C_FIND_RQ, self.sop_class, self.message_id, None);
        self.association.send_command(CONTEXT, &request).await?;
        self.association.send_identifier(CONTEXT, identifier).await?;
        let (mut messages, mut answers) = (Messages::default(), Answers::new(CONTEXT, self.message_id));
        let (mut taken, mut cancelled) = (0, None);
        loop {
            let body = match cancelled {
                None => self.association.receive().await?,
                Some(until) => match timeout_at(until, self.association.receive()).await {
                    Ok(body) if Instant::now() < until => body?,
                    _ => return Ok(End::Unheeded),
                },
            };
            for pdv in Pdvs(&body) {
                match answers.take(messages.take(pdv?)?)? {
                    Told::Over { .. } if cancelled.is_some() => return Ok(End::Cancelled),
                    Told::Over { cancelled: true } => {
                        return Err(QueryError::Failed { status: status::CANCELLED });
                    }
                    Told::Over { cancelled: false } => return Ok(End::All),
                    Told::Match(identifier) if taken < answers_max => {
                        take(&identifier).map_err(QueryError::Malformed)?;
                        taken += 1;
                    }
                    Told::Match(_) if cancelled.is_none() => {
                        cancelled = Some(Instant::now() + CANCEL_WAIT);
                        let cancel = command::cancel_request(self.message_id);
                        self.association.send_command(CONTEXT, &cancel).await?;
                    }
                    Told::Match(_) | Told::Nothing => {}
                }
            }
        }
    }

    /// Ends in order after everything was answered.
    pub(super) async fn release(self) {
        self.association.release().await;
    }

    /// Ends at once.
    pub(super) async fn abort(self) {
        self.association.abort().await;
    }
}
