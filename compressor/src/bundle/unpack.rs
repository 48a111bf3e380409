//! Unpacking: every instance written out in order, each digest compared before the next begins (SPEC 6).

mod header_stream;
mod names;
mod residuals;
mod rewriting;
mod slabs;
mod workers;

use super::{
    Compressed, Instance, Manifest, Segment, SegmentKind, SegmentSource, Series, UnpackError, manifest,
};
use crate::limits::REWRITE_BYTES_MAX;
use crate::{Uid, pixels};
use header_stream::HeaderStream;
use names::Names;
use residuals::Residuals;
use rewriting::Rewriting;
use sha2::{Digest, Sha256};
use slabs::Slabs;
use std::io::{self, Write};
use std::iter::Peekable;
use workers::Workers;

/// Explicit VR Little Endian (PS3.5 A.2).
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";

/// What is wanted of images that were compressed within a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The images as they can be shown, marked as derived and under new UIDs (SPEC 6.2).
    #[default]
    Shown,
    /// Every instance as it came, which needs the residual.
    Exact,
}

/// An instance that is about to be written.
#[derive(Debug)]
pub struct Unpacking<'m> {
    /// Its series as it came.
    pub series: &'m Series,
    /// The instance as it came.
    pub instance: &'m Instance,
    /// Index of the series in the manifest.
    pub series_index: u32,
    /// Index of the instance in the series.
    pub instance_index: u32,
    /// SOP Instance UID as it will be written: a new one for a derived image.
    pub sop_instance: Option<Uid>,
    /// Transfer syntax as it will be written: another one for an image whose pixels came compressed.
    pub transfer_syntax: Uid,
}

/// Opens the place that an instance is written to.
pub type CreateInstance<'c> = dyn FnMut(&Unpacking<'_>) -> io::Result<Box<dyn Write>> + 'c;

/// What became of the instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Unpacked {
    /// Written with new UIDs, and marked as irreversibly compressed where their pixels are.
    pub derived: u64,
    /// Written as they came but for references to derived images, which follow these.
    pub remapped: u64,
    /// Written as they came though what they refer to could not be read in whole: they may name images by UIDs of before.
    pub unread: u64,
}

/// Unpacks every instance in the order of the manifest. `create` opens the place for an instance; each one's digest is compared
/// with the manifest before the next begins.
///
/// Slabs are decoded by `threads` threads; what is written does not depend on their number. Memory stays bounded whatever the size of
/// instances: some slabs and one more for each thread, and at most a few times [`REWRITE_BYTES_MAX`] where headers are rewritten.
///
/// # Errors
/// [`UnpackError`]; what was written until then is the caller's to throw away.
pub fn unpack(
    manifest: &Manifest,
    segments: &mut dyn SegmentSource,
    wanted: Wanted,
    threads: usize,
    create: &mut CreateInstance<'_>,
) -> Result<Unpacked, UnpackError> {
    manifest::check(manifest)?;
    std::thread::scope(|scope| {
        let workers = Workers::start(scope, threads);
        unpack_by(&workers, manifest, segments, wanted, create)
    })
}

fn unpack_by(
    workers: &Workers,
    manifest: &Manifest,
    segments: &mut dyn SegmentSource,
    wanted: Wanted,
    create: &mut CreateInstance<'_>,
) -> Result<Unpacked, UnpackError> {
    let (names, residuals) = match wanted {
        Wanted::Shown => (Names::of(manifest)?, Residuals::default()),
        Wanted::Exact => (Names::default(), Residuals::of(manifest)?),
    };
    let mut unpacked = Unpacked::default();
    // Segment 0 is the manifest itself, which has no entry.
    let mut rest: Rest<'_> = (1..).zip(manifest.segments.as_slice()).peekable();
    for (number, series) in (0..).zip(&manifest.series) {
        let headers = take_while(&mut rest, |s| s.series == number && s.kind == SegmentKind::Headers);
        let mut headers = HeaderStream::new(headers)?;
        let model = rest.next_if(|(_, s)| s.series == number && s.kind == SegmentKind::Model);
        let model =
            model.map(|(n, segment)| decode_model(segment, &fetch(segments, n, segment)?)).transpose()?;
        let coarse = take_while(&mut rest, |s| s.series == number && s.kind == SegmentKind::Coarse);
        let mut slabs = Slabs::new(workers, manifest, number, model, coarse, &residuals);
        for (index, instance) in (0..).zip(&series.instances) {
            let parts = take_while(&mut rest, |s| {
                s.series == number && s.instance == index && s.kind != SegmentKind::Residual
            });
            let residuals = residuals.of_instance(number, index);
            let bulk = Bulk { instance, parts, slabs: &mut slabs, residuals };
            let unpacking = Unpacking {
                series,
                instance,
                series_index: number,
                instance_index: index,
                sop_instance: names.sop_instance(instance, number, index),
                transfer_syntax: transfer_syntax(series, instance, wanted),
            };
            let out = create(&unpacking)?;
            let mut job = Job { segments, headers: &mut headers, bulk, out };
            match Rewriting::of(&unpacking, &names) {
                Some(rewriting) => rewriting.run(&mut job, &mut unpacked)?,
                None => job.copy()?,
            }
        }
    }
    Ok(unpacked)
}

type Rest<'m> = Peekable<std::iter::Zip<std::ops::RangeFrom<u32>, std::slice::Iter<'m, Segment>>>;

fn take_while<'m>(rest: &mut Rest<'m>, belongs: impl Fn(&Segment) -> bool) -> Vec<(u32, &'m Segment)> {
    std::iter::from_fn(|| rest.next_if(|(_, segment)| belongs(segment))).collect()
}

/// One instance on its way out.
struct Job<'j, 'm> {
    segments: &'j mut dyn SegmentSource,
    headers: &'j mut HeaderStream<'m>,
    bulk: Bulk<'j, 'm>,
    out: Box<dyn Write>,
}

impl Job<'_, '_> {
    /// Writes the instance as it came.
    fn copy(&mut self) -> Result<(), UnpackError> {
        let instance = self.bulk.instance;
        let mut output = Digesting { out: &mut self.out, hasher: Sha256::new() };
        self.headers.copy(self.segments, instance.head_bytes, &mut output)?;
        self.bulk.copy(self.segments, &mut output)?;
        self.headers.copy(self.segments, instance.tail_bytes, &mut output)?;
        output.flush()?;
        check_digest(output.hasher, &instance.sha256)
    }
}

/// The transfer syntax that an instance is written in.
fn transfer_syntax(series: &Series, instance: &Instance, wanted: Wanted) -> Uid {
    let native = wanted == Wanted::Shown && instance.compressed == Some(Compressed::Decoded);
    let native = native.then(|| Uid::parse(EXPLICIT_LITTLE).ok()).flatten();
    native.unwrap_or_else(|| series.transfer_syntax.clone())
}

/// The bulk value of an instance.
struct Bulk<'j, 'm> {
    instance: &'m Instance,
    parts: Vec<(u32, &'m Segment)>,
    slabs: &'j mut Slabs<'m>,
    /// Empty where pixels are wanted as they can be shown.
    residuals: &'j [(u32, &'m Segment)],
}

impl Bulk<'_, '_> {
    /// Decodes the value part by part.
    fn copy(&mut self, segments: &mut dyn SegmentSource, out: &mut dyn Write) -> Result<(), UnpackError> {
        let came_compressed = self.instance.compressed == Some(Compressed::Decoded);
        if came_compressed && !self.residuals.is_empty() {
            self.slabs.pass(self.parts.len());
            return copy_chunks(self.residuals, segments, out);
        }
        if self.instance.image.is_none() {
            return copy_chunks(&self.parts, segments, out);
        }
        for _ in &self.parts {
            out.write_all(self.slabs.next(segments)?.raw()?)?;
        }
        Ok(())
    }
}

fn copy_chunks(
    chunks: &[(u32, &Segment)],
    segments: &mut dyn SegmentSource,
    out: &mut dyn Write,
) -> Result<(), UnpackError> {
    for (number, segment) in chunks {
        out.write_all(&unpack_chunk(segment, &fetch(segments, *number, segment)?)?)?;
    }
    Ok(())
}

fn unpack_chunk(segment: &Segment, coded: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let raw = pixels::unpack_chunk(coded, raw_bytes(segment)?);
    raw.map_err(|damaged| UnpackError::damaged(damaged.to_string()))
}

/// Gives a segment, of the length that the manifest says.
fn fetch(source: &mut dyn SegmentSource, number: u32, segment: &Segment) -> Result<Vec<u8>, UnpackError> {
    let coded = source.segment(number)?;
    if coded.len() as u64 != segment.coded_bytes {
        return Err(UnpackError::damaged("segment is not as long as the manifest says"));
    }
    Ok(coded)
}

fn decode_model(segment: &Segment, coded: &[u8]) -> Result<pixels::Model, UnpackError> {
    let raw = pixels::unpack_chunk(coded, raw_bytes(segment)?);
    raw.and_then(|raw| pixels::Model::read(&raw)).map_err(|damaged| UnpackError::damaged(damaged.to_string()))
}

/// At most a slab, chunk or model, as the check of the manifest made sure.
fn raw_bytes(segment: &Segment) -> Result<usize, UnpackError> {
    usize::try_from(segment.raw_bytes).map_err(|_| UnpackError::damaged("segment too large"))
}

/// Bytes being written and digested.
struct Digesting<'o> {
    out: &'o mut dyn Write,
    hasher: Sha256,
}

impl Write for Digesting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn check_digest(hasher: Sha256, expected: &str) -> Result<(), UnpackError> {
    if manifest::hex(&hasher.finalize()) != expected {
        return Err(UnpackError::damaged("an instance is not what was packed"));
    }
    Ok(())
}
