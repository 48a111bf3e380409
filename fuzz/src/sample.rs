//! Images, series, models and data sets to start from: generated, the same bytes every time.

use compressor::dataset::ImageLayout;
use compressor::pixels::{Bound, Lessons, Model, Slab};
use std::sync::OnceLock;

/// Pseudo-random numbers (a 64-bit linear congruential generator, Knuth's constants).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
}

/// Layouts, in the order of [`layouts`], whose models use references.
const WITH_REFERENCES: usize = 4;

/// Layouts of every kind that slabs have.
pub(crate) fn layouts() -> Vec<ImageLayout> {
    vec![
        ImageLayout::new(32, 24, 1, 16),
        ImageLayout { signed: true, ..ImageLayout::new(17, 13, 1, 16) },
        ImageLayout { big_endian: true, frames: 2, ..ImageLayout::new(9, 20, 1, 16) },
        ImageLayout::new(24, 16, 1, 8),
        ImageLayout::new(16, 12, 3, 8),
        ImageLayout { planar: true, ..ImageLayout::new(11, 7, 3, 16) },
        ImageLayout::new(1, 1, 1, 8),
    ]
}

/// Raw bytes of all frames.
pub(crate) fn raw_bytes(layout: &ImageLayout) -> usize {
    let pixels = usize::from(layout.rows) * usize::from(layout.columns) * layout.frames as usize;
    pixels * usize::from(layout.samples_per_pixel) * usize::from(layout.bits_allocated / 8)
}

/// A bright disc with noise on a ground of one value.
pub(crate) fn image(layout: &ImageLayout, seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    let (columns, rows) = (i32::from(layout.columns), i32::from(layout.rows));
    let (sample_bytes, samples) = (layout.bits_allocated / 8, i32::from(layout.samples_per_pixel));
    let mut raw = Vec::with_capacity(raw_bytes(layout));
    for place in 0..(raw_bytes(layout) / usize::from(sample_bytes)) as i32 {
        let (x, y) = (place / samples % columns, place / samples / columns % rows);
        let inside = (2 * x - columns).pow(2) + (2 * y - rows).pow(2) < columns * rows;
        let value = if inside { (60 + x * 2 + y + (noise.next() % 9) as i32) as u16 } else { 0 };
        match (sample_bytes, layout.big_endian) {
            (1, _) => raw.push(value as u8),
            (_, false) => raw.extend((value * 9).to_le_bytes()),
            (_, true) => raw.extend((value * 9).to_be_bytes()),
        }
    }
    raw
}

/// So long a series that references pay for their weights.
const SERIES_BYTES: u64 = 4 << 20;

/// The model that is learnt of these images, each with `references`.
pub(crate) fn learn(layout: &ImageLayout, images: &[&[u8]], references: &[&[u8]], bound: &Bound) -> Model {
    let mut lessons = Lessons::within(bound);
    for raw in images {
        if let Some(slab) = Slab::of(layout, raw.len()) {
            lessons.add(&slab, raw, references);
        }
    }
    lessons.learn(SERIES_BYTES)
}

/// Models of different images, with references and without; `number` picks one.
pub(crate) fn model(number: u8) -> &'static Model {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    let models = MODELS.get_or_init(|| {
        let bounds = [Bound::LOSSLESS, Bound { near: 3, exact: vec![0] }];
        let learnt = layouts().into_iter().enumerate().map(|(index, layout)| {
            let large = ImageLayout { columns: 64, rows: 48, ..layout };
            let raw = image(&large, index as u64);
            // The image itself is what it is best predicted from.
            let references: &[&[u8]] = if index < WITH_REFERENCES { &[&raw] } else { &[] };
            let model = learn(&large, &[&raw], references, &bounds[index % 2]);
            assert_ne!(model.uses_references(), references.is_empty(), "layout {index}");
            model
        });
        learnt.collect()
    });
    &models[usize::from(number) % models.len()]
}

/// An element in Explicit VR Little Endian (PS3.5 7.1.2).
pub(crate) fn element(tag: u32, vr: &[u8; 2], value: &[u8], data: &mut Vec<u8>) {
    data.extend(((tag >> 16) as u16).to_le_bytes());
    data.extend((tag as u16).to_le_bytes());
    data.extend(vr);
    if matches!(vr, b"OB" | b"OW" | b"SQ" | b"UN") {
        data.extend([0, 0]);
        data.extend((value.len() as u32).to_le_bytes());
    } else {
        data.extend((value.len() as u16).to_le_bytes());
    }
    data.extend(value);
}

/// A data set with a sequence and native pixels.
pub(crate) fn data_set(layout: &ImageLayout, seed: u64) -> Vec<u8> {
    let mut data = Vec::new();
    let uid = |name: &str| {
        let padding = if name.len() % 2 == 1 { "\0" } else { "" };
        format!("{name}{padding}").into_bytes()
    };
    element(0x0008_0016, b"UI", &uid("1.2.840.10008.5.1.4.1.1.4"), &mut data);
    element(0x0008_0018, b"UI", &uid(&format!("1.2.3.{seed}")), &mut data);
    element(0x0008_0060, b"CS", b"MR", &mut data);
    let mut item = vec![0xFE, 0xFF, 0x00, 0xE0, 10, 0, 0, 0];
    element(0x0008_1150, b"LO", b"AB", &mut item);
    element(0x0008_1140, b"SQ", &item, &mut data);
    element(0x0020_000D, b"UI", &uid("1.2.3"), &mut data);
    element(0x0020_000E, b"UI", &uid("1.2.3.4"), &mut data);
    element(0x0020_0013, b"IS", format!("{:<2}", seed % 100).as_bytes(), &mut data);
    let mut number = |tag, value: u16| element(tag, b"US", &value.to_le_bytes(), &mut data);
    number(0x0028_0002, layout.samples_per_pixel);
    number(0x0028_0010, layout.rows);
    number(0x0028_0011, layout.columns);
    number(0x0028_0100, layout.bits_allocated);
    number(0x0028_0101, layout.bits_stored);
    number(0x0028_0103, layout.signed.into());
    element(0x7FE0_0010, b"OW", &image(layout, seed), &mut data);
    element(0xFFFC_FFFC, b"OB", &[0; 6], &mut data);
    data
}
