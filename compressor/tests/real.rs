//! The scan beside dicom-rs, and round trips of real files. Real studies are looked for in `SCANPOST_DATA` or in
//! `../shared/data` beside the project; other odd files in the folder that `SCANPOST_ODD_FILES` names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use compressor::Uid;
use compressor::bundle::{
    BundleFile, Near, Options, ReadSeek, Source, Summary, Wanted, pack, read_manifest, unpack,
};
use compressor::dataset::{Bulk, BulkKind, Encoding, locate, outline_here};
use compressor::encapsulated::FrameDecoder;
use compressor::near::Policy;
use dicom_core::value::{PrimitiveValue, Value};
use dicom_core::{DataElement, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, OpenFileOptions};
use dicom_pixeldata::PixelDecoder;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Explicit VR Big Endian (PS3.5 A.3, retired).
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// The bulk value that the scan finds in a file, and the bytes there.
fn scanned(bytes: &[u8]) -> Option<(Bulk, Vec<u8>)> {
    let mut file = Cursor::new(bytes);
    let part = locate(&mut file, bytes.len() as u64).unwrap()?;
    file.seek(SeekFrom::Start(part.prefix_bytes)).unwrap();
    let encoding = Encoding::of_transfer_syntax(&part.transfer_syntax);
    let outline = outline_here(&mut file, bytes.len() as u64 - part.prefix_bytes, encoding).ok()?;
    let bulk = outline.bulk?;
    let start = (part.prefix_bytes + bulk.range.start) as usize;
    let length = (bulk.range.end - bulk.range.start) as usize;
    Some((bulk, bytes[start..start + length].to_vec()))
}

fn object(rows: u16, columns: u16, bits: u16, pixels: PrimitiveValue) -> InMemDicomObject {
    let number = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    InMemDicomObject::from_element_iter([
        DataElement::new(tags::SOP_CLASS_UID, VR::UI, PrimitiveValue::from(uids::MR_IMAGE_STORAGE)),
        DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, PrimitiveValue::from("1.2.3.4")),
        DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, PrimitiveValue::from("MONOCHROME2")),
        number(tags::SAMPLES_PER_PIXEL, 1),
        number(tags::ROWS, rows),
        number(tags::COLUMNS, columns),
        number(tags::BITS_ALLOCATED, bits),
        number(tags::BITS_STORED, bits),
        number(tags::HIGH_BIT, bits - 1),
        number(tags::PIXEL_REPRESENTATION, 0),
        DataElement::new(tags::PIXEL_DATA, VR::OW, pixels),
    ])
}

#[test]
fn scan_finds_the_pixels_that_dicom_rs_wrote_and_reads() {
    let syntaxes = [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN];
    for (rows, columns) in [(1, 2), (7, 4), (64, 33)] {
        let samples: Vec<u16> = (0..rows * columns).map(|sample| sample * 31).collect();
        for syntax in syntaxes {
            let pixels = PrimitiveValue::U16(samples.clone().into());
            let meta = FileMetaTableBuilder::new().transfer_syntax(syntax);
            let written = object(rows, columns, 16, pixels).with_meta(meta).unwrap();
            let mut bytes = Vec::new();
            written.write_all(&mut bytes).unwrap();
            let (bulk, found) = scanned(&bytes).expect("pixels");
            assert_eq!(bulk.kind, BulkKind::Native);
            let word = if syntax == EXPLICIT_VR_BIG_ENDIAN { u16::to_be_bytes } else { u16::to_le_bytes };
            let expected: Vec<u8> = samples.iter().flat_map(|sample| word(*sample)).collect();
            assert_eq!(found, expected, "{syntax}");
            let read = dicom_object::from_reader(Cursor::new(&bytes)).unwrap();
            assert_eq!(read.decode_pixel_data().unwrap().to_vec::<u16>().unwrap(), samples);
        }
    }
}

#[test]
fn scan_finds_native_floats() {
    let mut floats = object(2, 2, 32, dicom_value!(F32, [1.0, 2.0, 3.0, 4.0]));
    floats.remove_element(tags::PIXEL_DATA);
    let value = PrimitiveValue::F32([1.0, 2.0, 3.0, 4.0][..].into());
    floats.put(DataElement::new(tags::FLOAT_PIXEL_DATA, VR::OF, value));
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let mut bytes = Vec::new();
    floats.with_meta(meta).unwrap().write_all(&mut bytes).unwrap();
    let (bulk, found) = scanned(&bytes).expect("floats");
    assert_eq!((bulk.kind, found.len()), (BulkKind::Other, 16));
}

/// What dicom-rs reads as native pixel data of a file, where it can read it.
fn foreign_pixels(path: &Path) -> Option<Vec<u8>> {
    let object = OpenFileOptions::new().open_file(path).ok()?;
    let big_endian = object.meta().transfer_syntax() == EXPLICIT_VR_BIG_ENDIAN;
    match object.element(tags::PIXEL_DATA).ok()?.value() {
        Value::Primitive(value) if !big_endian => Some(value.to_bytes().into_owned()),
        _ => None,
    }
}

fn real_folders() -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let named = std::env::var_os("SCANPOST_DATA").map(PathBuf::from);
    let root = named.unwrap_or(beside);
    let mut folders: Vec<_> =
        fs::read_dir(&root).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    if folders.is_empty() {
        println!("NOT RUN on real studies: none in {} (set SCANPOST_DATA)", root.display());
    }
    folders
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn source(path: PathBuf) -> Source<'static> {
    let mut file = File::open(&path).unwrap();
    let bytes = file.metadata().unwrap().len();
    let part = locate(&mut file, bytes).unwrap();
    let syntax = part.as_ref().map(|part| part.transfer_syntax.clone());
    Source {
        bytes,
        prefix_bytes: part.map_or(0, |part| part.prefix_bytes),
        transfer_syntax: syntax.unwrap_or_else(|| Uid::parse("1.2.840.10008.1.2").unwrap()),
        sha256: None,
        announced: None,
        conflict: false,
        name: Some(path.file_name().unwrap().to_str().unwrap().to_owned()),
        open: Box::new(move || Ok(Box::new(File::open(&path)?) as Box<dyn ReadSeek>)),
    }
}

struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Packs and unpacks files as they came and compares each with its source.
fn assert_round_trip(files: &[PathBuf], options: &Options) -> Summary {
    let sources: Vec<_> = files.iter().cloned().map(source).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    let mut out = File::create(&path).unwrap();
    let (_, summary) = pack(&sources, &mut out, options, &mut |_| {}).unwrap();
    let mut bundle = BundleFile::open(&path).unwrap();
    let manifest = read_manifest(&mut bundle).unwrap();
    let mut back: Vec<(String, Rc<RefCell<Vec<u8>>>)> = Vec::new();
    unpack(&manifest, &mut bundle, Wanted::Exact, 2, &mut |unpacking| {
        let bytes = Rc::default();
        back.push((unpacking.instance.name.clone().unwrap(), Rc::clone(&bytes)));
        Ok(Box::new(Sink(bytes)))
    })
    .unwrap();
    let mut given: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut back: Vec<_> = back.into_iter().map(|(_, bytes)| bytes.take()).collect();
    given.sort();
    back.sort();
    assert!(given == back, "bytes differ");
    summary
}

#[test]
fn real_series_come_back_and_are_small_enough() {
    // File ratio that each must reach: what was measured, less up to one percent.
    let goals = [
        ("ct-head-4mm-ge", 6.45),
        ("ct-skull-phantom-1mm-philips", 2.86),
        ("mr-head-dwi-siemens", 3.90),
        ("mr-head-mprage-siemens", 7.10),
        ("mr-head-t1-2d-siemens", 7.80),
    ];
    for folder in real_folders() {
        let summary = assert_round_trip(&files_in(&folder), &Options::lossless(2));
        let ratio = summary.source_bytes as f64 / summary.bundle_bytes as f64;
        let name = folder.file_name().unwrap().to_str().unwrap();
        println!(
            "{name}: {ratio:.3}, {} bytes of headers an instance",
            summary.coded_header_bytes / summary.instances
        );
        if let Some((_, goal)) = goals.iter().find(|(known, _)| *known == name) {
            assert!(ratio >= *goal, "{name}: {ratio}");
        }
    }
}

#[test]
fn real_series_have_their_bound_by_their_noise() {
    // near, largest error, noise by both estimates, largest mean error of a block, coded pixel bytes at most.
    let known = [
        ("ct-head-4mm-ge", 3, 3.5, 1.3, 0.3, 1_066_000),
        ("ct-skull-phantom-1mm-philips", 3, 26.0, 12.7, 0.3, 7_130_000),
        ("mr-head-dwi-siemens", 5, 23.6, 12.7, 5.0, 1_016_000),
        ("mr-head-mprage-siemens", 3, 13.1, 8.1, 3.0, 2_516_000),
        ("mr-head-t1-2d-siemens", 7, 31.2, 11.0, 7.0, 343_000),
    ];
    for folder in real_folders() {
        let sources: Vec<_> = files_in(&folder).into_iter().map(source).collect();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let options = Options { near: Near::Auto(Policy::default()), ..Options::lossless(2) };
        let (manifest, summary) = pack(&sources, &mut io::sink(), &options, &mut |_| {}).unwrap();
        for series in manifest.series.iter().filter(|series| series.modality.is_some()) {
            println!(
                "{name}: near {} ({}), max {}, rmse {:.3}, block {:.3}, sigma {:?}, pixels {:.2}",
                series.near,
                series.reason.as_deref().unwrap_or_default(),
                series.max_error,
                series.rmse,
                series.block_error,
                series.sigma,
                series.ratio.unwrap_or_default(),
            );
            let Some((_, near, blocks, fine, block, bytes)) = known.iter().find(|known| known.0 == name)
            else {
                continue;
            };
            let sigma = series.sigma.unwrap();
            assert_eq!((series.near, series.max_error), (*near, *near));
            assert!((sigma.blocks - blocks).abs() < 0.06 && (sigma.fine - fine).abs() < 0.06, "{sigma:?}");
            assert!(series.block_error <= *block);
            assert!(summary.coded_pixel_bytes <= *bytes, "{}", summary.coded_pixel_bytes);
        }
    }
}

#[test]
fn scan_agrees_with_dicom_rs_on_real_and_odd_files() {
    let odd = std::env::var_os("SCANPOST_ODD_FILES").map(PathBuf::from);
    if odd.is_none() {
        println!("NOT RUN on odd files: set SCANPOST_ODD_FILES, e.g. to pydicom/data/test_files");
    }
    let mut compared = 0;
    for folder in real_folders().into_iter().chain(odd) {
        for path in files_in(&folder) {
            let Some(expected) = foreign_pixels(&path).filter(|pixels| !pixels.is_empty()) else { continue };
            // dicom-rs reads on where a value is cut short; the scan calls that damage.
            let Some((bulk, found)) = scanned(&fs::read(&path).unwrap()) else {
                println!("only dicom-rs reads {}", path.display());
                continue;
            };
            assert!(bulk.kind == BulkKind::Native && found == expected, "{}", path.display());
            compared += 1;
        }
    }
    println!("{compared} files compared");
}

#[test]
fn odd_files_come_back() {
    let Some(folder) = std::env::var_os("SCANPOST_ODD_FILES") else {
        println!("NOT RUN on odd files: set SCANPOST_ODD_FILES, e.g. to pydicom/data/test_files");
        return;
    };
    let decoder = FrameDecoder::of(PathBuf::from(env!("CARGO_BIN_EXE_scanpost-pack")));
    let bounded = Options {
        threads: 2,
        near: Near::Fixed(3),
        residual: true,
        decoder: Some(decoder),
        ..Options::lossless(1)
    };
    for options in [Options::lossless(2), bounded] {
        let summary = assert_round_trip(&files_in(Path::new(&folder)), &options);
        println!(
            "{} odd files: {} bytes → {}",
            summary.instances, summary.source_bytes, summary.bundle_bytes
        );
    }
}
