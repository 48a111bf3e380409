//! Seals a bundle into pieces and a cover, one segment in memory at a time.

use super::envelope::seal_cover;
use super::folder::{self, NewFile};
use super::keys::SiteKey;
use super::piece_key::PieceKey;
use super::random;
use crate::certificate::Certificate;
use crate::cover::{CONTENT_KEY_BYTES, ContentKeyText, Cover, PieceEntry};
use crate::error::SealError;
use crate::ids::{DeliveryId, Digest};
use crate::index::Index;
use crate::piece::{HEADER_BYTES, Header, INDEX_NUMBER};
use compressor::bundle::SegmentSource;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MANIFEST_NUMBER: u32 = 0;

/// A delivery sealed and durable on disk. Only [`seal_delivery`] and [`SealedPieces::reopen`] make one, so whatever takes it cannot be
/// handed anything plain.
#[derive(Debug)]
pub struct SealedPieces {
    folder: PathBuf,
    delivery: DeliveryId,
    pieces: Vec<u64>,
    cover_bytes: u64,
    cover_digest: Digest,
}

/// What [`seal_delivery`] needs besides bundle and cover: who signs, and for whom.
pub struct Sealing<'a> {
    /// The site's signing key and certificate.
    pub site: &'a SiteKey,
    /// Certificates of all recipients.
    pub recipients: &'a [Certificate],
    /// Largest piece before base64, in bytes.
    pub piece_bytes_max: usize,
}

/// Seals all segments of a bundle into pieces in `folder`, then the cover: `piece-00001` …, `cover.p7m`, each durable, `cover.p7m` last.
///
/// `segment_lengths` are the plain lengths in order. `cover` gives all fields but content key, index, manifest and pieces, which are
/// filled in here; its `sealed_at` is the time by which certificates are judged and its `recipients` are those of `sealing`. A folder
/// with a half-made delivery is emptied first and sealed anew with new salts and a new content key.
///
/// # Errors
/// [`SealError::Key`] for a certificate that is not valid at `sealed_at`, or a cover beyond its limits; [`SealError::Io`] for the
/// disk, segments that do not have the length announced, and (`AlreadyExists`) a folder that holds a finished delivery.
pub fn seal_delivery(
    segment_lengths: &[u32],
    segments: &mut dyn SegmentSource,
    mut cover: Cover,
    sealing: &Sealing<'_>,
    folder: &Path,
) -> Result<SealedPieces, SealError> {
    check_certificates(&cover, sealing)?;
    let index = Index::plan(segment_lengths, sealing.piece_bytes_max)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    rehearse(&mut cover, &index, sealing)?;
    folder::prepare(folder)?;
    let content_key = Zeroizing::new(random()?);
    let mut work = Work { content_key: &content_key, delivery: cover.delivery, index, segments, folder };
    cover.pieces = work.seal_pieces(&mut cover.index)?;
    cover.manifest = work.digest_of(MANIFEST_NUMBER)?;
    cover.content_key = ContentKeyText::of(&content_key);
    let der = seal_cover(&cover, sealing.site, sealing.recipients)?;
    folder::sync_folder(folder)?;
    folder::write_cover(folder, &der)?;
    Ok(SealedPieces {
        folder: folder.to_owned(),
        delivery: cover.delivery,
        pieces: cover.pieces.iter().map(|piece| u64::from(piece.bytes())).collect(),
        cover_bytes: der.len() as u64,
        cover_digest: Digest::of(&der),
    })
}

impl SealedPieces {
    /// Finds a delivery that [`seal_delivery`] finished earlier; none if `cover.p7m` is not there.
    ///
    /// # Errors
    /// [`SealError::Io`]; `InvalidData` if the folder holds another delivery, or a piece between others is gone.
    pub fn reopen(folder: &Path, delivery: DeliveryId) -> Result<Option<Self>, SealError> {
        if !folder::cover_path(folder).try_exists()? {
            return Ok(None);
        }
        let cover = std::fs::read(folder::cover_path(folder))?;
        let pieces = (1..).map(|number| piece_length(folder, number, delivery)).map_while(Result::transpose);
        let pieces: Vec<u64> = pieces.collect::<io::Result<_>>()?;
        if pieces.is_empty() || pieces.len() != folder::count_pieces(folder)? {
            return Err(
                io::Error::new(io::ErrorKind::InvalidData, "a piece of the delivery is missing").into()
            );
        }
        Ok(Some(Self {
            folder: folder.to_owned(),
            delivery,
            pieces,
            cover_bytes: cover.len() as u64,
            cover_digest: Digest::of(&cover),
        }))
    }

    /// The delivery.
    pub fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    /// Bytes of each piece before base64, in order.
    pub fn piece_bytes(&self) -> &[u64] {
        &self.pieces
    }

    /// Bytes of the cover before base64.
    pub fn cover_bytes(&self) -> u64 {
        self.cover_bytes
    }

    /// SHA-256 of the cover's DER.
    pub fn cover_digest(&self) -> Digest {
        self.cover_digest
    }

    /// Opens piece `number` (from 1) for sending.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open_piece(&self, number: u32) -> io::Result<File> {
        File::open(folder::piece_path(&self.folder, number))
    }

    /// Opens the cover for sending.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open_cover(&self) -> io::Result<File> {
        File::open(folder::cover_path(&self.folder))
    }
}

/// One run over all segments.
struct Work<'a> {
    content_key: &'a [u8; CONTENT_KEY_BYTES],
    delivery: DeliveryId,
    index: Index,
    segments: &'a mut dyn SegmentSource,
    folder: &'a Path,
}

impl Work<'_> {
    /// Seals piece 1 but for its index, the other pieces, then the index into its place (SPEC 4).
    fn seal_pieces(&mut self, index_digest: &mut Digest) -> Result<Vec<PieceEntry>, SealError> {
        let (mut first, key) = self.begin(1)?;
        self.skip_index(first.file())?;
        self.seal_segments(1, &key, first.file())?;
        let rest: Vec<PieceEntry> =
            (2..=self.index.pieces()).map(|number| self.seal_piece(number)).collect::<Result<_, _>>()?;
        *index_digest = self.seal_index(&key, first.file())?;
        let entry = entry_of(first.file())?;
        first.publish()?;
        Ok(std::iter::once(entry).chain(rest).collect())
    }

    fn seal_piece(&mut self, number: u32) -> Result<PieceEntry, SealError> {
        let (mut piece, key) = self.begin(number)?;
        self.seal_segments(number, &key, piece.file())?;
        let entry = entry_of(piece.file())?;
        piece.publish()?;
        Ok(entry)
    }

    /// A new file with its header, and the key that belongs to its new salt.
    fn begin(&self, number: u32) -> Result<(NewFile, PieceKey), SealError> {
        let header = Header { number, delivery: self.delivery, salt: random()? };
        let key = PieceKey::derive(self.content_key, header).map_err(|_| cannot_seal())?;
        let mut piece = NewFile::create(folder::piece_path(self.folder, number))?;
        piece.file().write_all(&header.encode())?;
        Ok((piece, key))
    }

    fn seal_segments(&mut self, piece: u32, key: &PieceKey, file: &mut File) -> Result<(), SealError> {
        for number in self.index.segments_of(piece) {
            let place = self.index.place(number).ok_or_else(wrong_length)?;
            let mut bytes = self.segments.segment(number)?;
            key.seal(number, place.counter, &mut bytes).map_err(|_| cannot_seal())?;
            if bytes.len() as u64 != u64::from(place.bytes) {
                return Err(wrong_length().into());
            }
            self.index.set_digest(number, Digest::of(&bytes));
            file.write_all(&bytes)?;
        }
        Ok(())
    }

    fn skip_index(&self, file: &mut File) -> io::Result<()> {
        file.write_all(&self.index.sealed_bytes().to_be_bytes())?;
        file.seek(SeekFrom::Current(i64::from(self.index.sealed_bytes()))).map(|_| ())
    }

    fn seal_index(&self, key: &PieceKey, file: &mut File) -> Result<Digest, SealError> {
        let mut bytes = self.index.encode();
        key.seal(INDEX_NUMBER, 0, &mut bytes).map_err(|_| cannot_seal())?;
        file.seek(SeekFrom::Start((HEADER_BYTES + crate::piece::INDEX_LENGTH_BYTES) as u64))?;
        file.write_all(&bytes)?;
        Ok(Digest::of(&bytes))
    }

    fn digest_of(&self, number: u32) -> io::Result<Digest> {
        self.index.place(number).map(|place| place.digest).ok_or_else(wrong_length)
    }
}

fn check_certificates(cover: &Cover, sealing: &Sealing<'_>) -> Result<(), SealError> {
    let named: HashSet<Digest> = cover.recipients.iter().copied().collect();
    let given: HashSet<Digest> = sealing.recipients.iter().map(Certificate::digest).collect();
    if named != given || sealing.recipients.len() != given.len() {
        return Err(SealError::key(
            "the recipients",
            "the cover does not name exactly those it is sealed for",
        ));
    }
    if !sealing.site.certificate().is_valid_at(cover.sealed_at) {
        return Err(SealError::key("the site's certificate", "not valid now"));
    }
    if !sealing.recipients.iter().all(|recipient| recipient.is_valid_at(cover.sealed_at)) {
        return Err(SealError::key("a recipient's certificate", "not valid now"));
    }
    Ok(())
}

/// Seals a cover of the final length and throws it away: what makes it impossible is found before gigabytes are sealed.
fn rehearse(cover: &mut Cover, index: &Index, sealing: &Sealing<'_>) -> Result<(), SealError> {
    let none = Digest([0; 32]);
    cover.content_key = ContentKeyText::of(&[0; CONTENT_KEY_BYTES]);
    cover.pieces = index.piece_bytes().iter().map(|&bytes| PieceEntry::new(bytes, &none)).collect();
    seal_cover(cover, sealing.site, sealing.recipients).map(|_| ())
}

/// Length and digest of a piece as it lies on disk.
fn entry_of(file: &mut File) -> io::Result<PieceEntry> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let bytes = io::copy(file, &mut hash)?;
    let bytes = u32::try_from(bytes).map_err(|_| wrong_length())?;
    Ok(PieceEntry::new(bytes, &Digest(hash.finalize().into())))
}

/// None behind the last piece.
fn piece_length(folder: &Path, number: u32, delivery: DeliveryId) -> io::Result<Option<u64>> {
    let mut file = match File::open(folder::piece_path(folder, number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header)?;
    let fits =
        Header::parse(&header).is_ok_and(|header| header.number == number && header.delivery == delivery);
    if fits {
        Ok(Some(file.metadata()?.len()))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "a piece of another delivery"))
    }
}

fn wrong_length() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a segment does not have the length announced")
}

fn cannot_seal() -> SealError {
    SealError::Io(io::Error::other("the cipher refused to seal"))
}
