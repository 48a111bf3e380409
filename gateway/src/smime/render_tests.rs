//! Files as they come, and as nobody should send them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::FileMetaTableBuilder;

const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
const SIDE: u16 = 32;
const PIXELS: usize = SIDE as usize * SIDE as usize;

struct Made {
    photometric: &'static str,
    bits: u16,
    samples: u16,
    planar: u16,
    window: Option<(&'static str, &'static str)>,
    frames: Option<&'static str>,
    pixels: Vec<u8>,
}

impl Default for Made {
    fn default() -> Self {
        let pixels = (0..PIXELS as u16).flat_map(u16::to_le_bytes).collect();
        Self {
            photometric: "MONOCHROME2",
            bits: 16,
            samples: 1,
            planar: 0,
            window: None,
            frames: None,
            pixels,
        }
    }
}

impl Made {
    fn file(self) -> Vec<u8> {
        let mut object = InMemDicomObject::new_empty();
        for (element, number) in [
            (0x0002, self.samples),
            (0x0006, self.planar),
            (0x0010, SIDE),
            (0x0011, SIDE),
            (0x0100, self.bits),
            (0x0101, self.bits),
            (0x0102, self.bits - 1),
            (0x0103, 0),
        ] {
            object.put(DataElement::new(Tag(0x0028, element), VR::US, PrimitiveValue::from(number)));
        }
        let mut text =
            |tag, vr, text: &str| object.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, self.photometric);
        text(tags::RESCALE_INTERCEPT, VR::DS, "-1024");
        text(tags::RESCALE_SLOPE, VR::DS, "1");
        if let Some((center, width)) = self.window {
            text(tags::WINDOW_CENTER, VR::DS, center);
            text(tags::WINDOW_WIDTH, VR::DS, width);
        }
        if let Some(frames) = self.frames {
            text(tags::NUMBER_OF_FRAMES, VR::IS, frames);
        }
        let vr = if self.bits == 8 { VR::OB } else { VR::OW };
        object.put(DataElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::from(self.pixels)));
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(EXPLICIT_LITTLE)
            .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.7")
            .media_storage_sop_instance_uid("1.2.3");
        let mut file = Vec::new();
        object.with_meta(meta).unwrap().write_all(&mut file).unwrap();
        file
    }

    fn decoded(self) -> Vec<u8> {
        let object: FileDicomObject<InMemDicomObject> =
            dicom_object::from_reader(Cursor::new(self.file())).unwrap();
        let decoded = object.decode_pixel_data_frame(middle(&object)).unwrap();
        if decoded.samples_per_pixel() == 3 { by_pixel(&decoded).unwrap() } else { grey(&decoded).unwrap() }
    }
}

#[test]
fn a_window_is_that_of_the_standard() {
    // Stored 0 to 1023 means -1024 to -1: the window's middle is at stored 512.
    let greys = Made { window: Some(("-512", "257")), ..Made::default() }.decoded();
    assert_eq!((greys[0], greys[1023]), (0, 255));
    // PS3.3 C.11.2.1.2.1: ((-512 - (-512 - 0.5)) / 256 + 0.5) * 255 = 128.0
    assert_eq!(greys[512], 128);
    // Of 256 values inside the window the lowest is 0.498 and the highest 254.502: they round to black and white.
    assert_eq!(greys.iter().filter(|grey| **grey > 0 && **grey < 255).count(), 254);
}

#[test]
fn several_windows_stand_for_the_first() {
    let one = Made { window: Some(("-512", "257")), ..Made::default() }.decoded();
    let several = Made { window: Some(("-512\\40", "257\\400")), ..Made::default() }.decoded();
    assert_eq!(one, several);
}

#[test]
fn without_a_window_nearly_all_values_are_told_apart_whatever_lies_outside() {
    let mut made = Made::default();
    made.pixels[..2].copy_from_slice(&u16::MAX.to_le_bytes());
    let greys = made.decoded();
    assert_eq!(greys[0], 255);
    assert!(greys[900] - greys[100] > 190, "{} {}", greys[900], greys[100]);
}

#[test]
fn pictures_are_made_of_grey_inverted_grey_and_color() {
    assert!(is_jpeg(&render(Made::default().file(), None).unwrap()));
    assert!(is_jpeg(&render(Made { photometric: "MONOCHROME1", ..Made::default() }.file(), None).unwrap()));
    let rgb: Vec<u8> = (0..PIXELS).flat_map(|_| [200, 100, 50]).collect();
    let color =
        |planar, pixels| Made { photometric: "RGB", bits: 8, samples: 3, planar, pixels, ..Made::default() };
    assert!(is_jpeg(&render(color(0, rgb.clone()).file(), None).unwrap()));
    let planes = [vec![200; PIXELS], vec![100; PIXELS], vec![50; PIXELS]].concat();
    assert_eq!(color(1, planes).decoded(), rgb);
}

#[test]
fn the_middle_frame_is_shown() {
    let frame = |value: u8| vec![value; PIXELS];
    let made = Made {
        photometric: "RGB",
        bits: 8,
        samples: 3,
        frames: Some("3"),
        pixels: [frame(1), frame(1), frame(1), frame(2), frame(2), frame(2), frame(3), frame(3), frame(3)]
            .concat(),
        ..Made::default()
    };
    assert_eq!(made.decoded()[0], 2);
}

#[test]
fn what_is_no_image_has_no_picture() {
    assert_eq!(render(Vec::new(), None), None);
    assert_eq!(render(b"not DICOM at all".to_vec(), None), None);
    let file = Made::default().file();
    assert_eq!(render(file[..file.len() / 2].to_vec(), None), None);
    assert_eq!(render(Made { photometric: "PALETTE COLOR", ..Made::default() }.file(), None), None);
}

fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xD8]) && bytes.ends_with(&[0xFF, 0xD9])
}

#[test]
fn a_little_picture_is_the_mean_of_squares() {
    let samples: Vec<u8> = (0..64_u8).map(|place| place / 8 * 10 + place % 8).collect();
    let (small, width, height) = shrunk(&samples, 8, 8, 4).unwrap();
    assert_eq!((small.len(), width, height), (16, 4, 4));
    assert_eq!(&small[..5], [5, 7, 9, 11, 25], "(0 + 1 + 10 + 11) / 4 is 5");
    let wide: Vec<u8> = vec![9; 300 * 2 * 3];
    let (small, width, height) = shrunk(&wide, 300, 2, 128).unwrap();
    assert_eq!(
        (small, width, height),
        (vec![9; 300], 100, 1),
        "of three samples a pixel, and never without a row"
    );
    assert_eq!(shrunk(&samples, 8, 8, 128).unwrap(), (samples.clone(), 8, 8));
    assert_eq!(shrunk(&samples[..10], 8, 8, 4), None);
    assert_eq!(shrunk(&[], 0, 0, 4), None);
}
