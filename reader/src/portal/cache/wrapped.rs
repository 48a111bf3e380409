//! Base64 as it lies in a mailbox: by arithmetic where the lines are those that we send, leniently where a server touched them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::mail::{LINE_BYTES, LINE_CHARS};

/// Octets of a full line with its CRLF.
const LINE_OCTETS: usize = LINE_CHARS + 2;
/// Lines of a block.
const BLOCK_LINES: usize = 2_048;
/// Bytes of a block: what is fetched at least.
pub(crate) const BLOCK_BYTES: usize = BLOCK_LINES * LINE_BYTES;
/// Octets of a block.
pub(crate) const BLOCK_OCTETS: usize = BLOCK_LINES * LINE_OCTETS;

/// The lines are not those that we send (SPEC 6.1): a server wrapped them anew, or added some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewrapped;

/// Blocks of a body of so many octets; an error if lines of 76 and a last one cannot have as many.
pub(crate) fn blocks(octets: u64) -> Result<usize, Rewrapped> {
    let octets = usize::try_from(octets).map_err(|_| Rewrapped)?;
    let rest = octets % LINE_OCTETS;
    let fits = rest == 0 || (rest > 2 && (rest - 2).is_multiple_of(4));
    if fits && octets > 0 { Ok(octets.div_ceil(BLOCK_OCTETS)) } else { Err(Rewrapped) }
}

/// Bytes of whole lines; only the last line of the body may be shorter.
pub(crate) fn decode(octets: &[u8], is_last: bool) -> Result<Vec<u8>, Rewrapped> {
    let mut characters = Vec::with_capacity(octets.len());
    let mut lines = octets.chunks(LINE_OCTETS).peekable();
    while let Some(line) = lines.next() {
        let text = line.strip_suffix(b"\r\n").ok_or(Rewrapped)?;
        let may_be_short = is_last && lines.peek().is_none();
        if text.len() != LINE_CHARS && !may_be_short {
            return Err(Rewrapped);
        }
        characters.extend_from_slice(text);
    }
    // The engine takes padding at the very end alone.
    let bytes = STANDARD.decode(&characters).map_err(|_| Rewrapped)?;
    if !is_last && !bytes.len().is_multiple_of(LINE_BYTES) { Err(Rewrapped) } else { Ok(bytes) }
}

/// Takes the base64 off a body that a server touched, in parts of any cut: lines of any length, up to the first that is no base64, as a footer is.
/// Who reads the piece compares its digests with the signed ones; so nothing is believed of this.
#[derive(Default)]
pub(crate) struct Lenient {
    line: Vec<u8>,
    quads: Vec<u8>,
    ended: bool,
}

impl Lenient {
    /// Adds the bytes of one more part to `out`.
    pub(crate) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for octet in octets {
            match octet {
                b'\n' => self.end_line(out),
                octet if self.line.len() < LONGEST_LINE => self.line.push(*octet),
                _ => self.ended = true,
            }
        }
    }

    /// Ends the body.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        self.end_line(out);
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.line);
        let text = line.trim_ascii();
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if self.ended || text.is_empty() {
            return;
        }
        if !text.iter().all(is_base64) {
            self.ended = true;
            return;
        }
        self.quads.extend_from_slice(text);
        let rest = self.quads.split_off(self.quads.len() / 4 * 4);
        let quads = std::mem::replace(&mut self.quads, rest);
        self.ended = STANDARD.decode_vec(&quads, out).is_err() || quads.ends_with(b"=");
    }
}

/// A body without line ends is nothing that a mail server makes (RFC 5321 4.5.3.1.6 allows 1,000).
const LONGEST_LINE: usize = 1 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use seal::mail::body_lines;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at * 31 % 251) as u8).collect()
    }

    fn sent(bytes: &[u8]) -> Vec<u8> {
        body_lines(bytes, bytes.len() as u64).collect::<Result<Vec<_>, _>>().unwrap().concat()
    }

    fn lenient(octets: &[u8], cut: usize) -> Vec<u8> {
        let (mut out, mut decoder) = (Vec::new(), Lenient::default());
        octets.chunks(cut).for_each(|part| decoder.push(part, &mut out));
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn every_block_of_what_we_send_is_arithmetic() {
        for count in [1, 56, 57, 58, 114, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5]
        {
            let (bytes, octets) = (bytes(count), sent(&bytes(count)));
            let blocks = blocks(octets.len() as u64).unwrap();
            assert_eq!(blocks, count.div_ceil(BLOCK_BYTES));
            let mut all = Vec::new();
            for (number, block) in octets.chunks(BLOCK_OCTETS).enumerate() {
                all.extend(decode(block, number + 1 == blocks).unwrap());
            }
            assert_eq!(all, bytes, "{count}");
        }
    }

    #[test]
    fn other_lines_are_noticed() {
        let bytes = bytes(600);
        let text: Vec<u8> = sent(&bytes).into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let wrap = |width: usize, end: &str| {
            text.chunks(width).flat_map(|line| [line, end.as_bytes()].concat()).collect::<Vec<u8>>()
        };
        assert_eq!(decode(&wrap(76, "\r\n"), true).as_deref(), Ok(bytes.as_slice()));
        for octets in [wrap(64, "\r\n"), wrap(76, "\n"), wrap(72, "\r\n"), wrap(1000, "\r\n")] {
            assert_eq!(decode(&octets, true), Err(Rewrapped));
            assert_eq!(lenient(&octets, 7), bytes);
        }
        let footer = [sent(&bytes), b"-- \r\nThis mail was checked.\r\n".to_vec()].concat();
        assert_eq!(decode(&footer, true), Err(Rewrapped));
        for cut in [1, 5, 100, 10_000] {
            assert_eq!(lenient(&footer, cut), bytes);
        }
    }

    #[test]
    fn a_footer_after_a_body_without_padding_ends_it_too() {
        let bytes = bytes(57 * 4);
        let footer = [sent(&bytes), b"________\r\nlist footer, 2026\r\n".to_vec()].concat();
        assert_eq!(lenient(&footer, 3), bytes);
    }

    #[test]
    fn lengths_that_our_lines_cannot_have_are_noticed_before_anything_is_fetched() {
        for octets in [0, 1, 2, 3, 5, 77, 79, 80, 81, 83] {
            assert_eq!(blocks(octets), Err(Rewrapped), "{octets}");
        }
        for octets in [6, 78, 84, 156] {
            assert_eq!(blocks(octets), Ok(1), "{octets}");
        }
    }
}
