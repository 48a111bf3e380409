//! Times the pixel codec on one series, for `benches/codec`: CPU time of one thread, or wall-clock time of several.
//!
//! `codec-bench RAW COLUMNS ROWS FRAMES SAMPLES BITS SIGNED NEAR EXACT TIMED THREADS whole|time|threads [OUT]`
//!
//! RAW holds FRAMES images of COLUMNS × ROWS pixels of SAMPLES samples of BITS (8 or 16) bits, little endian; each is one slab. EXACT is a list
//! of stored values with commas, or `-`. Every second slab is coded with its neighbours as they decode, as in a bundle. Times are those of
//! TIMED slabs, half of them of each kind, evenly spread; `whole` adds sizes and errors of all, `threads` compares THREADS threads with
//! one. With OUT, model, parts of all slabs and what they decode to are written to that folder. Prints one line of JSON.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use compressor::dataset::ImageLayout;
use compressor::pixels::{
    Bound, CodedSlab, Lessons, Model, Slab, Weighing, decode_coarse, decode_slab, encode_slab,
    encode_without_model, looks_like_graphics, pack_chunk, references, whole_frame,
};
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
    /// Smaller without a model, as a bundle would have it.
    alone: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments[index].parse::<u64>().expect("a number");
    let exact = arguments[8].split(',').filter_map(|value| value.parse().ok()).collect();
    let mut series = Series {
        layout: ImageLayout {
            signed: number(6) == 1,
            ..ImageLayout::new(number(1) as u16, number(2) as u16, number(4) as u16, number(5) as u16)
        },
        raw: std::fs::read(&arguments[0]).expect("raw file"),
        bound: Bound { near: number(7) as u16, exact },
        alone: false,
    };
    series.alone = series.is_smaller_alone();
    assert_eq!(series.slabs().len(), number(3) as usize, "frames");
    let (timed, threads) = (number(9) as usize, number(10) as usize);
    let out = arguments.get(12).map(PathBuf::from);
    match arguments[11].as_str() {
        "threads" => print_threads(&series, timed, threads),
        what => print_all(&series, timed, what == "whole", out.as_deref()),
    }
}

impl Series {
    fn slabs(&self) -> Vec<&[u8]> {
        let pixels = usize::from(self.layout.rows) * usize::from(self.layout.columns);
        let bytes = pixels * usize::from(self.layout.samples_per_pixel * self.layout.bits_allocated / 8);
        self.raw.chunks_exact(bytes).collect()
    }

    /// Numbers of the slabs that slab `number` is predicted from, whatever the model says.
    fn references(&self, number: usize) -> Vec<usize> {
        let slabs = self.slabs();
        let shape = |other: usize| whole_frame(&self.layout, slabs.get(other)?.len());
        references(number, shape).into_iter().flatten().collect()
    }

    /// From lessons that a bundle would choose: of a series with references, slabs that have them.
    fn learn(&self) -> Model {
        let slabs = self.slabs();
        let (count, lessons) = (slabs.len(), LESSONS.min(slabs.len()));
        let odd = usize::from(count > 2);
        let mut wanted: Vec<_> = (0..lessons)
            .map(|lesson| (((2 * lesson + 1) * count / (2 * lessons)) | odd).min(count - 1))
            .collect();
        wanted.dedup();
        let mut learning = Lessons::within(&self.bound);
        for number in wanted {
            let near_by: Vec<_> =
                self.references(number).into_iter().filter(|_| odd == 1).map(|other| slabs[other]).collect();
            let slab = Slab::of(&self.layout, slabs[number].len()).expect("slab");
            learning.add(&slab, slabs[number], &near_by);
        }
        learning.learn(self.raw.len() as u64)
    }

    /// A slab with what it is predicted from, decoded, ready to be timed.
    fn task<'s>(&'s self, number: usize, model: &Model) -> Task<'s> {
        let slabs = self.slabs();
        let numbers = if model.uses_references() { self.references(number) } else { Vec::new() };
        let decoded =
            |other: usize| self.encode(slabs[other], model, &[]).decoded.unwrap_or(slabs[other].to_vec());
        Task { raw: slabs[number], references: numbers.into_iter().map(decoded).collect() }
    }

    fn encode(&self, raw: &[u8], model: &Model, references: &[&[u8]]) -> CodedSlab {
        if self.alone {
            return encode_without_model(&self.layout, raw).expect("encode");
        }
        encode_slab(&self.layout, raw, model, &self.bound, references).expect("encode")
    }

    fn is_smaller_alone(&self) -> bool {
        let graphics =
            |raw: &&[u8]| looks_like_graphics(&Slab::of(&self.layout, raw.len()).expect("slab"), raw);
        let all_graphics = self.slabs().iter().all(graphics);
        if !Weighing::is_worth_it(&self.bound, self.raw.len() as u64, all_graphics) {
            return false;
        }
        let model = self.learn();
        let mut weighing = Weighing::of(&model);
        self.slabs().iter().for_each(|raw| weighing.add(&self.layout, raw).expect("encode"));
        !weighing.pays(self.raw.len() as u64).expect("model")
    }

    fn model_bytes(&self, model: &Model) -> usize {
        if self.alone { 0 } else { pack_chunk(&model.write()).expect("model").len() }
    }

    fn decode(&self, coded: &CodedSlab, model: &Model, references: &[&[u8]], bytes: usize) -> Vec<u8> {
        decode_slab(&self.layout, &coded.coarse, &coded.fine, Some(model), references, bytes).expect("decode")
    }

    /// The coarse picture; of a slab that has none, an empty file.
    fn write_picture(&self, out: &Path, number: usize, slab: &CodedSlab, model: &Model) {
        let picture = decode_coarse(&self.layout, &slab.coarse, Some(model), self.slabs()[number].len());
        let raw = picture.map(|(_, raw)| raw).unwrap_or_default();
        std::fs::write(out.join(format!("{number:04}.picture")), raw).expect("write");
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

/// A slab and the decoded slabs that it is predicted from.
struct Task<'s> {
    raw: &'s [u8],
    references: Vec<Vec<u8>>,
}

impl Task<'_> {
    fn references(&self) -> Vec<&[u8]> {
        self.references.iter().map(Vec::as_slice).collect()
    }

    fn encode(&self, series: &Series, model: &Model) -> CodedSlab {
        series.encode(self.raw, model, &self.references())
    }

    fn decode(&self, series: &Series, model: &Model, coded: &CodedSlab) -> Vec<u8> {
        series.decode(coded, model, &self.references(), self.raw.len())
    }
}

/// `count` of `all` slabs, evenly spread, as many even ones as odd ones: these have references.
fn spread(all: usize, count: usize) -> Vec<usize> {
    if count >= all {
        return (0..all).collect();
    }
    let middle = |index: usize| (2 * index + 1) * all / (2 * count);
    (0..count).map(|index| (middle(index) / 2 * 2 + index % 2).min(all - 1)).collect()
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

fn print_all(series: &Series, timed_slabs: usize, whole: bool, out: Option<&Path>) {
    let (learn_seconds, model) = timed(|| series.learn());
    let numbers = spread(series.slabs().len(), timed_slabs);
    let tasks: Vec<_> = numbers.into_iter().map(|number| series.task(number, &model)).collect();
    let (encode_seconds, coded) =
        timed(|| tasks.iter().map(|task| task.encode(series, &model)).collect::<Vec<_>>());
    let (decode_seconds, ()) = timed(|| {
        for (task, coded) in tasks.iter().zip(&coded) {
            std::hint::black_box(task.decode(series, &model, coded));
        }
    });
    let timed_bytes: usize = tasks.iter().map(|task| task.raw.len()).sum();
    let model_bytes = series.model_bytes(&model);
    // One run measures sizes and errors, the others only time.
    let sizes = if whole { measure(series, &model, out) } else { Sizes::default() };
    let Sizes { coarse, fine, coarse_most, fetched_most, max_error, squares, samples } = &sizes;
    let bytes = coarse + fine + model_bytes;
    let slabs = series.slabs();
    let (rmse, coarse_mean) =
        ((squares / (*samples).max(1) as f64).sqrt(), *coarse as f64 / slabs.len() as f64);
    println!(
        "{{\"bytes\": {bytes}, \"model_bytes\": {model_bytes}, \"coarse_mean\": {coarse_mean:.1}, \"coarse_most\": {coarse_most}, \
         \"fetched_most\": {fetched_most:.4}, \"uses_references\": {}, \"samples\": {samples}, \"max_error\": {max_error}, \
         \"rmse\": {rmse:.4}, \"raw_bytes\": {}, \"timed_bytes\": {timed_bytes}, \"learn_seconds\": {learn_seconds:.6}, \
         \"encode_seconds\": {encode_seconds:.6}, \"decode_seconds\": {decode_seconds:.6}}}",
        model.uses_references(),
        series.raw.len(),
    );
}

/// What a whole series comes to.
#[derive(Default)]
struct Sizes {
    /// Bytes of all coarse parts,
    coarse: usize,
    /// of all fine parts,
    fine: usize,
    /// and of the largest coarse part.
    coarse_most: usize,
    /// Bytes to be fetched for one slab at full resolution, those of its references among them, over its own bytes; the largest.
    fetched_most: f64,
    max_error: u32,
    squares: f64,
    samples: u64,
}

/// Codes the even slabs, then those predicted from them.
fn measure(series: &Series, model: &Model, out: Option<&Path>) -> Sizes {
    let slabs = series.slabs();
    let mut coded: Vec<Option<(CodedSlab, Vec<u8>)>> = vec![None; slabs.len()];
    let mut sizes = Sizes::default();
    for number in (0..slabs.len()).step_by(2).chain((1..slabs.len()).step_by(2)) {
        let numbers = if model.uses_references() { series.references(number) } else { Vec::new() };
        let found: Vec<_> =
            numbers.iter().map(|other| coded[*other].as_ref().expect("even slabs are first")).collect();
        let references: Vec<_> = found.iter().map(|(_, decoded)| decoded.as_slice()).collect();
        let slab = series.encode(slabs[number], model, &references);
        let decoded = series.decode(&slab, model, &references, slabs[number].len());
        sizes.add_errors(series.values(slabs[number]).zip(series.values(&decoded)));
        sizes.coarse += slab.coarse.len();
        sizes.fine += slab.fine.len();
        sizes.coarse_most = sizes.coarse_most.max(slab.coarse.len());
        let bytes = |slab: &CodedSlab| slab.coarse.len() + slab.fine.len();
        let fetched = bytes(&slab) + found.iter().map(|(slab, _)| bytes(slab)).sum::<usize>();
        sizes.fetched_most = sizes.fetched_most.max(fetched as f64 / bytes(&slab) as f64);
        if let Some(out) = out {
            write_slab(out, number, &slab, &decoded, &numbers);
            series.write_picture(out, number, &slab, model);
        }
        coded[number] = Some((slab, decoded));
    }
    if let Some(out) = out {
        std::fs::write(out.join("model"), pack_chunk(&model.write()).expect("model")).expect("write");
        std::fs::write(out.join("model.bytes"), model.write().len().to_string()).expect("write");
    }
    sizes
}

impl Sizes {
    fn add_errors(&mut self, values: impl Iterator<Item = (i32, i32)>) {
        for (before, after) in values {
            let error = before.abs_diff(after);
            self.max_error = self.max_error.max(error);
            self.squares += f64::from(error).powi(2);
            self.samples += 1;
        }
    }
}

fn write_slab(out: &Path, number: usize, slab: &CodedSlab, decoded: &[u8], references: &[usize]) {
    let write = |kind: &str, bytes: &[u8]| {
        std::fs::write(out.join(format!("{number:04}.{kind}")), bytes).expect("write")
    };
    write("coarse", &slab.coarse);
    write("fine", &slab.fine);
    write("raw", decoded);
    let references: Vec<_> = references.iter().map(usize::to_string).collect();
    write("references", references.join(" ").as_bytes());
}

/// Wall-clock seconds of encoding and decoding the timed slabs with one thread and with several, alternated by the caller.
fn print_threads(series: &Series, timed_slabs: usize, threads: usize) {
    let model = series.learn();
    let numbers = spread(series.slabs().len(), timed_slabs);
    let tasks: Vec<_> = numbers.into_iter().map(|number| series.task(number, &model)).collect();
    let coded: Vec<_> = tasks.iter().map(|task| task.encode(series, &model)).collect();
    let encode = |index: usize| drop(std::hint::black_box(tasks[index].encode(series, &model)));
    let decode =
        |index: usize| drop(std::hint::black_box(tasks[index].decode(series, &model, &coded[index])));
    let times = [1, threads]
        .map(|count| (wall_seconds(count, tasks.len(), &encode), wall_seconds(count, tasks.len(), &decode)));
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
