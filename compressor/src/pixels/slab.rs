//! How an image is cut into slabs, and how the samples of one lie (SPEC 3.2).

use crate::dataset::ImageLayout;
use crate::limits::{SAMPLES_PER_PIXEL_MAX, SLAB_BYTES_MAX};

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
    let (unit_bytes, unit_count, repeats) = if frame.bytes() <= SLAB_BYTES_MAX {
        (frame.bytes(), frames, 1)
    } else {
        let rows = frame.as_rows();
        (rows.row_bytes(), rows.rows, frames)
    };
    let units_max = SLAB_BYTES_MAX / unit_bytes;
    let one_round = move || {
        (0..unit_count).step_by(units_max).map(move |first| units_max.min(unit_count - first) * unit_bytes)
    };
    Some((0..repeats).flat_map(move |_| one_round()))
}

/// Bytes of one frame. `None` where the pixel coder does not take such images.
pub fn frame_bytes(layout: &ImageLayout) -> Option<u64> {
    Slab::frame(layout).map(|frame| frame.bytes() as u64)
}
