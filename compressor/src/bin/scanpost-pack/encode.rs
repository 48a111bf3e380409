//! `scanpost-pack encode`.

use crate::report::{self, Report};
use crate::{EncodeArguments, inputs, threads_or_all};
use anyhow::Context;
use compressor::bundle::{self, Manifest, Near, Options, Source, Summary};
use compressor::encapsulated::FrameDecoder;
use compressor::near::Policy;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 256 << 10;

/// Packs the inputs and reports.
pub(crate) fn run(arguments: &EncodeArguments) -> anyhow::Result<()> {
    let options = Options {
        near: near(arguments)?,
        residual: arguments.residual,
        decoder: Some(FrameDecoder::of_this_program()),
        ..Options::lossless(threads_or_all(arguments.threads))
    };
    let start = Instant::now();
    let files = inputs::find(&arguments.inputs)?;
    let sources: Vec<_> =
        files.iter().map(|(name, path)| inputs::source(name.clone(), path)).collect::<Result<_, _>>()?;
    let mut clock = Clock { start, ticks: Vec::new() };
    let (manifest, summary) = write_bundle(&arguments.output, &sources, &options, &mut clock)?;
    let seconds = clock.seconds_by_series(&manifest);
    let mut report = Report::of(&manifest, summary);
    report.set_seconds(&seconds, start.elapsed().as_secs_f64());
    report::print(&report, arguments.json)
}

fn near(arguments: &EncodeArguments) -> anyhow::Result<Near> {
    let near = arguments.near.trim();
    if near != "auto" {
        let number =
            near.parse().with_context(|| format!("--near {near}: auto, or a number from 0 to 65535"))?;
        return Ok(Near::Fixed(number));
    }
    let Some(path) = &arguments.policy else { return Ok(Near::Auto(Policy::default())) };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let policy: Policy = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    policy.check().with_context(|| format!("in {}", path.display()))?;
    Ok(Near::Auto(policy))
}

/// Writes to a temporary name, so that a bundle is there whole or not at all.
fn write_bundle(
    output: &Path,
    sources: &[Source<'_>],
    options: &Options,
    clock: &mut Clock,
) -> anyhow::Result<(Manifest, Summary)> {
    let part = part_of(output);
    let result = write_part(&part, sources, options, clock)
        .and_then(|packed| fs::rename(&part, output).context("cannot rename the bundle").map(|()| packed));
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result
}

fn write_part(
    part: &Path,
    sources: &[Source<'_>],
    options: &Options,
    clock: &mut Clock,
) -> anyhow::Result<(Manifest, Summary)> {
    let file = File::create(part).with_context(|| format!("cannot write {}", part.display()))?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    let bar = bar(sources.iter().map(|source| source.bytes).sum());
    let packed = bundle::pack(sources, &mut out, options, &mut |bytes| {
        bar.set_position(bytes);
        clock.tick(bytes);
    })?;
    bar.finish_and_clear();
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(packed)
}

fn part_of(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// On a terminal alone.
fn bar(bytes: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("compress {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// When how many source bytes were coded.
struct Clock {
    start: Instant,
    ticks: Vec<(u64, f64)>,
}

impl Clock {
    fn tick(&mut self, bytes: u64) {
        self.ticks.push((bytes, self.start.elapsed().as_secs_f64()));
    }

    /// Seconds from the end of one series to the end of the next: they are coded one after the other.
    fn seconds_by_series(&self, manifest: &Manifest) -> Vec<f64> {
        let (mut bytes, mut before) = (0, 0.0);
        let lengths = manifest.series.iter().map(report::file_bytes);
        let mut seconds = Vec::with_capacity(manifest.series.len());
        for length in lengths {
            bytes += length;
            let reached = self.ticks.partition_point(|(coded, _)| *coded < bytes);
            let end = self.ticks.get(reached).map_or(before, |(_, time)| *time);
            seconds.push(end - before);
            before = end;
        }
        seconds
    }
}
