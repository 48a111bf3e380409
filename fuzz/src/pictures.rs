//! Frames that are carried as they came, decoded as in a viewer.

use crate::input::{Input, put_layout};
use compressor::dataset::ImageLayout;
use compressor::encapsulated::{Codestream, pictures};
use compressor::pixels;
use jpeg_encoder::{ColorType, Encoder};
use std::panic;

/// 16 × 16 samples of 16 bits, three resolutions, as OpenJPEG codes them for `compressor::transcode`; hexadecimal.
const JPEG_2000: &str = "\
    ff4fff5100290000000000100000001000000000000000000000001000000010000000000000000000010f0101ff52000c00000001000204040001ff\
    5c000a4080888890888890ff640025000143726561746564206279204f70656e4a5045472076657273696f6e20322e352e32ff90000a000000000080\
    0001ff93dff890f8111e6fe943ef646a5d622d14fe94ee2be28e499d786b76f3cdf18a03c8067fc0ff00981fe022007e60e02460a9815d52359af724\
    4a8d5b2805b0c02464b446993137c07f21f01fc874003ed04060ff458152abd1a0d7c49571f6738f5c678539764b306a186d2ed53d5761f0a75fffd9";
const QUALITY: u8 = 80;
const SIDE: u16 = 16;

/// Behind the layout: kind of codestream, whether colours are RGB, and the items.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let layout = ImageLayout { frames: 1, ..input.layout() };
    let Some(codestream) = Codestream::of_number(u32::from(input.byte() % 3)) else { return };
    let is_rgb = input.byte() & 1 == 1;
    let Ok(coded) = pictures::codestream_of(input.0, false) else { return };
    assert!(coded.len() <= input.0.len());
    // A decoder may panic on what is damaged: the viewer's module ends, and nothing else. libFuzzer would end with it.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let decoded = panic::catch_unwind(|| pictures::decode(codestream, &layout, is_rgb, &coded));
    panic::set_hook(hook);
    if let Ok(Ok(frame)) = decoded {
        assert_eq!(Some(frame.len() as u64), pixels::frame_bytes(&layout), "a frame of another length");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let grey = ImageLayout::new(SIDE, SIDE, 1, 8);
    let deep = ImageLayout::new(SIDE, SIDE, 1, 16);
    let colour = ImageLayout::new(SIDE, SIDE, 3, 8);
    vec![
        seed(&grey, Codestream::Rle, &run_lengths(1)),
        seed(&deep, Codestream::Rle, &run_lengths(2)),
        seed(&colour, Codestream::Rle, &run_lengths(3)),
        seed(&grey, Codestream::Jpeg, &jpeg(ColorType::Luma, 1)),
        seed(&colour, Codestream::Jpeg, &jpeg(ColorType::Rgb, 3)),
        seed(&deep, Codestream::Jpeg2000, &jpeg_2000()),
    ]
}

fn seed(layout: &ImageLayout, codestream: Codestream, coded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_layout(layout, &mut bytes);
    bytes.extend([codestream.number() as u8, 1]);
    bytes.extend([0xFE, 0xFF, 0x00, 0xE0]);
    bytes.extend((coded.len() as u32).to_le_bytes());
    bytes.extend(coded);
    bytes
}

/// So many planes, each of rows that are one run or all literal (PS3.5 G.3).
fn run_lengths(planes: u32) -> Vec<u8> {
    let side = SIDE as u8;
    let row = |number: u8| match number % 2 {
        0 => vec![(1 - i16::from(side)) as u8, number],
        _ => [vec![side - 1], (0..side).map(|column| column * number).collect()].concat(),
    };
    let plane: Vec<u8> = (0..side).flat_map(row).collect();
    let mut head = vec![planes];
    head.extend((0..planes).map(|number| 64 + number * plane.len() as u32));
    head.resize(16, 0);
    [head.into_iter().flat_map(u32::to_le_bytes).collect(), plane.repeat(planes as usize)].concat()
}

fn jpeg(kind: ColorType, components: usize) -> Vec<u8> {
    let samples = usize::from(SIDE * SIDE) * components;
    let image: Vec<u8> = (0..samples).map(|at| (at * at / 7) as u8).collect();
    let mut coded = Vec::new();
    Encoder::new(&mut coded, QUALITY).encode(&image, SIDE, SIDE, kind).unwrap();
    coded
}

fn jpeg_2000() -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&JPEG_2000[at..at + 2], 16).unwrap();
    (0..JPEG_2000.len()).step_by(2).map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seed_is_a_frame() {
        for seed in seeds() {
            let mut input = Input(&seed);
            let layout = ImageLayout { frames: 1, ..input.layout() };
            let codestream = Codestream::of_number(input.byte().into()).unwrap();
            input.byte();
            let coded = pictures::codestream_of(input.0, false).unwrap();
            assert!(pictures::decode(codestream, &layout, true, &coded).is_ok(), "{codestream:?} {layout:?}");
        }
    }
}
