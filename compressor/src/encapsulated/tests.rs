#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::single_range_in_vec_init)]

use super::codestream::Head;
use super::*;
use crate::dataset::ImageLayout;
use std::io::Cursor;
use std::ops::Range;

fn item(length: u32) -> Vec<u8> {
    [&[0xFE, 0xFF, 0x00, 0xE0][..], &length.to_le_bytes(), &vec![7; length as usize]].concat()
}

/// A value of a basic offset table, fragments of these lengths, and the delimiter.
fn value(offsets: &[u32], fragments: &[u32]) -> Vec<u8> {
    let table: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    let mut value = [&[0xFE, 0xFF, 0x00, 0xE0][..], &(table.len() as u32).to_le_bytes(), &table].concat();
    value.extend(fragments.iter().flat_map(|length| item(*length)));
    value.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    value
}

/// Fragments of each frame.
fn frames(value: &[u8], frames: u32) -> Result<Vec<Vec<Range<u64>>>, NotDecoded> {
    let found = index(&mut Cursor::new(value), value.len() as u64, frames).unwrap()?;
    Ok((0..found.frames()).map(|frame| found.fragments(frame).to_vec()).collect())
}

#[test]
fn frames_are_told_apart() {
    let whole = |ranges: &[Range<u64>]| Ok(vec![ranges.to_vec()]);
    assert_eq!(frames(&value(&[], &[4]), 1), whole(&[16..20]));
    assert_eq!(frames(&value(&[0], &[4, 6]), 1), whole(&[20..24, 32..38]));
    assert_eq!(frames(&value(&[], &[4, 6]), 2), Ok(vec![vec![16..20], vec![28..34]]));
    // Offsets count from the first fragment: the second frame begins behind two of them.
    let table = value(&[0, 26], &[4, 6, 2]);
    assert_eq!(frames(&table, 2), Ok(vec![vec![24..28, 36..42], vec![50..52]]));
    // Wrong offsets are no matter where each frame has one fragment.
    assert_eq!(frames(&value(&[9, 9], &[4, 6]), 2), Ok(vec![vec![24..28], vec![36..42]]));
}

#[test]
fn what_does_not_tell_is_refused() {
    let none = Err(NotDecoded::Fragments);
    for (offsets, fragments, count) in [
        (&[][..], &[4, 6, 2][..], 2),
        (&[0, 9], &[4, 6, 2], 2),
        (&[0, 26, 26], &[4, 6, 2], 2),
        (&[26, 0], &[4, 6, 2], 2),
        (&[12, 26], &[4, 6, 2], 2),
        (&[0], &[4], 2),
        (&[], &[], 1),
        (&[], &[4], 0),
    ] {
        assert_eq!(frames(&value(offsets, fragments), count), none, "{offsets:?} {fragments:?} {count}");
    }
    let whole = value(&[], &[4]);
    for length in 0..whole.len() - 8 {
        assert_eq!(frames(&whole[..length], 1), none, "cut to {length}");
    }
    let mut undefined = whole.clone();
    undefined[12..16].fill(0xFF);
    assert_eq!(frames(&undefined, 1), none);
    let mut beyond = whole;
    beyond[12] = 200;
    assert_eq!(frames(&beyond, 1), none);
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    [&[0xFF, marker][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
}

fn jpeg(start_of_frame: u8, precision: u8, scan_end: [u8; 3]) -> Vec<u8> {
    let frame = segment(start_of_frame, &[precision, 0, 5, 0, 9, 1, 1, 0x11, 0]);
    let scan = segment(0xDA, &[&[1, 1, 0][..], &scan_end].concat());
    [&[0xFF, 0xD8][..], &segment(0xE0, b"any"), &[0xFF], &frame, &scan].concat()
}

fn jpeg_2000(depth: u8, wavelet: u8, rows: u32) -> Vec<u8> {
    let numbers: Vec<u8> = [9, rows, 0, 0, 9, rows, 0, 0].into_iter().flat_map(u32::to_be_bytes).collect();
    let size = segment(0x51, &[&[0, 0][..], &numbers, &[0, 1, depth, 1, 1]].concat());
    let coding = segment(0x52, &[0, 0, 0, 1, 0, 5, 4, 4, 0, wavelet]);
    [&[0xFF, 0x4F][..], &size, &coding, &segment(0x90, &[0; 8])].concat()
}

#[test]
fn a_codestream_says_its_shape_and_whether_it_lost() {
    let layout =
        |stored, signed| ImageLayout { bits_stored: stored, signed, ..ImageLayout::new(9, 5, 1, 16) };
    let fits = |syntax, bytes: &[u8], layout: &ImageLayout| {
        Head::read(syntax, bytes, layout).map(|head| head.fits(layout))
    };
    let lossless = jpeg(0xC3, 12, [1, 0, 0]);
    assert_eq!(fits(Syntax::JpegLossless, &lossless, &layout(12, false)), Ok(true));
    assert_eq!(fits(Syntax::JpegLossless, &lossless, &layout(14, false)), Ok(false));
    assert_eq!(fits(Syntax::JpegLossless, &lossless, &ImageLayout::new(5, 9, 1, 16)), Ok(false));
    assert_eq!(
        fits(Syntax::JpegLossless, &jpeg(0xC3, 12, [1, 0, 2]), &layout(12, false)),
        Err(NotDecoded::Lossy)
    );
    let restarts = segment(0xDD, &[0, 9]);
    let restarted = [&lossless[..2], &restarts, &lossless[2..]].concat();
    assert_eq!(fits(Syntax::JpegLossless, &restarted, &layout(12, false)), Err(NotDecoded::Damaged));
    let none = [&lossless[..2], &segment(0xDD, &[0, 0]), &lossless[2..]].concat();
    assert_eq!(fits(Syntax::JpegLossless, &none, &layout(12, false)), Ok(true));
    assert_eq!(
        fits(Syntax::JpegLossless, &jpeg(0xC1, 12, [0, 63, 0]), &layout(12, false)),
        Err(NotDecoded::Damaged)
    );
    assert_eq!(fits(Syntax::JpegLs, &jpeg(0xF7, 16, [0, 0, 0]), &layout(12, true)), Ok(true));
    assert_eq!(fits(Syntax::JpegLs, &jpeg(0xF7, 12, [2, 0, 0]), &layout(12, true)), Err(NotDecoded::Lossy));
    assert_eq!(fits(Syntax::Jpeg2000, &jpeg_2000(11, 1, 5), &layout(12, false)), Ok(true));
    assert_eq!(fits(Syntax::Jpeg2000, &jpeg_2000(0x8B, 1, 5), &layout(12, true)), Ok(true));
    assert_eq!(fits(Syntax::Jpeg2000, &jpeg_2000(11, 1, 5), &layout(12, true)), Ok(false));
    assert_eq!(fits(Syntax::Jpeg2000, &jpeg_2000(11, 1, 6), &layout(12, false)), Ok(false));
    assert_eq!(fits(Syntax::Htj2k, &jpeg_2000(11, 0, 5), &layout(12, false)), Err(NotDecoded::Lossy));
    let mut segments = vec![0; 64];
    segments[0] = 2;
    assert_eq!(fits(Syntax::Rle, &segments, &layout(12, false)), Ok(true));
    segments[0] = 3;
    assert_eq!(fits(Syntax::Rle, &segments, &layout(12, false)), Err(NotDecoded::Shape));
    for (syntax, whole) in [(Syntax::JpegLossless, lossless), (Syntax::Jpeg2000, jpeg_2000(11, 1, 5))] {
        for length in 0..whole.len() - 10 {
            assert!(
                Head::read(syntax, &whole[..length], &layout(12, false)).is_err(),
                "{syntax:?} cut to {length}"
            );
        }
    }
}
