//! What a doctor sees after signing in: the deliveries, with their covers where the session may open them.

use super::caller::{Caller, Doctor};
use super::hanging;
use super::limits::{DELIVERIES_MAX, HOME_COVER_BYTES_MAX, HOME_COVERS_MAX};
use super::links;
use super::mailbox::{Contents, Cover, Delivery};
use super::refused::Refused;
use super::store::{Account, Device};
use super::{Here, Portal, Shared};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/home", get(get_home)).route("/api/deliveries", get(list))
}

/// The first answer of a session.
#[derive(Serialize)]
pub(crate) struct Home {
    user: String,
    level: &'static str,
    /// Of the device that signed in, as its browser wrapped them.
    keys: Option<String>,
    /// As the recovery key opens them.
    recovery: Option<String>,
    deliveries: Vec<Entry>,
    /// Percent of the mailbox's quota, where the doctor is to be told.
    full_percent: Option<u8>,
    /// How the sites want cases to be met.
    hanging: Vec<hanging::Row>,
    link: Option<Value>,
}

/// A delivery.
#[derive(Serialize)]
pub(crate) struct Entry {
    delivery: String,
    site: String,
    received_at: i64,
    bytes: u64,
    pieces: usize,
    cover: Option<String>,
    /// Where several messages say to be its cover.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    twins: Vec<Twin>,
    /// Whether the site wants its images to be measured in the app.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    measuring: bool,
}

/// Another cover under the same id.
#[derive(Serialize)]
struct Twin {
    site: String,
    cover: String,
}

impl Entry {
    pub(crate) fn of(delivery: &Delivery, with_cover: bool) -> Self {
        let told = |cover: &Cover| cover.der.as_ref().filter(|_| with_cover).map(|der| STANDARD.encode(der));
        let site = |cover: &Cover| cover.at.id.site().to_string();
        let twin = |twin: &Cover| Some(Twin { site: site(twin), cover: told(twin)? });
        Self {
            delivery: delivery.id.to_string(),
            site: site(&delivery.cover),
            received_at: delivery.cover.received_at,
            bytes: delivery.bytes(),
            pieces: delivery.pieces.len(),
            cover: told(&delivery.cover),
            twins: delivery.twins.iter().filter_map(twin).collect(),
            measuring: false,
        }
    }

    /// For a doctor, who can keep what was measured: a guest cannot.
    fn of_doctor(portal: &Portal, delivery: &Delivery, with_cover: bool) -> Self {
        let entry = Self::of(delivery, with_cover);
        Self { measuring: portal.settings.measuring.contains(&entry.site), ..entry }
    }
}

async fn get_home(State(portal): Here, doctor: Doctor) -> Result<Json<Home>, Refused> {
    let device = match &doctor.caller.session.credential {
        Some(credential) => portal.store.device(credential).await?,
        None => None,
    };
    Ok(Json(home(&portal, &doctor.account, device.as_ref()).await?))
}

/// With covers for a device alone.
pub(crate) async fn home(
    portal: &Portal,
    account: &Account,
    device: Option<&Device>,
) -> Result<Home, Refused> {
    let contents = portal.mailbox_of(account)?.contents().await?;
    let mut bytes_left = HOME_COVER_BYTES_MAX;
    let mut entries = Vec::new();
    for delivery in contents.deliveries.iter().take(HOME_COVERS_MAX) {
        let length = delivery.covers().filter_map(|cover| cover.der.as_ref()).map(|der| der.len()).sum();
        let fits = device.is_some() && length <= bytes_left;
        bytes_left -= if fits { length } else { 0 };
        entries.push(Entry::of_doctor(portal, delivery, fits));
    }
    Ok(Home {
        user: account.name.clone(),
        level: if device.is_some() { "device" } else { "list" },
        keys: device.and_then(|device| device.keys.as_ref()).map(|blob| STANDARD.encode(blob)),
        recovery: account.recovery.as_ref().map(|blob| STANDARD.encode(blob)),
        deliveries: entries,
        full_percent: contents.full_percent,
        hanging: portal.settings.hanging.clone(),
        link: None,
    })
}

async fn list(State(portal): Here, caller: Caller) -> Result<Json<Value>, Refused> {
    if let Some(link) = &caller.session.link {
        let (deliveries, uid_validity) = links::deliveries(&portal, link).await?;
        let entries: Vec<Entry> = deliveries.iter().map(|delivery| Entry::of(delivery, true)).collect();
        return Ok(Json(json!({"deliveries": entries, "uid_validity": uid_validity})));
    }
    let doctor = Doctor::of(caller, &portal).await?;
    let contents = doctor.mailbox.contents().await?;
    let with_cover = doctor.caller.session.credential.is_some();
    let entries: Vec<Entry> = contents
        .deliveries
        .iter()
        .take(DELIVERIES_MAX)
        .map(|delivery| Entry::of_doctor(&portal, delivery, with_cover))
        .collect();
    let Contents { uid_validity, full_percent, .. } = *contents;
    Ok(Json(json!({"deliveries": entries, "uid_validity": uid_validity, "full_percent": full_percent})))
}
