//! The header stream of a series, opened segment by segment (SPEC 3.1).

use super::{fetch, raw_bytes};
use crate::bundle::headers::HeaderDecoder;
use crate::bundle::{Segment, SegmentSource, UnpackError};
use std::io::Write;

/// The header stream of a series.
pub(super) struct HeaderStream<'m> {
    segments: std::vec::IntoIter<(u32, &'m Segment)>,
    decoder: HeaderDecoder,
    raw: Vec<u8>,
    used: usize,
}

impl<'m> HeaderStream<'m> {
    pub(super) fn new(segments: Vec<(u32, &'m Segment)>) -> Result<Self, UnpackError> {
        let decoder = HeaderDecoder::new()?;
        Ok(Self { segments: segments.into_iter(), decoder, raw: Vec::new(), used: 0 })
    }

    /// Copies the next `bytes` of the stream.
    pub(super) fn copy(
        &mut self,
        source: &mut dyn SegmentSource,
        mut bytes: u64,
        output: &mut dyn Write,
    ) -> Result<(), UnpackError> {
        while bytes > 0 {
            let unused = self.raw.get(self.used..).unwrap_or_default();
            let part = usize::try_from(bytes).unwrap_or(usize::MAX).min(unused.len());
            output.write_all(unused.get(..part).unwrap_or_default())?;
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
