//! Where each segment lies (SPEC 4).

use crate::error::Refusal;
use crate::ids::Digest;
use crate::limits::{PIECES_MAX, SEALED_SEGMENT_BYTES_MAX};
use crate::piece::{HEADER_BYTES, INDEX_LENGTH_BYTES, TAG_BYTES};
use compressor::limits::SEGMENTS_MAX;

/// Format that this code writes and reads.
pub const FORMAT: u8 = 1;

const HEAD_BYTES: usize = 1 + 4;
const ENTRY_BYTES: usize = 3 * 4 + 32;
const WHAT: &str = "the index";

/// The layout of a delivery: every segment in order, without gap or overlap, from the start of piece 1 to the end of the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    entries: Vec<Entry>,
    /// Number of the first segment in each piece.
    firsts: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    piece: u32,
    offset: u32,
    bytes: u32,
    digest: Digest,
}

/// Where one sealed segment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Piece number, from 1.
    pub piece: u32,
    /// Offset of the ciphertext in the piece.
    pub offset: u32,
    /// Ciphertext and tag, bytes.
    pub bytes: u32,
    /// SHA-256 of ciphertext and tag.
    pub digest: Digest,
    /// Counter of its nonce within the piece (SPEC 2.2).
    pub counter: u64,
}

/// Why segments cannot be laid out in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A bundle has a manifest at least, and at most `SEGMENTS_MAX` segments.
    #[error("no segments, or more than {SEGMENTS_MAX}")]
    SegmentCount,
    /// A segment is longer than the bundle's format allows.
    #[error("a segment is longer than the format allows")]
    SegmentTooLong,
    /// More pieces than a delivery may have: larger pieces are needed.
    #[error("more than {PIECES_MAX} pieces")]
    TooManyPieces,
    /// Pieces of 4 GiB or more.
    #[error("the size of pieces is beyond the format")]
    PieceTooLong,
}

impl Index {
    /// Lays out segments of these plain lengths in pieces of at most `piece_bytes_max` bytes; index and manifest are in piece 1
    /// whatever their length (SPEC 3.3). Digests are zero until [`Index::set_digest`].
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(segment_bytes: &[u32], piece_bytes_max: usize) -> Result<Self, PlanError> {
        let count = u32::try_from(segment_bytes.len()).map_err(|_| PlanError::SegmentCount)?;
        if !(1..=SEGMENTS_MAX).contains(&count) {
            return Err(PlanError::SegmentCount);
        }
        let piece_bytes_max = u32::try_from(piece_bytes_max).map_err(|_| PlanError::PieceTooLong)?;
        let mut entries = Vec::with_capacity(segment_bytes.len());
        let (mut piece, mut offset) = (1, data_start(1, count));
        for (number, &plain) in segment_bytes.iter().enumerate() {
            let bytes = sealed_bytes(plain).ok_or(PlanError::SegmentTooLong)?;
            let start = data_start(piece, count);
            if number > 0 && offset > start && bytes > piece_bytes_max.saturating_sub(offset) {
                (piece, offset) = (piece + 1, data_start(piece + 1, count));
            }
            entries.push(Entry { piece, offset, bytes, digest: Digest([0; 32]) });
            offset = offset.checked_add(bytes).ok_or(PlanError::PieceTooLong)?;
        }
        if piece > PIECES_MAX {
            return Err(PlanError::TooManyPieces);
        }
        Ok(Self::new(entries))
    }

    /// Reads an index and checks it against the bytes of each piece: every byte of every piece must belong to exactly one thing.
    ///
    /// # Errors
    /// `Malformed` or `UnknownFormat`.
    pub fn parse(bytes: &[u8], piece_bytes: &[u32]) -> Result<Self, Refusal> {
        let malformed = Refusal::Malformed(WHAT);
        let (&format, rest) = bytes.split_first().ok_or(malformed.clone())?;
        if format != FORMAT {
            return Err(Refusal::UnknownFormat(u32::from(format)));
        }
        let (count, rest) = rest.split_first_chunk::<4>().ok_or(malformed.clone())?;
        let count = u32::from_be_bytes(*count);
        let fits = (1..=SEGMENTS_MAX).contains(&count) && rest.len() == count as usize * ENTRY_BYTES;
        if !fits {
            return Err(malformed);
        }
        let entries: Vec<Entry> = rest
            .chunks_exact(ENTRY_BYTES)
            .map(Entry::read)
            .collect::<Option<_>>()
            .ok_or(malformed.clone())?;
        if covers(&entries, piece_bytes) { Ok(Self::new(entries)) } else { Err(malformed) }
    }

    /// Its bytes (SPEC 4).
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.entries.len() * ENTRY_BYTES);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.segments().to_be_bytes());
        for entry in &self.entries {
            for number in [entry.piece, entry.offset, entry.bytes] {
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            bytes.extend_from_slice(&entry.digest.0);
        }
        bytes
    }

    /// Segments, the manifest included.
    pub fn segments(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Pieces.
    pub fn pieces(&self) -> u32 {
        self.firsts.len() as u32
    }

    /// Bytes of the sealed index itself.
    pub fn sealed_bytes(&self) -> u32 {
        sealed_index_bytes(self.segments())
    }

    /// Bytes of each piece, in order.
    pub fn piece_bytes(&self) -> Vec<u32> {
        let ends = self.firsts.iter().skip(1).copied().chain([self.segments()]);
        ends.filter_map(|end| self.entries.get(end as usize - 1))
            .map(|last| last.offset + last.bytes)
            .collect()
    }

    /// Numbers of the segments in piece `piece`, which counts from 1.
    pub fn segments_of(&self, piece: u32) -> std::ops::Range<u32> {
        let at = |piece: u32| self.firsts.get(piece as usize).copied().unwrap_or(self.segments());
        piece.checked_sub(1).map_or(0..0, |before| at(before)..at(piece))
    }

    /// Where segment `number` lies; none if there is no such segment.
    pub fn place(&self, number: u32) -> Option<Place> {
        let Entry { piece, offset, bytes, digest } = *self.entries.get(number as usize)?;
        let first = *self.firsts.get(piece as usize - 1)?;
        // In piece 1 the index has counter 0.
        let counter = u64::from(number - first) + u64::from(piece == 1);
        Some(Place { piece, offset, bytes, digest, counter })
    }

    /// Notes the digest of a segment once it is sealed.
    pub fn set_digest(&mut self, number: u32, digest: Digest) {
        if let Some(entry) = self.entries.get_mut(number as usize) {
            entry.digest = digest;
        }
    }

    /// `entries` begin with piece 1 and skip no piece.
    fn new(entries: Vec<Entry>) -> Self {
        let mut firsts = Vec::new();
        for (number, entry) in (0..).zip(&entries) {
            if entry.piece as usize > firsts.len() {
                firsts.push(number);
            }
        }
        Self { entries, firsts }
    }
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (piece, rest) = bytes.split_first_chunk::<4>()?;
        let (offset, rest) = rest.split_first_chunk::<4>()?;
        let (length, digest) = rest.split_first_chunk::<4>()?;
        Some(Self {
            piece: u32::from_be_bytes(*piece),
            offset: u32::from_be_bytes(*offset),
            bytes: u32::from_be_bytes(*length),
            digest: Digest(digest.try_into().ok()?),
        })
    }
}

/// Bytes of a sealed index of `segments` entries; at most 44 MB.
pub fn sealed_index_bytes(segments: u32) -> u32 {
    HEAD_BYTES as u32 + segments.min(SEGMENTS_MAX) * ENTRY_BYTES as u32 + TAG_BYTES as u32
}

/// Where the first sealed segment of a piece begins.
fn data_start(piece: u32, segments: u32) -> u32 {
    let index = if piece == 1 { INDEX_LENGTH_BYTES as u32 + sealed_index_bytes(segments) } else { 0 };
    HEADER_BYTES as u32 + index
}

fn sealed_bytes(plain: u32) -> Option<u32> {
    plain.checked_add(TAG_BYTES as u32).filter(|&bytes| bytes as usize <= SEALED_SEGMENT_BYTES_MAX)
}

/// Whether the entries fill the pieces exactly, in order, without gap or overlap.
fn covers(entries: &[Entry], piece_bytes: &[u32]) -> bool {
    let count = entries.len() as u32;
    let (mut piece, mut offset) = (1_u32, data_start(1, count));
    for (number, entry) in entries.iter().enumerate() {
        let length = piece_bytes.get(piece as usize - 1);
        if number > 0 && length == Some(&offset) {
            (piece, offset) = (piece + 1, data_start(piece + 1, count));
        }
        let sized = (TAG_BYTES..=SEALED_SEGMENT_BYTES_MAX).contains(&(entry.bytes as usize));
        if !sized || (entry.piece, entry.offset) != (piece, offset) {
            return false;
        }
        let Some(end) = offset.checked_add(entry.bytes) else { return false };
        offset = end;
    }
    piece as usize == piece_bytes.len() && piece_bytes.last() == Some(&offset)
}

#[cfg(test)]
mod tests;
