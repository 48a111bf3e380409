//! What a device puts into its mailbox, signed by itself: receipts, requests of enrolment, renewals.

use super::caller::OnDevice;
use super::limits::CONFIRMATIONS_MAX;
use super::ranges::delivery_of;
use super::refused::Refused;
use super::{Here, Shared, now_ms};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::ids::{DeliveryId, InvitationId};
use seal::limits::{CONFIRMATION_BYTES_MAX, ENROLMENT_BYTES_MAX, RECEIPT_DER_BYTES_MAX};
use seal::mail::{MessageId, Part, Site};
use seal::mailbox::MailboxError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Instant;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/deliveries/{delivery}/receipts/{kind}", post(receipt))
        .route("/api/enrolments/{invitation}", post(enrol).get(confirmations))
        .route("/api/renewals/{id}", post(renew))
}

#[derive(Deserialize)]
struct ReceiptFor {
    recipient: String,
    site: String,
}

async fn receipt(
    State(portal): Here,
    on: OnDevice,
    Path((delivery, kind)): Path<(String, String)>,
    Query(query): Query<ReceiptFor>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refused> {
    let body = bounded(body, RECEIPT_DER_BYTES_MAX)?;
    // The one reader of Message-IDs judges every part of it.
    let id = MessageId::parse(&format!("<{delivery}.{kind}.{}@{}>", query.recipient, query.site));
    let id = id.filter(|id| matches!(id.part(), Part::Receipt { .. })).ok_or(Refused::BadRequest)?;
    let (_, known) = delivery_of(&portal, &on.doctor.caller, DeliveryId(id.delivery().0)).await?;
    if !known.is_of(id.site()) {
        return Err(Refused::Unknown);
    }
    append(&portal, &on, id, &body).await
}

#[derive(Deserialize)]
struct AtSite {
    site: String,
}

impl AtSite {
    fn message_id(&self, id: &str, part: Part) -> Result<MessageId, Refused> {
        let id = DeliveryId::parse(id).ok_or(Refused::BadRequest)?;
        let site = Site::parse(&self.site).ok_or(Refused::BadRequest)?;
        Ok(MessageId::enrolment(InvitationId(id.0), part, &site))
    }
}

async fn enrol(
    State(portal): Here,
    on: OnDevice,
    Path(invitation): Path<String>,
    Query(site): Query<AtSite>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refused> {
    let body = bounded(body, ENROLMENT_BYTES_MAX)?;
    append(&portal, &on, site.message_id(&invitation, Part::Enrol)?, &body).await
}

async fn confirmations(
    on: OnDevice,
    Path(invitation): Path<String>,
    Query(site): Query<AtSite>,
) -> Result<Json<Value>, Refused> {
    let (wanted, mailbox) = (site.message_id(&invitation, Part::Enrolled)?, &on.doctor.mailbox);
    let contents = mailbox.contents().await?;
    let mut messages = Vec::new();
    for found in contents.others.iter().filter(|found| found.id == wanted).take(CONFIRMATIONS_MAX) {
        match mailbox.body(found, CONFIRMATION_BYTES_MAX as u64).await {
            Ok(body) => messages.push(STANDARD.encode(body)),
            // Somebody else's: the device passes over it (SPEC 8.4).
            Err(MailboxError::Gone | MailboxError::NotBase64 | MailboxError::TooLarge { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(json!({"messages": messages})))
}

async fn renew(
    State(portal): Here,
    on: OnDevice,
    Path(id): Path<String>,
    Query(site): Query<AtSite>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refused> {
    let body = bounded(body, ENROLMENT_BYTES_MAX)?;
    append(&portal, &on, site.message_id(&id, Part::Renew)?, &body).await
}

fn bounded(body: Result<Bytes, BytesRejection>, bytes_max: usize) -> Result<Bytes, Refused> {
    let body = body.map_err(|_| Refused::TooLarge)?;
    match body.len() {
        0 => Err(Refused::BadRequest),
        length if length > bytes_max => Err(Refused::TooLarge),
        _ => Ok(body),
    }
}

async fn append(portal: &Shared, on: &OnDevice, id: MessageId, body: &[u8]) -> Result<Json<Value>, Refused> {
    let counted = portal.appends.count(&on.doctor.account.name, Instant::now());
    counted.map_err(|wait| Refused::TooManyTries(i64::try_from(wait.as_secs()).unwrap_or_default() + 1))?;
    on.doctor.mailbox.append(id, now_ms() / 1000, body).await?;
    Ok(Json(json!({})))
}
