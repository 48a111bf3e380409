//! Why a request is not answered as asked: a code, and who must act.

use super::store::StoreError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use seal::mailbox::MailboxError;
use serde_json::json;

/// The codes of `docs/spec-portal.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nobody is signed in, or no longer.
    SignedOut,
    /// Not for this session, or not from our own app.
    NotAllowed,
    /// Only for a device with a passkey.
    NeedsDevice,
    /// Password, code, passkey or passphrase.
    Wrong,
    /// Seconds to wait.
    TooManyTries(i64),
    /// There is no such thing.
    Unknown,
    /// A piece of the delivery is in no folder of the mailbox.
    PieceMissing,
    /// It was there, and was deleted.
    Gone,
    /// The mail server cannot be reached or used. True: the operator must act.
    MailboxDown(bool),
    /// The mailbox was made anew meanwhile: ask again.
    MailboxChanged,
    /// More than may be.
    TooLarge,
    /// Not as in the specification.
    BadRequest,
    /// We cannot.
    Ours,
}

/// Seconds after which a mailbox that is down is worth another try.
const RETRY_AFTER: i64 = 5;

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, code, who, retry_after) = match self {
            Self::SignedOut => (StatusCode::UNAUTHORIZED, "signed_out", "doctor", None),
            Self::NotAllowed => (StatusCode::FORBIDDEN, "not_allowed", "doctor", None),
            Self::NeedsDevice => (StatusCode::FORBIDDEN, "needs_device", "doctor", None),
            Self::Wrong => (StatusCode::FORBIDDEN, "wrong", "doctor", None),
            Self::TooManyTries(seconds) => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_tries", "doctor", Some(seconds))
            }
            Self::Unknown => (StatusCode::NOT_FOUND, "unknown", "doctor", None),
            Self::PieceMissing => (StatusCode::NOT_FOUND, "piece_missing", "hospital", None),
            Self::Gone => (StatusCode::GONE, "gone", "hospital", None),
            Self::MailboxDown(operator) => {
                let who = if operator { "operator" } else { "us" };
                (StatusCode::SERVICE_UNAVAILABLE, "mailbox_down", who, Some(RETRY_AFTER))
            }
            Self::MailboxChanged => (StatusCode::CONFLICT, "mailbox_changed", "us", Some(1)),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "us", None),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad_request", "us", None),
            Self::Ours => (StatusCode::SERVICE_UNAVAILABLE, "ours", "operator", Some(RETRY_AFTER)),
        };
        (status, Json(json!({"error": code, "who": who, "retry_after": retry_after}))).into_response()
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(act = "operator", "{error}");
        Self::Ours
    }
}

impl From<MailboxError> for Refused {
    fn from(error: MailboxError) -> Self {
        match error {
            MailboxError::Gone => Self::Gone,
            MailboxError::TooLarge { .. } => Self::TooLarge,
            error => {
                tracing::warn!(act = "operator", "a mailbox cannot be used: {error}");
                Self::MailboxDown(!error.is_temporary())
            }
        }
    }
}
