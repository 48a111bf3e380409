//! Layout of pieces: limits, order, no gap, no overlap.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

/// Header, length of the index, sealed index of 4 segments.
const START: u32 = 64 + 4 + 5 + 4 * 44 + 16;

fn four() -> Index {
    Index::plan(&[100, 200, 300, 400], START as usize + 116 + 216).unwrap()
}

#[test]
fn segments_follow_each_other_in_pieces_that_keep_to_the_limit() {
    let index = four();
    let places: Vec<_> =
        (0..4).map(|n| index.place(n).unwrap()).map(|p| (p.piece, p.offset, p.bytes, p.counter)).collect();
    assert_eq!(places, [(1, START, 116, 1), (1, START + 116, 216, 2), (2, 64, 316, 0), (3, 64, 416, 0)]);
    assert_eq!(index.place(4), None);
    assert_eq!(index.piece_bytes(), [START + 332, 380, 480]);
    assert_eq!(
        (index.segments_of(0), index.segments_of(1), index.segments_of(3), index.segments_of(4)),
        (0..0, 0..2, 3..4, 4..4)
    );
    assert_eq!(index.encode().len() as u32 + 16, index.sealed_bytes());
}

#[test]
fn an_index_is_read_as_written() {
    let mut index = four();
    index.set_digest(2, Digest([9; 32]));
    assert_eq!(Index::parse(&index.encode(), &index.piece_bytes()), Ok(index));
}

#[test]
fn a_segment_longer_than_a_piece_is_alone_in_it() {
    let index = Index::plan(&[10, 5000, 10, 10], 1000).unwrap();
    let pieces: Vec<_> = (0..4).map(|n| index.place(n).unwrap().piece).collect();
    assert_eq!(pieces, [1, 2, 3, 3]);
}

#[test]
fn plans_beyond_the_limits_are_refused() {
    assert_eq!(Index::plan(&[], 1000), Err(PlanError::SegmentCount));
    assert_eq!(Index::plan(&vec![0; SEGMENTS_MAX as usize + 1], 1000), Err(PlanError::SegmentCount));
    assert_eq!(Index::plan(&[(4 << 20) + 1], 1000), Err(PlanError::SegmentTooLong));
    assert_eq!(Index::plan(&[u32::MAX], 1000), Err(PlanError::SegmentTooLong));
    assert_eq!(Index::plan(&[1; 10_001], 0), Err(PlanError::TooManyPieces));
    assert_eq!(Index::plan(&[1; 10_000], 0).unwrap().pieces(), 10_000);
    assert_eq!(Index::plan(&[1], usize::MAX), Err(PlanError::PieceTooLong));
    assert_eq!(Index::plan(&[4 << 20; 1025], u32::MAX as usize).unwrap().pieces(), 2);
}

#[test]
fn gaps_overlaps_and_disorder_are_refused() {
    let index = four();
    let pieces = index.piece_bytes();
    let edits: [fn(&mut Vec<Entry>); 7] = [
        |entries| entries[1].offset += 1,
        |entries| entries[1].offset -= 1,
        |entries| entries[1].bytes -= 1,
        |entries| entries.swap(0, 1),
        |entries| entries[3].piece = 2,
        |entries| entries[2].bytes = 15,
        |entries| entries[3].bytes = u32::MAX,
    ];
    for edit in edits {
        let mut other = index.clone();
        edit(&mut other.entries);
        assert_eq!(Index::parse(&other.encode(), &pieces), Err(Refusal::Malformed("the index")));
    }
    for wrong in [&pieces[..2], &[pieces[0], 380, 480, 64][..], &[pieces[0], 380, 481][..], &[]] {
        assert!(Index::parse(&index.encode(), wrong).is_err());
    }
    let bytes = index.encode();
    assert!((0..bytes.len()).all(|length| Index::parse(&bytes[..length], &pieces).is_err()));
    assert_eq!(Index::parse(&[&[2], &bytes[1..]].concat(), &pieces), Err(Refusal::UnknownFormat(2)));
}

proptest! {
    #[test]
    fn what_is_planned_is_read(segments in proptest::collection::vec(0_u32..5000, 1..80), piece_bytes_max in 0_usize..20_000) {
        let index = Index::plan(&segments, piece_bytes_max).unwrap();
        prop_assert_eq!(Index::parse(&index.encode(), &index.piece_bytes()), Ok(index.clone()));
        let mut counters = std::collections::HashSet::from([(1, 0)]);
        for number in 0..index.segments() {
            let place = index.place(number).unwrap();
            prop_assert!(counters.insert((place.piece, place.counter)));
            prop_assert!(index.segments_of(place.piece).contains(&number));
        }
        for (piece, bytes) in (1..).zip(index.piece_bytes()) {
            let alone = index.segments_of(piece).len() == 1;
            prop_assert!(bytes as usize <= piece_bytes_max || alone);
        }
    }

    #[test]
    fn parsing_never_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        pieces in proptest::collection::vec(any::<u32>(), 0..4),
    ) {
        let _ = Index::parse(&bytes, &pieces);
        bytes.splice(0..bytes.len().min(5), [1, 0, 0, 0, (bytes.len() / 44) as u8]);
        let _ = Index::parse(&bytes, &pieces);
    }

    #[test]
    fn mutated_indexes_never_panic(position in 0_usize..181, bit in 0_u32..8) {
        let index = four();
        let mut bytes = index.encode();
        bytes[position] ^= 1_u8 << bit;
        let parsed = Index::parse(&bytes, &index.piece_bytes());
        prop_assert_ne!(parsed, Ok(index));
    }
}
