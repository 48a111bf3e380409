//! The list of studies and the button.

use super::board::{Row, rows};
use super::layout::{self, Place, hidden};
use super::limits::ROWS_MAX;
use super::live;
use super::search::{Asked, CHARS_MAX, Search};
use super::session::{Person, Posted};
use super::site::Site;
use super::words::{Language, Words, fill};
use super::{Refused, Shared, clean, links, pacs};
use crate::clock::now_ms;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use compressor::limits::NOTE_BYTES_MAX;
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Modalities of PS3.3 C.7.3.1.1.1 that are offered.
const MODALITIES: [&str; 11] = ["CT", "MR", "CR", "DX", "US", "XA", "RF", "NM", "PT", "MG", "OT"];

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/", get(list)).route("/live", get(live::live)).route("/search", post(look))
}

/// Rows of the studies that are looked for.
pub(super) async fn found(page: &Shared, search: &Search) -> Result<Vec<Row>, Refused> {
    rows(page, &search.studies(page, ROWS_MAX).await?).await
}

async fn list(
    State(page): State<Shared>,
    person: Person,
    Query(asked): Query<Asked>,
) -> Result<Response, Refused> {
    // What an earlier session looked for is nobody's any more.
    let Some(search) = asked.open(&person.secret) else { return Ok(Redirect::to("/").into_response()) };
    let words = person.language.words();
    let board = if search.is_board() {
        page.board.borrow().rows.clone()
    } else {
        Arc::new(found(&page, &search).await?)
    };
    let preselected = board.iter().find(|row| row.can_be_sent).map(|row| row.id.clone());
    let content = html! {
        (search_form(&search, &person, words))
        @if person.role.may_send() { (links::place(&page, &person)) }
        form #send .board method="post" action="/press" data-selected=[preselected] {
            (hidden(&person.secret.csrf()))
            section .list aria-label=(words.studies) {
                ul #studies { @for row in board.iter() { (PreEscaped(row.html(person.language))) } }
                p #none .none hidden[!board.is_empty()] { (if search.is_empty() { words.none_yet } else { words.none_found }) }
                (further(&asked, &board, words))
                @if search.after.is_none() { (pacs::found(&page, &person, &search).await) }
            }
            @if person.role.may_send() { (panel(&page, person.language).await?) }
        }
        form #older method="get" action="/" {}
        form #acts method="post" { (hidden(&person.secret.csrf())) }
        p #said .said role="status" aria-live="polite" {}
        p #news .unseen role="status" aria-live="polite" {}
        p #line .line role="alert" hidden { (words.line_lost) }
    };
    Ok(layout::page(&person, Place::Studies, words.studies, &content).into_response())
}

async fn look(Posted { person, fields }: Posted) -> Result<Redirect, Refused> {
    let search = Search::of(fields.one("q"), fields.one("date"), fields.one("modality"));
    if search.is_empty() {
        return Ok(Redirect::to("/"));
    }
    Ok(Redirect::to(&format!("/?search={}", search.seal(&person.secret)?)))
}

/// To what stands behind the last row. The script keeps it right while studies come.
fn further(asked: &Asked, board: &[Row], words: &Words) -> Markup {
    let after = board.last().map(|row| row.id.as_str()).unwrap_or_default();
    html! {
        button #further .quiet form="older" name="after" value=(after) data-rows=(ROWS_MAX) hidden[board.len() < ROWS_MAX as usize] { (words.older_studies) }
        @if !asked.search.is_empty() { input type="hidden" form="older" name="search" value=(asked.search); }
    }
}

fn search_form(search: &Search, person: &Person, words: &Words) -> Markup {
    html! {
        form .search role="search" method="post" action="/search" {
            (hidden(&person.secret.csrf()))
            label .unseen for="q" { (words.search) }
            input #q type="search" name="q" value=(search.q) placeholder=(words.search_hint) autocomplete="off" maxlength=(CHARS_MAX) data-key="/";
            label .unseen for="date" { (words.study_date) }
            input #date type="date" name="date" value=(search.date);
            label .unseen for="modality" { (words.modality) }
            select #modality name="modality" {
                option value="" { (words.any_modality) }
                @for modality in MODALITIES { option value=(modality) selected[search.modality == modality] { (modality) } }
            }
            button { (words.search) }
            @if !search.is_board() { a href="/" { (words.all_studies) } }
        }
    }
}

/// What stands beside a doctor who is not reachable.
pub(super) fn away(
    not_reachable: &BTreeMap<String, i64>,
    site: &Site,
    language: Language,
) -> BTreeMap<String, String> {
    let since = |since_ms: &i64| fill(language.words().not_reachable, &[&site.time(*since_ms)]);
    not_reachable.iter().map(|(doctor, since_ms)| (doctor.clone(), since(since_ms))).collect()
}

/// Destination and the button. In the order of the document it comes behind the list; the style puts it beside it.
async fn panel(page: &Shared, language: Language) -> Result<Markup, Refused> {
    let words = language.words();
    let site = page.site(now_ms());
    let on_duty = page.on_duty(now_ms()).await?;
    let order =
        |key: &str| on_duty.iter().find(|duty| duty.doctor == key).map_or(usize::MAX, |duty| duty.order);
    let mut doctors: Vec<_> = site.doctors().collect();
    doctors.sort_by_key(|(key, _)| order(key));
    let only = doctors.len() == 1;
    let away = away(&page.not_reachable().await?, &site, language);
    let mut outside = site.outside().peekable();
    Ok(html! {
        section .panel aria-label=(words.transfer) {
            fieldset {
                legend { (words.to_whom) }
                @for (key, name) in &doctors {
                    @let order = order(key);
                    label .tick {
                        input type="checkbox" name="doctor" value=(key) checked[order == 0 || only] data-name=(site.doctor(key, words));
                        span { bdi { (clean(name)) } @if order == 0 { " " span .tag .duty { (words.on_duty) } } @else if order < usize::MAX { " " span .tag { (words.stands_behind) } }
                            " " span .tag .away data-away=(key) hidden[!away.contains_key(*key)] { @if let Some(words) = away.get(*key) { (words) } }
                            @if let Some(until_ms) = site.quiet_until_ms(key, site.now_ms()) { " " span .tag { (fill(words.quiet_until, &[&site.time(until_ms)])) } } }
                    }
                }
            }
            @if outside.peek().is_some() {
                fieldset .outside aria-describedby="outside-hint" {
                    legend { (words.outside) }
                    @for (key, name) in outside {
                        label .tick {
                            input type="checkbox" name="doctor" value=(key) autocomplete="off" data-name=(site.doctor(key, words));
                            span { bdi { (clean(name)) } }
                        }
                    }
                    p #outside-hint .hint { (words.outside_hint) }
                }
            }
            label .tick { input type="checkbox" name="urgent"; (words.urgent) }
            label .note { (words.note) textarea name="note" rows="2" maxlength=(NOTE_BYTES_MAX / 4) {} }
            button #transfer .main .transfer data-none=(words.choose_study) data-nobody=(words.choose_doctor) data-comma=(words.comma) {
                span .verb { (words.transfer) " " kbd aria-hidden="true" { "Enter" } }
                span #whom .whom {}
            }
            p .hint { (words.undo_hint) }
        }
    })
}
