//! What doctors answered to a study, with the words.

use super::super::Shared;
use super::caller::Caller;
use super::problem::Problem;
use super::studies;
use crate::journal::{AnswerKind, ShownAnswer};
use axum::extract::{Json, Path, State};
use compressor::Purpose;
use serde::Serialize;

/// One answer; its words may tell of the patient.
#[derive(Serialize)]
pub(super) struct Answered {
    doctor: String,
    kind: AnswerKind,
    came_at_ms: i64,
    words: Option<String>,
}

impl Answered {
    fn of(answer: ShownAnswer) -> Self {
        let ShownAnswer { doctor, kind, words, came_at_ms } = answer;
        let words = words.map(|words| words.expose_for(Purpose::Show).to_owned());
        Self { doctor, kind, came_at_ms, words }
    }
}

pub(super) async fn list(
    State(page): State<Shared>,
    _caller: Caller,
    Path(case): Path<String>,
) -> Result<Json<Vec<Answered>>, Problem> {
    let study = studies::study(&page, &case).await?;
    Ok(Json(study.answers.into_iter().map(Answered::of).collect()))
}
