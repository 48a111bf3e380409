//! Who makes a request: the cookie and the session behind it.

use super::Shared;
use super::limits::{
    DEVICE_IDLE_MAX_MS, DEVICE_SESSION_MAX_MS, LINK_IDLE_MAX_MS, LINK_SESSION_MAX_MS, LIST_IDLE_MAX_MS,
    LIST_SESSION_MAX_MS, SEEN_EVERY_MS,
};
use super::mailbox::Watched;
use super::refused::Refused;
use super::store::{Account, Session, Store};
use super::{Portal, now_ms};
use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A browser takes and gives it over HTTPS of this host alone (RFC 6265bis 4.1.3.2).
const COOKIE: &str = "__Host-scanpost";
/// Characters of 256 random bits.
const SECRET_CHARS: usize = 43;

/// Under which digest a session is known.
pub(crate) type SessionDigest = [u8; 32];

/// Somebody with a session.
pub(crate) struct Caller {
    pub(crate) digest: SessionDigest,
    pub(crate) session: Session,
}

/// A doctor, signed in by password and code, or by a passkey.
pub(crate) struct Doctor {
    pub(crate) caller: Caller,
    pub(crate) account: Account,
    pub(crate) mailbox: Arc<Watched>,
}

/// A doctor on a device with a passkey.
pub(crate) struct OnDevice {
    pub(crate) doctor: Doctor,
    pub(crate) credential: Vec<u8>,
}

/// Begins a session; gives the value of `Set-Cookie`.
pub(crate) async fn begin(store: &Store, session: &Session) -> Result<HeaderValue, Refused> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Refused::Ours)?;
    let secret = URL_SAFE_NO_PAD.encode(bytes);
    let forgotten_before_ms = session.began_at_ms - DEVICE_SESSION_MAX_MS;
    store.begin_session(&Sha256::digest(&secret).into(), session, forgotten_before_ms).await?;
    HeaderValue::from_str(&set_cookie(&secret)).map_err(|_| Refused::Ours)
}

/// Takes the cookie away.
pub(crate) fn forget() -> HeaderValue {
    HeaderValue::from_static("__Host-scanpost=; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=0")
}

fn set_cookie(secret: &str) -> String {
    format!("{COOKIE}={secret}; Path=/; HttpOnly; Secure; SameSite=Strict")
}

fn secret_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == COOKIE && value.len() == SECRET_CHARS).map(|(_, value)| value)
}

/// The session of a digest, if it is still good.
pub(crate) async fn session(
    store: &Store,
    digest: &SessionDigest,
    now_ms: i64,
) -> Result<Option<Session>, Refused> {
    let session = store.session(digest).await?;
    Ok(session.filter(|session| is_good(session, now_ms)))
}

fn is_good(session: &Session, now_ms: i64) -> bool {
    let (idle_max_ms, age_max_ms) = match session {
        Session { link: Some(_), .. } => (LINK_IDLE_MAX_MS, LINK_SESSION_MAX_MS),
        Session { credential: Some(_), .. } => (DEVICE_IDLE_MAX_MS, DEVICE_SESSION_MAX_MS),
        _ => (LIST_IDLE_MAX_MS, LIST_SESSION_MAX_MS),
    };
    // A session of the future is one of a clock that was set back.
    (0..=idle_max_ms + SEEN_EVERY_MS).contains(&(now_ms - session.seen_at_ms))
        && (0..=age_max_ms).contains(&(now_ms - session.began_at_ms))
}

/// What the app does without its doctor is no sign of a person (SPEC 1.3).
fn is_by_itself(uri: &Uri) -> bool {
    uri.path() == "/api/events"
        || uri.query().is_some_and(|query| query.split('&').any(|one| one == "idle=1"))
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, portal: &Shared) -> Result<Self, Refused> {
        let secret = secret_of(&parts.headers).ok_or(Refused::SignedOut)?;
        let (digest, now_ms) = (Sha256::digest(secret).into(), now_ms());
        let session = session(&portal.store, &digest, now_ms).await?.ok_or(Refused::SignedOut)?;
        if !is_by_itself(&parts.uri) && now_ms - session.seen_at_ms >= SEEN_EVERY_MS {
            portal.store.session_seen(&digest, now_ms).await?;
        }
        Ok(Self { digest, session })
    }
}

impl FromRequestParts<Shared> for Doctor {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, portal: &Shared) -> Result<Self, Refused> {
        Self::of(Caller::from_request_parts(parts, portal).await?, portal).await
    }
}

impl Doctor {
    /// The doctor whose session it is.
    ///
    /// # Errors
    /// [`Refused::NeedsDevice`] for a guest.
    pub(crate) async fn of(caller: Caller, portal: &Portal) -> Result<Self, Refused> {
        let name = caller.session.account.as_deref().ok_or(Refused::NeedsDevice)?;
        let account = portal.store.account(name).await?.ok_or(Refused::SignedOut)?;
        let mailbox = portal.mailbox_of(&account)?;
        Ok(Self { caller, account, mailbox })
    }
}

impl FromRequestParts<Shared> for OnDevice {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, portal: &Shared) -> Result<Self, Refused> {
        let doctor = Doctor::from_request_parts(parts, portal).await?;
        let credential = doctor.caller.session.credential.clone().ok_or(Refused::NeedsDevice)?;
        Ok(Self { doctor, credential })
    }
}

impl Portal {
    /// The mailbox of an account; the operator may have taken it out of the configuration.
    pub(crate) fn mailbox_of(&self, account: &Account) -> Result<Arc<Watched>, Refused> {
        self.mailboxes.get(&account.mailbox).cloned().ok_or_else(|| {
            tracing::error!(act = "operator", "an account names a mailbox that is not in [portal.mailboxes]");
            Refused::Ours
        })
    }
}
