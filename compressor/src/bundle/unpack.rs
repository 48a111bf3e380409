//! Unpacking: every instance written out in order, each digest compared before the next begins.

use super::headers::HeaderDecoder;
use super::{Instance, Manifest, Segment, SegmentKind, SegmentSource, Series, UnpackError, manifest};
use crate::pixels;
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// Opens the place that an instance is written to: its series, the index of that series, its own index.
pub type CreateInstance<'c> = dyn FnMut(&Series, u32, u32) -> io::Result<Box<dyn Write>> + 'c;

/// Unpacks every instance in the order of the manifest. `create` opens the place for an instance (series index, instance index);
/// each one's SHA-256 is compared with the manifest before the next begins.
///
/// # Errors
/// [`UnpackError`]; what was written until then is the caller's to throw away.
pub fn unpack(
    manifest: &Manifest,
    segments: &mut dyn SegmentSource,
    create: &mut CreateInstance<'_>,
) -> Result<(), UnpackError> {
    manifest::check(manifest)?;
    // Segment 0 is the manifest itself, which has no entry.
    let mut rest = (1..).zip(&manifest.segments).peekable();
    for (number, series) in (0..).zip(&manifest.series) {
        let headers = std::iter::from_fn(|| {
            rest.next_if(|(_, s)| s.series == number && s.kind == SegmentKind::Headers)
        });
        let mut headers = HeaderStream::new(headers.collect())?;
        let model = rest.next_if(|(_, s)| s.series == number && s.kind == SegmentKind::Model);
        let model =
            model.map(|(n, segment)| decode_model(segment, &fetch(segments, n, segment)?)).transpose()?;
        for (index, instance) in (0..).zip(&series.instances) {
            let mut output = Output { out: create(series, number, index)?, hasher: Sha256::new() };
            headers.copy(segments, instance.head_bytes, &mut output)?;
            while let Some((n, segment)) = rest.next_if(|(_, s)| s.series == number && s.instance == index) {
                output.write(&decode(instance, segment, &fetch(segments, n, segment)?, model.as_ref())?)?;
            }
            headers.copy(segments, instance.tail_bytes, &mut output)?;
            output.finish(instance)?;
        }
    }
    Ok(())
}

/// The header stream of a series, opened segment by segment.
struct HeaderStream<'m> {
    segments: std::vec::IntoIter<(u32, &'m Segment)>,
    decoder: HeaderDecoder,
    raw: Vec<u8>,
    used: usize,
}

impl<'m> HeaderStream<'m> {
    fn new(segments: Vec<(u32, &'m Segment)>) -> Result<Self, UnpackError> {
        let decoder = HeaderDecoder::new()?;
        Ok(Self { segments: segments.into_iter(), decoder, raw: Vec::new(), used: 0 })
    }

    /// Copies the next `bytes` of the stream.
    fn copy(
        &mut self,
        source: &mut dyn SegmentSource,
        mut bytes: u64,
        output: &mut Output,
    ) -> Result<(), UnpackError> {
        while bytes > 0 {
            let unused = self.raw.get(self.used..).unwrap_or_default();
            let part = usize::try_from(bytes).unwrap_or(usize::MAX).min(unused.len());
            output.write(unused.get(..part).unwrap_or_default())?;
            self.used += part;
            bytes -= part as u64;
            if bytes > 0 {
                self.open_next(source)?;
            }
        }
        Ok(())
    }

    fn open_next(&mut self, source: &mut dyn SegmentSource) -> Result<(), UnpackError> {
        let ended = || UnpackError::damaged("header stream ends early");
        let (number, segment) = self.segments.next().ok_or_else(ended)?;
        let coded = fetch(source, number, segment)?;
        let raw = self.decoder.decode(&coded, raw_bytes(segment)?);
        self.raw = raw.ok_or_else(|| UnpackError::damaged("header segment does not decode"))?;
        self.used = 0;
        Ok(())
    }
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

fn decode(
    instance: &Instance,
    segment: &Segment,
    coded: &[u8],
    model: Option<&pixels::Model>,
) -> Result<Vec<u8>, UnpackError> {
    let bytes = raw_bytes(segment)?;
    let raw = match &instance.image {
        Some(image) => { let n = u32::from_le_bytes(coded[..4].try_into().unwrap()) as usize; pixels::decode_slab(image, &coded[4..4 + n], &coded[4 + n..], model, &[], bytes) }
        None => pixels::unpack_chunk(coded, bytes),
    };
    raw.map_err(|damaged| UnpackError::damaged(damaged.to_string()))
}

/// At most a slab, chunk or model, as the check of the manifest made sure.
fn raw_bytes(segment: &Segment) -> Result<usize, UnpackError> {
    usize::try_from(segment.raw_bytes).map_err(|_| UnpackError::damaged("segment too large"))
}

/// An instance being written and digested.
struct Output {
    out: Box<dyn Write>,
    hasher: Sha256,
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }

    fn finish(mut self, instance: &Instance) -> Result<(), UnpackError> {
        self.out.flush()?;
        if manifest::hex(&self.hasher.finalize()) != instance.sha256 {
            return Err(UnpackError::damaged("an instance is not what was packed"));
        }
        Ok(())
    }
}
