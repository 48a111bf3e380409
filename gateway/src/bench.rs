//! `scanpost-gateway bench`: sends studies through the running gateway, or packs them beside it, and says how fast that was.
//!
//! What is sent reaches a mailbox as any study does, so it goes only where every doctor is the one of `[duty] daily_to`, which is for tests alone: no doctor
//! is told, whatever was named by mistake.

mod follow;
mod pack;
mod plot;
mod report;
mod send;
mod study;

pub use report::{Measure, Report};

use crate::clock::now_ms;
use crate::config::{Config, ConfigError};
use crate::journal::{Journal, JournalError};
use crate::query::QueryError;
use clap::{Args, ValueEnum};
use compressor::bundle::PackError;
use report::Collected;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use study::Study;

/// What is measured, and with what.
#[derive(Args)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long)]
    pub config: PathBuf,
    /// Which part: C-STORE to the running gateway; packing beside it, which sends nothing; or all stages up to the receipt.
    #[arg(long, value_enum, default_value_t = Part::All)]
    part: Part,
    /// AE title to send to, where several are for tests.
    #[arg(long, value_name = "AE_TITLE")]
    destination: Option<String>,
    /// Send the DICOM files of this folder instead of generated images. Their UIDs, names, ids and birth dates are replaced, nothing else.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["images", "size"])]
    study: Option<PathBuf>,
    /// Generated images.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    images: u32,
    /// Rows and columns of generated images.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(32..=2_048))]
    size: u16,
    /// How often; each round is a study of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Seconds that a reader has, after the notice, to pull what arrived.
    #[arg(long, default_value_t = 90)]
    wait_s: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Draw the figures into this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// C-STORE to the running gateway, each image durable before the answer.
    Receive,
    /// Packing with the settings of `[compress]`, in this process.
    Compress,
    /// From the first image to the receipt.
    All,
}

/// Why nothing was measured. Names no file: their names may be those of patients.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No destination is for tests.
    #[error(
        "no destination is for tests (operator: name a doctor in [duty] daily_to, and a [destinations.AE_TITLE] with this doctor alone; docs/bench.md)"
    )]
    NoDestination,
    /// Which one?
    #[error("several destinations are for tests (operator: say --destination {0})")]
    SeveralDestinations(String),
    /// The named one is not.
    #[error(
        "destination {0} would reach doctors, or is none (operator: name one whose only doctor is that of [duty] daily_to; docs/bench.md)"
    )]
    NotForTests(String),
    /// The gateway listens with TLS alone.
    #[error("bench speaks DICOM without TLS (operator: it needs [dicom] listen, on 127.0.0.1 for instance)")]
    NoListener,
    /// The DICOM port.
    #[error("the gateway's DICOM port at {address}: {reason}")]
    Gateway {
        /// Address and port that were called.
        address: String,
        /// What went wrong, and who must act.
        reason: String,
    },
    /// It answered C-STORE with a failure.
    #[error(
        "the gateway refused image {number} with status {status:04X} (operator: A700: see its log, the disk may be full)"
    )]
    Refused {
        /// Which, from 1 on.
        number: usize,
        /// Status (0000,0900).
        status: u16,
    },
    /// The gateway's own words.
    #[error("the delivery stands at {state}{trouble} (operator: see scanpost-gateway deliveries)")]
    Stuck {
        /// Last stage done.
        state: String,
        /// What is wrong, as the journal says.
        trouble: String,
    },
    /// It stored the images, and the journal shows no delivery.
    #[error(
        "the gateway stored the images and no delivery is in its journal (operator: is it this gateway's --config?)"
    )]
    NotInJournal,
    /// The folder has none.
    #[error("the folder has no file (you: name a folder of DICOM files)")]
    NoFile,
    /// Of the folder.
    #[error("file {0} of the folder, by name, cannot be used as DICOM: {1} (you: take it out, or check it)")]
    File(usize, String),
    /// More than a round may hold in memory.
    #[error("a round of {0} bytes is more than the {max} that are held in memory (you: take fewer or smaller images)", max = study::BYTES_MAX)]
    TooMuch(u64),
    /// The compressor.
    #[error("packing: {0}")]
    Pack(#[from] PackError),
    /// A folder, a temporary file or the plot.
    #[error("{0}: {1} (operator: check folder and disk)")]
    Io(&'static str, io::Error),
    /// The journal.
    #[error("is the gateway running here? {0}")]
    Journal(#[from] JournalError),
}

/// Measures, and writes the plot where one is wanted.
///
/// # Errors
/// [`BenchError`].
pub async fn run(config: &Config, arguments: &Arguments) -> Result<Report, BenchError> {
    let study = match &arguments.study {
        Some(folder) => Study::find(folder)?,
        None => Study::generated(arguments.images, arguments.size),
    };
    let mut report = Report::begin(arguments.part, &study, arguments.rounds);
    let mut collected = Collected::default();
    match arguments.part {
        Part::Compress => pack::measure(config, &study, arguments.rounds, &mut collected)?,
        Part::Receive | Part::All => {
            let destination = destination(config, arguments.destination.as_deref())?;
            send_rounds(config, arguments, &study, destination, &mut collected, &mut report).await?;
            report.destination = Some(destination.to_owned());
        }
    }
    report.measures = collected.measures();
    if let Some(path) = &arguments.plot {
        fs::write(path, plot::svg(&report)).map_err(|error| BenchError::Io("the plot", error))?;
    }
    Ok(report)
}

impl Arguments {
    /// JSON instead of a table.
    pub fn is_json(&self) -> bool {
        self.json
    }
}

async fn send_rounds(
    config: &Config,
    arguments: &Arguments,
    study: &Study,
    destination: &str,
    collected: &mut Collected,
    report: &mut Report,
) -> Result<(), BenchError> {
    let address = send::address(config)?;
    let journal = Journal::open_read_only(config.database()?).await?;
    for round in 1..=arguments.rounds {
        let (uid, images) = study.labelled(now_ms())?;
        let sent = send::send(address, destination, &images).await?;
        drop(images);
        sent.collect(collected);
        if arguments.part == Part::All {
            let wait = Duration::from_secs(arguments.wait_s);
            let delivery = follow::follow(&journal, config, destination, &uid, wait).await?;
            follow::collect(&delivery, collected);
            report.remark_on(&delivery);
        }
        tracing::info!(round, of = arguments.rounds, "measured");
    }
    if arguments.part == Part::Receive {
        report.remark("what was sent is delivered to the mailbox of tests now, beside the later rounds too");
    }
    Ok(())
}

/// The one that was named, or the only one that is for tests.
fn destination<'c>(config: &'c Config, named: Option<&str>) -> Result<&'c str, BenchError> {
    let is_for_tests = |doctors: &[String]| doctors.iter().all(|doctor| config.is_for_tests(doctor));
    let for_tests = config.destinations.iter().filter(|(_, to)| is_for_tests(&to.doctors));
    let for_tests: Vec<&str> = for_tests.map(|(ae_title, _)| ae_title.as_str()).collect();
    match (named, for_tests.as_slice()) {
        (Some(named), all) => {
            let found = all.iter().find(|one| **one == named);
            found.copied().ok_or_else(|| BenchError::NotForTests(named.to_owned()))
        }
        (None, [only]) => Ok(only),
        (None, []) => Err(BenchError::NoDestination),
        (None, several) => Err(BenchError::SeveralDestinations(several.join(" or "))),
    }
}

impl BenchError {
    /// In words of this side: who is called is no PACS.
    fn gateway(address: impl ToString, error: &QueryError) -> Self {
        let reason = match error {
            QueryError::Unreachable(kind) => {
                format!("cannot be reached, {kind} (operator: is the gateway running?)")
            }
            QueryError::Silent => "does not answer in time (operator: see its load and its log)".to_owned(),
            QueryError::Refused(_) => {
                "rejected the association (operator: does it run with this configuration? see its log)"
                    .to_owned()
            }
            QueryError::Aborted => "aborted the association (operator: see its log)".to_owned(),
            _ => "does not speak DICOM as expected (operator: does another program listen there?)".to_owned(),
        };
        Self::Gateway { address: address.to_string(), reason }
    }
}

/// All files below a folder, in the order of their names.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() && entry.file_name() != "DICOMDIR" => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
