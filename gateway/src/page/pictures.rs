//! Little pictures, and which images of a study are key images. Each is made by a process of its own that can open nothing.

use super::layout::{self, Place, hidden, notice};
use super::limits::PICTURES_AT_ONCE;
use super::row::Shown;
use super::session::{Person, Posted};
use super::words::{Words, fill};
use super::{Refused, Shared, assets, clean};
use crate::journal::{Choosable, DeliveryInstance, JournalError, Study};
use crate::smime;
use crate::spool::Received;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::{Markup, html};
use seal::ids::CaseId;
use std::collections::BTreeSet;
use std::io;
use tokio::sync::Semaphore;

/// Pictures that are being made.
static TURNS: Semaphore = Semaphore::const_new(PICTURES_AT_ONCE);

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/studies/{case}/picture", get(middle))
        .route("/studies/{case}/images", get(images).post(mark))
        .route("/studies/{case}/images/{instance}/picture", get(one))
}

/// Where the picture of a study is; another place when twice as many images are here.
pub(super) fn path(study: &Study) -> String {
    let instances = study.delivery.instances.checked_ilog2().map_or(0, |log| 1_u64 << log);
    format!("/studies/{}/picture?of={instances}", study.delivery.case)
}

/// Whether a browser asks for it by itself.
pub(super) fn is_picture(path: &str) -> bool {
    path.ends_with("/picture")
}

async fn middle(
    State(page): State<Shared>,
    _person: Person,
    Path(case): Path<String>,
) -> Result<Response, Refused> {
    let case = CaseId::parse(&case).ok_or(Refused::Missing)?;
    let kept = match page.journal.picture(case).await {
        // Nothing of the study is left to be shown.
        Err(JournalError::KeyDestroyed) => return Ok(none()),
        kept => kept?,
    };
    let middle = page.journal.middle_instance(case).await?;
    match (kept, middle) {
        // It shows the middle of what was here then, and is made anew when there are twice as many.
        (Some((of, picture)), middle)
            if middle.as_ref().is_none_or(|(now, _)| *now < of.saturating_mul(2)) =>
        {
            Ok(shown(picture))
        }
        (_, None) => Ok(none()),
        (_, Some((instances, instance))) => {
            let Some(picture) = render(&page, case, instance).await? else { return Ok(none()) };
            page.journal.keep_picture(case, instances, &picture).await?;
            Ok(shown(picture))
        }
    }
}

async fn one(
    State(page): State<Shared>,
    _person: Person,
    Path((case, instance)): Path<(String, i64)>,
) -> Result<Response, Refused> {
    let case = CaseId::parse(&case).ok_or(Refused::Missing)?;
    let instance = page.journal.instance(case, instance).await?.ok_or(Refused::Missing)?;
    Ok(render(&page, case, instance).await?.map_or_else(none, shown))
}

/// Empty where the instance has no picture; none where its file is not here any more.
async fn render(page: &Shared, case: CaseId, instance: DeliveryInstance) -> Result<Option<Vec<u8>>, Refused> {
    let case_key = match page.journal.case_key(case).await {
        Err(JournalError::KeyDestroyed) => return Ok(None),
        key => key?,
    };
    let turn = TURNS.acquire().await.map_err(|_| Refused::Ours)?;
    let (spool, renderer) = (page.pipeline.spool.clone(), page.pipeline.sealer.renderer.clone());
    let made = tokio::task::spawn_blocking(move || {
        // Held until the work is done, also where nobody waits for it any more.
        let _turn = turn;
        let mut file = smime::file(Received { spool: &spool, case_key: case_key.as_ref() }, &instance)?;
        renderer.thumbnail(&mut file, instance.bytes)
    });
    match made.await.map_err(|_| Refused::Ours)? {
        Ok(picture) => Ok(Some(picture.unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            tracing::warn!(stage = "receive", %error, "no picture can be made of a received image");
            Ok(None)
        }
    }
}

fn shown(picture: Vec<u8>) -> Response {
    if picture.is_empty() { none() } else { ([(CONTENT_TYPE, "image/jpeg")], picture).into_response() }
}

fn none() -> Response {
    ([(CONTENT_TYPE, "image/svg+xml")], assets::NO_PICTURE).into_response()
}

async fn images(
    State(page): State<Shared>,
    person: Person,
    Path(case): Path<String>,
) -> Result<Markup, Refused> {
    show(&page, &person, &case, &html! {}).await
}

async fn show(page: &Shared, person: &Person, case: &str, said: &Markup) -> Result<Markup, Refused> {
    let words = person.language.words();
    let case = CaseId::parse(case).ok_or(Refused::Missing)?;
    let study = page.journal.study_of(case).await?.ok_or(Refused::Missing)?;
    let all = page.journal.choosable(case).await?;
    let may_mark = person.role.may_send() && matches!(study.delivery.state.as_str(), "held" | "received");
    let name = Shown::of(study.card.as_ref(), words.no_card, words).name;
    let content = html! {
        form .sheet method="post" {
            h1 { (words.key_images) ": " bdi { (name) } }
            (said)
            (hidden(&person.secret.csrf()))
            p .hint { (words.key_images_hint) }
            @for (number, series) in all.chunk_by(|one, next| one.series == next.series).enumerate() {
                (of_series(case, number + 1, series, may_mark, words))
            }
            @if may_mark { button .main { (words.save) } }
            p { a href="/" { (words.back) } }
        }
    };
    Ok(layout::page(person, Place::Studies, words.key_images, &content))
}

fn of_series(case: CaseId, number: usize, series: &[Choosable], may_mark: bool, words: &Words) -> Markup {
    let modality = series.first().and_then(|first| first.modality.as_deref()).map(clean).unwrap_or_default();
    let title = fill(words.series_number, &[&number.to_string(), &modality, &series.len().to_string()]);
    html! {
        fieldset .images {
            legend { (title) }
            @if may_mark && series.len() > 1 {
                label .tick { input type="checkbox" name="series" value=(number); (words.whole_series) }
            }
            ul .images {
                @for (place, image) in (1..).zip(series) {
                    li { label {
                        img .picture loading="lazy" alt="" width="96" height="96" src={"/studies/" (case) "/images/" (image.id) "/picture"};
                        input type="checkbox" name="image" value=(image.id) checked[image.is_key] disabled[!may_mark] aria-label=(fill(words.image_of_series, &[&place.to_string(), &number.to_string()]));
                        span aria-hidden="true" { (place) }
                    } }
                }
            }
        }
    }
}

async fn mark(
    State(page): State<Shared>,
    Path(case): Path<String>,
    posted: Posted,
) -> Result<Response, Refused> {
    let Posted { person, fields } = posted;
    if !person.role.may_send() {
        return Err(Refused::Role);
    }
    let id = CaseId::parse(&case).ok_or(Refused::Missing)?;
    let study = page.journal.study_of(id).await?.ok_or(Refused::Missing)?;
    let all = page.journal.choosable(id).await?;
    let whole: BTreeSet<i64> = fields.all("series").filter_map(|number| number.parse().ok()).collect();
    let images: BTreeSet<i64> = fields.all("image").filter_map(|id| id.parse().ok()).collect();
    let mut marked = Vec::new();
    for (number, series) in (1..).zip(all.chunk_by(|one, next| one.series == next.series)) {
        let is_marked = |image: &&Choosable| whole.contains(&number) || images.contains(&image.id);
        marked.extend(series.iter().filter(is_marked).map(|image| image.id));
    }
    if page.pipeline.mark_key_images(&study.delivery, &marked, &person.name).await? {
        return Ok(Redirect::to("/").into_response());
    }
    let words = person.language.words();
    Ok(show(&page, &person, &case, &notice(words.too_late, true)).await?.into_response())
}
