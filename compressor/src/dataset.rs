//! A linear scan of a data set: where its parts lie, without trusting a single length (PS3.5 7, A).

mod banner;
mod charset;
mod cursor;
mod diffusion;
pub(crate) mod element;
mod file;
mod geometry;
mod implicit;
mod lookup;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod tree;
mod values;
mod walk;

pub use banner::{Banner, BannerTexts, PersonName, on_screen};
pub use charset::{CharacterSet, Delimiters};
pub(crate) use file::meta_group;
pub use file::{FilePart, locate};
pub use geometry::Geometry;
pub use implicit::write_implicit;
pub use lookup::{Lookup, Table};
pub use tree::{Bare, Item, Tree};

use crate::Uid;
use crate::limits::INFLATED_BYTES_MAX;
use crate::phi::Phi;
use cursor::{Cursor, Inflated, Seekable};
use element::Syntax;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use walk::Walk;

/// Longest value that [`values_of`] gives: the title of a report, and the list of what a presentation state is of.
const VALUE_BYTES_MAX: u64 = 256 << 10;

/// How the elements of a data set are encoded (PS3.5 7.1, Annex A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Implicit VR Little Endian (PS3.5 A.1).
    ImplicitLittle,
    /// Explicit VR Little Endian, native or encapsulated (PS3.5 A.2, A.4).
    ExplicitLittle,
    /// Explicit VR Big Endian (PS3.5 A.3, retired).
    ExplicitBig,
    /// Deflated Explicit VR Little Endian (PS3.5 A.5): the whole data set is one deflate stream.
    Deflated,
}

impl Encoding {
    /// The encoding that a transfer syntax UID stands for. Unknown and private ones are taken as Explicit VR Little
    /// Endian, which PS3.5 A.4 asks of every encapsulated syntax.
    pub fn of_transfer_syntax(uid: &Uid) -> Self {
        match uid.as_str() {
            "1.2.840.10008.1.2" | "1.2.840.113619.5.2" => Self::ImplicitLittle,
            "1.2.840.10008.1.2.2" => Self::ExplicitBig,
            "1.2.840.10008.1.2.1.99" | "1.2.840.10008.1.2.4.95" | "1.2.840.10008.1.2.4.205" => Self::Deflated,
            _ => Self::ExplicitLittle,
        }
    }
}

/// What a scan learned of one data set. Offsets count from the start of the source.
#[derive(Clone, Default, PartialEq)]
pub struct Outline {
    /// SOP Class UID (0008,0016).
    pub sop_class: Option<Uid>,
    /// SOP Instance UID (0008,0018).
    pub sop_instance: Option<Uid>,
    /// Study Instance UID (0020,000D).
    pub study: Option<Uid>,
    /// Series Instance UID (0020,000E).
    pub series: Option<Uid>,
    /// Modality (0008,0060), one to 16 characters of the CS repertoire.
    pub modality: Option<String>,
    /// Study ID (0020,0010).
    pub study_id: Phi<String>,
    /// Series Number (0020,0011), where it is an integer.
    pub series_number: Option<i32>,
    /// Instance Number (0020,0013), where it is an integer.
    pub instance_number: Option<i32>,
    /// How native pixel data is laid out, where all the elements of PS3.3 C.7.6.3 are there.
    pub image: Option<ImageLayout>,
    /// What the values of its pixels mean.
    pub meaning: Meaning,
    /// Whose images these are.
    pub banner: Banner,
    /// The bulk value (SPEC 1.2).
    pub bulk: Option<Bulk>,
}

impl std::fmt::Debug for Outline {
    /// Without the texts.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("Outline");
        fields.field("sop_class", &self.sop_class).field("modality", &self.modality);
        fields.field("image", &self.image).field("bulk", &self.bulk).finish_non_exhaustive()
    }
}

/// What decides how far the pixels of a data set may be off: top-level elements alone.
#[derive(Clone, Default, PartialEq)]
pub struct Meaning {
    /// Image Type (0008,0008), values parted by backslashes.
    pub image_type: Option<String>,
    /// Study and Series Description (0008,1030; 0008,103E), Body Part Examined (0018,0015) and Protocol Name (0018,1030), parted by
    /// spaces. Free text that people wrote: never shown.
    pub told: Phi<String>,
    /// Photometric Interpretation (0028,0004).
    pub photometric: Option<String>,
    /// High Bit (0028,0102).
    pub high_bit: Option<u16>,
    /// Pixel Padding Value (0028,0120), as a stored value.
    pub padding: Option<u16>,
    /// Pixel Padding Range Limit (0028,0121), as a stored value.
    pub padding_limit: Option<u16>,
    /// Rescale Slope (0028,1053), finite.
    pub slope: Option<f64>,
    /// Rescale Type (0028,1054).
    pub rescale_type: Option<String>,
    /// A Modality LUT Sequence (0028,3000) is there.
    pub modality_lut: bool,
    /// Lossy Image Compression (0028,2110) is "01".
    pub lossy: bool,
}

impl std::fmt::Debug for Meaning {
    /// Without the texts.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Meaning").field("lossy", &self.lossy).finish_non_exhaustive()
    }
}

/// The bulk value of a data set (SPEC 1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// Its bytes in the source.
    pub range: Range<u64>,
    /// What it is the value of.
    pub kind: BulkKind,
}

/// What a bulk value is the value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkKind {
    /// Pixel Data (7FE0,0010) at the top level, as samples.
    Native,
    /// Pixel Data (7FE0,0010) at the top level, as items with fragments of codestreams (PS3.5 A.4).
    Encapsulated,
    /// Anything else.
    Other,
}

/// Native pixel data (PS3.3 C.7.6.3, PS3.5 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageLayout {
    /// Rows (0028,0010).
    pub rows: u16,
    /// Columns (0028,0011).
    pub columns: u16,
    /// Number of Frames (0028,0008), 1 where absent.
    pub frames: u32,
    /// Samples per Pixel (0028,0002).
    pub samples_per_pixel: u16,
    /// Bits Allocated (0028,0100).
    pub bits_allocated: u16,
    /// Bits Stored (0028,0101).
    pub bits_stored: u16,
    /// Pixel Representation (0028,0103): true = two's complement.
    pub signed: bool,
    /// Planar Configuration (0028,0006): true = one plane after the other.
    pub planar: bool,
    /// Words of more than 8 bits are big endian.
    pub big_endian: bool,
}

impl ImageLayout {
    /// One frame of unsigned little-endian samples, pixel by pixel, of as many bits as are allocated.
    pub const fn new(columns: u16, rows: u16, samples_per_pixel: u16, bits_allocated: u16) -> Self {
        Self {
            rows,
            columns,
            frames: 1,
            samples_per_pixel,
            bits_allocated,
            bits_stored: bits_allocated,
            signed: false,
            planar: false,
            big_endian: false,
        }
    }
}

/// Why a data set could not be scanned, and where. Never holds a value.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The source could not be read.
    #[error("cannot read the data set: {0}")]
    Io(#[from] io::Error),
    /// The bytes are not a data set in this encoding.
    #[error("damaged data set at byte {offset}, tag {tag:08x}: {reason}")]
    Damaged {
        /// Byte from the start of the data set.
        offset: u64,
        /// Tag last read, group in the upper half.
        tag: u32,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Scans the data set that fills `source` from its start (no preamble, no meta group) to `source_bytes`.
///
/// Linear in the number of elements, constant memory: values are skipped by seeking, only the few listed in
/// [`Outline`] are read. A deflated data set is inflated as far as needed, and has no bulk.
///
/// # Errors
/// [`ScanError`]; a damaged data set still can be carried whole.
pub fn outline<R: Read + Seek>(
    source: &mut R,
    source_bytes: u64,
    encoding: Encoding,
) -> Result<Outline, ScanError> {
    source.rewind()?;
    outline_here(source, source_bytes, encoding)
}

/// The values of some elements of the top level, as they stand, each of at most [`VALUE_BYTES_MAX`] bytes, of a data set that starts where `source` stands and
/// has `bytes` bytes. A sequence comes with its items, without the delimiter behind them. Nothing of a deflated data set.
///
/// # Errors
/// [`ScanError`].
pub fn values_of<R: Read + Seek>(
    source: &mut R,
    bytes: u64,
    encoding: Encoding,
    wanted: &[u32],
) -> Result<BTreeMap<u32, Vec<u8>>, ScanError> {
    let Some(syntax) = Syntax::of(encoding) else { return Ok(BTreeMap::new()) };
    let start = source.stream_position()?;
    let ranges = Walk::new(Cursor::new(Seekable::new(&mut *source), bytes), syntax).ranges(wanted)?;
    let mut values = BTreeMap::new();
    for (tag, range) in ranges {
        let length = range.end - range.start;
        if length <= VALUE_BYTES_MAX {
            let mut value = vec![0; usize::try_from(length).unwrap_or_default()];
            source.seek(SeekFrom::Start(start + range.start))?;
            source.read_exact(&mut value)?;
            values.insert(tag, value);
        }
    }
    Ok(values)
}

/// As [`outline`], for a data set that starts where `source` stands and has `bytes` bytes; offsets count from there.
///
/// # Errors
/// [`ScanError`].
pub fn outline_here<R: Read + Seek>(
    source: &mut R,
    bytes: u64,
    encoding: Encoding,
) -> Result<Outline, ScanError> {
    let syntax = Syntax {
        explicit: encoding != Encoding::ImplicitLittle,
        big_endian: encoding == Encoding::ExplicitBig,
    };
    if encoding == Encoding::Deflated {
        let inflated = Inflated::new(source.take(bytes), INFLATED_BYTES_MAX);
        return Walk::new(Cursor::new(inflated, INFLATED_BYTES_MAX), syntax).identify();
    }
    Walk::new(Cursor::new(Seekable::new(source), bytes), syntax).outline()
}
