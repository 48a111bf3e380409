//! The button and what can be wished for afterwards. A press waits here, not in the browser, as long as it can be taken back.

use super::limits::UNDO_MS;
use super::links::Made;
use super::row::Wish;
use super::session::{Person, Posted, wants_json};
use super::words::{Words, fill};
use super::{Refused, Shared, clean};
use crate::clock::now_ms;
use crate::journal::{Choice, Press, PressAnswer, PressedStudy, WaitingPress};
use crate::link::ShownLink;
use crate::pipeline::WishError;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::post;
use compressor::bundle::Note;
use compressor::{Phi, Uid};
use seal::ids::{CaseId, DeliveryId};
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;

/// Least pause between two looks for presses that count now.
const LOOK: Duration = Duration::from_millis(100);
/// Longest pause, where none waits and nothing changes.
const LOOK_WITHOUT: Duration = Duration::from_secs(5);

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/press", post(press))
        .route("/presses/{id}/undo", post(undo))
        .route("/studies/{case}/{wish}", post(wish))
}

/// What is said to who pressed; not done where it is bad.
struct Answer {
    text: String,
    is_bad: bool,
    /// How long it holds, in milliseconds; some seconds where absent.
    for_ms: Option<i64>,
    /// The press that can still be taken back, and the word for it.
    undo: Option<(i64, &'static str)>,
    /// Links of outside recipients will be there, to be asked for.
    links: bool,
}

fn good(text: String) -> Answer {
    Answer { text, is_bad: false, for_ms: None, undo: None, links: false }
}

fn bad(text: String) -> Answer {
    Answer { text, is_bad: true, for_ms: None, undo: None, links: false }
}

impl Answer {
    /// Our script shows it where it is; without the script the list shows what became of it.
    fn to(self, headers: &HeaderMap) -> Response {
        if wants_json(headers) {
            let undo = self
                .undo
                .map(|(press, label)| json!({"path": format!("/presses/{press}/undo"), "label": label}));
            let answer = json!({"said": self.text, "bad": self.is_bad, "for_ms": self.for_ms, "undo": undo, "links": self.links});
            return Json(answer).into_response();
        }
        Redirect::to("/").into_response()
    }
}

async fn press(State(page): State<Shared>, headers: HeaderMap, posted: Posted) -> Result<Response, Refused> {
    let Posted { person, fields } = posted;
    if !person.role.may_send() {
        return Err(Refused::Role);
    }
    let words = person.language.words();
    let Some(study) = study_of(fields.one("study")) else {
        return Ok(bad(words.choose_study.into()).to(&headers));
    };
    let doctors: Vec<String> = fields.all("doctor").map(str::to_owned).collect();
    if doctors.is_empty() || !doctors.iter().all(|doctor| page.config.doctors.contains_key(doctor)) {
        return Ok(bad(words.choose_doctor.into()).to(&headers));
    }
    let text = fields.one("note");
    let note = Note::new(Phi::new(text.to_owned()));
    if note.is_none() && !text.trim().is_empty() {
        return Ok(bad(words.note_too_long.into()).to(&headers));
    }
    let at_ms = now_ms();
    let waiting = WaitingPress {
        id: 0,
        study,
        doctors,
        urgent: fields.has("urgent"),
        note,
        by: person.name.clone(),
        at_ms,
        due_at_ms: at_ms + UNDO_MS,
    };
    Ok(keep(&page, &waiting, words).await?.to(&headers))
}

/// Whoever sees a press that waits may take it back, as one at a phone may who hears of a mistake.
async fn undo(
    State(page): State<Shared>,
    Path(press): Path<i64>,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Refused> {
    let person = posted.person;
    if !person.role.may_send() {
        return Err(Refused::Role);
    }
    let words = person.language.words();
    let undone = page.journal.undo_press(press, now_ms()).await?;
    let answer = if undone { good(words.undone.into()) } else { bad(words.too_late.into()) };
    Ok(answer.to(&headers))
}

/// A case by its id, or `PACS/UID`.
fn study_of(text: &str) -> Option<PressedStudy> {
    if let Some(case) = CaseId::parse(text) {
        return Some(PressedStudy::Case(case));
    }
    let (pacs, uid) = text.rsplit_once('/')?;
    Some(PressedStudy::AtPacs { pacs: pacs.to_owned(), study: Uid::parse(uid).ok()? })
}

async fn keep(page: &Shared, press: &WaitingPress, words: &Words) -> Result<Answer, Refused> {
    let site = page.site(press.at_ms);
    let names = |doctors: &[String]| {
        doctors.iter().map(|doctor| site.doctor(doctor, words)).collect::<Vec<_>>().join(words.comma)
    };
    if let PressedStudy::Case(case) = press.study {
        let Some(study) = page.journal.study_of(case).await? else { return Ok(bad(words.not_here.into())) };
        if study.delivery.state != "held" {
            let to: Vec<_> = study.delivery.doctors.into_iter().map(|doctor| doctor.doctor).collect();
            let (by, at) = study.delivery.pressed.map_or((String::new(), String::new()), |pressed| {
                (clean(&pressed.by), site.time(pressed.at_ms))
            });
            return Ok(bad(fill(words.already, &[&by, &at, &names(&to)])));
        }
    }
    if let Some(id) = page.journal.wait_press(press).await? {
        let mut said = fill(words.will_send, &[&names(&press.doctors), &(UNDO_MS / 1000).to_string()]);
        let not_reachable = page.not_reachable().await?;
        for (doctor, since_ms) in not_reachable.iter().filter(|(doctor, _)| press.doctors.contains(doctor)) {
            said += " ";
            said += &fill(words.press_not_reachable, &[&site.doctor(doctor, words), &site.time(*since_ms)]);
        }
        let said = good(said);
        // A study that lies here has its own button in the list, a list of what was searched has none for one at the PACS.
        let undo = matches!(press.study, PressedStudy::AtPacs { .. }).then_some((id, words.act_undo));
        let links = press.doctors.iter().any(|doctor| page.config.is_outside(doctor));
        return Ok(Answer { for_ms: Some(UNDO_MS), undo, links, ..said });
    }
    let waiting = page.journal.waiting_presses().await?;
    let first = waiting.into_iter().find(|waiting| waiting.study == press.study);
    Ok(first.map_or_else(
        || bad(words.not_here.into()),
        |first| {
            bad(fill(words.already, &[&clean(&first.by), &site.time(first.at_ms), &names(&first.doctors)]))
        },
    ))
}

async fn wish(
    State(page): State<Shared>,
    Path((case, wish)): Path<(String, String)>,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Refused> {
    let person = posted.person;
    if !person.role.may_send() {
        return Err(Refused::Role);
    }
    let case = CaseId::parse(&case).ok_or(Refused::Missing)?;
    let wish = Wish::ALL.into_iter().find(|known| known.word() == wish).ok_or(Refused::Missing)?;
    Ok(grant(&page, &person, case, wish).await?.to(&headers))
}

async fn grant(page: &Shared, person: &Person, case: CaseId, wish: Wish) -> Result<Answer, Refused> {
    let words = person.language.words();
    let study = page.journal.study_of(case).await?.ok_or(Refused::Missing)?;
    let (delivery, by) = (study.delivery.id, person.name.as_str());
    let (done, said) = match wish {
        Wish::Wait => (page.pipeline.choose(delivery, Choice::Wait, by).await?, words.will_wait),
        Wish::Partial => {
            (page.pipeline.choose(delivery, Choice::Partial, by).await?, words.will_send_partial)
        }
        Wish::Cancel | Wish::Recall => {
            let withdrawn = page.pipeline.withdraw(case, by).await?.is_some();
            (withdrawn, if wish == Wish::Cancel { words.cancelled } else { words.recalled })
        }
        Wish::Retry => (page.pipeline.retry(delivery, by).await?, words.retried),
        Wish::Again => (page.pipeline.notify_again(delivery, by).await?, words.notified_again),
        Wish::Heard => (page.pipeline.alarm_heard(case, delivery, by).await?, words.heard),
        Wish::Close => (page.pipeline.close(case, by).await?, words.closed),
    };
    let refused = if wish == Wish::Close { words.cannot_close } else { words.too_late };
    Ok(if done { good(said.into()) } else { bad(refused.into()) })
}

impl From<WishError> for Refused {
    fn from(error: WishError) -> Self {
        tracing::error!(%error, "a wish of the page cannot be granted");
        Self::Ours
    }
}

/// Hands each press over when it counts, for ever. One that waited while the gateway was down counts at its next start.
/// `changes` is marked after each change of the journal: another press may wait.
pub(super) async fn hand_over(page: Shared, mut changes: watch::Receiver<()>) {
    loop {
        let late = page.unshown.forget_late(now_ms());
        if late > 0 {
            tracing::warn!(
                late,
                "links of outside recipients were shown to nobody in time (technician: recall the study and press again)"
            );
        }
        // Also after a press that could not be done, which is tried again.
        tokio::time::sleep(LOOK).await;
        changes.mark_unchanged();
        let Ok(waiting) = page.journal.waiting_presses().await else { continue };
        let (due, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|press| press.due_at_ms <= now_ms());
        if due.is_empty() {
            let first = later.iter().map(|press| press.due_at_ms - now_ms()).min();
            let wait = first.map_or(LOOK_WITHOUT, |ms| Duration::from_millis(ms.max(0).unsigned_abs()));
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
        for press in due {
            hand_over_one(&page, press).await;
        }
    }
}

/// First the delivery, then the end of the waiting: after a crash between both, the second press is answered with the first.
async fn hand_over_one(page: &Shared, waiting: WaitingPress) {
    let WaitingPress { id, study, doctors, urgent, note, by, at_ms, .. } = waiting;
    let standby = match page.standby(&doctors, at_ms).await {
        Ok(standby) => standby,
        Err(_) => return tracing::error!("a press is not done yet: the roster cannot be read"),
    };
    let press = Press { study, doctors, standby, urgent, note, by, at_ms };
    let (begun, links) = match page.pipeline.press(&press).await {
        Ok((PressAnswer::Begun(delivery), links)) => (Some(delivery), links),
        Ok((PressAnswer::Already { .. }, _)) => (None, Vec::new()),
        Ok((PressAnswer::NotHere, _)) => {
            tracing::warn!("a pressed study is gone (technician: send it again)");
            (None, Vec::new())
        }
        // The next look tries again.
        Err(error @ WishError::Trouble(_)) => {
            return tracing::error!(%error, "a press is not done yet");
        }
        Err(error) => {
            tracing::error!(%error, act = "operator", "a press cannot be done");
            (None, Vec::new())
        }
    };
    keep_links(page, &press, begun, links).await;
    if let Err(error) = page.journal.end_waiting_press(id).await {
        tracing::error!(%error, "a press that is done cannot be noted as done yet");
    }
}

/// Keeps what was made for outside recipients until who pressed is shown it; also that nothing was made.
async fn keep_links(page: &Shared, press: &Press, begun: Option<DeliveryId>, links: Vec<ShownLink>) {
    let outside: Vec<String> =
        press.doctors.iter().filter(|doctor| page.config.is_outside(doctor)).cloned().collect();
    if outside.is_empty() {
        return;
    }
    let case = match (&press.study, begun) {
        (PressedStudy::Case(case), _) => Some(*case),
        (_, Some(delivery)) => page.journal.delivery(delivery).await.ok().map(|delivery| delivery.case),
        (_, None) => None,
    };
    page.unshown.put(Made { by: press.by.clone(), case, outside, links, at_ms: now_ms() });
}
