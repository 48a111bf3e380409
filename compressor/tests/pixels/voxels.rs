//! The bound on every voxel: a sample in each run, 10⁹ voxels with `--run-ignored`.

use crate::generated::{self, Noise, Recipe};
use crate::series::{Coded, Series, real};
use compressor::dataset::ImageLayout;
use compressor::pixels::Bound;

/// Voxels of an ordinary run,
const SAMPLE: u64 = 3_000_000;
/// and of a long one.
const LONG: u64 = 1_000_000_000;
/// Progress is told each time this many were done.
const STEP: u64 = 50_000_000;
/// Bounds from none to larger than most images' contrast.
const NEARS: [u16; 10] = [0, 1, 2, 3, 5, 13, 31, 255, 4_095, 65_535];
/// Real series are tried at these.
const NEARS_REAL: [u16; 5] = [0, 1, 3, 13, 100];

struct Tally {
    coded: Coded,
    raw_bytes: u64,
    told: u64,
}

impl Tally {
    fn add(&mut self, series: &Series, bound: &Bound) {
        let coded = series.round_trip(bound);
        assert_eq!(coded.violations, 0, "{} ({:?}): {bound:?}, {coded:?}", series.name, series.layout);
        self.coded.add(&coded);
        self.raw_bytes += series.slabs.iter().map(|raw| raw.len() as u64).sum::<u64>();
        if self.coded.voxels / STEP > self.told {
            self.told = self.coded.voxels / STEP;
            println!("{} million voxels, 0 violations", self.coded.voxels / 1_000_000);
        }
    }
}

fn run(voxels: u64, real: &[Series]) {
    let mut tally = Tally { coded: Coded::default(), raw_bytes: 0, told: 0 };
    for series in real {
        for near in NEARS_REAL {
            tally.add(series, &Bound { near, exact: if near > 0 { vec![0] } else { vec![] } });
        }
    }
    let of_real = tally.coded.voxels;
    let mut noise = Noise(7);
    let mut number = 0;
    while tally.coded.voxels < voxels {
        number += 1;
        let recipe = recipe(&mut noise, number, voxels > SAMPLE);
        let near = NEARS[noise.below(NEARS.len() as u32) as usize];
        let exact = if near > 0 && noise.below(2) == 0 { vec![0] } else { vec![] };
        tally.add(&generated::series(&format!("generated {number}"), &recipe), &Bound { near, exact });
    }
    println!(
        "{} voxels ({of_real} of real series, {number} generated series), 0 violations, {} raw bytes became {}",
        tally.coded.voxels, tally.raw_bytes, tally.coded.bytes
    );
}

/// Any layout, size, noise and contrast: odd sizes, single rows, many frames, colours. Small ones are more of them.
fn recipe(noise: &mut Noise, number: u64, large: bool) -> Recipe {
    let side = |noise: &mut Noise| match noise.below(8) {
        0 => 1 + noise.below(9),
        1 if large => 512 + noise.below(100),
        _ => 30 + noise.below(if large { 300 } else { 90 }),
    };
    let (columns, rows) = (side(noise) as u16, side(noise) as u16);
    let (samples, bits) =
        [(1, 16), (1, 16), (1, 16), (1, 8), (3, 8), (3, 16), (2, 16), (4, 8)][noise.below(8) as usize];
    let layout = ImageLayout {
        frames: 1 + noise.below(6),
        signed: noise.below(3) == 0,
        planar: noise.below(2) == 0,
        big_endian: noise.below(4) == 0,
        ..ImageLayout::new(columns, rows, samples, bits)
    };
    // The highest contrast wraps around the end of 16 bits, which is no image, but must come back.
    let contrast = [20, 200, 900, 4_000, 30_000, 90_000][noise.below(6) as usize];
    let width = [0, 1, 5, 20, 200, 5_000][noise.below(6) as usize];
    Recipe {
        layout,
        instances: 1 + noise.below(if large { 12 } else { 3 }),
        noise: width,
        contrast,
        seed: number,
    }
}

#[test]
fn no_voxel_of_a_sample_is_further_off_than_the_bound() {
    run(SAMPLE, &[]);
}

#[test]
#[ignore = "10⁹ voxels, some minutes"]
fn no_voxel_of_a_thousand_million_is_further_off_than_the_bound() {
    run(LONG, &real());
}
