//! The DICOMDIR of a file-set (PS3.3 F, PS3.10 8.6): patient, study, series, image, each naming the next of its kind and the first below it by
//! its byte in the file. Texts are UTF-8, whatever the images are written in.

use super::archive::{FOLDER, name};
use super::survey::{Image, Series, Survey, front};
use compressor::dataset::Banner;
use compressor::{Phi, Purpose, Uid};
use std::io;

/// Media Storage Directory Storage (PS3.4 I.4).
const DIRECTORY_CLASS: &str = "1.2.840.10008.1.3.10";
/// The directory itself is always Explicit VR Little Endian (PS3.10 8.6).
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
/// UTF-8 (PS3.3 C.12.1.1.2).
const UTF8: &str = "ISO_IR 192";
/// Record In-use Flag (PS3.3 F.3.2.2).
const IN_USE: u16 = 0xFFFF;
/// A number for what has none; the key must be there (PS3.3 F.5.3).
const NO_NUMBER: i32 = 0;
/// A Study ID for what has none (PS3.3 F.5.2).
const NO_STUDY_ID: &str = "1";
/// Item of a sequence (PS3.5 7.5).
const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
/// Tag and length of an item.
const ITEM_HEAD_BYTES: u32 = 8;
/// Bytes of the elements before the first record: File-set ID, both offsets, consistency flag, head of the sequence.
const SET_ID: &[u8] = b"SCANPOST";
const HEAD_BYTES: u32 = (8 + SET_ID.len() as u32) + 12 + 12 + 10 + 12;

/// A record with those below it.
struct Record {
    elements: Vec<u8>,
    kind: &'static str,
    below: Vec<Record>,
    bytes: u32,
}

/// The whole file. `file_set` is its own UID.
///
/// # Errors
/// UIDs that no file can carry; more than 4 GiB.
pub(super) fn of(survey: &Survey, file_set: &str) -> io::Result<Vec<u8>> {
    let records = patients(survey);
    let mut file = front(DIRECTORY_CLASS, file_set, EXPLICIT_LITTLE)?;
    let first = offset(file.len())? + HEAD_BYTES;
    let length: u32 = records.iter().map(Record::bytes_with_all_below).sum();
    let last = records
        .split_last()
        .map_or(first, |(_, before)| first + before.iter().map(Record::bytes_with_all_below).sum::<u32>());
    let some = |offset| if records.is_empty() { 0 } else { offset };
    put(&mut file, 0x0004_1130, *b"CS", SET_ID);
    put(&mut file, 0x0004_1200, *b"UL", &some(first).to_le_bytes());
    put(&mut file, 0x0004_1202, *b"UL", &some(last).to_le_bytes());
    put(&mut file, 0x0004_1212, *b"US", &0_u16.to_le_bytes());
    put_sequence(&mut file, 0x0004_1220, length);
    write(&records, first, &mut file);
    Ok(file)
}

/// Writes siblings one behind the other, each followed by all below it; `at` is where the first begins.
fn write(records: &[Record], mut at: u32, file: &mut Vec<u8>) {
    let mut left = records.len();
    for record in records {
        left -= 1;
        let next = if left == 0 { 0 } else { at + record.bytes_with_all_below() };
        let below = at + record.bytes;
        let lower = if record.below.is_empty() { 0 } else { below };
        file.extend_from_slice(&ITEM);
        file.extend_from_slice(&(record.bytes - ITEM_HEAD_BYTES).to_le_bytes());
        put(file, 0x0004_1400, *b"UL", &next.to_le_bytes());
        put(file, 0x0004_1410, *b"US", &IN_USE.to_le_bytes());
        put(file, 0x0004_1420, *b"UL", &lower.to_le_bytes());
        put(file, 0x0004_1430, *b"CS", record.kind.as_bytes());
        file.extend_from_slice(&record.elements);
        write(&record.below, below, file);
        at += record.bytes_with_all_below();
    }
}

impl Record {
    fn new(kind: &'static str, elements: Vec<u8>, below: Vec<Record>) -> Self {
        let linked = 12 + 10 + 12 + 8 + even(kind.len());
        let bytes = ITEM_HEAD_BYTES + linked as u32 + elements.len() as u32;
        Self { elements, kind, below, bytes }
    }

    fn bytes_with_all_below(&self) -> u32 {
        self.bytes + self.below.iter().map(Self::bytes_with_all_below).sum::<u32>()
    }
}

fn patients(survey: &Survey) -> Vec<Record> {
    let images: Vec<(usize, &Series)> = survey
        .series
        .iter()
        .scan(1, |number, series| {
            let first = *number;
            *number += series.images.len();
            Some((first, series))
        })
        .collect();
    grouped(images, |a, b| banner(a).is_some_and(|one| banner(b).is_some_and(|two| one.is_same_patient(two))))
        .into_iter()
        .map(|series| {
            let elements = series.first().and_then(|(_, series)| banner(series)).map(patient);
            Record::new("PATIENT", elements.unwrap_or_default(), studies(series))
        })
        .collect()
}

fn studies(series: Vec<(usize, &Series)>) -> Vec<Record> {
    let study = |series: &Series| series.first().and_then(|image| image.outline.study.clone());
    grouped(series, |a, b| study(a) == study(b))
        .into_iter()
        .map(|series| {
            let first = series.first().and_then(|(_, series)| series.first());
            let below = series.iter().map(|(number, series)| one_series(*number, series)).collect();
            Record::new("STUDY", first.map(one_study).unwrap_or_default(), below)
        })
        .collect()
}

/// Series that belong together, in their order.
fn grouped(
    series: Vec<(usize, &Series)>,
    together: impl Fn(&Series, &Series) -> bool,
) -> Vec<Vec<(usize, &Series)>> {
    let mut groups: Vec<Vec<(usize, &Series)>> = Vec::new();
    for one in series {
        let same = |group: &&mut Vec<(usize, &Series)>| {
            group.first().is_some_and(|(_, first)| together(first, one.1))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

fn banner(series: &Series) -> Option<&Banner> {
    series.first().map(|image| &image.outline.banner)
}

/// PS3.3 F.5.1.
fn patient(banner: &Banner) -> Vec<u8> {
    let mut elements = character_set();
    let groups = [&banner.name.alphabetic, &banner.name.ideographic, &banner.name.phonetic].map(sealed);
    let name = groups.join("=");
    put_text(&mut elements, 0x0010_0010, *b"PN", name.trim_end_matches('='));
    put_text(&mut elements, 0x0010_0020, *b"LO", sealed(&banner.patient_id));
    put_text(&mut elements, 0x0010_0030, *b"DA", sealed(&banner.birth_date));
    put_text(&mut elements, 0x0010_0040, *b"CS", sealed(&banner.sex));
    elements
}

/// PS3.3 F.5.2.
fn one_study(image: &Image) -> Vec<u8> {
    let (mut elements, banner) = (character_set(), &image.outline.banner);
    put_text(&mut elements, 0x0008_0020, *b"DA", sealed(&banner.study_date));
    put_text(&mut elements, 0x0008_0030, *b"TM", sealed(&banner.study_time));
    put_text(&mut elements, 0x0008_0050, *b"SH", sealed(&banner.accession));
    put_text(&mut elements, 0x0008_1030, *b"LO", sealed(&banner.study_description));
    put_uid(&mut elements, 0x0020_000D, image.outline.study.as_ref());
    let id = Some(sealed(&image.outline.study_id)).filter(|id| !id.is_empty());
    put_text(&mut elements, 0x0020_0010, *b"SH", id.unwrap_or(NO_STUDY_ID));
    elements
}

/// PS3.3 F.5.3; `number` is that of its first image in the file-set.
fn one_series(number: usize, series: &Series) -> Record {
    let mut elements = character_set();
    if let Some(Image { outline, .. }) = series.first() {
        put_text(&mut elements, 0x0008_0060, *b"CS", outline.modality.as_deref().unwrap_or("OT"));
        put_text(&mut elements, 0x0008_103E, *b"LO", sealed(&outline.banner.series_description));
        put_uid(&mut elements, 0x0020_000E, outline.series.as_ref());
        let number = outline.series_number.unwrap_or(NO_NUMBER);
        put_text(&mut elements, 0x0020_0011, *b"IS", &number.to_string());
    }
    let images = (number..).zip(&series.images).map(|(number, image)| one_image(number, image));
    Record::new("SERIES", elements, images.collect())
}

/// PS3.3 F.5.4, with the keys by which a record refers to its file (F.3.2.2).
fn one_image(number: usize, image: &Image) -> Record {
    let mut elements = Vec::new();
    put_text(&mut elements, 0x0004_1500, *b"CS", &format!("{FOLDER}\\{}", name(number)));
    put_uid(&mut elements, 0x0004_1510, Some(&image.instance.sop_class));
    put_uid(&mut elements, 0x0004_1511, Some(&image.instance.sop_instance));
    put_uid(&mut elements, 0x0004_1512, Some(&image.instance.transfer_syntax));
    elements.extend_from_slice(&character_set());
    let number = image.outline.instance_number.unwrap_or(NO_NUMBER);
    put_text(&mut elements, 0x0020_0013, *b"IS", &number.to_string());
    Record::new("IMAGE", elements, Vec::new())
}

fn character_set() -> Vec<u8> {
    let mut elements = Vec::new();
    put_text(&mut elements, 0x0008_0005, *b"CS", UTF8);
    elements
}

fn sealed(text: &Phi<String>) -> &str {
    text.expose_for(Purpose::Seal)
}

fn put_text(out: &mut Vec<u8>, tag: u32, vr: [u8; 2], text: &str) {
    // Longer texts were cut where they were read.
    put(out, tag, vr, text.as_bytes());
}

fn put_uid(out: &mut Vec<u8>, tag: u32, uid: Option<&Uid>) {
    let mut value = uid.map(|uid| uid.as_str().as_bytes().to_vec()).unwrap_or_default();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    put(out, tag, *b"UI", &value);
}

/// An element with a short length, padded by a space (PS3.5 7.1.2).
fn put(out: &mut Vec<u8>, tag: u32, vr: [u8; 2], value: &[u8]) {
    put_tag(out, tag);
    out.extend_from_slice(&vr);
    let length = u16::try_from(even(value.len())).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
    if value.len() % 2 == 1 {
        out.push(b' ');
    }
}

fn put_sequence(out: &mut Vec<u8>, tag: u32, length: u32) {
    put_tag(out, tag);
    out.extend_from_slice(b"SQ\0\0");
    out.extend_from_slice(&length.to_le_bytes());
}

fn put_tag(out: &mut Vec<u8>, tag: u32) {
    out.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    out.extend_from_slice(&(tag as u16).to_le_bytes());
}

fn even(bytes: usize) -> usize {
    bytes.next_multiple_of(2)
}

fn offset(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(io::Error::other)
}
