//! Which system makes a request, and what it sends.

use super::super::Shared;
use super::problem::Problem;
use crate::journal::Role;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Json, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::time::Instant;
use web::server::Peer;

/// A system with a good token.
pub(super) struct Caller {
    /// As it stands in journal and audit trail.
    pub(super) name: String,
    role: Role,
}

impl Caller {
    /// One that may send studies.
    pub(super) fn sends(self) -> Result<Self, Problem> {
        if self.role.may_send() { Ok(self) } else { Err(Problem::ROLE) }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, page: &Shared) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().ok_or(Problem::OURS)?.0;
        let given = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or(Problem::TOKEN)?;
        if !page.addresses.may_try(peer.ip(), Instant::now()) {
            return Err(Problem::WAIT);
        }
        match page.journal.token(&digest(token.trim())).await? {
            Some(token) => Ok(Self { name: format!("system {}", token.name), role: token.role }),
            None => {
                page.addresses.failed(peer.ip(), Instant::now());
                Err(Problem::TOKEN)
            }
        }
    }
}

/// What the journal knows a token by.
pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, page: &Shared) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, page).await {
            Ok(Json(body)) => Ok(Self(body)),
            // The library's words repeat the caller's, which may name a patient.
            Err(JsonRejection::JsonDataError(_)) => {
                Err(Problem::malformed("the JSON has not the fields that /api/v1/openapi.json describes"))
            }
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(Problem::malformed("send Content-Type: application/json"))
            }
            Err(_) => Err(Problem::malformed("the body is no JSON, or too long")),
        }
    }
}
