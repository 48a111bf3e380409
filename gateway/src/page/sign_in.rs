//! Signing in and out, one's own password, and the language.

use super::layout::{self, Place, hidden, notice};
use super::limits::SESSION_MAX_MS;
use super::session::{
    Fields, LANGUAGE_COOKIE, Person, Posted, PostedByVisitor, Secret, Visitor, session, set_cookie,
};
use super::words::{Language, Words, fill};
use super::{Refused, Shared};
use crate::audit::{Message, Outcome};
use crate::clock::now_ms;
use crate::journal::{Account, Actor};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::net::SocketAddr;
use std::time::Instant;
use web::throttle::{FAILURE_WAIT_MAX_MS, wait_ms};
use web::{password, totp};

/// What is written of a name that is no account's: it may be a password typed into the wrong field.
const UNKNOWN: &str = "(unknown account)";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/sign-in", get(form).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/account", get(account).post(change_password))
        .route("/language", post(language))
}

async fn form(State(page): State<Shared>, visitor: Visitor) -> Result<Response, Refused> {
    if let Some(secret) = &visitor.secret
        && session(&page, secret, now_ms()).await?.is_some()
    {
        return Ok(Redirect::to("/").into_response());
    }
    Ok(show(&page, visitor.language, StatusCode::OK, None))
}

/// With a cookie of its own, so that the form can be known as ours.
fn show(page: &Shared, language: Language, status: StatusCode, bad: Option<&str>) -> Response {
    let secret = Secret::random();
    let words = language.words();
    let content = html! {
        form .sheet .narrow method="post" action="/sign-in" {
            h1 { (words.sign_in) }
            @if let Some(bad) = bad { (notice(bad, true)) }
            (hidden(&secret.csrf()))
            label { (words.name) input name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus; }
            label { (words.password) input type="password" name="password" autocomplete="current-password" required; }
            label {
                (words.code)
                input .code name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="7" aria-describedby="code-hint";
            }
            p #code-hint .hint { (words.code_hint) }
            button .main { (words.sign_in) }
        }
    };
    let content = layout::bare(language, words.sign_in, &secret.csrf(), &content);
    (status, AppendHeaders([(SET_COOKIE, secret.cookie(page.settings.plain))]), content).into_response()
}

async fn sign_in(State(page): State<Shared>, posted: PostedByVisitor) -> Result<Response, Refused> {
    let PostedByVisitor { visitor, fields } = posted;
    let words = visitor.language.words();
    let refused = |status, text: &str| Ok(show(&page, visitor.language, status, Some(text)));
    match check(&page, visitor.peer, &fields).await? {
        Checked::Wrong => refused(StatusCode::FORBIDDEN, words.wrong),
        Checked::Wait(wait_ms) => {
            let seconds = (wait_ms / 1000 + 1).to_string();
            refused(StatusCode::TOO_MANY_REQUESTS, &fill(words.wait, &[&seconds]))
        }
        // Always under a new id: whoever planted the old one has nothing.
        Checked::Right(account) => {
            let (secret, at_ms) = (Secret::random(), now_ms());
            page.journal
                .begin_session(&secret.digest(), &account.name, at_ms, at_ms - SESSION_MAX_MS)
                .await?;
            let cookie = secret.cookie(page.settings.plain);
            Ok((AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to("/")).into_response())
        }
    }
}

enum Checked {
    Right(Account),
    Wrong,
    /// Milliseconds.
    Wait(i64),
}

async fn check(page: &Shared, peer: SocketAddr, fields: &Fields) -> Result<Checked, Refused> {
    let (at_ms, now) = (now_ms(), Instant::now());
    if !page.addresses.may_try(peer.ip(), now) {
        return Ok(Checked::Wait(FAILURE_WAIT_MAX_MS));
    }
    let account = page.journal.account(fields.one("name").trim()).await?;
    let wait = account.as_ref().map_or(0, |account| wait_ms(account.failures, account.failed_at_ms, at_ms));
    if wait > 0 {
        return Ok(Checked::Wait(wait));
    }
    if let Some(account) = account.clone() {
        // Counted as failed until it is known to be right: many tries at once count as many.
        page.journal.sign_in_failed(&account.name, at_ms).await?;
    }
    let known = account.as_ref().map(|account| account.password.clone());
    let is_right = password::is_right(fields.one("password").to_owned(), known).await;
    let name = account.as_ref().map_or(UNKNOWN, |account| account.name.as_str()).to_owned();
    if let (true, Some(account)) = (is_right, account) {
        let needs_code = account.has_totp || page.needs_second_factor(account.role);
        let secret = page.journal.totp_secret(&account.name).await?;
        let step = secret.and_then(|secret| totp::step_of(&secret, fields.one("code"), at_ms / 1000));
        if (step.is_some() || !needs_code) && page.journal.sign_in_succeeded(&account.name, step).await? {
            page.audit.record(Message::user(&name, peer, true, Outcome::Success)).await?;
            return Ok(Checked::Right(account));
        }
    }
    page.addresses.failed(peer.ip(), now);
    page.audit.record(Message::user(&name, peer, true, Outcome::SeriousFailure)).await?;
    Ok(Checked::Wrong)
}

async fn sign_out(State(page): State<Shared>, posted: Posted) -> Result<Response, Refused> {
    let person = posted.person;
    page.journal.end_session(&person.secret.digest()).await?;
    page.audit.record(Message::user(&person.name, person.peer, false, Outcome::Success)).await?;
    Ok(Redirect::to("/sign-in").into_response())
}

async fn account(person: Person) -> Markup {
    account_page(&person, None)
}

fn account_page(person: &Person, said: Option<(&str, bool)>) -> Markup {
    let words = person.language.words();
    let field = |label: &str, name: &str, complete: &str| {
        html! { label { (label) input type="password" name=(name) autocomplete=(complete) required; } }
    };
    let content = html! {
        form .sheet .narrow method="post" action="/account" {
            h1 { (words.change_password) }
            @if let Some((text, is_bad)) = said { (notice(text, is_bad)) }
            (hidden(&person.secret.csrf()))
            (field(words.old_password, "old", "current-password"))
            (field(words.new_password, "new", "new-password"))
            (field(words.again_password, "again", "new-password"))
            p .hint { (words.password_rule) }
            button .main { (words.change_password) }
        }
    };
    layout::page(person, Place::Account, words.account, &content)
}

async fn change_password(State(page): State<Shared>, posted: Posted) -> Result<Markup, Refused> {
    let Posted { person, fields } = posted;
    let said = changed(&page, &person, &fields, person.language.words()).await?;
    Ok(account_page(&person, Some(said)))
}

async fn changed(
    page: &Shared,
    person: &Person,
    fields: &Fields,
    words: &'static Words,
) -> Result<(&'static str, bool), Refused> {
    let new = fields.one("new");
    if new != fields.one("again") {
        return Ok((words.password_differs, true));
    }
    if !password::is_long_enough(new) {
        return Ok((words.password_rule, true));
    }
    let at_ms = now_ms();
    let known = page.journal.account(&person.name).await?.ok_or(Refused::SignIn)?;
    // A stolen session guesses no password.
    if wait_ms(known.failures, known.failed_at_ms, at_ms) > 0 {
        return Ok((words.password_wrong, true));
    }
    if !password::is_right(fields.one("old").to_owned(), Some(known.password)).await {
        page.journal.sign_in_failed(&person.name, at_ms).await?;
        return Ok((words.password_wrong, true));
    }
    let hash = password::hash(new.to_owned()).await.ok_or(Refused::Ours)?;
    let actor = Actor { by: &person.name, at_ms };
    page.journal.set_password(&person.name, &hash, &person.secret.digest(), actor).await?;
    Ok((words.password_changed, false))
}

async fn language(State(page): State<Shared>, posted: PostedByVisitor) -> Response {
    let language = Language::of_code(posted.fields.one("language")).unwrap_or(posted.visitor.language);
    let cookie = set_cookie(LANGUAGE_COOKIE, language.code(), page.settings.plain);
    (AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to("/")).into_response()
}
