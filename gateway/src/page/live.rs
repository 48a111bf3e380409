//! The live line of a screen: rows that changed, and their order, by server-sent events.

use super::board::{Board, Rows};
use super::search::{Asked, Search};
use super::session::{Person, session};
use super::studies::{away, found};
use super::words::Language;
use super::{Refused, Shared};
use crate::clock::now_ms;
use axum::extract::{Query, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use web::events::named;

/// A sign of life, so that a dead line is noticed.
const ALIVE: Duration = Duration::from_secs(15);
/// Pause between two looks for the results of a search, which are made for one screen alone.
const SEARCH_PAUSE: Duration = Duration::from_secs(2);

struct Line {
    page: Shared,
    person: Person,
    search: Search,
    board: watch::Receiver<Board>,
    sent: HashMap<String, [u8; 8]>,
    order: Vec<String>,
    /// A case that nobody has opened rings, on this page of the list or not.
    rings: bool,
    /// Doctors who are not reachable, with the words for it.
    away: BTreeMap<String, String>,
    is_first: bool,
}

pub(super) async fn live(
    State(page): State<Shared>,
    person: Person,
    Query(asked): Query<Asked>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refused> {
    let search = asked.open(&person.secret).ok_or(Refused::Missing)?;
    let board = page.board.subscribe();
    let line = Line {
        page,
        person,
        search,
        board,
        sent: HashMap::new(),
        order: Vec::new(),
        rings: false,
        away: BTreeMap::new(),
        is_first: true,
    };
    let events = futures::stream::unfold(line, |mut line| async move {
        let event = next(&mut line).await?;
        Some((Ok(event), line))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)))
}

/// The next event; none where the session has ended.
async fn next(line: &mut Line) -> Option<Event> {
    loop {
        if !line.is_first {
            // A screen looks for the end of its session even where nothing changes.
            let _ = tokio::time::timeout(ALIVE, line.board.changed()).await;
        }
        line.is_first = false;
        if session(&line.page, &line.person.secret, now_ms()).await.ok()?.is_none() {
            return Some(named("end"));
        }
        let Board { rows, rings, not_reachable } = line.board.borrow_and_update().clone();
        let away = away(&not_reachable, &line.page.site(now_ms()), line.person.language);
        let rows = if line.search.is_board() {
            rows
        } else {
            let rows = Arc::new(found(&line.page, &line.search).await.ok()?);
            tokio::time::sleep(SEARCH_PAUSE).await;
            rows
        };
        if let Some(data) = changed(line, &rows, rings, away) {
            return Some(Event::default().event("rows").data(data));
        }
    }
}

fn changed(line: &mut Line, rows: &Rows, rings: bool, away: BTreeMap<String, String>) -> Option<String> {
    let order: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let language: Language = line.person.language;
    let mut fresh = Map::new();
    for row in rows.iter().filter(|row| line.sent.get(&row.id) != Some(&row.digest)) {
        fresh.insert(row.id.clone(), Value::from(row.html(language)));
    }
    if fresh.is_empty() && order == line.order && rings == line.rings && away == line.away {
        return None;
    }
    line.sent = rows.iter().map(|row| (row.id.clone(), row.digest)).collect();
    (line.order, line.rings, line.away) = (order, rings, away);
    Some(json!({"order": line.order, "rows": fresh, "rings": line.rings, "away": line.away}).to_string())
}
