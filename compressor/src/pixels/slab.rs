//! How an image is cut into slabs, and how the samples of one lie (SPEC 3.2).

use crate::dataset::ImageLayout;
use crate::limits::{SAMPLES_PER_PIXEL_MAX, SLAB_BYTES_MAX};

/// Frames that are smaller share a slab.
const SMALL_FRAMES_BYTES: usize = 1 << 15;

/// Side of a coarse picture, the longer one, at least (codec SPEC 2.4).
const COARSE_SIDE_MIN: usize = 64;

/// The samples of one slab: planes of `rows` × `columns` samples, or pixels of several samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slab {
    /// Samples in a row of one plane.
    pub columns: usize,
    /// Rows of one plane.
    pub rows: usize,
    /// Frames, or 1 for some rows of a frame.
    pub frames: usize,
    /// Components of a pixel, each predicted from itself.
    pub components: usize,
    /// Components lie in planes one after the other, not pixel by pixel.
    pub planar: bool,
    /// Bytes of a sample: 1 or 2.
    pub sample_bytes: usize,
    /// Samples are two's complement.
    pub signed: bool,
    /// Samples of 2 bytes are big endian.
    pub big_endian: bool,
}

impl Slab {
    /// The slab of `raw_bytes` bytes of an image. `None` where the image has no slabs, or none of this length.
    pub fn of(layout: &ImageLayout, raw_bytes: usize) -> Option<Self> {
        let frame = Self::frame(layout)?;
        if raw_bytes == 0 || raw_bytes > SLAB_BYTES_MAX {
            return None;
        }
        if frame.bytes() <= SLAB_BYTES_MAX {
            let frames = raw_bytes / frame.bytes();
            return (frames * frame.bytes() == raw_bytes).then_some(Self { frames, ..frame });
        }
        let rows = frame.as_rows();
        let slab = Self { rows: raw_bytes / rows.row_bytes(), ..rows };
        (slab.bytes() == raw_bytes && slab.rows <= rows.rows).then_some(slab)
    }

    /// Raw bytes.
    pub fn bytes(&self) -> usize {
        self.frames * self.components * self.rows * self.columns * self.sample_bytes
    }

    /// `None` where they are more than the machine can count: a frame may have 34 GB.
    fn bytes_checked(&self) -> Option<usize> {
        [self.components, self.rows, self.columns, self.sample_bytes]
            .into_iter()
            .try_fold(self.frames, usize::checked_mul)
    }

    /// One whole frame, where the coder takes such images.
    fn frame(layout: &ImageLayout) -> Option<Self> {
        let takes = (1..=SAMPLES_PER_PIXEL_MAX).contains(&layout.samples_per_pixel)
            && layout.rows > 0
            && layout.columns > 0
            && matches!(layout.bits_allocated, 8 | 16);
        let frame = takes.then_some(Self {
            columns: layout.columns.into(),
            rows: layout.rows.into(),
            frames: 1,
            components: layout.samples_per_pixel.into(),
            planar: layout.planar && layout.samples_per_pixel > 1,
            sample_bytes: usize::from(layout.bits_allocated / 8),
            signed: layout.signed,
            big_endian: layout.big_endian && layout.bits_allocated == 16,
        });
        frame.filter(|frame| frame.bytes_checked().is_some())
    }

    /// A frame as a stack of rows that can be cut anywhere: its planes, if it has any, count as one image.
    fn as_rows(self) -> Self {
        if !self.planar {
            return self;
        }
        Self { rows: self.rows * self.components, components: 1, planar: false, ..self }
    }

    /// Bytes of one row of all components that lie in it. At most 4 × 65,535 × 2, less than a slab.
    fn row_bytes(&self) -> usize {
        self.components * self.columns * self.sample_bytes
    }
}

/// Lengths of the slabs of `layout.frames` frames in order. `None` where the pixel coder does not take such images.
pub fn slab_lengths(layout: &ImageLayout) -> Option<impl Iterator<Item = usize> + use<>> {
    let frame = Slab::frame(layout)?;
    let frames = layout.frames as usize;
    // Frames of some size are slabs of their own, so that each can be had alone.
    let (unit_bytes, unit_count, repeats, bytes_max) = if frame.bytes() <= SLAB_BYTES_MAX {
        (frame.bytes(), frames, 1, SMALL_FRAMES_BYTES)
    } else {
        let rows = frame.as_rows();
        (rows.row_bytes(), rows.rows, frames, SLAB_BYTES_MAX)
    };
    let units_max = (bytes_max / unit_bytes).max(1);
    let one_round = move || {
        (0..unit_count).step_by(units_max).map(move |first| units_max.min(unit_count - first) * unit_bytes)
    };
    Some((0..repeats).flat_map(move |_| one_round()))
}

/// Bytes of one frame. `None` where the pixel coder does not take such images.
pub fn frame_bytes(layout: &ImageLayout) -> Option<u64> {
    Slab::frame(layout).map(|frame| frame.bytes() as u64)
}

/// A slab that is one whole frame of one component: such slabs can be references of each other.
pub fn whole_frame(layout: &ImageLayout, raw_bytes: usize) -> Option<Slab> {
    let slab = Slab::of(layout, raw_bytes)?;
    let whole = slab.frames == 1 && slab.components == 1 && slab.rows == usize::from(layout.rows);
    whole.then_some(slab)
}

/// The slabs that slab `number` of a series is predicted from besides itself: for every second one, the one before it and the one after
/// it, where all are whole frames of one shape. `shape` gives [`whole_frame`] of a slab of the series by its number.
pub fn references(number: usize, shape: impl Fn(usize) -> Option<Slab>) -> [Option<usize>; 2] {
    let own = shape(number).filter(|_| number % 2 == 1);
    let like = |other: usize| (own.is_some() && shape(other) == own).then_some(other);
    match like(number.wrapping_sub(1)) {
        Some(before) => [Some(before), like(number + 1)],
        None => [None; 2],
    }
}

/// Halvings from the full resolution to the coarse picture (codec SPEC 2.4).
pub(super) fn coarse_level(slab: &Slab) -> u32 {
    let side = slab.rows.max(slab.columns);
    let has_side = |level: &u32| ((side - 1) >> level) + 1 >= COARSE_SIDE_MIN;
    (0..usize::BITS).take_while(has_side).last().unwrap_or_default()
}

/// The coarse picture of a slab.
pub(super) fn coarse_shape(slab: &Slab) -> Slab {
    let halved = |side: usize| ((side - 1) >> coarse_level(slab)) + 1;
    Slab { rows: halved(slab.rows), columns: halved(slab.columns), ..*slab }
}
