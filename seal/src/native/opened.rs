//! Opens the pieces of a delivery, one segment in memory at a time.

use super::envelope::VerifiedCover;
use super::piece_key::PieceKey;
use crate::cover::{CONTENT_KEY_BYTES, Cover, PieceEntry};
use crate::error::{Refusal, SealError};
use crate::ids::Digest;
use crate::index::{Index, Place, sealed_index_bytes};
use crate::piece::{HEADER_BYTES, Header, INDEX_LENGTH_BYTES, INDEX_NUMBER};
use compressor::bundle::SegmentSource;
use compressor::limits::SEGMENTS_MAX;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MANIFEST_NUMBER: u32 = 0;
const PIECE: &str = "a piece";
const INDEX: &str = "the index";
const MANIFEST: &str = "the manifest";
const SEGMENT: &str = "a segment";

/// Opens the segments of a delivery from its piece files, which are checked against the cover here.
pub struct OpenedPieces {
    content_key: Zeroizing<[u8; CONTENT_KEY_BYTES]>,
    pieces: Vec<PathBuf>,
    index: Index,
    current: Option<OpenPiece>,
}

/// The piece that the last segment was in: segments are mostly asked for in order.
struct OpenPiece {
    number: u32,
    file: File,
    key: PieceKey,
}

/// Checks one piece file against the cover: header, length, digest. `number` counts from 1.
///
/// # Errors
/// [`SealError::Io`]; refusals `MissingPiece`, `WrongDelivery`, `WrongPiece`, `Malformed` and `UnsignedPiece`.
pub fn check_piece(cover: &VerifiedCover, number: u32, path: &Path) -> Result<(), SealError> {
    let entry = entry(&cover.cover, number)?;
    let mut file = open(path, number)?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Header::parse(&header)?.check(cover.cover.delivery, number)?;
    if file.metadata()?.len() != u64::from(entry.bytes()) || Some(digest(&mut file)?) != entry.digest() {
        return Err(Refusal::UnsignedPiece(number).into());
    }
    Ok(())
}

impl OpenedPieces {
    /// `pieces`: one file for each piece, in order. Checks header, length and digest of each, then index and manifest against the cover.
    ///
    /// # Errors
    /// [`SealError`]; `Damaged` names index or manifest.
    pub fn open(cover: &VerifiedCover, pieces: &[PathBuf]) -> Result<Self, SealError> {
        let cover_pieces = &cover.cover.pieces;
        for (number, _) in (1..).zip(cover_pieces) {
            let path = pieces.get(number as usize - 1).ok_or(Refusal::MissingPiece(number))?;
            check_piece(cover, number, path)?;
        }
        if pieces.len() > cover_pieces.len() {
            return Err(Refusal::Malformed("the list of pieces").into());
        }
        let content_key = cover.cover.content_key.key().ok_or(Refusal::Malformed("the cover"))?;
        let mut first = OpenPiece::open(1, pieces, &content_key)?;
        let index = first.read_index(&cover.cover)?;
        if index.place(MANIFEST_NUMBER).map(|place| place.digest) != Some(cover.cover.manifest) {
            return Err(Refusal::Damaged(MANIFEST).into());
        }
        Ok(Self { content_key, pieces: pieces.to_vec(), index, current: Some(first) })
    }

    /// Segments of the bundle, the manifest included.
    pub fn segments(&self) -> u32 {
        self.index.segments()
    }

    fn piece(&mut self, number: u32) -> Result<&mut OpenPiece, SealError> {
        let kept = self.current.take().filter(|piece| piece.number == number);
        let piece = match kept {
            Some(piece) => piece,
            None => OpenPiece::open(number, &self.pieces, &self.content_key)?,
        };
        Ok(self.current.insert(piece))
    }
}

impl SegmentSource for OpenedPieces {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        let place = self
            .index
            .place(number)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no such segment in the delivery"))?;
        self.piece(place.piece).and_then(|piece| piece.read_segment(number, &place)).map_err(into_io)
    }
}

impl OpenPiece {
    fn open(
        number: u32,
        pieces: &[PathBuf],
        content_key: &[u8; CONTENT_KEY_BYTES],
    ) -> Result<Self, SealError> {
        let path = pieces.get(number as usize - 1).ok_or(Refusal::MissingPiece(number))?;
        let mut file = open(path, number)?;
        let header = Header::parse(&read_at(&mut file, 0, HEADER_BYTES)?)?;
        let key = PieceKey::derive(content_key, header).map_err(|_| Refusal::Damaged(PIECE))?;
        Ok(Self { number, file, key })
    }

    fn read_index(&mut self, cover: &Cover) -> Result<Index, SealError> {
        let length = read_at(&mut self.file, HEADER_BYTES as u64, INDEX_LENGTH_BYTES)?;
        let length = u32::from_be_bytes(length.try_into().map_err(|_| Refusal::Malformed(INDEX))?);
        if length > sealed_index_bytes(SEGMENTS_MAX) {
            return Err(Refusal::Malformed(INDEX).into());
        }
        let mut bytes = read_at(&mut self.file, (HEADER_BYTES + INDEX_LENGTH_BYTES) as u64, length as usize)?;
        if Digest::of(&bytes) != cover.index || self.key.open(INDEX_NUMBER, 0, &mut bytes).is_err() {
            return Err(Refusal::Damaged(INDEX).into());
        }
        let piece_bytes: Vec<u32> = cover.pieces.iter().map(PieceEntry::bytes).collect();
        Ok(Index::parse(&bytes, &piece_bytes)?)
    }

    /// Digest first, then tag: whoever merely holds the content key cannot forge a segment (DESIGN 4).
    fn read_segment(&mut self, number: u32, place: &Place) -> Result<Vec<u8>, SealError> {
        let mut bytes = read_at(&mut self.file, u64::from(place.offset), place.bytes as usize)?;
        if Digest::of(&bytes) != place.digest || self.key.open(number, place.counter, &mut bytes).is_err() {
            return Err(Refusal::Damaged(SEGMENT).into());
        }
        Ok(bytes)
    }
}

fn entry(cover: &Cover, number: u32) -> Result<&PieceEntry, Refusal> {
    let index = number.checked_sub(1).ok_or(Refusal::MissingPiece(number))?;
    cover.pieces.get(index as usize).ok_or(Refusal::MissingPiece(number))
}

fn open(path: &Path, number: u32) -> Result<File, SealError> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Refusal::MissingPiece(number).into(),
        _ => error.into(),
    })
}

fn digest(file: &mut File) -> io::Result<Digest> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    io::copy(file, &mut hash)?;
    Ok(Digest(hash.finalize().into()))
}

/// Exactly `length` bytes from `offset`; a piece that ends before is damaged.
fn read_at(file: &mut File, offset: u64, length: usize) -> Result<Vec<u8>, SealError> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err(Refusal::Damaged(PIECE).into()) }
}

fn into_io(error: SealError) -> io::Error {
    match error {
        SealError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
