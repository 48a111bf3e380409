//! The few values that an outline reads, all others are passed over.

use super::cursor::{Cursor, Forward};
use super::element::Syntax;
use super::text::readable;
use super::{Bulk, ImageLayout, Meaning, Outline, ScanError};
use crate::Uid;

/// Longest value read: a description has 64 characters of up to 4 bytes, an Image Type more than 20 values of up to 16.
const VALUE_BYTES_MAX: u64 = 512;
/// Modality LUT Sequence (PS3.3 C.11.1).
const MODALITY_LUT: u32 = 0x0028_3000;
/// Longest code string (PS3.5 6.2, VR CS).
const CODE_CHARACTERS_MAX: usize = 16;

/// What was read so far.
#[derive(Default)]
pub(super) struct Values {
    sop_class: Option<Uid>,
    sop_instance: Option<Uid>,
    study: Option<Uid>,
    series: Option<Uid>,
    modality: Option<String>,
    instance_number: Option<i32>,
    frames: Option<u32>,
    samples_per_pixel: Option<u16>,
    planar: Option<u16>,
    rows: Option<u16>,
    columns: Option<u16>,
    bits_allocated: Option<u16>,
    bits_stored: Option<u16>,
    representation: Option<u16>,
    meaning: Meaning,
}

impl Values {
    /// Reads the value of `length` bytes that the cursor stands on, or passes over it.
    pub(super) fn read<F: Forward>(
        &mut self,
        cursor: &mut Cursor<F>,
        syntax: Syntax,
        tag: u32,
        length: u64,
    ) -> Result<(), ScanError> {
        if length > VALUE_BYTES_MAX || !is_wanted(tag) {
            return cursor.skip(length);
        }
        let mut buffer = [0; VALUE_BYTES_MAX as usize];
        let value = buffer.get_mut(..length as usize).unwrap_or_default();
        cursor.read_into(value)?;
        self.take(tag, value, syntax);
        Ok(())
    }

    /// Takes notice of an element, whatever its value.
    pub(super) fn note(&mut self, tag: u32) {
        self.meaning.modality_lut |= tag == MODALITY_LUT;
    }

    fn take(&mut self, tag: u32, value: &[u8], syntax: Syntax) {
        let number = || value.first_chunk().map(|bytes| syntax.u16(*bytes));
        match tag {
            0x0008_0016 => self.sop_class = uid(value),
            0x0008_0018 => self.sop_instance = uid(value),
            0x0008_0060 => self.modality = code(value),
            0x0020_000D => self.study = uid(value),
            0x0020_000E => self.series = uid(value),
            0x0020_0013 => self.instance_number = parsed(value),
            0x0028_0002 => self.samples_per_pixel = number(),
            0x0028_0006 => self.planar = number(),
            0x0028_0008 => self.frames = parsed(value),
            0x0028_0010 => self.rows = number(),
            0x0028_0011 => self.columns = number(),
            0x0028_0100 => self.bits_allocated = number(),
            0x0028_0101 => self.bits_stored = number(),
            0x0028_0103 => self.representation = number(),
            _ => self.take_meaning(tag, value, number()),
        }
    }

    fn take_meaning(&mut self, tag: u32, value: &[u8], number: Option<u16>) {
        let meaning = &mut self.meaning;
        let string = || text(value).filter(|text| !text.is_empty()).map(str::to_owned);
        match tag {
            0x0008_0008 => meaning.image_type = string(),
            0x0008_1030 | 0x0008_103E | 0x0018_0015 | 0x0018_1030 => {
                meaning.told.push_str(&readable(value));
                meaning.told.push(' ');
            }
            0x0028_0004 => meaning.photometric = string(),
            0x0028_0102 => meaning.high_bit = number,
            0x0028_0120 => meaning.padding = number,
            0x0028_0121 => meaning.padding_limit = number,
            0x0028_1053 => meaning.slope = parsed(value).filter(|slope: &f64| slope.is_finite()),
            0x0028_1054 => meaning.rescale_type = string(),
            0x0028_2110 => meaning.lossy = text(value) == Some("01"),
            _ => {}
        }
    }

    /// Whether the instance is known.
    pub(super) fn identified(&self) -> bool {
        self.sop_instance.is_some()
    }

    /// The outline of what was read.
    pub(super) fn outline(self, bulk: Option<Bulk>, big_endian: bool) -> Outline {
        let image = self.image(big_endian);
        Outline {
            sop_class: self.sop_class,
            sop_instance: self.sop_instance,
            study: self.study,
            series: self.series,
            modality: self.modality,
            instance_number: self.instance_number,
            image,
            meaning: self.meaning,
            bulk,
        }
    }

    fn image(&self, big_endian: bool) -> Option<ImageLayout> {
        Some(ImageLayout {
            rows: self.rows?,
            columns: self.columns?,
            frames: self.frames.unwrap_or(1),
            samples_per_pixel: self.samples_per_pixel?,
            bits_allocated: self.bits_allocated?,
            bits_stored: self.bits_stored?,
            signed: self.representation? == 1,
            planar: self.planar == Some(1),
            big_endian,
        })
    }
}

fn is_wanted(tag: u32) -> bool {
    matches!(
        tag,
        0x0008_0016
            | 0x0008_0018
            | 0x0008_0060
            | 0x0020_000D
            | 0x0020_000E
            | 0x0020_0013
            | 0x0028_0002
            | 0x0028_0006
            | 0x0028_0008
            | 0x0028_0010
            | 0x0028_0011
            | 0x0028_0100
            | 0x0028_0101
            | 0x0028_0103
            | 0x0008_0008
            | 0x0008_1030
            | 0x0008_103E
            | 0x0018_0015
            | 0x0018_1030
            | 0x0028_0004
            | 0x0028_0102
            | 0x0028_0120
            | 0x0028_0121
            | 0x0028_1053
            | 0x0028_1054
            | 0x0028_2110
    )
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().map(|text| text.trim_matches([' ', '\0']))
}

fn uid(value: &[u8]) -> Option<Uid> {
    Uid::parse(text(value)?).ok()
}

fn parsed<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    text(value)?.parse().ok()
}

fn code(value: &[u8]) -> Option<String> {
    let text = text(value)?;
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" _".contains(&byte);
    ((1..=CODE_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}
