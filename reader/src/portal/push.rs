//! Notices to phones by Web Push: a constant text and a random id, sealed for the phone (RFC 8291), signed by us (RFC 8292).

mod endpoint;
mod sealed;
mod vapid;

use super::caller::OnDevice;
use super::config;
use super::error::Trouble;
use super::limits::{PUSH_TRIES, PUSHES_AT_ONCE, PUSHES_MAX, PUSHES_WINDOW};
use super::rate::Rate;
use super::refused::Refused;
use super::sign_in::{Bytes, taken};
use super::store::{PushTarget, Store};
use super::{Here, Shared};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use endpoint::Endpoint;
use seal::ids::DeliveryId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tls::{ClientFiles, Trust};
use tokio::sync::Semaphore;
use vapid::Vapid;

/// Bytes of the authentication secret (RFC 8291 3.2).
const AUTH_BYTES: usize = 16;
/// Bytes of a point on P-256, uncompressed.
const POINT_BYTES: usize = 65;
/// Of the service worker's standard (RFC 8030 as a number): the browser shows the notice itself.
const DECLARATIVE: u32 = 8030;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/push", get(state).post(subscribe).delete(unsubscribe))
}

/// Sends notices.
pub(crate) struct Pusher {
    settings: config::Push,
    origin: String,
    vapid: Vapid,
    trust: Trust,
    store: Store,
    turns: Arc<Semaphore>,
    rate: Rate,
}

impl Pusher {
    /// With the key that all portals of the state share.
    pub(crate) async fn open(settings: config::Push, origin: String, store: Store) -> Result<Self, Trouble> {
        let trust = Trust::read(&ClientFiles { ca: settings.ca.clone(), ..ClientFiles::default() })?;
        let no_key = || Trouble::Typed("no random numbers from the system".into());
        let key = store.secret("vapid", &Vapid::new_key().ok_or_else(no_key)?).await?;
        let vapid = Vapid::of(&key, settings.contact.clone())
            .ok_or_else(|| Trouble::Typed("portal.state holds a key for notices that cannot be read (operator: restore it from a backup)".into()))?;
        let turns = Arc::new(Semaphore::new(PUSHES_AT_ONCE));
        let rate = Rate::new(PUSHES_MAX, PUSHES_WINDOW);
        Ok(Self { settings, origin, vapid, trust, store, turns, rate })
    }

    /// Tells every device of a mailbox of a new delivery, in the background.
    pub(crate) async fn tell(self: &Arc<Self>, mailbox: &str, delivery: DeliveryId) {
        if self.rate.count(mailbox, Instant::now()).is_err() {
            tracing::warn!(mailbox, act = "operator", "so many new cases at once are not told of one by one");
            return;
        }
        match self.store.push_targets(mailbox).await {
            Ok(targets) => {
                for target in targets {
                    tokio::spawn(Arc::clone(self).reach(target, delivery));
                }
            }
            Err(error) => tracing::error!(act = "operator", "{error}"),
        }
    }

    async fn reach(self: Arc<Self>, target: PushTarget, delivery: DeliveryId) {
        let turns = Arc::clone(&self.turns);
        for pause in PUSH_TRIES {
            tokio::time::sleep(pause).await;
            let Ok(turn) = turns.acquire().await else { return };
            let sent = self.send(&target, delivery).await;
            drop(turn);
            match sent {
                Sent::Taken => return,
                Sent::Ended => {
                    // The phone has ended it; the app makes another at its next start.
                    if let Err(error) =
                        self.store.remove_push(&target.credential, Some(&target.endpoint)).await
                    {
                        tracing::error!(act = "operator", "{error}");
                    }
                    return;
                }
                Sent::Refused(status) => {
                    tracing::error!(
                        act = "operator",
                        status,
                        "a push service refuses a notice (check push.contact and the clock)"
                    );
                    return;
                }
                Sent::Later => {}
            }
        }
        tracing::warn!(act = "operator", "a push service did not take a notice");
    }

    async fn send(&self, target: &PushTarget, delivery: DeliveryId) -> Sent {
        let Some(endpoint) = Endpoint::parse(&target.endpoint, &self.settings) else { return Sent::Ended };
        let text = text(&self.origin, delivery);
        let now = super::now_ms() / 1000;
        let (Some(body), Some(authorization)) = (
            sealed::seal(text.as_bytes(), &target.p256dh, &target.auth),
            self.vapid.authorization(&endpoint.origin(), now),
        ) else {
            return Sent::Ended;
        };
        endpoint.post(&self.trust, self.settings.private_addresses, body, &authorization).await
    }
}

/// What became of a notice.
pub(crate) enum Sent {
    /// The service has it.
    Taken,
    /// There is no such subscription any more.
    Ended,
    /// Not by these headers.
    Refused(u16),
    /// Not now.
    Later,
}

/// Nothing of a study, a patient or a site is in it.
fn text(origin: &str, delivery: DeliveryId) -> String {
    json!({
        "web_push": DECLARATIVE,
        "notification": {
            "title": "Scanpost",
            "body": "新着画像があります。New images.",
            "navigate": format!("{origin}/c/{delivery}"),
            "tag": delivery.to_string(),
            "requireInteraction": true,
        },
    })
    .to_string()
}

async fn state(State(portal): Here, on: OnDevice) -> Result<Json<Value>, Refused> {
    let pusher = portal.push.as_ref().ok_or(Refused::Unknown)?;
    let device = portal.store.device(&on.credential).await?;
    let subscribed = device.is_some_and(|device| device.has_push);
    Ok(Json(json!({"vapid_public": URL_SAFE_NO_PAD.encode(pusher.vapid.public()), "subscribed": subscribed})))
}

#[derive(Deserialize)]
struct Subscription {
    endpoint: String,
    p256dh: Bytes,
    auth: Bytes,
}

async fn subscribe(
    State(portal): Here,
    on: OnDevice,
    body: Result<Json<Subscription>, JsonRejection>,
) -> Result<Json<Value>, Refused> {
    let pusher = portal.push.as_ref().ok_or(Refused::Unknown)?;
    let Subscription { endpoint, p256dh, auth } = taken(body)?;
    let fits = p256dh.0.len() == POINT_BYTES && auth.0.len() == AUTH_BYTES;
    // What cannot be sealed for is noticed now.
    let fits = fits && sealed::seal(b"", &p256dh.0, &auth.0).is_some();
    if !fits || Endpoint::parse(&endpoint, &pusher.settings).is_none() {
        return Err(Refused::BadRequest);
    }
    let target = PushTarget { credential: on.credential, endpoint, p256dh: p256dh.0, auth: auth.0 };
    portal.store.put_push(&target).await?;
    Ok(Json(json!({})))
}

async fn unsubscribe(State(portal): Here, on: OnDevice) -> Result<Json<Value>, Refused> {
    portal.store.remove_push(&on.credential, None).await?;
    Ok(Json(json!({})))
}
