//! Packing: every source is read once more, front to back, and its parts go to the workers.

use super::bounded::{Account, SlabCoder};
use super::frames::{Decoding, Frames, FramesError};
use super::lessons::{self, Learnt};
use super::line::{Line, Place, Work};
use super::packed::Packed;
use super::pairs::{Pairs, RawSlab};
use super::plan::{PlannedInstance, PlannedSeries, plan};
use super::writer::Writer;
use super::{
    Carried, Compressed, Instance, Manifest, Options, PackError, ReadSeek, SegmentKind, Series, Source,
    Summary, manifest, marking,
};
use crate::dataset::ImageLayout;
use crate::encapsulated::{self, FrameIndex, NotDecoded};
use crate::limits::{CARRIED_FRAMES_MAX, CHUNK_BYTES_MAX, DECODED_BYTES_HELD_MAX};
use crate::near::{self, Decision, Reason};
use crate::pixels;
use sha2::{Digest, Sha256};
use std::io::{self, Read, SeekFrom, Write};
use std::sync::Arc;

/// Packs `sources` into a bundle file (SPEC 5). `progress` is told the number of source bytes coded so far.
///
/// Instances are grouped by study, series and transfer syntax, and ordered by Instance Number within. Memory is bounded whatever
/// the number and size of instances: 105 MB resident were measured with 2 threads on 66 MB of MR within a bound, 97 MB without loss.
///
/// # Errors
/// [`PackError`].
pub fn pack<W: Write>(
    sources: &[Source<'_>],
    out: &mut W,
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> Result<(Manifest, Summary), PackError> {
    pack_with(sources, &mut [], out, options, progress)
}

/// [`pack`], which takes over what is `packed` already of series that have not changed since: each was packed with the same bound,
/// residual and decoder. Manifest and segments come out as if it had not been, but that the time a decoder may take is counted for each
/// packing apart.
///
/// # Errors
/// [`PackError`]; [`PackError::Io`] too where a segment of `packed` cannot be read or is damaged.
pub fn pack_with<W: Write>(
    sources: &[Source<'_>],
    packed: &mut [Packed],
    out: &mut W,
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> Result<(Manifest, Summary), PackError> {
    let planned = plan(sources, options.decoder.is_some(), &options.key_images)?;
    let decoding = options.decoder.as_ref().map(Decoding::by);
    let writer = Writer::new(out, progress)?;
    let (writer, accounts, mut series) = std::thread::scope(|scope| {
        let mut line = Line::start(scope, options.threads, writer);
        let mut series = Vec::with_capacity(planned.len());
        let mut carried_frames_left = CARRIED_FRAMES_MAX;
        for planned in planned {
            let number = series.len() as u32;
            series.push(match take_over(packed, &mut line, &planned, sources, number)? {
                Some(taken) => {
                    let frames = taken.instances.iter().filter_map(|one| one.carried.as_ref());
                    let frames = frames.map(|carried| carried.chunks.len()).sum();
                    carried_frames_left = carried_frames_left.saturating_sub(frames);
                    (taken, None)
                }
                None => pack_series(
                    &mut line,
                    sources,
                    options,
                    decoding.as_ref(),
                    planned,
                    number,
                    &mut carried_frames_left,
                )?,
            });
        }
        let (writer, accounts) = line.finish()?;
        Ok::<_, PackError>((writer, accounts, series))
    })?;
    for account in accounts {
        if let Some((series, ratio_max)) = series.get_mut(account.series as usize) {
            enter(series, *ratio_max, account, &writer);
        }
    }
    let series = series.into_iter().map(|(series, _)| series).collect();
    let (manifest, bundle_bytes) = writer.finish(series, options.note.clone())?;
    manifest::check_ratio(&manifest)
        .map_err(|limit| PackError::TooLarge { what: "bytes unpacked", limit })?;
    let summary = Summary { bundle_bytes, ..manifest.summary() };
    Ok((manifest, summary))
}

fn take_over<W: Write>(
    packed: &mut [Packed],
    line: &mut Line<'_, W>,
    planned: &PlannedSeries,
    sources: &[Source<'_>],
    number: u32,
) -> Result<Option<Series>, PackError> {
    for packed in packed {
        if let Some(series) = packed.take_over(line, planned, sources, number)? {
            return Ok(Some(series));
        }
    }
    Ok(None)
}

/// Packs a series; gives it without what is known only when all is coded, and the ceiling of its ratio.
fn pack_series<W: Write>(
    line: &mut Line<'_, W>,
    sources: &[Source<'_>],
    options: &Options,
    decoding: Option<&Decoding<'_>>,
    mut planned: PlannedSeries,
    number: u32,
    carried_frames_left: &mut usize,
) -> Result<(Series, Option<f64>), PackError> {
    let decision = decide(sources, options, decoding, &planned)?;
    if decision.bound.near == 0 {
        planned.pass_compressed();
    }
    let coder = |model| Some(Arc::new(SlabCoder::new(model, &decision, options.residual)));
    let coder = match lessons::learn(sources, decoding, &planned, &decision.bound)? {
        Learnt::NoPixels => None,
        Learnt::NoModel => coder(None),
        Learnt::Model(model) => coder(Some(*model)),
    };
    if let Some(model) = coder.as_ref().and_then(|coder| coder.model.as_ref()) {
        let place = Place { kind: SegmentKind::Model, series: number, instance: 0, source_bytes: 0 };
        line.submit(place, Work::Chunk, model.write())?;
    }
    let mut packing = Packing {
        header_bytes_left: planned.header_bytes(),
        line,
        decoding,
        series: number,
        slabs: coder.map(Pairs::new),
        headers: Vec::with_capacity(CHUNK_BYTES_MAX),
        residual: options.residual,
        carried_frames_left,
    };
    let mut instances = Vec::with_capacity(planned.instances.len());
    for instance in &planned.instances {
        let Some(source) = sources.get(instance.source) else { continue };
        instances.push(packing.pack_instance(source, instance, instances.len() as u32)?);
    }
    if let Some(slabs) = &mut packing.slabs {
        slabs.finish(packing.line)?;
    }
    let series = Series {
        study: planned.study,
        series: planned.series,
        modality: planned.modality,
        transfer_syntax: planned.transfer_syntax,
        near: 0,
        max_error: 0,
        rmse: 0.0,
        block_error: 0.0,
        sigma: decision.sigma,
        ratio: None,
        reference_only: false,
        reason: decision.reason.map(|reason| reason.to_string()),
        banner: planned.banner,
        mixed_patients: planned.mixed_patients,
        key_images: planned.key_images,
        instances,
    };
    Ok((series, decision.ratio_max))
}

/// The bound of a series, after a look at some of its slabs.
fn decide(
    sources: &[Source<'_>],
    options: &Options,
    decoding: Option<&Decoding<'_>>,
    planned: &PlannedSeries,
) -> Result<Decision, PackError> {
    let mut unseen = None;
    let decision = near::decide(&options.near, &planned.traits, |survey| {
        unseen = lessons::look(sources, decoding, planned, survey)?;
        Ok(())
    })?;
    if let Some(reason) = unseen {
        return Ok(Decision::lossless(Some(Reason::NotDecoded(reason))));
    }
    if decision.bound.near > 0 && !marking::can_be_marked(sources, planned)? {
        return Ok(Decision::lossless(Some(Reason::Header)));
    }
    Ok(decision)
}

/// Enters what was lost into the manifest.
fn enter<W: Write>(series: &mut Series, ratio_max: Option<f64>, account: Account, writer: &Writer<'_, W>) {
    series.near = account.near.into();
    series.max_error = account.errors.largest();
    series.rmse = account.errors.rmse();
    series.block_error = account.errors.block();
    for (instance, sha256) in account.decoded {
        if let Some(instance) = series.instances.get_mut(instance as usize) {
            instance.decoded_sha256 = Some(sha256);
        }
    }
    let coded_bytes = writer.coded_pixel_bytes(account.series);
    let bytes: u64 = series.instances.iter().map(manifest::pixel_bytes).sum();
    series.ratio = (series.near > 0 && coded_bytes > 0).then(|| bytes as f64 / coded_bytes as f64);
    series.reference_only = series.ratio.zip(ratio_max).is_some_and(|(ratio, most)| ratio > most);
}

/// One series on its way to the workers.
struct Packing<'l, 'w, W> {
    line: &'l mut Line<'w, W>,
    decoding: Option<&'l Decoding<'l>>,
    series: u32,
    /// Set where anything in the series is coded as pixels.
    slabs: Option<Pairs>,
    /// Header bytes that are not yet with the workers.
    header_bytes_left: u64,
    /// The slice of the header stream that is being filled.
    headers: Vec<u8>,
    /// What decoded pixels were decoded from goes to the end of the bundle.
    residual: bool,
    /// Frames whose chunks may still be cut apart.
    carried_frames_left: &'l mut usize,
}

impl<W: Write> Packing<'_, '_, W> {
    fn pack_instance(
        &mut self,
        source: &Source<'_>,
        planned: &PlannedInstance,
        number: u32,
    ) -> Result<Instance, PackError> {
        let split = planned.split;
        let data = (source.open)()?;
        let mut reading = Reading { data, hasher: Sha256::new(), index: planned.source };
        self.pack_headers(&mut reading, split.head)?;
        let (compressed, carried) = self.pack_bulk(&mut reading, source, planned, number)?;
        self.pack_headers(&mut reading, split.tail)?;
        let digest: [u8; 32] = reading.hasher.finalize().into();
        if source.sha256.is_some_and(|expected| expected != digest) {
            return Err(PackError::SourceChanged { index: planned.source });
        }
        Ok(Instance {
            sop_class: planned.sop_class.clone(),
            sop_instance: planned.sop_instance.clone(),
            head_bytes: split.head,
            bulk_bytes: split.bulk,
            tail_bytes: split.tail,
            sha256: manifest::hex(&digest),
            decoded_sha256: None,
            image: split.image.filter(|_| !matches!(compressed, Some(Compressed::Passed(_)))),
            compressed,
            carried,
            conflict: source.conflict,
            name: source.name.clone(),
        })
    }

    /// Takes `bytes` into the header stream.
    fn pack_headers(&mut self, reading: &mut Reading, mut bytes: u64) -> Result<(), PackError> {
        while bytes > 0 {
            let room = CHUNK_BYTES_MAX - self.headers.len();
            let part = usize::try_from(bytes).unwrap_or(room).min(room);
            reading.read_onto(&mut self.headers, part)?;
            bytes -= part as u64;
            self.header_bytes_left -= part as u64;
            let last = self.header_bytes_left == 0;
            if last || self.headers.len() == CHUNK_BYTES_MAX {
                let raw = std::mem::replace(&mut self.headers, Vec::with_capacity(CHUNK_BYTES_MAX));
                let source_bytes = raw.len() as u64;
                let place =
                    Place { kind: SegmentKind::Headers, series: self.series, instance: 0, source_bytes };
                self.line.submit(place, Work::Headers { last }, raw)?;
            }
        }
        Ok(())
    }

    /// Packs the bulk value; says what became of it where it is compressed and might be decoded, and where its frames lie if it is carried as it came.
    fn pack_bulk(
        &mut self,
        reading: &mut Reading,
        source: &Source<'_>,
        planned: &PlannedInstance,
        number: u32,
    ) -> Result<(Option<Compressed>, Option<Carried>), PackError> {
        let split = planned.split;
        if split.compressed.is_none() {
            match split.image {
                Some(image) if self.slabs.is_some() => {
                    self.pack_slabs(image, number, None, |bytes| reading.read(bytes))?;
                }
                _ => return Ok((None, self.pack_carried(reading, source, planned, number)?)),
            }
            return Ok((None, None));
        }
        let (compressed, kind) = match self.pack_decoded(source, planned, number) {
            Ok(()) => (Compressed::Decoded, self.residual.then_some(SegmentKind::Residual)),
            Err(FramesError::NotDecoded(reason)) => (Compressed::Passed(reason), Some(SegmentKind::Opaque)),
            Err(FramesError::Pack(error)) => return Err(error),
        };
        self.pack_chunks(reading, split.bulk, kind, number)?;
        Ok((Some(compressed), None))
    }

    /// Packs the bulk value as it came; where a viewer can decode its frames, no chunk has bytes of two of them.
    fn pack_carried(
        &mut self,
        reading: &mut Reading,
        source: &Source<'_>,
        planned: &PlannedInstance,
        number: u32,
    ) -> Result<Option<Carried>, PackError> {
        let bytes = planned.split.bulk;
        let Some((image, frames)) = self.carried(source, planned)? else {
            self.pack_chunks(reading, bytes, Some(SegmentKind::Opaque), number)?;
            return Ok(None);
        };
        *self.carried_frames_left -= image.frames as usize;
        let (mut start, mut chunks) = (0, Vec::with_capacity(image.frames as usize));
        for end in frames.ends(bytes) {
            chunks.push(self.pack_chunks(reading, end - start, Some(SegmentKind::Opaque), number)?);
            start = end;
        }
        Ok(Some(Carried { image, chunks }))
    }

    /// The frames that a viewer can decode, and where they lie.
    fn carried(
        &self,
        source: &Source<'_>,
        planned: &PlannedInstance,
    ) -> Result<Option<(ImageLayout, FrameIndex)>, PackError> {
        let image = planned.split.carried.filter(|image| image.frames as usize <= *self.carried_frames_left);
        let Some(image) = image else { return Ok(None) };
        let mut data = (source.open)()?;
        data.seek(SeekFrom::Start(planned.split.head))?;
        let index = encapsulated::index(&mut data, planned.split.bulk, image.frames)?;
        Ok(index.ok().map(|index| (image, index)))
    }

    /// Packs compressed pixels as the native ones that they decode to, all of them or none.
    fn pack_decoded(
        &mut self,
        source: &Source<'_>,
        planned: &PlannedInstance,
        number: u32,
    ) -> Result<(), FramesError> {
        let none = || FramesError::NotDecoded(NotDecoded::Start);
        let image = planned.split.image.filter(|_| self.slabs.is_some()).ok_or_else(none)?;
        let mut frames = Frames::open(source, planned, self.decoding.ok_or_else(none)?)?;
        let bytes = manifest::image_bytes(&image).ok_or_else(none)?;
        let held = if bytes <= DECODED_BYTES_HELD_MAX {
            Some(io::Cursor::new(frames.read(0, bytes as usize)?))
        } else {
            frames.check()?;
            None
        };
        let mut pixels: Box<dyn FnMut(usize) -> Result<Vec<u8>, PackError>> = match held {
            Some(mut held) => Box::new(move |bytes| {
                let mut raw = vec![0; bytes];
                Ok(held.read_exact(&mut raw).map(|()| raw)?)
            }),
            None => {
                let mut offset = 0;
                Box::new(move |bytes| {
                    let raw = frames.read(offset, bytes).map_err(|error| match error {
                        FramesError::NotDecoded(reason) => PackError::Decoder(reason),
                        FramesError::Pack(error) => error,
                    });
                    offset += bytes as u64;
                    raw
                })
            }
        };
        Ok(self.pack_slabs(image, number, Some(planned.split.bulk), &mut *pixels)?)
    }

    /// Hands the slabs of an image over. `compressed_bytes`: of the value that `read` gives them from, where the source has it compressed.
    fn pack_slabs(
        &mut self,
        layout: ImageLayout,
        instance: u32,
        compressed_bytes: Option<u64>,
        mut read: impl FnMut(usize) -> Result<Vec<u8>, PackError>,
    ) -> Result<(), PackError> {
        let Some(slabs) = &mut self.slabs else { return Ok(()) };
        let mut left = compressed_bytes;
        for length in pixels::slab_lengths(&layout).into_iter().flatten() {
            let raw = read(length)?;
            let source_bytes = left.as_mut().map_or(length as u64, std::mem::take);
            let place = Place { kind: SegmentKind::Pixels, series: self.series, instance, source_bytes };
            let decompressed = compressed_bytes.is_some();
            slabs.submit(self.line, RawSlab { place, layout, decompressed, raw })?;
        }
        Ok(())
    }

    /// Hands `bytes` bytes over in chunks of this kind, and gives how many; only digests them where there is none.
    fn pack_chunks(
        &mut self,
        reading: &mut Reading,
        mut bytes: u64,
        kind: Option<SegmentKind>,
        instance: u32,
    ) -> Result<u32, PackError> {
        let mut count = 0;
        while bytes > 0 {
            count += 1;
            let length = usize::try_from(bytes).unwrap_or(CHUNK_BYTES_MAX).min(CHUNK_BYTES_MAX);
            let raw = reading.read(length)?;
            bytes -= length as u64;
            let Some(kind) = kind else { continue };
            let source_bytes = if kind == SegmentKind::Opaque { length as u64 } else { 0 };
            let place = Place { kind, series: self.series, instance, source_bytes };
            self.line.submit(place, Work::Chunk, raw)?;
        }
        Ok(count)
    }
}

/// A source being read and digested.
struct Reading {
    data: Box<dyn ReadSeek>,
    hasher: Sha256,
    index: usize,
}

impl Reading {
    fn read(&mut self, bytes: usize) -> Result<Vec<u8>, PackError> {
        let mut raw = Vec::with_capacity(bytes);
        self.read_onto(&mut raw, bytes)?;
        Ok(raw)
    }

    /// Reads `bytes` onto the end of `raw`.
    fn read_onto(&mut self, raw: &mut Vec<u8>, bytes: usize) -> Result<(), PackError> {
        let start = raw.len();
        raw.resize(start + bytes, 0);
        let part = raw.get_mut(start..).unwrap_or_default();
        self.data.read_exact(part).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => PackError::SourceChanged { index: self.index },
            _ => PackError::Io(error),
        })?;
        self.hasher.update(part);
        Ok(())
    }
}
