//! The DICOMDIR of a file-set (PS3.3 F, PS3.10 8.6): patient, study, series, and what a series holds, each naming the next of its kind and the first below it by
//! its byte in the file. Texts of patient, study and series are UTF-8, whatever the objects are written in.

mod leaf;

pub use leaf::{Leaf, leaf};

use crate::dataset::{Banner, Outline};
use crate::{Phi, Purpose, Uid};
use std::io;

/// Media Storage Directory Storage (PS3.4 I.4): the SOP class of a DICOMDIR.
pub const DIRECTORY_CLASS: &str = "1.2.840.10008.1.3.10";
/// Name of the directory (PS3.10 8.6).
pub const DIRECTORY_NAME: &str = "DICOMDIR";
/// Folder of the files within the file-set; a File ID has components of 8 characters at most (PS3.10 8.2).
const FOLDER: &str = "DICOM";
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
const ITEM_HEAD_BYTES: u64 = 8;
/// Bytes of the elements before the first record: File-set ID, both offsets, consistency flag, head of the sequence.
const SET_ID: &[u8] = b"SCANPOST";
const HEAD_BYTES: u64 = (8 + SET_ID.len() as u64) + 12 + 12 + 10 + 12;

/// A record with those below it.
struct Record {
    elements: Vec<u8>,
    kind: &'static str,
    below: Vec<Record>,
    bytes: u64,
}

/// One file of the set.
pub struct Member {
    /// Its place in the set, from 1, which is its name.
    pub number: usize,
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Transfer Syntax UID.
    pub transfer_syntax: Uid,
    /// What a scan of its data set told.
    pub outline: Outline,
    /// Its record.
    pub leaf: Leaf,
}

/// Where file `number` lies, as a name in an archive.
pub fn file_name(number: usize) -> String {
    format!("{FOLDER}/IM{number:06}")
}

/// The whole directory of files that stand in the order of their series. `front`: preamble and meta group of a file of [`DIRECTORY_CLASS`], whose data set is
/// always Explicit VR Little Endian (PS3.10 8.6). `purpose`: what the set is for.
///
/// # Errors
/// More than 4 GiB.
pub fn directory(front: Vec<u8>, members: &[Member], purpose: Purpose) -> io::Result<Vec<u8>> {
    let records = patients(members, purpose);
    let mut file = front;
    let first = file.len() as u64 + HEAD_BYTES;
    let bytes_of = |records: &[Record]| records.iter().map(Record::bytes_with_all_below).sum::<u64>();
    let last = records.split_last().map_or(first, |(_, before)| first + bytes_of(before));
    let length = offset(bytes_of(&records))?;
    let (first, last) = if records.is_empty() { (0, 0) } else { (offset(first)?, offset(last)?) };
    put(&mut file, 0x0004_1130, *b"CS", SET_ID);
    put(&mut file, 0x0004_1200, *b"UL", &first.to_le_bytes());
    put(&mut file, 0x0004_1202, *b"UL", &last.to_le_bytes());
    put(&mut file, 0x0004_1212, *b"US", &0_u16.to_le_bytes());
    put_sequence(&mut file, 0x0004_1220, length);
    write(&records, first.into(), &mut file)?;
    Ok(file)
}

/// Writes siblings one behind the other, each followed by all below it; `at` is where the first begins.
fn write(records: &[Record], mut at: u64, file: &mut Vec<u8>) -> io::Result<()> {
    let mut left = records.len();
    for record in records {
        left -= 1;
        let next = if left == 0 { 0 } else { at + record.bytes_with_all_below() };
        let below = at + record.bytes;
        let lower = if record.below.is_empty() { 0 } else { below };
        file.extend_from_slice(&ITEM);
        file.extend_from_slice(&offset(record.bytes - ITEM_HEAD_BYTES)?.to_le_bytes());
        put(file, 0x0004_1400, *b"UL", &offset(next)?.to_le_bytes());
        put(file, 0x0004_1410, *b"US", &IN_USE.to_le_bytes());
        put(file, 0x0004_1420, *b"UL", &offset(lower)?.to_le_bytes());
        put(file, 0x0004_1430, *b"CS", record.kind.as_bytes());
        file.extend_from_slice(&record.elements);
        write(&record.below, below, file)?;
        at += record.bytes_with_all_below();
    }
    Ok(())
}

impl Record {
    fn new(kind: &'static str, elements: Vec<u8>, below: Vec<Record>) -> Self {
        let linked = 12 + 10 + 12 + 8 + even(kind.len());
        let bytes = ITEM_HEAD_BYTES + (linked + elements.len()) as u64;
        Self { elements, kind, below, bytes }
    }

    fn bytes_with_all_below(&self) -> u64 {
        self.bytes + self.below.iter().map(Self::bytes_with_all_below).sum::<u64>()
    }
}

fn patients(members: &[Member], purpose: Purpose) -> Vec<Record> {
    grouped(members.iter().collect(), |a, b| a.outline.banner.is_same_patient(&b.outline.banner))
        .into_iter()
        .map(|of_patient| {
            let elements = of_patient.first().map(|first| patient(&first.outline.banner, purpose));
            Record::new("PATIENT", elements.unwrap_or_default(), studies(of_patient, purpose))
        })
        .collect()
}

fn studies(members: Vec<&Member>, purpose: Purpose) -> Vec<Record> {
    grouped(members, |a, b| a.outline.study == b.outline.study)
        .into_iter()
        .map(|of_study| {
            let elements = of_study.first().map(|first| one_study(&first.outline, purpose));
            // Without a series of its own, an object stands alone.
            let series =
                grouped(of_study, |a, b| a.outline.series == b.outline.series && a.outline.series.is_some());
            let below = series.iter().map(|members| one_series(members, purpose)).collect();
            Record::new("STUDY", elements.unwrap_or_default(), below)
        })
        .collect()
}

/// Members that belong together, in their order.
fn grouped(members: Vec<&Member>, together: impl Fn(&Member, &Member) -> bool) -> Vec<Vec<&Member>> {
    let mut groups: Vec<Vec<&Member>> = Vec::new();
    for one in members {
        let same = |group: &&mut Vec<&Member>| group.first().is_some_and(|first| together(first, one));
        // Most follow one of their own.
        match groups.iter_mut().rev().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// PS3.3 F.5.1.
fn patient(banner: &Banner, purpose: Purpose) -> Vec<u8> {
    let mut elements = character_set();
    let text = |text: &Phi<String>| text.expose_for(purpose).to_owned();
    let groups = [&banner.name.alphabetic, &banner.name.ideographic, &banner.name.phonetic].map(text);
    let name = groups.join("=");
    put_text(&mut elements, 0x0010_0010, *b"PN", name.trim_end_matches('='));
    put_text(&mut elements, 0x0010_0020, *b"LO", &text(&banner.patient_id));
    put_text(&mut elements, 0x0010_0030, *b"DA", &text(&banner.birth_date));
    put_text(&mut elements, 0x0010_0040, *b"CS", &text(&banner.sex));
    elements
}

/// PS3.3 F.5.2.
fn one_study(outline: &Outline, purpose: Purpose) -> Vec<u8> {
    let (mut elements, banner) = (character_set(), &outline.banner);
    let text = |text: &Phi<String>| text.expose_for(purpose).to_owned();
    put_text(&mut elements, 0x0008_0020, *b"DA", &text(&banner.study_date));
    put_text(&mut elements, 0x0008_0030, *b"TM", &text(&banner.study_time));
    put_text(&mut elements, 0x0008_0050, *b"SH", &text(&banner.accession));
    put_text(&mut elements, 0x0008_1030, *b"LO", &text(&banner.study_description));
    put_uid(&mut elements, 0x0020_000D, outline.study.as_ref());
    let id = Some(text(&outline.study_id)).filter(|id| !id.is_empty());
    put_text(&mut elements, 0x0020_0010, *b"SH", id.as_deref().unwrap_or(NO_STUDY_ID));
    elements
}

/// PS3.3 F.5.3.
fn one_series(members: &[&Member], purpose: Purpose) -> Record {
    let mut elements = character_set();
    if let Some(Member { outline, .. }) = members.first() {
        put_text(&mut elements, 0x0008_0060, *b"CS", outline.modality.as_deref().unwrap_or("OT"));
        let description = outline.banner.series_description.expose_for(purpose);
        put_text(&mut elements, 0x0008_103E, *b"LO", description);
        put_uid(&mut elements, 0x0020_000E, outline.series.as_ref());
        let number = outline.series_number.unwrap_or(NO_NUMBER);
        put_text(&mut elements, 0x0020_0011, *b"IS", &number.to_string());
    }
    Record::new("SERIES", elements, members.iter().map(|member| one_file(member)).collect())
}

/// The record of a file, with the keys by which it refers to that (PS3.3 F.3.2.2).
fn one_file(member: &Member) -> Record {
    let mut elements = Vec::new();
    put_text(&mut elements, 0x0004_1500, *b"CS", &file_name(member.number).replace('/', "\\"));
    put_uid(&mut elements, 0x0004_1510, Some(&member.sop_class));
    put_uid(&mut elements, 0x0004_1511, Some(&member.sop_instance));
    put_uid(&mut elements, 0x0004_1512, Some(&member.transfer_syntax));
    elements.extend_from_slice(&member.leaf.elements);
    Record::new(member.leaf.kind, elements, Vec::new())
}

fn character_set() -> Vec<u8> {
    let mut elements = Vec::new();
    put_text(&mut elements, 0x0008_0005, *b"CS", UTF8);
    elements
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

/// A place in the file, or a length: 4 bytes.
fn offset(bytes: u64) -> io::Result<u32> {
    u32::try_from(bytes).map_err(io::Error::other)
}
