//! Compressed pixels of one instance, read as the native ones that they decode to.

use super::plan::PlannedInstance;
use super::{PackError, ReadSeek, Source};
use crate::dataset::ImageLayout;
use crate::encapsulated::{FrameDecoder, FrameIndex, NotDecoded, Syntax, index};
use crate::limits::{CODESTREAM_BYTES_MAX, SLOW_FRAMES_MAX};
use crate::pixels;
use std::cell::Cell;
use std::io::{Read, Seek, SeekFrom};

/// Why there are no pixels.
pub(super) enum FramesError {
    /// The instance passes as it came.
    NotDecoded(NotDecoded),
    Pack(PackError),
}

impl<E: Into<PackError>> From<E> for FramesError {
    fn from(error: E) -> Self {
        Self::Pack(error.into())
    }
}

/// The decoder of one bundle, which loses patience.
pub(super) struct Decoding<'o> {
    decoder: &'o FrameDecoder,
    slow_left: Cell<u32>,
}

impl<'o> Decoding<'o> {
    pub(super) fn by(decoder: &'o FrameDecoder) -> Self {
        Self { decoder, slow_left: Cell::new(SLOW_FRAMES_MAX) }
    }

    fn decode(&self, syntax: Syntax, layout: &ImageLayout, codestream: &[u8]) -> Result<Vec<u8>, NotDecoded> {
        if self.slow_left.get() == 0 {
            return Err(NotDecoded::Time);
        }
        let decoded = self.decoder.decode(syntax, layout, codestream);
        if decoded == Err(NotDecoded::Time) {
            self.slow_left.set(self.slow_left.get() - 1);
        }
        decoded
    }
}

/// The frames of one instance.
pub(super) struct Frames<'f> {
    decoding: &'f Decoding<'f>,
    syntax: Syntax,
    layout: ImageLayout,
    frame_bytes: u64,
    index: FrameIndex,
    source: usize,
    data: Box<dyn ReadSeek>,
    /// Where the value starts.
    start: u64,
    /// The frame decoded last, and its number.
    last: Option<(u64, Vec<u8>)>,
}

impl<'f> Frames<'f> {
    /// Of an instance whose pixels are compressed.
    pub(super) fn open(
        source: &Source<'_>,
        planned: &PlannedInstance,
        decoding: &'f Decoding<'f>,
    ) -> Result<Self, FramesError> {
        let none = FramesError::NotDecoded(NotDecoded::Shape);
        let split = planned.split;
        let Some((layout, syntax)) = split.image.zip(split.compressed) else { return Err(none) };
        let Some(frame_bytes) = pixels::frame_bytes(&layout) else { return Err(none) };
        let mut data = (source.open)()?;
        data.seek(SeekFrom::Start(split.head))?;
        let index = index(&mut data, split.bulk, layout.frames)?.map_err(FramesError::NotDecoded)?;
        let (source, start, last) = (planned.source, split.head, None);
        Ok(Self { decoding, syntax, layout, frame_bytes, index, source, data, start, last })
    }

    /// Reads `bytes` native bytes from `offset` on.
    pub(super) fn read(&mut self, mut offset: u64, bytes: usize) -> Result<Vec<u8>, FramesError> {
        let mut raw = Vec::with_capacity(bytes);
        while raw.len() < bytes {
            let inside = (offset % self.frame_bytes) as usize;
            let frame = self.frame(offset / self.frame_bytes)?;
            let rest = frame.get(inside..).unwrap_or_default();
            let part = rest.get(..bytes - raw.len()).unwrap_or(rest);
            raw.extend_from_slice(part);
            offset += part.len() as u64;
        }
        Ok(raw)
    }

    /// Decodes every frame and forgets it.
    pub(super) fn check(&mut self) -> Result<(), FramesError> {
        (0..u64::from(self.layout.frames)).try_for_each(|number| self.frame(number).map(drop))
    }

    fn frame(&mut self, number: u64) -> Result<&[u8], FramesError> {
        let last = match self.last.take() {
            Some(last) if last.0 == number => last,
            _ => (number, self.decode(number)?),
        };
        Ok(&self.last.insert(last).1)
    }

    fn decode(&mut self, number: u64) -> Result<Vec<u8>, FramesError> {
        let fragments = self.index.fragments(number as usize);
        let bytes: u64 = fragments.iter().map(|fragment| fragment.end - fragment.start).sum();
        if bytes > CODESTREAM_BYTES_MAX as u64 {
            return Err(FramesError::NotDecoded(NotDecoded::TooLarge));
        }
        let mut codestream = Vec::with_capacity(bytes as usize);
        for fragment in fragments {
            self.data.seek(SeekFrom::Start(self.start + fragment.start))?;
            let length = fragment.end - fragment.start;
            if (&mut self.data).take(length).read_to_end(&mut codestream)? as u64 != length {
                return Err(PackError::SourceChanged { index: self.source }.into());
            }
        }
        let decoded = self.decoding.decode(self.syntax, &self.layout, &codestream);
        decoded.map_err(|reason| match reason {
            NotDecoded::Start => FramesError::Pack(PackError::Decoder(reason)),
            reason => FramesError::NotDecoded(reason),
        })
    }
}
