//! What a program is told when its request is not done (RFC 9457). No patient data.

use super::super::Refused;
use crate::journal::JournalError;
use crate::pipeline::WishError;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::borrow::Cow;

/// Status and words.
#[derive(Debug)]
pub(super) struct Problem(StatusCode, Cow<'static, str>);

impl Problem {
    pub(super) const MISSING: Self = Self::new(StatusCode::NOT_FOUND, "there is no such thing here");
    pub(super) const METHOD: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "see /api/v1/openapi.json for what can be done here");
    pub(super) const TOKEN: Self = Self::new(
        StatusCode::UNAUTHORIZED,
        "send Authorization: Bearer TOKEN (operator: scanpost-gateway token add makes one)",
    );
    pub(super) const WAIT: Self =
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens from this address: try again later");
    pub(super) const ROLE: Self = Self::new(
        StatusCode::FORBIDDEN,
        "this token may look and not send (operator: make one with --role technician)",
    );
    pub(super) const OURS: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway cannot do it now (operator: see its log)");

    pub(super) const fn new(status: StatusCode, words: &'static str) -> Self {
        Self(status, Cow::Borrowed(words))
    }

    /// The request cannot be understood.
    pub(super) fn malformed(words: impl Into<String>) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, Cow::Owned(words.into()))
    }

    /// The state of things does not allow it now.
    pub(super) const fn conflict(words: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, words)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(status, detail) = self;
        let title = status.canonical_reason().unwrap_or_default();
        let body =
            json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
        let mut answer =
            (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response();
        if status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "the interface for programs cannot use the journal");
        Self::OURS
    }
}

impl From<WishError> for Problem {
    fn from(error: WishError) -> Self {
        match error {
            WishError::Trouble(_) => {
                tracing::error!(%error, "a wish of a program cannot be granted");
                Self::OURS
            }
            // Names of doctors and PACS are the caller's own words.
            WishError::NoSuchDoctor(_) => {
                Self::new(StatusCode::NOT_FOUND, "there is no doctor of this name: see /api/v1/doctors")
            }
            WishError::NoSuchPacs(_) => {
                Self::new(StatusCode::NOT_FOUND, "no PACS of this name is configured")
            }
            WishError::Nobody | WishError::NoHold => Self::malformed(error.to_string()),
        }
    }
}

impl From<Refused> for Problem {
    fn from(_: Refused) -> Self {
        Self::OURS
    }
}
