//! Headers of every answer, and what every request that changes something must carry.

use super::Shared;
use super::refused::Refused;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Nothing but our own files; no inline script or style, no frame, no form, no other host. `wasm-unsafe-eval` lets WebAssembly be compiled, and no
/// script be made of text; where the browser has Trusted Types, no markup either, and the app's one policy names the scripts that it starts.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
     require-trusted-types-for 'script'; trusted-types scanpost";

const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "microphone=(), geolocation=(), display-capture=(), usb=(), publickey-credentials-get=(self), publickey-credentials-create=(self)",
    ),
];

/// A browser lets no other site add this to a request without asking us first, and we never agree.
const OURS: HeaderName = HeaderName::from_static("x-scanpost");

/// Refuses what may come from another site, and adds the headers.
pub(crate) async fn guard(State(portal): State<Shared>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let mut answer = if changes && !is_own(request.headers(), &portal.settings.origin) {
        Refused::NotAllowed.into_response()
    } else {
        next.run(request).await
    };
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}

fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    text(OURS) == Some("1")
        && text(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin")
        && text(header::ORIGIN).is_none_or(|from| from == origin)
}
