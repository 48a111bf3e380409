//! Studies and doctors, as a program sees them.

use super::super::Shared;
use super::super::limits::ROWS_MAX;
use super::super::studies::Search;
use super::caller::Caller;
use super::problem::Problem;
use crate::journal::{DeliveryReport, Study};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Json, Path, Query, State};
use compressor::{Purpose, Uid};
use seal::ids::CaseId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A study. Patient data: it goes to whoever has a token, inside the hospital.
#[derive(Serialize)]
pub(super) struct StudyView {
    case: CaseId,
    study_uid: Option<Uid>,
    /// Texts as in [`compressor::dataset::Banner::texts`]; null once the case is over.
    patient: Option<BTreeMap<&'static str, String>>,
    modalities: Vec<String>,
    series: u32,
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
            opened_at_ms: study.opened_at_ms,
            last_received_ms: study.last_received_ms,
            delivery: study.delivery,
        }
    }
}

/// Which studies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    q: String,
    #[serde(default)]
    date: String,
    #[serde(default)]
    modality: String,
    after: Option<CaseId>,
    limit: Option<u32>,
}

pub(super) async fn list(
    State(page): State<Shared>,
    _caller: Caller,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Vec<StudyView>>, Problem> {
    let malformed = |_| Problem::malformed("q, date, modality, after and limit can be asked for");
    let Query(Wanted { q, date, modality, after, limit }) = wanted.map_err(malformed)?;
    let limit = limit.unwrap_or(ROWS_MAX);
    if limit > ROWS_MAX {
        return Err(Problem::malformed("limit is larger than /api/v1/openapi.json allows"));
    }
    let studies = Search { q, date, modality, after }.studies(&page, limit).await?;
    Ok(Json(studies.into_iter().map(StudyView::from).collect()))
}

pub(super) async fn one(
    State(page): State<Shared>,
    _caller: Caller,
    Path(case): Path<String>,
) -> Result<Json<StudyView>, Problem> {
    let case = CaseId::parse(&case).ok_or(Problem::MISSING)?;
    let study = page.journal.study_of(case).await?.ok_or(Problem::MISSING)?;
    Ok(Json(study.into()))
}

/// A doctor whom studies can be sent to.
#[derive(Serialize)]
pub(super) struct DoctorView {
    name: String,
    on_duty: bool,
}

pub(super) async fn doctors(
    State(page): State<Shared>,
    _caller: Caller,
) -> Result<Json<Vec<DoctorView>>, Problem> {
    let on_duty = page.on_duty(crate::clock::now_ms()).await?;
    let view = |name: &String| DoctorView {
        name: name.clone(),
        on_duty: on_duty.iter().any(|duty| duty.doctor == *name && duty.order == 0),
    };
    Ok(Json(page.config.doctors.keys().map(view).collect()))
}
