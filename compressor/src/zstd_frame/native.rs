//! The reference library.

use std::io::{self, Read};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// Decodes a frame of at most `bytes` bytes.
pub(crate) fn decode(frame: &[u8], bytes: usize) -> Option<Vec<u8>> {
    zstd::bulk::decompress(frame, bytes).ok()
}

/// Decodes a frame that may hold less than `bytes_max`, and has a window of at most 2 ^ `window_log` bytes.
pub(crate) fn decode_at_most(frame: &[u8], bytes_max: usize, window_log: u32) -> Option<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::new(frame).ok()?;
    decoder.window_log_max(window_log).ok()?;
    let mut bytes = Vec::new();
    decoder.take(bytes_max as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= bytes_max).then_some(bytes)
}

/// A frame that comes in parts, each of which ends a block.
pub(crate) struct Stream(Decoder<'static>);

impl Stream {
    /// A frame with a window of at most 2 ^ `window_log` bytes.
    pub(crate) fn new(window_log: u32) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(window_log))?;
        Ok(Self(decoder))
    }

    /// Decodes the next part to exactly `bytes` bytes. `None` where it holds more, less, or no zstd.
    pub(crate) fn decode(&mut self, part: &[u8], bytes: usize) -> Option<Vec<u8>> {
        let mut decoded = vec![0; bytes];
        let mut input = InBuffer::around(part);
        let mut output = OutBuffer::around(decoded.as_mut_slice());
        loop {
            let before = (input.pos(), output.pos());
            self.0.run(&mut input, &mut output).ok()?;
            if (input.pos(), output.pos()) == before {
                break;
            }
        }
        let complete = input.pos() == part.len() && output.pos() == bytes;
        complete.then_some(decoded)
    }
}
