//! The frame of a bundle file (SPEC 5): segments as they come, then the manifest and the table.

use super::line::Coded;
use super::{Compressed, FORMAT, Manifest, Note, PackError, Segment, SegmentKind, Series, manifest};
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENTS_MAX};
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// First bytes of a bundle file.
pub(super) const MAGIC: &[u8; 8] = b"SCANPOST";
/// Last bytes of a bundle file.
pub(super) const MAGIC_END: &[u8; 8] = b"STUDYEND";
/// Magic and format.
pub(super) const HEAD_BYTES: u64 = 12;
/// One entry of the table: offset, length, SHA-256.
pub(super) const ENTRY_BYTES: usize = 44;
/// Offset of the table, number of segments, magic.
pub(super) const FOOT_BYTES: u64 = 20;

/// Where a segment lies in the file.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) sha256: [u8; 32],
}

struct Written {
    segment: Segment,
    entry: Entry,
}

/// A bundle file being written.
pub(super) struct Writer<'w, W> {
    out: &'w mut W,
    offset: u64,
    written: Vec<Written>,
    source_bytes: u64,
    progress: &'w mut dyn FnMut(u64),
}

impl<'w, W: Write> Writer<'w, W> {
    pub(super) fn new(out: &'w mut W, progress: &'w mut dyn FnMut(u64)) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        Ok(Self { out, offset: HEAD_BYTES, written: Vec::new(), source_bytes: 0, progress })
    }

    /// Writes one coded segment and tells the progress.
    pub(super) fn write(&mut self, coded: Coded) -> Result<(), PackError> {
        if self.written.len() + 1 >= SEGMENTS_MAX as usize {
            return Err(PackError::TooLarge { what: "segments", limit: SEGMENTS_MAX.into() });
        }
        let entry = self.append(&coded.bytes)?;
        self.source_bytes += coded.place.source_bytes;
        (self.progress)(self.source_bytes);
        let segment = Segment {
            kind: coded.place.kind,
            series: coded.place.series,
            instance: coded.place.instance,
            raw_bytes: coded.raw_bytes,
            coded_bytes: entry.length.into(),
        };
        self.written.push(Written { segment, entry });
        Ok(())
    }

    /// Bytes of the segments of a series that its pixels need: model and slabs, not the residual.
    pub(super) fn coded_pixel_bytes(&self, series: u32) -> u64 {
        let pixels = |w: &&Written| {
            w.segment.series == series
                && matches!(w.segment.kind, SegmentKind::Model | SegmentKind::Coarse | SegmentKind::Pixels)
        };
        self.written.iter().filter(pixels).map(|w| w.segment.coded_bytes).sum()
    }

    /// Writes manifest, table and foot. Gives the manifest and the bytes of all segments.
    pub(super) fn finish(
        mut self,
        series: Vec<Series>,
        note: Option<Note>,
    ) -> Result<(Manifest, u64), PackError> {
        // Where all slabs of a series fell back to no loss, nothing is missing; a byte for each then lies in the file for no one.
        self.written.retain(|w| w.segment.kind != SegmentKind::Residual || has_residual(&series, &w.segment));
        // The priority order of a series (SPEC 2.1). What few ask for comes behind everything, so that a bundle can be cut before it.
        self.written.sort_by_key(|w| {
            let Segment { kind, series, instance, .. } = w.segment;
            (kind == SegmentKind::Residual, series, rank(kind), instance)
        });
        let (segments, mut entries): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.written).into_iter().map(|w| (w.segment, w.entry)).unzip();
        let manifest = Manifest { format: FORMAT, series, segments, note };
        let first = self.append(&manifest::encode(&manifest)?)?;
        entries.insert(0, first);
        let segment_bytes = entries.iter().map(|entry| u64::from(entry.length)).sum();
        self.write_table(&entries)?;
        Ok((manifest, segment_bytes))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<Entry, PackError> {
        let too_large = PackError::TooLarge { what: "bytes in a segment", limit: SEGMENT_BYTES_MAX as u64 };
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length as usize <= SEGMENT_BYTES_MAX);
        let length = length.ok_or(too_large)?;
        self.out.write_all(bytes)?;
        let entry = Entry { offset: self.offset, length, sha256: Sha256::digest(bytes).into() };
        self.offset += u64::from(length);
        Ok(entry)
    }

    fn write_table(self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            self.out.write_all(&entry.offset.to_le_bytes())?;
            self.out.write_all(&entry.length.to_le_bytes())?;
            self.out.write_all(&entry.sha256)?;
        }
        self.out.write_all(&self.offset.to_le_bytes())?;
        self.out.write_all(&(entries.len() as u32).to_le_bytes())?;
        self.out.write_all(MAGIC_END)?;
        self.out.flush()
    }
}

/// Whether what came is more than what is shown.
fn has_residual(series: &[Series], segment: &Segment) -> bool {
    let Some(series) = series.get(segment.series as usize) else { return false };
    let instance = series.instances.get(segment.instance as usize);
    series.near > 0 || instance.is_some_and(|instance| instance.compressed == Some(Compressed::Decoded))
}

/// Place of a kind in the priority order of a series.
fn rank(kind: SegmentKind) -> u8 {
    match kind {
        SegmentKind::Headers => 0,
        SegmentKind::Model => 1,
        SegmentKind::Coarse => 2,
        SegmentKind::Pixels | SegmentKind::Opaque | SegmentKind::Residual => 3,
    }
}
