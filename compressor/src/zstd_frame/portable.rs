//! A decoder in Rust, for WASM. Stricter than the reference library: one frame, with nothing behind it.

use ruzstd::decoding::StreamingDecoder;
use std::io::{self, Read};

/// Smallest window of a frame (RFC 8878 3.1.1.1.2).
const WINDOW_BYTES_MIN: usize = 1 << 10;
/// The last block of a frame, stored and empty (RFC 8878 3.1.1.2).
const END: [u8; 3] = [1, 0, 0];

/// Decodes a frame of at most `bytes` bytes. Its window may be no larger, as that of a frame made in one go never is.
pub fn decode(frame: &[u8], bytes: usize) -> Option<Vec<u8>> {
    decode_within(frame, bytes, bytes.max(WINDOW_BYTES_MIN))
}

/// Decodes a frame that may hold less than `bytes_max`, and has a window of at most 2 ^ `window_log` bytes.
pub fn decode_at_most(frame: &[u8], bytes_max: usize, window_log: u32) -> Option<Vec<u8>> {
    decode_within(frame, bytes_max, 1 << window_log)
}

/// Counted first, at the price of decoding twice: what a frame claims is worth nothing, and a buffer that grows as it fills takes three times the
/// room for a moment, which the memory of a WASM module never gives back.
fn decode_within(frame: &[u8], bytes_max: usize, window_bytes_max: usize) -> Option<Vec<u8>> {
    let open = || StreamingDecoder::new_with_max_window_size(frame, window_bytes_max as u64).ok();
    let mut counted = open()?;
    let bytes = io::copy(&mut counted.by_ref().take(bytes_max as u64 + 1), &mut io::sink()).ok()?;
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= bytes_max)?;
    if !counted.into_inner().is_empty() {
        return None;
    }
    let mut decoded = Vec::with_capacity(bytes);
    open()?.read_to_end(&mut decoded).ok()?;
    Some(decoded)
}

/// A frame that comes in parts, each of which ends a block. The decoder gives back nothing that is still in its window, so each
/// part is decoded with those before it: the coded parts are kept, and the time grows with their number.
pub struct Stream {
    window_log: u32,
    coded: Vec<u8>,
    decoded_bytes: usize,
}

impl Stream {
    /// A frame with a window of at most 2 ^ `window_log` bytes.
    ///
    /// # Errors
    /// None; the reference library's has some.
    pub fn new(window_log: u32) -> io::Result<Self> {
        Ok(Self { window_log, coded: Vec::new(), decoded_bytes: 0 })
    }

    /// Decodes the next part to exactly `bytes` bytes. `None` where it holds more, less, or no zstd.
    pub fn decode(&mut self, part: &[u8], bytes: usize) -> Option<Vec<u8>> {
        self.coded.extend_from_slice(part);
        let wanted = self.decoded_bytes.checked_add(bytes)?;
        let ended = decode_at_most(&self.coded, wanted, self.window_log);
        let mut decoded = ended.or_else(|| {
            let so_far = [self.coded.as_slice(), &END].concat();
            decode_at_most(&so_far, wanted, self.window_log)
        })?;
        if decoded.len() != wanted {
            return None;
        }
        self.decoded_bytes = wanted;
        Some(decoded.split_off(wanted - bytes))
    }
}
