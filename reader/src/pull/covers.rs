//! Finds covers and opens them: from here on a delivery is known to be genuine and ours (SPEC 5.3).

use super::error::PullError;
use super::session::{Session, is_of_message};
use crate::config::Keys;
use seal::cover::cover_bytes_max;
use seal::ids::DeliveryId;
use seal::limits::PIECES_MAX;
use seal::mailbox::{Found, MailboxError};
use seal::native::{Refusal, SealError, VerifiedCover, open_cover};
use std::collections::BTreeMap;

/// Covers by delivery. There can be several of one: a retry sent it twice, or somebody forged one with the same Message-ID.
pub(crate) fn by_delivery(covers: Vec<Found>) -> BTreeMap<DeliveryId, Vec<Found>> {
    let mut deliveries = BTreeMap::<_, Vec<_>>::new();
    for found in covers {
        deliveries.entry(found.id.delivery()).or_default().push(found);
    }
    deliveries
}

/// A cover that was opened, and its bytes before base64.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) verified: VerifiedCover,
    pub(crate) bytes: u64,
    /// Seconds that fetching and opening took.
    pub(crate) seconds: f64,
}

/// Fetches the candidates one after the other and opens the first that is genuine.
///
/// # Errors
/// [`PullError::Unavailable`] where none is genuine and one was no longer where it was found; else what is wrong with the first candidate, or the
/// mailbox's trouble.
pub(crate) async fn open(
    session: &mut Session,
    delivery: DeliveryId,
    candidates: &[Found],
    keys: &Keys,
) -> Result<Opened, PullError> {
    let (mut refused, mut moved) = (None, false);
    for found in candidates {
        match open_one(session, delivery, found, keys).await {
            Err(PullError::Refused(reason)) => _ = refused.get_or_insert(reason),
            Err(PullError::Mailbox(MailboxError::Gone)) => moved = true,
            opened => return opened,
        }
    }
    if moved {
        return Err(PullError::Unavailable("the cover was moved or deleted just now: pull again".into()));
    }
    Err(PullError::Refused(refused.unwrap_or_else(|| "the cover is no longer in the mailbox".into())))
}

async fn open_one(
    session: &mut Session,
    delivery: DeliveryId,
    found: &Found,
    keys: &Keys,
) -> Result<Opened, PullError> {
    let mut der = Vec::new();
    let bytes = match session.fetch(found, &mut der, cover_bytes_max(PIECES_MAX as usize) as u64).await {
        Err(error) if is_of_message(&error) && !matches!(error, MailboxError::Gone) => {
            return Err(PullError::Refused(format!("the cover: {error}")));
        }
        fetched => fetched?,
    };
    let verified = open_by_any(&der, keys)?;
    // A genuine cover under the Message-ID of another delivery would be a replay.
    if verified.cover.delivery != delivery {
        return Err(PullError::Refused(
            "the cover belongs to another delivery than its Message-ID says".into(),
        ));
    }
    Ok(Opened { verified, bytes, seconds: 0.0 })
}

/// By the key that it is addressed to: an older one opens what was sealed before the newer one was known to the site.
fn open_by_any(der: &[u8], keys: &Keys) -> Result<VerifiedCover, SealError> {
    let mut opened = Err(SealError::Refused(Refusal::NotForUs));
    for doctor in &keys.doctors {
        opened = open_cover(der, doctor, &keys.sites);
        if !matches!(opened, Err(SealError::Refused(Refusal::NotForUs))) {
            break;
        }
    }
    opened
}
