//! `icon.svg` as a PNG, which iOS wants for the home screen: drawn when the portal starts, square, since telephones round the corners themselves.

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::io::Write;

/// Pixels on each side: what iOS shows at three pixels a point.
const SIDE: u16 = 180;
/// Samples of a pixel, on each side.
const SAMPLES: u16 = 4;
/// `icon.svg` counts in these.
const UNITS: f32 = 512.0;
const CENTRE: f32 = 256.0;

type Colour = [u8; 3];
const GROUND: Colour = [0x0b, 0x16, 0x22];
const BLUE: Colour = [0x5c, 0xc3, 0xff];
const WHITE: Colour = [0xee, 0xf3, 0xf8];

/// The colour at a place of `icon.svg`: what was drawn last there.
fn colour(x: f32, y: f32) -> Colour {
    let (x, y) = (x - CENTRE, y - CENTRE);
    let from_centre = x.hypot(y);
    let is_ring = |radius: f32, stroke: f32| (from_centre - radius).abs() <= stroke / 2.0;
    if x.abs() <= 136.0 && y.abs() <= 10.0 {
        BLUE
    } else if is_ring(104.0, 20.0) {
        WHITE
    } else if is_ring(152.0, 28.0) {
        BLUE
    } else {
        GROUND
    }
}

/// The mean of a pixel's samples.
fn pixel(column: u16, row: u16) -> Colour {
    let place = |pixel: u16, sample: u16| {
        (f32::from(pixel) + (f32::from(sample) + 0.5) / f32::from(SAMPLES)) * UNITS / f32::from(SIDE)
    };
    let mut sums = [0_u16; 3];
    for sample in 0..SAMPLES * SAMPLES {
        let sampled = colour(place(column, sample % SAMPLES), place(row, sample / SAMPLES));
        for (sum, value) in sums.iter_mut().zip(sampled) {
            *sum += u16::from(value);
        }
    }
    sums.map(|sum| u8::try_from(sum / (SAMPLES * SAMPLES)).unwrap_or(u8::MAX))
}

/// The file (ISO/IEC 15948).
pub(super) fn png() -> Vec<u8> {
    let mut header = [u32::from(SIDE).to_be_bytes(), u32::from(SIDE).to_be_bytes()].concat();
    // 8 bits, RGB, deflate, the one set of filters, not interlaced (11.2.1).
    header.extend([8, 2, 0, 0, 0]);
    let mut rows = Vec::new();
    for row in 0..SIDE {
        rows.push(0); // No filter (9.2).
        rows.extend((0..SIDE).flat_map(|column| pixel(column, row)));
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", header), (b"IDAT", deflated(&rows)), (b"IEND", Vec::new())] {
        file.extend(chunk(name, &content));
    }
    file
}

fn deflated(rows: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(rows);
    encoder.finish().unwrap_or_default()
}

/// Length, name, content and CRC (5.3).
fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(content);
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], name, content, &crc.sum().to_be_bytes()].concat()
}
