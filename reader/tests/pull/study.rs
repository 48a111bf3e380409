//! Generated data sets in Explicit VR Little Endian, as they come over an association: no preamble, no meta group.

use compressor::Uid;
use compressor::bundle::Source;

pub(crate) const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
const MR_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
const ROWS: u16 = 96;

/// `count` slices of one series, 16 bit, each about 18 kB of noise that does not compress away.
pub(crate) fn slices(series: u32, count: u32) -> Vec<Vec<u8>> {
    (1..=count).map(|number| slice(series, number)).collect()
}

/// One slice. Its SOP Instance UID ends with `series.number`.
pub(crate) fn slice(series: u32, number: u32) -> Vec<u8> {
    let pixels = noise(u64::from(series) << 32 | u64::from(number));
    let us = |value: u16| value.to_le_bytes().to_vec();
    [
        element(0x0008_0016, "UI", MR_IMAGE_STORAGE.as_bytes()),
        element(0x0008_0018, "UI", sop_instance(series, number).as_bytes()),
        element(0x0008_0060, "CS", b"MR"),
        element(0x0010_0010, "PN", b"Doe^Jane"),
        element(0x0020_000D, "UI", b"1.2.3.9"),
        element(0x0020_000E, "UI", format!("1.2.3.9.{series}").as_bytes()),
        element(0x0020_0013, "IS", number.to_string().as_bytes()),
        element(0x0028_0002, "US", &us(1)),
        element(0x0028_0004, "CS", b"MONOCHROME2"),
        element(0x0028_0010, "US", &us(ROWS)),
        element(0x0028_0011, "US", &us(ROWS)),
        element(0x0028_0100, "US", &us(16)),
        element(0x0028_0101, "US", &us(12)),
        element(0x0028_0102, "US", &us(11)),
        element(0x0028_0103, "US", &us(0)),
        pixel_data(&pixels),
    ]
    .concat()
}

pub(crate) fn sop_instance(series: u32, number: u32) -> String {
    format!("1.2.3.9.{series}.{number}")
}

/// A source as the gateway's spool gives it.
pub(crate) fn source(bytes: &[u8], conflict: bool) -> Source<'static> {
    Source { conflict, ..Source::of_bytes(bytes.to_vec(), Uid::parse(EXPLICIT_LITTLE).unwrap()) }
}

/// PS3.5 7.1.2: tag, VR, 16-bit length, value padded to even length.
fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [&(tag >> 16).to_le_bytes()[..2], &tag.to_le_bytes()[..2], vr.as_bytes()].concat();
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" { 0 } else { b' ' });
    }
    bytes.extend((value.len() as u16).to_le_bytes());
    bytes.extend(value);
    bytes
}

fn pixel_data(pixels: &[u8]) -> Vec<u8> {
    let length = (pixels.len() as u32).to_le_bytes();
    [b"\xE0\x7F\x10\x00OW\0\0", &length[..], pixels].concat()
}

/// 12-bit values of a xorshift generator.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as u16 & 0x0FFF
    };
    (0..usize::from(ROWS) * usize::from(ROWS)).flat_map(|_| next().to_le_bytes()).collect()
}
