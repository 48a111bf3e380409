//! Server-sent events (HTML 9.2).

use axum::response::sse::Event;

/// An event that says all by its name. A browser dispatches none without data (HTML 9.2.6), and `Event::data` writes none for an empty text.
pub fn named(name: &str) -> Event {
    Event::default().event(name).data("now")
}
