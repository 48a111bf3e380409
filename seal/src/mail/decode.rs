//! Base64 back to bytes, from blocks cut anywhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Characters that encode three bytes.
const QUAD: usize = 4;

/// Takes the body of a message in blocks of any cut. Lines may have any length, because a server may have wrapped them anew, but
/// every character must be base64 or part of a CRLF.
#[derive(Debug, Default)]
pub struct Base64Decoder {
    /// Characters not decoded yet: fewer than a quad between calls.
    quads: Vec<u8>,
    /// The last octet was a CR.
    in_line_end: bool,
    /// Padding was decoded: nothing but line ends may follow.
    ended: bool,
}

/// The body is not base64 in CRLF lines, or was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body of the message is not base64 or was cut")]
pub struct NotBase64;

impl Base64Decoder {
    /// A decoder at the start of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes one more block and appends its bytes to `out`. After an error neither decoder nor `out` may be used.
    ///
    /// # Errors
    /// [`NotBase64`].
    pub fn push(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        self.take_characters(block)?;
        let whole = self.quads.len() / QUAD * QUAD;
        let rest = self.quads.split_off(whole);
        let quads = std::mem::replace(&mut self.quads, rest);
        if quads.is_empty() {
            return Ok(());
        }
        if self.ended {
            return Err(NotBase64);
        }
        // The engine takes padding only at its end, and no stray bits under it (RFC 4648 3.5).
        self.ended = quads.ends_with(b"=");
        STANDARD.decode_vec(&quads, out).map_err(|_| NotBase64)
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`NotBase64`] if it was cut inside a quad or a line end.
    pub fn finish(self) -> Result<(), NotBase64> {
        if self.quads.is_empty() && !self.in_line_end { Ok(()) } else { Err(NotBase64) }
    }

    /// Moves characters into `quads` and checks that CR and LF come only as CRLF.
    fn take_characters(&mut self, mut block: &[u8]) -> Result<(), NotBase64> {
        while let Some((&first, rest)) = block.split_first() {
            match (self.in_line_end, first) {
                (true, b'\n') => (self.in_line_end, block) = (false, rest),
                (false, b'\r') => (self.in_line_end, block) = (true, rest),
                (true, _) | (false, b'\n') => return Err(NotBase64),
                (false, _) => {
                    let line = block.iter().position(|octet| matches!(octet, b'\r' | b'\n'));
                    let (characters, after) = block.split_at(line.unwrap_or(block.len()));
                    self.quads.extend_from_slice(characters);
                    block = after;
                }
            }
        }
        Ok(())
    }
}
