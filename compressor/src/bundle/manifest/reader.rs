//! The text of the manifest, read by hand: code derived for it would be a quarter of what phones fetch to open a case (decision 0006).

use crate::bundle::{Carried, Compressed, Instance, Manifest, Note, Segment, SegmentKind, Series, Sigma};
use crate::dataset::{BannerTexts, ImageLayout};
use crate::encapsulated::NotDecoded;
use crate::json::{Json, object, once};
use crate::phi::Phi;
use crate::uid::Uid;

/// The format alone, to tell a newer manifest from a broken one.
pub(super) fn format(text: &[u8]) -> Option<u32> {
    let mut format = None;
    object(text, &mut |name, json| match name {
        "format" => once(&mut format, json.number()),
        _ => json.skip(),
    })?;
    format
}

/// The manifest, and the banners that stand beside its series (SPEC 4.3).
pub(super) fn manifest(text: &[u8]) -> Option<(Manifest, Vec<BannerTexts>)> {
    let (mut format, mut series, mut segments, mut note, mut banners) = (None, None, None, None, None);
    object(text, &mut |name, json| match name {
        "format" => once(&mut format, json.number()),
        "series" => once(&mut series, json.list(one_series)),
        "segments" => once(&mut segments, json.list(segment)),
        "banners" => once(&mut banners, json.list(BannerTexts::read)),
        "note" => once(&mut note, json.nullable(words)),
        _ => json.skip(),
    })?;
    let manifest = Manifest { format: format?, series: series?, segments: segments?, note: note.flatten() };
    Some((manifest, banners.unwrap_or_default()))
}

fn words(json: &mut Json<'_>) -> Option<Note> {
    Note::new(Phi::new(json.text()?))
}

fn uid(json: &mut Json<'_>) -> Option<Uid> {
    Uid::parse(&json.string()?).ok()
}

fn one_series(json: &mut Json<'_>) -> Option<Series> {
    let (mut study, mut series, mut modality, mut transfer_syntax) = (None, None, None, None);
    let (mut near, mut max_error, mut rmse, mut block_error) = (None, None, None, None);
    let (mut noise, mut ratio, mut reference_only, mut reason) = (None, None, None, None);
    let (mut mixed_patients, mut key_images, mut instances) = (None, None, None);
    json.object(&mut |name, json| match name {
        "study" => once(&mut study, json.nullable(uid)),
        "series" => once(&mut series, json.nullable(uid)),
        "modality" => once(&mut modality, json.nullable(Json::text)),
        "transfer_syntax" => once(&mut transfer_syntax, uid(json)),
        "near" => once(&mut near, json.number()),
        "max_error" => once(&mut max_error, json.number()),
        "rmse" => once(&mut rmse, json.float()),
        "block_error" => once(&mut block_error, json.float()),
        "sigma" => once(&mut noise, json.nullable(sigma)),
        "ratio" => once(&mut ratio, json.nullable(Json::float)),
        "reference_only" => once(&mut reference_only, json.flag()),
        "reason" => once(&mut reason, json.nullable(Json::text)),
        "mixed_patients" => once(&mut mixed_patients, json.flag()),
        "key_images" => once(&mut key_images, json.number()),
        "instances" => once(&mut instances, json.list(instance)),
        _ => json.skip(),
    })?;
    Some(Series {
        study: study.flatten(),
        series: series.flatten(),
        modality: modality.flatten(),
        transfer_syntax: transfer_syntax?,
        near: near?,
        max_error: max_error?,
        rmse: rmse.unwrap_or_default(),
        block_error: block_error.unwrap_or_default(),
        sigma: noise.flatten(),
        ratio: ratio.flatten(),
        reference_only: reference_only.unwrap_or_default(),
        reason: reason.flatten(),
        banner: Default::default(),
        mixed_patients: mixed_patients.unwrap_or_default(),
        key_images: key_images.unwrap_or_default(),
        instances: instances?,
    })
}

fn sigma(json: &mut Json<'_>) -> Option<Sigma> {
    let (mut fine, mut blocks) = (None, None);
    json.object(&mut |name, json| match name {
        "fine" => once(&mut fine, json.float()),
        "blocks" => once(&mut blocks, json.float()),
        _ => json.skip(),
    })?;
    Some(Sigma { fine: fine?, blocks: blocks? })
}

fn instance(json: &mut Json<'_>) -> Option<Instance> {
    let (mut sop_class, mut sop_instance, mut sha256, mut decoded_sha256) = (None, None, None, None);
    let (mut head_bytes, mut bulk_bytes, mut tail_bytes) = (None, None, None);
    let (mut image, mut kept, mut frames, mut conflict, mut path) = (None, None, None, None, None);
    json.object(&mut |name, json| match name {
        "sop_class" => once(&mut sop_class, json.nullable(uid)),
        "sop_instance" => once(&mut sop_instance, json.nullable(uid)),
        "head_bytes" => once(&mut head_bytes, json.number()),
        "bulk_bytes" => once(&mut bulk_bytes, json.number()),
        "tail_bytes" => once(&mut tail_bytes, json.number()),
        "sha256" => once(&mut sha256, json.text()),
        "decoded_sha256" => once(&mut decoded_sha256, json.nullable(Json::text)),
        "image" => once(&mut image, json.nullable(layout)),
        "compressed" => once(&mut kept, json.nullable(compressed)),
        "carried" => once(&mut frames, json.nullable(carried)),
        "conflict" => once(&mut conflict, json.flag()),
        "name" => once(&mut path, json.nullable(Json::text)),
        _ => json.skip(),
    })?;
    Some(Instance {
        sop_class: sop_class.flatten(),
        sop_instance: sop_instance.flatten(),
        head_bytes: head_bytes?,
        bulk_bytes: bulk_bytes?,
        tail_bytes: tail_bytes?,
        sha256: sha256?,
        decoded_sha256: decoded_sha256.flatten(),
        image: image.flatten(),
        compressed: kept.flatten(),
        carried: frames.flatten(),
        conflict: conflict.unwrap_or_default(),
        name: path.flatten(),
    })
}

fn layout(json: &mut Json<'_>) -> Option<ImageLayout> {
    let (mut rows, mut columns, mut frames, mut samples_per_pixel) = (None, None, None, None);
    let (mut bits_allocated, mut bits_stored) = (None, None);
    let (mut signed, mut planar, mut big_endian) = (None, None, None);
    json.object(&mut |name, json| match name {
        "rows" => once(&mut rows, json.number()),
        "columns" => once(&mut columns, json.number()),
        "frames" => once(&mut frames, json.number()),
        "samples_per_pixel" => once(&mut samples_per_pixel, json.number()),
        "bits_allocated" => once(&mut bits_allocated, json.number()),
        "bits_stored" => once(&mut bits_stored, json.number()),
        "signed" => once(&mut signed, json.flag()),
        "planar" => once(&mut planar, json.flag()),
        "big_endian" => once(&mut big_endian, json.flag()),
        _ => json.skip(),
    })?;
    Some(ImageLayout {
        rows: rows?,
        columns: columns?,
        frames: frames?,
        samples_per_pixel: samples_per_pixel?,
        bits_allocated: bits_allocated?,
        bits_stored: bits_stored?,
        signed: signed?,
        planar: planar?,
        big_endian: big_endian?,
    })
}

fn carried(json: &mut Json<'_>) -> Option<Carried> {
    let (mut image, mut chunks) = (None, None);
    json.object(&mut |name, json| match name {
        "image" => once(&mut image, layout(json)),
        "chunks" => once(&mut chunks, json.list(Json::number)),
        _ => json.skip(),
    })?;
    Some(Carried { image: image?, chunks: chunks? })
}

/// `"decoded"`, or `{"passed": reason}`.
fn compressed(json: &mut Json<'_>) -> Option<Compressed> {
    if json.first_sign()? == b'"' {
        return (json.string()? == "decoded").then_some(Compressed::Decoded);
    }
    let mut reason = None;
    json.object(&mut |name, json| match name {
        "passed" => once(&mut reason, not_decoded(&json.string()?)),
        _ => None,
    })?;
    reason.map(Compressed::Passed)
}

fn not_decoded(word: &str) -> Option<NotDecoded> {
    Some(match word {
        "fragments" => NotDecoded::Fragments,
        "too_large" => NotDecoded::TooLarge,
        "damaged" => NotDecoded::Damaged,
        "shape" => NotDecoded::Shape,
        "lossy" => NotDecoded::Lossy,
        "failed" => NotDecoded::Failed,
        "time" => NotDecoded::Time,
        "start" => NotDecoded::Start,
        _ => return None,
    })
}

fn segment(json: &mut Json<'_>) -> Option<Segment> {
    let (mut kind, mut series, mut instance, mut raw_bytes, mut coded_bytes) = (None, None, None, None, None);
    json.object(&mut |name, json| match name {
        "kind" => once(&mut kind, segment_kind(&json.string()?)),
        "series" => once(&mut series, json.number()),
        "instance" => once(&mut instance, json.number()),
        "raw_bytes" => once(&mut raw_bytes, json.number()),
        "coded_bytes" => once(&mut coded_bytes, json.number()),
        _ => json.skip(),
    })?;
    Some(Segment {
        kind: kind?,
        series: series?,
        instance: instance?,
        raw_bytes: raw_bytes?,
        coded_bytes: coded_bytes?,
    })
}

fn segment_kind(word: &str) -> Option<SegmentKind> {
    Some(match word {
        "headers" => SegmentKind::Headers,
        "model" => SegmentKind::Model,
        "coarse" => SegmentKind::Coarse,
        "pixels" => SegmentKind::Pixels,
        "opaque" => SegmentKind::Opaque,
        "residual" => SegmentKind::Residual,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
