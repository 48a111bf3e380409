//! Fetches the instances of a study that are missing: by C-GET on one association, by C-MOVE to our own listener (PS3.4 C.4.2, C.4.3), or by
//! WADO-RS (PS3.18 10.4).
//!
//! What comes on a connection of ours goes the same durable way as what a PACS sends by itself: file, folder, journal, and only then
//! success. What was not asked for is refused, since it may be another patient's. Numbers that the PACS tells are reported and never
//! believed: whoever fetches compares UIDs afterwards.

pub mod command;
mod contexts;
mod conversation;
mod error;
mod missing;
pub(crate) mod only_asked;

pub use error::RetrieveError;
pub use missing::Missing;

use crate::audit::{Audit, Message, RetrievalNodes, Server};
use crate::config::Pacs;
use crate::dicomweb;
use crate::query::QueryError;
use crate::receive::{AeTitle, Intake};
use compressor::Uid;
use conversation::Conversation;
use dimse::status;
use seal::ids::CaseId;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// `[pacs.NAME] retrieve`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// C-GET: the instances come on our own association.
    #[default]
    Get,
    /// C-MOVE: the PACS calls our listener by an AE title that it must know.
    Move,
    /// WADO-RS, the second way; the PACS is asked by QIDO-RS then.
    Dicomweb,
    /// Not at all.
    None,
}

/// What to fetch, and for whom.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// From where.
    pub pacs: &'a Pacs,
    /// The study.
    pub study: &'a Uid,
    /// What of it.
    pub missing: &'a Missing,
    /// AE title under which it is received: that of a destination, or the one that holds studies for a press.
    pub called: &'a AeTitle,
    /// The case that it is for, where there is one: what comes on our own connection goes to no other, such as one that would begin once it was withdrawn.
    pub case: Option<CaseId>,
    /// The person who asked for it, for the audit trail; none where the gateway itself did.
    pub by: Option<&'a str>,
}

/// Where a retrieval stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Instances that are durable. With C-MOVE they come to the listener, and none is counted here.
    pub stored: u64,
    /// Instances that the PACS says it still has to send, if it says so.
    pub remaining: Option<u16>,
    /// Instances that the PACS says it has sent, if it says so.
    pub completed: Option<u16>,
}

/// How a retrieval ended. All but `stored` and `not_asked_for` are claims of the PACS, added up over its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Sub-operations done.
    pub completed: u32,
    /// Sub-operations that failed.
    pub failed: u32,
    /// Sub-operations done with a warning.
    pub warning: u32,
    /// Sub-operations left undone.
    pub remaining: u32,
    /// The last status (0000,0900) that was no success, else success.
    pub status: u16,
    /// Instances that are durable; 0 with C-MOVE.
    pub stored: u64,
    /// Objects that were refused because they were not asked for.
    pub not_asked_for: u64,
}

impl Fetched {
    /// Whether the PACS claims that nothing went wrong.
    pub fn is_success(&self) -> bool {
        self.status == status::SUCCESS && self.failed == 0
    }

    /// Whether asking again brings nothing more: nothing went wrong, but for objects that we refused because they were not asked for.
    pub fn is_all_that_we_take(&self) -> bool {
        self.is_success() || self.not_asked_for > 0 && u64::from(self.failed) <= self.not_asked_for
    }
}

/// Fetches what is missing. Dropped before it returns, it tells the PACS to stop (C-CANCEL), waits a little, and aborts.
///
/// `folder` is where the listener keeps what it receives. With C-MOVE the instances come to the listener, which must know `called`.
///
/// # Errors
/// [`RetrieveError`]; what was stored until then stays.
pub async fn fetch<I: Intake>(
    order: Order<'_>,
    intake: Arc<I>,
    folder: &Path,
    audit: &Audit,
    progress: watch::Sender<Progress>,
) -> Result<Fetched, RetrieveError> {
    let Order { pacs, study, called, by, .. } = order;
    if pacs.retrieve == How::None {
        return Err(RetrieveError::Off);
    }
    let host = pacs.host_and_port().map_or("", |(host, _)| host);
    let nodes = RetrievalNodes { pacs: pacs.retrieve_ae_title(), host, called: called.as_str(), by };
    audit.record(Message::begin_retrieving(nodes, study)).await.map_err(QueryError::Audit)?;
    let fetched = fetch_unaudited(order, intake, folder, progress).await;
    if let Err(RetrieveError::Pacs(error)) = &fetched
        && let Some(refusal) = error.refusal()
    {
        audit.alert(Message::server_refused(Server::Pacs, host, refusal));
    }
    let complete = fetched.as_ref().is_ok_and(Fetched::is_success);
    let failure = match &fetched {
        Err(error) => Some(error.to_string()),
        Ok(_) if complete => None,
        Ok(fetched) => {
            Some(format!("the PACS reports status {:04X}, {} failed", fetched.status, fetched.failed))
        }
    };
    audit.record(Message::retrieved(nodes, study, failure)).await.map_err(QueryError::Audit)?;
    fetched
}

/// Without the audit trail.
async fn fetch_unaudited<I: Intake>(
    order: Order<'_>,
    intake: Arc<I>,
    folder: &Path,
    progress: watch::Sender<Progress>,
) -> Result<Fetched, RetrieveError> {
    if order.pacs.retrieve == How::Dicomweb {
        let web = order.pacs.dicomweb.as_ref().ok_or(QueryError::Configuration)?;
        return dicomweb::fetch(web, order, intake, folder, progress).await;
    }
    // Dropped with this future: then the conversation is told to stop.
    let (_running, cancelled) = watch::channel(());
    let conversation = Conversation::begin(order, intake, folder, progress, cancelled).await?;
    tokio::task::spawn_blocking(|| conversation.run()).await.map_err(|_| RetrieveError::Defect)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_at_the_pacs_or_with_us_may_come_another_time() {
        let failed = |failed, not_asked_for| Fetched {
            failed,
            not_asked_for,
            status: status::SUBOPERATIONS_FAILED,
            ..Fetched::default()
        };
        assert!(Fetched::default().is_all_that_we_take(), "a clean success");
        assert!(failed(1, 1).is_all_that_we_take(), "we refused it ourselves");
        // WADO-RS counts none of what the server could not give.
        for fetched in [failed(1, 0), failed(2, 1), failed(0, 0)] {
            assert!(!fetched.is_all_that_we_take(), "{fetched:?}");
        }
    }
}
