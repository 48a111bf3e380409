//! `scanpost-reader`: the doctor's side on the command line.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use reader::config::{Config, Images};
use reader::pull::{self, Exit, Outcome, Progress, PullError};
use seal::ids::CaseId;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// The doctor's side of Scanpost.
#[derive(Debug, Parser)]
#[command(name = "scanpost-reader", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pull what is new in the mailbox, check it, write DICOM files, send a signed receipt.
    ///
    /// Exit code: 0 everything is here; 2 something has not arrived whole yet, try again; 3 something was refused (changed,
    /// unknown site, not for this doctor); 4 the mailbox cannot be used; 5 configuration, keys or disk of this machine.
    Pull(Pull),
}

#[derive(Debug, clap::Args)]
struct Pull {
    /// The configuration, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write images as they came, bit for bit, where the mailbox holds what that takes; the same as `images = "exact"`.
    #[arg(long)]
    exact: bool,
    /// Ask the site for what gives the images of this case as they came; a later pull brings them.
    #[arg(long, value_name = "CASE", value_parser = case_id)]
    ask_exact: Option<CaseId>,
    /// Say whose images came: names and ids of patients, to be shown to the doctor alone.
    #[arg(long)]
    banner: bool,
    /// Print a list for machines instead of lines for people.
    #[arg(long)]
    json: bool,
    /// Log each step to standard error.
    #[arg(long, short)]
    verbose: bool,
}

fn main() -> ExitCode {
    let Command::Pull(arguments) = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => return usage(&error),
    };
    match run(&arguments) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            eprintln!("scanpost-reader: {error:#}");
            ExitCode::from(exit_of(&error) as u8)
        }
    }
}

/// clap's own exit code for wrong usage would mean "try again" here.
fn usage(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() { Exit::Setup } else { Exit::Done };
    match error.print() {
        Ok(()) => ExitCode::from(exit as u8),
        Err(_) => ExitCode::from(Exit::Setup as u8),
    }
}

fn run(arguments: &Pull) -> anyhow::Result<Exit> {
    log(arguments.verbose);
    let mut config = Config::load(&arguments.config).map_err(PullError::from)?;
    if arguments.exact {
        config.images = Images::Exact;
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let outcomes =
        runtime.block_on(pull::pull(&config, arguments.ask_exact, now, &Progress::on_terminal()))?;
    print(&outcomes, arguments).context("cannot print")?;
    Ok(pull::exit(&outcomes))
}

/// Only our own modules: libraries could log what they read from the network.
fn log(verbose: bool) {
    let level = if verbose { "debug" } else { "warn" };
    let filter = EnvFilter::new(format!("off,reader={level},seal={level},compressor={level}"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn print(outcomes: &[Outcome], arguments: &Pull) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if arguments.json {
        match arguments.banner {
            true => serde_json::to_writer_pretty(&mut out, &pull::told(outcomes))?,
            false => serde_json::to_writer_pretty(&mut out, outcomes)?,
        }
        return writeln!(out);
    }
    if arguments.banner {
        pull::banner_lines(outcomes).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    pull::lines(outcomes).iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn case_id(text: &str) -> Result<CaseId, &'static str> {
    CaseId::parse(text).ok_or("write the 32 hex digits that name the folder of the case")
}

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

fn exit_of(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<PullError>().map_or(Exit::Setup, PullError::exit)
}
