//! The technician's page, on the hospital's network: studies as they come, one button to send one, and what became of it. Made here, shown
//! by any browser; nothing is loaded from elsewhere.

mod accounts;
mod api;
mod assets;
mod board;
pub mod command;
mod figures;
mod headers;
mod health;
mod index;
mod layout;
mod limits;
mod links;
mod live;
mod operator;
mod pacs;
mod pictures;
mod press;
mod roster;
mod row;
mod search;
mod session;
mod sign_in;
mod site;
mod stage;
mod studies;
mod words;

pub use api::command as token;

use crate::audit::{Audit, AuditError, Message};
use crate::config::{self, Config, SecondFactor};
use crate::journal::{Journal, JournalError, Role};
use crate::pipeline::Pipeline;
use crate::roster::{OnDuty, Standby, behind};
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use board::Board;
use compressor::dataset::on_screen;
use index::Index;
use jiff::tz::TimeZone;
use limits::{BODY_BYTES_MAX, CONNECTIONS, REQUEST_WAIT};
use session::Visitor;
use site::Site;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tls::Listener;
use tokio::net::TcpListener;
use tokio::sync::watch;
use web::{server, throttle};
use words::Language;

/// Pause between two looks for what was done to accounts, at least.
const ACTS_PAUSE: Duration = Duration::from_secs(1);
/// Looks without a change: for what the trail could not take before.
const ACTS_LOOK: Duration = Duration::from_secs(30);

/// What every request may use.
pub struct Page {
    config: Arc<Config>,
    settings: config::Page,
    journal: Journal,
    pipeline: Arc<Pipeline>,
    audit: Audit,
    zone: TimeZone,
    addresses: throttle::Addresses,
    board: watch::Sender<Board>,
    index: Index,
    made: accounts::Made,
    unshown: links::Unshown,
    figures: figures::Kept,
    health: health::Kept,
    changes: watch::Receiver<()>,
    stopped: watch::Receiver<bool>,
}

type Shared = Arc<Page>;

impl Page {
    /// The page of a running gateway. `changes` is marked after each change of the journal, `stopped` set when the DICOM ports close.
    pub fn new(
        settings: config::Page,
        pipeline: Arc<Pipeline>,
        changes: watch::Receiver<()>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            config: pipeline.config.clone(),
            zone: settings.zone(),
            settings,
            journal: pipeline.journal.clone(),
            audit: pipeline.audit.clone(),
            pipeline,
            addresses: throttle::Addresses::default(),
            board: watch::channel(Board::default()).0,
            index: Index::new(changes.clone()),
            made: accounts::Made::default(),
            unshown: links::Unshown::default(),
            figures: figures::Kept::default(),
            health: health::Kept::default(),
            changes,
            stopped,
        }
    }

    /// Serves until dropped.
    pub async fn serve(self, listener: TcpListener, tls: Option<Arc<Listener>>) {
        let page = Arc::new(self);
        let changes = || page.changes.clone();
        let router = router(page.clone());
        tokio::join!(
            server::serve(listener, tls, router, CONNECTIONS),
            board::keep(page.clone(), changes(), page.board.clone()),
            press::hand_over(page.clone(), changes()),
            tell_acts(page.clone(), changes()),
        );
    }

    /// Whether a study that is sent now would be taken.
    fn takes(&self) -> bool {
        !*self.stopped.borrow() && self.pipeline.collector.takes()
    }

    fn needs_second_factor(&self, role: Role) -> bool {
        self.settings.second_factor == SecondFactor::Everyone || role != Role::Technician
    }

    fn site(&self, now_ms: i64) -> Site {
        Site::new(self.config.clone(), self.zone.clone(), now_ms)
    }

    /// Who is on duty now, the first to be told first.
    async fn on_duty(&self, now_ms: i64) -> Result<Vec<OnDuty>, Refused> {
        let now = jiff::Timestamp::from_millisecond(now_ms).map_err(|_| Refused::Ours)?;
        let mut on_duty = self.journal.roster().await?.0.on_duty(now, &self.zone);
        // The configuration may have lost a doctor since the roster was written.
        on_duty.retain(|duty| self.config.is_doctor(&duty.doctor));
        Ok(on_duty)
    }

    /// Doctors who have not opened the test at the start of their duty in time, nor anything since; and since when, milliseconds since 1970-01-01 UTC.
    async fn not_reachable(&self) -> Result<BTreeMap<String, i64>, Refused> {
        if !self.config.duty.as_ref().is_some_and(|duty| duty.readiness) {
            return Ok(BTreeMap::new());
        }
        let mut not_reachable = self.journal.not_reachable().await?;
        not_reachable.retain(|doctor, _| self.config.is_doctor(doctor));
        Ok(not_reachable)
    }

    /// Who is told when none of these opens what was pressed at that moment. Not who has only a mail program: of such a one nobody knows.
    async fn standby(&self, doctors: &[String], at_ms: i64) -> Result<Standby, Refused> {
        let mut standby = behind(&self.on_duty(at_ms).await?, doctors);
        let is_told = self.config.rules(standby.group.as_deref()).tell_those_behind();
        standby.doctors.retain(|doctor| is_told && !self.config.is_mail_program(doctor));
        Ok(standby)
    }
}

fn router(page: Shared) -> Router {
    let plain = page.settings.plain;
    let router = Router::new()
        .merge(assets::routes())
        .merge(sign_in::routes())
        .merge(accounts::routes())
        .merge(studies::routes())
        .merge(press::routes())
        .merge(links::routes())
        .merge(pictures::routes())
        .merge(api::routes())
        .merge(health::routes())
        .merge(roster::routes())
        .merge(operator::routes())
        .fallback(missing)
        .layer(middleware::from_fn_with_state(page.clone(), within_time))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(headers::add));
    let router = if plain { router } else { router.layer(middleware::from_fn(headers::add_hsts)) };
    router.with_state(page)
}

/// A request that takes long is ended; what a refusal says is said here, in the visitor's language.
async fn within_time(State(page): State<Shared>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let language = match Visitor::from_request_parts(&mut parts, &page).await {
        Ok(visitor) => visitor.language,
        Err(_) => Language::En,
    };
    let request = Request::from_parts(parts, body);
    let Ok(answer) = tokio::time::timeout(REQUEST_WAIT, next.run(request)).await else {
        return StatusCode::REQUEST_TIMEOUT.into_response();
    };
    match answer.extensions().get::<Said>() {
        Some(said) => (answer.status(), layout::refusal(language, said.text(language))).into_response(),
        None => answer,
    }
}

async fn missing() -> Refused {
    Refused::Missing
}

/// Hands what was done to accounts and roster over to the audit trail. Never ends.
async fn tell_acts(page: Shared, mut changes: watch::Receiver<()>) {
    loop {
        changes.mark_unchanged();
        if let Err(error) = tell(&page).await {
            tracing::warn!("what was done to accounts is not in the audit trail yet: {error}");
        }
        tokio::time::sleep(ACTS_PAUSE).await;
        let _ = tokio::time::timeout(ACTS_LOOK, changes.changed()).await;
    }
}

async fn tell(page: &Shared) -> Result<(), String> {
    for act in page.journal.account_acts().await.map_err(|error| error.to_string())? {
        page.audit.record(Message::account(&act)).await.map_err(|error| error.to_string())?;
        page.journal.account_act_told(act.number).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Why a request is not answered as asked.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// Nobody has signed in.
    SignIn,
    /// The person's role is not enough.
    Role,
    /// There is no such page or thing.
    Missing,
    /// The form is not one of ours, or too old.
    Foreign,
    /// Not a form.
    Form,
    /// We cannot.
    Ours,
}

/// Which words an answer is to carry: they are put in where the language is known.
#[derive(Clone)]
struct Said(fn(Language) -> &'static str);

impl Said {
    fn text(&self, language: Language) -> &'static str {
        (self.0)(language)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, said): (_, fn(Language) -> &'static str) = match self {
            Self::SignIn => return Redirect::to("/sign-in").into_response(),
            Self::Role => (StatusCode::FORBIDDEN, |language| language.words().refused_role),
            Self::Missing => (StatusCode::NOT_FOUND, |language| language.words().page_missing),
            Self::Foreign => (StatusCode::FORBIDDEN, |language| language.words().refused_form),
            Self::Form => (StatusCode::BAD_REQUEST, |language| language.words().refused_form),
            Self::Ours => (StatusCode::SERVICE_UNAVAILABLE, |language| language.words().trouble),
        };
        let mut answer = status.into_response();
        answer.extensions_mut().insert(Said(said));
        answer
    }
}

impl From<JournalError> for Refused {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "the page cannot use the journal");
        Self::Ours
    }
}

impl From<AuditError> for Refused {
    fn from(_: AuditError) -> Self {
        Self::Ours
    }
}

/// A foreign text for the screen.
fn clean(text: &str) -> String {
    on_screen(text, limits::SHOWN_CHARS_MAX)
}
