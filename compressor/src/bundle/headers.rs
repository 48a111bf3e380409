//! The header stream of a series: one zstd stream across its instances, cut into segments (SPEC 3.1).

use std::io::{self, Write};
use zstd::stream::raw::{CParameter, DParameter, Decoder, InBuffer, Operation, OutBuffer};
use zstd::stream::write::Encoder;

/// Strong, since headers of Siemens are half of the file and nearly the same in each slice.
const LEVEL: i32 = 19;
/// 8 MiB: the headers of some 60 slices of 130 kB.
const WINDOW_LOG: u32 = 23;
/// Search tables of 4 MiB each. Level 19 would take 64 MiB and 16 MiB for this window; on 192 MPRAGE headers (19.5 MB) that
/// needs 91 MB instead of 19 MB, twice the time, and comes out 50 bytes larger.
const CHAIN_LOG: u32 = 20;
const HASH_LOG: u32 = 20;

/// Codes the header stream of one series.
pub(super) struct HeaderEncoder(Encoder<'static, Vec<u8>>);

impl HeaderEncoder {
    pub(super) fn new() -> io::Result<Self> {
        let mut encoder = Encoder::new(Vec::new(), LEVEL)?;
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
    pub(super) fn encode(&mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(raw)?;
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()))
    }

    /// Codes the last slice.
    pub(super) fn finish(mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(raw)?;
        self.0.finish()
    }
}

/// Decodes the header stream of one series.
pub(super) struct HeaderDecoder(Decoder<'static>);

impl HeaderDecoder {
    pub(super) fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(Self(decoder))
    }

    /// Decodes the next segment to exactly `raw_bytes`. `None` where it holds more, less, or no zstd.
    pub(super) fn decode(&mut self, coded: &[u8], raw_bytes: usize) -> Option<Vec<u8>> {
        let mut raw = vec![0; raw_bytes];
        let mut input = InBuffer::around(coded);
        let mut output = OutBuffer::around(raw.as_mut_slice());
        loop {
            let before = (input.pos(), output.pos());
            self.0.run(&mut input, &mut output).ok()?;
            if (input.pos(), output.pos()) == before {
                break;
            }
        }
        let complete = input.pos() == coded.len() && output.pos() == raw_bytes;
        complete.then_some(raw)
    }
}
