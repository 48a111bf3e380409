//! Links for outside recipients: made when a press counts, shown once to who pressed, by the answer to a POST. Until then they are in memory alone.

use super::layout::{self, Place, hidden, notice};
use super::limits::{LINKS_KEPT_MS, LINKS_WAIT, UNSHOWN_MAX};
use super::row::Shown;
use super::session::{Person, Posted, wants_json};
use super::site::Site;
use super::words::{Words, fill};
use super::{Refused, Shared, assets};
use crate::clock::now_ms;
use crate::config;
use crate::journal::{JournalError, WaitingPress};
use crate::link::ShownLink;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use maud::{Markup, html};
use notifier::Language as Spoken;
use seal::ids::CaseId;
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pause between two looks whether a press counts by now.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/links", post(show))
}

/// What a press for outside recipients came to. Nothing of it is written down, and no log has it.
pub(super) struct Made {
    /// Login name of who pressed, to whom alone it is shown.
    pub(super) by: String,
    /// The case of which they are; none where none was begun.
    pub(super) case: Option<CaseId>,
    /// Names in the configuration of those whom a link was asked for.
    pub(super) outside: Vec<String>,
    /// One for each, or none: the study was sent before, or the journal kept none.
    pub(super) links: Vec<ShownLink>,
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) at_ms: i64,
}

/// What nobody has been shown yet.
#[derive(Default)]
pub(super) struct Unshown(Mutex<Vec<Made>>);

impl Unshown {
    pub(super) fn put(&self, made: Made) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= UNSHOWN_MAX {
            all.remove(0);
        }
        all.push(made);
    }

    /// All that is there for this person; it is gone from here.
    fn take(&self, by: &str) -> Vec<Made> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extract_if(.., |made| made.by == by).collect()
    }

    fn waits_for(&self, by: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|made| made.by == by)
    }

    /// Drops what nobody came for: a passphrase does not stay in memory. Says how many presses that was of.
    pub(super) fn forget_late(&self, now_ms: i64) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extract_if(.., |made| now_ms - made.at_ms > LINKS_KEPT_MS).count()
    }
}

/// The place on the list where links are shown, and a button where some wait for this person: of a press before the browser was closed, or the
/// gateway was started anew.
pub(super) fn place(page: &Shared, person: &Person) -> Markup {
    let words = person.language.words();
    html! {
        div #links .links data-path="/links" data-lost=(words.links_lost) {
            @if page.unshown.waits_for(&person.name) {
                form .handed method="post" action="/links" {
                    (hidden(&person.secret.csrf()))
                    p { (words.links_ready) }
                    button .main { (words.links_show) }
                }
            }
        }
        script src=(assets::links_script()) defer {}
    }
}

/// Waits for presses of this person that do not count yet, and shows what was made, never again.
async fn show(State(page): State<Shared>, headers: HeaderMap, posted: Posted) -> Result<Response, Refused> {
    let person = posted.person;
    if !person.role.may_send() {
        return Err(Refused::Role);
    }
    let words = person.language.words();
    let began = Instant::now();
    let (mut made, mut waits) = (Vec::new(), true);
    while made.is_empty() && waits && began.elapsed() < LINKS_WAIT {
        // In this order: a press ends to wait when what it made is here.
        waits = waits_for_one(&page, &person.name).await?;
        made = page.unshown.take(&person.name);
        if made.is_empty() && waits {
            tokio::time::sleep(LOOK).await;
        }
    }
    let mut shown = Vec::new();
    for one in &made {
        shown.push(section(&page, one, words).await?);
    }
    if wants_json(&headers) {
        let html: String = shown.into_iter().map(Markup::into_string).collect();
        return Ok(Json(json!({"html": html, "more": waits})).into_response());
    }
    let content = html! {
        div .sheet {
            h1 { (words.links) }
            div #links .links {
                @for one in &shown { (one) }
                @if shown.is_empty() { (notice(words.links_none, false)) }
            }
            p { a href="/" { (words.back) } }
        }
        script src=(assets::links_script()) defer {}
    };
    Ok(layout::page(&person, Place::Studies, words.links, &content).into_response())
}

async fn waits_for_one(page: &Shared, by: &str) -> Result<bool, JournalError> {
    let is_of =
        |press: &WaitingPress| press.by == by && press.doctors.iter().any(|one| page.config.is_outside(one));
    Ok(page.journal.waiting_presses().await?.iter().any(is_of))
}

/// What is shown of one press.
async fn section(page: &Shared, made: &Made, words: &Words) -> Result<Markup, Refused> {
    let site = page.site(now_ms());
    let study = match made.case {
        Some(case) => page.journal.study_of(case).await?,
        None => None,
    };
    let patient = Shown::of(study.and_then(|study| study.card).as_ref(), words.no_card_yet, words);
    let whose = format!("{} {}", patient.name, patient.id);
    let failed = made.outside.iter().filter(|one| made.links.iter().all(|link| link.doctor != **one));
    Ok(html! {
        @for link in &made.links {
            @let spoken = page.config.doctors.get(&link.doctor).map(|doctor| doctor.language).unwrap_or_default();
            (card(link, spoken, &whose, page.config.links.as_ref(), &site, words))
        }
        @for doctor in failed { (notice(&fill(words.link_failed, &[&site.doctor(doctor, words), &whose]), true)) }
    })
}

/// Address and passphrase, and what to do with each.
fn card(
    link: &ShownLink,
    spoken: Spoken,
    whose: &str,
    terms: Option<&config::Links>,
    site: &Site,
    words: &Words,
) -> Markup {
    let spoken = match spoken {
        Spoken::Japanese => "ja",
        Spoken::English => "en",
    };
    let uses = terms.map_or_else(String::new, |terms| terms.uses.to_string());
    html! {
        section .handed {
            h2 tabindex="-1" { (fill(words.link_of, &[&site.doctor(&link.doctor, words)])) " " bdi { (whose) } }
            p .notice { (words.link_once) }
            h3 { (words.link_address) }
            p { code { (link.url) } }
            p .hint { (words.link_address_hint) }
            h3 { (words.link_passphrase) }
            ol .spoken lang=(spoken) { @for word in link.passphrase.split(' ') { li { (word) } } }
            p .hint { (words.link_passphrase_hint) }
            p { (fill(words.link_until, &[&site.time(link.expires_at_ms), &uses])) }
            button type="button" data-told { (words.link_told) }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn made(by: &str, at_ms: i64) -> Made {
        Made { by: by.into(), case: None, outside: vec!["outside".into()], links: Vec::new(), at_ms }
    }

    #[test]
    fn each_is_given_once_to_who_pressed_and_not_kept_long() {
        let unshown = Unshown::default();
        unshown.put(made("sato", 1_000));
        unshown.put(made("suzuki", 2_000));
        assert!(unshown.take("tanaka").is_empty() && !unshown.waits_for("tanaka"));
        assert!(unshown.waits_for("sato"));
        assert_eq!(unshown.take("sato").len(), 1);
        assert!(unshown.take("sato").is_empty() && !unshown.waits_for("sato"));
        assert_eq!(unshown.forget_late(2_000 + LINKS_KEPT_MS), 0);
        assert_eq!(unshown.forget_late(2_001 + LINKS_KEPT_MS), 1);
        assert!(!unshown.waits_for("suzuki"));
        for at_ms in (0..).take(UNSHOWN_MAX + 1) {
            unshown.put(made("sato", at_ms));
        }
        let kept = unshown.take("sato");
        let oldest = kept.first().map(|made| made.at_ms);
        assert_eq!((kept.len(), oldest), (UNSHOWN_MAX, Some(1)), "the oldest has made room");
    }
}
