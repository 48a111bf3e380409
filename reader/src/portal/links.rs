//! Links for outside recipients: a proof of the passphrase gives the sealed key and the deliveries that were sealed for it, and no others.

use super::caller;
use super::deliveries::Entry;
use super::hanging;
use super::limits::{GONE_KEPT_MS, LINK_MESSAGES_MAX};
use super::mailbox::{Contents, Cover, Delivery, Watched};
use super::refused::Refused;
use super::sign_in::{Tries, taken};
use super::store::{Counted, Most, Session};
use super::{Here, Portal, Shared, now_ms};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::cms::envelope;
use seal::ids::{DeliveryId, Digest, LinkId};
use seal::limits::{COVER_BYTES_BASE, COVER_BYTES_PER_PIECE, PIECES_MAX};
use seal::link::{LINK_BYTES_MAX, Link, PURPOSE, Terms};
use seal::mail::Part;
use seal::mailbox::{Found, MailboxError};
use seal::native::Certificate;
use seal::statement;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use web::server::Peer;

const WHAT: &str = "the link";
/// A statement: the link, and a signature before it.
const STATEMENT_BYTES_MAX: u64 = LINK_BYTES_MAX as u64 + 256;
/// Largest cover (SPEC 5.3).
const COVER_DER_BYTES_MAX: u64 = (COVER_BYTES_BASE + COVER_BYTES_PER_PIECE * PIECES_MAX as usize) as u64;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/links/{link}", get(tell)).route("/api/links/{link}/open", post(open))
}

/// What is kept of links in memory.
#[derive(Default)]
pub(crate) struct Links {
    /// Guests who guess keep no doctor out: their failures are counted apart.
    tries: Tries,
    /// Statements that were proved genuine, each good while its message lies where it was.
    genuine: Mutex<HashMap<LinkId, Arc<Genuine>>>,
}

/// A statement that a pinned site signed.
struct Genuine {
    mailbox: String,
    found: Found,
    statement: Vec<u8>,
    terms: Terms,
}

/// A link that has not ended by time or deletion.
struct Alive {
    mailbox: Arc<Watched>,
    contents: Arc<Contents>,
    genuine: Arc<Genuine>,
    counted: Counted,
}

async fn tell(
    State(portal): Here,
    Extension(peer): Extension<Peer>,
    Path(link): Path<String>,
) -> Result<Json<Value>, Refused> {
    portal.links.tries.may_try(peer)?;
    let alive = alive(&portal, LinkId::parse(&link).ok_or(Refused::Unknown)?).await?;
    let (uses_left, tries_left) = alive.left()?;
    let Terms { cost, salt, expires, .. } = &alive.genuine.terms;
    Ok(Json(json!({
        "argon2": {"memory_kib": cost.memory_kib, "iterations": cost.iterations, "lanes": cost.lanes},
        "salt": STANDARD.encode(salt), "expires_at": expires, "uses_left": uses_left, "tries_left": tries_left,
    })))
}

#[derive(Deserialize)]
struct Proof {
    /// In base64.
    proof: String,
}

async fn open(
    State(portal): Here,
    Extension(peer): Extension<Peer>,
    Path(link): Path<String>,
    body: Result<Json<Proof>, JsonRejection>,
) -> Result<Response, Refused> {
    let proof = STANDARD.decode(taken(body)?.proof).map_err(|_| Refused::BadRequest)?;
    portal.links.tries.may_try(peer)?;
    let link = LinkId::parse(&link).ok_or(Refused::Unknown)?;
    let alive = alive(&portal, link).await?;
    alive.left()?;
    let terms = &alive.genuine.terms;
    let most = Most { tries: terms.tries, uses: terms.uses };
    // Counted as wrong until it is known to be right: neither many at once nor a crash gives one more.
    if !portal.store.link_tried(link, most).await? {
        return Err(Refused::Gone);
    }
    if verify_slices_are_equal(&Digest::of(&proof).0, &terms.proof.0).is_err() {
        tracing::info!(%link, "a wrong passphrase for a link");
        return Err(portal.links.tries.failed(peer));
    }
    // Before it is counted as a use: a mailbox that is down costs none.
    let entries: Vec<Entry> =
        alive.deliveries().await?.iter().map(|delivery| Entry::of(delivery, true)).collect();
    if !portal.store.link_opened(link, most).await? {
        return Err(Refused::Gone);
    }
    let (link, now_ms) = (Some(link.0.to_vec()), now_ms());
    let session = Session { account: None, credential: None, link, began_at_ms: now_ms, seen_at_ms: now_ms };
    let cookie = caller::begin(&portal.store, &session).await?;
    let statement = STANDARD.encode(&alive.genuine.statement);
    let hanging = hanging::of_site(&portal.settings.hanging, alive.genuine.found.id.site().as_str());
    let answer = Json(json!({"statement": statement, "deliveries": entries, "hanging": hanging}));
    Ok(([(SET_COOKIE, cookie)], answer).into_response())
}

/// The deliveries that a guest's session may see.
pub(crate) async fn deliveries(portal: &Portal, link: &[u8]) -> Result<(Vec<Delivery>, u32), Refused> {
    let alive = of_session(portal, link).await?;
    Ok((alive.deliveries().await?, alive.contents.uid_validity))
}

/// A delivery that a guest's session may read.
pub(crate) async fn delivery_of(
    portal: &Portal,
    link: &[u8],
    id: DeliveryId,
) -> Result<(Arc<Watched>, Delivery), Refused> {
    let alive = of_session(portal, link).await?;
    let delivery = alive.contents.delivery(id).ok_or(Refused::Unknown)?;
    let delivery = alive.sealed_for_it(delivery).await?.ok_or(Refused::Unknown)?;
    Ok((alive.mailbox, delivery))
}

/// A session outlasts the last use, and ends with time or study.
async fn of_session(portal: &Portal, link: &[u8]) -> Result<Alive, Refused> {
    let link = link.try_into().map(LinkId).map_err(|_| Refused::SignedOut)?;
    alive(portal, link).await
}

async fn alive(portal: &Portal, link: LinkId) -> Result<Alive, Refused> {
    let known = portal.store.link(link).await?;
    if known.is_some_and(|counted| counted.is_gone) {
        return Err(Refused::Gone);
    }
    let Some((mailbox, contents, genuine)) = portal.genuine(link).await? else {
        return Err(if known.is_some() { Refused::Gone } else { Refused::Unknown });
    };
    let now = now_ms() / 1000;
    if genuine.terms.expires <= now {
        return Err(Refused::Gone);
    }
    if known.is_none() {
        let times = (genuine.terms.expires, now - GONE_KEPT_MS / 1000);
        portal.store.link_seen(link, &mailbox.name, times).await?;
    }
    Ok(Alive { mailbox, contents, genuine, counted: known.unwrap_or_default() })
}

impl Portal {
    /// The link's statement, if it lies in a mailbox of guests and a pinned site signed it.
    async fn genuine(
        &self,
        link: LinkId,
    ) -> Result<Option<(Arc<Watched>, Arc<Contents>, Arc<Genuine>)>, Refused> {
        let mut down = None;
        let guests = self.settings.guests.iter().filter_map(|name| self.mailboxes.get(name));
        // All at once, since one that nobody has looked into yet is waited for.
        let looked = guests.map(async |mailbox| (mailbox, mailbox.contents().await));
        for (mailbox, contents) in futures::future::join_all(looked).await {
            let contents = match contents {
                Ok(contents) => contents,
                Err(error) => {
                    down = Some(error);
                    continue;
                }
            };
            let is_named = |found: &&Found| found.id.part() == Part::Link && found.id.delivery().0 == link.0;
            for found in contents.others.iter().filter(is_named).take(LINK_MESSAGES_MAX) {
                if let Some(genuine) = self.proved(link, mailbox, found).await? {
                    return Ok(Some((mailbox.clone(), contents.clone(), genuine)));
                }
            }
        }
        down.map_or(Ok(None), Err)
    }

    async fn proved(
        &self,
        link: LinkId,
        mailbox: &Watched,
        found: &Found,
    ) -> Result<Option<Arc<Genuine>>, Refused> {
        let known = self.links.kept().get(&link).cloned();
        if let Some(known) = known.filter(|known| known.mailbox == mailbox.name && known.found == *found) {
            return Ok(Some(known));
        }
        let statement = match mailbox.body(found, STATEMENT_BYTES_MAX).await {
            Ok(statement) => statement,
            Err(MailboxError::Gone | MailboxError::NotBase64 | MailboxError::TooLarge { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(terms) = terms(&statement, &self.sites).filter(|terms| terms.link == link) else {
            tracing::warn!(
                act = "operator",
                "a link in a mailbox is not believed (name the site's certificate in portal.sites)"
            );
            return Ok(None);
        };
        let (mailbox, found) = (mailbox.name.clone(), found.clone());
        let genuine = Arc::new(Genuine { mailbox, found, statement, terms });
        let now = now_ms() / 1000;
        let mut kept = self.links.kept();
        kept.retain(|_, known| known.terms.expires > now);
        kept.insert(link, genuine.clone());
        Ok(Some(genuine))
    }
}

impl Links {
    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<LinkId, Arc<Genuine>>> {
        self.genuine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a statement says, if one of the sites signed it.
fn terms(bytes: &[u8], sites: &[Certificate]) -> Option<Terms> {
    let (signature, content) = statement::split(bytes, WHAT).ok()?;
    let is_signed = sites.iter().any(|site| site.verifies_statement(PURPOSE, content, signature));
    is_signed.then(|| Link::parse(content).ok()).flatten().map(|link| link.terms)
}

impl Alive {
    /// Uses and tries that are left, neither of them none.
    fn left(&self) -> Result<(u16, u16), Refused> {
        let Terms { uses, tries, .. } = self.genuine.terms;
        let left = (uses.saturating_sub(self.counted.uses), tries.saturating_sub(self.counted.tries));
        if left.0 == 0 || left.1 == 0 { Err(Refused::Gone) } else { Ok(left) }
    }

    /// Those of its case, the newest first.
    async fn deliveries(&self) -> Result<Vec<Delivery>, Refused> {
        let mut ours = Vec::new();
        for delivery in &self.contents.deliveries {
            ours.extend(self.sealed_for_it(delivery).await?);
        }
        Ok(ours)
    }

    /// The delivery with the covers that are sealed for the link's certificate, which one case alone is sealed for (SPEC mail 10.1).
    async fn sealed_for_it(&self, delivery: &Delivery) -> Result<Option<Delivery>, Refused> {
        let mut ours = Vec::new();
        for cover in delivery.covers().filter(|cover| cover.at.id.site() == self.genuine.found.id.site()) {
            let der = match &cover.der {
                Some(der) => der.clone(),
                // Of old ones it is not kept in memory.
                None => match self.mailbox.body(&cover.at, COVER_DER_BYTES_MAX).await {
                    Ok(der) => der.into(),
                    Err(MailboxError::Gone) => continue,
                    Err(error) => return Err(error.into()),
                },
            };
            if envelope::parse(&der, &self.genuine.terms.certificate).is_ok() {
                ours.push(Cover { der: Some(der), ..cover.clone() });
            }
        }
        let mut ours = ours.into_iter();
        let first = ours.next();
        Ok(first.map(|cover| Delivery { cover, twins: ours.collect(), ..delivery.clone() }))
    }
}
