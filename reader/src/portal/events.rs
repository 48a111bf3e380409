//! Server-sent events: the mailbox changed; this session or device has ended.

use super::caller::{Doctor, SessionDigest, session};
use super::limits::SESSION_LOOK;
use super::{Here, Shared, now_ms};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use futures::Stream;
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use web::events::named;

/// A sign of life, so that a dead line is noticed.
const ALIVE: Duration = Duration::from_secs(15);

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/events", get(events))
}

struct Line {
    portal: Shared,
    digest: SessionDigest,
    changes: watch::Receiver<()>,
    is_over: bool,
}

#[derive(Deserialize)]
struct Since {
    /// The newest delivery that the app knows of.
    #[serde(default)]
    newest: Option<String>,
}

async fn events(
    State(portal): Here,
    doctor: Doctor,
    Query(since): Query<Since>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut changes = doctor.mailbox.changes();
    // What came between the app's look and this line, or while the line was broken.
    let newest =
        doctor.mailbox.contents().await.ok().and_then(|here| here.deliveries.first().map(|one| one.id));
    if since.newest.is_some_and(|known| newest.is_some_and(|newest| newest.to_string() != known)) {
        changes.mark_changed();
    }
    let line = Line { portal, digest: doctor.caller.digest, changes, is_over: false };
    let events = futures::stream::unfold(line, |mut line| async move {
        if line.is_over {
            return None;
        }
        let event = next(&mut line).await;
        Some((Ok(event), line))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE))
}

async fn next(line: &mut Line) -> Event {
    loop {
        let changed = tokio::time::timeout(SESSION_LOOK, line.changes.changed()).await;
        // While the state cannot be read the line stays as it is.
        if matches!(session(&line.portal.store, &line.digest, now_ms()).await, Ok(None)) {
            line.is_over = true;
            return named("gone");
        }
        if matches!(changed, Ok(Ok(()))) {
            return named("cases");
        }
    }
}
