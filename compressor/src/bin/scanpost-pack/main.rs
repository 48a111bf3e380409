//! `scanpost-pack`: DICOM files into a bundle and back, byte for byte or within a bound on the error of each pixel.

mod decode;
mod encode;
mod info;
mod inputs;
mod meta;
mod report;

use anyhow::Context;
use clap::{Parser, Subcommand};
use compressor::bundle::Wanted;
use compressor::encapsulated;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

/// Packs DICOM files into one bundle, and gives them back: byte for byte, or within a bound on the error of each pixel.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Pack files into a bundle. What is not DICOM is carried whole.
    Encode(EncodeArguments),
    /// Write the files of a bundle into a folder.
    Decode {
        /// Bundle to read.
        input: PathBuf,
        /// Folder to write to; made where it is not there. No file in it is replaced.
        output: PathBuf,
        /// Every file as it was packed: images compressed within a bound need the residual in the bundle. Without this they are
        /// written as derived images, marked and under new UIDs.
        #[arg(long)]
        exact: bool,
        /// Worker threads; as many as processors where not given. The files do not depend on it.
        #[arg(long, value_name = "N")]
        threads: Option<NonZero<usize>>,
        /// Report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what is in a bundle.
    Info {
        /// Bundle to read.
        input: PathBuf,
        /// Show whose images these are: names and ids of patients.
        #[arg(long)]
        banner: bool,
        /// Report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Decode the frame on standard input; started by `encode` for each compressed frame.
    #[command(name = encapsulated::COMMAND, hide = true)]
    DecodeFrame,
}

/// Arguments of `encode`.
#[derive(clap::Args)]
struct EncodeArguments {
    /// Folders, which are searched to the bottom, or files.
    #[arg(required = true, num_args = 1.., value_name = "IN")]
    inputs: Vec<PathBuf>,
    /// Bundle to write.
    output: PathBuf,
    /// Largest absolute error allowed, in stored values: 0 (lossless), a number, or what the policy says for each series. Maps,
    /// segmentations, colour and what is already lossy come back exactly in any case.
    #[arg(long, default_value = "auto", value_name = "auto|0|N")]
    near: String,
    /// Add what gives bounded pixels back exactly, at the end of the bundle.
    #[arg(long)]
    residual: bool,
    /// Rules for `--near auto`, TOML; those of docs/config.md where not given.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Worker threads; as many as processors where not given. The bundle does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Encode(arguments) => encode::run(&arguments),
        Command::Decode { input, output, exact, threads, json } => {
            let wanted = if exact { Wanted::Exact } else { Wanted::Shown };
            decode::run(&input, &output, wanted, threads_or_all(threads), json)
        }
        Command::Info { input, banner, json } => info::run(&input, banner, json),
        Command::DecodeFrame => encapsulated::child::run().context("decode-frame"),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scanpost-pack: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// As many as asked for, else one for each processor.
fn threads_or_all(asked: Option<NonZero<usize>>) -> usize {
    asked.or_else(|| std::thread::available_parallelism().ok()).map_or(1, usize::from)
}

/// An error and its causes; one that tells its cause itself does not get it told again.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        told if told.contains(&cause) => line,
        told => format!("{told}: {cause}"),
    })
}
