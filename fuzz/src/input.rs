//! What a fuzzer's bytes stand for: layouts and lengths in front, the bytes under trial behind.

use compressor::dataset::ImageLayout;

/// A dimension's byte that stands for two more bytes: large images are tried too, but seldom, since they are slow.
const LARGE: u8 = 0xFF;

/// Bytes being taken apart; where there are no more, zeros.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// At most `length` bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The inverse of [`put_layout`].
    pub(crate) fn layout(&mut self) -> ImageLayout {
        let (columns, rows) = (self.dimension(), self.dimension());
        let (kind, flags) = (self.byte(), self.byte());
        let bits = if flags & 8 == 0 { 16 } else { 8 };
        ImageLayout {
            frames: u32::from(kind >> 2).max(1),
            signed: flags & 1 != 0,
            planar: flags & 2 != 0,
            big_endian: flags & 4 != 0,
            ..ImageLayout::new(columns, rows, u16::from(kind & 3) + 1, bits)
        }
    }

    fn dimension(&mut self) -> u16 {
        match self.byte() {
            LARGE => self.word(),
            small => u16::from(small),
        }
    }
}

/// Writes a layout of at most 254 columns and rows and 63 frames.
pub(crate) fn put_layout(layout: &ImageLayout, bytes: &mut Vec<u8>) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    bytes.extend([layout.columns as u8, layout.rows as u8]);
    bytes.push((layout.frames as u8) << 2 | (layout.samples_per_pixel as u8 - 1));
    bytes.push(
        flag(layout.signed, 1)
            | flag(layout.planar, 2)
            | flag(layout.big_endian, 4)
            | flag(layout.bits_allocated == 8, 8),
    );
}
