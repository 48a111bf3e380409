//! What the reader's services share: how a mailbox is watched, and when they end.

use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// One IDLE; after it folders other than the first are looked at too (RFC 2177 asks for less than 29 min).
pub(crate) const IDLE_WAIT: Duration = Duration::from_secs(60);
/// Pause between two looks at a server without IDLE.
pub(crate) const POLL_PAUSE: Duration = Duration::from_secs(3);
/// First pause after a mailbox could not be read, doubled each time.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Waits for SIGTERM or SIGINT.
pub async fn asked_to_end() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}
