//! Ranges of sealed pieces, one after the other in the order asked, as fast as the phone takes them.

use super::caller::{Caller, SessionDigest, session};
use super::limits::{FRAME_BYTES, RANGES_BYTES_MAX, RANGES_MAX, SESSION_LOOK};
use super::links;
use super::mailbox::{Delivery, Watched};
use super::refused::Refused;
use super::sign_in::taken;
use super::{Here, Portal, Shared, now_ms};
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use seal::ids::DeliveryId;
use seal::mailbox::Found;
use serde::Deserialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/deliveries/{delivery}/ranges", post(ranges))
}

#[derive(Deserialize)]
struct Asked {
    /// Piece, offset, length.
    ranges: Vec<(u32, u64, u64)>,
}

async fn ranges(
    State(portal): Here,
    caller: Caller,
    Path(delivery): Path<String>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, Refused> {
    let id = DeliveryId::parse(&delivery).ok_or(Refused::BadRequest)?;
    let (mailbox, mut delivery) = delivery_of(&portal, &caller, id).await?;
    let asked = taken(body)?.ranges;
    if asked.iter().any(|(piece, ..)| !delivery.pieces.contains_key(piece)) {
        mailbox.add_moved_pieces(&mut delivery).await?;
    }
    let left = planned(&asked, &delivery)?;
    let reading = Reading { portal, mailbox, id, left, digest: caller.digest, looked_at: Instant::now() };
    // The first error comes as an answer; later ones can only end the stream.
    let (was, at) = (reading.left.front().map(|range| range.found.clone()), reading.mailbox.clone());
    let began = match next(reading).await {
        Err(error) => return Err(meant(error, &at, was.as_ref()).await),
        Ok(began) => began,
    };
    let (first, reading) = began.ok_or(Refused::BadRequest)?;
    let rest = stream::try_unfold(reading, next);
    let all = stream::once(async move { Ok(first) }).chain(rest).map_err(|_: Refused| Broken);
    let kind = (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(([kind], Body::from_stream(all)).into_response())
}

/// A message that is gone from where it was while its delivery is listed was moved, or the mailbox was made anew. Where the mailbox cannot be read, nobody
/// knows.
async fn meant(error: Refused, mailbox: &Watched, was: Option<&Found>) -> Refused {
    let (Refused::Gone, Some(was)) = (error, was) else { return error };
    mailbox.forget_moved_pieces(was.id.delivery()).await;
    match mailbox.contents().await {
        Ok(contents) if contents.delivery(was.id.delivery()).is_some() => Refused::MailboxChanged,
        Ok(_) => Refused::Gone,
        Err(down) => down,
    }
}

/// A delivery that this session may read.
pub(crate) async fn delivery_of(
    portal: &Portal,
    caller: &Caller,
    id: DeliveryId,
) -> Result<(Arc<Watched>, Delivery), Refused> {
    if let Some(link) = &caller.session.link {
        return links::delivery_of(portal, link, id).await;
    }
    let name = caller.session.account.as_deref().ok_or(Refused::NeedsDevice)?;
    if caller.session.credential.is_none() {
        return Err(Refused::NeedsDevice);
    }
    let account = portal.store.account(name).await?.ok_or(Refused::SignedOut)?;
    let mailbox = portal.mailbox_of(&account)?;
    let contents = mailbox.contents().await?;
    match contents.delivery(id) {
        Some(delivery) => Ok((mailbox, delivery.clone())),
        None if portal.store.was_here(&mailbox.name, id).await? => Err(Refused::Gone),
        None => Err(Refused::Unknown),
    }
}

fn planned(ranges: &[(u32, u64, u64)], delivery: &Delivery) -> Result<VecDeque<Range>, Refused> {
    let bytes = ranges.iter().try_fold(0_u64, |sum, (.., length)| sum.checked_add(*length));
    if ranges.len() > RANGES_MAX || bytes.is_none_or(|bytes| bytes > RANGES_BYTES_MAX) {
        return Err(Refused::TooLarge);
    }
    let range = |&(piece, offset, length): &(u32, u64, u64)| {
        let found = delivery.pieces.get(&piece).ok_or(Refused::PieceMissing)?.clone();
        offset.checked_add(length).filter(|_| length > 0).ok_or(Refused::BadRequest)?;
        Ok(Range { piece, found, offset, length })
    };
    ranges.iter().map(range).collect()
}

struct Range {
    piece: u32,
    found: Found,
    offset: u64,
    length: u64,
}

/// What is still to be sent. Nothing is read before the phone has room for it.
struct Reading {
    portal: Shared,
    mailbox: Arc<Watched>,
    id: DeliveryId,
    left: VecDeque<Range>,
    digest: SessionDigest,
    looked_at: Instant,
}

/// The stream was cut off: the browser asks again for what it lacks.
#[derive(Debug, thiserror::Error)]
#[error("the ranges could not be sent to their end")]
struct Broken;

async fn next(mut reading: Reading) -> Result<Option<(Bytes, Reading)>, Refused> {
    if reading.looked_at.elapsed() >= SESSION_LOOK {
        session(&reading.portal.store, &reading.digest, now_ms()).await?.ok_or(Refused::SignedOut)?;
        reading.looked_at = Instant::now();
    }
    let Some(range) = reading.left.front_mut() else { return Ok(None) };
    let cache = &reading.portal.cache;
    let piece = cache.piece(&reading.mailbox.name, reading.id, range.piece);
    let piece = piece.map_err(|error| {
        tracing::error!(act = "operator", "the cache cannot be used: {}", error.kind());
        Refused::Ours
    })?;
    let piece = piece.ok_or(Refused::Gone)?;
    let source = (cache, reading.mailbox.as_ref(), &range.found);
    let bytes = piece.read(range.offset, range.length.min(FRAME_BYTES), source).await?;
    let read = bytes.len() as u64;
    (range.offset, range.length) = (range.offset.saturating_add(read), range.length.saturating_sub(read));
    if range.length == 0 {
        reading.left.pop_front();
    }
    Ok(Some((Bytes::from(bytes), reading)))
}
