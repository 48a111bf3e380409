//! The study bundle: all instances of a study as one ordered list of segments (`docs/spec-bundle.md`).

#[cfg(feature = "native")]
mod bounded;
mod cut;
#[cfg(feature = "native")]
mod file;
#[cfg(feature = "native")]
mod frames;
mod headers;
#[cfg(feature = "native")]
mod key_images;
#[cfg(feature = "native")]
mod lessons;
#[cfg(feature = "native")]
mod line;
mod manifest;
#[cfg(feature = "native")]
mod marking;
mod note;
#[cfg(feature = "native")]
mod pack;
#[cfg(feature = "native")]
mod packed;
#[cfg(feature = "native")]
mod pairs;
#[cfg(feature = "native")]
mod plan;
#[cfg(all(test, feature = "native"))]
mod tests;
mod unpack;
#[cfg(feature = "native")]
mod writer;

pub use cut::{Joined, ResidualPart};
#[cfg(feature = "native")]
pub use file::BundleFile;
pub use headers::header_bytes;
pub use manifest::{is_safe_name, read_manifest};
pub use note::Note;
#[cfg(feature = "native")]
pub use pack::{pack, pack_with};
#[cfg(feature = "native")]
pub use packed::Packed;
pub use unpack::{CreateInstance, Unpacked, Unpacking, Wanted, unpack};

use crate::Uid;
use crate::dataset::{Banner, FilePart, ImageLayout};
#[cfg(feature = "native")]
use crate::encapsulated::FrameDecoder;
use crate::encapsulated::NotDecoded;
#[cfg(feature = "native")]
use crate::near::Policy;
use serde::Serialize;
#[cfg(feature = "native")]
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

/// Bundle format that this code writes and reads (SPEC 4).
pub const FORMAT: u32 = 1;

/// What the bundle holds (SPEC 4). The first segment, sealed like all others: it may name the patient's UIDs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Series in priority order.
    pub series: Vec<Series>,
    /// Every segment but the manifest itself, in priority order; entry 0 is segment number 1.
    pub segments: Vec<Segment>,
    /// What the sender has to say to the doctor.
    #[serde(skip)]
    pub note: Option<Note>,
}

/// One series, or the instances of a series with one transfer syntax.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Series {
    /// Study Instance UID, where the instances have one.
    pub study: Option<Uid>,
    /// Series Instance UID, where the instances have one.
    pub series: Option<Uid>,
    /// Modality (0008,0060).
    pub modality: Option<String>,
    /// Transfer syntax of the instances.
    pub transfer_syntax: Uid,
    /// Largest absolute error allowed, in stored values; 0 = lossless.
    pub near: u32,
    /// Largest absolute error found over all pixels coded as images, in stored values.
    pub max_error: u32,
    /// Root of the mean squared error over the same pixels, in stored values.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub rmse: f64,
    /// Largest size of the mean error of any 32 × 32 block of a frame, in stored values. Blocks at the right and lower edge, and
    /// where a slab is cut, count the pixels they have.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub block_error: f64,
    /// Noise that was measured before coding; `None` where none was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sigma: Option<Sigma>,
    /// Bytes of the original pixels for each byte they were coded in, model included, residual left out: DICOM (0028,2112). `None`
    /// where nothing is coded as pixels, or without loss.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ratio: Option<f64>,
    /// The ratio is above the national ceiling of the policy: for reference, not for the primary report.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub reference_only: bool,
    /// Why `near` is what it is, for the operator; one of a fixed set of texts, without any value of the data set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Whose images these are, as the first instance says. Not among the fields that any serializer sees: only the sealed manifest has it.
    #[serde(skip)]
    pub banner: Banner,
    /// The instances name more than one patient: no name may stand over all of them.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub mixed_patients: bool,
    /// So many of the first instances are key images: to be seen before others (SPEC 4.5). The place in the list says nothing of the place in the
    /// body.
    #[serde(skip_serializing_if = "is_none_of_them", default)]
    pub key_images: u32,
    /// Instances in the order of the header stream: key images, then the others, each by Instance Number.
    pub instances: Vec<Instance>,
}

impl Series {
    /// Why images are carried compressed as they came, one reason for each of them.
    pub fn passed(&self) -> impl Iterator<Item = NotDecoded> {
        self.instances.iter().filter_map(|instance| match instance.compressed {
            Some(Compressed::Passed(reason)) => Some(reason),
            _ => None,
        })
    }
}

/// Noise of a series, in stored values, by two estimators (`docs/decisions/0005-near-auto.md`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Sigma {
    /// Of the highest frequencies alone: median size of the finest diagonal wavelet band / 0.6745 (sHH).
    pub fine: f64,
    /// 20th percentile of the standard deviation of 8 × 8 blocks about their plane (s20).
    pub blocks: f64,
}

/// One instance (SPEC 1).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Instance {
    /// SOP Class UID.
    pub sop_class: Option<Uid>,
    /// SOP Instance UID.
    pub sop_instance: Option<Uid>,
    /// Bytes before the bulk value.
    pub head_bytes: u64,
    /// Bytes of the bulk value.
    pub bulk_bytes: u64,
    /// Bytes after the bulk value.
    pub tail_bytes: u64,
    /// SHA-256 of the source bytes, lower-case hex.
    pub sha256: String,
    /// SHA-256 of the decoded bulk value in lower-case hex, without residual; set where it is not the bulk value that came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decoded_sha256: Option<String>,
    /// How the pixels are laid out that the slabs hold: those of the bulk value, or those that it was decoded to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image: Option<ImageLayout>,
    /// What became of compressed pixels in a series that may lose; elsewhere they are carried as they came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compressed: Option<Compressed>,
    /// The frames of compressed pixels that are carried as they came, where a viewer can decode them one by one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carried: Option<Carried>,
    /// Another instance of the study has the same SOP Instance UID and other bytes.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub conflict: bool,
    /// Relative path of the source file, `/` between components; only `scanpost-pack` writes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
}

/// What became of compressed pixels (SPEC 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "snake_case")]
pub enum Compressed {
    /// The slabs hold the decoded frames; the residual is the bulk value as it came.
    Decoded,
    /// Carried as they came, for this reason.
    Passed(NotDecoded),
}

/// Frames that are carried as they came (SPEC 3.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Carried {
    /// The frames as they decode, pixel by pixel, words little endian.
    pub image: ImageLayout,
    /// How many chunks of the bulk value each frame has.
    pub chunks: Vec<u32>,
}

/// One segment (SPEC 2).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Segment {
    /// What it holds.
    pub kind: SegmentKind,
    /// Index into [`Manifest::series`].
    pub series: u32,
    /// Index into [`Series::instances`]: the instance it belongs to; 0 for headers and model.
    pub instance: u32,
    /// Raw bytes of the header stream, model, slab or chunk once decoded.
    pub raw_bytes: u64,
    /// Plain bytes of the segment.
    pub coded_bytes: u64,
}

/// What a segment holds (SPEC 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "lowercase")]
pub enum SegmentKind {
    /// A slice of the header stream of a series.
    Headers,
    /// The model of the pixels of a series.
    Model,
    /// The coarse picture of a slab.
    Coarse,
    /// What is missing of a slab to its full resolution.
    Pixels,
    /// A chunk of a bulk value that is not coded as pixels.
    Opaque,
    /// What a decoded slab lacks to what came (SPEC 3.5).
    Residual,
}

fn is_none_of_them(number: &u32) -> bool {
    *number == 0
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// One instance to pack. Its bytes are read twice, front to back, never held whole.
pub struct Source<'a> {
    /// Opens the source bytes, positioned at their start.
    pub open: Box<dyn Fn() -> io::Result<Box<dyn ReadSeek>> + Send + Sync + 'a>,
    /// Length of the source bytes.
    pub bytes: u64,
    /// Length of preamble and meta group in front of the data set; 0 for data sets from an association.
    pub prefix_bytes: u64,
    /// Transfer syntax of the data set.
    pub transfer_syntax: Uid,
    /// SHA-256 of the source bytes if known; checked while packing, so that bit rot in a spool is found here.
    pub sha256: Option<[u8; 32]>,
    /// SOP class and SOP instance by which the source came; used where its data set cannot be scanned.
    pub announced: Option<(Uid, Uid)>,
    /// See [`Instance::conflict`].
    pub conflict: bool,
    /// See [`Instance::name`].
    pub name: Option<String>,
}

impl<'a> Source<'a> {
    /// The data set of a file of `bytes` bytes, where [`locate`](crate::dataset::locate) found it, of which nothing else is known.
    pub fn of_file(path: &'a Path, bytes: u64, part: FilePart) -> Self {
        Self {
            open: Box::new(move || Ok(Box::new(File::open(path)?))),
            bytes,
            prefix_bytes: part.prefix_bytes,
            transfer_syntax: part.transfer_syntax,
            sha256: None,
            announced: None,
            conflict: false,
            name: None,
        }
    }
}

impl Source<'static> {
    /// A data set in memory, without preamble and meta group, of which nothing else is known.
    pub fn of_bytes(bytes: Vec<u8>, transfer_syntax: Uid) -> Self {
        Self {
            bytes: bytes.len() as u64,
            open: Box::new(move || Ok(Box::new(io::Cursor::new(bytes.clone())))),
            prefix_bytes: 0,
            transfer_syntax,
            sha256: None,
            announced: None,
            conflict: false,
            name: None,
        }
    }
}

/// Something to read and seek in.
pub trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// Settings of [`pack`].
#[cfg(feature = "native")]
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads, at least 1. The bundle's bytes do not depend on it.
    pub threads: usize,
    /// How far decoded pixels may be from those that came.
    pub near: Near,
    /// Segments at the end of the bundle give bounded pixels back exactly.
    pub residual: bool,
    /// Decodes compressed pixels of series that may lose; without it they are carried as they came.
    pub decoder: Option<FrameDecoder>,
    /// What the sender has to say to the doctor.
    pub note: Option<Note>,
    /// Instances that the sender marked as key images, beside those that a key object of the study names.
    pub key_images: BTreeSet<Uid>,
}

#[cfg(feature = "native")]
impl Options {
    /// Everything as it came.
    pub fn lossless(threads: usize) -> Self {
        Self {
            threads,
            near: Near::Fixed(0),
            residual: false,
            decoder: None,
            note: None,
            key_images: BTreeSet::new(),
        }
    }
}

/// How the bound of each series is found. What must not be touched has near 0 in either case.
#[cfg(feature = "native")]
#[derive(Clone, Debug)]
pub enum Near {
    /// From the noise of the series and the rules for its modality.
    Auto(Policy),
    /// This many stored values; 0 = lossless.
    Fixed(u16),
}

/// Sizes of one packed study, for the page, the log and `--json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Instances packed.
    pub instances: u64,
    /// Sum of source bytes.
    pub source_bytes: u64,
    /// Bytes of native values coded as pixels, those included that came compressed.
    pub pixel_bytes: u64,
    /// Bytes of all `model` and `pixels` segments.
    pub coded_pixel_bytes: u64,
    /// Sum of header bytes.
    pub header_bytes: u64,
    /// Bytes of all `headers` segments.
    pub coded_header_bytes: u64,
    /// Bytes of all `residual` segments.
    pub residual_bytes: u64,
    /// Bytes of all segments, manifest and residual included.
    pub bundle_bytes: u64,
    /// Largest absolute error over all series.
    pub max_error: u32,
}

/// Why a study could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Reading a source or writing the bundle failed.
    #[error("cannot read a source or write the bundle: {0}")]
    Io(#[from] io::Error),
    /// The decoder could not be started, or not be waited for any more in the middle of an instance: that says nothing about the images.
    #[error("compressed images: {0}")]
    Decoder(NotDecoded),
    /// The bytes of a source are not those whose digest was given: they changed on disk since they were received.
    #[error("instance {index} changed on disk since it was received")]
    SourceChanged {
        /// Index into the sources.
        index: usize,
    },
    /// A limit of [`crate::limits`] would be passed.
    #[error("study too large: more than {limit} {what}")]
    TooLarge {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// Where the plain segments of a bundle come from: a bundle file, or pieces opened one segment at a time.
pub trait SegmentSource {
    /// Gives segment `number` (0 = manifest), checked for integrity.
    ///
    /// # Errors
    /// Any I/O error; `InvalidData` where the segment is damaged.
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>>;
}

/// Why a bundle could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Reading a segment or writing an instance failed.
    #[error("cannot read a segment or write an instance: {0}")]
    Io(#[from] io::Error),
    /// The bundle is damaged, or made to hurt.
    #[error("damaged bundle: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// Exact pixels are wanted, and the bundle holds them within a bound alone: the residual must be fetched.
    #[error(
        "exact pixels are not in this bundle: ask the site that sent it for the residual, or take the images as shown"
    )]
    NoResidual,
    /// What came as the residual completes another bundle.
    #[error("the residual belongs to another bundle")]
    OtherBundle,
    /// Written in a format that this program does not know: it must be updated.
    #[error("bundle format {format} is newer than this program; update it")]
    UnknownFormat {
        /// The number found.
        format: u32,
    },
}

impl UnpackError {
    /// A damaged bundle, for this reason.
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged { reason: reason.into() }
    }
}
