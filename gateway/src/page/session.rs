//! Who makes a request: the cookie, the session behind it, and whether a form came from our own page.

use super::limits::{ADMINISTRATOR_IDLE_MAX_MS, SEEN_EVERY_MS, SESSION_MAX_MS, TECHNICIAN_IDLE_MAX_MS};
use super::pictures::is_picture;
use super::words::Language;
use super::{Refused, Shared};
use crate::clock::now_ms;
use crate::journal::{Role, Session};
use aws_lc_rs::{hmac, rand};
use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use web::server::Peer;

/// 256 random bits, in the visitor's cookie alone.
#[derive(Clone)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn random() -> Self {
        let mut bytes = [0; 32];
        // Without random numbers nothing of TLS works either.
        let _ = rand::fill(&mut bytes);
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// For a system that keeps it itself.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// What the journal knows it by.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// Goes into each form of this visitor's pages; a foreign page cannot know it.
    pub(super) fn csrf(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key_of("csrf"))
    }

    /// A key of this session alone, for one purpose.
    pub(super) fn key_of(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(&key, purpose.as_bytes()).as_ref());
        bytes
    }

    /// Lax would do for links from elsewhere; nothing of ours is linked from there.
    pub(super) fn cookie(&self, plain: bool) -> String {
        set_cookie(name(plain), &self.0, plain)
    }

    fn of(headers: &HeaderMap, plain: bool) -> Option<Self> {
        cookie_of(headers, name(plain)).filter(|value| value.len() == 43).map(|value| Self(value.to_owned()))
    }
}

/// `__Host-`: a browser takes and gives it over HTTPS of this host alone (RFC 6265bis 4.1.3.2).
fn name(plain: bool) -> &'static str {
    if plain { "scanpost" } else { "__Host-scanpost" }
}

/// A cookie of this session of the browser.
pub(super) fn set_cookie(name: &str, value: &str, plain: bool) -> String {
    let secure = if plain { "" } else { "; Secure" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}")
}

fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Anybody, signed in or not.
pub(super) struct Visitor {
    pub(super) secret: Option<Secret>,
    pub(super) language: Language,
    pub(super) peer: SocketAddr,
}

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, page: &Shared) -> Result<Self, Refused> {
        let peer = parts.extensions.get::<Peer>().ok_or(Refused::Ours)?.0;
        let secret = Secret::of(&parts.headers, page.settings.plain);
        Ok(Self { secret, language: language(&parts.headers), peer })
    }
}

/// The name of the cookie that keeps the language.
pub(super) const LANGUAGE_COOKIE: &str = "scanpost-language";

fn language(headers: &HeaderMap) -> Language {
    if let Some(language) = cookie_of(headers, LANGUAGE_COOKIE).and_then(Language::of_code) {
        return language;
    }
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::accepted(accepted.unwrap_or_default())
}

/// Whether our script asks, and not a form.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"))
}

/// Somebody who has signed in.
pub(super) struct Person {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) secret: Secret,
    pub(super) language: Language,
    pub(super) peer: SocketAddr,
}

impl FromRequestParts<Shared> for Person {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, page: &Shared) -> Result<Self, Refused> {
        let visitor = Visitor::from_request_parts(parts, page).await?;
        let secret = visitor.secret.ok_or(Refused::SignIn)?;
        let now_ms = now_ms();
        let session = session(page, &secret, now_ms).await?.ok_or(Refused::SignIn)?;
        // A live line and its pictures are no sign of a person.
        let path = parts.uri.path();
        let is_automatic = path.ends_with("/live") || is_picture(path);
        if !is_automatic && now_ms - session.seen_at_ms >= SEEN_EVERY_MS {
            page.journal.session_seen(&secret.digest(), now_ms).await?;
        }
        let Visitor { language, peer, .. } = visitor;
        Ok(Self { name: session.account, role: session.role, secret, language, peer })
    }
}

/// The session of a cookie, if it is still good.
pub(super) async fn session(page: &Shared, secret: &Secret, now_ms: i64) -> Result<Option<Session>, Refused> {
    let session = page.journal.session(&secret.digest()).await?;
    Ok(session.filter(|session| is_good(session, now_ms)))
}

fn is_good(session: &Session, now_ms: i64) -> bool {
    let idle_max_ms = match session.role {
        Role::Technician => TECHNICIAN_IDLE_MAX_MS,
        Role::Administrator | Role::Auditor => ADMINISTRATOR_IDLE_MAX_MS,
    };
    let idle_ms = now_ms - session.seen_at_ms;
    let age_ms = now_ms - session.began_at_ms;
    // A session of the future is one of a clock that was set back.
    (0..=idle_max_ms + SEEN_EVERY_MS).contains(&idle_ms) && (0..=SESSION_MAX_MS).contains(&age_ms)
}

/// Fields of a form, in their order.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first of this name; empty where there is none.
    pub(super) fn one(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// All of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a box is ticked.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

/// A form from one of our own pages, by somebody who has signed in.
pub(super) struct Posted {
    pub(super) person: Person,
    pub(super) fields: Fields,
}

impl FromRequest<Shared> for Posted {
    type Rejection = Refused;

    async fn from_request(request: Request, page: &Shared) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let person = Person::from_request_parts(&mut parts, page).await?;
        let fields = own_form(&person.secret, Request::from_parts(parts, body), page).await?;
        Ok(Self { person, fields })
    }
}

/// A form from one of our own pages, by somebody who signs in with it.
pub(super) struct PostedByVisitor {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

impl FromRequest<Shared> for PostedByVisitor {
    type Rejection = Refused;

    async fn from_request(request: Request, page: &Shared) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, page).await?;
        // Without the cookie of the form: an old page, or a browser that takes none.
        let secret = visitor.secret.clone().ok_or(Refused::SignIn)?;
        let fields = own_form(&secret, Request::from_parts(parts, body), page).await?;
        Ok(Self { visitor, fields })
    }
}

async fn own_form(secret: &Secret, request: Request, page: &Shared) -> Result<Fields, Refused> {
    if !is_own_origin(request.headers(), page.settings.plain) {
        return Err(Refused::Foreign);
    }
    let Form(pairs) = Form::from_request(request, page).await.map_err(|_| Refused::Form)?;
    let fields = Fields(pairs);
    let given = fields.one("csrf").as_bytes();
    aws_lc_rs::constant_time::verify_slices_are_equal(given, secret.csrf().as_bytes())
        .map_err(|_| Refused::Foreign)?;
    Ok(fields)
}

/// Every browser of today says where a form came from.
fn is_own_origin(headers: &HeaderMap, plain: bool) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let scheme = if plain { "http" } else { "https" };
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin == format!("{scheme}://{host}"),
        _ => false,
    }
}
