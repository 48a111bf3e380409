//! Series that need no files: the same bytes everywhere, integers alone.

use crate::series::{Series, cut};
use compressor::dataset::ImageLayout;

/// Pseudo-random numbers (a 64-bit linear congruential generator, Knuth's constants).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }

    /// Sum of four, so that small errors are more frequent than large ones. Mean 0.
    fn bell(&mut self, width: i32) -> i32 {
        (0..4).map(|_| self.below(width as u32 + 1) as i32).sum::<i32>() - 2 * width
    }
}

/// What a series looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) layout: ImageLayout,
    pub(crate) instances: u32,
    /// Width of the noise, in stored values.
    pub(crate) noise: i32,
    /// Largest value of the structure.
    pub(crate) contrast: i32,
    pub(crate) seed: u64,
}

/// Two nested ellipsoids with ramps, edges and noise on a ground of 0; signed ones lie around zero.
pub(crate) fn series(name: &str, recipe: &Recipe) -> Series {
    let mut noise = Noise(recipe.seed);
    let mut slabs = Vec::new();
    for instance in 0..recipe.instances {
        let mut raw = Vec::new();
        for frame in 0..recipe.layout.frames {
            let depth = (instance * recipe.layout.frames + frame) as i32;
            put_frame(recipe, depth, &mut noise, &mut raw);
        }
        slabs.extend(cut(&recipe.layout, &raw));
    }
    Series { name: name.to_owned(), layout: recipe.layout, slabs }
}

fn put_frame(recipe: &Recipe, depth: i32, noise: &mut Noise, raw: &mut Vec<u8>) {
    let layout = &recipe.layout;
    let (columns, rows, samples) =
        (i32::from(layout.columns), i32::from(layout.rows), i32::from(layout.samples_per_pixel));
    let planes = if layout.planar { samples } else { 1 };
    for plane in 0..planes {
        for place in 0..rows * columns * samples / planes {
            let (pixel, sample) =
                if planes > 1 { (place, plane) } else { (place / samples, place % samples) };
            let (x, y) = (pixel % columns, pixel / columns);
            put(layout, structure(recipe, x, y, depth, sample, noise), raw);
        }
    }
}

fn structure(recipe: &Recipe, x: i32, y: i32, depth: i32, sample: i32, noise: &mut Noise) -> i32 {
    let (columns, rows) = (i32::from(recipe.layout.columns), i32::from(recipe.layout.rows));
    // Distance from the middle in thousandths of half a side.
    let (across, down) = ((2 * x - columns) * 1000 / columns, (2 * y - rows) * 1000 / rows);
    let distance = across * across + down * down + depth * depth * 40;
    let wave = (x * 7 + y * 3 + depth * 5 + sample * 11) % 64 * recipe.contrast / 640;
    match distance {
        0..250_000 => recipe.contrast * 2 / 3 + wave + noise.bell(recipe.noise),
        250_000..640_000 => recipe.contrast / 3 + down * recipe.contrast / 9000 + noise.bell(recipe.noise),
        _ => 0,
    }
}

fn put(layout: &ImageLayout, value: i32, raw: &mut Vec<u8>) {
    let value = if layout.signed { value - value / 2 } else { value.max(0) };
    match (layout.bits_allocated, layout.big_endian) {
        (8, _) if layout.signed => raw.push(value.clamp(-128, 127) as u8),
        (8, _) => raw.push(value.clamp(0, 255) as u8),
        (_, true) => raw.extend((value as u16).to_be_bytes()),
        _ => raw.extend((value as u16).to_le_bytes()),
    }
}
