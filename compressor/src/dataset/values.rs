//! The few values that an outline reads, all others are passed over.

use super::banner::{self, Banner, PersonName};
use super::charset::CharacterSet;
use super::cursor::{Cursor, Forward};
use super::element::Syntax;
use super::{Bulk, ImageLayout, Meaning, Outline, ScanError};
use crate::Uid;
use crate::phi::{Phi, Purpose};

/// Longest value read: a name has three groups of 64 characters of up to 4 bytes, an Image Type more than 20 values of up to 16. Of a
/// longer text the beginning is read.
const VALUE_BYTES_MAX: u64 = 1024;
/// Stands at the end of a text of which only the beginning was read.
const CUT: char = '…';
/// Modality LUT Sequence (PS3.3 C.11.1).
const MODALITY_LUT: u32 = 0x0028_3000;
/// Specific Character Set (PS3.3 C.12.1.1.2).
const CHARACTER_SET: u32 = 0x0008_0005;
/// Study ID (PS3.3 C.7.2.1).
const STUDY_ID: u32 = 0x0020_0010;
/// Elements whose text depends on it, and those that a banner shows beside them.
const TEXTS: [u32; 13] = [
    CHARACTER_SET,
    0x0008_0020,
    0x0008_0030,
    0x0008_0050,
    0x0008_1030,
    0x0008_103E,
    0x0010_0010,
    0x0010_0020,
    0x0010_0030,
    0x0010_0040,
    0x0018_0015,
    0x0018_1030,
    STUDY_ID,
];
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
    series_number: Option<i32>,
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
    /// Values of the elements of [`TEXTS`] as they came, each once.
    texts: Vec<(u32, Text)>,
}

/// The value of a text as it came.
struct Text {
    bytes: Phi<Vec<u8>>,
    cut: bool,
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
        let is_text = TEXTS.contains(&tag);
        if !is_text && (length > VALUE_BYTES_MAX || !is_wanted(tag)) {
            return cursor.skip(length);
        }
        let mut buffer = [0; VALUE_BYTES_MAX as usize];
        let value = buffer.get_mut(..length.min(VALUE_BYTES_MAX) as usize).unwrap_or_default();
        cursor.read_into(value)?;
        if is_text {
            self.take_text(tag, value, length > VALUE_BYTES_MAX);
            return cursor.skip(length - value.len() as u64);
        }
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
            0x0020_0011 => self.series_number = parsed(value),
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

    /// Keeps a text until the character set is known; one that comes again replaces the one before.
    fn take_text(&mut self, tag: u32, value: &[u8], cut: bool) {
        let text = Text { bytes: Phi::new(value.to_vec()), cut };
        self.texts.retain(|(earlier, _)| *earlier != tag);
        self.texts.push((tag, text));
    }

    fn take_meaning(&mut self, tag: u32, value: &[u8], number: Option<u16>) {
        let meaning = &mut self.meaning;
        let string = || text(value).filter(|text| !text.is_empty()).map(str::to_owned);
        match tag {
            0x0008_0008 => meaning.image_type = string(),
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
    pub(super) fn outline(mut self, bulk: Option<Bulk>, big_endian: bool) -> Outline {
        let image = self.image(big_endian);
        let (banner, told, study_id) = self.read_texts();
        self.meaning.told = told;
        Outline {
            sop_class: self.sop_class,
            sop_instance: self.sop_instance,
            study: self.study,
            series: self.series,
            modality: self.modality,
            study_id,
            series_number: self.series_number,
            instance_number: self.instance_number,
            image,
            meaning: self.meaning,
            banner,
            bulk,
        }
    }

    /// The banner, the words that may name a part of the body, and the Study ID.
    fn read_texts(&self) -> (Banner, Phi<String>, Phi<String>) {
        let find = |tag| self.texts.iter().find(|(found, _)| *found == tag).map(|(_, text)| text);
        let value = |tag| find(tag).map_or(&[][..], |text| text.bytes.expose_for(Purpose::Seal));
        let set = CharacterSet::of(value(CHARACTER_SET));
        let marked = |tag, text: Phi<String>| match find(tag) {
            Some(Text { cut: true, .. }) => Phi::new(format!("{}{CUT}", text.expose_for(Purpose::Seal))),
            _ => text,
        };
        let text = |tag| marked(tag, banner::text(value(tag), set));
        let name = PersonName::decode(value(0x0010_0010), set);
        let banner = Banner {
            name: PersonName { alphabetic: marked(0x0010_0010, name.alphabetic), ..name },
            patient_id: text(0x0010_0020),
            birth_date: text(0x0010_0030),
            sex: text(0x0010_0040),
            accession: text(0x0008_0050),
            study_date: text(0x0008_0020),
            study_time: text(0x0008_0030),
            study_description: text(0x0008_1030),
            series_description: text(0x0008_103E),
            body_part: text(0x0018_0015),
            protocol: text(0x0018_1030),
            image_type: Phi::new(self.meaning.image_type.clone().unwrap_or_default()),
        };
        let Banner { study_description, series_description, body_part, protocol, .. } = &banner;
        let parts = [study_description, series_description, body_part, protocol];
        let told = parts.iter().map(|text| text.expose_for(Purpose::Near).as_str());
        let told = Phi::new(told.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "));
        (banner, told, text(STUDY_ID))
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
            | 0x0020_0011
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
