//! Accounts, for an administrator.

use super::layout::{self, Place, hidden, notice, qr};
use super::session::{Person, Posted};
use super::words::{Words, fill};
use super::{Refused, Shared};
use crate::clock::now_ms;
use crate::journal::{Account, Actor, NewAccount, Role};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use web::{password, totp};

/// Handed-over passwords that wait for their page: each administrator has one at a time.
const MADE_MAX: usize = 64;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/accounts", get(list).post(add))
        .route("/accounts/reset", post(reset))
        .route("/accounts/lock", post(lock))
}

/// Whether a name can be an account's.
pub(super) fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte))
}

/// What a new or reset account is handed over with, once.
pub(super) struct Handed {
    pub(super) password: String,
    pub(super) totp: Option<[u8; 20]>,
    /// PHC string.
    pub(super) hash: String,
}

impl Handed {
    pub(super) async fn new(chosen: Option<String>, with_totp: bool) -> Option<Self> {
        let password = chosen.unwrap_or_else(password::random);
        let hash = password::hash(password.clone()).await?;
        Some(Self { password, totp: with_totp.then(totp::secret), hash })
    }

    pub(super) fn account<'a>(&'a self, name: &'a str, role: Role) -> NewAccount<'a> {
        NewAccount { name, role, password: &self.hash, totp: self.totp.as_ref().map(<[u8; 20]>::as_slice) }
    }
}

/// What was made for somebody, until the administrator's next page shows it: a page that is loaded again makes nothing anew.
#[derive(Default)]
pub(super) struct Made(Mutex<HashMap<[u8; 32], (String, Handed)>>);

impl Made {
    fn put(&self, person: &Person, name: &str, handed: Handed) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of administrators who never looked.
        if made.len() >= MADE_MAX {
            made.clear();
        }
        made.insert(person.secret.digest(), (name.to_owned(), handed));
    }

    fn take(&self, person: &Person) -> Option<(String, Handed)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&person.secret.digest())
    }
}

async fn list(State(page): State<Shared>, person: Person) -> Result<Markup, Refused> {
    if !person.role.may_inspect() {
        return Err(Refused::Role);
    }
    let said = match page.made.take(&person) {
        Some((name, handed)) => handed_over(&page, &name, &handed, person.language.words()),
        None => html! {},
    };
    show(&page, &person, &said).await
}

async fn show(page: &Shared, person: &Person, said: &Markup) -> Result<Markup, Refused> {
    let words = person.language.words();
    let accounts = page.journal.accounts().await?;
    let may_change = person.role.may_administer();
    let content = html! {
        div .sheet {
            h1 { (words.accounts) }
            (said)
            div .wide { table {
                thead { tr { th { (words.name) } th { (words.role) } th { (words.second_factor) } @if may_change { td {} } } }
                tbody { @for account in &accounts { (row(account, person, words)) } }
            } }
            @if may_change { (add_form(person, words)) }
        }
    };
    Ok(layout::page(person, Place::Accounts, words.accounts, &content))
}

fn row(account: &Account, person: &Person, words: &Words) -> Markup {
    let csrf = person.secret.csrf();
    let button = |action: &str, value: &str, label: &str| {
        html! {
            form method="post" action=(action) {
                (hidden(&csrf))
                input type="hidden" name="name" value=(account.name);
                button .quiet name="set" value=(value) aria-label=(format!("{label}: {}", account.name)) { (label) }
            }
        }
    };
    html! {
        tr {
            th scope="row" { (account.name) @if account.locked { " " span .tag { (words.locked) } } }
            td { (role_word(account.role, words)) }
            td { (if account.has_totp { words.has_totp } else { "–" }) }
            @if person.role.may_administer() {
                td .acts {
                    (button("/accounts/reset", "", words.reset))
                    // Nobody locks themselves out.
                    @if account.name != person.name {
                        @if account.locked { (button("/accounts/lock", "no", words.unlock)) }
                        @else { (button("/accounts/lock", "yes", words.lock)) }
                    }
                }
            }
        }
    }
}

pub(super) fn role_word(role: Role, words: &Words) -> &'static str {
    match role {
        Role::Technician => words.technician,
        Role::Administrator => words.administrator,
        Role::Auditor => words.auditor,
    }
}

fn add_form(person: &Person, words: &Words) -> Markup {
    html! {
        form .row method="post" action="/accounts" {
            h2 { (words.add_account) }
            (hidden(&person.secret.csrf()))
            label { (words.name) input name="name" required pattern="[a-z0-9._\\-]{1,32}" autocapitalize="none" aria-describedby="name-rule"; }
            label { (words.role) select name="role" {
                @for role in [Role::Technician, Role::Administrator, Role::Auditor] {
                    option value=(role.as_str()) { (role_word(role, words)) }
                }
            } }
            label .tick { input type="checkbox" name="totp" checked; (words.second_factor) }
            button { (words.add_account) }
            p #name-rule .hint { (words.account_name_rule) }
        }
    }
}

async fn add(State(page): State<Shared>, posted: Posted) -> Result<Response, Refused> {
    let Posted { person, fields } = posted;
    if !person.role.may_administer() {
        return Err(Refused::Role);
    }
    let words = person.language.words();
    let (name, role) = (fields.one("name"), Role::parse(fields.one("role")).map_err(|_| Refused::Form)?);
    if !is_name(name) {
        return Ok(show(&page, &person, &notice(words.account_name_rule, true)).await?.into_response());
    }
    let with_totp = fields.has("totp") || page.needs_second_factor(role);
    let handed = Handed::new(None, with_totp).await.ok_or(Refused::Ours)?;
    let actor = Actor { by: &person.name, at_ms: now_ms() };
    if !page.journal.add_account(&handed.account(name, role), actor).await? {
        return Ok(show(&page, &person, &notice(words.account_taken, true)).await?.into_response());
    }
    page.made.put(&person, name, handed);
    Ok(Redirect::to("/accounts").into_response())
}

async fn reset(State(page): State<Shared>, posted: Posted) -> Result<Redirect, Refused> {
    let Posted { person, fields } = posted;
    if !person.role.may_administer() {
        return Err(Refused::Role);
    }
    let account = page.journal.account(fields.one("name")).await?.ok_or(Refused::Missing)?;
    let with_totp = account.has_totp || page.needs_second_factor(account.role);
    let handed = Handed::new(None, with_totp).await.ok_or(Refused::Ours)?;
    let actor = Actor { by: &person.name, at_ms: now_ms() };
    page.journal.reset_account(&handed.account(&account.name, account.role), actor).await?;
    page.made.put(&person, &account.name, handed);
    Ok(Redirect::to("/accounts"))
}

fn handed_over(page: &Shared, name: &str, handed: &Handed, words: &Words) -> Markup {
    html! {
        section .handed role="status" {
            p { (fill(words.account_made, &[name])) }
            p { (words.password_once) ": " code { (handed.password) } }
            @if let Some(secret) = &handed.totp {
                p { (words.scan_code) " " code { (totp::base32(secret)) } }
                (qr(&totp::uri(&page.config.site, name, secret), words.second_factor))
            }
        }
    }
}

async fn lock(State(page): State<Shared>, posted: Posted) -> Result<Markup, Refused> {
    let Posted { person, fields } = posted;
    if !person.role.may_administer() || fields.one("name") == person.name {
        return Err(Refused::Role);
    }
    let actor = Actor { by: &person.name, at_ms: now_ms() };
    if !page.journal.set_locked(fields.one("name"), fields.one("set") == "yes", actor).await? {
        return Err(Refused::Missing);
    }
    show(&page, &person, &notice(person.language.words().note_saved, false)).await
}
