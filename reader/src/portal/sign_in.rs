//! Signing in, by a passkey or by password and code, and out.

use super::caller::{self, Caller};
use super::deliveries::{Home, home};
use super::limits::{CHALLENGE_MAX_MS, CHALLENGES_MAX, FAILURES_MAX, FAILURES_WINDOW};
use super::passkey::Assertion;
use super::refused::Refused;
use super::store::{Account, Session};
use super::{Here, Portal, Shared, now_ms};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use web::server::Peer;
use web::throttle::{Addresses, FAILURE_WAIT_MAX_MS, wait_ms};
use web::{password, totp};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/sign-in/begin", post(begin))
        .route("/api/sign-in/finish", post(finish))
        .route("/api/sign-in/password", post(by_password))
        .route("/api/sign-out", post(sign_out))
}

/// Bytes in base64url, in JSON.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        decoded.map(Self).map_err(|_| serde::de::Error::custom("not base64url"))
    }
}

/// A body as in the specification.
pub(crate) fn taken<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Refused> {
    match body {
        Ok(Json(taken)) => Ok(taken),
        Err(error) if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE => Err(Refused::TooLarge),
        Err(_) => Err(Refused::BadRequest),
    }
}

async fn begin(State(portal): Here) -> Result<Json<Value>, Refused> {
    let challenge = portal.challenge(None).await?;
    Ok(Json(json!({"challenge": URL_SAFE_NO_PAD.encode(challenge), "rp_id": portal.relying.id})))
}

#[derive(Deserialize)]
struct Finish {
    credential: Bytes,
    client_data: Bytes,
    authenticator_data: Bytes,
    signature: Bytes,
    user_handle: Option<Bytes>,
}

async fn finish(
    State(portal): Here,
    Extension(peer): Extension<Peer>,
    body: Result<Json<Finish>, JsonRejection>,
) -> Result<Response, Refused> {
    let finish = taken(body)?;
    portal.tries.may_try(peer)?;
    let challenge = portal.relying.challenge(&finish.client_data.0, false).map_err(|_| Refused::Wrong)?;
    let now_ms = now_ms();
    if !portal.store.take_challenge(&challenge, None, now_ms - CHALLENGE_MAX_MS).await? {
        return Err(portal.tries.failed(peer));
    }
    let Some(device) = portal.store.device(&finish.credential.0).await? else {
        return Err(portal.tries.failed(peer));
    };
    let account = portal.store.account(&device.account).await?.ok_or(Refused::Wrong)?;
    let assertion = Assertion {
        client_data: &finish.client_data.0,
        authenticator_data: &finish.authenticator_data.0,
        signature: &finish.signature.0,
    };
    let counted = portal.relying.verify(&assertion, &device.public_key, device.sign_count);
    let is_theirs = finish.user_handle.is_none_or(|handle| handle.0 == account.handle);
    let (Ok(counted), true) = (counted, is_theirs) else { return Err(portal.tries.failed(peer)) };
    portal.store.device_used(&device.credential, counted, now_ms).await?;
    let session = session_of(&account, Some(device.credential.clone()), now_ms);
    let cookie = caller::begin(&portal.store, &session).await?;
    let home = home(&portal, &account, Some(&device)).await?;
    Ok(signed_in(cookie, home))
}

#[derive(Deserialize)]
struct ByPassword {
    user: String,
    password: String,
    code: String,
}

async fn by_password(
    State(portal): Here,
    Extension(peer): Extension<Peer>,
    body: Result<Json<ByPassword>, JsonRejection>,
) -> Result<Response, Refused> {
    let given = taken(body)?;
    let now_ms = now_ms();
    portal.tries.may_try(peer)?;
    let account = portal.store.account(given.user.trim()).await?;
    let wait_ms =
        account.as_ref().map_or(0, |account| wait_ms(account.failures, account.failed_at_ms, now_ms));
    if wait_ms > 0 {
        return Err(Refused::TooManyTries(wait_ms / 1000 + 1));
    }
    if let Some(account) = &account {
        // Counted as failed until it is known to be right: many tries at once count as many.
        portal.store.sign_in_failed(&account.name, now_ms).await?;
    }
    let known = account.as_ref().map(|account| account.password.clone());
    let is_right = password::is_right(given.password, known).await;
    let step = account.as_ref().and_then(|account| totp::step_of(&account.totp, &given.code, now_ms / 1000));
    let (Some(account), Some(step), true) = (account, step, is_right) else {
        return Err(portal.tries.failed(peer));
    };
    // A code is good once.
    if !portal.store.sign_in_succeeded(&account.name, step).await? {
        return Err(portal.tries.failed(peer));
    }
    let cookie = caller::begin(&portal.store, &session_of(&account, None, now_ms)).await?;
    let home = home(&portal, &account, None).await?;
    Ok(signed_in(cookie, home))
}

async fn sign_out(State(portal): Here, caller: Caller) -> Result<Response, Refused> {
    portal.store.end_session(&caller.digest).await?;
    Ok(([(SET_COOKIE, caller::forget())], Json(json!({}))).into_response())
}

fn session_of(account: &Account, credential: Option<Vec<u8>>, now_ms: i64) -> Session {
    let account = Some(account.name.clone());
    Session { account, credential, link: None, began_at_ms: now_ms, seen_at_ms: now_ms }
}

fn signed_in(cookie: HeaderValue, home: Home) -> Response {
    ([(SET_COOKIE, cookie)], Json(home)).into_response()
}

impl Portal {
    /// A challenge for a passkey: of an account that adds a device, or of whoever signs in.
    pub(crate) async fn challenge(&self, account: Option<&str>) -> Result<[u8; 32], Refused> {
        let (mut challenge, now_ms) = ([0; 32], now_ms());
        aws_lc_rs::rand::fill(&mut challenge).map_err(|_| Refused::Ours)?;
        let at = (now_ms, now_ms - CHALLENGE_MAX_MS);
        let added = self.store.add_challenge(&challenge, account, at, CHALLENGES_MAX).await?;
        if added { Ok(challenge) } else { Err(Refused::TooManyTries(CHALLENGE_MAX_MS / 1000)) }
    }
}

/// Failures of addresses, and of everybody together.
#[derive(Default)]
pub(crate) struct Tries {
    addresses: Addresses,
    all: Mutex<Option<(Instant, u32)>>,
}

impl Tries {
    pub(crate) fn may_try(&self, Peer(peer): Peer) -> Result<(), Refused> {
        let now = Instant::now();
        let all = *self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let are_many = all.is_some_and(|(since, count)| {
            count >= FAILURES_MAX && now.duration_since(since) < FAILURES_WINDOW
        });
        if are_many || !self.addresses.may_try(peer.ip(), now) {
            return Err(Refused::TooManyTries(FAILURE_WAIT_MAX_MS / 1000));
        }
        Ok(())
    }

    pub(crate) fn failed(&self, Peer(peer): Peer) -> Refused {
        let now = Instant::now();
        self.addresses.failed(peer.ip(), now);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        *all = match *all {
            Some((since, count)) if now.duration_since(since) < FAILURES_WINDOW => {
                Some((since, count.saturating_add(1)))
            }
            _ => Some((now, 1)),
        };
        Refused::Wrong
    }
}
