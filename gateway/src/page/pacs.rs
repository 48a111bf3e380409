//! Studies that lie at a PACS: looked for from the same box, sent by the same button.

use super::row::{Shown, date};
use super::search::Search;
use super::session::Person;
use super::words::{Words, fill};
use super::{Shared, clean};
use crate::query::{Asking, Found, FoundStudy, Limits, QueryError, StudyKeys, Timeouts};
use compressor::{Phi, Purpose};
use futures::future::join_all;
use maud::{Markup, html};
use std::time::Duration;
use time::Date;
use time::macros::format_description;

/// A person waits for it before the screen.
const LIMITS: Limits = Limits {
    answers_max: 50,
    timeouts: Timeouts { wait: Duration::from_secs(6), total: Duration::from_secs(10) },
};

/// The answers of every PACS that is configured. None is asked where studies could not wait here.
pub(super) async fn found(page: &Shared, person: &Person, search: &Search) -> Markup {
    let words = person.language.words();
    let keys = keys(search);
    if page.config.dicom.hold.is_none() || page.config.pacs.is_empty() || keys.is_empty() {
        return html! {};
    }
    let asked = page.config.pacs.iter().map(|(name, pacs)| {
        let keys = &keys;
        let asking = Asking { pacs, audit: &page.audit, by: Some(&person.name) };
        async move { (name.as_str(), ask(asking, keys).await) }
    });
    let answers = join_all(asked).await;
    html! { @for (name, answer) in &answers { (of_pacs(name, answer, words)) } }
}

async fn ask(asking: Asking<'_>, keys: &[StudyKeys]) -> Result<Found, QueryError> {
    let mut all = Found::default();
    for keys in keys {
        let found = asking.studies(keys, LIMITS).await?;
        all.truncated |= found.truncated;
        for study in found.studies {
            if all.studies.iter().all(|known| known.study != study.study) {
                all.studies.push(study);
            }
        }
    }
    let day = |study: &FoundStudy| study.banner.study_date.expose_for(Purpose::Compare).clone();
    all.studies.sort_by_key(|study| std::cmp::Reverse(day(study)));
    Ok(all)
}

/// A word with a digit is an id or an accession number, any other one a part of a name.
fn keys(search: &Search) -> Vec<StudyKeys> {
    let (words, day, modality) = search.parts();
    let day = day.and_then(|day| Date::parse(day, format_description!("[year]-[month]-[day]")).ok());
    let base =
        StudyKeys { from: day, to: day, modality: modality.map(str::to_owned), ..StudyKeys::default() };
    let text = |text: &str| Phi::new(text.to_owned());
    match words {
        None if day.is_none() && modality.is_none() => Vec::new(),
        None => vec![base],
        Some(words) if words.bytes().any(|byte| byte.is_ascii_digit()) => vec![
            StudyKeys { patient_id: text(words), ..base.clone() },
            StudyKeys { accession: text(words), ..base },
        ],
        Some(words) => {
            let parts: Vec<&str> = words.split_whitespace().collect();
            vec![StudyKeys { name: text(&format!("*{}*", parts.join("*"))), ..base }]
        }
    }
}

fn of_pacs(name: &str, answer: &Result<Found, QueryError>, words: &Words) -> Markup {
    html! {
        section .list aria-label=(fill(words.at_pacs, &[name])) {
            h2 { (fill(words.at_pacs, &[name])) }
            @match answer {
                Err(error) => p .notice .bad lang="en" { (error) },
                Ok(found) if found.studies.is_empty() => p .hint { (words.none_found) },
                Ok(found) => {
                    ul .pacs { @for study in &found.studies { (row(name, study, words)) } }
                    @if found.truncated { p .hint { (words.more_there) } }
                }
            }
        }
    }
}

fn row(pacs: &str, study: &FoundStudy, words: &Words) -> Markup {
    let shown = Shown::of(Some(&study.banner), words.no_name, words);
    let value = format!("{pacs}/{}", study.study.as_str());
    let show = |text: &Phi<String>| clean(text.expose_for(Purpose::Show));
    let count = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    html! {
        li .study .still .sendable data-name=(shown.name) data-id=(shown.id) {
            div .pick { input #{"r-" (value)} type="radio" name="study" value=(value); }
            label .patient for={"r-" (value)} {
                span .name { bdi { (shown.name) } }
                @for other in &shown.others { " " span .other { bdi { (other) } } }
                @if !shown.id.is_empty() { " " span .id { "ID " bdi { (shown.id) } } }
                " " span .born { (date(study.banner.birth_date.expose_for(Purpose::Show))) }
            }
            div .what {
                p .lead {
                    @for modality in &study.modalities { span .modality { (clean(modality)) } " " }
                    bdi { (show(&study.banner.study_description)) }
                }
                p .detail {
                    (date(study.banner.study_date.expose_for(Purpose::Show))) " "
                    (fill(words.counts, &[&count(study.instances_claimed), &count(study.series_claimed)]))
                }
            }
            div .way { p .words { span .sign aria-hidden="true" { "○" } span { (fill(words.at_pacs, &[pacs])) } } }
        }
    }
}
