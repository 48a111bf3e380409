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

/// Cells of a sign, and signs of an alphabet.
const SIGN: u32 = 7;
const SIGNS: u32 = 12;

/// Screens of an ultrasound device: lines of signs, a ruler and boxes of colour on black, and grey speckle in one area.
pub(crate) fn screens(name: &str, layout: ImageLayout) -> Series {
    let mut noise = Noise(7);
    let signs: Vec<u64> =
        (0..SIGNS).map(|_| u64::from(noise.next()) << 31 | u64::from(noise.next())).collect();
    let mut slabs = Vec::new();
    for _ in 0..3 {
        let (columns, rows) = (u32::from(layout.columns), u32::from(layout.rows));
        let mut picture = vec![[0_u8; 3]; (columns * rows) as usize];
        let text: Vec<u32> = (0..columns * rows).map(|_| noise.below(SIGNS)).collect();
        for (place, pixel) in (0..columns * rows).zip(&mut picture) {
            let (x, y) = (place % columns, place / columns);
            let sign = signs[text[(y / SIGN * columns + x / SIGN) as usize] as usize];
            let is_text =
                y < rows / 3 && x % (2 * SIGN) < SIGN && sign >> (y % SIGN * SIGN + x % SIGN) & 1 == 1;
            let in_fan = (x as i32 - columns as i32 / 2).abs() < y as i32 - rows as i32 / 3;
            let box_of = (x / 20 + y / 20 * 3) % 11 == 4 && x < 60 && y > rows / 2;
            *pixel = match () {
                () if is_text => [255, 220, 40],
                () if in_fan => [(40 + noise.bell(12)).clamp(0, 255) as u8; 3],
                () if box_of => [200, 30, (y / 20 * 40 % 256) as u8],
                () if x == columns - 4 && y % 10 < 2 => [180; 3],
                () => [0; 3],
            };
        }
        let mut raw = Vec::new();
        match (layout.samples_per_pixel, layout.planar) {
            (1, _) => raw.extend(picture.iter().map(|[red, ..]| *red)),
            (_, false) => raw.extend(picture.iter().flatten()),
            (_, true) => (0..3).for_each(|sample| raw.extend(picture.iter().map(|pixel| pixel[sample]))),
        }
        slabs.extend(cut(&layout, &raw));
    }
    Series { name: name.to_owned(), layout, slabs }
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
