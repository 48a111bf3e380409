//! The decoder of frames that are carried as they came (bundle SPEC 3.3). What decodes is large and reads foreign bytes, so it is a module of its own that a page
//! fetches where a case has such frames, and throws away when a decoder stopped in the middle.

use crate::{OK, with};
use compressor::dataset::ImageLayout;
use compressor::encapsulated::{Codestream, NotDecoded, pictures};
use compressor::limits::CHUNK_BYTES_MAX;
use compressor::pixels::unpack_chunk;

/// The bytes are no frame of that layout.
const DAMAGED: i32 = -1;
/// The flag: samples are two's complement.
const SIGNED: u32 = 1;
/// The flag: it is the first frame of its value.
const FIRST: u32 = 2;
/// The flag: Photometric Interpretation is RGB.
const RGB: u32 = 4;
/// Coded and raw bytes of a chunk, `u32` each.
const SIZES_BYTES: usize = 8;

/// Decodes a frame. The input is coded and raw bytes of each of its `chunks` (`u32`, little endian), then these; `codestream` is what
/// [`scanpost_manifest`](crate::opening::scanpost_manifest) told. The output is native pixels, pixel by pixel, words little endian; colours as
/// [`pictures::decode`] gives them. `flags`: 1 = signed, 2 = first frame of its value, 4 = Photometric Interpretation is RGB. 0, or −1 where it is damaged or not of that layout.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_picture(
    codestream: u32,
    columns: u16,
    rows: u16,
    samples: u16,
    bits: u16,
    stored: u16,
    flags: u32,
    chunks: usize,
) -> i32 {
    let layout = ImageLayout {
        bits_stored: stored,
        signed: flags & SIGNED != 0,
        ..ImageLayout::new(columns, rows, samples, bits)
    };
    with(|worker| {
        let items = items(&worker.input, chunks);
        let frame = items.and_then(|items| frame(codestream, &layout, &items, flags));
        match frame {
            Ok(frame) => {
                worker.output = frame;
                OK
            }
            Err(_) => DAMAGED,
        }
    })
}

fn items(input: &[u8], chunks: usize) -> Result<Vec<u8>, NotDecoded> {
    let sizes_bytes = chunks.checked_mul(SIZES_BYTES).ok_or(NotDecoded::TooLarge)?;
    let (sizes, mut coded) = input.split_at_checked(sizes_bytes).ok_or(NotDecoded::Damaged)?;
    let mut items = Vec::new();
    for [a, b, c, d, raw @ ..] in sizes.as_chunks::<SIZES_BYTES>().0 {
        let (coded_bytes, raw_bytes) = (u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes(*raw));
        let (chunk, rest) = coded.split_at_checked(coded_bytes as usize).ok_or(NotDecoded::Damaged)?;
        let raw_bytes = Some(raw_bytes as usize).filter(|bytes| *bytes <= CHUNK_BYTES_MAX);
        let raw = unpack_chunk(chunk, raw_bytes.ok_or(NotDecoded::TooLarge)?);
        items.extend(raw.map_err(|_| NotDecoded::Damaged)?);
        coded = rest;
    }
    Ok(items)
}

fn frame(codestream: u32, layout: &ImageLayout, items: &[u8], flags: u32) -> Result<Vec<u8>, NotDecoded> {
    let codestream = Codestream::of_number(codestream).ok_or(NotDecoded::Shape)?;
    let bytes = pictures::codestream_of(items, flags & FIRST != 0)?;
    pictures::decode(codestream, layout, flags & RGB != 0, &bytes)
}

#[cfg(test)]
mod tests;
