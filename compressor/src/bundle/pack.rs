//! Packing: every source is read once more, front to back, and its parts go to the workers.

use super::bounded::{Account, SlabCoder};
use super::line::{Line, Place, Work};
use super::pairs::Pairs;
use super::plan::{PlannedInstance, PlannedSeries, plan};
use super::writer::Writer;
use super::{
    Instance, Manifest, Options, PackError, ReadSeek, SegmentKind, Series, Source, Summary, lessons,
    manifest, marking,
};
use crate::limits::CHUNK_BYTES_MAX;
use crate::near::{self, Decision, Reason};
use crate::pixels;
use sha2::{Digest, Sha256};
use std::io::{self, Write};
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
    let planned = plan(sources)?;
    let writer = Writer::new(out, progress)?;
    let (writer, accounts, mut series) = std::thread::scope(|scope| {
        let mut line = Line::start(scope, options.threads, writer);
        let mut series = Vec::with_capacity(planned.len());
        for planned in planned {
            series.push(pack_series(&mut line, sources, options, planned, series.len() as u32)?);
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
    let (manifest, bundle_bytes) = writer.finish(series)?;
    manifest::check_ratio(&manifest)
        .map_err(|limit| PackError::TooLarge { what: "bytes unpacked", limit })?;
    let summary = Summary { bundle_bytes, ..manifest.summary() };
    Ok((manifest, summary))
}

/// Packs a series; gives it without what is known only when all is coded, and the ceiling of its ratio.
fn pack_series<W: Write>(
    line: &mut Line<'_, W>,
    sources: &[Source<'_>],
    options: &Options,
    planned: PlannedSeries,
    number: u32,
) -> Result<(Series, Option<f64>), PackError> {
    let mut decision =
        near::decide(&options.near, &planned.traits, |survey| lessons::look(sources, &planned, survey))?;
    if decision.bound.near > 0 && !marking::can_be_marked(sources, &planned)? {
        decision = Decision::lossless(Some(Reason::Header));
    }
    let model = lessons::learn(sources, &planned, &decision.bound)?;
    let coder = model.map(|model| Arc::new(SlabCoder::new(model, &decision, options.residual)));
    if let Some(coder) = &coder {
        let place = Place { kind: SegmentKind::Model, series: number, instance: 0 };
        line.submit(place, Work::Chunk, coder.model.write())?;
    }
    let mut packing = Packing {
        header_bytes_left: planned.header_bytes(),
        line,
        series: number,
        slabs: coder.map(Pairs::new),
        headers: Vec::with_capacity(CHUNK_BYTES_MAX),
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
        instances,
    };
    Ok((series, decision.ratio_max))
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
    let bytes: u64 = series.instances.iter().filter(|i| i.image.is_some()).map(|i| i.bulk_bytes).sum();
    series.ratio = (series.near > 0 && coded_bytes > 0).then(|| bytes as f64 / coded_bytes as f64);
    series.reference_only = series.ratio.zip(ratio_max).is_some_and(|(ratio, most)| ratio > most);
}

/// One series on its way to the workers.
struct Packing<'l, 'w, W> {
    line: &'l mut Line<'w, W>,
    series: u32,
    /// Set where anything in the series is coded as pixels.
    slabs: Option<Pairs>,
    /// Header bytes that are not yet with the workers.
    header_bytes_left: u64,
    /// The slice of the header stream that is being filled.
    headers: Vec<u8>,
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
        self.pack_bulk(&mut reading, planned, number)?;
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
            image: split.image,
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
                let place = Place { kind: SegmentKind::Headers, series: self.series, instance: 0 };
                self.line.submit(place, Work::Headers { last }, raw)?;
            }
        }
        Ok(())
    }

    fn pack_bulk(
        &mut self,
        reading: &mut Reading,
        planned: &PlannedInstance,
        number: u32,
    ) -> Result<(), PackError> {
        let series = self.series;
        let place = |kind| Place { kind, series, instance: number };
        let lengths = planned.split.image.and_then(|image| Some((image, pixels::slab_lengths(&image)?)));
        if let (Some((image, lengths)), Some(slabs)) = (lengths, &mut self.slabs) {
            for length in lengths {
                let raw = reading.read(length)?;
                slabs.submit(self.line, place(SegmentKind::Pixels), image, raw)?;
            }
            return Ok(());
        }
        let mut left = planned.split.bulk;
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(CHUNK_BYTES_MAX).min(CHUNK_BYTES_MAX);
            let raw = reading.read(length)?;
            self.line.submit(place(SegmentKind::Opaque), Work::Chunk, raw)?;
            left -= length as u64;
        }
        Ok(())
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
