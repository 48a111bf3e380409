//! One target for each parser of bytes in the compressor, for what is sealed around it, and for encode → decode within a bound.
//!
//! A target is a function of bytes that panics on a finding. libFuzzer calls it (`fuzz/run`), and so does a deterministic test
//! on mutated seeds (`tests/mutations.rs`), which needs no nightly compiler. Every call runs within a budget of memory and time.

// A harness stops at its first finding: what it trusts are its own seeds and layouts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod allocator;
mod bundle;
mod chunk;
mod dataset;
mod fragments;
mod graphics;
mod input;
mod json;
mod manifest;
mod model;
pub mod mutate;
mod pictures;
mod portable;
mod round_trip;
mod sample;
mod sealed;
mod slab;
mod tree;

use std::time::{Duration, Instant};

/// Longest time of one execution; the longest inputs hold one slab, which takes a tenth of it.
pub const TIME_MAX: Duration = Duration::from_secs(1);

/// One hostile input: how it is tried, what it may take, and what to start from.
pub struct Target {
    /// Name, as on the command line of `fuzz/run`.
    pub name: &'static str,
    /// Panics on a finding.
    pub run: fn(&[u8]),
    /// Bytes that one execution may hold at a time, beside its input. Memory of the zstd library is not counted: libFuzzer's
    /// limit on resident memory stands for it.
    pub bytes_max: usize,
    /// Inputs made by our own encoder.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// 30 MiB for a slab (codec SPEC 9) and what the harness holds itself: the raw samples, twice.
const SLAB_BYTES_MAX: usize = 36 << 20;
/// A manifest has at most 64 MiB of text; what is read from it may take as much again, and a slab.
const MANIFEST_BYTES_MAX: usize = 192 << 20;

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "slab", run: slab::run, bytes_max: SLAB_BYTES_MAX, seeds: slab::seeds },
    Target { name: "graphics", run: graphics::run, bytes_max: SLAB_BYTES_MAX, seeds: graphics::seeds },
    Target { name: "round_trip", run: round_trip::run, bytes_max: SLAB_BYTES_MAX, seeds: round_trip::seeds },
    Target { name: "model", run: model::run, bytes_max: SLAB_BYTES_MAX, seeds: model::seeds },
    Target { name: "chunk", run: chunk::run, bytes_max: 4 << 20, seeds: chunk::seeds },
    // A tree of serde_json beside it.
    Target { name: "json", run: json::run, bytes_max: 4 << 20, seeds: json::seeds },
    // Covers name ten thousand pieces at most.
    Target { name: "sealed", run: sealed::run, bytes_max: 4 << 20, seeds: sealed::seeds },
    Target { name: "manifest", run: manifest::run, bytes_max: MANIFEST_BYTES_MAX, seeds: manifest::seeds },
    Target { name: "bundle", run: bundle::run, bytes_max: MANIFEST_BYTES_MAX, seeds: bundle::seeds },
    Target {
        name: "bundle_file",
        run: bundle::run_file,
        bytes_max: MANIFEST_BYTES_MAX,
        seeds: bundle::seeds_file,
    },
    // A window of 8 MiB, and the bytes themselves.
    Target { name: "portable", run: portable::run, bytes_max: 20 << 20, seeds: portable::seeds },
    // Deflated data sets are inflated as they are read, through a window of 32 KiB.
    Target { name: "dataset", run: dataset::run, bytes_max: 1 << 20, seeds: dataset::seeds },
    // Inflated bytes, and the tree of what is read: up to 16 MiB and 24 MiB, of a few kB of input far less.
    Target { name: "tree", run: tree::run, bytes_max: 32 << 20, seeds: tree::seeds },
    Target { name: "fragments", run: fragments::run, bytes_max: 4 << 20, seeds: fragments::seeds },
    // Frames of 16 MiB at most, of which a decoder holds its own samples of four bytes, and those of a wavelet.
    Target { name: "pictures", run: pictures::run, bytes_max: 192 << 20, seeds: pictures::seeds },
];

/// What one execution took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Most bytes held at a time.
    pub bytes: usize,
    /// Wall-clock time.
    pub time: Duration,
}

impl Target {
    /// Runs one input.
    ///
    /// # Panics
    /// On a finding, and where the execution took more memory than its budget. Time is the caller's to judge, since a
    /// busy machine takes longer.
    pub fn execute(&self, input: &[u8]) -> Taken {
        let start = Instant::now();
        let bytes = allocator::most_held(|| (self.run)(input));
        assert!(bytes <= self.bytes_max, "{}: {bytes} bytes held, {} allowed", self.name, self.bytes_max);
        Taken { bytes, time: start.elapsed() }
    }
}

/// Makes the models that slabs are tried with, so that no execution is charged with it.
pub fn prepare() {
    sample::model(0);
}

/// Runs one input of the target of this name; an unknown name is a finding too.
pub fn execute(name: &str, input: &[u8]) -> Taken {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.expect("a target of this name").execute(input)
}
