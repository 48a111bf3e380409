//! A spool in a folder, and what is made of it. The rendering process is no part of it: the scenarios have that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::journal::DeliveryInstance;
use crate::spool::{FileKey, Spool, SpoolWriter};
use compressor::Uid;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{InMemDicomObject, OpenFileOptions};
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;
use std::io::{Cursor, Read, Write};

const IMAGE_CLASS: &str = "1.2.840.10008.5.1.4.1.1.7";
const REPORT_CLASS: &str = "1.2.840.10008.5.1.4.1.1.88.11";
const DELIVERY: DeliveryId = DeliveryId([0xAB; 16]);

struct Bench {
    _folder: tempfile::TempDir,
    spool: Spool,
    instances: Vec<DeliveryInstance>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        Self { _folder: folder, spool, instances: Vec::new() }
    }

    fn put(&mut self, patient: &str, series: &str, number: u32, class: &str) {
        let instance = format!("1.2.3.{}", self.instances.len() + 1);
        let mut object = InMemDicomObject::new_empty();
        let mut text = |group, element, vr, text: &str| {
            object.put(DataElement::new(Tag(group, element), vr, PrimitiveValue::from(text)))
        };
        text(0x0008, 0x0016, VR::UI, class);
        text(0x0008, 0x0018, VR::UI, &instance);
        text(0x0008, 0x0060, VR::CS, "CT");
        text(0x0010, 0x0010, VR::PN, patient);
        text(0x0010, 0x0020, VR::LO, patient);
        text(0x0020, 0x000D, VR::UI, "1.2.840.1");
        text(0x0020, 0x000E, VR::UI, series);
        text(0x0020, 0x0013, VR::IS, &number.to_string());
        if class == IMAGE_CLASS {
            object.put(DataElement::new(
                Tag(0x7FE0, 0x0010),
                VR::OW,
                PrimitiveValue::from(noise(4096, self.instances.len())),
            ));
        }
        let mut bytes = Vec::new();
        object.write_dataset_with_ts(&mut bytes, &EXPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
        let file = format!("{instance}.dcm");
        std::fs::write(self.spool.receive().join(&file), &bytes).unwrap();
        self.instances.push(DeliveryInstance {
            file,
            series: Uid::parse(series).ok(),
            sop_class: Uid::parse(class).unwrap(),
            sop_instance: Uid::parse(&instance).unwrap(),
            transfer_syntax: Uid::parse("1.2.840.10008.1.2.1").unwrap(),
            bytes: bytes.len() as u64,
            sha256: sha256(&bytes),
            conflict: false,
            received_at_ms: 0,
            file_key: None,
        });
    }

    fn content(&self, message_bytes_max: usize) -> Content {
        // `true` renders nothing: no pictures.
        let renderer = Renderer::of("/bin/true".into());
        let received = Received { spool: &self.spool, case_key: None };
        Content::of(received, DELIVERY, self.instances.clone(), &renderer, message_bytes_max).unwrap()
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    ::seal::ids::Digest::of(bytes).0
}

/// Bytes that no ZIP makes smaller.
fn noise(bytes: usize, seed: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn letter(encryption: Encryption, language: Language) -> Letter<'static> {
    Letter {
        delivery: DELIVERY,
        sent_at: 1_795_373_465,
        site: "hospital.example",
        mailbox: "dr@clinic.example",
        language,
        completeness: Completeness::Partial { instances: 3, listed: 4 },
        encryption,
    }
}

fn zip_of(content: &Content) -> zip::ZipArchive<Cursor<Vec<u8>>> {
    let Archive::Zip(bytes) = &content.archive else { panic!("no files") };
    zip::ZipArchive::new(Cursor::new(bytes.clone())).unwrap()
}

#[test]
fn an_image_that_was_damaged_is_an_error_and_not_left_out() {
    let mut bench = Bench::new();
    (1..=2).for_each(|number| bench.put("Yamada", "1.2.840.1.1", number, IMAGE_CLASS));
    let (case_key, key) = (FileKey::random().unwrap(), FileKey::random().unwrap());
    let path = bench.spool.receive().join(&bench.instances[1].file);
    let plain = std::fs::read(&path).unwrap();
    let mut writer = SpoolWriter::new(Vec::new(), Some(&key)).unwrap();
    writer.write_all(&plain).unwrap();
    let encrypted = writer.finish().unwrap();
    // Where the data set begins: behind the header of a file that is encrypted.
    for (whole, wrapped, start) in [(plain, None, 0), (encrypted, Some(case_key.wrap(&key).unwrap()), 44)] {
        bench.instances[1].file_key = wrapped;
        let survey = || {
            let received = Received { spool: &bench.spool, case_key: Some(&case_key) };
            Survey::of(received, bench.instances.clone()).map(|survey| survey.images().count())
        };
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(survey().unwrap(), 2);
        // The value representation of the first element; and a file that was cut.
        let mut flipped = whole.clone();
        flipped[start + 4] ^= 0x80;
        for damaged in [&flipped[..], &whole[..whole.len() / 2]] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(survey().unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        }
    }
}

#[test]
fn the_directory_names_every_image_by_patient_study_and_series() {
    let mut bench = Bench::new();
    bench.put("One^A", "1.5.1", 2, IMAGE_CLASS);
    bench.put("One^A", "1.5.1", 1, IMAGE_CLASS);
    bench.put("Two^B", "1.5.2", 7, IMAGE_CLASS);
    bench.put("One^A", "1.5.3", 1, REPORT_CLASS);
    let content = bench.content(20_000_000);
    let mut files = zip_of(&content);
    let names: Vec<String> = files.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["DICOMDIR", "DICOM/IM000001", "DICOM/IM000002", "DICOM/IM000003"]);
    let mut directory = Vec::new();
    files.by_name("DICOMDIR").unwrap().read_to_end(&mut directory).unwrap();
    let object = OpenFileOptions::new().from_reader(directory.as_slice()).unwrap();
    let sequence = object.element(Tag(0x0004, 0x1220)).unwrap().items().unwrap().to_vec();
    let kinds: Vec<String> = sequence.iter().map(|record| text(record, 0x0004, 0x1430)).collect();
    assert_eq!(
        kinds,
        ["PATIENT", "STUDY", "SERIES", "IMAGE", "IMAGE", "PATIENT", "STUDY", "SERIES", "IMAGE"]
    );
    assert_eq!(text(&sequence[3], 0x0004, 0x1500), "DICOM\\IM000001");
    assert_eq!(
        (text(&sequence[3], 0x0020, 0x0013), text(&sequence[4], 0x0020, 0x0013)),
        ("1".into(), "2".into())
    );
    assert_eq!(text(&sequence[5], 0x0010, 0x0010), "Two^B");
    assert_eq!(offset(&object, 0x1200), place_of(&directory, 0));
    assert_eq!(
        offset(&object, 0x1202),
        place_of(&directory, 5),
        "the second patient is the last at the root"
    );
    assert_eq!(offset(&sequence[0], 0x1400), place_of(&directory, 5));
    assert_eq!(offset(&sequence[0], 0x1420), place_of(&directory, 1));
    assert_eq!(offset(&sequence[3], 0x1400), place_of(&directory, 4));
    assert_eq!((offset(&sequence[4], 0x1400), offset(&sequence[4], 0x1420)), (0, 0));
}

fn text(object: &InMemDicomObject, group: u16, element: u16) -> String {
    object.element(Tag(group, element)).unwrap().to_str().unwrap().trim_end().to_owned()
}

fn offset(object: &InMemDicomObject, element: u16) -> usize {
    object.element(Tag(0x0004, element)).unwrap().to_int::<usize>().unwrap()
}

/// Where item `index` of the only sequence begins: an item, then Offset of the Next Directory Record.
fn place_of(directory: &[u8], index: usize) -> usize {
    let starts = directory.windows(14).enumerate().filter(|(_, window)| {
        window.starts_with(&[0xFE, 0xFF, 0x00, 0xE0]) && window[8..] == [0x04, 0x00, 0x00, 0x14, b'U', b'L']
    });
    starts.map(|(place, _)| place).nth(index).unwrap()
}

#[test]
fn a_message_stays_below_its_limit_or_has_no_files() {
    let mut bench = Bench::new();
    (1..=200).for_each(|number| bench.put("One^A", "1.5.1", number, IMAGE_CLASS));
    let (mut with, mut without) = (0, 0);
    for message_bytes_max in (1_000_000..2_200_000).step_by(50_000) {
        let content = bench.content(message_bytes_max);
        let entity = content.entity(&letter(Encryption::Authenticated, Language::English));
        // The signature and the frame have less than the room left for them.
        let message = encoded(entity.len() + 8_000);
        assert!(message <= message_bytes_max, "{message} of {message_bytes_max}");
        *if content.has_files() { &mut with } else { &mut without } += 1;
    }
    assert!(with > 3 && without > 3, "{with} {without}");
}

#[test]
fn the_words_say_what_is_there_and_what_is_not() {
    let mut bench = Bench::new();
    bench.put("One^A", "1.5.1", 1, IMAGE_CLASS);
    bench.put("One^A", "1.5.3", 1, REPORT_CLASS);
    let content = bench.content(20_000_000);
    let words = |letter: Letter<'_>| {
        let entity = String::from_utf8(content.entity(&letter)).unwrap();
        let text = entity.split("\r\n--").nth(1).unwrap();
        text.replace("=\r\n", "")
    };
    let whole = words(letter(Encryption::Authenticated, Language::English));
    for part in [
        "hospital.example for dr@clinic.example",
        "abababab",
        "INCOMPLETE: 3 of 4",
        "One^A",
        "no picture",
        "DICOM.ZIP holds all 1 images",
        "1 objects that are no images",
    ] {
        assert!(whole.contains(part), "{part}\n{whole}");
    }
    let quirk = content.entity(&letter(Encryption::QuirkCbc, Language::English));
    let quirk = String::from_utf8(quirk).unwrap();
    assert!(
        !quirk.contains("application/zip")
            && quirk.replace("=\r\n", "").contains("cannot open mails whose encryption")
    );
}

#[test]
fn every_line_ends_with_cr_lf() {
    let mut bench = Bench::new();
    bench.put("One^A", "1.5.1", 1, IMAGE_CLASS);
    for language in [Language::English, Language::Japanese] {
        let entity = bench.content(20_000_000).entity(&letter(Encryption::Authenticated, language));
        let bare = entity.windows(2).filter(|pair| pair[1] == b'\n' && pair[0] != b'\r').count();
        let lone = entity.windows(2).filter(|pair| pair[0] == b'\r' && pair[1] != b'\n').count();
        assert_eq!((bare, lone), (0, 0));
    }
}

#[test]
fn a_file_that_changed_in_the_spool_goes_into_no_mail() {
    let mut bench = Bench::new();
    bench.put("One^A", "1.5.1", 1, IMAGE_CLASS);
    let path = bench.spool.receive().join(&bench.instances[0].file);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let received = Received { spool: &bench.spool, case_key: None };
    let made = Content::of(
        received,
        DELIVERY,
        bench.instances.clone(),
        &Renderer::of("/bin/cat".into()),
        20_000_000,
    );
    assert_eq!(made.err().unwrap().kind(), io::ErrorKind::InvalidData);
}
