//! Bundles with a bound: what comes out is marked, referred to rightly, and exact where the residual is there.

use super::*;
use crate::dataset::{Outline, outline};
use crate::derive::derived_uid;

const IMPLICIT: &str = "1.2.840.10008.1.2";
const NEAR: u16 = 3;
const SIDE: u16 = 64;

/// One instance that came out: its UID as announced, and its bytes.
type Out = (Option<Uid>, Vec<u8>);

fn bounded(sources: &[Source<'_>], residual: bool) -> (Manifest, Segments) {
    let mut file = Vec::new();
    let options = Options { threads: 2, near: Near::Fixed(NEAR), residual, ..Options::lossless(1) };
    pack(sources, &mut file, &options, &mut |_| {}).unwrap();
    segments(&file)
}

fn taken(
    manifest: &Manifest,
    segments: &mut Segments,
    wanted: Wanted,
) -> Result<(Vec<Out>, Unpacked), UnpackError> {
    let mut sinks: Vec<(Option<Uid>, Sink)> = Vec::new();
    let unpacked = unpack(manifest, segments, wanted, 2, &mut |unpacking| {
        sinks.push((unpacking.sop_instance.clone(), Sink::default()));
        Ok(Box::new(sinks.last().unwrap().1.clone()))
    })?;
    Ok((sinks.into_iter().map(|(uid, sink)| (uid, sink.0.take())).collect(), unpacked))
}

fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let samples = (0..u32::from(SIDE) * u32::from(SIDE)).flat_map(|place| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (600 + (place % 64) as u16 * 3 + (state % 40) as u16).to_le_bytes()
    });
    samples.collect()
}

/// Elements of an MR image of the main job, so that nothing keeps its bound at 0.
fn mr(number: i32, value: &[u8], encoding: Encoding) -> Vec<u8> {
    Data::new(encoding)
        .element(0x0008_0008, "CS", b"ORIGINAL\\PRIMARY\\M\\ND ")
        .identity(number)
        .number(0x0028_0002, 1)
        .element(0x0028_0004, "CS", b"MONOCHROME2 ")
        .number(0x0028_0010, SIDE)
        .number(0x0028_0011, SIDE)
        .number(0x0028_0100, 16)
        .number(0x0028_0101, 12)
        .number(0x0028_0102, 11)
        .number(0x0028_0103, 0)
        .element(0x7FE0_0010, "OW", value)
        .bytes
}

/// A key object that refers to the series and to one of its images.
fn key_object(image: &str, note: &[u8]) -> Vec<u8> {
    let data = |bytes: Vec<u8>, tag, vr| Data::new(Encoding::ExplicitLittle).element(tag, vr, &bytes).bytes;
    let uid = |tag, uid: &str| data(crate::dataset::sample::even(uid.into(), b'\0').into_bytes(), tag, "UI");
    let item = |content: Vec<u8>| data(content, 0xFFFE_E000, "");
    let images = data(item(uid(0x0008_1155, image)), 0x0008_1199, "SQ");
    let series = data(item([images, uid(0x0020_000E, "1.2.3.4")].concat()), 0x0008_1115, "SQ");
    Data::new(Encoding::ExplicitLittle)
        .element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.88.59\0")
        .element(0x0008_0018, "UI", b"1.2.9.9\0")
        .element(0x0008_0060, "CS", b"KO")
        // Rejected for the patient's safety: what it names is no key image, and keeps its place.
        .element(0x0008_0100, "SH", b"113037")
        .element(0x0020_000D, "UI", b"1.2.3\0")
        .element(0x0020_000E, "UI", b"1.2.9\0")
        .element(0x0040_A375, "SQ", &item(series))
        .element(0x0040_DB73, "UT", note)
        .bytes
}

fn scan(bytes: &[u8], syntax: &str) -> Outline {
    let encoding = Encoding::of_transfer_syntax(&Uid::parse(syntax).unwrap());
    outline(&mut Cursor::new(bytes), bytes.len() as u64, encoding).unwrap()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|found| found == text.as_bytes())
}

fn study() -> Vec<Given> {
    let black = vec![0; usize::from(SIDE) * usize::from(SIDE) * 2];
    vec![
        (mr(1, &noise(1), Encoding::ExplicitLittle), EXPLICIT),
        (mr(2, &noise(2), Encoding::ExplicitLittle), EXPLICIT),
        (mr(3, &black, Encoding::ExplicitLittle), EXPLICIT),
        (key_object("1.2.3.2", b"short"), EXPLICIT),
    ]
}

fn largest_error(one: &[u8], other: &[u8]) -> u16 {
    let samples = |bytes: &[u8]| -> Vec<u16> {
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
    };
    let (one, other) = (samples(one), samples(other));
    assert_eq!(one.len(), other.len());
    one.iter().zip(&other).map(|(one, other)| one.abs_diff(*other)).max().unwrap()
}

#[test]
fn bounded_images_come_out_as_derived_ones() {
    let given = study();
    let (manifest, mut segments) = bounded(&sources(&given), false);
    assert_eq!((manifest.series[0].near, manifest.series[0].max_error), (3, 3));
    let (out, unpacked) = taken(&manifest, &mut segments, Wanted::Shown).unwrap();
    assert_eq!(unpacked, Unpacked { derived: 3, remapped: 1, unread: 0 });
    let first = scan(&out[0].1, EXPLICIT);
    for (number, (announced, bytes)) in out[..3].iter().enumerate() {
        let found = scan(bytes, EXPLICIT);
        assert_eq!(&found.sop_instance, announced);
        assert_eq!((&found.series, &found.study), (&first.series, &Some(Uid::parse("1.2.3").unwrap())));
        assert_ne!(found.series, manifest.series[0].series);
        let pixels = &bytes[found.bulk.unwrap().range.start as usize..];
        assert_eq!(pixels.len(), 8192);
        let came = &given[number].0[given[number].0.len() - 8192..];
        assert!(largest_error(pixels, came) <= NEAR);
        assert!(has(bytes, &format!("1.2.3.{}", number + 1)), "the source is named");
        assert_eq!(has(bytes, "SCANPOST_LATTICE"), number < 2, "black stays exact");
        let source = manifest.series[0].instances[number].sop_instance.as_ref().unwrap();
        if number < 2 {
            let digest: [u8; 32] = Sha256::digest(pixels).into();
            assert_eq!(found.sop_instance, Some(derived_uid(source, [&digest])));
        }
    }
    let note = &out[3].1;
    assert_eq!(out[3].0.as_ref().unwrap().as_str(), "1.2.9.9");
    assert!(
        has(note, out[1].0.as_ref().unwrap().as_str()) && has(note, first.series.as_ref().unwrap().as_str())
    );
    assert!(scan(note, EXPLICIT).series == Some(Uid::parse("1.2.9").unwrap()));
}

#[test]
fn what_lies_in_a_large_sequence_is_remapped_too() {
    let mut given = study();
    // The note makes the text the bulk value; then the sequence does.
    given[3].0 = key_object("1.2.3.1", &vec![b'x'; 70_000]);
    let mut nested = key_object("1.2.3.1", b"");
    let inner = key_object("1.2.3.2", &vec![b'y'; 70_000]);
    let items = Data::new(Encoding::ExplicitLittle).element(0xFFFE_E000, "", &inner).bytes;
    nested.extend(Data::new(Encoding::ExplicitLittle).element(0x0040_E000, "SQ", &items).bytes);
    given.push((nested, EXPLICIT));
    let (manifest, mut segments) = bounded(&sources(&given), false);
    let (out, unpacked) = taken(&manifest, &mut segments, Wanted::Shown).unwrap();
    assert_eq!(unpacked, Unpacked { derived: 3, remapped: 2, unread: 0 });
    for (_, bytes) in &out[3..] {
        assert!(has(bytes, out[0].0.as_ref().unwrap().as_str()));
    }
    assert!(has(&out[4].1, out[1].0.as_ref().unwrap().as_str()));
    assert!(!has(&out[4].1, "1.2.3.2\0") && !has(&out[4].1, "1.2.3.1\0"));
}

#[test]
fn exact_needs_the_residual_and_gives_every_byte() {
    let mut given = study();
    given.push((mr(9, &noise(9), Encoding::ImplicitLittle), IMPLICIT));
    let (manifest, mut segments) = bounded(&sources(&given), false);
    assert!(matches!(taken(&manifest, &mut segments, Wanted::Exact), Err(UnpackError::NoResidual)));
    let (manifest, mut segments) = bounded(&sources(&given), true);
    let (out, unpacked) = taken(&manifest, &mut segments, Wanted::Exact).unwrap();
    assert_eq!(unpacked, Unpacked::default());
    let mut back: Vec<_> = out.into_iter().map(|(_, bytes)| bytes).collect();
    let mut expected: Vec<_> = given.into_iter().map(|(bytes, _)| bytes).collect();
    back.sort();
    expected.sort();
    assert!(back == expected);
    let (out, _) = taken(&manifest, &mut segments, Wanted::Shown).unwrap();
    assert!(has(&out[0].1, "SCANPOST_LATTICE"));
}

#[test]
fn a_bundle_cut_before_its_residual_is_joined_with_that_alone() {
    let mut given = study();
    let (manifest, mut whole) = bounded(&sources(&given), true);
    let first = manifest.first_residual();
    assert!(
        manifest.is_bounded() && manifest.has_residual() && manifest.all_segments() == whole.0.len() as u32
    );
    let count = manifest.all_segments() - first + 1;
    let part = |whole: &mut Segments| {
        let mut part = ResidualPart::new(whole, &manifest);
        Segments((0..count).map(|number| part.segment(number).unwrap()).collect())
    };
    let (expected, _) = taken(&manifest, &mut whole, Wanted::Exact).unwrap();
    let mut residual = part(&mut whole);
    let mut cut = Segments(whole.0[..first as usize].to_vec());
    let (shown, _) = taken(&manifest, &mut cut, Wanted::Shown).unwrap();
    assert!(has(&shown[0].1, "SCANPOST_LATTICE"));
    let mut joined = Joined::new(&mut cut, &manifest, &mut residual, count).unwrap();
    let mut sinks: Vec<Sink> = Vec::new();
    unpack(&manifest, &mut joined, Wanted::Exact, 2, &mut |_| {
        sinks.push(Sink::default());
        Ok(Box::new(sinks.last().unwrap().clone()))
    })
    .unwrap();
    let back: Vec<_> = sinks.into_iter().map(|sink| sink.0.take()).collect();
    assert!(back == expected.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>());

    given[0].0 = mr(1, &noise(7), Encoding::ExplicitLittle);
    let (_, mut other) = bounded(&sources(&given), true);
    let mut other = part(&mut other);
    let refused = |residual: &mut Segments, cut: &mut Segments, count| {
        matches!(Joined::new(cut, &manifest, residual, count), Err(UnpackError::OtherBundle))
    };
    assert!(refused(&mut other, &mut cut, count), "the manifest of another bundle");
    assert!(refused(&mut residual, &mut cut, count - 1), "a segment is not there");
}

#[test]
fn bounded_and_lossless_differ_in_name_and_versions_do_too() {
    let names = |count: usize| {
        let (manifest, mut segments) = bounded(&sources(&study()[..count]), false);
        let (out, _) = taken(&manifest, &mut segments, Wanted::Shown).unwrap();
        (out[0].0.clone(), scan(&out[0].1, EXPLICIT).series)
    };
    assert_eq!(names(3), names(3), "the same bundle gives the same names");
    assert_ne!(names(2).1, names(3).1, "another set of images is another series");
    let (manifest, _, file) = packed(&sources(&study()), 1).unwrap();
    let (_, mut segments) = segments(&file);
    let (out, unpacked) = taken(&manifest, &mut segments, Wanted::Shown).unwrap();
    assert_eq!((unpacked, &out[0].1), (Unpacked::default(), &study()[0].0));
}

#[test]
fn changed_pixels_and_changed_references_are_found() {
    let (manifest, mut segments) = bounded(&sources(&study()), false);
    for (series, instance, name) in [(0, 0, "image"), (0, 2, "exact image"), (1, 0, "key object")] {
        let mut lying = manifest.clone();
        let instance = &mut lying.series[series].instances[instance];
        let digest = instance.decoded_sha256.as_mut().unwrap_or(&mut instance.sha256);
        let other = if digest.starts_with('0') { "1" } else { "0" };
        digest.replace_range(..1, other);
        let taken = taken(&lying, &mut segments, Wanted::Shown);
        assert!(matches!(taken, Err(UnpackError::Damaged { .. })), "{name}");
    }
}

#[test]
fn whole_files_are_renamed_in_their_meta_group() {
    let meta = Data::new(Encoding::ExplicitLittle)
        .element(0x0002_0000, "UL", &68_u32.to_le_bytes())
        .element(0x0002_0002, "UI", b"1.2.840.10008.5.1.4.1.1.4\0")
        .element(0x0002_0003, "UI", b"1.2.3.1\0")
        .element(0x0002_0010, "UI", b"1.2.840.10008.1.2.1\0")
        .bytes;
    let file = [&[0; 128][..], b"DICM", &meta, &mr(1, &noise(1), Encoding::ExplicitLittle)].concat();
    let mut source = source(&file, EXPLICIT);
    (source.prefix_bytes, source.name) = (132 + meta.len() as u64, Some("a.dcm".into()));
    let (manifest, mut segments) = bounded(&[source], false);
    let (out, _) = taken(&manifest, &mut segments, Wanted::Shown).unwrap();
    let renamed = out[0].0.as_ref().unwrap().as_str();
    assert!(out[0].1.starts_with(&file[..132]));
    assert!(has(&out[0].1[..300], renamed));
    let read = dicom_object::from_reader(Cursor::new(&out[0].1)).unwrap();
    assert_eq!(read.meta().media_storage_sop_instance_uid(), renamed);
    assert_eq!(read.element_by_name("SOPInstanceUID").unwrap().to_str().unwrap(), renamed);
}

#[test]
fn deflated_instance_is_left_as_it_came_and_told() {
    let mut given = study();
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&key_object("1.2.3.1", b"deflated")).unwrap();
    given.push((encoder.finish().unwrap(), DEFLATED));
    let (manifest, mut segments) = bounded(&sources(&given), false);
    let (out, unpacked) = taken(&manifest, &mut segments, Wanted::Shown).unwrap();
    assert_eq!(unpacked, Unpacked { derived: 3, remapped: 1, unread: 1 });
    assert!(out.iter().any(|(_, bytes)| *bytes == given[4].0));
}

#[test]
fn what_cannot_be_marked_does_not_lose() {
    let mut unordered = Data::new(Encoding::ExplicitLittle).element(0x0028_2110, "CS", b"00").bytes;
    unordered.extend(mr(1, &noise(1), Encoding::ExplicitLittle));
    let (manifest, mut segments) = bounded(&sources(&[(unordered.clone(), EXPLICIT)]), false);
    assert_eq!((manifest.series[0].near, manifest.series[0].max_error), (0, 0));
    assert_eq!(manifest.series[0].reason.as_deref(), Some("header cannot be marked"));
    assert_eq!(taken(&manifest, &mut segments, Wanted::Shown).unwrap().0[0].1, unordered);
}

#[test]
fn padding_of_odd_pixels_stays_behind_them() {
    let layout = image(33, 33, 1, 1, 8);
    let value: Vec<u8> = noise(4).into_iter().take(33 * 33).chain([0xAB]).collect();
    let data = Data::new(Encoding::ExplicitLittle)
        .element(0x0008_0008, "CS", b"ORIGINAL\\PRIMARY\\M ")
        .identity(1)
        .element(0x0028_0004, "CS", b"MONOCHROME2 ")
        .image(&layout)
        .element(0x7FE0_0010, "OW", &value)
        .element(0x7FE1_0010, "LO", b"PRIVATE ");
    let (manifest, mut segments) = bounded(&sources(&[(data.bytes.clone(), EXPLICIT)]), true);
    assert_eq!(manifest.series[0].instances[0].tail_bytes, 1 + 16);
    let (out, unpacked) = taken(&manifest, &mut segments, Wanted::Shown).unwrap();
    assert_eq!(unpacked, Unpacked { derived: 1, remapped: 0, unread: 0 });
    assert!(out[0].1.ends_with(&data.bytes[data.bytes.len() - 17..]));
    assert_eq!(taken(&manifest, &mut segments, Wanted::Exact).unwrap().0[0].1, data.bytes);
}
