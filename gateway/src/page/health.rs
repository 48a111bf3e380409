//! `/healthz` and `/readyz`, for who starts and watches processes: constant words, no sign-in, no data.

use super::Shared;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Anybody may ask, and the journal has other work.
const KEPT: Duration = Duration::from_secs(1);

/// Whether the journal answered when it was asked last, for all who look within [`KEPT`].
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<(Instant, bool)>>);

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/healthz", get(async || "alive\n")).route("/readyz", get(ready))
}

/// Whether a study that is sent now would be taken: the gateway is not being stopped, the journal answers, no write has failed, there is room, and
/// the audit trail is written. Both DICOM ports are open before the page is, and the process ends with their listener.
async fn ready(State(page): State<Shared>) -> impl IntoResponse {
    let is_ready = page.takes() && page.audit.is_written() && journal_answers(&page).await;
    if is_ready { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn journal_answers(page: &Shared) -> bool {
    let mut kept = page.health.0.lock().await;
    match *kept {
        Some((asked_at, answers)) if asked_at.elapsed() < KEPT => answers,
        _ => {
            let answers = page.journal.is_readable().await;
            *kept = Some((Instant::now(), answers));
            answers
        }
    }
}
