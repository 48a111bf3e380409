//! Every limit of bundle and data-set scan in one place: a named number, its unit and its reason.

/// Nesting of sequences a scan follows; real objects stay below 10, fo-dicom's stack broke at about 1,800.
pub const SEQUENCE_DEPTH_MAX: usize = 32;
/// Elements a scan walks in one data set; an enhanced multi-frame CT of 2,000 frames has about 100,000.
pub const ELEMENTS_MAX: usize = 1_000_000;
/// Plain bytes of one segment: the unit that is sealed, fetched and held in memory.
pub const SEGMENT_BYTES_MAX: usize = 4 << 20;
/// Segments of one bundle.
pub const SEGMENTS_MAX: u32 = 1_000_000;
/// Raw samples of one slab, so that coder and decoder hold a few MiB whatever the image's size.
pub const SLAB_BYTES_MAX: usize = 2 << 20;
/// A chunk of a bulk value that is not coded as pixels, and of a header stream.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// A manifest once unpacked: about 300 bytes an instance, 10,000 instances with room.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// Instances of one bundle.
pub const INSTANCES_MAX: usize = 100_000;
