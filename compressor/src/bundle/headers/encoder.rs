//! The header stream on its way in.

use super::WINDOW_LOG;
use std::io::{self, Write};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

/// Strong, since headers of Siemens are half of the file and nearly the same in each slice.
const LEVEL: i32 = 19;
/// Search tables of 4 MiB each. Level 19 would take 64 MiB and 16 MiB for this window; on 192 MPRAGE headers (19.5 MB) that
/// needs 91 MB instead of 19 MB, twice the time, and comes out 50 bytes larger.
const CHAIN_LOG: u32 = 20;
const HASH_LOG: u32 = 20;

/// Codes the header stream of one series.
pub(in crate::bundle) struct HeaderEncoder(Encoder<'static, Vec<u8>>);

impl HeaderEncoder {
    /// `bytes` of the stream, where they are known: of a short one the search tables are as short.
    pub(in crate::bundle) fn new(bytes: Option<u64>) -> io::Result<Self> {
        let mut encoder = Encoder::new(Vec::new(), LEVEL)?;
        encoder.set_pledged_src_size(bytes)?;
        for parameter in [
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::ChainLog(CHAIN_LOG),
            CParameter::HashLog(HASH_LOG),
        ] {
            encoder.set_parameter(parameter)?;
        }
        Ok(Self(encoder))
    }

    /// Codes the next slice of the stream, so that it can be decoded up to here.
    pub(in crate::bundle) fn encode(&mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(raw)?;
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()))
    }

    /// Codes the last slice.
    pub(in crate::bundle) fn finish(mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(raw)?;
        self.0.finish()
    }
}
