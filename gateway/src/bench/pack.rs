//! Packing as the stage *compress* does, in this process, which does nothing else: the running gateway is not asked, and nothing is sent.

use super::BenchError;
use super::report::{Collected, MEGABYTE};
use super::study::{Study, generate};
use crate::clock::now_ms;
use crate::config::Config;
use compressor::Uid;
use compressor::bundle::{Source, pack};
use compressor::dataset::locate;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// Ticks of processor time in a second, as `/proc` counts them (proc(5), USER_HZ): 100 on each architecture that we build for.
const TICKS_A_SECOND: f64 = 100.0;

/// Packs the study so many times.
pub(super) fn measure(
    config: &Config,
    study: &Study,
    rounds: u32,
    collected: &mut Collected,
) -> Result<(), BenchError> {
    let folder = TempDir::new().map_err(temporary)?;
    let written;
    let files = match study {
        Study::Given(files) => files,
        Study::Generated { images, size } => {
            written = write(folder.path(), *images, *size).map_err(temporary)?;
            &written
        }
    };
    let sources = files.iter().zip(1..).map(|(file, number)| source(file, number));
    let sources: Vec<Source<'_>> = sources.collect::<Result<_, _>>()?;
    let options = config.compress.options();
    let bundle = folder.path().join("bundle");
    for round in 1..=rounds {
        let (began, cpu_s) = (Instant::now(), cpu_seconds());
        let mut out = BufWriter::new(File::create(&bundle).map_err(temporary)?);
        let (_, summary) = pack(&sources, &mut out, &options, &mut |_| ())?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(temporary)?;
        let seconds = began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
        let (images, source, packed) =
            (summary.instances as f64, summary.source_bytes as f64, summary.bundle_bytes as f64);
        collected.rate("compressed", "images/s", images / seconds);
        collected.rate("compressed", "MB/s", source / MEGABYTE / seconds);
        collected.cost("compress", "s", seconds);
        if let (Some(before), Some(after)) = (cpu_s, cpu_seconds()) {
            collected.cost("compress, processor", "s", after - before);
        }
        collected.rate("ratio", ": 1", source / packed);
        collected.cost("bundle", "MB", packed / MEGABYTE);
        tracing::info!(round, of = rounds, "measured");
    }
    if let Some(peak) = peak_megabytes() {
        collected.cost("largest memory", "MB", peak);
    }
    Ok(())
}

fn temporary(error: io::Error) -> BenchError {
    BenchError::Io("the temporary folder", error)
}

/// One after the other, so that the memory that is measured is the compressor's.
fn write(folder: &Path, images: u32, size: u16) -> io::Result<Vec<PathBuf>> {
    let study = Uid::parse("2.25.1").map_err(io::Error::other)?;
    (1..=images)
        .map(|number| {
            let image = generate(&study, number, size, now_ms()).ok_or(io::ErrorKind::InvalidData)?;
            let path = folder.join(format!("{number:05}"));
            fs::write(&path, image.data_set).map(|()| path)
        })
        .collect()
}

fn source(path: &Path, number: usize) -> Result<Source<'_>, BenchError> {
    let unusable = |error: io::Error| BenchError::File(number, error.kind().to_string());
    let mut file = File::open(path).map_err(unusable)?;
    let bytes = file.metadata().map_err(unusable)?.len();
    let part = locate(&mut file, bytes).map_err(unusable)?;
    let part = part.ok_or_else(|| BenchError::File(number, "it is no DICOM file".to_owned()))?;
    Ok(Source::of_file(path, bytes, part))
}

/// Of this process and the decoders that it has waited for; none where `/proc` is not there.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may have spaces: fields are counted behind it, utime to cstime are the 12th to 15th.
    let ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(4);
    Some(ticks.map(|field| field.parse::<f64>().unwrap_or_default()).sum::<f64>() / TICKS_A_SECOND)
}

/// Largest resident memory of this process so far.
fn peak_megabytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0 / MEGABYTE)
}
