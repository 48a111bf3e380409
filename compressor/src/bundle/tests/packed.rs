//! Series packed before their study was known whole.

use super::*;

const SIDE: u16 = 64;

/// Noise about a mean, so that a bound has something to take.
fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (600 + state % 40) as u16
    };
    (0..u32::from(SIDE) * u32::from(SIDE)).flat_map(|_| next().to_le_bytes()).collect()
}

/// A series of so many MR images, with the digit that tells it from others.
fn series(digit: u8, images: u32) -> Vec<Given> {
    let one = |number: u32| {
        let data = Data::new(Encoding::ExplicitLittle)
            .element(0x0008_0008, "CS", b"ORIGINAL\\PRIMARY\\M\\ND ")
            .element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.4\0")
            .element(0x0008_0018, "UI", format!("1.2.{digit}.{number}\0").as_bytes())
            .element(0x0008_0060, "CS", b"MR")
            .element(0x0020_000D, "UI", b"1.2.3\0")
            .element(0x0020_000E, "UI", format!("1.2.{digit}\0").as_bytes())
            .element(0x0020_0013, "IS", format!("{number:02}").as_bytes())
            .number(0x0028_0002, 1)
            .element(0x0028_0004, "CS", b"MONOCHROME2 ")
            .number(0x0028_0010, SIDE)
            .number(0x0028_0011, SIDE)
            .number(0x0028_0100, 16)
            .number(0x0028_0101, 12)
            .number(0x0028_0102, 11)
            .number(0x0028_0103, 0);
        let value = noise(u32::from(digit) * 100 + number);
        (data.element(0x7FE0_0010, "OW", &value).bytes, EXPLICIT)
    };
    (1..=images).map(one).collect()
}

fn options(near: u16) -> Options {
    Options { near: Near::Fixed(near), residual: near > 0, ..Options::lossless(2) }
}

/// A bundle in memory.
fn reopened(file: &[u8]) -> Packed {
    Packed::new(BundleFile::read_from(Box::new(Cursor::new(file.to_vec()))).unwrap()).unwrap()
}

fn packed_alone(given: &[Given], near: u16) -> Packed {
    let mut file = Vec::new();
    pack(&sources(given), &mut file, &options(near), &mut |_| ()).unwrap();
    reopened(&file)
}

#[test]
fn series_packed_before_are_taken_over_as_if_they_had_not_been() {
    let series = [series(1, 5), series(2, 3), series(3, 4)];
    let all: Vec<Given> = series.iter().flatten().cloned().collect();
    let sources = sources(&all);
    for near in [0, 3] {
        let mut whole = Vec::new();
        let expected = pack(&sources, &mut whole, &options(near), &mut |_| ()).unwrap();
        let nears: Vec<_> = expected.0.series.iter().map(|series| series.near).collect();
        assert_eq!(nears, [u32::from(near); 3], "{:?}", expected.0.series[0].reason);
        // The third grew by an instance since it was packed.
        let parts = [&series[1][..], &series[0][..], &series[2][..3]];
        let mut before = parts.map(|part| packed_alone(part, near));
        let (mut file, mut told) = (Vec::new(), 0);
        let found =
            pack_with(&sources, &mut before, &mut file, &options(near), &mut |bytes| told = bytes).unwrap();
        assert!(found == expected);
        assert_eq!(told, found.1.source_bytes);
        assert_eq!(before.each_ref().map(Packed::taken_over), [1, 1, 0]);
        assert!(segments(&file).1.0 == segments(&whole).1.0, "every segment is the same");
    }
}

#[test]
fn an_order_that_changed_and_a_conflict_found_since_are_seen() {
    let given = series(1, 3);
    let mut before = [packed_alone(&given, 0)];
    let mut sources = sources(&given);
    sources[2].conflict = true;
    let pack_now = |sources: &[Source<'_>], before: &mut [Packed; 1], options: &Options| {
        pack_with(sources, before, &mut Vec::new(), options, &mut |_| ()).unwrap().0
    };
    let manifest = pack_now(&sources, &mut before, &options(0));
    let conflicts: Vec<_> = manifest.series[0].instances.iter().map(|instance| instance.conflict).collect();
    assert_eq!((conflicts, before[0].taken_over()), (vec![false, false, true], 1));
    let key_images = BTreeSet::from([Uid::parse("1.2.1.3").unwrap()]);
    let marked = pack_now(&sources, &mut before, &Options { key_images, ..options(0) });
    assert_eq!((marked.series[0].key_images, before[0].taken_over()), (1, 1), "packed anew");
}

#[test]
fn what_was_damaged_since_is_not_taken_over() {
    let given = series(1, 2);
    let (manifest, _, mut file) = packed(&sources(&given), 1).unwrap();
    let segments: u64 = manifest.segments.iter().map(|segment| segment.coded_bytes).sum();
    // The last byte in front of the manifest.
    file[11 + segments as usize] ^= 1;
    let taken =
        pack_with(&sources(&given), &mut [reopened(&file)], &mut Vec::new(), &options(0), &mut |_| ());
    assert!(matches!(taken, Err(PackError::Io(_))), "{taken:?}");
}
