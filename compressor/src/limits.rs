//! Every limit of bundle and data-set scan in one place: a named number, its unit and its reason.

/// Nesting of sequences a scan follows; real objects stay below 10, fo-dicom's stack broke at about 1,800.
pub const SEQUENCE_DEPTH_MAX: usize = 32;
/// Elements a scan walks in one data set; an enhanced multi-frame CT of 2,000 frames has about 100,000.
pub const ELEMENTS_MAX: usize = 1_000_000;
/// A report or document that is read whole, in bytes, also once it is inflated: a telephone holds it some six times meanwhile, and ends a page at some 300 MB.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// Elements and items of one that are kept while it is read, 40 bytes each: a dose report of 500 exposures has some 300,000.
pub const TREE_ELEMENTS_MAX: usize = 500_000;
/// Frames of one image whose geometry is told.
pub const FRAMES_TOLD_MAX: usize = 16_384;
/// Plain bytes of one segment: the unit that is sealed, fetched and held in memory.
pub const SEGMENT_BYTES_MAX: usize = 4 << 20;
/// Segments of one bundle.
pub const SEGMENTS_MAX: u32 = 1_000_000;
/// Raw samples of one slab, so that coder and decoder hold a few MiB whatever the image's size.
pub const SLAB_BYTES_MAX: usize = 2 << 20;
/// A chunk of a bulk value that is not coded as pixels, and of a header stream.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// A model of pixels once unpacked: at most 12 steps of 48 classes of 67 weights and 361 contexts of 33 bytes.
pub const MODEL_BYTES_MAX: usize = 96 << 10;
/// Raw bytes of a series without loss that is tried without a model as well, whatever it looks like: one of 4 kB weighs as much as a
/// sixteenth of them.
pub const SMALL_SERIES_BYTES: u64 = 64 << 10;
/// A manifest once unpacked: about 300 bytes an instance, 10,000 instances with room.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// One text of a banner, as UTF-8: what a scan reads of it, where each byte became a replacement character of three.
pub const BANNER_TEXT_BYTES_MAX: usize = 4 << 10;
/// The sender's note, as UTF-8: about 1,300 kanji, more than anybody reads at night.
pub const NOTE_BYTES_MAX: usize = 4 << 10;
/// Instances of one bundle.
pub const INSTANCES_MAX: usize = 100_000;
/// Bytes that a scan inflates of a deflated data set: it wants the groups up to 0028 alone, which are at its start.
pub const INFLATED_BYTES_MAX: u64 = 64 << 20;
/// Elements of the meta group of a file; PS3.10 7.1 knows about fifteen.
pub const META_ELEMENTS_MAX: usize = 64;
/// Smallest top-level value that is taken as the bulk value where there are no pixels (SPEC 1.2).
pub const BULK_BYTES_MIN: u64 = 64 << 10;
/// Source bytes that cannot be scanned are header bytes below this length (SPEC 1.2).
pub const UNSCANNED_BYTES_MIN: u64 = 1 << 20;
/// Samples of one pixel that the pixel coder takes: grey, RGB or YBR, and one more (PS3.3 C.7.6.3.1.1).
pub const SAMPLES_PER_PIXEL_MAX: u16 = 4;
/// Native pixels of one object that are compressed on their way to another program, which waits meanwhile; larger ones go as they are.
pub const TRANSCODED_BYTES_MAX: u64 = 32 << 20;
/// Fragments of one encapsulated value that are looked at: one or two a frame, and frames of an angiogram or a tomosynthesis by the thousand.
pub const FRAGMENTS_MAX: usize = 100_000;
/// A frame that is decoded: a mammogram of 4,784 × 5,928 has 57 MB. Larger ones pass as they came.
pub const FRAME_DECODED_BYTES_MAX: u64 = 64 << 20;
/// Its codestream: of noise it is hardly longer than the frame.
pub const CODESTREAM_BYTES_MAX: usize = 72 << 20;
/// A frame that a viewer decodes from what came, on a telephone, which takes some eight times as much meanwhile: a radiograph of 2,500 × 3,000 has 15 MB.
pub const CARRIED_FRAME_BYTES_MAX: u64 = 16 << 20;
/// Frames of one bundle whose chunks are cut apart, so that each can be had alone: a quarter of its segments.
pub const CARRIED_FRAMES_MAX: usize = 250_000;
/// Decoded frames of one instance that are held until the last of them proves to be decodable. Instances with more are decoded twice.
pub const DECODED_BYTES_HELD_MAX: u64 = FRAME_DECODED_BYTES_MAX;
/// Frames of one bundle that may take too long until none is tried any more: each costs seconds.
pub const SLOW_FRAMES_MAX: u32 = 3;
/// Raw bytes in the hands of the workers at one time while packing: each waits for at most a few slabs.
pub const IN_FLIGHT_BYTES_MAX: usize = 16 << 20;
/// Unpacked bytes that a bundle may have for each coded byte, beyond [`RATIO_FREE_BYTES`]; lossless, the studies at hand reach 8.
pub const RATIO_MAX: u64 = 1_000;
/// Unpacked bytes that are never held against a bundle's ratio: a whole study of black frames is no attack.
pub const RATIO_FREE_BYTES: u64 = 8 << 30;
/// Length of a relative file name in a manifest; PATH_MAX of Linux.
pub const NAME_BYTES_MAX: usize = 4096;
/// Header bytes of one instance that are held to be rewritten, and bytes of a value that may be a sequence of references; an
/// enhanced multi-frame of 2,000 frames has about 10 MB. What is larger is left as it came.
pub const REWRITE_BYTES_MAX: u64 = 64 << 20;
/// Times that a data set may grow while its references are remapped: the shortest reference, of 2 bytes, becomes 45.
pub const REWRITE_GROWTH_MAX: usize = 8;
/// Largest key object that is looked into, in bytes: it names images and shows none. One of some thousand names has 500 kB.
pub const KEY_OBJECT_BYTES_MAX: u64 = 1 << 20;
