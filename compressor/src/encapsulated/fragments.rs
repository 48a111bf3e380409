//! Where the frames of encapsulated pixel data lie: items, basic offset table, fragments (PS3.5 A.4).

use super::{ITEM_HEAD_BYTES, NotDecoded, SYNTAX};
use crate::dataset::element::{ITEM, LENGTH_UNDEFINED, SEQUENCE_END};
use crate::limits::FRAGMENTS_MAX;
use std::io::{self, BufReader, Read, Seek};
use std::ops::Range;

/// Bytes of an entry of the basic offset table.
const OFFSET_BYTES: usize = 4;

/// Where the fragments of each frame lie, from the start of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameIndex {
    fragments: Vec<Range<u64>>,
    /// Of each frame, the number of its first fragment.
    firsts: Vec<usize>,
}

impl FrameIndex {
    /// Frames there are.
    pub fn frames(&self) -> usize {
        self.firsts.len()
    }

    /// Where each frame ends: the items of its fragments, before the first with the offset table, behind the last with the end of the value, which has
    /// `bytes` bytes.
    pub fn ends(&self, bytes: u64) -> impl Iterator<Item = u64> {
        let starts = self.firsts.iter().skip(1).filter_map(|first| self.fragments.get(*first));
        starts.map(|fragment| fragment.start - ITEM_HEAD_BYTES as u64).chain([bytes])
    }

    /// The fragments of a frame, in order; none where there is no such frame.
    pub fn fragments(&self, frame: usize) -> &[Range<u64>] {
        let first = self.firsts.get(frame).copied().unwrap_or(self.fragments.len());
        let end = self.firsts.get(frame + 1).copied().unwrap_or(self.fragments.len());
        self.fragments.get(first..end).unwrap_or_default()
    }
}

/// Reads the item heads of a value of `bytes` bytes that starts where `source` stands, and parts its fragments into `frames`
/// frames: all into one, one into each, or as the basic offset table says. An extended offset table says nothing more: where there
/// is one, each frame has one fragment (PS3.3 C.7.6.3.1.8).
///
/// # Errors
/// I/O errors. The inner error where the bytes are no such value, or do not tell.
pub fn index(
    source: &mut (impl Read + Seek),
    bytes: u64,
    frames: u32,
) -> io::Result<Result<FrameIndex, NotDecoded>> {
    let mut source = BufReader::new(source);
    let (mut table, mut fragments, mut at) = (None, Vec::new(), 0);
    loop {
        let Some((tag, length)) = head(&mut source, bytes.saturating_sub(at))? else { return unclear() };
        at += ITEM_HEAD_BYTES as u64;
        if tag == SEQUENCE_END {
            break;
        }
        let end = at + u64::from(length);
        if tag != ITEM || length == LENGTH_UNDEFINED || end > bytes || fragments.len() >= FRAGMENTS_MAX {
            return unclear();
        }
        if table.is_some() {
            fragments.push(at..end);
            source.seek_relative(length.into())?;
        } else if length as usize > FRAGMENTS_MAX * OFFSET_BYTES {
            return unclear();
        } else {
            let mut offsets = vec![0; length as usize];
            source.read_exact(&mut offsets)?;
            table = Some(offsets);
        }
        at = end;
    }
    let firsts = firsts(&fragments, &table.unwrap_or_default(), frames as usize);
    Ok(firsts.map(|firsts| FrameIndex { fragments, firsts }).ok_or(NotDecoded::Fragments))
}

fn unclear() -> io::Result<Result<FrameIndex, NotDecoded>> {
    Ok(Err(NotDecoded::Fragments))
}

/// Tag and length; `None` where the value ends.
fn head(source: &mut impl Read, left: u64) -> io::Result<Option<(u32, u32)>> {
    if left < ITEM_HEAD_BYTES as u64 {
        return Ok(None);
    }
    let mut head = [0; ITEM_HEAD_BYTES];
    source.read_exact(&mut head)?;
    let [a, b, c, d, lengths @ ..] = head;
    Ok(Some((SYNTAX.tag([a, b, c, d]), SYNTAX.u32(lengths))))
}

/// The first fragment of each frame; `None` where nothing tells.
fn firsts(fragments: &[Range<u64>], table: &[u8], frames: usize) -> Option<Vec<usize>> {
    if frames == 0 || fragments.len() < frames {
        return None;
    }
    if frames == 1 {
        return Some(vec![0]);
    }
    if fragments.len() == frames {
        return Some((0..frames).collect());
    }
    // Offsets count from the head of the first fragment to the heads of others (PS3.5 A.4).
    let start = fragments.first()?.start;
    let (offsets, rest) = table.as_chunks::<OFFSET_BYTES>();
    let place = |offset: &[u8; 4]| {
        let wanted = start + u64::from(SYNTAX.u32(*offset));
        fragments.binary_search_by_key(&wanted, |fragment| fragment.start).ok()
    };
    let firsts: Vec<usize> = offsets.iter().map(place).collect::<Option<_>>()?;
    let rising = firsts.first() == Some(&0) && firsts.is_sorted_by(|one, next| one < next);
    (rest.is_empty() && firsts.len() == frames && rising).then_some(firsts)
}
