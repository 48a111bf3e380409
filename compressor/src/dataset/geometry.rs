//! Where an image lies in the patient and how its values are shown, from its header bytes: what a viewer needs and a manifest does not
//! tell. Texts in other character sets than ASCII are not among it.

use super::cursor::{Cursor, Forward};
use super::diffusion::Diffusion;
use super::element::{Element, ITEM, ITEM_END, SEQUENCE_END, Syntax};
use super::{Encoding, ScanError, meta_group};
use crate::limits::{ELEMENTS_MAX, FRAMES_TOLD_MAX, SEQUENCE_DEPTH_MAX};
use std::io;

/// Longest value read: orientation has six numbers of 16 characters.
const VALUE_BYTES_MAX: usize = 128;
/// Shared Functional Groups Sequence (PS3.3 C.7.6.16).
const SHARED_GROUPS: u32 = 0x5200_9229;
/// Per-Frame Functional Groups Sequence: an item for each frame, in their order.
const FRAME_GROUPS: u32 = 0x5200_9230;
/// Pixel Data, behind which nothing of this is.
const PIXEL_DATA: u32 = 0x7FE0_0010;

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
    pub padding: Option<u16>,
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
    /// The spacing is that of the detector, not of the patient (PS3.3 10.7.1.3).
    pub at_detector: bool,
    /// Rescale Slope (0028,1053).
    pub slope: Option<f64>,
    /// Rescale Intercept (0028,1052).
    pub intercept: Option<f64>,
    /// Rescale Type (0028,1054).
    pub rescale_type: Option<String>,
    /// Window Center (0028,1050), the first.
    pub center: Option<f64>,
    /// Window Width (0028,1051), the first.
    pub width: Option<f64>,
    /// Diffusion b-value (0018,9087), or that of the maker, s/mm².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b_value: Option<f64>,
}

impl Geometry {
    /// Of an image whose bytes before the pixels are `head`, with or without preamble and meta group. Damage ends the reading: what was
    /// read until then is given.
    pub fn read(head: &[u8], encoding: Encoding) -> Self {
        let mut read = Self::default();
        let Some(syntax) = Syntax::of(encoding) else { return read };
        let data_set = head.get(meta_group(head).end..).unwrap_or_default();
        let mut cursor = Cursor::new(data_set, data_set.len() as u64);
        let mut walk =
            Walk { elements: 0, read: &mut read, in_frame: false, diffusion: Diffusion::default() };
        // The head of pixels without their value, or a damaged data set: shown as far as it goes.
        let _ = walk.elements(&mut cursor, syntax, None, 0, true);
        let is_cut = walk.in_frame;
        read.settle(is_cut);
        read
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

    fn take(&mut self, tag: u32, value: &[u8], syntax: Syntax) {
        match tag {
            0x0008_2144 => once(&mut self.display_rate, || number(value)),
            0x0018_0040 => once(&mut self.cine_rate, || number(value)),
            0x0018_1063 => once(&mut self.frame_time, || number(value)),
            0x0020_0011 => once(&mut self.series_number, || text(value)?.parse().ok()),
            0x0020_0013 => once(&mut self.number, || text(value)?.parse().ok()),
            0x0020_0052 => once(&mut self.frame_of_reference, || ascii(value)),
            0x0028_0004 => once(&mut self.photometric, || ascii(value)),
            0x0028_0120 => once(&mut self.padding, || value.first_chunk().map(|bytes| syntax.u16(*bytes))),
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
                    // Equal to the detector's, it is not corrected for any magnification (PS3.3 10.7.1.3).
                    self.at_detector &= self.spacing == Some(spacing);
                    self.spacing = Some(spacing);
                }
            }
            0x0028_1050 => once(&mut self.center, || number(value)),
            0x0028_1051 => once(&mut self.width, || number(value)),
            0x0028_1052 => once(&mut self.intercept, || number(value)),
            0x0028_1053 => once(&mut self.slope, || number(value)),
            0x0028_1054 => once(&mut self.rescale_type, || ascii(value)),
            _ => {}
        }
    }

    /// What it does not say itself.
    fn take_over(&mut self, image: &Self) {
        if self.spacing.is_none() {
            (self.spacing, self.at_detector) = (image.spacing, image.at_detector);
        }
        once(&mut self.orientation, || image.orientation);
        once(&mut self.position, || image.position);
        once(&mut self.slope, || image.slope);
        once(&mut self.intercept, || image.intercept);
        once(&mut self.rescale_type, || image.rescale_type.clone());
        once(&mut self.center, || image.center);
        once(&mut self.width, || image.width);
        once(&mut self.b_value, || image.b_value);
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
}

type Bytes<'b> = Cursor<&'b [u8]>;

/// Which items of a sequence say something of the image.
#[derive(Clone, Copy, PartialEq)]
enum Items {
    None,
    First,
    /// Each, of a frame of its own.
    Frames,
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
            if element.tag == ITEM_END || (depth == 0 && element.tag >= PIXEL_DATA) {
                return Ok(());
            }
            let of_groups = matches!(element.tag, SHARED_GROUPS | FRAME_GROUPS);
            // Inside the functional groups every sequence says something of the image.
            let inside = wanted && (of_groups || depth > 0);
            match element.length {
                Some(length) if wanted && length <= VALUE_BYTES_MAX as u64 && !inside => {
                    self.value(cursor, syntax, element.tag, length)?;
                }
                Some(length) if inside && !is_sequence(element, length) => {
                    self.value(cursor, syntax, element.tag, length)?;
                }
                Some(length) if !inside => cursor.skip(length)?,
                length => {
                    let end = length.map(|length| cursor.position() + length);
                    let syntax = if element.unknown { Syntax::OF_UNKNOWN } else { syntax };
                    let items = match (inside, depth, element.tag) {
                        (false, ..) => Items::None,
                        (true, 0, FRAME_GROUPS) => Items::Frames,
                        (true, ..) => Items::First,
                    };
                    self.in_frame |= items == Items::Frames;
                    self.items(cursor, syntax, end, depth + 1, items)?;
                    self.in_frame &= items != Items::Frames;
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
                    let wanted_here = wanted == Items::Frames || (wanted == Items::First && first);
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
        tag: u32,
        length: u64,
    ) -> Result<(), ScanError> {
        let mut buffer = [0; VALUE_BYTES_MAX];
        let Some(value) = usize::try_from(length).ok().and_then(|length| buffer.get_mut(..length)) else {
            return cursor.skip(length);
        };
        cursor.read_into(value)?;
        let b_value = self.diffusion.take(tag, value, syntax);
        match self.read.frames.as_mut().and_then(|frames| frames.last_mut()).filter(|_| self.in_frame) {
            Some(frame) => {
                frame.take(tag, value);
                once(&mut frame.b_value, || b_value);
            }
            None => {
                self.read.take(tag, value, syntax);
                once(&mut self.read.frame.b_value, || b_value);
            }
        }
        Ok(())
    }
}

/// The groups that hold geometry (PS3.3 C.7.6.16.2): others are of defined length and are passed over as values.
fn is_sequence(element: Element, length: u64) -> bool {
    const HOLDERS: [u32; 9] = [
        0x0018_9117, // MR Diffusion
        0x0020_9113, // Plane Position
        0x0020_9116, // Plane Orientation
        0x0020_9111, // Frame Content
        0x0028_9110, // Pixel Measures
        0x0028_9132, // Frame VOI LUT
        0x0028_9145, // Pixel Value Transformation
        SHARED_GROUPS,
        FRAME_GROUPS,
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
    use super::*;
    use proptest::prelude::*;

    fn element(tag: u32, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let [a, b, c, d] = tag.to_be_bytes();
        let mut bytes = vec![b, a, d, c];
        bytes.extend(vr);
        if vr == b"SQ" {
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
                slope: Some(1.0),
                intercept: Some(-1024.0),
                rescale_type: Some("HU".into()),
                center: Some(40.0),
                width: Some(350.0),
                b_value: Some(1000.0),
            },
            frames: None,
            number: Some(17),
            padding: Some(63_536),
            photometric: Some("MONOCHROME2".into()),
            frame_time: Some(40.0),
            cine_rate: Some(25.0),
            display_rate: Some(12.0),
            series_number: Some(301),
            frame_of_reference: Some("1.2.3.4".into()),
        };
        assert_eq!(read, expected, "a nested position is not the image's, the detector's spacing gives way");
    }

    #[test]
    fn a_spacing_equal_to_the_detectors_is_the_detectors() {
        let of = |spacing: &[u8]| {
            let head =
                [element(0x0018_1164, b"DS", b"0.2\\0.2 "), element(0x0028_0030, b"DS", spacing)].concat();
            let read = Geometry::read(&head, Encoding::ExplicitLittle).frame;
            (read.spacing, read.at_detector)
        };
        assert_eq!(of(b"0.20\\.2 "), (Some([0.2, 0.2]), true));
        assert_eq!(of(b"0.15\\.15"), (Some([0.15, 0.15]), false));
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
