//! The synthetic study: a CT of a cylinder with inserts, the same each time but for its UIDs and its time. It names no patient. `bench` sends it too, in
//! other sizes.

use compressor::bundle::Note;
use compressor::{Phi, Uid};
use dimse::elements::push;
use jiff::civil::DateTime;
use notifier::Language;

/// Images of the study.
pub const SLICES: u32 = 5;
/// Rows and columns of the test's images; radii below are of that size.
const SIZE: u16 = 256;
/// Between the middles of two pixels, in millimetres.
const SPACING: &str = "1";
const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
/// Hounsfield units of air, of water, and of the inserts around the middle.
const AIR: i16 = -1000;
const WATER: i16 = 0;
const INSERTS: [i16; 8] = [-500, -100, -20, 20, 60, 120, 400, 1000];
/// Radii in pixels: of the cylinder, of the circle on which the inserts stand, of an insert.
const CYLINDER: i32 = 110;
const CIRCLE: f64 = 70.0;
const INSERT: i32 = 18;

/// An image of the synthetic study, as a data set in Implicit VR Little Endian.
pub struct Slice {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// The data set.
    pub data_set: Vec<u8>,
}

/// All images. The same study and time give the same bytes; each image has values of its own.
pub fn phantom(study: &Uid, at: DateTime) -> Vec<Slice> {
    (1..=SLICES).filter_map(|number| slice(study, number, at, SIZE, &values(number, SIZE))).collect()
}

/// What the doctor is told with the study, in the language of the doctor's notices.
pub fn note(language: Language) -> Option<Note> {
    Note::new(Phi::new(
        match language {
            Language::English => "Test, no patient. To have opened it is all that is asked for.",
            Language::Japanese => "試験です（患者ではありません）。開いていただくだけで完了です。",
        }
        .to_owned(),
    ))
}

/// One image of so many rows and columns, with these values. None where the study's UID leaves no room for those below it.
pub fn slice(study: &Uid, number: u32, at: DateTime, size: u16, values: &[i16]) -> Option<Slice> {
    let (date, clock) = (at.strftime("%Y%m%d").to_string(), at.strftime("%H%M%S").to_string());
    let series = format!("{}.1", study.as_str());
    let instance = format!("{series}.{number}");
    let mut bytes = Vec::new();
    let mut uid = |tag, value: &str| push(&mut bytes, tag, value.as_bytes(), 0);
    uid(0x0008_0016, CT_IMAGE_STORAGE);
    uid(0x0008_0018, &instance);
    let mut text = |tag, value: &str| push(&mut bytes, tag, value.as_bytes(), b' ');
    text(0x0008_0020, &date);
    text(0x0008_0021, &date);
    text(0x0008_0023, &date);
    text(0x0008_0030, &clock);
    text(0x0008_0031, &clock);
    text(0x0008_0033, &clock);
    text(0x0008_0050, "");
    text(0x0008_0060, "CT");
    text(0x0008_0070, "Scanpost");
    text(0x0008_0090, "");
    text(0x0008_1030, "TEST, NO PATIENT");
    text(0x0008_103E, "SYNTHETIC PHANTOM");
    text(0x0010_0010, "Scanpost^Test");
    text(0x0010_0020, "TEST");
    text(0x0010_0030, "");
    text(0x0010_0040, "O");
    text(0x0018_0050, "5");
    text(0x0018_5100, "HFS");
    let mut uid = |tag, value: &str| push(&mut bytes, tag, value.as_bytes(), 0);
    uid(0x0020_000D, study.as_str());
    uid(0x0020_000E, &series);
    let mut text = |tag, value: &str| push(&mut bytes, tag, value.as_bytes(), b' ');
    text(0x0020_0010, "TEST");
    text(0x0020_0011, "1");
    text(0x0020_0013, &number.to_string());
    text(0x0020_0032, &format!("0\\0\\{}", number * 5));
    text(0x0020_0037, "1\\0\\0\\0\\1\\0");
    push(&mut bytes, 0x0020_0052, format!("{}.2", study.as_str()).as_bytes(), 0);
    pixels(&mut bytes, size, values);
    Some(Slice {
        sop_class: Uid::parse(CT_IMAGE_STORAGE).ok()?,
        sop_instance: Uid::parse(&instance).ok()?,
        data_set: bytes,
    })
}

/// Image pixel and CT image attributes (PS3.3 C.7.6.3, C.8.2.1).
fn pixels(bytes: &mut Vec<u8>, size: u16, values: &[i16]) {
    let number_of = |value: u16| value.to_le_bytes();
    push(bytes, 0x0028_0002, &number_of(1), 0);
    push(bytes, 0x0028_0004, b"MONOCHROME2", b' ');
    push(bytes, 0x0028_0010, &number_of(size), 0);
    push(bytes, 0x0028_0011, &number_of(size), 0);
    push(bytes, 0x0028_0030, format!("{SPACING}\\{SPACING}").as_bytes(), b' ');
    push(bytes, 0x0028_0100, &number_of(16), 0);
    push(bytes, 0x0028_0101, &number_of(16), 0);
    push(bytes, 0x0028_0102, &number_of(15), 0);
    push(bytes, 0x0028_0103, &number_of(1), 0);
    push(bytes, 0x0028_1050, b"40", b' ');
    push(bytes, 0x0028_1051, b"400", b' ');
    push(bytes, 0x0028_1052, b"0", b' ');
    push(bytes, 0x0028_1053, b"1", b' ');
    push(bytes, 0x7FE0_0010, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>(), 0);
}

/// Hounsfield units row by row. The inserts go round by one with each image, and water is denser by its number.
pub fn values(number: u32, size: u16) -> Vec<i16> {
    let inserts = inserts(number, size);
    let (radius, insert) = (scaled(CYLINDER, size), scaled(INSERT, size));
    let water = WATER + i16::try_from(number).unwrap_or(0);
    let value = |x: i32, y: i32| {
        if x * x + y * y > radius * radius {
            return AIR;
        }
        let within = |&&(at_x, at_y, _): &&(i32, i32, i16)| {
            let (dx, dy) = (x - at_x, y - at_y);
            dx * dx + dy * dy <= insert * insert
        };
        inserts.iter().find(within).map_or(water, |(_, _, units)| *units)
    };
    let size = i32::from(size);
    (0..size)
        .flat_map(|y| (0..size).map(move |x| (x - size / 2, y - size / 2)))
        .map(|(x, y)| value(x, y))
        .collect()
}

/// Where each insert stands, from the middle in pixels, and its Hounsfield units.
fn inserts(number: u32, size: u16) -> [(i32, i32, i16); 8] {
    let circle = CIRCLE * f64::from(size) / f64::from(SIZE);
    let turn = usize::try_from(number).unwrap_or(0) % INSERTS.len();
    let mut placed = [(0, 0, 0); 8];
    let turned = INSERTS.iter().cycle().skip(turn).zip(0_u8..);
    for (one, (units, place)) in placed.iter_mut().zip(turned) {
        let angle = f64::from(place) * std::f64::consts::FRAC_PI_4;
        #[expect(clippy::cast_possible_truncation, reason = "a place within the image")]
        let (x, y) = ((circle * angle.cos()).round() as i32, (circle * angle.sin()).round() as i32);
        *one = (x, y, *units);
    }
    placed
}

fn scaled(pixels: i32, size: u16) -> i32 {
    pixels * i32::from(size) / i32::from(SIZE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use compressor::Purpose;
    use compressor::dataset::{Encoding, outline};

    fn study() -> (Uid, DateTime) {
        (Uid::parse("2.25.7").unwrap(), "2026-11-29T08:00:00".parse().unwrap())
    }

    #[test]
    fn it_is_a_study_of_no_patient_and_each_image_is_its_own() {
        let (study, at) = study();
        let slices = phantom(&study, at);
        assert_eq!(slices.len(), SLICES as usize);
        for (slice, number) in slices.iter().zip(1..) {
            let bytes = slice.data_set.len() as u64;
            let encoding = Encoding::of_transfer_syntax(&Uid::parse("1.2.840.10008.1.2").unwrap());
            let read = outline(&mut std::io::Cursor::new(&slice.data_set), bytes, encoding).unwrap();
            assert_eq!((read.study, read.instance_number), (Some(study.clone()), Some(number)));
            assert_eq!(read.modality.as_deref(), Some("CT"));
            assert_eq!(read.banner.name.alphabetic.expose_for(Purpose::Compare), "Scanpost^Test");
        }
        let pixels =
            |slice: &Slice| slice.data_set.get(slice.data_set.len() - 2 * 65_536..).map(<[u8]>::to_vec);
        let mut distinct: Vec<_> = slices.iter().map(pixels).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), SLICES as usize);
        let again = phantom(&study, at);
        assert!(
            slices.iter().zip(&again).all(|(one, other)| one.data_set == other.data_set),
            "a second try is the same"
        );
    }
}
