//! The interface for programs: a PACS puts the button on its own screen. JSON over the page's listener, described by `/api/v1/openapi.json`;
//! each system has a token of its own.

mod answers;
mod caller;
pub mod command;
mod deliveries;
mod metrics;
mod problem;
mod studies;

use super::Shared;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use problem::Problem;

const DESCRIPTION: &str = include_str!("api/openapi.json");

pub(super) fn routes() -> Router<Shared> {
    let api = Router::new()
        .route("/openapi.json", get(description))
        .route("/doctors", get(studies::doctors))
        .route("/studies", get(studies::list))
        .route("/studies/search", post(studies::search))
        .route("/studies/{case}", get(studies::one))
        .route("/studies/{case}/key-images", put(studies::mark))
        .route("/studies/{case}/answers", get(answers::list))
        .route("/studies/{case}/withdraw", post(deliveries::withdraw))
        .route("/studies/{case}/close", post(deliveries::close))
        .route("/studies/{case}/heard", post(deliveries::heard))
        .route("/deliveries", post(deliveries::press))
        .route("/deliveries/{delivery}", get(deliveries::one))
        .route("/deliveries/{delivery}/choice", post(deliveries::choose))
        .route("/deliveries/{delivery}/retry", post(deliveries::retry))
        .route("/deliveries/{delivery}/notify", post(deliveries::notify))
        .fallback(async || Problem::MISSING)
        .method_not_allowed_fallback(async || Problem::METHOD);
    Router::new().nest("/api/v1", api).route("/metrics", get(metrics::metrics))
}

async fn description() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DESCRIPTION)
}
