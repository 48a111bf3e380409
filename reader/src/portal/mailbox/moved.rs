//! Pieces that a mail program or a filter has moved out of the watched folders: looked for when a phone asks for one that is not there.

use super::{Delivery, Watched};
use crate::portal::limits::{MOVED_KEPT, MOVED_MAX};
use seal::ids::DeliveryId;
use seal::mail::Part;
use seal::mailbox::{Found, MailboxError};
use std::collections::HashMap;
use std::time::Instant;
use tokio::sync::Mutex;

/// What was found of deliveries, and when. Whoever asks meanwhile waits for the same search.
#[derive(Default)]
pub(super) struct Moved(Mutex<HashMap<DeliveryId, (Instant, Vec<Found>)>>);

impl Watched {
    /// Adds pieces that lie in other folders than the first, which is watched all the time; none where those cannot be searched.
    ///
    /// # Errors
    /// [`MailboxError`] of the connection.
    pub(crate) async fn add_moved_pieces(&self, delivery: &mut Delivery) -> Result<(), MailboxError> {
        for found in self.moved_pieces(delivery.id).await? {
            if let Part::Piece(number) = found.id.part()
                && delivery.is_of(found.id.site())
            {
                delivery.pieces.entry(number).or_insert(found);
            }
        }
        Ok(())
    }

    /// One of them is no longer where it was.
    pub(crate) async fn forget_moved_pieces(&self, delivery: DeliveryId) {
        self.moved.0.lock().await.remove(&delivery);
    }

    async fn moved_pieces(&self, delivery: DeliveryId) -> Result<Vec<Found>, MailboxError> {
        let mut known = self.moved.0.lock().await;
        known.retain(|_, (at, _)| at.elapsed() < MOVED_KEPT);
        if let Some((_, found)) = known.get(&delivery) {
            return Ok(found.clone());
        }
        let mut lent = self.fetchers.lend().await?;
        let found = loop {
            let done = lent.mailbox()?.moved_pieces(delivery).await;
            match lent.settle(done).await {
                None => {}
                Some(Ok(found)) => break found,
                Some(Err(error @ (MailboxError::Lost { .. } | MailboxError::Tls(_)))) => return Err(error),
                Some(Err(error)) => {
                    tracing::warn!(
                        mailbox = self.name,
                        act = "operator",
                        "other folders of a mailbox cannot be searched for pieces that were moved: {error}"
                    );
                    break Vec::new();
                }
            }
        };
        if !found.is_empty() {
            tracing::info!(
                mailbox = self.name,
                %delivery,
                pieces = found.len(),
                "pieces were moved out of the watched folders and are read where they are (doctor: see to the filters of the mail program)"
            );
        }
        if known.len() < MOVED_MAX {
            known.insert(delivery, (Instant::now(), found.clone()));
        }
        Ok(found)
    }
}
