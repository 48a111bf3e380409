//! The pixels of a data set in another transfer syntax, each of them as it was (PS3.5 8.2, A.4), for programs that do not take the one that it has: compressed
//! ones decoded, native ones coded without loss. All else stays, but for what tells where fragments lie.
//!
//! What was coded is decoded again by a process of its own ([`FrameDecoder`]) and compared before any of it is written, so that no encoder is trusted.

mod encoders;

use crate::Uid;
use crate::dataset::element::{ITEM, SEQUENCE_END};
use crate::dataset::{BulkKind, ImageLayout, Outline};
use crate::derive::{self, Decompressed, Refused};
use crate::encapsulated::{FrameDecoder, NotDecoded, Syntax, index};
use crate::limits::{CODESTREAM_BYTES_MAX, REWRITE_BYTES_MAX, TRANSCODED_BYTES_MAX};
use crate::pixels;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// The only transfer syntax from which native pixels are coded, and to which compressed ones are decoded.
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";

/// What pixels are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Native, in Explicit VR Little Endian (PS3.5 A.2).
    Native,
    /// JPEG-LS Lossless (PS3.5 A.4.3), by CharLS.
    JpegLs,
    /// JPEG 2000 Lossless Only (PS3.5 A.4.4), by OpenJPEG.
    Jpeg2000,
}

impl Coding {
    /// UID of the transfer syntax (PS3.6 A).
    pub fn uid(self) -> &'static str {
        self.syntax().map_or(EXPLICIT_LITTLE, Syntax::uid)
    }

    fn syntax(self) -> Option<Syntax> {
        match self {
            Self::Native => None,
            Self::JpegLs => Some(Syntax::JpegLs),
            Self::Jpeg2000 => Some(Syntax::Jpeg2000),
        }
    }
}

/// Why a data set was not written in another transfer syntax. Whatever was written until then is no data set.
#[derive(Debug, thiserror::Error)]
pub enum TranscodeError {
    /// It could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its header is none.
    #[error(transparent)]
    Header(#[from] Refused),
    /// Its frames cannot be decoded.
    #[error(transparent)]
    NotDecoded(#[from] NotDecoded),
    /// Not of a kind that is coded or decoded here, or an encoder did not keep every pixel.
    #[error("pixels cannot be written in that transfer syntax")]
    Unfit,
}

/// Whether [`transcode`] may be asked: one sample a pixel, of 8 or 16 bits allocated; compressed without loss where it is to be decoded; native, in Explicit
/// VR Little Endian and at most [`TRANSCODED_BYTES_MAX`] bytes where it is to be coded.
pub fn is_fit(outline: &Outline, transfer_syntax: &Uid, coding: Coding) -> bool {
    Plan::of(outline, transfer_syntax, coding).is_some()
}

/// Writes the data set that starts where `source` stands and has `bytes` bytes. `outline` and `transfer_syntax` are its own.
///
/// # Errors
/// [`TranscodeError`].
pub fn transcode(
    source: &mut (impl Read + Seek),
    bytes: u64,
    (outline, transfer_syntax): (&Outline, &Uid),
    coding: Coding,
    decoder: &FrameDecoder,
    out: &mut impl Write,
) -> Result<(), TranscodeError> {
    let start = source.stream_position()?;
    let plan = Plan::of(outline, transfer_syntax, coding).ok_or(TranscodeError::Unfit)?;
    let mut head = vec![0; plan.value.start as usize];
    source.read_exact(&mut head)?;
    match plan.way {
        Way::Decode(syntax) => plan.decode(&head, syntax, source, decoder, out)?,
        Way::Code(syntax) => plan.code(&head, syntax, source, decoder, out)?,
    }
    source.seek(SeekFrom::Start(start + plan.value.end))?;
    let tail_bytes = bytes.saturating_sub(plan.value.end);
    if io::copy(&mut source.take(tail_bytes), out)? != tail_bytes {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(())
}

/// What is to be done with one data set.
struct Plan {
    way: Way,
    layout: ImageLayout,
    frame_bytes: u64,
    /// The value of its pixels, from the start of the data set.
    value: Range<u64>,
}

enum Way {
    Decode(Syntax),
    Code(Syntax),
}

impl Plan {
    fn of(outline: &Outline, transfer_syntax: &Uid, coding: Coding) -> Option<Self> {
        let layout = outline.image.filter(|layout| layout.samples_per_pixel == 1 && !layout.big_endian)?;
        let bulk = outline.bulk.as_ref().filter(|bulk| bulk.range.start <= REWRITE_BYTES_MAX)?;
        let frame_bytes = pixels::frame_bytes(&layout)?;
        let native_bytes = frame_bytes.checked_mul(layout.frames.into()).filter(|bytes| *bytes > 0)?;
        let value_bytes = bulk.range.end.checked_sub(bulk.range.start)?;
        let way = match (bulk.kind, coding.syntax()) {
            (BulkKind::Encapsulated, None) => Way::Decode(Syntax::of(transfer_syntax)?),
            (BulkKind::Native, Some(syntax))
                if transfer_syntax.as_str() == EXPLICIT_LITTLE
                    && native_bytes <= TRANSCODED_BYTES_MAX
                    && value_bytes == native_bytes.next_multiple_of(2) =>
            {
                Way::Code(syntax)
            }
            _ => return None,
        };
        Some(Self { way, layout, frame_bytes, value: bulk.range.clone() })
    }

    /// Bytes of all native frames.
    fn native_bytes(&self) -> u64 {
        self.frame_bytes * u64::from(self.layout.frames)
    }

    /// Decodes the frames at which `source` stands.
    fn decode(
        &self,
        head: &[u8],
        syntax: Syntax,
        source: &mut (impl Read + Seek),
        decoder: &FrameDecoder,
        out: &mut impl Write,
    ) -> Result<(), TranscodeError> {
        let bits_allocated = self.layout.bits_allocated;
        let decompressed = Decompressed { syntax, bits_allocated, bytes: self.native_bytes() };
        out.write_all(&derive::decompress(head, &decompressed)?)?;
        let start = source.stream_position()?;
        let found = index(source, self.value.end - self.value.start, self.layout.frames)??;
        for frame in 0..found.frames() {
            let mut codestream = Vec::new();
            for fragment in found.fragments(frame) {
                source.seek(SeekFrom::Start(start + fragment.start))?;
                source.take(fragment.end - fragment.start).read_to_end(&mut codestream)?;
                if codestream.len() > CODESTREAM_BYTES_MAX {
                    return Err(NotDecoded::TooLarge.into());
                }
            }
            out.write_all(&decoder.decode(syntax, &self.layout, &codestream)?)?;
        }
        Ok(out.write_all(padding(self.native_bytes()))?)
    }

    /// Codes the frames at which `source` stands.
    fn code(
        &self,
        head: &[u8],
        syntax: Syntax,
        source: &mut impl Read,
        decoder: &FrameDecoder,
        out: &mut impl Write,
    ) -> Result<(), TranscodeError> {
        let mut native = vec![0; self.native_bytes() as usize];
        source.read_exact(&mut native)?;
        let frames = self.coded(&native, syntax, decoder).ok_or(TranscodeError::Unfit)?;
        out.write_all(&derive::encapsulate(head)?)?;
        // The basic offset table: from the first fragment's item to that of each frame (PS3.5 A.4).
        let sizes = frames.iter().map(|frame| ITEM_HEAD_BYTES + frame.len().next_multiple_of(2));
        let offsets = sizes.scan(0, |next, size| Some(std::mem::replace(next, *next + size)));
        let table: Vec<u8> = offsets.flat_map(|offset| (offset as u32).to_le_bytes()).collect();
        for value in std::iter::once(&table).chain(&frames) {
            item(out, ITEM, value.len().next_multiple_of(2))?;
            out.write_all(value)?;
            out.write_all(padding(value.len() as u64))?;
        }
        Ok(item(out, SEQUENCE_END, 0)?)
    }

    /// All frames coded, each of which another program decodes to what it was; `None` where one is not.
    fn coded(&self, native: &[u8], syntax: Syntax, decoder: &FrameDecoder) -> Option<Vec<Vec<u8>>> {
        let precision = encoders::precision(syntax, &self.layout, native);
        let coded = |frame: &[u8]| {
            let codestream = encoders::encode(syntax, &self.layout, precision, frame)?;
            let decoded = decoder.decode(syntax, &self.layout, &codestream);
            (decoded.as_deref() == Ok(frame)).then_some(codestream)
        };
        native.chunks_exact(self.frame_bytes as usize).map(coded).collect()
    }
}

/// Tag and length of an item.
const ITEM_HEAD_BYTES: usize = 8;

fn item(out: &mut impl Write, tag: u32, bytes: usize) -> io::Result<()> {
    out.write_all(&((tag >> 16) as u16).to_le_bytes())?;
    out.write_all(&(tag as u16).to_le_bytes())?;
    out.write_all(&(bytes as u32).to_le_bytes())
}

/// What makes a length even (PS3.5 7.1.1, A.4).
fn padding(bytes: u64) -> &'static [u8] {
    if bytes % 2 == 1 { &[0] } else { &[] }
}
