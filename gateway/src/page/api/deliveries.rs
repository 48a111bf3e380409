//! Sending a study, and what can be wished for afterwards.

use super::super::Shared;
use super::caller::{Body, Caller};
use super::problem::Problem;
use super::studies;
use crate::clock::now_ms;
use crate::journal::{Choice, DeliveryReport, Press, PressAnswer, Pressed, PressedStudy, State as Stands};
use crate::link::ShownLink;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use compressor::Uid;
use compressor::bundle::Note;
use seal::ids::{CaseId, DeliveryId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The order to deliver a study.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    study: Which,
    doctors: BTreeSet<String>,
    #[serde(default)]
    urgent: bool,
    #[serde(default)]
    note: Option<Note>,
}

/// A study that lies here, or one that a PACS has.
#[derive(Deserialize)]
#[serde(untagged)]
enum Which {
    Here(Here),
    AtPacs(AtPacs),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Here {
    case: CaseId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AtPacs {
    pacs: String,
    study_uid: String,
}

/// What became of an order. The same order again is answered with what the first one began.
#[derive(Serialize)]
pub(super) struct Ordered {
    begun: bool,
    delivery: DeliveryId,
    /// Who asked first.
    pressed: Option<Pressed>,
    /// For whom the study goes.
    doctors: Vec<String>,
    /// Those of them who have not opened the test at the start of their duty in time, nor anything since: telephone as well.
    not_reachable: Vec<String>,
    /// Of outside recipients: shown now and never again.
    links: Vec<OrderedLink>,
}

/// How an outside recipient gets at the study. The passphrase is told by another way than the address.
#[derive(Serialize)]
struct OrderedLink {
    doctor: String,
    url: String,
    passphrase: String,
    expires_at_ms: i64,
}

impl OrderedLink {
    fn of(shown: ShownLink) -> Self {
        let ShownLink { doctor, url, passphrase, expires_at_ms } = shown;
        Self { doctor, url, passphrase: passphrase.to_string(), expires_at_ms }
    }
}

pub(super) async fn press(
    State(page): State<Shared>,
    caller: Caller,
    Body(order): Body<Order>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    let by = caller.sends()?.name;
    let study = match order.study {
        Which::Here(Here { case }) => PressedStudy::Case(case),
        Which::AtPacs(AtPacs { pacs, study_uid }) => {
            let study =
                Uid::parse(&study_uid).map_err(|_| Problem::malformed("study_uid is no UID (PS3.5 9.1)"))?;
            PressedStudy::AtPacs { pacs, study }
        }
    };
    let doctors: Vec<String> = order.doctors.into_iter().collect();
    let at_ms = now_ms();
    let standby = page.standby(&doctors, at_ms).await.map_err(|_| Problem::OURS)?;
    let press = Press { study, doctors, standby, urgent: order.urgent, note: order.note, by, at_ms };
    let away = page.not_reachable().await?;
    let not_reachable = |doctors: &[String]| {
        doctors.iter().filter(|doctor| away.contains_key(*doctor)).cloned().collect::<Vec<_>>()
    };
    let (answer, shown) = page.pipeline.press(&press).await?;
    match answer {
        PressAnswer::Begun(delivery) => {
            let pressed = Some(Pressed { by: press.by, at_ms: press.at_ms, pacs: None });
            let ordered = Ordered {
                begun: true,
                delivery,
                pressed,
                not_reachable: not_reachable(&press.doctors),
                doctors: press.doctors,
                links: shown.into_iter().map(OrderedLink::of).collect(),
            };
            Ok((StatusCode::CREATED, Json(ordered)))
        }
        PressAnswer::Already { delivery, pressed, doctors } => Ok((
            StatusCode::OK,
            Json(Ordered {
                begun: false,
                delivery,
                pressed,
                not_reachable: not_reachable(&doctors),
                doctors,
                links: Vec::new(),
            }),
        )),
        PressAnswer::NotHere => Err(Problem::MISSING),
    }
}

pub(super) async fn one(
    State(page): State<Shared>,
    _caller: Caller,
    Path(delivery): Path<String>,
) -> Result<Json<DeliveryReport>, Problem> {
    Ok(Json(page.journal.report_of(known(&delivery)?).await?.ok_or(Problem::MISSING)?))
}

/// What is to be done about missing instances.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    choice: Choice,
}

pub(super) async fn choose(
    State(page): State<Shared>,
    caller: Caller,
    Path(delivery): Path<String>,
    Body(Chosen { choice }): Body<Chosen>,
) -> Result<StatusCode, Problem> {
    let by = caller.sends()?.name;
    let delivery = there(&page, &delivery).await?;
    done(page.pipeline.choose(delivery, choice, &by).await?, "nothing of this delivery is missing now")
}

pub(super) async fn retry(
    State(page): State<Shared>,
    caller: Caller,
    Path(delivery): Path<String>,
) -> Result<StatusCode, Problem> {
    let by = caller.sends()?.name;
    let delivery = there(&page, &delivery).await?;
    done(page.pipeline.retry(delivery, &by).await?, "this delivery has not failed")
}

pub(super) async fn notify(
    State(page): State<Shared>,
    caller: Caller,
    Path(delivery): Path<String>,
) -> Result<StatusCode, Problem> {
    let by = caller.sends()?.name;
    let delivery = there(&page, &delivery).await?;
    done(
        page.pipeline.notify_again(delivery, &by).await?,
        "nobody is to be notified again: no notice went, or everybody has it",
    )
}

/// What a withdrawal did.
#[derive(Serialize)]
pub(super) struct Withdrawn {
    ended: Vec<Ended>,
    /// The case in which the study waits for another press.
    held: Option<CaseId>,
}

#[derive(Serialize)]
struct Ended {
    delivery: DeliveryId,
    state: &'static str,
}

pub(super) async fn withdraw(
    State(page): State<Shared>,
    caller: Caller,
    Path(case): Path<String>,
) -> Result<Json<Withdrawn>, Problem> {
    let by = caller.sends()?.name;
    let study = studies::study(&page, &case).await?;
    let case = study.delivery.case;
    if study.delivery.state == Stands::Held.word() {
        return Err(Problem::conflict("nobody has asked for this study"));
    }
    let withdrawal = page.pipeline.withdraw(case, &by).await?;
    let withdrawal = withdrawal.ok_or(Problem::conflict("this case was withdrawn before"))?;
    let ended = |(delivery, state): (DeliveryId, Stands)| Ended { delivery, state: state.word() };
    Ok(Json(Withdrawn { ended: withdrawal.ended.into_iter().map(ended).collect(), held: withdrawal.held }))
}

pub(super) async fn close(
    State(page): State<Shared>,
    caller: Caller,
    Path(case): Path<String>,
) -> Result<StatusCode, Problem> {
    let by = caller.sends()?.name;
    let case = studies::study(&page, &case).await?.delivery.case;
    done(
        page.pipeline.close(case, &by).await?,
        "nobody has opened all of this case, a delivery of it has failed, or it has ended: withdraw takes it back",
    )
}

pub(super) async fn heard(
    State(page): State<Shared>,
    caller: Caller,
    Path(case): Path<String>,
) -> Result<StatusCode, Problem> {
    let by = caller.sends()?.name;
    let study = studies::study(&page, &case).await?;
    let case = study.delivery.case;
    let heard = page.pipeline.alarm_heard(case, study.delivery.id, &by).await?;
    done(heard, "no alarm of this case waits for somebody who hears it")
}

fn known(delivery: &str) -> Result<DeliveryId, Problem> {
    DeliveryId::parse(delivery).ok_or(Problem::MISSING)
}

async fn there(page: &Shared, delivery: &str) -> Result<DeliveryId, Problem> {
    let delivery = known(delivery)?;
    page.journal.report_of(delivery).await?.ok_or(Problem::MISSING)?;
    Ok(delivery)
}

pub(super) fn done(done: bool, why_not: &'static str) -> Result<StatusCode, Problem> {
    if done { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::conflict(why_not)) }
}
