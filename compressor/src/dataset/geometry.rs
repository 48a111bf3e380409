//! Where an image lies in the patient and how its values are shown, from its header bytes: what a viewer needs and a manifest does not
//! tell. Texts in other character sets than ASCII are not among it.

use super::cursor::{Cursor, Forward};
use super::diffusion::Diffusion;
use super::element::{Element, ITEM, ITEM_END, SEQUENCE_END, Syntax};
use super::lookup::{Lookup, MODALITY_LUT, Tables, VOI_LUT, Values};
use super::{Encoding, ScanError, meta_group};
use crate::limits::{ELEMENTS_MAX, FRAMES_TOLD_MAX, SEQUENCE_DEPTH_MAX};
use std::io;

/// Longest value read: orientation has six numbers of 16 characters.
const VALUE_BYTES_MAX: usize = 128;
/// Shared Functional Groups Sequence (PS3.3 C.7.6.16).
const SHARED_GROUPS: u32 = 0x5200_9229;
/// Per-Frame Functional Groups Sequence: an item for each frame, in their order.
const FRAME_GROUPS: u32 = 0x5200_9230;
/// The SOP classes of X-ray angiography and fluoroscopy begin so (PS3.6 A).
const ANGIOGRAMS: &str = "1.2.840.10008.5.1.4.1.1.12.";
/// Pixel Data, behind which nothing of this is.
const PIXEL_DATA: u32 = 0x7FE0_0010;
/// CT Image Storage; Enhanced CT and what was converted to it begin so (PS3.6 A).
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

/// Of one image.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Geometry {
    /// Of the first frame, where frames differ.
    #[serde(flatten)]
    pub frame: FrameGeometry,
    /// Of each frame, in their order; `None` where none differs from the first. Of a frame behind the last of these nothing is known: the
    /// data set is damaged, or there are more than [`FRAMES_TOLD_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<Vec<FrameGeometry>>,
    /// Instance Number (0020,0013).
    pub number: Option<i32>,
    /// Pixel Padding Value (0028,0120), as a stored value.
    pub padding: Option<i32>,
    /// Photometric Interpretation (0028,0004).
    pub photometric: Option<String>,
    /// Frame Time (0018,1063), ms.
    pub frame_time: Option<f64>,
    /// Cine Rate (0018,0040), frames a second.
    pub cine_rate: Option<f64>,
    /// Recommended Display Frame Rate (0008,2144), frames a second.
    pub display_rate: Option<f64>,
    /// Series Number (0020,0011).
    pub series_number: Option<i32>,
    /// Frame of Reference UID (0020,0052): positions with the same one are of the same space.
    pub frame_of_reference: Option<String>,
    /// High Bit (0028,0102): one less than Bits Stored in all but old objects (PS3.5 8.1.1).
    pub high_bit: Option<u16>,
    /// Lossy Image Compression (0028,2110) says that something was lost before it came.
    pub lossy: bool,
    /// Bits Stored (0028,0101).
    #[serde(skip)]
    pub bits_stored: Option<u16>,
    /// Pixel Representation (0028,0103) is 1.
    #[serde(skip)]
    pub signed: bool,
    /// SOP Class UID (0008,0016).
    #[serde(skip)]
    pub sop_class: Option<String>,
    /// Presentation LUT Shape (2050,0020).
    pub presentation: Option<String>,
    /// Its tables.
    #[serde(skip)]
    pub lookup: Lookup,
}

/// Where a frame lies, and how its values are shown.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct FrameGeometry {
    /// Image Orientation (Patient) (0020,0037): direction of a row, then of a column.
    pub orientation: Option<[f64; 6]>,
    /// Image Position (Patient) (0020,0032), mm.
    pub position: Option<[f64; 3]>,
    /// Pixel Spacing (0028,0030) or Imager Pixel Spacing (0018,1164): of rows, of columns, mm.
    pub spacing: Option<[f64; 2]>,
    /// The spacing is that of the detector, not of the patient (PS3.3 10.7.1.1).
    pub at_detector: bool,
    /// Pixel Spacing was corrected for the patient: it differs from the detector's, or says how, by Pixel Spacing Calibration Type (0028,0A02).
    pub calibrated: bool,
    /// Rescale Slope (0028,1053).
    pub slope: Option<f64>,
    /// Rescale Intercept (0028,1052).
    pub intercept: Option<f64>,
    /// Rescale Type (0028,1054) of values that are rescaled; of a CT that names none HU, the only unit it may leave out (PS3.3 C.8.2.1).
    pub rescale_type: Option<String>,
    /// Window Center (0028,1050), the first.
    pub center: Option<f64>,
    /// Window Width (0028,1051), the first.
    pub width: Option<f64>,
    /// Diffusion b-value (0018,9087), or that of the maker, s/mm².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b_value: Option<f64>,
    /// VOI LUT Function (0028,1056): how the window makes greys (PS3.3 C.11.2.1.3).
    pub voi_function: Option<String>,
}

impl Geometry {
    /// Of an image whose bytes before the pixels are `head`, with or without preamble and meta group. Damage ends the reading: what was
    /// read until then is given.
    pub fn read(head: &[u8], encoding: Encoding) -> Self {
        let mut read = Self::default();
        let Some(syntax) = Syntax::of(encoding) else { return read };
        let data_set = head.get(meta_group(head).end..).unwrap_or_default();
        let mut cursor = Cursor::new(data_set, data_set.len() as u64);
        let mut walk = Walk {
            elements: 0,
            read: &mut read,
            in_frame: false,
            diffusion: Diffusion::default(),
            tables: Tables::default(),
            last: 0,
        };
        // The head of pixels without their value, or a damaged data set: shown as far as it goes.
        let is_damaged = walk.elements(&mut cursor, syntax, None, 0, true).is_err();
        let (is_cut, mut tables, last) = (walk.in_frame, walk.tables, walk.last);
        read.settle(is_cut);
        let is_ct = read
            .sop_class
            .as_deref()
            .and_then(|class| class.strip_prefix(CT))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        for frame in read.frames.iter_mut().flatten().chain([&mut read.frame]) {
            frame.name_unit(is_ct);
        }
        if is_damaged && last <= VOI_LUT {
            tables.give_up();
        }
        read.lookup = tables.told(read.values());
        read
    }

    /// What bears on its tables.
    fn values(&self) -> Values {
        let (slope, intercept) = (self.frame.slope.unwrap_or(1.0), self.frame.intercept.unwrap_or(0.0));
        let bits = f64::from(self.bits_stored.unwrap_or(16).min(32));
        let (least, most) = if self.signed {
            (-(bits - 1.0).exp2(), (bits - 1.0).exp2() - 1.0)
        } else {
            (0.0, bits.exp2() - 1.0)
        };
        Values {
            is_palette: self.photometric.as_deref() == Some("PALETTE COLOR"),
            signed: self.signed,
            below_zero: (least * slope).min(most * slope) + intercept < 0.0,
            is_angiogram: self.sop_class.as_deref().is_some_and(|class| class.starts_with(ANGIOGRAMS)),
        }
    }

    /// A frame has what its own item says, and else what is said of the whole image. `is_cut`: the last item could not be read to its end,
    /// so that it may be another frame's scale that it lacks.
    fn settle(&mut self, is_cut: bool) {
        let Some(frames) = &mut self.frames else { return };
        if is_cut {
            frames.pop();
        }
        for frame in frames.iter_mut() {
            frame.take_over(&self.frame);
        }
        if let Some(first) = frames.first() {
            self.frame = first.clone();
        }
        if !is_cut && frames.iter().all(|frame| *frame == self.frame) {
            self.frames = None;
        }
    }

    fn take(&mut self, tag: u32, vr: [u8; 2], value: &[u8], syntax: Syntax) {
        let word = || value.first_chunk().map(|bytes| syntax.u16(*bytes));
        match tag {
            0x0008_0016 => once(&mut self.sop_class, || ascii(value)),
            0x0008_2144 => once(&mut self.display_rate, || number(value)),
            0x0018_0040 => once(&mut self.cine_rate, || number(value)),
            0x0018_1063 => once(&mut self.frame_time, || number(value)),
            0x0020_0011 => once(&mut self.series_number, || text(value)?.parse().ok()),
            0x0020_0013 => once(&mut self.number, || text(value)?.parse().ok()),
            0x0020_0052 => once(&mut self.frame_of_reference, || ascii(value)),
            0x0028_0004 => once(&mut self.photometric, || ascii(value)),
            0x0028_0101 => once(&mut self.bits_stored, word),
            0x0028_0102 => once(&mut self.high_bit, word),
            0x0028_0103 => self.signed |= word() == Some(1),
            0x0028_0120 => {
                let signed = vr == *b"SS" || (vr != *b"US" && self.signed);
                let sign = |word: u16| if signed { word.cast_signed().into() } else { word.into() };
                once(&mut self.padding, || word().map(sign));
            }
            0x0028_2110 => self.lossy |= ascii(value).as_deref() == Some("01"),
            0x2050_0020 => once(&mut self.presentation, || ascii(value)),
            _ => self.frame.take(tag, value),
        }
    }
}

impl FrameGeometry {
    fn take(&mut self, tag: u32, value: &[u8]) {
        match tag {
            0x0018_1164 if self.spacing.is_none() => {
                self.spacing = numbers(value);
                self.at_detector = self.spacing.is_some();
            }
            0x0020_0032 => once(&mut self.position, || numbers(value)),
            0x0020_0037 => once(&mut self.orientation, || numbers(value)),
            0x0028_0030 if self.spacing.is_none() || self.at_detector => {
                if let Some(spacing) = numbers(value) {
                    // Equal to the detector's, it is not corrected for any magnification (PS3.3 10.7.1.1).
                    self.calibrated = self.at_detector && self.spacing != Some(spacing);
                    self.at_detector &= !self.calibrated;
                    self.spacing = Some(spacing);
                }
            }
            0x0028_0A02 if ascii(value).is_some() => (self.at_detector, self.calibrated) = (false, true),
            0x0028_1050 => once(&mut self.center, || number(value)),
            0x0028_1051 => once(&mut self.width, || number(value)),
            0x0028_1052 => once(&mut self.intercept, || number(value)),
            0x0028_1053 => once(&mut self.slope, || number(value)),
            0x0028_1054 => once(&mut self.rescale_type, || ascii(value)),
            0x0028_1056 => once(&mut self.voi_function, || ascii(value)),
            _ => {}
        }
    }

    /// Slope and intercept are both there where values are rescaled (PS3.3 C.11.1): a picture of a screen has neither.
    fn name_unit(&mut self, is_ct: bool) {
        let is_rescaled = self.slope.is_some() && self.intercept.is_some();
        self.rescale_type =
            self.rescale_type.take().or_else(|| is_ct.then(|| "HU".into())).filter(|_| is_rescaled);
    }

    /// What it does not say itself.
    fn take_over(&mut self, image: &Self) {
        if self.spacing.is_none() {
            (self.spacing, self.at_detector, self.calibrated) =
                (image.spacing, image.at_detector, image.calibrated);
        }
        once(&mut self.orientation, || image.orientation);
        once(&mut self.position, || image.position);
        once(&mut self.slope, || image.slope);
        once(&mut self.intercept, || image.intercept);
        once(&mut self.rescale_type, || image.rescale_type.clone());
        once(&mut self.center, || image.center);
        once(&mut self.width, || image.width);
        once(&mut self.b_value, || image.b_value);
        once(&mut self.voi_function, || image.voi_function.clone());
    }
}

/// In memory, nothing is read that is passed over.
impl Forward for &[u8] {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        io::Read::read_exact(self, buffer)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let at = usize::try_from(bytes).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        *self = self.get(at..).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(())
    }
}

struct Walk<'g> {
    elements: usize,
    read: &'g mut Geometry,
    /// What is read is of the last of the frames, not of the image.
    in_frame: bool,
    diffusion: Diffusion,
    tables: Tables,
    /// The element of the data set itself that is read.
    last: u32,
}

type Bytes<'b> = Cursor<&'b [u8]>;

/// Which items of a sequence say something of the image.
#[derive(Clone, Copy, PartialEq)]
enum Items {
    None,
    First,
    /// Each, of a frame of its own.
    Frames,
    /// The first, which is a table of this sequence.
    Table(u32),
}

impl Walk<'_> {
    /// Up to position `end`, or to the delimiter of an item. `wanted`: the values here are those of the image.
    fn elements(
        &mut self,
        cursor: &mut Bytes<'_>,
        syntax: Syntax,
        end: Option<u64>,
        depth: usize,
        wanted: bool,
    ) -> Result<(), ScanError> {
        while end.map_or(cursor.left() > 0, |end| cursor.position() < end) {
            let element = self.head(cursor, syntax)?;
            if let (Some(length), Some(end)) = (element.length, end)
                && length > end.saturating_sub(cursor.position())
            {
                return Err(cursor.damaged("an element passes the end of its item"));
            }
            if depth == 0 {
                self.last = element.tag;
            }
            if element.tag == ITEM_END || (depth == 0 && element.tag >= PIXEL_DATA) {
                return Ok(());
            }
            let of_groups = matches!(element.tag, SHARED_GROUPS | FRAME_GROUPS);
            let is_table = matches!(element.tag, MODALITY_LUT | VOI_LUT);
            let of_table = depth == 0 && is_table;
            if wanted && is_table && !of_table && element.length != Some(0) {
                // Of a frame, which the app cannot tell apart.
                self.tables.give_up();
            }
            // Inside the functional groups and tables every sequence says something of the image.
            let inside = wanted && (of_groups || of_table || depth > 0);
            match element.length {
                Some(length) if wanted && !inside => self.value(cursor, syntax, element, length)?,
                Some(length) if inside && !is_sequence(element, length) => {
                    self.value(cursor, syntax, element, length)?;
                }
                Some(length) if !inside => cursor.skip(length)?,
                length => {
                    let end = length.map(|length| cursor.position() + length);
                    let syntax = if element.is(b"UN") { Syntax::OF_UNKNOWN } else { syntax };
                    let items = match (inside, depth, element.tag) {
                        (false, ..) => Items::None,
                        (true, 0, FRAME_GROUPS) => Items::Frames,
                        (true, 0, MODALITY_LUT | VOI_LUT) => Items::Table(element.tag),
                        (true, ..) => Items::First,
                    };
                    self.in_frame |= items == Items::Frames;
                    self.items(cursor, syntax, end, depth + 1, items)?;
                    self.in_frame &= items != Items::Frames;
                    if of_table {
                        self.tables.leave();
                    }
                }
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        cursor: &mut Bytes<'_>,
        syntax: Syntax,
        end: Option<u64>,
        depth: usize,
        wanted: Items,
    ) -> Result<(), ScanError> {
        if depth > SEQUENCE_DEPTH_MAX {
            return Err(cursor.damaged("sequences too deep"));
        }
        let mut first = true;
        while end.is_none_or(|end| cursor.position() < end) {
            let item = self.head(cursor, syntax)?;
            match (item.tag, item.length) {
                (SEQUENCE_END, _) => return Ok(()),
                (ITEM, length) => {
                    let end = length.map(|length| cursor.position() + length);
                    let wanted_here = match wanted {
                        Items::Frames => true,
                        Items::First | Items::Table(_) => first,
                        Items::None => false,
                    };
                    if let (Items::Table(sequence), true) = (wanted, first) {
                        self.tables.enter(sequence, syntax);
                    }
                    if wanted == Items::Frames {
                        let frames = self.read.frames.get_or_insert_default();
                        frames.push(FrameGeometry::default());
                        if frames.len() > FRAMES_TOLD_MAX {
                            return Err(cursor.damaged("too many frames"));
                        }
                    }
                    match end {
                        Some(end) if !wanted_here => cursor.skip(end - cursor.position())?,
                        end => self.elements(cursor, syntax, end, depth, wanted_here)?,
                    }
                    first = false;
                }
                _ => return Err(cursor.damaged("neither item nor delimiter in a sequence")),
            }
        }
        Ok(())
    }

    fn head(&mut self, cursor: &mut Bytes<'_>, syntax: Syntax) -> Result<Element, ScanError> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(cursor.damaged("too many elements"));
        }
        Element::read(cursor, syntax)
    }

    fn value(
        &mut self,
        cursor: &mut Bytes<'_>,
        syntax: Syntax,
        Element { tag, vr, .. }: Element,
        length: u64,
    ) -> Result<(), ScanError> {
        let (mut buffer, mut entries) = ([0; VALUE_BYTES_MAX], Vec::new());
        let value = match self.tables.data_bytes_max(tag) {
            Some(bytes_max) if length <= bytes_max.min(cursor.left()) => {
                entries.resize(usize::try_from(length).unwrap_or_default(), 0);
                entries.as_mut_slice()
            }
            _ => match usize::try_from(length).ok().and_then(|length| buffer.get_mut(..length)) {
                Some(value) => value,
                None => return cursor.skip(length),
            },
        };
        cursor.read_into(value)?;
        let b_value = self.diffusion.take(tag, value, syntax);
        self.tables.take(tag, vr, value, syntax);
        match self.read.frames.as_mut().and_then(|frames| frames.last_mut()).filter(|_| self.in_frame) {
            Some(frame) => {
                frame.take(tag, value);
                once(&mut frame.b_value, || b_value);
            }
            None => {
                self.read.take(tag, vr, value, syntax);
                once(&mut self.read.frame.b_value, || b_value);
            }
        }
        Ok(())
    }
}

/// The groups that hold geometry (PS3.3 C.7.6.16.2): others are of defined length and are passed over as values.
fn is_sequence(element: Element, length: u64) -> bool {
    const HOLDERS: [u32; 11] = [
        0x0018_9117, // MR Diffusion
        0x0020_9113, // Plane Position
        0x0020_9116, // Plane Orientation
        0x0020_9111, // Frame Content
        0x0028_9110, // Pixel Measures
        0x0028_9132, // Frame VOI LUT
        0x0028_9145, // Pixel Value Transformation
        SHARED_GROUPS,
        FRAME_GROUPS,
        MODALITY_LUT,
        VOI_LUT,
    ];
    length > 0 && HOLDERS.contains(&element.tag)
}

/// The first that is there.
fn once<T>(field: &mut Option<T>, value: impl FnOnce() -> Option<T>) {
    if field.is_none() {
        *field = value();
    }
}

pub(super) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().map(|text| text.trim_matches([' ', '\0']))
}

fn ascii(value: &[u8]) -> Option<String> {
    text(value).filter(|text| !text.is_empty() && text.is_ascii()).map(str::to_owned)
}

/// The first of a value of several.
pub(super) fn number(value: &[u8]) -> Option<f64> {
    parsed(text(value)?.split('\\').next()?)
}

fn numbers<const N: usize>(value: &[u8]) -> Option<[f64; N]> {
    let numbers: Vec<f64> = text(value)?.split('\\').map(parsed).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn parsed(text: &str) -> Option<f64> {
    text.trim_matches(' ').parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::lookup::Table;
    use super::*;
    use proptest::prelude::*;

    fn element(tag: u32, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let [a, b, c, d] = tag.to_be_bytes();
        let mut bytes = vec![b, a, d, c];
        bytes.extend(vr);
        if matches!(vr, b"SQ" | b"OW") {
            bytes.extend([0, 0]);
            bytes.extend((value.len() as u32).to_le_bytes());
        } else {
            bytes.extend((value.len() as u16).to_le_bytes());
        }
        bytes.extend(value);
        bytes
    }

    fn sequence(tag: u32, items: &[Vec<u8>]) -> Vec<u8> {
        let item = |content: &Vec<u8>| {
            [&[0xFE, 0xFF, 0x00, 0xE0][..], &(content.len() as u32).to_le_bytes(), content].concat()
        };
        element(tag, b"SQ", &items.iter().flat_map(item).collect::<Vec<u8>>())
    }

    fn undefined(tag: u32, items: &[Vec<u8>]) -> Vec<u8> {
        let [a, b, c, d] = tag.to_be_bytes();
        let mut bytes = vec![b, a, d, c, b'S', b'Q', 0, 0, 255, 255, 255, 255];
        for item in items {
            bytes.extend([0xFE, 0xFF, 0x00, 0xE0, 255, 255, 255, 255]);
            bytes.extend(item);
            bytes.extend([0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0]);
        }
        bytes.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        bytes
    }

    fn slice() -> Vec<u8> {
        [
            undefined(0x0008_1140, &[element(0x0020_0032, b"DS", b"9\\9\\9 ")]),
            element(0x0008_2144, b"IS", b"12"),
            element(0x0018_0040, b"IS", b"25"),
            element(0x0018_1063, b"DS", b"40"),
            element(0x0018_1164, b"DS", b"0.2\\0.2 "),
            element(0x0018_9087, b"FD", &1000_f64.to_le_bytes()),
            element(0x0020_0011, b"IS", b"301 "),
            element(0x0020_0013, b"IS", b"17"),
            element(0x0020_0032, b"DS", b"-125.5\\-1e2\\ 40 "),
            element(0x0020_0037, b"DS", b"1\\0\\0\\0\\1\\0 "),
            element(0x0020_0052, b"UI", b"1.2.3.4\0"),
            element(0x0028_0004, b"CS", b"MONOCHROME2 "),
            element(0x0028_0030, b"DS", b"0.5\\0.75"),
            element(0x0028_0120, b"SS", &(-2000_i16).to_le_bytes()),
            element(0x0028_1050, b"DS", b"40\\400 "),
            element(0x0028_1051, b"DS", b"350\\2000"),
            element(0x0028_1052, b"DS", b"-1024 "),
            element(0x0028_1053, b"DS", b"1 "),
            element(0x0028_1054, b"LO", b"HU"),
            element(0x0028_2110, b"CS", b"01"),
            [0xE0, 0x7F, 0x10, 0x00, b'O', b'W', 0, 0, 0, 0, 8, 0].to_vec(),
        ]
        .concat()
    }

    #[test]
    fn a_slice_tells_where_it_lies_and_how_it_is_shown() {
        let read = Geometry::read(&slice(), Encoding::ExplicitLittle);
        let expected = Geometry {
            frame: FrameGeometry {
                orientation: Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
                position: Some([-125.5, -100.0, 40.0]),
                spacing: Some([0.5, 0.75]),
                at_detector: false,
                calibrated: true,
                slope: Some(1.0),
                intercept: Some(-1024.0),
                rescale_type: Some("HU".into()),
                center: Some(40.0),
                width: Some(350.0),
                b_value: Some(1000.0),
                voi_function: None,
            },
            frames: None,
            number: Some(17),
            padding: Some(-2000),
            photometric: Some("MONOCHROME2".into()),
            frame_time: Some(40.0),
            cine_rate: Some(25.0),
            display_rate: Some(12.0),
            series_number: Some(301),
            frame_of_reference: Some("1.2.3.4".into()),
            high_bit: None,
            lossy: true,
            bits_stored: None,
            signed: false,
            sop_class: None,
            presentation: None,
            lookup: Lookup::default(),
        };
        assert_eq!(read, expected, "a nested position is not the image's, the detector's spacing gives way");
    }

    #[test]
    fn hounsfield_units_are_those_of_a_rescaled_ct() {
        let image = |class: &[u8], rescale: &[u8]| {
            let of = [element(0x0008_0016, b"UI", class), element(0x0008_0060, b"CS", b"CT")].concat();
            Geometry::read(&[of, rescale.to_vec()].concat(), Encoding::ExplicitLittle).frame.rescale_type
        };
        let (intercept, slope) = (element(0x0028_1052, b"DS", b"-1024 "), element(0x0028_1053, b"DS", b"1 "));
        let both = [intercept.clone(), slope.clone()].concat();
        for class in [&b"1.2.840.10008.5.1.4.1.1.2\0"[..], b"1.2.840.10008.5.1.4.1.1.2.1\0"] {
            assert_eq!(image(class, &both).as_deref(), Some("HU"));
            for lacking in [&[][..], &intercept, &slope] {
                assert_eq!(image(class, lacking), None, "rescale was lost on the way");
            }
            assert_eq!(
                image(class, &[both.clone(), element(0x0028_1054, b"LO", b"MGML")].concat()).as_deref(),
                Some("MGML")
            );
        }
        for class in [&b"1.2.840.10008.5.1.4.1.1.7\0"[..], b"1.2.840.10008.5.1.4.1.1.20\0"] {
            assert_eq!(image(class, &both), None, "a secondary capture, another modality");
        }
        assert_eq!(
            image(b"", &element(0x0028_1054, b"LO", b"HU")),
            None,
            "a unit of values that are not rescaled"
        );
    }

    fn words(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn tables_are_those_of_the_image_and_a_cut_one_is_said() {
        let lut = |entries: &[u16]| {
            let descriptor = words(&[3, 0xFFFF, 16]);
            [element(0x0028_3002, b"SS", &descriptor), element(0x0028_3006, b"US", &words(entries))].concat()
        };
        let image = |photometric: &[u8], modality: &[u16]| {
            let mut image = [
                element(0x0028_0004, b"CS", photometric),
                element(0x0028_0102, b"US", &[9, 0]),
                element(0x0028_0103, b"US", &[1, 0]),
                element(0x0028_1056, b"CS", b"SIGMOID "),
            ]
            .concat();
            for colour in 0..3 {
                image.extend(element(0x0028_1101 + colour, b"US", &words(&[2, 0, 8])));
            }
            for colour in 0..3_u32 {
                image.extend(element(0x0028_1201 + colour, b"OW", &words(&[colour as u16, 200])));
            }
            image.extend(sequence(0x0028_3000, &[lut(modality), lut(&[9, 9, 9])]));
            image.extend(undefined(0x0028_3010, &[lut(&[1, 2, 3])]));
            image.extend(element(0x2050_0020, b"CS", b"INVERSE "));
            image
        };
        let table = |first, entries: [u16; 3]| Table { first, bits: 16, entries: entries.to_vec() };
        let read = Geometry::read(&image(b"MONOCHROME2 ", &[100, 50, 0]), Encoding::ExplicitLittle);
        assert_eq!(read.lookup.modality, Some(table(-1, [100, 50, 0])), "the first item counts");
        assert_eq!(read.lookup.voi, Some(table(-1, [1, 2, 3])), "what the VR says counts");
        assert_eq!((read.lookup.palette, read.lookup.is_unknown), (None, false));
        assert_eq!((read.high_bit, read.frame.voi_function.as_deref()), (Some(9), Some("SIGMOID")));
        assert_eq!(read.presentation.as_deref(), Some("INVERSE"));

        let read = Geometry::read(&image(b"PALETTE COLOR ", &[100, 50]), Encoding::ExplicitLittle);
        assert!(read.lookup.is_unknown && read.lookup.modality.is_none(), "an entry is missing");
        let [red, _, blue] = read.lookup.palette.unwrap();
        assert_eq!((red.entries, blue.entries, blue.bits), (vec![0, 200], vec![2, 200], 8));
    }

    #[test]
    fn what_may_be_a_table_and_cannot_be_read_hides_the_image() {
        let read = |head: &[Vec<u8>]| Geometry::read(&head.concat(), Encoding::ExplicitLittle).lookup;
        let descriptor = || element(0x0028_3002, b"US", &words(&[2, 0, 16]));
        let whole = [descriptor(), element(0x0028_3006, b"OW", &words(&[1, 2]))].concat();
        assert!(!read(&[sequence(VOI_LUT, std::slice::from_ref(&whole))]).is_unknown);
        assert!(read(&[sequence(VOI_LUT, &[Vec::new()])]).is_unknown, "an empty item");
        assert!(read(&[sequence(VOI_LUT, &[descriptor()])]).is_unknown, "no entries");
        assert!(
            read(&[sequence(VOI_LUT, &[whole[..whole.len() - 2].to_vec()])]).is_unknown,
            "longer than its item"
        );
        assert!(read(&[element(MODALITY_LUT, b"SQ", b"no items")]).is_unknown);
        let of_frame = sequence(0x0028_9132, &[sequence(VOI_LUT, &[whole])]);
        assert!(read(&[sequence(SHARED_GROUPS, &[of_frame])]).is_unknown, "of a frame");
        // Behind the tables damage hides none.
        assert!(!read(&[element(0x0040_0275, b"SQ", b"no items")]).is_unknown);
    }

    #[test]
    fn the_modality_table_of_an_angiogram_is_no_part_of_what_is_seen() {
        let lut =
            [element(0x0028_3002, b"US", &words(&[2, 0, 16])), element(0x0028_3006, b"OW", &words(&[1, 2]))]
                .concat();
        for (class, counts) in
            [("1.2.840.10008.5.1.4.1.1.12.1", false), ("1.2.840.10008.5.1.4.1.1.1.2", true)]
        {
            let head = [
                element(0x0008_0016, b"UI", class.as_bytes()),
                sequence(MODALITY_LUT, std::slice::from_ref(&lut)),
            ]
            .concat();
            assert_eq!(
                Geometry::read(&head, Encoding::ExplicitLittle).lookup.modality.is_some(),
                counts,
                "{class}"
            );
        }
    }

    #[test]
    fn a_palette_image_without_its_palette_is_said_and_an_empty_sequence_is_none() {
        let image =
            [element(0x0028_0004, b"CS", b"PALETTE COLOR "), element(0x0028_1101, b"US", &words(&[2, 0, 8]))]
                .concat();
        assert!(Geometry::read(&image, Encoding::ExplicitLittle).lookup.is_unknown);
        let palette = |green: [u16; 3]| {
            let descriptor = |colour: u32| if colour == 1 { green } else { [2, 0, 16] };
            let tables = (0..3_u32).flat_map(|colour| {
                [
                    element(0x0028_1101 + colour, b"US", &words(&descriptor(colour))),
                    element(0x0028_1201 + colour, b"OW", &words(&[0, 0x7F00])),
                ]
            });
            let photometric = element(0x0028_0004, b"CS", b"PALETTE COLOR ");
            let head: Vec<u8> = std::iter::once(photometric).chain(tables).flatten().collect();
            Geometry::read(&head, Encoding::ExplicitLittle).lookup
        };
        let bits = palette([2, 0, 8]).palette.unwrap().map(|table| table.bits);
        assert_eq!(bits, [16; 3], "of one range");
        assert!(palette([2, 1, 16]).is_unknown && palette([1, 0, 16]).is_unknown, "of one size");
        let image = [
            element(0x0028_0004, b"CS", b"MONOCHROME2 "),
            sequence(0x0028_3000, &[]),
            undefined(0x0028_3010, &[]),
        ]
        .concat();
        assert_eq!(Geometry::read(&image, Encoding::ExplicitLittle).lookup, Lookup::default());
    }

    #[test]
    fn a_spacing_equal_to_the_detectors_is_the_detectors() {
        let of = |spacing: &[u8]| {
            let head =
                [element(0x0018_1164, b"DS", b"0.2\\0.2 "), element(0x0028_0030, b"DS", spacing)].concat();
            let read = Geometry::read(&head, Encoding::ExplicitLittle).frame;
            (read.spacing, read.at_detector, read.calibrated)
        };
        assert_eq!(of(b"0.20\\.2 "), (Some([0.2, 0.2]), true, false));
        assert_eq!(of(b"0.15\\.15"), (Some([0.15, 0.15]), false, true));
        let head = [element(0x0028_0030, b"DS", b"0.2\\0.2 "), element(0x0028_0A02, b"CS", b"GEOMETRY")];
        let read =
            |parts: &[Vec<u8>]| Geometry::read(&parts.concat(), Encoding::ExplicitLittle).frame.calibrated;
        assert!(read(&head) && !read(&head[..1]), "as it says itself");
    }

    #[test]
    fn each_frame_has_what_is_shared_and_its_own() {
        let shared = [
            sequence(0x0028_9110, &[element(0x0028_0030, b"DS", b"1.5\\1.5 ")]),
            undefined(0x0020_9116, &[element(0x0020_0037, b"DS", b"0\\1\\0\\0\\0\\-1")]),
        ];
        let frame = |z: &[u8]| sequence(0x0020_9113, &[element(0x0020_0032, b"DS", z)]);
        // The second lies in another plane, and its values mean something else.
        let other = [
            frame(b"1\\2\\8 "),
            undefined(0x0020_9116, &[element(0x0020_0037, b"DS", b"1\\0\\0\\0\\1\\0 ")]),
            sequence(
                0x0028_9145,
                &[[element(0x0028_1052, b"DS", b"5 "), element(0x0028_1053, b"DS", b"2 ")].concat()],
            ),
        ];
        for wrap in [sequence, undefined] {
            let frames = [frame(b"1\\2\\3 "), other.concat(), frame(b"1\\2\\9 ")];
            let head = [wrap(SHARED_GROUPS, &[shared.concat()]), wrap(FRAME_GROUPS, &frames)].concat();
            let read = Geometry::read(&head, Encoding::ExplicitLittle);
            let lies = |z| FrameGeometry {
                orientation: Some([0.0, 1.0, 0.0, 0.0, 0.0, -1.0]),
                position: Some([1.0, 2.0, z]),
                spacing: Some([1.5, 1.5]),
                ..FrameGeometry::default()
            };
            let turned = FrameGeometry {
                orientation: Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
                slope: Some(2.0),
                intercept: Some(5.0),
                ..lies(8.0)
            };
            assert_eq!(read.frames, Some(vec![lies(3.0), turned, lies(9.0)]));
            assert_eq!(read.frame, lies(3.0), "the image is told by its first frame");
        }
    }

    #[test]
    fn b_values_are_read_from_each_frame_and_from_the_elements_of_makers() {
        let frame = |b: f64| sequence(0x0018_9117, &[element(0x0018_9087, b"FD", &b.to_le_bytes())]);
        let read =
            Geometry::read(&sequence(FRAME_GROUPS, &[frame(0.0), frame(800.0)]), Encoding::ExplicitLittle);
        let told: Vec<_> = read.frames.unwrap().iter().map(|frame| frame.b_value).collect();
        assert_eq!(told, [Some(0.0), Some(800.0)]);
        let of = |creator: (u32, &[u8]), own: (u32, &[u8; 2], &[u8])| {
            let head = [element(creator.0, b"LO", creator.1), element(own.0, own.1, own.2)].concat();
            Geometry::read(&head, Encoding::ExplicitLittle).frame.b_value
        };
        let siemens = (0x0019_0011, &b"SIEMENS MR HEADER "[..]);
        assert_eq!(of(siemens, (0x0019_110C, b"IS", b"1400")), Some(1400.0));
        assert_eq!(of(siemens, (0x0019_100C, b"IS", b"1400")), None, "of another block");
        assert_eq!(
            of((0x0019_0010, b"GEMS_ACQU_01"), (0x0019_100C, b"IS", b"1400")),
            None,
            "of another maker"
        );
        let ge = (0x0043_0010, &b"GEMS_PARM_01"[..]);
        assert_eq!(of(ge, (0x0043_1039, b"IS", b"1000000700\\8\\0\\0")), Some(700.0));
        assert_eq!(of(ge, (0x0043_1039, b"IS", b"700\\8\\0\\0 ")), Some(700.0));
        let philips = (0x2001_0010, &b"Philips Imaging DD 001"[..]);
        assert_eq!(of(philips, (0x2001_1003, b"FL", &1500_f32.to_le_bytes())), Some(1500.0));
        assert_eq!(of(philips, (0x2001_1003, b"FL", &f32::NAN.to_le_bytes())), None);
    }

    #[test]
    fn frames_that_are_alike_are_told_once() {
        let frame = || sequence(0x0020_9116, &[element(0x0020_0037, b"DS", b"1\\0\\0\\0\\1\\0 ")]);
        let head =
            [element(0x0028_0030, b"DS", b"2\\2 "), sequence(FRAME_GROUPS, &[frame(), frame()])].concat();
        let read = Geometry::read(&head, Encoding::ExplicitLittle);
        assert_eq!((read.frames, read.frame.spacing), (None, Some([2.0, 2.0])));
        assert!(read.frame.orientation.is_some());
    }

    #[test]
    fn of_an_item_that_is_cut_and_of_what_lies_behind_it_nothing_is_told() {
        let frame = |slope: &[u8]| {
            let place = sequence(0x0020_9113, &[element(0x0020_0032, b"DS", b"1\\2\\3 ")]);
            [place, sequence(0x0028_9145, &[element(0x0028_1053, b"DS", slope)])].concat()
        };
        let head = sequence(FRAME_GROUPS, &[frame(b"1 "), frame(b"1 "), frame(b"4 ")]);
        let last = head.len() - frame(b"4 ").len();
        for cut in 0..=head.len() {
            let read = Geometry::read(&head[..cut], Encoding::ExplicitLittle);
            let told = read.frames.unwrap_or_default();
            assert!(
                told.iter().all(|frame| frame.position.is_some() && frame.slope.is_some()),
                "{cut}: {told:?}"
            );
            assert!(cut < last || cut == head.len() || told.len() == 2, "{cut}: {told:?}");
        }
    }

    #[test]
    fn what_is_cut_gives_what_was_read_until_then() {
        let whole = slice();
        for length in 0..whole.len() {
            let read = Geometry::read(&whole[..length], Encoding::ExplicitLittle);
            assert!(read.number.is_none() || read.number == Some(17));
        }
        assert_eq!(Geometry::read(&whole, Encoding::Deflated), Geometry::default());
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), implicit: bool) {
            let encoding = if implicit { Encoding::ImplicitLittle } else { Encoding::ExplicitLittle };
            let _ = Geometry::read(&bytes, encoding);
            let in_groups = undefined(0x5200_9230, &[bytes]);
            let _ = Geometry::read(&in_groups, encoding);
        }
    }
}
