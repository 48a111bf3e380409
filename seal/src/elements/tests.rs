//! Beside the `der` crate, which reads the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use der::asn1::{AnyRef, BitStringRef, IntRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Reader, SliceReader, Tag};
use proptest::prelude::*;
use x509_cert::time::Time;

/// Whether both take the same, and the same of it.
fn both<T: PartialEq + std::fmt::Debug>(ours: Option<T>, theirs: Option<T>) {
    assert_eq!(ours, theirs);
}

/// What we take is taken by both alike. The crate takes numbers and identifiers that are longer than they must be (X.690 8.3.2, 8.19.2).
fn within<T: PartialEq + std::fmt::Debug>(ours: Option<T>, theirs: Option<T>) {
    if ours.is_some() {
        assert_eq!(ours, theirs);
    }
}

fn whole<'a, T>(bytes: &'a [u8], read: impl FnOnce(&mut Elements<'a>) -> Option<T>) -> Option<T> {
    let mut elements = Elements::of(bytes);
    let read = read(&mut elements)?;
    elements.end(read)
}

fn compare(bytes: &[u8]) {
    let mut reader = SliceReader::new(bytes).unwrap();
    let any =
        AnyRef::decode(&mut reader).ok().map(|any| (any.value().to_vec(), u32::from(reader.remaining_len())));
    let mut elements = Elements::of(bytes);
    both(elements.element().map(|one| (one.value.to_vec(), elements.0.len() as u32)), any);
    within(whole(bytes, Elements::integer), IntRef::from_der(bytes).ok().map(|int| int.as_bytes()));
    both(whole(bytes, Elements::unsigned), UintRef::from_der(bytes).ok().map(|int| int.as_bytes()));
    let oid = ObjectIdentifier::from_der(bytes).ok();
    within(whole(bytes, Elements::oid), oid.as_ref().map(ObjectIdentifier::as_bytes));
    let bits = BitStringRef::from_der(bytes).ok();
    both(whole(bytes, Elements::bits), bits.and_then(|bits| bits.as_bytes()));
    let seconds = Time::from_der(bytes).ok().map(|time| time.to_unix_duration().as_secs() as i64);
    both(whole(bytes, |all| time(&all.element()?)), seconds);
}

/// With an element put in, left out, doubled, or exchanged with the next one, at every place and depth; all lengths around it agree.
pub(crate) fn edited(elements: &[u8]) -> Vec<Vec<u8>> {
    const CONSTRUCTED: u8 = 0x20;
    let (mut rest, mut children) = (Elements::of(elements), Vec::new());
    while let Some(child) = rest.element() {
        children.push(child);
    }
    let wholes: Vec<_> = children.iter().map(|child| child.whole).collect();
    let replaced = |places: std::ops::Range<usize>, new: &[&[u8]]| {
        [&wholes[..places.start], new, &wholes[places.end..]].concat().concat()
    };
    let mut all: Vec<_> = (0..=wholes.len()).map(|at| replaced(at..at, &[&[5, 0]])).collect();
    for (at, child) in children.iter().enumerate() {
        all.push(replaced(at..at + 1, &[]));
        all.push(replaced(at..at, &[child.whole]));
        if let Some(next) = wholes.get(at + 1).filter(|next| **next != child.whole) {
            all.push(replaced(at..at + 2, &[next, child.whole]));
        }
        if child.tag & CONSTRUCTED != 0 {
            let tag = Tag::try_from(child.tag).unwrap();
            let inner = edited(child.value).into_iter();
            all.extend(
                inner.map(|value| {
                    replaced(at..at + 1, &[&AnyRef::new(tag, &value).unwrap().to_der().unwrap()])
                }),
            );
        }
    }
    all
}

/// All of one and two bytes of value under every tag, and lengths in every form.
#[test]
fn short_elements_are_read_as_the_crate_reads_them() {
    for tag in 0..=255_u8 {
        compare(&[tag]);
        for (one, two) in (0..=255_u8).flat_map(|one| (0..=255_u8).map(move |two| (one, two))) {
            compare(&[tag, one, two]);
            if matches!(tag, INTEGER | BIT_STRING | OBJECT_IDENTIFIER) {
                compare(&[tag, 2, one, two]);
                compare(&[tag, 3, one, two, 0x80]);
                compare(&[tag, 4, one, two, 0x80, 1]);
                compare(&[tag, 3, 0x2A, one, two]);
            }
        }
    }
    for count in 1..=5 {
        for first in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut length = vec![0; count];
            (length[0], length[count - 1]) = (u8::from(count > 1), first);
            compare(&[&[OCTET_STRING, 0x80 | count as u8], length.as_slice(), &[0; 1000]].concat());
            length[0] = 0;
            compare(&[&[OCTET_STRING, 0x80 | count as u8], length.as_slice(), &[0; 1000]].concat());
        }
    }
}

#[test]
fn numbers_and_identifiers_are_no_longer_than_they_must_be() {
    assert_eq!(whole(&[2, 2, 0, 0x80], Elements::integer), Some(&[0, 0x80][..]));
    assert_eq!(whole(&[6, 3, 0x2A, 0x86, 0x48], Elements::oid), Some(&[0x2A, 0x86, 0x48][..]));
    for wrong in [&[2, 2, 0, 0x7F][..], &[2, 2, 0xFF, 0x80], &[2, 0]] {
        assert_eq!(whole(wrong, Elements::integer), None);
    }
    for wrong in [&[6, 3, 0x2A, 0x80, 1][..], &[6, 3, 0x2A, 1, 0x81], &[6, 2, 0x2A, 1], &[6, 3, 120, 1, 1]] {
        assert_eq!(whole(wrong, Elements::oid), None);
    }
}

#[test]
fn times_are_read_as_the_crate_reads_them() {
    let day = |year: &str, month: u8, day: u8| format!("{year}{month:02}{day:02}235959Z");
    for (tag, years) in [
        (UTC_TIME, ["00", "49", "50", "69", "70", "99"]),
        (GENERALIZED_TIME, ["1969", "1970", "2000", "2100", "9999", "2400"]),
    ] {
        for (year, month) in years.iter().flat_map(|year| (0..=13).map(move |month| (year, month))) {
            for number in 0..=32 {
                let text = day(year, month, number);
                compare(&[&[tag, text.len() as u8], text.as_bytes()].concat());
            }
        }
    }
    for wrong in [
        "260101240000Z",
        "260101006000Z",
        "260101000060Z",
        "2601010000Z",
        "260101000000+0000",
        "26010100000aZ",
    ] {
        compare(&[&[UTC_TIME, wrong.len() as u8], wrong.as_bytes()].concat());
    }
}

#[test]
fn a_set_is_in_its_order() {
    assert_eq!(set(&[2, 1, 1, 2, 1, 2]).unwrap().len(), 2);
    for wrong in [&[2, 1, 2, 2, 1, 1][..], &[2, 1, 1, 2, 1, 1], &[2, 1]] {
        assert_eq!(set(wrong), None);
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_as_the_crate_reads_it(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        compare(&bytes);
    }
}
