//! Times the pixel codec on one series, for `benches/codec`: CPU time of one thread, or wall-clock time of several.
//!
//! `codec-bench RAW COLUMNS ROWS FRAMES SAMPLES BITS SIGNED NEAR EXACT TIMED THREADS whole|time|threads [OUT]`
//!
//! RAW holds FRAMES images of COLUMNS × ROWS pixels of SAMPLES samples of BITS (8 or 16) bits, little endian; each is one slab. EXACT is a list
//! of stored values with commas, or `-`. Times are those of TIMED frames, evenly spread; `whole` adds sizes and errors of all frames,
//! `threads` compares THREADS threads with one. With OUT, model, coded slabs and what they decode to are written to that folder.
//! Prints one line of JSON.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use compressor::dataset::ImageLayout;
use compressor::pixels::{Bound, Lessons, Model, Slab, decode_slab, encode_slab, pack_chunk};
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Slabs that a model is learnt from, as in a bundle.
const LESSONS: usize = 8;

struct Series {
    layout: ImageLayout,
    raw: Vec<u8>,
    bound: Bound,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments[index].parse::<u64>().expect("a number");
    let exact = arguments[8].split(',').filter_map(|value| value.parse().ok()).collect();
    let series = Series {
        layout: ImageLayout {
            rows: number(2) as u16,
            columns: number(1) as u16,
            frames: 1,
            samples_per_pixel: number(4) as u16,
            bits_allocated: number(5) as u16,
            bits_stored: number(5) as u16,
            signed: number(6) == 1,
            planar: false,
            big_endian: false,
        },
        raw: std::fs::read(&arguments[0]).expect("raw file"),
        bound: Bound { near: number(7) as u16, exact },
    };
    assert_eq!(series.frames().len(), number(3) as usize, "frames");
    let (timed, threads) = (number(9) as usize, number(10) as usize);
    let out = arguments.get(12).map(PathBuf::from);
    match arguments[11].as_str() {
        "threads" => print_threads(&series, timed, threads),
        what => print_all(&series, timed, what == "whole", out.as_deref()),
    }
}

impl Series {
    fn frames(&self) -> Vec<&[u8]> {
        let pixels = usize::from(self.layout.rows) * usize::from(self.layout.columns);
        let bytes = pixels * usize::from(self.layout.samples_per_pixel * self.layout.bits_allocated / 8);
        self.raw.chunks_exact(bytes).collect()
    }

    fn learn(&self) -> Model {
        let frames = self.frames();
        let mut lessons = Lessons::within(&self.bound);
        for raw in spread(&frames, LESSONS) {
            lessons.add(&Slab::of(&self.layout, raw.len()).expect("slab"), raw);
        }
        lessons.learn(self.raw.len() as u64)
    }

    fn encode(&self, raw: &[u8], model: &Model) -> Vec<u8> {
        encode_slab(&self.layout, raw, model, &self.bound).expect("encode").bytes
    }

    fn decode(&self, coded: &[u8], model: &Model, bytes: usize) -> Vec<u8> {
        decode_slab(&self.layout, coded, Some(model), bytes).expect("decode")
    }

    fn values(&self, raw: &[u8]) -> impl Iterator<Item = i32> {
        let (signed, bytes) = (self.layout.signed, usize::from(self.layout.bits_allocated / 8));
        raw.chunks_exact(bytes).map(move |sample| match (sample, signed) {
            (&[low, high], false) => u16::from_le_bytes([low, high]).into(),
            (&[low, high], true) => i16::from_le_bytes([low, high]).into(),
            (&[byte], false) => byte.into(),
            (&[byte], true) => (byte as i8).into(),
            _ => unreachable!("samples have one or two bytes"),
        })
    }
}

/// `count` items, evenly spread.
fn spread<'s>(items: &[&'s [u8]], count: usize) -> Vec<&'s [u8]> {
    let count = count.min(items.len());
    (0..count).map(|index| items[(2 * index + 1) * items.len() / (2 * count)]).collect()
}

/// CPU seconds of this thread.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds that `work` takes, and what it gives.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = cpu_seconds();
    let given = work();
    (cpu_seconds() - start, given)
}

fn print_all(series: &Series, timed_frames: usize, whole: bool, out: Option<&Path>) {
    let frames = series.frames();
    let (learn_seconds, model) = timed(|| series.learn());
    let chosen = spread(&frames, timed_frames);
    let (encode_seconds, coded) =
        timed(|| chosen.iter().map(|raw| series.encode(raw, &model)).collect::<Vec<_>>());
    let (decode_seconds, ()) = timed(|| {
        for (raw, coded) in chosen.iter().zip(&coded) {
            std::hint::black_box(series.decode(coded, &model, raw.len()));
        }
    });
    let timed_bytes: usize = chosen.iter().map(|raw| raw.len()).sum();
    let model_bytes = pack_chunk(&model.write()).expect("model").len();
    let (mut bytes, mut worst, mut squares, mut samples) = (model_bytes, 0, 0.0, 0_u64);
    if let Some(out) = out {
        std::fs::write(out.join("model"), pack_chunk(&model.write()).expect("model")).expect("write");
        std::fs::write(out.join("model.bytes"), model.write().len().to_string()).expect("write");
    }
    // One run measures sizes and errors, the others only time.
    let measured = if whole { frames.as_slice() } else { &[] };
    for (index, raw) in measured.iter().enumerate() {
        let coded = series.encode(raw, &model);
        let decoded = series.decode(&coded, &model, raw.len());
        for (before, after) in series.values(raw).zip(series.values(&decoded)) {
            let error = before.abs_diff(after);
            worst = worst.max(error);
            squares += f64::from(error).powi(2);
            samples += 1;
        }
        bytes += coded.len();
        if let Some(out) = out {
            std::fs::write(out.join(format!("{index:04}.slab")), &coded).expect("write");
            std::fs::write(out.join(format!("{index:04}.raw")), &decoded).expect("write");
        }
    }
    let rmse = (squares / samples.max(1) as f64).sqrt();
    println!(
        "{{\"bytes\": {bytes}, \"model_bytes\": {model_bytes}, \"samples\": {samples}, \"max_error\": {worst}, \"rmse\": {rmse:.4}, \
         \"timed_bytes\": {timed_bytes}, \"learn_seconds\": {learn_seconds:.6}, \"encode_seconds\": {encode_seconds:.6}, \
         \"decode_seconds\": {decode_seconds:.6}}}"
    );
}

/// Wall-clock seconds of encoding and decoding the timed frames with one thread and with several, alternated by the caller.
fn print_threads(series: &Series, timed_frames: usize, threads: usize) {
    let frames = series.frames();
    let model = series.learn();
    let chosen = spread(&frames, timed_frames);
    let coded: Vec<_> = chosen.iter().map(|raw| series.encode(raw, &model)).collect();
    let encode = |index: usize| drop(std::hint::black_box(series.encode(chosen[index], &model)));
    let decode =
        |index: usize| drop(std::hint::black_box(series.decode(&coded[index], &model, chosen[index].len())));
    let times = [1, threads].map(|count| {
        (wall_seconds(count, chosen.len(), &encode), wall_seconds(count, chosen.len(), &decode))
    });
    let [(encode_one, decode_one), (encode_many, decode_many)] = times;
    println!(
        "{{\"threads\": {threads}, \"encode\": {:.4}, \"decode\": {:.4}}}",
        encode_one / encode_many,
        decode_one / decode_many
    );
}

fn wall_seconds(threads: usize, slabs: usize, work: &(impl Fn(usize) + Sync)) -> f64 {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= slabs {
                        break;
                    }
                    work(index);
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}
