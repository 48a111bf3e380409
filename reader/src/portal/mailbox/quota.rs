//! How full the mailbox is, asked beside the watching: whatever a server answers to that, what lies in the mailbox is shown.

use crate::portal::limits::QUOTA_PAUSE;
use seal::mailbox::Mailbox;
use std::time::Instant;

/// What is known of a mailbox's quota, over all connections.
#[derive(Default)]
pub(super) struct Quota {
    /// Percent, from where it is told of.
    full_percent: Option<u8>,
    /// Not asked before.
    not_before: Option<Instant>,
}

impl Quota {
    /// Percent of the mailbox that is full, where that is so much that a person is to be told.
    pub(super) fn full_percent(&self) -> Option<u8> {
        self.full_percent
    }

    /// Asks how full `folder` is. False where the connection is of no use any more.
    pub(super) async fn ask(&mut self, name: &str, mailbox: &mut Mailbox, folder: &str) -> bool {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return true;
        }
        self.not_before = None;
        match mailbox.fill(folder).await {
            Ok(Some(fill)) => {
                self.note(name, fill.is_nearly_full().then(|| fill.percent()));
                true
            }
            // A server that does not tell at the moment takes back nothing of what it said.
            Ok(None) => true,
            Err(error) => {
                self.not_before = Some(Instant::now() + QUOTA_PAUSE);
                tracing::warn!(
                    mailbox = name,
                    act = "operator",
                    "how full the mailbox is cannot be asked, and is not for an hour: {error}"
                );
                false
            }
        }
    }

    fn note(&mut self, name: &str, full_percent: Option<u8>) {
        match (self.full_percent, full_percent) {
            (None, Some(percent)) => tracing::warn!(
                mailbox = name,
                act = "operator",
                percent,
                "the mailbox is nearly full, new studies may not arrive: give it more room, or have the doctor delete what is not needed there"
            ),
            (Some(_), None) => tracing::info!(mailbox = name, "the mailbox has room again"),
            _ => {}
        }
        self.full_percent = full_percent;
    }
}
