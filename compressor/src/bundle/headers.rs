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

/// Header bytes of the first instances of a series from all the parts that are at hand, each with its raw bytes: in one pass, whichever
/// decoder there is. `None` where they are not what their lengths say.
pub fn header_bytes(parts: &[(&[u8], usize)]) -> Option<Vec<u8>> {
    let coded: Vec<u8> = parts.iter().flat_map(|(coded, _)| coded.iter().copied()).collect();
    let raw_bytes = parts.iter().try_fold(0_usize, |sum, (_, raw_bytes)| sum.checked_add(*raw_bytes))?;
    HeaderDecoder::new().ok()?.decode(&coded, raw_bytes)
}
