//! The manifest on its way in and out, and every check that its numbers agree (SPEC 4).

use super::{
    Carried, Compressed, FORMAT, Instance, Manifest, Segment, SegmentKind, SegmentSource, Series, Summary,
    UnpackError,
};
use crate::dataset::ImageLayout;
use crate::limits::{
    CARRIED_FRAME_BYTES_MAX, CHUNK_BYTES_MAX, INSTANCES_MAX, MANIFEST_BYTES_MAX, MODEL_BYTES_MAX,
    NAME_BYTES_MAX, RATIO_FREE_BYTES, RATIO_MAX, SEGMENT_BYTES_MAX, SEGMENTS_MAX,
};
use crate::pixels;
use crate::zstd_frame;

mod banners;
#[cfg(feature = "native")]
mod encoder;
mod reader;
#[cfg(feature = "native")]
pub(super) use encoder::encode;

/// Window of the manifest's frame: 2 MiB.
const WINDOW_LOG: u32 = 21;
/// Characters of a SHA-256 in hex.
const SHA256_HEX_CHARACTERS: usize = 64;

impl Manifest {
    /// Whether no two instances name different patients.
    pub fn is_of_one_patient(&self) -> bool {
        let mut banners = self.series.iter().map(|series| &series.banner);
        let first = banners.next();
        !self.series.iter().any(|series| series.mixed_patients)
            && first.is_none_or(|first| banners.all(|banner| banner.is_same_patient(first)))
    }

    /// The sizes of the study, but for the bytes of the whole bundle, which a manifest cannot know.
    pub fn summary(&self) -> Summary {
        let coded = |kind| -> u64 {
            self.segments.iter().filter(|segment| segment.kind == kind).map(|s| s.coded_bytes).sum()
        };
        let instances = || self.series.iter().flat_map(|series| &series.instances);
        Summary {
            instances: instances().count() as u64,
            source_bytes: instances().map(source_bytes).sum(),
            pixel_bytes: instances().map(pixel_bytes).sum(),
            coded_pixel_bytes: coded(SegmentKind::Model)
                + coded(SegmentKind::Coarse)
                + coded(SegmentKind::Pixels),
            header_bytes: instances().map(|i| i.head_bytes + i.tail_bytes).sum(),
            coded_header_bytes: coded(SegmentKind::Headers),
            residual_bytes: coded(SegmentKind::Residual),
            bundle_bytes: 0,
            max_error: self.series.iter().map(|series| series.max_error).max().unwrap_or_default(),
        }
    }
}

/// Reads and checks the manifest: limits, and that its numbers agree with each other.
///
/// # Errors
/// [`UnpackError`].
pub fn read_manifest(segments: &mut dyn SegmentSource) -> Result<Manifest, UnpackError> {
    let text = zeroize::Zeroizing::new(decode(&segments.segment(0)?)?);
    let damaged = || UnpackError::damaged("manifest is not what its format says");
    let format = reader::format(&text).ok_or_else(damaged)?;
    if format != FORMAT {
        return Err(UnpackError::UnknownFormat { format });
    }
    let (mut manifest, banners) = reader::manifest(&text).ok_or_else(damaged)?;
    check(&manifest)?;
    banners::give(banners, &mut manifest.series)?;
    Ok(manifest)
}

fn decode(frame: &[u8]) -> Result<Vec<u8>, UnpackError> {
    zstd_frame::decode_at_most(frame, MANIFEST_BYTES_MAX, WINDOW_LOG)
        .ok_or_else(|| UnpackError::damaged("manifest does not unpack, or is too large"))
}

/// Checks everything that unpacking relies on.
pub(super) fn check(manifest: &Manifest) -> Result<(), UnpackError> {
    let instances = manifest.series.iter().try_fold(0, |sum: usize, s| sum.checked_add(s.instances.len()));
    require(instances.is_some_and(|count| count <= INSTANCES_MAX), "too many instances")?;
    require(manifest.segments.len() < SEGMENTS_MAX as usize, "too many segments")?;
    let mut segments = manifest.segments.as_slice();
    for (number, series) in manifest.series.iter().enumerate() {
        check_series(number, series, &mut segments)?;
    }
    check_residual(manifest, segments)?;
    check_ratio(manifest).map_err(|_| UnpackError::damaged("unpacks to more than its size can mean"))
}

/// Takes the segments of one series off `segments`.
fn check_series(number: usize, series: &Series, segments: &mut &[Segment]) -> Result<(), UnpackError> {
    let header_bytes = series.instances.iter().try_fold(0_u64, |sum, instance| {
        sum.checked_add(instance.head_bytes)?.checked_add(instance.tail_bytes)
    });
    require(series.key_images as usize <= series.instances.len(), "more key images than instances")?;
    let headers = take_while(segments, |s| s.series as usize == number && s.kind == SegmentKind::Headers);
    let fits =
        |s: &Segment| s.raw_bytes <= CHUNK_BYTES_MAX as u64 && s.coded_bytes <= SEGMENT_BYTES_MAX as u64;
    require(headers.iter().all(fits), "header segment too large")?;
    require(is_sum(headers, header_bytes), "header segments are not the headers of their instances")?;
    let models = take_while(segments, |s| s.series as usize == number && s.kind == SegmentKind::Model);
    let fits =
        |s: &Segment| s.raw_bytes <= MODEL_BYTES_MAX as u64 && s.coded_bytes <= SEGMENT_BYTES_MAX as u64;
    require(models.len() <= 1 && models.iter().all(fits), "more than one model, or too large")?;
    let coarse = take_while(segments, |s| s.series as usize == number && s.kind == SegmentKind::Coarse);
    let before = *segments;
    for (index, instance) in series.instances.iter().enumerate() {
        let own = take_while(segments, |s| {
            s.series as usize == number && s.instance as usize == index && s.kind != SegmentKind::Residual
        });
        check_instance(instance, own)?;
    }
    let own = before.iter().take(before.len() - segments.len());
    let slabs = own.filter(|s| s.kind == SegmentKind::Pixels).map(place);
    require(coarse.iter().map(place).eq(slabs), "coarse pictures are not those of the slabs")?;
    require(coarse.iter().all(|s| s.coded_bytes <= SEGMENT_BYTES_MAX as u64), "segment too large")
}

/// What a slab and its other parts have in common.
fn place(segment: &Segment) -> (u32, u32, u64) {
    (segment.series, segment.instance, segment.raw_bytes)
}

/// Checks that the segments left are the residual, whole, or none at all: in the order of the slabs, one for each slab of the bounded
/// series, and the whole value of instances that were decoded.
fn check_residual(manifest: &Manifest, mut segments: &[Segment]) -> Result<(), UnpackError> {
    if segments.is_empty() {
        return Ok(());
    }
    let fits = |s: &Segment| s.kind == SegmentKind::Residual && s.coded_bytes <= SEGMENT_BYTES_MAX as u64;
    require(segments.iter().all(fits), "segments that belong to no series, or too large")?;
    let mut slabs = manifest.segments.iter().filter(|s| s.kind == SegmentKind::Pixels).peekable();
    for (number, series) in (0..).zip(&manifest.series) {
        for (index, instance) in (0..).zip(&series.instances) {
            let own = take_while(&mut segments, |s| (s.series, s.instance) == (number, index));
            let slabs = std::iter::from_fn(|| slabs.next_if(|s| (s.series, s.instance) == (number, index)));
            let whole = if instance.compressed == Some(Compressed::Decoded) {
                slabs.for_each(drop);
                let fits = |s: &Segment| s.raw_bytes <= CHUNK_BYTES_MAX as u64;
                own.iter().all(fits) && is_sum(own, Some(instance.bulk_bytes))
            } else {
                let slabs: Vec<_> = slabs.filter(|_| series.near > 0).map(place).collect();
                own.iter().map(place).eq(slabs)
            };
            require(whole, "residual is not that of the bounded slabs")?;
        }
    }
    require(segments.is_empty(), "residual is not that of the bounded slabs")
}

fn check_instance(instance: &Instance, segments: &[Segment]) -> Result<(), UnpackError> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let digest = |text: &String| text.len() == SHA256_HEX_CHARACTERS && text.bytes().all(hex);
    let digests = [Some(&instance.sha256), instance.decoded_sha256.as_ref()];
    require(digests.into_iter().flatten().all(digest), "digest is not a SHA-256 in hex")?;
    require(instance.name.as_deref().is_none_or(is_safe_name), "name leads outside the folder")?;
    let decoded = instance.compressed == Some(Compressed::Decoded);
    let bytes = if decoded { pixel_bytes(instance) } else { instance.bulk_bytes };
    require(is_sum(segments, Some(bytes)), "segments are not the bulk value of their instance")?;
    let agrees = match instance.compressed {
        Some(Compressed::Decoded) => instance.image.is_some() && instance.decoded_sha256.is_some(),
        Some(Compressed::Passed(_)) => instance.image.is_none() && instance.decoded_sha256.is_none(),
        None => true,
    };
    require(agrees, "compressed pixels both decoded and not")?;
    require(segments.iter().all(|s| s.coded_bytes <= SEGMENT_BYTES_MAX as u64), "segment too large")?;
    let carries = |carried: &Carried| {
        let chunks = carried.chunks.iter().map(|count| u64::from(*count)).sum::<u64>();
        instance.image.is_none()
            && instance.compressed.is_none()
            && chunks == segments.len() as u64
            && !carried.chunks.contains(&0)
            && carried.chunks.len() == carried.image.frames as usize
            && can_be_carried(&carried.image)
    };
    require(instance.carried.as_ref().is_none_or(carries), "chunks are not those of their frames")?;
    let Some(image) = &instance.image else {
        let fits = |s: &Segment| s.kind == SegmentKind::Opaque && s.raw_bytes <= CHUNK_BYTES_MAX as u64;
        return require(segments.iter().all(fits), "chunk too large, or of the wrong kind");
    };
    require(image_bytes(image) == Some(bytes), "image is not as long as its layout")?;
    let lengths = pixels::slab_lengths(image).into_iter().flatten().map(|length| length as u64);
    let slabs = segments.iter().map(|s| if s.kind == SegmentKind::Pixels { s.raw_bytes } else { 0 });
    require(lengths.eq(slabs), "slabs are not cut as their layout says")
}

/// Whether a viewer's decoders give frames so, and a telephone has room for one: pixel by pixel, little endian, grey or three colours.
pub(super) fn can_be_carried(image: &ImageLayout) -> bool {
    let bits = (1..=image.bits_allocated).contains(&image.bits_stored);
    let bytes = pixels::frame_bytes(image).is_some_and(|bytes| bytes <= CARRIED_FRAME_BYTES_MAX);
    bits && bytes && !image.planar && !image.big_endian && matches!(image.samples_per_pixel, 1 | 3)
}

/// Bytes that an instance came in.
pub(super) fn source_bytes(instance: &Instance) -> u64 {
    instance.head_bytes + instance.bulk_bytes + instance.tail_bytes
}

/// Bytes of the pixels that an instance has as slabs.
pub(super) fn pixel_bytes(instance: &Instance) -> u64 {
    instance.image.as_ref().and_then(image_bytes).unwrap_or_default()
}

/// Bytes of all frames.
pub(super) fn image_bytes(image: &ImageLayout) -> Option<u64> {
    pixels::frame_bytes(image)?.checked_mul(image.frames.into())
}

/// Checks that a bundle does not unpack to absurdly more than it is. `Err` holds the limit passed.
pub(super) fn check_ratio(manifest: &Manifest) -> Result<(), u64> {
    let sum = |bytes: fn(&Segment) -> u64| {
        manifest.segments.iter().fold(0_u64, |sum, segment| sum.saturating_add(bytes(segment)))
    };
    let limit = sum(|s| s.coded_bytes).saturating_mul(RATIO_MAX).saturating_add(RATIO_FREE_BYTES);
    let raw_bytes = |s: &Segment| if s.kind == SegmentKind::Coarse { 0 } else { s.raw_bytes };
    if sum(raw_bytes) > limit { Err(limit) } else { Ok(()) }
}

/// Whether a name is a relative path of normal components that stays in its folder on every system.
pub fn is_safe_name(name: &str) -> bool {
    let normal = |component: &str| {
        !matches!(component, "" | "." | "..")
            && !component.contains('\\')
            // A drive of Windows.
            && component.as_bytes().get(1) != Some(&b':')
            && !component.chars().any(char::is_control)
    };
    name.len() <= NAME_BYTES_MAX && name.split('/').all(normal)
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn take_while<'s>(segments: &mut &'s [Segment], belongs: impl Fn(&Segment) -> bool) -> &'s [Segment] {
    let count = segments.iter().position(|segment| !belongs(segment)).unwrap_or(segments.len());
    let (own, rest) = segments.split_at_checked(count).unwrap_or_default();
    *segments = rest;
    own
}

fn is_sum(segments: &[Segment], bytes: Option<u64>) -> bool {
    let sum = segments.iter().try_fold(0_u64, |sum, segment| sum.checked_add(segment.raw_bytes));
    sum.is_some() && sum == bytes
}

fn require(holds: bool, reason: &str) -> Result<(), UnpackError> {
    if holds { Ok(()) } else { Err(UnpackError::damaged(reason)) }
}
