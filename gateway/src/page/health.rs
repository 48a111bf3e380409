//! `/healthz` and `/readyz`, for who starts and watches processes: constant words, no sign-in, no data.

use super::Shared;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/healthz", get(async || "alive\n")).route("/readyz", get(ready))
}

/// Whether a study that is sent now would be taken: the journal answers, no write has failed, there is room, and the audit trail is written. Both
/// DICOM ports are open before the page is, and the process ends with their listener.
async fn ready(State(page): State<Shared>) -> impl IntoResponse {
    let is_ready =
        page.pipeline.collector.takes() && page.audit.is_written() && page.journal.ringing().await.is_ok();
    if is_ready { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}
