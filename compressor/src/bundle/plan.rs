//! What will be packed, known before the first byte is coded: series, order, and where each bulk value lies (SPEC 1.2).

use super::manifest::{can_be_carried, image_bytes};
use super::{PackError, ReadSeek, Source, key_images};
use crate::Uid;
use crate::dataset::{self, Banner, BulkKind, Encoding, ImageLayout, Outline, ScanError};
use crate::encapsulated::{Codestream, Syntax};
use crate::limits::{BULK_BYTES_MIN, FRAME_DECODED_BYTES_MAX, INSTANCES_MAX, UNSCANNED_BYTES_MIN};
use crate::near::Traits;
use crate::pixels;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, SeekFrom};

/// Padding of an odd pixel value to even length (PS3.5 8.1.1) is left to the tail.
const PIXEL_PADDING_MAX: u64 = 1;
/// The longest native value: its length is even and below that which means "undefined" (PS3.5 7.1.1).
const NATIVE_BYTES_MAX: u64 = u32::MAX as u64 - 1;

/// One series of the bundle to be.
pub(super) struct PlannedSeries {
    pub(super) study: Option<Uid>,
    pub(super) series: Option<Uid>,
    pub(super) modality: Option<String>,
    pub(super) transfer_syntax: Uid,
    /// What decides how far its pixels may be off.
    pub(super) traits: Traits,
    /// Of the first instance; what it shows, of all of them or empty.
    pub(super) banner: Banner,
    /// Another instance names another patient.
    pub(super) mixed_patients: bool,
    /// So many of the first instances are key images.
    pub(super) key_images: u32,
    pub(super) instances: Vec<PlannedInstance>,
}

impl PlannedSeries {
    /// Compressed pixels pass as they came, as they do in a series without loss.
    pub(super) fn pass_compressed(&mut self) {
        for instance in self.instances.iter_mut().filter(|instance| instance.split.compressed.is_some()) {
            instance.split = Split { image: None, compressed: None, ..instance.split };
        }
    }

    /// Bytes of the header stream.
    pub(super) fn header_bytes(&self) -> u64 {
        self.instances.iter().map(|instance| instance.split.head + instance.split.tail).sum()
    }
}

/// One instance of the bundle to be.
pub(super) struct PlannedInstance {
    /// Index into the sources.
    pub(super) source: usize,
    pub(super) sop_class: Option<Uid>,
    pub(super) sop_instance: Option<Uid>,
    pub(super) split: Split,
    number: Option<i32>,
}

/// Source bytes = head ++ bulk ++ tail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    pub(super) head: u64,
    pub(super) bulk: u64,
    pub(super) tail: u64,
    /// Set where the bulk value is coded as pixels; `frames` then counts those that are there.
    pub(super) image: Option<ImageLayout>,
    /// Set where these pixels must be decoded first.
    pub(super) compressed: Option<Syntax>,
    /// Compressed frames that a viewer can decode, as they decode.
    pub(super) carried: Option<ImageLayout>,
}

/// Scans all sources and puts them into series: key images and their series come first. `decodes`: compressed pixels may be decoded.
pub(super) fn plan(
    sources: &[Source<'_>],
    decodes: bool,
    marked: &BTreeSet<Uid>,
) -> Result<Vec<PlannedSeries>, PackError> {
    if sources.len() > INSTANCES_MAX {
        return Err(PackError::TooLarge { what: "instances", limit: INSTANCES_MAX as u64 });
    }
    let mut planned: Vec<PlannedSeries> = Vec::new();
    let mut places = HashMap::new();
    let mut keys = marked.clone();
    for (index, source) in sources.iter().enumerate() {
        let outline = scan(source)?;
        key_images::named(source, &outline, &mut keys)?;
        let instance = planned_instance(index, source, &outline, decodes);
        let traits = Traits::of(&outline, &source.transfer_syntax, instance.split.image.is_some());
        let key = (outline.study.clone(), outline.series.clone(), source.transfer_syntax.clone());
        let place = *places.entry(key).or_insert(planned.len());
        match planned.get_mut(place) {
            Some(series) => {
                series.instances.push(instance);
                series.traits.merge(traits);
                series.mixed_patients |= !series.banner.is_same_patient(&outline.banner);
                series.banner.keep_common(&outline.banner);
            }
            None => planned.push(new_series(source, outline, traits, instance)),
        }
    }
    for series in &mut planned {
        let is_key =
            |instance: &PlannedInstance| instance.sop_instance.as_ref().is_some_and(|uid| keys.contains(uid));
        series.instances.sort_by_key(|instance| {
            (!is_key(instance), instance.number.is_none(), instance.number, instance.source)
        });
        series.key_images = series.instances.iter().take_while(|instance| is_key(instance)).count() as u32;
    }
    planned.sort_by_key(|series| series.key_images == 0);
    Ok(planned)
}

fn new_series(
    source: &Source<'_>,
    outline: Outline,
    traits: Traits,
    first: PlannedInstance,
) -> PlannedSeries {
    PlannedSeries {
        study: outline.study,
        series: outline.series,
        modality: outline.modality,
        transfer_syntax: source.transfer_syntax.clone(),
        traits,
        banner: outline.banner,
        mixed_patients: false,
        key_images: 0,
        instances: vec![first],
    }
}

/// The outline of a source; an empty one where it cannot be scanned: it is then carried whole.
fn scan(source: &Source<'_>) -> io::Result<Outline> {
    let mut data: Box<dyn ReadSeek> = (source.open)()?;
    data.seek(SeekFrom::Start(source.prefix_bytes))?;
    let bytes = source.bytes.saturating_sub(source.prefix_bytes);
    match dataset::outline_here(&mut data, bytes, Encoding::of_transfer_syntax(&source.transfer_syntax)) {
        Ok(outline) => Ok(outline),
        Err(ScanError::Damaged { .. }) => Ok(Outline::default()),
        Err(ScanError::Io(error)) => Err(error),
    }
}

fn planned_instance(index: usize, source: &Source<'_>, outline: &Outline, decodes: bool) -> PlannedInstance {
    let (announced_class, announced_instance) = source.announced.clone().unzip();
    PlannedInstance {
        source: index,
        sop_class: outline.sop_class.clone().or(announced_class),
        sop_instance: outline.sop_instance.clone().or(announced_instance),
        split: split(source, outline, decodes),
        number: outline.instance_number,
    }
}

/// Cuts the source bytes (SPEC 1.2).
fn split(source: &Source<'_>, outline: &Outline, decodes: bool) -> Split {
    let Some(found) = &outline.bulk else { return split_unscanned(source, outline) };
    let head = source.prefix_bytes + found.range.start;
    let value = found.range.end - found.range.start;
    let carried = outline.image.filter(|_| found.kind == BulkKind::Encapsulated);
    let carried = carried.and_then(|image| carried_layout(image, &source.transfer_syntax));
    let (image, compressed) = match found.kind {
        BulkKind::Native => (outline.image.and_then(|image| fitted(image, value)), None),
        BulkKind::Encapsulated if decodes => {
            outline.image.and_then(|image| decodable(image, &source.transfer_syntax)).unzip()
        }
        BulkKind::Encapsulated | BulkKind::Other => (None, None),
    };
    let native = image.filter(|_| compressed.is_none());
    let bulk = native.and_then(|image| image_bytes(&image)).unwrap_or(value);
    Split { head, bulk, tail: source.bytes - head - bulk, image, compressed, carried }
}

/// Deflated, damaged or not DICOM at all. An outline that is known and has no bulk value is small parts alone, which do
/// best in the header stream.
fn split_unscanned(source: &Source<'_>, outline: &Outline) -> Split {
    let deflated = Encoding::of_transfer_syntax(&source.transfer_syntax) == Encoding::Deflated;
    let scanned = !deflated && *outline != Outline::default();
    let head = if scanned || source.bytes < UNSCANNED_BYTES_MIN { source.bytes } else { BULK_BYTES_MIN };
    Split { head, bulk: source.bytes - head, tail: 0, image: None, compressed: None, carried: None }
}

/// The layout with the number of frames that the value holds; `None` where it does not hold whole frames.
fn fitted(image: ImageLayout, value_bytes: u64) -> Option<ImageLayout> {
    let frame_bytes = pixels::frame_bytes(&image)?;
    let frames = u32::try_from(value_bytes / frame_bytes).ok().filter(|frames| *frames > 0)?;
    (value_bytes % frame_bytes <= PIXEL_PADDING_MAX).then_some(ImageLayout { frames, ..image })
}

/// Grey frames of a syntax that is decoded, no larger than is decoded, and short enough for a native value together.
fn decodable(image: ImageLayout, transfer_syntax: &Uid) -> Option<(ImageLayout, Syntax)> {
    let syntax = Syntax::of(transfer_syntax)?;
    let image = ImageLayout { planar: false, ..image };
    let fits = image.samples_per_pixel == 1
        && pixels::frame_bytes(&image)? <= FRAME_DECODED_BYTES_MAX
        && (1..=NATIVE_BYTES_MAX).contains(&image_bytes(&image)?);
    fits.then_some((image, syntax))
}

/// Frames of a syntax that a viewer decodes, as they decode.
fn carried_layout(image: ImageLayout, transfer_syntax: &Uid) -> Option<ImageLayout> {
    Codestream::of(transfer_syntax)?;
    let image = ImageLayout { planar: false, big_endian: false, ..image };
    (image.frames > 0 && can_be_carried(&image)).then_some(image)
}
