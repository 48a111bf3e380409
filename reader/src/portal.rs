//! `scanpost-reader portal`: between a phone's browser and the mailbox. It signs doctors in, streams ranges of ciphertext, and never has
//! a key.
//!
//! In the order of a request: [`headers`](self) guards, `caller` says who it is, the modules of calls answer. `mailbox` watches what lies in
//! each mailbox, `cache` keeps ciphertext, `store` what must outlive a restart.

mod append;
mod backup;
mod cache;
mod caller;
pub mod command;
mod config;
mod deliveries;
mod devices;
mod error;
mod events;
mod hanging;
mod headers;
mod limits;
mod links;
mod mailbox;
mod passkey;
mod push;
mod ranges;
mod rate;
mod refused;
mod shell;
mod sign_in;
mod store;

pub use error::PortalError;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cache::Cache;
use config::Settings;
use error::Trouble;
use limits::{
    APPENDS_MAX, APPENDS_WINDOW, BODY_BYTES_MAX, CONNECTIONS, GONE_KEPT_MS, PUSH_AGE_MAX, REQUEST_WAIT,
};
use mailbox::{Hears, Told, Watched};
use passkey::RelyingParty;
use push::Pusher;
use rate::Rate;
use refused::Refused;
use seal::native::Certificate;
use shell::Shell;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;
use tls::Listener;
use tokio::net::TcpListener;

/// What every request may use.
pub(crate) struct Portal {
    settings: Settings,
    relying: RelyingParty,
    store: Store,
    cache: Cache,
    shell: Shell,
    mailboxes: BTreeMap<String, Arc<Watched>>,
    sites: Vec<Certificate>,
    tries: sign_in::Tries,
    appends: Rate,
    links: links::Links,
    push: Option<Arc<Pusher>>,
}

type Shared = Arc<Portal>;

impl Portal {
    /// Opens everything that the settings name.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn open(settings: Settings) -> Result<Self, Trouble> {
        let relying = RelyingParty { id: settings.rp_id(), origin: settings.origin.clone() };
        let mut mailboxes = BTreeMap::new();
        for (name, login) in settings.logins()? {
            let from = settings.sender_of(&name)?;
            mailboxes.insert(name.clone(), Arc::new(Watched::new(name, login, from)));
        }
        let store = Store::open(&settings.state).await?;
        let push = match settings.push.clone() {
            Some(push) => Some(Arc::new(Pusher::open(push, settings.origin.clone(), store.clone()).await?)),
            None => None,
        };
        Ok(Self {
            relying,
            store,
            cache: Cache::open(&settings.cache(), settings.cache_mb.saturating_mul(1_000_000))?,
            shell: Shell::read(settings.shell.as_deref())?,
            mailboxes,
            sites: settings.site_certificates()?,
            tries: sign_in::Tries::default(),
            appends: Rate::new(APPENDS_MAX, APPENDS_WINDOW),
            links: links::Links::default(),
            push,
            settings,
        })
    }

    /// Listens and serves until dropped.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn serve(self) -> Result<(), Trouble> {
        let tls = Arc::new(Listener::read_http(&self.settings.tls())?);
        let listen = self.settings.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| Trouble::Listen(listen, error))?;
        if let Some(path) = &self.settings.port_file {
            let port = listener.local_addr().map_err(|error| Trouble::Listen(listen, error))?.port();
            std::fs::write(path, port.to_string()).map_err(|error| Trouble::Write(path.clone(), error))?;
        }
        let portal = Arc::new(self);
        for mailbox in portal.mailboxes.values() {
            tokio::spawn(watch(portal.clone(), mailbox.clone()));
        }
        tracing::info!(%listen, "the portal listens");
        web::server::serve(listener, Some(tls), router(portal), CONNECTIONS).await;
        Ok(())
    }
}

fn router(portal: Shared) -> Router {
    Router::new()
        .merge(sign_in::routes())
        .merge(devices::routes())
        .merge(deliveries::routes())
        .merge(ranges::routes())
        .merge(events::routes())
        .merge(append::routes())
        .merge(links::routes())
        .merge(push::routes())
        .merge(shell::routes())
        // For who watches from outside: a constant word, no sign-in.
        .route("/healthz", get(async || "alive\n"))
        .fallback(async || Refused::Unknown)
        .layer(middleware::from_fn(within_time))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(portal.clone(), headers::guard))
        .with_state(portal)
}

async fn within_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_WAIT, next.run(request)).await;
    answer.unwrap_or_else(|_| Refused::MailboxDown(false).into_response())
}

async fn watch(portal: Shared, mailbox: Arc<Watched>) {
    mailbox.watch(&portal.sites, portal.as_ref()).await;
}

impl Hears for Portal {
    async fn hear(&self, mailbox: &str, told: Told) {
        if let Err(error) = self.note(mailbox, told).await {
            tracing::error!(act = "operator", "{error}");
        }
    }
}

impl Portal {
    /// Notes what changed in a mailbox before anybody is shown it.
    async fn note(&self, mailbox: &str, told: Told) -> Result<(), store::StoreError> {
        let now_ms = now_ms();
        match told {
            Told::Revoked(identity) => {
                if self.store.revoke(&identity.0, now_ms).await? {
                    tracing::info!(
                        mailbox,
                        "a hospital has revoked a device: its sessions, keys and notices end"
                    );
                }
            }
            Told::Links(here) => {
                for link in self.store.links_here(mailbox).await? {
                    if !here.contains(&link) {
                        self.store.link_gone(link, now_ms).await?;
                        tracing::info!(mailbox, %link, "a link has ended: its message is gone");
                    }
                }
            }
            Told::Here(here) => {
                let is_here = |delivery| here.iter().any(|(known, _)| *known == delivery);
                self.cache.keep(mailbox, here.iter().map(|(known, _)| *known).collect());
                let known = self.store.deliveries_here(mailbox).await?;
                for delivery in known.iter().filter(|known| !is_here(**known)) {
                    self.store.delivery_gone(mailbox, *delivery, Some(now_ms)).await?;
                }
                for (delivery, received_at) in here.iter().filter(|(here, _)| !known.contains(here)) {
                    let is_first = self.store.delivery_seen(mailbox, *delivery, now_ms).await?;
                    self.store.delivery_gone(mailbox, *delivery, None).await?;
                    let is_new = is_first && now_ms / 1000 - received_at < PUSH_AGE_MAX;
                    if let (true, Some(push)) = (is_new, &self.push) {
                        push.tell(mailbox, *delivery).await;
                    }
                }
                self.store.forget_gone(now_ms - GONE_KEPT_MS).await?;
            }
        }
        Ok(())
    }
}

/// Milliseconds since 1970-01-01 UTC: the one place where the portal reads wall time.
fn now_ms() -> i64 {
    let now = time::OffsetDateTime::now_utc();
    i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// State of a handler.
type Here = State<Shared>;
