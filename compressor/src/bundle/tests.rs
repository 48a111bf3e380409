#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod derived;
mod packed;

use super::*;
use crate::dataset::Encoding;
use crate::dataset::sample::Writer as Data;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::io::{Cursor, Write};
use std::rc::Rc;

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

/// A bundle's segments in memory, which a test may damage.
struct Segments(Vec<Vec<u8>>);

impl SegmentSource for Segments {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        self.0.get(number as usize).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// An instance, and the transfer syntax that it is in.
type Given = (Vec<u8>, &'static str);

fn source(bytes: &[u8], transfer_syntax: &str) -> Source<'static> {
    let source = Source::of_bytes(bytes.to_vec(), Uid::parse(transfer_syntax).unwrap());
    Source { sha256: Some(Sha256::digest(bytes).into()), ..source }
}

fn sources(given: &[Given]) -> Vec<Source<'static>> {
    given.iter().map(|(bytes, syntax)| source(bytes, syntax)).collect()
}

fn packed(sources: &[Source<'_>], threads: usize) -> Result<(Manifest, Summary, Vec<u8>), PackError> {
    let mut file = Vec::new();
    let mut told = 0;
    let (manifest, summary) =
        pack(sources, &mut file, &Options::lossless(threads), &mut |bytes| told = bytes)?;
    assert_eq!(told, summary.source_bytes);
    Ok((manifest, summary, file))
}

fn segments(file: &[u8]) -> (Manifest, Segments) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    std::fs::write(&path, file).unwrap();
    let mut bundle = BundleFile::open(&path).unwrap();
    let count = bundle.segment_lengths().len() as u32;
    let segments: Vec<_> = (0..count).map(|number| bundle.segment(number).unwrap()).collect();
    let lengths: Vec<_> = segments.iter().map(|segment| segment.len() as u32).collect();
    assert_eq!(lengths, bundle.segment_lengths());
    let manifest = read_manifest(&mut bundle).unwrap();
    (manifest, Segments(segments))
}

#[derive(Clone, Default)]
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

fn unpacked(manifest: &Manifest, segments: &mut Segments) -> Result<Vec<Vec<u8>>, UnpackError> {
    let mut sinks: Vec<Sink> = Vec::new();
    unpack(manifest, segments, Wanted::Exact, 2, &mut |_| {
        sinks.push(Sink::default());
        Ok(Box::new(sinks.last().unwrap().clone()))
    })?;
    Ok(sinks.into_iter().map(|sink| sink.0.take()).collect())
}

/// Packs, unpacks, and compares as sets: order is that of the bundle.
fn assert_round_trip(given: &[Given]) -> (Manifest, Summary, Vec<u8>) {
    let (manifest, summary, file) = packed(&sources(given), 2).unwrap();
    let (read, mut segments) = segments(&file);
    assert_eq!(read, manifest);
    let mut back = unpacked(&read, &mut segments).unwrap();
    let mut expected: Vec<_> = given.iter().map(|(bytes, _)| bytes.clone()).collect();
    back.sort();
    expected.sort();
    assert!(back == expected, "bytes differ");
    (manifest, summary, file)
}

fn image(columns: u16, rows: u16, frames: u32, samples: u16, bits: u16) -> ImageLayout {
    ImageLayout { frames, ..ImageLayout::new(columns, rows, samples, bits) }
}

/// Pixels that differ from slice to slice.
fn pixels(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|byte| (byte / 90 + byte * seed % 7 + seed) as u8).collect()
}

fn slice(number: i32, layout: &ImageLayout, value: &[u8], encoding: Encoding) -> Vec<u8> {
    let private: Vec<u8> = (0..3000).map(|byte| (byte * byte % 251) as u8).collect();
    let data = Data::new(encoding).identity(number).element(0x0019_1010, "OB", &private).image(layout);
    data.element(0x7FE0_0010, "OW", value).bytes
}

fn explicit(number: i32, layout: &ImageLayout, value: &[u8]) -> Given {
    (slice(number, layout, value, Encoding::ExplicitLittle), EXPLICIT)
}

#[test]
fn every_kind_of_instance_comes_back() {
    let grey = image(33, 21, 1, 1, 16);
    let planar = ImageLayout { planar: true, ..image(16, 16, 2, 3, 8) };
    let big_endian = slice(7, &grey, &pixels(33 * 21 * 2, 7), Encoding::ExplicitBig);
    let implicit = slice(8, &grey, &pixels(33 * 21 * 2, 8), Encoding::ImplicitLittle);
    let encapsulated = Data::new(Encoding::ExplicitLittle)
        .identity(9)
        .image(&grey)
        .head(0x7FE0_0010, "OB", 0xFFFF_FFFF)
        .head(0xFFFE_E000, "", 0)
        .element(0xFFFE_E000, "", &pixels(3 << 20, 11))
        .head(0xFFFE_E0DD, "", 0)
        .bytes;
    let float =
        Data::new(Encoding::ExplicitLittle).identity(10).element(0x7FE0_0008, "OF", &pixels(4000, 3)).bytes;
    let report =
        Data::new(Encoding::ExplicitLittle).identity(11).element(0x0042_0011, "OB", &pixels(90_000, 5)).bytes;
    let given = [
        explicit(1, &grey, &pixels(33 * 21 * 2, 1)),
        explicit(2, &image(1, 50, 1, 1, 16), &pixels(100, 2)),
        explicit(3, &image(50, 1, 1, 1, 8), &pixels(50, 3)),
        // Odd, padded to even length.
        explicit(4, &image(5, 5, 1, 1, 8), &pixels(26, 4)),
        explicit(5, &planar, &pixels(16 * 16 * 3 * 2, 5)),
        explicit(6, &image(64, 64, 3, 1, 1), &pixels(64 * 64 * 3 / 8, 6)),
        (big_endian, "1.2.840.10008.1.2.2"),
        (implicit, "1.2.840.10008.1.2"),
        (encapsulated, JPEG_LS),
        (float, EXPLICIT),
        (report, EXPLICIT),
        // More frames declared than there are, a row longer than a slab, no samples at all.
        explicit(12, &image(10, 10, 900, 1, 16), &pixels(400, 12)),
        explicit(13, &image(60_000, 2, 1, 20, 16), &pixels(60_000 * 2 * 20 * 2, 13)),
        explicit(14, &image(0, 0, 0, 0, 0), &pixels(10, 14)),
        explicit(15, &grey, &[]),
        (vec![], EXPLICIT),
        (b"not DICOM".to_vec(), EXPLICIT),
        (pixels(3 << 20, 17), EXPLICIT),
        (pixels(2 << 20, 19), DEFLATED),
    ];
    let (manifest, summary, _) = assert_round_trip(&given);
    assert_eq!(summary.instances, given.len() as u64);
    let coded_as_pixels =
        manifest.series.iter().flat_map(|s| &s.instances).filter(|i| i.image.is_some()).count();
    assert_eq!(coded_as_pixels, 8);
}

/// Encapsulated, without offset table, a fragment a frame.
fn encapsulated(number: i32, layout: &ImageLayout, lengths: &[usize]) -> Vec<u8> {
    let head = Data::new(Encoding::ExplicitLittle).identity(number).image(layout);
    let start = head.head(0x7FE0_0010, "OB", 0xFFFF_FFFF).head(0xFFFE_E000, "", 0);
    let fragments =
        lengths.iter().fold(start, |data, length| data.element(0xFFFE_E000, "", &pixels(*length, *length)));
    fragments.head(0xFFFE_E0DD, "", 0).bytes
}

#[test]
fn no_chunk_has_bytes_of_two_frames_that_a_viewer_decodes() {
    let layout = ImageLayout { planar: true, ..image(64, 48, 3, 3, 8) };
    let lengths = [(1 << 20) + 100, 10, 900];
    let (manifest, _, _) = assert_round_trip(&[(encapsulated(1, &layout, &lengths), JPEG_BASELINE)]);
    let [instance] = &manifest.series[0].instances[..] else { panic!("one instance") };
    let carried = instance.carried.as_ref().unwrap();
    assert_eq!(carried.chunks, [2, 1, 1]);
    assert_eq!(carried.image, ImageLayout { planar: false, ..layout });
    let chunks = manifest.segments.iter().filter(|segment| segment.kind == SegmentKind::Opaque);
    let raw: Vec<_> = chunks.map(|segment| segment.raw_bytes).collect();
    // The offset table before the first, the end behind the last.
    assert_eq!(raw, [1 << 20, 8 + 8 + 100, 8 + 10, 8 + 900 + 8]);
}

#[test]
fn what_no_viewer_decodes_is_cut_as_any_value() {
    let layout = image(64, 48, 3, 1, 8);
    let fewer = encapsulated(1, &layout, &[10, 900]);
    for (given, syntax) in [(encapsulated(1, &layout, &[10, 20, 900]), JPEG_LS), (fewer, JPEG_BASELINE)] {
        let (manifest, _, _) = assert_round_trip(&[(given, syntax)]);
        assert_eq!(manifest.series[0].instances[0].carried, None, "{syntax}");
        assert_eq!(manifest.segments.iter().filter(|one| one.kind == SegmentKind::Opaque).count(), 1);
    }
}

#[test]
fn large_image_is_cut_into_slabs_and_back() {
    let layout = image(1500, 1501, 2, 1, 16);
    let (manifest, _, _) = assert_round_trip(&[explicit(1, &layout, &pixels(1500 * 1501 * 4, 3))]);
    let slabs = manifest.segments.iter().filter(|segment| segment.kind == SegmentKind::Pixels);
    let raw: Vec<_> = slabs.map(|segment| segment.raw_bytes).collect();
    let (whole, rest) = (699 * 3000, (1501 - 2 * 699) * 3000);
    assert_eq!(raw, [whole, whole, rest, whole, whole, rest]);
}

#[test]
fn order_is_headers_first_and_by_instance_number() {
    let layout = image(160, 160, 1, 1, 16);
    let given: Vec<_> =
        [3, 1, 2].map(|number| explicit(number, &layout, &pixels(51_200, number as usize))).into();
    let (manifest, _, _) = assert_round_trip(&given);
    let instances: Vec<_> =
        manifest.series[0].instances.iter().map(|i| i.sop_instance.as_ref().unwrap().as_str()).collect();
    assert_eq!(instances, ["1.2.3.1", "1.2.3.2", "1.2.3.3"]);
    let kinds: Vec<_> = manifest.segments.iter().map(|segment| segment.kind).collect();
    let (pixels, first) = (SegmentKind::Pixels, [SegmentKind::Headers, SegmentKind::Model]);
    assert_eq!(kinds, [first.as_slice(), &[SegmentKind::Coarse; 3], &[pixels; 3]].concat());
}

#[test]
fn small_series_go_without_a_model() {
    let layout = image(16, 16, 1, 1, 16);
    let given: Vec<_> =
        (0..3).map(|number| explicit(number, &layout, &pixels(512, number as usize))).collect();
    let (manifest, _, _) = assert_round_trip(&given);
    assert!(manifest.segments.iter().all(|segment| segment.kind != SegmentKind::Model));
    assert_eq!(manifest.segments.iter().filter(|segment| segment.kind == SegmentKind::Pixels).count(), 1 + 2);
}

#[test]
fn graphics_go_without_a_model_and_photographs_do_not() {
    let layout = image(320, 300, 1, 1, 8);
    let of = |pixel: fn(usize) -> usize| (0..320 * 300).map(|place| pixel(place) as u8).collect::<Vec<_>>();
    let has_model = |pixels: &[u8]| {
        let (manifest, ..) = assert_round_trip(&[explicit(1, &layout, pixels), explicit(2, &layout, pixels)]);
        manifest.segments.iter().any(|segment| segment.kind == SegmentKind::Model)
    };
    assert!(!has_model(&of(|place| place % 320 / 20 * (place / 320 / 15) % 11 * 20)));
    assert!(has_model(&of(|place| place % 320 / 4
        + place / 320 / 3
        + place.wrapping_mul(2_654_435_761) % 7)));
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let layout = image(300, 300, 1, 1, 16);
    let given: Vec<_> = (0..60).map(|n| explicit(n, &layout, &pixels(180_000, n as usize))).collect();
    let files = [1, 2, 7].map(|threads| packed(&sources(&given), threads).unwrap().2);
    assert!(files[0] == files[1] && files[1] == files[2]);
}

#[test]
fn headers_of_a_series_nearly_vanish() {
    let layout = image(8, 8, 1, 1, 16);
    let given: Vec<_> = (0..500).map(|n| explicit(n, &layout, &pixels(128, n as usize))).collect();
    let (manifest, summary, _) = assert_round_trip(&given);
    assert!(manifest.segments.iter().filter(|s| s.kind == SegmentKind::Headers).count() > 1);
    assert!(summary.coded_header_bytes < summary.header_bytes / 50, "{summary:?}");
}

#[test]
fn change_on_disk_is_found() {
    let layout = image(8, 8, 1, 1, 16);
    let given: Vec<_> = (0..3).map(|n| explicit(n, &layout, &pixels(128, n as usize))).collect();
    let mut rotten = sources(&given);
    rotten[1].sha256.as_mut().unwrap()[0] ^= 1;
    assert!(matches!(packed(&rotten, 1), Err(PackError::SourceChanged { index: 1 })));
    let mut short = sources(&given);
    short[2].bytes += 1;
    assert!(matches!(packed(&short, 1), Err(PackError::SourceChanged { index: 2 })));
}

#[test]
fn empty_study_is_a_bundle() {
    assert_round_trip(&[]);
}

#[test]
fn damaged_file_is_not_a_bundle() {
    let (_, _, file) = assert_round_trip(&[explicit(1, &image(8, 8, 1, 1, 16), &pixels(128, 1))]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    let foot = file.len() - 20;
    let damages: [fn(&mut Vec<u8>, usize); 6] = [
        |file, _| file.truncate(10),
        |file, _| file.truncate(file.len() - 1),
        |file, _| file[0] ^= 1,
        |file, foot| file[foot] ^= 0x40,
        |file, foot| file[foot + 8] ^= 1,
        |file, foot| file[foot - 44 + 7] ^= 0x80,
    ];
    for damage in damages {
        let mut damaged = file.clone();
        damage(&mut damaged, foot);
        std::fs::write(&path, &damaged).unwrap();
        let error = BundleFile::open(&path).err().expect("damage found");
        assert!(matches!(error.kind(), io::ErrorKind::InvalidData), "{error}");
    }
    let mut damaged = file;
    damaged[13] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let mut bundle = BundleFile::open(&path).unwrap();
    let numbers = 0..bundle.segment_lengths().len() as u32;
    assert_eq!(numbers.filter(|number| bundle.segment(*number).is_err()).count(), 1);
}

#[test]
fn manifest_that_lies_is_refused() {
    let given = [explicit(1, &image(190, 190, 1, 1, 16), &pixels(72_200, 1)), (pixels(3 << 20, 2), EXPLICIT)];
    let (_, _, file) = assert_round_trip(&given);
    let (manifest, _) = segments(&file);
    assert!(super::manifest::check(&manifest).is_ok());
    let pixel = manifest.segments.iter().position(|s| s.kind == SegmentKind::Pixels).unwrap();
    assert_eq!((pixel, manifest.series[0].instances[0].head_bytes > 0), (3, true));
    let lies: [fn(&mut Manifest); 20] = [
        |m| m.series[0].instances[0].head_bytes += 1,
        |m| m.series[0].instances[0].tail_bytes = u64::MAX,
        |m| m.series[0].instances[0].bulk_bytes += 2,
        |m| m.series[0].instances[0].image.as_mut().unwrap().rows = u16::MAX,
        |m| m.series[0].instances[0].image.as_mut().unwrap().frames = u32::MAX,
        |m| m.series[0].instances[0].sha256.push('0'),
        |m| m.series[0].instances[0].name = Some("../outside".into()),
        |m| m.segments[1].raw_bytes = 1 << 40,
        |m| m.segments[1].kind = SegmentKind::Opaque,
        |m| m.segments[1].series = 1,
        |m| m.segments[2].raw_bytes = 1 << 40,
        |m| m.segments[2].kind = SegmentKind::Opaque,
        |m| m.segments[2].instance = 1,
        |m| m.segments[3].raw_bytes = 1 << 40,
        |m| m.segments[3].kind = SegmentKind::Coarse,
        |m| m.segments[3].instance = 1,
        |m| m.segments.swap(2, 3),
        |m| m.segments.insert(1, m.segments[1].clone()),
        |m| m.segments.push(m.segments[0].clone()),
        |m| m.segments.swap(0, 1),
    ];
    for (number, lie) in lies.iter().enumerate() {
        let mut lying = manifest.clone();
        lie(&mut lying);
        assert!(matches!(super::manifest::check(&lying), Err(UnpackError::Damaged { .. })), "lie {number}");
    }
}

#[test]
fn frames_that_lie_are_refused() {
    let given = [(encapsulated(1, &image(64, 48, 2, 3, 8), &[100, 200]), JPEG_BASELINE)];
    let (_, _, file) = assert_round_trip(&given);
    let (manifest, _) = segments(&file);
    let lies: [fn(&mut Carried); 5] = [
        |carried| carried.chunks[0] = 2,
        |carried| carried.chunks = vec![2, 0],
        |carried| carried.chunks = vec![2],
        |carried| carried.image.frames = 3,
        |carried| (carried.image.rows, carried.image.columns) = (u16::MAX, u16::MAX),
    ];
    for (number, lie) in lies.iter().enumerate() {
        let mut lying = manifest.clone();
        lie(lying.series[0].instances[0].carried.as_mut().unwrap());
        assert!(matches!(super::manifest::check(&lying), Err(UnpackError::Damaged { .. })), "lie {number}");
    }
}

#[test]
fn unknown_format_asks_for_an_update() {
    let frame = zstd::bulk::compress(br#"{"format":2,"anything":"else"}"#, 1).unwrap();
    let read = read_manifest(&mut Segments(vec![frame]));
    assert!(matches!(read, Err(UnpackError::UnknownFormat { format: 2 })));
}

#[test]
fn manifest_bomb_is_refused() {
    let bomb = zstd::bulk::compress(&vec![b' '; crate::limits::MANIFEST_BYTES_MAX + 1], 1).unwrap();
    assert!(bomb.len() < 100_000);
    assert!(matches!(read_manifest(&mut Segments(vec![bomb])), Err(UnpackError::Damaged { .. })));
}

#[test]
fn header_bomb_is_refused() {
    let (manifest, _, file) = assert_round_trip(&[explicit(1, &image(8, 8, 1, 1, 16), &pixels(128, 1))]);
    let (_, mut segments) = segments(&file);
    segments.0[1] = zstd::bulk::compress(&vec![0; 256 << 20], 1).unwrap();
    let mut lying = manifest;
    lying.segments[0].coded_bytes = segments.0[1].len() as u64;
    assert!(matches!(unpacked(&lying, &mut segments), Err(UnpackError::Damaged { .. })));
}

#[test]
fn names_stay_in_their_folder() {
    for name in ["a", "a/b.dcm", "ä/日本.dcm", "10:20", ".hidden", "...", "a b"] {
        assert!(is_safe_name(name), "{name}");
    }
    let long = "a".repeat(5000);
    for name in
        ["", "/", "/a", "a/", "..", "a/../b", ".", "./a", "a//b", "a\\b", "C:/a", "c:", "a\0", "a\nb", &long]
    {
        assert!(!is_safe_name(name), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_segments_never_panic(places in prop::collection::vec((any::<u16>(), any::<u16>(), 1..=u8::MAX), 1..6)) {
        let layout = image(20, 20, 1, 1, 16);
        let given: Vec<_> = (0..3).map(|n| explicit(n, &layout, &pixels(800, n as usize))).collect();
        let (manifest, _, file) = packed(&sources(&given), 1).unwrap();
        let (_, mut segments) = segments(&file);
        let whole = segments.0.clone();
        for (segment, place, bits) in places {
            let number = usize::from(segment) % segments.0.len();
            let bytes = &mut segments.0[number];
            let place = usize::from(place) % bytes.len().max(1);
            bytes.get_mut(place).into_iter().for_each(|byte| *byte ^= bits);
        }
        let _ = read_manifest(&mut segments);
        let result = unpacked(&manifest, &mut segments);
        if segments.0[1..] != whole[1..] {
            // A flipped bit may lie in padding; then the bytes are right all the same.
            if let Ok(back) = result {
                let expected: Vec<_> = given.iter().map(|(bytes, _)| bytes.clone()).collect();
                prop_assert_eq!(back, expected);
            }
        }
    }
}

#[test]
fn the_senders_note_lies_in_the_manifest_and_in_nothing_that_is_printed() {
    const WORDS: &str = "患者は山田さん: stroke?\u{202e}";
    let given = [(Data::new(Encoding::ExplicitLittle).identity(1).bytes, EXPLICIT)];
    let note = Note::new(crate::Phi::new(WORDS.to_owned()));
    let options = Options { note, ..Options::lossless(1) };
    let mut file = Vec::new();
    pack(&sources(&given), &mut file, &options, &mut |_| ()).unwrap();
    let (manifest, _) = segments(&file);
    assert_eq!(manifest.note.as_ref().unwrap().expose_for(crate::Purpose::Show), WORDS);
    assert!(!format!("{manifest:?} {}", serde_json::to_string(&manifest).unwrap()).contains("stroke"));
    let (_, _, without) = packed(&sources(&given), 1).unwrap();
    assert!(segments(&without).0.note.is_none());
}

/// The last components of the SOP Instance UIDs of a series, as they lie in the bundle.
fn numbers(series: &Series) -> Vec<String> {
    let uids = series.instances.iter().map(|instance| instance.sop_instance.as_ref().unwrap().as_str());
    uids.map(|uid| uid.rsplit('.').next().unwrap().to_owned()).collect()
}

/// A key object that names instances, with its title.
fn key_object(title: &str, uids: &[&str]) -> Vec<u8> {
    let named = uids.iter().fold(Vec::new(), |mut bytes, uid| {
        let item = Data::new(Encoding::ExplicitLittle)
            .element(0x0008_1150, "UI", b"1.2.840.10008.5.1.4.1.1.4\0")
            .element(0x0008_1155, "UI", crate::dataset::sample::even((*uid).to_owned(), b'\0').as_bytes());
        bytes.extend([0xFE, 0xFF, 0x00, 0xE0]);
        bytes.extend((item.bytes.len() as u32).to_le_bytes());
        bytes.extend(item.bytes);
        bytes
    });
    Data::new(Encoding::ExplicitLittle)
        .element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.88.59\0")
        .element(0x0008_0018, "UI", b"1.2.3.999\0")
        .element(0x0008_0060, "CS", b"KO")
        .element(0x0008_0100, "SH", title.as_bytes())
        .element(0x0020_000D, "UI", b"1.2.3\0")
        .element(0x0020_000E, "UI", b"1.2.7\0")
        .element(0x0040_A375, "SQ", &named)
        .bytes
}

#[test]
fn key_images_and_their_series_come_first_marked_or_named_and_all_come_back() {
    let layout = image(64, 64, 1, 1, 16);
    let slices = (1..=9)
        .map(|number| slice(number, &layout, &pixels(8192, number as usize), Encoding::ExplicitLittle));
    let other = Data::new(Encoding::ExplicitLittle).element(0x0008_0018, "UI", b"1.2.9.1\0").element(
        0x0020_000E,
        "UI",
        b"1.2.9\0",
    );
    let report = (other.image(&layout).element(0x7FE0_0010, "OW", &pixels(8192, 3)).bytes, EXPLICIT);
    let all: Vec<Given> = std::iter::once(report).chain(slices.map(|slice| (slice, EXPLICIT))).collect();
    let (manifest, ..) = assert_round_trip(&all);
    assert_eq!(manifest.series.iter().map(|series| series.key_images).collect::<Vec<_>>(), [0, 0]);
    let packed_with = |given: &[Given], marked: &[&str]| {
        let key_images = marked.iter().map(|uid| Uid::parse(uid).unwrap()).collect();
        let mut file = Vec::new();
        pack(&sources(given), &mut file, &Options { key_images, ..Options::lossless(2) }, &mut |_| ())
            .unwrap();
        segments(&file)
    };
    let (manifest, mut parts) = packed_with(&all, &["1.2.3.7", "1.2.3.4", "1.2.3.77"]);
    let [first, second] = &manifest.series[..] else { panic!() };
    assert_eq!((first.key_images, second.key_images), (2, 0));
    assert_eq!(numbers(first), ["4", "7", "1", "2", "3", "5", "6", "8", "9"]);
    let pixels_of = |kind| manifest.segments.iter().filter(move |s| s.kind == kind);
    let leading: Vec<_> = pixels_of(SegmentKind::Pixels).take(2).map(|s| (s.series, s.instance)).collect();
    assert_eq!(leading, [(0, 0), (0, 1)], "their pixels are mailed first");
    let mut back = unpacked(&manifest, &mut parts).unwrap();
    let mut expected: Vec<_> = all.iter().map(|(bytes, _)| bytes.clone()).collect();
    back.sort();
    expected.sort();
    assert!(back == expected, "bytes differ");
    // A key object says it too, but not one of what is rejected.
    let with =
        |title: &str| [all.clone(), vec![(key_object(title, &["1.2.3.8", "1.2.3.2"]), EXPLICIT)]].concat();
    let (manifest, _) = packed_with(&with("113000"), &[]);
    assert_eq!(
        (manifest.series[0].key_images, &numbers(&manifest.series[0])[..3]),
        (2, &["2", "8", "1"].map(String::from)[..])
    );
    let (manifest, _) = packed_with(&with("113037"), &[]);
    assert!(manifest.series.iter().all(|series| series.key_images == 0));
    let mut lying = packed_with(&all, &["1.2.3.7"]).0;
    lying.series[0].key_images = 10;
    assert!(manifest::check(&lying).is_err());
}
