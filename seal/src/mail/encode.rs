//! Base64 in lines, streamed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{self, Read};

/// Bytes in a full line before base64.
pub const LINE_BYTES: usize = 57;
/// Characters of a full line without CRLF (RFC 2045 6.8).
pub const LINE_CHARS: usize = 76;

const CRLF: &[u8] = b"\r\n";
/// Lines of a block: 840 × 78 octets are just below 64 KiB.
const BLOCK_LINES: usize = 840;

/// Octets of `body_bytes` as base64 lines, each with its CRLF.
pub(super) fn encoded_bytes(body_bytes: u64) -> u64 {
    let (line_bytes, line_octets) = (LINE_BYTES as u64, (LINE_CHARS + CRLF.len()) as u64);
    let rest = body_bytes % line_bytes;
    let last = if rest == 0 { 0 } else { rest.div_ceil(3) * 4 + CRLF.len() as u64 };
    body_bytes / line_bytes * line_octets + last
}

/// Blocks of whole lines from a reader that must give exactly `left` more bytes.
pub(super) struct Lines<R> {
    body: R,
    left: u64,
    done: bool,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(body: R, body_bytes: u64) -> Self {
        Self { body, left: body_bytes, done: false }
    }

    fn block(&mut self) -> io::Result<Option<Vec<u8>>> {
        let wanted = self.left.min((BLOCK_LINES * LINE_BYTES) as u64);
        let mut plain = Vec::with_capacity(BLOCK_LINES * LINE_BYTES);
        let got = (&mut self.body).take(wanted).read_to_end(&mut plain)? as u64;
        if got < wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body is shorter than announced"));
        }
        self.left -= got;
        if self.left == 0 {
            self.done = true;
            expect_end(&mut self.body)?;
        }
        Ok((got > 0).then(|| encode_lines(&plain)))
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let block = self.block();
        self.done |= block.is_err();
        block.transpose()
    }
}

fn expect_end(body: &mut impl Read) -> io::Result<()> {
    match body.take(1).read_to_end(&mut Vec::new())? {
        0 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the body is longer than announced")),
    }
}

fn encode_lines(plain: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(plain).into_bytes();
    let mut lines = Vec::with_capacity(BLOCK_LINES * (LINE_CHARS + CRLF.len()));
    for line in text.chunks(LINE_CHARS) {
        lines.extend_from_slice(line);
        lines.extend_from_slice(CRLF);
    }
    lines
}
