//! Hands what was done to the directory over to the audit trail, before a delivery is sealed by it.

use super::DirectoryError;
use crate::audit::{Audit, Message};
use crate::journal::Journal;
use std::time::Duration;
use tokio::sync::watch;

/// Pause between two looks for what an administrator did, at least.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks without a change: for what the trail could not take before.
const LOOK: Duration = Duration::from_secs(30);

/// Tells the trail every act that it does not have. After a crash one may be told twice.
///
/// # Errors
/// [`DirectoryError::Journal`], [`DirectoryError::Audit`].
pub(crate) async fn audit(journal: &Journal, trail: &Audit) -> Result<(), DirectoryError> {
    for act in journal.acts().await? {
        trail.record(Message::directory(&act)).await?;
        journal.act_told(act.number).await?;
    }
    Ok(())
}

/// [`audit`] after each change of the journal, which marks `changes`. Never ends.
pub(crate) async fn audit_all(journal: Journal, trail: Audit, mut changes: watch::Receiver<()>) {
    loop {
        changes.mark_unchanged();
        if let Err(error) = audit(&journal, &trail).await {
            tracing::warn!(%error, "what was done to the directory of doctors is not in the audit trail yet");
        }
        tokio::time::sleep(PAUSE).await;
        let _ = tokio::time::timeout(LOOK, changes.changed()).await;
    }
}
