//! What the decoding process is told of a frame, and what it answers. Numbers are little endian.

use super::{NotDecoded, Syntax};
use crate::dataset::ImageLayout;

/// Bytes in front of a codestream: syntax, rows, columns, bits allocated, bits stored, sign.
pub(super) const HEAD_BYTES: usize = 8;
/// First byte of an answer that is followed by the frame.
pub(super) const DECODED: u8 = 0;
/// First bytes of other answers.
const REFUSALS: [(u8, NotDecoded); 3] =
    [(1, NotDecoded::Damaged), (2, NotDecoded::Shape), (3, NotDecoded::Lossy)];

/// The head of a request for one frame of one sample a pixel.
pub(super) fn head(syntax: Syntax, layout: &ImageLayout) -> [u8; HEAD_BYTES] {
    let [r, s] = layout.rows.to_le_bytes();
    let [c, d] = layout.columns.to_le_bytes();
    let bits = |bits: u16| u8::try_from(bits).unwrap_or(u8::MAX);
    [syntax.number(), r, s, c, d, bits(layout.bits_allocated), bits(layout.bits_stored), layout.signed.into()]
}

/// Reads the head of a request.
#[cfg(feature = "codecs")]
pub(super) fn parse(
    [syntax, r, s, c, d, allocated, stored, signed]: [u8; HEAD_BYTES],
) -> Option<(Syntax, ImageLayout)> {
    let (rows, columns) = (u16::from_le_bytes([r, s]), u16::from_le_bytes([c, d]));
    let layout = ImageLayout {
        bits_stored: stored.into(),
        signed: signed == 1,
        ..ImageLayout::new(columns, rows, 1, allocated.into())
    };
    Some((Syntax::of_number(syntax)?, layout))
}

/// The first byte of an answer that refuses.
#[cfg(feature = "codecs")]
pub(super) fn refusal(reason: NotDecoded) -> u8 {
    REFUSALS.iter().find(|(_, known)| *known == reason).map_or(u8::MAX, |(number, _)| *number)
}

/// The frame in an answer of the process, or why there is none. Whatever is no such answer counts as a failure.
pub(super) fn frame(mut answer: Vec<u8>, frame_bytes: usize) -> Result<Vec<u8>, NotDecoded> {
    match answer.split_first() {
        Some((&DECODED, frame)) if frame.len() == frame_bytes => {
            answer.remove(0);
            Ok(answer)
        }
        Some((number, [])) => {
            let known = REFUSALS.iter().find(|(known, _)| known == number);
            Err(known.map_or(NotDecoded::Failed, |(_, reason)| *reason))
        }
        _ => Err(NotDecoded::Failed),
    }
}
