//! The text of a cover, read by hand, as the manifest is (decision 0006).

use super::{Completeness, ContentKeyText, Cover, PieceEntry};
use crate::answer::AnswerPoint;
use crate::ids::{CaseId, DeliveryId, Digest};
use compressor::json::{Json, object, once};

/// The format alone, to tell a newer cover from a broken one.
pub(super) fn format(text: &[u8]) -> Option<u32> {
    let mut format = None;
    object(text, &mut |name, json| match name {
        "format" => once(&mut format, json.number()),
        _ => json.skip(),
    })?;
    format
}

pub(super) fn cover(text: &[u8]) -> Option<Cover> {
    let (mut format, mut case, mut delivery_id, mut sequence) = (None, None, None, None);
    let (mut previous, mut residual_of, mut residual_until, mut answers) = (None, None, None, None);
    let (mut content, mut site, mut sealed_at, mut recipients) = (None, None, None, None);
    let (mut is_complete, mut policy, mut content_key) = (None, None, None);
    let (mut index, mut manifest, mut pieces) = (None, None, None);
    object(text, &mut |name, json| match name {
        "format" => once(&mut format, json.number()),
        "case" => once(&mut case, CaseId::parse(&json.string()?)),
        "delivery" => once(&mut delivery_id, delivery(json)),
        "sequence" => once(&mut sequence, json.number()),
        "previous" => once(&mut previous, json.nullable(digest)),
        "residual_of" => once(&mut residual_of, json.nullable(delivery)),
        "residual_until" => once(&mut residual_until, json.nullable(Json::number)),
        "answers" => once(&mut answers, json.nullable(point)),
        "content" => once(&mut content, digest(json)),
        "site" => once(&mut site, json.text()),
        "sealed_at" => once(&mut sealed_at, json.number()),
        "recipients" => once(&mut recipients, json.list(digest)),
        "completeness" => once(&mut is_complete, completeness(json)),
        "policy" => once(&mut policy, json.text()),
        "content_key" => once(&mut content_key, json.text().map(ContentKeyText)),
        "index" => once(&mut index, digest(json)),
        "manifest" => once(&mut manifest, digest(json)),
        "pieces" => once(&mut pieces, json.list(piece)),
        _ => json.skip(),
    })?;
    Some(Cover {
        format: format?,
        case: case?,
        delivery: delivery_id?,
        sequence: sequence?,
        previous: previous.flatten(),
        residual_of: residual_of.flatten(),
        residual_until: residual_until.flatten(),
        answers: answers.flatten(),
        content: content?,
        site: site?,
        sealed_at: sealed_at?,
        recipients: recipients?,
        completeness: is_complete?,
        policy: policy?,
        content_key: content_key?,
        index: index?,
        manifest: manifest?,
        pieces: pieces?,
    })
}

fn digest(json: &mut Json<'_>) -> Option<Digest> {
    Digest::parse(&json.string()?)
}

fn delivery(json: &mut Json<'_>) -> Option<DeliveryId> {
    DeliveryId::parse(&json.string()?)
}

fn point(json: &mut Json<'_>) -> Option<AnswerPoint> {
    AnswerPoint::try_from(json.text()?).ok()
}

fn completeness(json: &mut Json<'_>) -> Option<Completeness> {
    let (mut is, mut instances, mut listed) = (None, None, None);
    json.object(&mut |name, json| match name {
        "is" => once(&mut is, json.text()),
        "instances" => once(&mut instances, json.number()),
        "listed" => once(&mut listed, json.number()),
        _ => json.skip(),
    })?;
    let instances = instances?;
    match is?.as_str() {
        "proved" => Some(Completeness::Proved { instances }),
        "partial" => Some(Completeness::Partial { instances, listed: listed? }),
        "not_proved" => Some(Completeness::NotProved { instances }),
        _ => None,
    }
}

/// `[bytes, SHA-256 in base64]`.
fn piece(json: &mut Json<'_>) -> Option<PieceEntry> {
    let (mut bytes, mut digest) = (None, None);
    json.array(&mut |json| match bytes {
        None => once(&mut bytes, json.number()),
        Some(_) => once(&mut digest, json.text()),
    })?;
    Some(PieceEntry(bytes?, digest?))
}
