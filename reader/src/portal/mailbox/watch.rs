//! The connection that idles (RFC 2177): sees what comes and goes, and tells.

use super::contents::{Contents, CoverRead, Place, Seen, place};
use super::quota::Quota;
use super::{State, Watched};
use crate::service::{IDLE_WAIT, POLL_PAUSE, RETRY_PAUSE, RETRY_PAUSE_MAX};
use seal::ids::{DeliveryId, Digest, LinkId};
use seal::limits::{COVER_BYTES_BASE, COVER_BYTES_PER_PIECE, ENROLMENT_BYTES_MAX, PIECES_MAX};
use seal::mail::{MessageId, Part};
use seal::mailbox::{Found, Mailbox, MailboxError};
use seal::native::{Certificate, open_revocation};
use std::collections::HashSet;
use std::sync::Arc;

/// Largest cover (SPEC 5.3).
const COVER_DER_BYTES_MAX: u64 = (COVER_BYTES_BASE + COVER_BYTES_PER_PIECE * PIECES_MAX as usize) as u64;

/// What is told of a mailbox.
#[derive(Debug)]
pub(crate) enum Told {
    /// The deliveries that are there now and when their covers came, after every look that found a change.
    Here(Vec<(DeliveryId, i64)>),
    /// The messages of links that are there now, genuine or not, as often.
    Links(Vec<LinkId>),
    /// A site revoked the device with this identity.
    Revoked(Digest),
}

/// Who is told of each change before the mailbox shows it.
pub(crate) trait Hears: Sync {
    /// What happened in the mailbox of this name.
    fn hear(&self, mailbox: &str, told: Told) -> impl Future<Output = ()> + Send;
}

impl Watched {
    /// Watches until dropped.
    pub(crate) async fn watch(&self, sites: &[Certificate], told: &impl Hears) {
        let (mut pause, mut quota) = (RETRY_PAUSE, Quota::default());
        loop {
            let Err(error) = self.watch_once(sites, told, &mut pause, &mut quota).await;
            tracing::warn!(mailbox = self.name, act = "operator", "the mailbox cannot be read: {error}");
            let known = self.known();
            self.set(State::Down(!error.is_temporary(), known));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    async fn watch_once(
        &self,
        sites: &[Certificate],
        told: &impl Hears,
        pause: &mut std::time::Duration,
        quota: &mut Quota,
    ) -> Result<std::convert::Infallible, MailboxError> {
        let mut mailbox = Mailbox::connect(&self.login).await?;
        let (mut seen, mut revoked) = (Seen::default(), HashSet::new());
        loop {
            self.look(&mut mailbox, &mut seen).await?;
            for identity in revocations(&mut mailbox, &seen, sites, &mut revoked).await? {
                told.hear(&self.name, Told::Revoked(identity)).await;
            }
            self.show(&seen, quota, told).await;
            *pause = RETRY_PAUSE;
            // Only then: a server that is slow to say it keeps nobody from what is there.
            let before = quota.full_percent();
            if !quota.ask(&self.name, &mut mailbox, self.first_folder()).await {
                mailbox = Mailbox::connect(&self.login).await?;
                continue;
            }
            if quota.full_percent() != before {
                self.show(&seen, quota, told).await;
            }
            self.fetchers.sweep();
            // The first folder was looked at last, so it is the one that is open.
            match mailbox.idle(IDLE_WAIT).await {
                Ok(_) => {}
                Err(MailboxError::Refused { .. }) => tokio::time::sleep(POLL_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn look(&self, mailbox: &mut Mailbox, seen: &mut Seen) -> Result<(), MailboxError> {
        let covers = |seen: &Seen| {
            let covers = seen.ours().filter(|found| found.id.part() == Part::Cover);
            covers.map(place).collect::<HashSet<Place>>()
        };
        let before = covers(seen);
        self.look_through(mailbox, seen).await?;
        // One that was moved meanwhile to a folder that had been looked at is not gone.
        if self.login.folders.len() > 1 && !before.is_subset(&covers(seen)) {
            self.look_through(mailbox, seen).await?;
        }
        seen.trim();
        Ok(())
    }

    async fn look_through(&self, mailbox: &mut Mailbox, seen: &mut Seen) -> Result<(), MailboxError> {
        for (number, folder) in self.login.folders.iter().enumerate().rev() {
            let (uid_validity, uids) = match mailbox.uids(folder).await {
                Ok(listed) => listed,
                Err(MailboxError::NoFolder { .. }) if number > 0 => {
                    seen.forget(folder);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let fresh = seen.take(folder, uid_validity, &uids);
            if !fresh.is_empty() {
                let found = mailbox.identify(&fresh).await?;
                seen.identified(folder, &fresh, found);
            }
            self.read_covers(mailbox, seen, folder).await?;
        }
        Ok(())
    }

    /// Covers that are new; what was read before the connection was lost is not read again.
    async fn read_covers(
        &self,
        mailbox: &mut Mailbox,
        seen: &mut Seen,
        folder: &str,
    ) -> Result<(), MailboxError> {
        let known = self.known();
        let is_new = |found: &&Found| {
            found.folder == folder
                && found.id.part() == Part::Cover
                && !seen.covers.contains_key(&place(found))
        };
        // The newest first: beyond a number their bytes are not kept.
        let fresh: Vec<Found> = seen.ours().filter(is_new).cloned().collect();
        for found in fresh.iter().rev() {
            if let Some(read) = known.as_deref().and_then(|known| read_before(known, found)) {
                seen.covers.insert(place(found), read);
                continue;
            }
            let received_at = mailbox.received_at(found).await?;
            let mut der = Vec::new();
            match mailbox.fetch_body(found, &mut der, COVER_DER_BYTES_MAX).await {
                Ok(_) => {}
                // Deleted meanwhile, or nothing that a browser could open: it is listed when it is there whole.
                Err(MailboxError::Gone | MailboxError::NotBase64 | MailboxError::TooLarge { .. }) => continue,
                Err(error) => return Err(error),
            }
            seen.covers.insert(place(found), CoverRead { received_at, der: der.into() });
        }
        Ok(())
    }

    async fn show(&self, seen: &Seen, quota: &Quota, told: &impl Hears) {
        let contents = Contents { full_percent: quota.full_percent(), ..seen.contents(self.first_folder()) };
        let is_same = matches!(
            &*self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner),
            State::Here(known) if known.is_same(&contents)
        );
        if !is_same {
            let here = contents
                .deliveries
                .iter()
                .map(|delivery| (delivery.id, delivery.cover.received_at))
                .collect();
            told.hear(&self.name, Told::Here(here)).await;
            let links = contents.others.iter().filter(|found| found.id.part() == Part::Link);
            let links = links.map(|found| LinkId(found.id.delivery().0)).collect();
            told.hear(&self.name, Told::Links(links)).await;
            self.set(State::Here(Arc::new(contents)));
        }
    }
}

impl Contents {
    fn is_same(&self, other: &Self) -> bool {
        let messages = |contents: &Self| {
            let deliveries = contents.deliveries.iter();
            let ours = deliveries.flat_map(|delivery| {
                let covers = delivery.covers().map(|cover| &cover.at);
                covers.chain(delivery.pieces.values()).cloned().collect::<Vec<_>>()
            });
            ours.chain(contents.others.iter().cloned()).collect::<Vec<Found>>()
        };
        (self.uid_validity, self.full_percent) == (other.uid_validity, other.full_percent)
            && messages(self) == messages(other)
    }
}

fn read_before(known: &Contents, found: &Found) -> Option<CoverRead> {
    let cover = known.delivery(found.id.delivery())?.covers().find(|cover| cover.at == *found)?;
    Some(CoverRead { received_at: cover.received_at, der: cover.der.clone()? })
}

/// Identities that a pinned site has revoked, each once for a connection.
async fn revocations(
    mailbox: &mut Mailbox,
    seen: &Seen,
    sites: &[Certificate],
    known: &mut HashSet<MessageId>,
) -> Result<Vec<Digest>, MailboxError> {
    let is_new = |found: &&Found| found.id.part() == Part::Revoked && !known.contains(&found.id);
    let fresh: Vec<Found> = seen.ours().filter(is_new).cloned().collect();
    let mut revoked = Vec::new();
    for found in fresh {
        let mut body = Vec::new();
        match mailbox.fetch_body(&found, &mut body, ENROLMENT_BYTES_MAX as u64).await {
            Ok(_) => {}
            Err(MailboxError::Gone | MailboxError::NotBase64 | MailboxError::TooLarge { .. }) => continue,
            Err(error) => return Err(error),
        }
        match open_revocation(&body, sites) {
            Ok(revocation) => revoked.push(revocation.identity),
            Err(error) => tracing::warn!(
                act = "operator",
                "a revocation in a mailbox is not believed: {error} (name the site's certificate in portal.sites)"
            ),
        }
        known.insert(found.id);
    }
    Ok(revoked)
}
