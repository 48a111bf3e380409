#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::super::*;
use crate::dataset::Encoding;
use crate::dataset::sample::Writer as Data;
use crate::pixels;
use sha2::{Digest, Sha256};

const SIDE: usize = 96;

/// A noisy slice of values from 0 up, `seed` makes it one of its own.
fn slice(seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..SIDE * SIDE)
        .flat_map(|place| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bright = if place % SIDE > SIDE / 3 { 600 } else { 60 };
            ((bright + (state >> 33) % 50) as u16).to_le_bytes()
        })
        .collect()
}

fn data_set(number: i32, image_type: &[u8], pixels: &[u8]) -> Vec<u8> {
    let layout = ImageLayout { bits_stored: 12, ..ImageLayout::new(SIDE as u16, SIDE as u16, 1, 16) };
    Data::new(Encoding::ExplicitLittle)
        .element(0x0008_0008, "CS", image_type)
        .identity(number)
        .element(0x0028_0004, "CS", b"MONOCHROME2 ")
        .image(&layout)
        .element(0x7FE0_0010, "OW", pixels)
        .bytes
}

fn source(bytes: Vec<u8>) -> Source<'static> {
    Source::of_bytes(bytes, Uid::parse("1.2.840.10008.1.2.1").unwrap())
}

fn packed(image_type: &[u8], near: Near, residual: bool, threads: usize) -> (Manifest, Vec<u8>) {
    let sources: Vec<_> =
        (0..9).map(|number| source(data_set(number, image_type, &slice(number as u64)))).collect();
    let mut file = Vec::new();
    let options = Options { threads, near, residual, ..Options::lossless(1) };
    let (manifest, summary) = pack(&sources, &mut file, &options, &mut |_| {}).unwrap();
    assert_eq!(summary.max_error, manifest.series[0].max_error);
    (manifest, file)
}

fn segments(file: &[u8]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    std::fs::write(&path, file).unwrap();
    let mut bundle = BundleFile::open(&path).unwrap();
    read_manifest(&mut bundle).unwrap();
    (0..bundle.segment_lengths().len() as u32).map(|number| bundle.segment(number).unwrap()).collect()
}

#[test]
fn every_voxel_is_within_the_bound_and_the_residual_gives_it_back() {
    let (manifest, file) = packed(b"ORIGINAL\\PRIMARY\\M", Near::Auto(Policy::default()), true, 2);
    let series = &manifest.series[0];
    // 0.25 of s20, which is about 13.3 for an even distribution over 50 values.
    assert_eq!((series.near, series.max_error, series.reason.as_deref()), (3, 3, Some("by its noise")));
    let coded = segments(&file);
    let of = |kind| {
        let numbered = (1..).zip(&manifest.segments);
        numbered.filter(move |(_, s)| s.kind == kind).map(|(n, s)| (s, &coded[n])).collect::<Vec<_>>()
    };
    let (segment, bytes) = of(SegmentKind::Model)[0];
    let model = pixels::unpack_chunk(bytes, segment.raw_bytes as usize).unwrap();
    let model = pixels::Model::read(&model).unwrap();
    let (slabs, residuals) = (of(SegmentKind::Pixels), of(SegmentKind::Residual));
    assert_eq!((slabs.len(), residuals.len()), (9, 9));
    assert!(manifest.segments[manifest.segments.len() - 9..].iter().all(|s| s.kind == SegmentKind::Residual));
    let (mut largest, mut squares) = (0, 0.0);
    let coarse = of(SegmentKind::Coarse);
    assert_eq!(coarse.len(), 9);
    let shape = |number: usize| {
        let layout = series.instances.get(number)?.image?;
        pixels::whole_frame(&layout, slice(number as u64).len())
    };
    let mut decoded = vec![Vec::new(); 9];
    for number in (0..9).step_by(2).chain((1..9).step_by(2)) {
        let references = pixels::references(number, shape).into_iter().flatten();
        let references = references.filter(|_| model.uses_references());
        let references: Vec<&[u8]> = references.map(|number| decoded[number].as_slice()).collect();
        let (layout, bytes) = (series.instances[number].image.unwrap(), slice(number as u64).len());
        let [coarse, fine] = [coarse[number].1, slabs[number].1];
        decoded[number] =
            pixels::decode_slab(&layout, coarse, fine, Some(&model), &references, bytes).unwrap();
    }
    for (((segment, _), (_, residual)), shown) in slabs.iter().zip(&residuals).zip(&decoded) {
        let instance = &series.instances[segment.instance as usize];
        let layout = instance.image.unwrap();
        let raw = slice(segment.instance.into());
        let mut shown = shown.clone();
        let digest = super::super::manifest::hex(&Sha256::digest(&shown));
        assert_eq!(instance.decoded_sha256.as_ref(), Some(&digest));
        for (before, after) in raw.chunks(2).zip(shown.chunks(2)) {
            let value = |pair: &[u8]| i32::from(u16::from_le_bytes([pair[0], pair[1]]));
            let error = value(before).abs_diff(value(after));
            largest = largest.max(error);
            squares += f64::from(error).powi(2);
        }
        pixels::add_residual(&layout, &mut shown, residual).unwrap();
        assert!(shown == raw);
    }
    assert_eq!((series.max_error, series.rmse), (largest, (squares / (9 * SIDE * SIDE) as f64).sqrt()));
    let coded_bytes: usize =
        slabs.iter().chain(&coarse).map(|(_, b)| b.len()).sum::<usize>() + of(SegmentKind::Model)[0].1.len();
    assert_eq!(series.ratio, Some((9 * SIDE * SIDE * 2) as f64 / coded_bytes as f64));
}

#[test]
fn bounded_bytes_do_not_depend_on_threads() {
    let file = |threads| packed(b"ORIGINAL\\PRIMARY\\M", Near::Fixed(2), true, threads).1;
    let one = file(1);
    assert!(one == file(2) && one == file(7));
}

#[test]
fn a_map_comes_without_loss_and_says_why() {
    let (manifest, file) = packed(b"DERIVED\\PRIMARY\\ADC ", Near::Fixed(9), true, 1);
    let series = &manifest.series[0];
    assert_eq!((series.near, series.max_error, series.ratio), (0, 0, None));
    assert_eq!(series.reason.as_deref(), Some("map, difference or graphics by image type"));
    assert!(series.instances.iter().all(|instance| instance.decoded_sha256.is_none()));
    assert!(manifest.segments.iter().all(|segment| segment.kind != SegmentKind::Residual));
    segments(&file);
}

#[test]
fn residual_that_is_not_of_the_slabs_is_refused() {
    let (manifest, _) = packed(b"ORIGINAL\\PRIMARY\\M", Near::Fixed(2), true, 1);
    let check = super::super::manifest::check;
    assert!(check(&manifest).is_ok());
    let lies: [fn(&mut Manifest); 6] = [
        |m| m.segments.truncate(m.segments.len() - 1),
        |m| m.series[0].near = 0,
        |m| m.segments.last_mut().unwrap().instance = 3,
        |m| m.segments.last_mut().unwrap().raw_bytes += 1,
        |m| m.segments.last_mut().unwrap().coded_bytes = 1 << 40,
        |m| m.series[0].instances[1].decoded_sha256 = Some("no digest".into()),
    ];
    for (number, lie) in lies.iter().enumerate() {
        let mut lying = manifest.clone();
        lie(&mut lying);
        assert!(check(&lying).is_err(), "lie {number}");
    }
    let mut cut = manifest;
    cut.segments.retain(|segment| segment.kind != SegmentKind::Residual);
    assert!(check(&cut).is_ok());
}
