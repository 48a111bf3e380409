//! Devices of a doctor: a passkey each, and the keys that it wrapped.

use super::caller::{Doctor, OnDevice};
use super::limits::{CHALLENGE_MAX_MS, DEVICES_MAX, KEYS_BYTES_MAX};
use super::refused::Refused;
use super::sign_in::{Bytes, taken};
use super::store::Device;
use super::{Here, Shared, now_ms};
use axum::body::Bytes as Body;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seal::enrol::device_fits;
use seal::ids::Digest;
use serde::Deserialize;
use serde_json::{Value, json};

/// In the place of a credential: the copy that the recovery key opens.
const RECOVERY: &str = "recovery";
/// ECDSA on P-256 with SHA-256 (RFC 9053 2.1).
const ES256: i32 = -7;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/devices", get(list))
        .route("/api/devices/begin", post(begin))
        .route("/api/devices/finish", post(finish))
        .route("/api/devices/{credential}", delete(remove))
        .route("/api/keys/{credential}", put(keep_keys))
}

/// PublicKeyCredentialCreationOptions (WebAuthn 5.4), bytes in base64url.
async fn begin(State(portal): Here, doctor: Doctor) -> Result<Json<Value>, Refused> {
    let account = &doctor.account;
    let challenge = portal.challenge(Some(&account.name)).await?;
    let known: Vec<Value> = portal
        .store
        .devices(&account.name)
        .await?
        .iter()
        .map(|device| json!({"type": "public-key", "id": URL_SAFE_NO_PAD.encode(&device.credential)}))
        .collect();
    Ok(Json(json!({
        "challenge": URL_SAFE_NO_PAD.encode(challenge),
        "rp": {"id": portal.relying.id, "name": "Scanpost"},
        "user": {"id": URL_SAFE_NO_PAD.encode(&account.handle), "name": account.name, "displayName": account.name},
        "pubKeyCredParams": [{"type": "public-key", "alg": ES256}],
        "excludeCredentials": known,
        "authenticatorSelection": {"residentKey": "required", "requireResidentKey": true, "userVerification": "required"},
        "attestation": "none",
        "timeout": CHALLENGE_MAX_MS,
        "extensions": {"prf": {}},
    })))
}

#[derive(Deserialize)]
struct Finish {
    credential: Bytes,
    client_data: Bytes,
    attestation: Bytes,
    name: String,
}

/// The session is of the new device from then on.
async fn finish(
    State(portal): Here,
    doctor: Doctor,
    body: Result<Json<Finish>, JsonRejection>,
) -> Result<Json<Value>, Refused> {
    let finish = taken(body)?;
    if !device_fits(&finish.name) {
        return Err(Refused::BadRequest);
    }
    let challenge = portal.relying.challenge(&finish.client_data.0, true).map_err(|_| Refused::Wrong)?;
    let (name, now_ms) = (&doctor.account.name, now_ms());
    if !portal.store.take_challenge(&challenge, Some(name), now_ms - CHALLENGE_MAX_MS).await? {
        return Err(Refused::Wrong);
    }
    let made = portal.relying.register(&finish.attestation.0).map_err(|_| Refused::Wrong)?;
    if made.credential != finish.credential.0 {
        return Err(Refused::Wrong);
    }
    let device = Device {
        credential: made.credential,
        account: name.clone(),
        name: finish.name,
        public_key: made.public_key.to_vec(),
        sign_count: made.sign_count,
        added_at_ms: now_ms,
        used_at_ms: now_ms,
        keys: None,
        has_push: false,
    };
    if !portal.store.add_device(&device, DEVICES_MAX).await? {
        return Err(Refused::TooLarge);
    }
    portal.store.session_of(&doctor.caller.digest, &device.credential).await?;
    tracing::info!("a device was added");
    Ok(Json(json!({})))
}

async fn list(State(portal): Here, doctor: Doctor) -> Result<Json<Value>, Refused> {
    let devices = portal.store.devices(&doctor.account.name).await?;
    let shown = devices.iter().map(|device| {
        json!({
            "credential": URL_SAFE_NO_PAD.encode(&device.credential),
            "name": device.name,
            "added_at": device.added_at_ms / 1000,
            "last_used_at": device.used_at_ms / 1000,
            "has_keys": device.keys.is_some(),
            "has_push": device.has_push,
        })
    });
    Ok(Json(Value::from(shown.collect::<Vec<_>>())))
}

async fn remove(
    State(portal): Here,
    doctor: Doctor,
    Path(credential): Path<String>,
) -> Result<Json<Value>, Refused> {
    let credential = URL_SAFE_NO_PAD.decode(credential).map_err(|_| Refused::BadRequest)?;
    let removed = portal.store.remove_device(&doctor.account.name, &credential).await?;
    if removed { Ok(Json(json!({}))) } else { Err(Refused::Unknown) }
}

#[derive(Deserialize)]
struct Identity {
    identity: String,
}

async fn keep_keys(
    State(portal): Here,
    on: OnDevice,
    Path(credential): Path<String>,
    Query(query): Query<Identity>,
    body: Result<Body, BytesRejection>,
) -> Result<Json<Value>, Refused> {
    let blob = body.map_err(|_| Refused::TooLarge)?;
    if blob.len() > KEYS_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    let identity = Digest::parse(&query.identity).ok_or(Refused::BadRequest)?;
    let kept = if credential == RECOVERY {
        portal.store.put_recovery(&on.doctor.account.name, &blob, &identity.0).await?
    } else {
        let credential = URL_SAFE_NO_PAD.decode(credential).map_err(|_| Refused::BadRequest)?;
        // Nobody else could have wrapped them for it.
        credential == on.credential && portal.store.put_keys(&credential, &blob, &identity.0).await?
    };
    if kept { Ok(Json(json!({}))) } else { Err(Refused::NotAllowed) }
}
