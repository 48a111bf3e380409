#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod tree;

use super::*;
use crate::encapsulated::Syntax;
use crate::limits::{REWRITE_GROWTH_MAX, SEQUENCE_DEPTH_MAX};
use dicom_core::Tag;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::io::Cursor;
use tree::{Node, data_set, encode, leaf, sequence};

const NATIVE: [(Encoding, &str); 3] = [
    (Encoding::ImplicitLittle, "1.2.840.10008.1.2"),
    (Encoding::ExplicitLittle, "1.2.840.10008.1.2.1"),
    (Encoding::ExplicitBig, "1.2.840.10008.1.2.2"),
];
const OLD: &str = "1.2.3.4";
const OLD_SERIES: &str = "1.2.3";

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn renames() -> Renames {
    let mut renames = Renames::default();
    renames.add(&uid(OLD), uid("2.25.111111111111111111111111111111111111111"));
    renames.add(&uid(OLD_SERIES), uid("2.25.22"));
    renames
}

fn read(bytes: &[u8], syntax: &str) -> InMemDicomObject {
    use dicom_object::OpenFileOptions;
    let meta = dicom_object::FileMetaTableBuilder::new()
        .transfer_syntax(syntax)
        .media_storage_sop_class_uid("1.2")
        .media_storage_sop_instance_uid("1.2")
        .build()
        .unwrap();
    let mut file = [&[0; 128][..], b"DICM"].concat();
    meta.write(&mut file).unwrap();
    file.extend(bytes);
    (*OpenFileOptions::new().from_reader(Cursor::new(file)).unwrap()).clone()
}

fn text(object: &InMemDicomObject, group: u16, element: u16) -> String {
    object.element(Tag(group, element)).unwrap().to_str().unwrap().into_owned()
}

fn derivation<'a>(class: &'a Uid, instance: &'a Uid, renamed: &'a Uid, series: &'a Uid) -> Derivation<'a> {
    Derivation {
        source: Some((class, instance)),
        sop_instance: Some(renamed),
        series: Some(series),
        exact: false,
        near: 3,
        max_error: 2,
        rmse: 0.8164,
        ratio: Some(11.2345),
        reference_only: true,
        decompressed: None,
    }
}

/// Derives an image of these elements; its head ends with pixel data of 60 bytes.
fn derived(nodes: &[Node], encoding: Encoding, exact: bool) -> Result<Rewritten, Refused> {
    let head = [encode(nodes, encoding), pixel_head(encoding)].concat();
    let (class, instance, renamed, series) = (uid("1.2.840.1"), uid(OLD), uid("2.25.5"), uid("2.25.6"));
    let derivation = Derivation { exact, ..derivation(&class, &instance, &renamed, &series) };
    derive(&head, encoding, &derivation, &renames())
}

fn pixel_head(encoding: Encoding) -> Vec<u8> {
    let mut pixels = encode(&[leaf(0x7FE0_0010, "OW", &[0; 60])], encoding);
    pixels.truncate(pixels.len() - 60);
    pixels
}

fn image_nodes() -> Vec<Node> {
    vec![
        leaf(0x0008_0000, "UL", &[]),
        leaf(0x0008_0008, "CS", b"ORIGINAL\\PRIMARY\\M\\ND "),
        leaf(0x0008_0016, "UI", b"1.2.840.1\0"),
        leaf(0x0008_0018, "UI", b"1.2.3.4\0"),
        sequence(0x0008_1140, vec![vec![leaf(0x0008_1155, "UI", b"1.2.3.4\0")]]),
        leaf(0x0010_0010, "PN", b"Yamada^Tarou"),
        leaf(0x0020_000D, "UI", b"1.2.3\0"),
        leaf(0x0020_000E, "UI", b"1.2.3\0"),
        leaf(0x0020_0052, "UI", b"1.2.3\0"),
        leaf(0x0020_4000, "LT", b"seen by night"),
        leaf(0x0028_0000, "UL", &[]),
        leaf(0x0028_0106, "US", &[0, 0]),
        leaf(0x0028_2110, "CS", b"00"),
        leaf(0x0029_1010, "OB", &[7; 30]),
    ]
}

#[test]
fn derived_image_says_what_it_is() {
    for (encoding, syntax) in NATIVE {
        let new = derived(&image_nodes(), encoding, false).unwrap();
        assert_eq!((new.value_bytes, new.remapped, new.unread), (Some(60), 1, 0));
        let object = read(&[new.bytes, vec![0; 60]].concat(), syntax);
        assert_eq!(text(&object, 0x0008, 0x0008), "DERIVED\\PRIMARY\\M\\ND");
        assert_eq!(text(&object, 0x0008, 0x0018), "2.25.5");
        assert_eq!(text(&object, 0x0020, 0x000E), "2.25.6");
        assert_eq!(
            (text(&object, 0x0020, 0x000D), text(&object, 0x0020, 0x0052)),
            ("1.2.3".into(), "1.2.3".into())
        );
        let description = "Irreversibly compressed by the Scanpost lattice codec: near 3, largest error of the series 2, \
            RMSE 0.816, all in stored values. Reference only: compression ratio above the national ceiling.";
        assert_eq!(text(&object, 0x0008, 0x2111), description);
        let comments = "Reference only: compression ratio above the national ceiling.; seen by night";
        assert_eq!(text(&object, 0x0020, 0x4000), comments);
        assert_eq!(text(&object, 0x0028, 0x2110), "01");
        assert_eq!(text(&object, 0x0028, 0x2112), "11.23");
        assert_eq!(text(&object, 0x0028, 0x2114), METHOD);
        assert!(object.element_opt(Tag(0x0028, 0x0106)).unwrap().is_none());
        let source = &object.element(Tag(0x0008, 0x2112)).unwrap().items().unwrap()[0];
        assert_eq!(
            (text(source, 0x0008, 0x1150), text(source, 0x0008, 0x1155)),
            ("1.2.840.1".into(), OLD.into())
        );
        let purpose = &source.element(Tag(0x0040, 0xA170)).unwrap().items().unwrap()[0];
        assert_eq!(text(purpose, 0x0008, 0x0100), "121320");
        let code = &object.element(Tag(0x0008, 0x9215)).unwrap().items().unwrap()[0];
        assert_eq!((text(code, 0x0008, 0x0100), text(code, 0x0008, 0x0102)), ("113040".into(), "DCM".into()));
        let localizer = &object.element(Tag(0x0008, 0x1140)).unwrap().items().unwrap()[0];
        assert_eq!(text(localizer, 0x0008, 0x1155), "2.25.111111111111111111111111111111111111111");
    }
}

#[test]
fn group_lengths_stay_true() {
    for (encoding, _) in NATIVE {
        let new = derived(&image_nodes(), encoding, false).unwrap().bytes;
        let tags = tree::top_level(&new, encoding);
        for group in [0x0008, 0x0028] {
            let own: Vec<_> = tags.iter().filter(|(tag, _, _)| tag >> 16 == group).collect();
            let (first, last) = (own[0], own[own.len() - 1]);
            let length = &new[first.2 - 4..first.2];
            let length = if encoding == Encoding::ExplicitBig {
                u32::from_be_bytes(length.try_into().unwrap())
            } else {
                u32::from_le_bytes(length.try_into().unwrap())
            };
            assert_eq!(length as usize, last.2 - first.2, "{group:04x} {encoding:?}");
        }
        assert!(tags.windows(2).all(|pair| pair[0].0 < pair[1].0), "ascending");
    }
}

#[test]
fn history_is_kept() {
    let nodes = [
        leaf(0x0008_2111, "ST", b"cut"),
        sequence(0x0008_2112, vec![vec![leaf(0x0008_1155, "UI", b"9.9\0")]]),
        sequence(0x0008_9215, vec![vec![leaf(0x0008_0100, "SH", b"113072")]]),
        leaf(0x0028_2110, "CS", b"01"),
        leaf(0x0028_2112, "DS", b"5.0 "),
        leaf(0x0028_2114, "CS", b"ISO_10918_1 "),
    ];
    for undefined in [false, true] {
        for (encoding, syntax) in NATIVE {
            let nodes: Vec<_> = nodes.iter().map(|node| node.with_lengths(undefined)).collect();
            let new = derived(&nodes, encoding, false).unwrap();
            let object = read(&[new.bytes, vec![0; 60]].concat(), syntax);
            assert!(text(&object, 0x0008, 0x2111).starts_with("cut; Irreversibly"));
            assert_eq!(text(&object, 0x0028, 0x2112), "5.0\\11.23");
            assert_eq!(text(&object, 0x0028, 0x2114), "ISO_10918_1\\SCANPOST_LATTICE");
            let sources = object.element(Tag(0x0008, 0x2112)).unwrap().items().unwrap();
            assert_eq!((sources.len(), text(&sources[0], 0x0008, 0x1155)), (2, "9.9".into()));
            assert_eq!(object.element(Tag(0x0008, 0x9215)).unwrap().items().unwrap().len(), 2);
        }
    }
}

#[test]
fn exact_image_of_a_bounded_series_moves_but_claims_no_loss() {
    for (encoding, syntax) in NATIVE {
        let new = derived(&image_nodes(), encoding, true).unwrap();
        let object = read(&[new.bytes, vec![0; 60]].concat(), syntax);
        assert_eq!(text(&object, 0x0008, 0x0018), "2.25.5");
        assert_eq!(text(&object, 0x0020, 0x000E), "2.25.6");
        assert_eq!(text(&object, 0x0008, 0x0008), "ORIGINAL\\PRIMARY\\M\\ND");
        assert_eq!(text(&object, 0x0028, 0x2110), "00");
        assert!(text(&object, 0x0008, 0x2111).starts_with("Pixels equal"));
        assert!(object.element_opt(Tag(0x0028, 0x2114)).unwrap().is_none());
        assert!(object.element_opt(Tag(0x0028, 0x0106)).unwrap().is_some());
    }
}

#[test]
fn texts_fit_their_vr() {
    let long = [leaf(0x0008_2111, "ST", &[b'x'; 1000]), leaf(0x0020_4000, "LT", &[b'y'; 10_240])];
    let new = derived(&long, Encoding::ExplicitLittle, false).unwrap();
    let object = read(&[new.bytes, vec![0; 60]].concat(), NATIVE[1].1);
    assert!(text(&object, 0x0008, 0x2111).starts_with("Irreversibly"));
    assert!(text(&object, 0x0020, 0x4000).ends_with("ceiling."));
    assert!(METHOD.len() <= 16);
}

#[test]
fn frame_types_of_a_multi_frame_follow() {
    let frame = |name: &[u8]| leaf(0x0008_9007, "CS", name);
    let nodes =
        [sequence(0x5200_9229, vec![vec![sequence(0x0018_9226, vec![vec![frame(b"ORIGINAL\\PRIMARY ")]])]])];
    for (encoding, _) in NATIVE {
        let new = derived(&nodes, encoding, false).unwrap().bytes;
        assert!(new.windows(15).any(|bytes| bytes == b"DERIVED\\PRIMARY"));
        assert!(!new.windows(8).any(|bytes| bytes == b"ORIGINAL"));
        let exact = derived(&nodes, encoding, true).unwrap().bytes;
        assert!(exact.windows(8).any(|bytes| bytes == b"ORIGINAL"));
    }
}

#[test]
fn unordered_or_damaged_head_is_not_derivable() {
    let nodes = [leaf(0x0028_2110, "CS", b"00"), leaf(0x0008_0008, "CS", b"ORIGINAL\\PRIMARY ")];
    let head = [encode(&nodes, Encoding::ExplicitLittle), pixel_head(Encoding::ExplicitLittle)].concat();
    assert!(!is_derivable(&head, Encoding::ExplicitLittle, None));
    let head =
        [encode(&image_nodes(), Encoding::ExplicitLittle), pixel_head(Encoding::ExplicitLittle)].concat();
    assert!(is_derivable(&head, Encoding::ExplicitLittle, None));
    assert!(!is_derivable(&head[..head.len() - 1], Encoding::ExplicitLittle, None));
    assert!(!is_derivable(&head[..head.len() - 12], Encoding::ExplicitLittle, None));
    assert!(!is_derivable(&head, Encoding::Deflated, None));
    assert!(!is_derivable(&[], Encoding::ExplicitLittle, None));
}

#[test]
fn own_names_and_texts_are_no_references() {
    let nodes = [
        leaf(0x0008_0018, "UI", b"1.2.3.4\0"),
        leaf(0x0020_000D, "UI", b"1.2.3\0"),
        leaf(0x0020_000E, "UI", b"1.2.3\0"),
        leaf(0x0020_0052, "UI", b"1.2.3\0"),
        leaf(0x0029_1010, "OB", b"1.2.3.4\0"),
    ];
    for (encoding, _) in NATIVE {
        let bytes = encode(&nodes, encoding);
        let new = remap(&bytes, encoding, false, &renames()).unwrap();
        assert_eq!((new.bytes, new.remapped), (bytes, 0));
    }
    let texts = [leaf(0x0020_4000, "LT", b"1.2.3.4 ")];
    let bytes = encode(&texts, Encoding::ExplicitLittle);
    assert_eq!(remap(&bytes, Encoding::ExplicitLittle, false, &renames()).unwrap().bytes, bytes);
}

#[test]
fn several_uids_in_one_element_follow() {
    let bytes = encode(&[leaf(0x0008_0058, "UI", b"9.9\\1.2.3.4\\1.2.3\0")], Encoding::ExplicitLittle);
    let new = remap(&bytes, Encoding::ExplicitLittle, false, &renames()).unwrap();
    assert_eq!(new.remapped, 2);
    let object = read(&new.bytes, NATIVE[1].1);
    let expected = "9.9\\2.25.111111111111111111111111111111111111111\\2.25.22";
    assert_eq!(text(&object, 0x0008, 0x0058), expected);
}

#[test]
fn unknown_vr_is_read_as_implicit_little_endian() {
    // PS3.5 6.2.2: UN of undefined length, or of a length, around implicit items.
    let inner = encode(
        &[sequence(0x0008_1140, vec![vec![leaf(0x0008_1155, "UI", b"1.2.3.4\0")]])],
        Encoding::ImplicitLittle,
    );
    let items = &inner[8..];
    for big in [false, true] {
        let encoding = if big { Encoding::ExplicitBig } else { Encoding::ExplicitLittle };
        let bytes = encode(&[leaf(0x0029_1140, "UN", items)], encoding);
        let new = remap(&bytes, encoding, false, &renames()).unwrap();
        assert_eq!(new.remapped, 1);
        assert!(new.bytes.windows(8).any(|found| found == b"2.25.111"));
    }
}

#[test]
fn sequence_that_cannot_be_read_is_copied_and_told() {
    let damaged = leaf(0x0008_1140, "SQ", b"\xFE\xFF\x00\xE0\xFF\0\0\0damaged.");
    let nodes = [damaged, leaf(0x0008_1155, "UI", b"1.2.3.4\0")];
    let bytes = encode(&nodes, Encoding::ExplicitLittle);
    let new = remap(&bytes, Encoding::ExplicitLittle, false, &renames()).unwrap();
    assert_eq!((new.unread, new.remapped), (1, 1));
    assert!(new.bytes.windows(8).any(|found| found == b"damaged."));
}

#[test]
fn depth_is_limited() {
    let nest = |depth| {
        (0..depth)
            .fold(leaf(0x0008_1155, "UI", b"1.2.3.4\0"), |inner, _| sequence(0x0008_1140, vec![vec![inner]]))
    };
    let remapped = |depth, undefined| {
        let node = nest(depth).with_lengths(undefined);
        remap(&encode(&[node], Encoding::ExplicitLittle), Encoding::ExplicitLittle, false, &renames())
    };
    assert_eq!(remapped(SEQUENCE_DEPTH_MAX, false).unwrap().remapped, 1);
    assert_eq!(remapped(SEQUENCE_DEPTH_MAX, true).unwrap().remapped, 1);
    assert_eq!(remapped(SEQUENCE_DEPTH_MAX + 1, false).unwrap().remapped, 0);
    assert!(remapped(SEQUENCE_DEPTH_MAX + 1, true).is_err());
    let opened = b"\x08\x00\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF".repeat(100_000);
    assert!(remap(&opened, Encoding::ExplicitLittle, false, &renames()).is_err());
}

#[test]
fn growth_is_limited() {
    let mut renames = Renames::default();
    renames.add(&uid("1"), uid("2.25.111111111111111111111111111111111111111"));
    let short = leaf(0x0008_0058, "UI", "1\\".repeat(10_000).as_bytes());
    let nodes: Vec<_> = (0..40).map(|_| sequence(0x0008_1140, vec![vec![short.clone()]])).collect();
    let bytes = encode(&nodes, Encoding::ImplicitLittle);
    match remap(&bytes, Encoding::ImplicitLittle, false, &renames) {
        Err(Refused(reason)) => assert_eq!(reason, "more than a header may hold"),
        Ok(new) => panic!("{} bytes became {}", bytes.len(), new.bytes.len()),
    }
}

#[test]
fn uid_is_what_the_spec_says() {
    let digest: [u8; 32] = Sha256::digest(b"pixels").into();
    let hash = Sha256::digest([b"1.2.3.4\0".as_slice(), &digest].concat());
    let number = u128::from_be_bytes(hash[..16].try_into().unwrap());
    assert_eq!(derived_uid(&uid("1.2.3.4"), [&digest]).as_str(), format!("2.25.{number}"));
    assert_ne!(derived_uid(&uid("1.2.3.4"), [&digest, &digest]), derived_uid(&uid("1.2.3.4"), [&digest]));
    let longest = Uid::of_number("2.25.", u128::MAX);
    assert_eq!(Uid::parse(longest.as_str()), Ok(longest));
}

#[test]
fn first_of_two_with_one_name_is_followed() {
    let mut renames = Renames::default();
    renames.add(&uid("1.2"), uid("2.25.1"));
    renames.add(&uid("1.2"), uid("2.25.2"));
    assert_eq!(renames.value(b"1.2\0"), Some((b"2.25.1".to_vec(), 1)));
}

#[test]
fn meta_group_is_renamed() {
    let meta = encode(
        &[
            leaf(0x0002_0000, "UL", &[]),
            leaf(0x0002_0003, "UI", b"1.2.3.4\0"),
            leaf(0x0002_0010, "UI", b"1.2.840.10008.1.2.1\0"),
        ],
        Encoding::ExplicitLittle,
    );
    let data = encode(&image_nodes(), Encoding::ExplicitLittle);
    for preamble in [[&[0; 128][..], b"DICM"].concat(), vec![]] {
        let file = [&preamble, &meta, &data].map(Vec::as_slice).concat();
        let (front, rest) = split_file(&file);
        assert_eq!((front.len(), rest), (preamble.len() + meta.len(), data.as_slice()));
        let renamed = rename_file(front, Some(&uid("2.25.12345")), &uid("1.2.840.10008.1.2.1")).unwrap();
        let length = u32::from_le_bytes(renamed[preamble.len() + 8..preamble.len() + 12].try_into().unwrap());
        assert_eq!(length as usize, renamed.len() - preamble.len() - 12);
        assert!(renamed.windows(10).any(|found| found == b"2.25.12345"));
    }
    assert_eq!(rename_file(&[], Some(&uid("1.2")), &uid("1.2")).unwrap(), Vec::<u8>::new());
    assert_eq!(split_file(&data), (&[][..], data.as_slice()));
}

/// What dicom-rs reads of an object, but for these tags.
fn elements_but(object: &InMemDicomObject, left_out: &[u32]) -> Vec<String> {
    let kept = |element: &&InMemElement| {
        let tag = dicom_core::header::Header::tag(*element);
        !left_out.contains(&(u32::from(tag.0) << 16 | u32::from(tag.1)))
    };
    // As text: to dicom-rs, no undefined length is equal to another.
    object.iter().filter(kept).map(|element| format!("{element:?}")).collect()
}

/// The head of a compressed image becomes that of a native one; group length and extended offset table go.
#[test]
fn compressed_pixels_become_native_ones() {
    let encoding = Encoding::ExplicitLittle;
    let front = encode(&[leaf(0x0008_0018, "UI", b"1.2\0"), leaf(0x7FE0_0001, "OW", &[0; 8])], encoding);
    let undefined = b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF";
    let head = [&front[..], undefined].concat();
    let made = |bits_allocated, bytes| {
        let decompressed = Some(Decompressed { syntax: Syntax::JpegLs, bits_allocated, bytes });
        derive(&head, encoding, &Derivation { decompressed, ..Derivation::default() }, &renames())
    };
    let words = made(16, 60).unwrap();
    assert!(words.bytes.ends_with(b"\xE0\x7F\x10\0OW\0\0\x3C\0\0\0") && words.value_bytes.is_none());
    assert!(!words.bytes.windows(4).any(|tag| tag == b"\xE0\x7F\x01\0"));
    let description = b"codec, decoded from JPEG-LS lossless: near 0";
    assert!(words.bytes.windows(description.len()).any(|found| found == description));
    // Padded to an even length (PS3.5 8.1.1).
    assert!(made(8, 61).unwrap().bytes.ends_with(b"OB\0\0\x3E\0\0\0"));
    assert!(made(16, u32::MAX.into()).is_err() && made(16, u64::from(u32::MAX) - 1).is_ok());
    let native = [&front[..], b"\xE0\x7F\x10\0OW\0\0\x3C\0\0\0"].concat();
    let decompressed = Some(Decompressed { syntax: Syntax::JpegLs, bits_allocated: 16, bytes: 60 });
    assert!(!is_derivable(&native, encoding, decompressed) && is_derivable(&native, encoding, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The bytes are those of the same data set written with the new UIDs in the first place.
    #[test]
    fn remapping_is_writing_with_new_names(nodes in data_set(), which in 0..3_usize) {
        let (encoding, _) = NATIVE[which];
        let renames = renames();
        let bytes = encode(&nodes, encoding);
        let new = remap(&bytes, encoding, false, &renames).unwrap();
        let expected: Vec<_> = nodes.iter().map(|node| node.renamed(&renames, encoding, true)).collect();
        prop_assert_eq!(&new.bytes, &encode(&expected, encoding));
        prop_assert_eq!(new.unread, 0);
        prop_assert_eq!(new.remapped == 0, new.bytes == bytes);
        prop_assert_eq!(remap(&bytes, encoding, false, &Renames::default()).unwrap().bytes, bytes);
    }

    /// Another reader finds the same elements but the listed ones, in ascending order.
    #[test]
    fn deriving_changes_the_listed_elements_alone(nodes in data_set(), which in 0..3_usize) {
        let (encoding, syntax) = NATIVE[which];
        let head = [encode(&nodes, encoding), pixel_head(encoding)].concat();
        let (class, instance, renamed, series) = (uid("1.2.840.1"), uid("8.8"), uid("2.25.5"), uid("2.25.6"));
        let derivation = derivation(&class, &instance, &renamed, &series);
        let new = derive(&head, encoding, &derivation, &Renames::default()).unwrap();
        let listed = [
            0x0008_0008, 0x0008_0018, 0x0008_2111, 0x0008_2112, 0x0008_9215, 0x0020_000E, 0x0020_4000, 0x0028_0106,
            0x0028_2110, 0x0028_2112, 0x0028_2114, 0x0008_0000, 0x0020_0000, 0x0028_0000,
        ];
        let before = read(&[head.as_slice(), &[1; 60]].concat(), syntax);
        let after = read(&[new.bytes.as_slice(), &[1; 60]].concat(), syntax);
        prop_assert_eq!(elements_but(&before, &listed), elements_but(&after, &listed));
        let tags = tree::top_level(&new.bytes, encoding);
        prop_assert!(tags.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert_eq!(text(&after, 0x0008, 0x0018), "2.25.5");
    }

    #[test]
    fn hostile_bytes_neither_panic_nor_swell(
        nodes in data_set(),
        places in prop::collection::vec((any::<u16>(), any::<u8>()), 0..8),
        cut in 0..200_usize,
        which in 0..3_usize,
    ) {
        let (encoding, _) = NATIVE[which];
        let mut bytes = [encode(&nodes, encoding), pixel_head(encoding)].concat();
        bytes.truncate(bytes.len().saturating_sub(cut / 8));
        for (place, byte) in places {
            let length = bytes.len().max(1);
            if let Some(place) = bytes.get_mut(usize::from(place) % length) {
                *place = byte;
            }
        }
        let limit = bytes.len() * REWRITE_GROWTH_MAX + (200 << 10);
        let class = uid("1.2");
        let derivation = derivation(&class, &class, &class, &class);
        for result in [
            derive(&bytes, encoding, &derivation, &renames()),
            remap(&bytes, encoding, true, &renames()),
            remap(&bytes, encoding, false, &renames()),
        ] {
            prop_assert!(!result.is_ok_and(|new| new.bytes.len() > limit));
        }
        let _ = (may_refer(&bytes, encoding), rename_file(&bytes, Some(&class), &class), is_derivable(&bytes, encoding, None));
    }

    #[test]
    fn any_bytes_are_taken_without_panic(bytes: Vec<u8>) {
        for (encoding, _) in NATIVE {
            let _ = remap(&bytes, encoding, false, &renames());
        }
        let _ = (split_file(&bytes), rename_file(&bytes, None, &uid("1.2")));
    }
}
