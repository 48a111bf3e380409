//! Data sets written by hand for tests: exactly the bytes that a test wants, right or wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, unreachable_pub)]

use super::Encoding;

/// Elements one after the other.
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    encoding: Encoding,
}

impl Writer {
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self { bytes: Vec::new(), encoding }
    }

    fn u16(&mut self, value: u16) {
        let big = self.encoding == Encoding::ExplicitBig;
        self.bytes.extend(if big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn u32(&mut self, value: u32) {
        let big = self.encoding == Encoding::ExplicitBig;
        self.bytes.extend(if big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    /// Tag, VR and length alone.
    pub(crate) fn head(mut self, tag: u32, vr: &str, length: u32) -> Self {
        self.u16((tag >> 16) as u16);
        self.u16(tag as u16);
        if self.encoding == Encoding::ImplicitLittle || tag >> 16 == 0xFFFE {
            self.u32(length);
            return self;
        }
        self.bytes.extend(vr.as_bytes());
        if ["OB", "OW", "SQ", "UN", "UT", "ZZ", "OF"].contains(&vr) {
            self.u16(0);
            self.u32(length);
        } else {
            self.u16(length as u16);
        }
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    pub(crate) fn element(self, tag: u32, vr: &str, value: &[u8]) -> Self {
        self.head(tag, vr, value.len() as u32).raw(value)
    }

    pub(crate) fn number(self, tag: u32, value: u16) -> Self {
        let mut this = self.head(tag, "US", 2);
        this.u16(value);
        this
    }

    /// Instance, series and an instance number.
    pub(crate) fn identity(self, number: i32) -> Self {
        self.element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.4\0")
            .element(0x0008_0018, "UI", even(format!("1.2.3.{number}"), b'\0').as_bytes())
            .element(0x0008_0060, "CS", b"MR")
            .element(0x0020_000D, "UI", b"1.2.3\0")
            .element(0x0020_000E, "UI", b"1.2.3.4\0")
            .element(0x0020_0013, "IS", even(number.to_string(), b' ').as_bytes())
    }

    /// The elements of an image.
    pub(crate) fn image(self, image: &super::ImageLayout) -> Self {
        self.number(0x0028_0002, image.samples_per_pixel)
            .number(0x0028_0006, image.planar.into())
            .element(0x0028_0008, "IS", even(image.frames.to_string(), b' ').as_bytes())
            .number(0x0028_0010, image.rows)
            .number(0x0028_0011, image.columns)
            .number(0x0028_0100, image.bits_allocated)
            .number(0x0028_0101, image.bits_stored)
            .number(0x0028_0102, image.bits_stored.saturating_sub(1))
            .number(0x0028_0103, image.signed.into())
    }
}

pub(crate) fn even(mut text: String, padding: u8) -> String {
    if text.len() % 2 == 1 {
        text.push(padding.into());
    }
    text
}
