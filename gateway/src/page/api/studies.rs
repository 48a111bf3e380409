//! Studies and doctors, as a program sees them.

use super::super::Shared;
use super::super::limits::ROWS_MAX;
use super::super::search::Search;
use super::caller::{Body, Caller};
use super::deliveries::done;
use super::problem::Problem;
use crate::journal::{DeliveryReport, Study};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Json, Path, Query, State};
use axum::http::StatusCode;
use compressor::{Purpose, Uid};
use seal::ids::CaseId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A study. Patient data: it goes to whoever has a token, inside the hospital.
#[derive(Serialize)]
pub(super) struct StudyView {
    case: CaseId,
    study_uid: Option<Uid>,
    /// Texts as in [`compressor::dataset::Banner::texts`]; null once the case is over.
    patient: Option<BTreeMap<&'static str, String>>,
    modalities: Vec<String>,
    series: u32,
    key_images: u32,
    opened_at_ms: i64,
    last_received_ms: Option<i64>,
    delivery: DeliveryReport,
}

impl From<Study> for StudyView {
    fn from(study: Study) -> Self {
        let texts = |banner: compressor::dataset::Banner| {
            banner.texts(Purpose::Show).map(|(name, text)| (name, text.to_owned())).collect()
        };
        Self {
            case: study.delivery.case,
            study_uid: study.study,
            patient: study.card.map(texts),
            modalities: study.modalities,
            series: study.series,
            key_images: study.key_images,
            opened_at_ms: study.opened_at_ms,
            last_received_ms: study.last_received_ms,
            delivery: study.delivery,
        }
    }
}

/// Which studies of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    after: Option<CaseId>,
    limit: Option<u32>,
}

/// Which studies are looked for. In a body: addresses are kept in logs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sought {
    #[serde(default)]
    q: String,
    #[serde(default)]
    date: String,
    #[serde(default)]
    modality: String,
    after: Option<CaseId>,
}

pub(super) async fn list(
    State(page): State<Shared>,
    _caller: Caller,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Vec<StudyView>>, Problem> {
    let Query(Wanted { after, limit }) =
        wanted.map_err(|_| Problem::malformed("after and limit can be asked for"))?;
    let limit = limit.unwrap_or(ROWS_MAX);
    if limit > ROWS_MAX {
        return Err(Problem::malformed("limit is larger than /api/v1/openapi.json allows"));
    }
    studies(&page, &Search { after, ..Search::default() }, limit).await
}

pub(super) async fn search(
    State(page): State<Shared>,
    _caller: Caller,
    Body(Sought { q, date, modality, after }): Body<Sought>,
) -> Result<Json<Vec<StudyView>>, Problem> {
    studies(&page, &Search { after, ..Search::of(&q, &date, &modality) }, ROWS_MAX).await
}

async fn studies(page: &Shared, search: &Search, limit: u32) -> Result<Json<Vec<StudyView>>, Problem> {
    let studies = search.studies(page, limit).await?;
    Ok(Json(studies.into_iter().map(StudyView::from).collect()))
}

pub(super) async fn one(
    State(page): State<Shared>,
    _caller: Caller,
    Path(case): Path<String>,
) -> Result<Json<StudyView>, Problem> {
    Ok(Json(study(&page, &case).await?.into()))
}

/// The study of a case.
pub(super) async fn study(page: &Shared, case: &str) -> Result<Study, Problem> {
    let case = CaseId::parse(case).ok_or(Problem::MISSING)?;
    page.journal.study_of(case).await?.ok_or(Problem::MISSING)
}

/// The images that are sent first, by their SOP Instance UIDs; those that were marked before are marked no more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marked {
    instances: BTreeSet<String>,
}

pub(super) async fn mark(
    State(page): State<Shared>,
    caller: Caller,
    Path(case): Path<String>,
    Body(Marked { instances }): Body<Marked>,
) -> Result<StatusCode, Problem> {
    let by = caller.sends()?.name;
    let study = study(&page, &case).await?;
    let all = page.journal.choosable(study.delivery.case).await?;
    let here: BTreeSet<&str> = all.iter().map(|image| image.sop_instance.as_str()).collect();
    if !instances.iter().all(|uid| here.contains(uid.as_str())) {
        return Err(Problem::conflict("an instance that is named has not come yet, or is not of this study"));
    }
    let marked = all.iter().filter(|image| instances.contains(&image.sop_instance));
    let marked: Vec<i64> = marked.map(|image| image.id).collect();
    done(
        page.pipeline.mark_key_images(&study.delivery, &marked, &by).await?,
        "the images of this study are packed already",
    )
}

/// A doctor whom studies can be sent to.
#[derive(Serialize)]
pub(super) struct DoctorView {
    name: String,
    on_duty: bool,
    /// The test at the start of duty was not opened in time, nor anything since; it began then.
    not_reachable_since_ms: Option<i64>,
}

pub(super) async fn doctors(
    State(page): State<Shared>,
    _caller: Caller,
) -> Result<Json<Vec<DoctorView>>, Problem> {
    let on_duty = page.on_duty(crate::clock::now_ms()).await?;
    let not_reachable = page.not_reachable().await?;
    let view = |name: &String| DoctorView {
        name: name.clone(),
        on_duty: on_duty.iter().any(|duty| duty.doctor == *name && duty.order == 0),
        not_reachable_since_ms: not_reachable.get(name).copied(),
    };
    let doctors = page.config.doctors.keys().filter(|name| !page.config.is_for_tests(name));
    Ok(Json(doctors.map(view).collect()))
}
