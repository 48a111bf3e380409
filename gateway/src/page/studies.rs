//! The list of studies and the button.

use super::board::{Row, rows};
use super::layout::{self, Place, hidden};
use super::limits::ROWS_MAX;
use super::live;
use super::session::Person;
use super::words::Words;
use super::{Refused, Shared, clean, pacs};
use crate::clock::now_ms;
use crate::journal::{JournalError, Study, StudyFilter};
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use compressor::Purpose;
use compressor::limits::NOTE_BYTES_MAX;
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use std::sync::Arc;

/// Studies that a search looks through, the newest.
const SEARCHED_MAX: u32 = 5_000;
/// Modalities of PS3.3 C.7.3.1.1.1 that are offered.
const MODALITIES: [&str; 11] = ["CT", "MR", "CR", "DX", "US", "XA", "RF", "NM", "PT", "MG", "OT"];

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/", get(list)).route("/live", get(live::live))
}

/// What is looked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Search {
    /// In names, ids, accession numbers and descriptions.
    #[serde(default)]
    pub(super) q: String,
    /// Study date, as 2026-03-14.
    #[serde(default)]
    pub(super) date: String,
    /// Modality (0008,0060).
    #[serde(default)]
    pub(super) modality: String,
}

impl Search {
    pub(super) fn is_empty(&self) -> bool {
        self.q.trim().is_empty() && self.date.is_empty() && self.modality.is_empty()
    }

    /// At most so many, the newest first.
    pub(super) async fn studies(
        &self,
        page: &Shared,
        before_ms: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Study>, JournalError> {
        let modality = Some(self.modality.clone()).filter(|modality| !modality.is_empty());
        let mut studies =
            page.journal.studies(&StudyFilter { before_ms, modality, limit: SEARCHED_MAX }).await?;
        studies.retain(|study| self.matches(study));
        studies.truncate(limit as usize);
        Ok(studies)
    }

    /// Words, day and modality, as far as they are given.
    pub(super) fn parts(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        let given = |text: &'_ str| !text.is_empty();
        (
            Some(self.q.trim()).filter(|text| given(text)),
            Some(self.date.as_str()).filter(|text| given(text)),
            Some(self.modality.as_str()).filter(|text| given(text)),
        )
    }

    fn matches(&self, study: &Study) -> bool {
        let Some(card) = &study.card else { return false };
        let digits: String = self.date.chars().filter(char::is_ascii_digit).collect();
        if !digits.is_empty() && *card.study_date.expose_for(Purpose::Compare) != digits {
            return false;
        }
        let texts: Vec<String> = card.texts(Purpose::Compare).map(|(_, text)| folded(text)).collect();
        folded(&self.q).split_whitespace().all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

/// Small letters, and components of a name parted by a space.
fn folded(text: &str) -> String {
    text.replace(['^', '\u{3000}'], " ").to_lowercase()
}

/// Rows of the studies that are looked for.
pub(super) async fn found(page: &Shared, search: &Search) -> Result<Vec<Row>, Refused> {
    rows(page, &search.studies(page, None, ROWS_MAX).await?).await
}

async fn list(
    State(page): State<Shared>,
    person: Person,
    Query(search): Query<Search>,
) -> Result<Markup, Refused> {
    let words = person.language.words();
    let board =
        if search.is_empty() { page.board.borrow().clone() } else { Arc::new(found(&page, &search).await?) };
    let preselected = board.iter().find(|row| row.can_be_sent).map(|row| row.case.to_string());
    let content = html! {
        (search_form(&search, words))
        form #send .board method="post" action="/press" data-selected=[preselected] {
            (hidden(&person.secret.csrf()))
            section .list aria-label=(words.studies) {
                ul #studies { @for row in board.iter() { (PreEscaped(row.html(person.language))) } }
                p #none .none hidden[!board.is_empty()] { (if search.is_empty() { words.none_yet } else { words.none_found }) }
                (pacs::found(&page, &person, &search).await)
            }
            @if person.role.may_send() { (panel(&page, words).await?) }
        }
        form #acts method="post" { (hidden(&person.secret.csrf())) }
        p #said .said role="status" aria-live="polite" {}
        p #news .unseen role="status" aria-live="polite" {}
        p #line .line role="alert" hidden { (words.line_lost) }
    };
    Ok(layout::page(&person, Place::Studies, words.studies, &content))
}

fn search_form(search: &Search, words: &Words) -> Markup {
    html! {
        form .search role="search" method="get" action="/" {
            label .unseen for="q" { (words.search) }
            input #q type="search" name="q" value=(search.q) placeholder=(words.search_hint) autocomplete="off" maxlength="64" data-key="/";
            label .unseen for="date" { (words.study_date) }
            input #date type="date" name="date" value=(search.date);
            label .unseen for="modality" { (words.modality) }
            select #modality name="modality" {
                option value="" { (words.any_modality) }
                @for modality in MODALITIES { option value=(modality) selected[search.modality == modality] { (modality) } }
            }
            button { (words.search) }
            @if !search.is_empty() { a href="/" { (words.all_studies) } }
        }
    }
}

/// Destination and the button. In the order of the document it comes behind the list; the style puts it beside it.
async fn panel(page: &Shared, words: &Words) -> Result<Markup, Refused> {
    let site = page.site(now_ms());
    let on_duty = page.on_duty(now_ms()).await?;
    let order =
        |key: &str| on_duty.iter().find(|duty| duty.doctor == key).map_or(usize::MAX, |duty| duty.order);
    let mut doctors: Vec<_> = site.doctors().collect();
    doctors.sort_by_key(|(key, _)| order(key));
    let only = doctors.len() == 1;
    Ok(html! {
        section .panel aria-label=(words.transfer) {
            fieldset {
                legend { (words.to_whom) }
                @for (key, name) in &doctors {
                    @let order = order(key);
                    label .tick {
                        input type="checkbox" name="doctor" value=(key) checked[order == 0 || only] data-name=(site.doctor(key, words));
                        span { bdi { (clean(name)) } @if order == 0 { " " span .tag .duty { (words.on_duty) } } @else if order < usize::MAX { " " span .tag { (words.stands_behind) } } }
                    }
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
