//! The header stream of a series: one zstd stream across its instances, cut into segments (SPEC 3.1).

use crate::zstd_frame::Stream;
use std::io;

#[cfg(feature = "native")]
mod encoder;
#[cfg(feature = "native")]
pub(super) use encoder::HeaderEncoder;

/// 8 MiB: the headers of some 60 slices of 130 kB.
const WINDOW_LOG: u32 = 23;
/// Decodes the header stream of one series.
pub(super) struct HeaderDecoder(Stream);

impl HeaderDecoder {
    pub(super) fn new() -> io::Result<Self> {
        Stream::new(WINDOW_LOG).map(Self)
    }

    /// Decodes the next segment to exactly `raw_bytes`. `None` where it holds more, less, or no zstd.
    pub(super) fn decode(&mut self, coded: &[u8], raw_bytes: usize) -> Option<Vec<u8>> {
        self.0.decode(coded, raw_bytes)
    }
}
