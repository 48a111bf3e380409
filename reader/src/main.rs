//! `scanpost-reader`: the doctor's side on the command line.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use compressor::encapsulated;
use reader::config::{Config, Images};
use reader::enrol::{Enrolling, Enrolment, renew};
use reader::portal;
use reader::profile;
use reader::pull::{self, Exit, Outcome, Progress, PullError, Say, Target};
use reader::service::asked_to_end;
use seal::ids::CaseId;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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
    /// unknown site, not for this doctor); 4 the mailbox cannot be used; 5 configuration, keys or disk of this machine; 6 something that is here was not
    /// forwarded.
    Pull(Pull),
    /// Pull whatever comes, by itself, and send it on where `forward.to` says: for a second hospital, or a workstation at home. Ends by SIGTERM.
    ///
    /// Exit code: 0 ended as asked; 5 configuration or keys.
    Serve(Serve),
    /// Make this device known to a hospital by the one-time code that it gave out, and the hospital to this device.
    ///
    /// Exit code: 0 the hospital has confirmed; 2 not yet, run it again with the same code; 4 the mailbox cannot be used; 5
    /// configuration or a mistyped code.
    Enrol(Enrol),
    /// Write what is here of a case as one ZIP file with a DICOMDIR, which viewers and archives open. It holds the patient's data in plain.
    ///
    /// Exit code: 0 written; 2 written, but for what it names; 5 configuration, a file that is there already, the disk, or a case that is not here.
    Export(Export),
    /// Say something back about a case that was pulled: seen, call me back, or a few words, which only the hospital can read.
    ///
    /// Exit code: 0 sent; 2 not taken as it is written, or by this hospital; 4 the mailbox cannot be used; 5 configuration, keys, or a case that is
    /// not here.
    Answer(Answer),
    /// Make a new key and tell the hospitals that know this device: they seal for it from then on. The old one stays for what is there.
    ///
    /// Exit code: 0 sent; 4 the mailbox cannot be used; 5 configuration or keys.
    Renew {
        /// The configuration, TOML, with `doctor.keys`.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Write a profile that sets an iPhone up for S/MIME mail with this mailbox and key.
    ///
    /// Prints the password of the identity in it, once. Exit code: 0 it is written; 5 it is not.
    Profile(Profile),
    /// Serve phones: sign doctors in, and stream what is sealed for them from their mailboxes. Ends by SIGTERM.
    ///
    /// Exit code: 0 ended as asked, or the account command is done; 5 configuration, certificate or disk.
    Portal(portal::command::Command),
    /// Decode the frame on standard input; started by `pull` and `serve` for each frame that is forwarded in another transfer syntax.
    #[command(name = encapsulated::COMMAND, hide = true)]
    DecodeFrame,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// The configuration, TOML. The passphrase of the keys comes from a file or a credential.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// As for `pull`.
    #[arg(long, value_name = "TARGET")]
    forward: Option<Target>,
}

#[derive(Debug, clap::Args)]
struct Enrol {
    /// The configuration, TOML, with `doctor.keys`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// File with the code; asked for where absent, so that it stands in no list of processes.
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    /// What the hospital is to call this device.
    #[arg(long, default_value = "workstation")]
    device: String,
    /// How long to wait for the confirmation, in seconds.
    #[arg(long, default_value_t = 600)]
    wait: u64,
}

#[derive(Debug, clap::Args)]
struct Answer {
    /// The configuration, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The case: the name of its folder.
    #[arg(long, value_name = "CASE", value_parser = case_id)]
    case: CaseId,
    /// What to say. Words are read from standard input, one line, so that they stand in no list of processes.
    #[arg(value_enum)]
    say: Saying,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// The configuration, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The case: the name of its folder.
    #[arg(long, value_name = "CASE", value_parser = case_id)]
    case: CaseId,
    /// The file to be written; never written over another one.
    #[arg(long, value_name = "FILE")]
    zip: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Saying {
    Seen,
    Close,
    HandOver,
    CallBack,
    Words,
}

#[derive(Debug, clap::Args)]
struct Profile {
    /// The configuration, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The submission server, implicit TLS: HOST or HOST:PORT.
    #[arg(long, value_name = "SERVER")]
    submission: String,
    /// The profile; never written over another file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
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
    /// Send what is in the output folder, and was not acknowledged there before, to a workstation or PACS: AE@HOST:PORT, or https://HOST/dicom-web; before
    /// `forward.to`.
    #[arg(long, value_name = "TARGET")]
    forward: Option<Target>,
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
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => return usage(&error),
    };
    let done = match command {
        Command::Portal(command) => portal(command),
        command => once(&command),
    };
    match done {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            eprintln!("scanpost-reader: {error:#}");
            ExitCode::from(exit_of(&error) as u8)
        }
    }
}

fn once(command: &Command) -> anyhow::Result<Exit> {
    match command {
        Command::Pull(arguments) => run(arguments),
        Command::Serve(arguments) => serve(arguments),
        Command::Enrol(arguments) => enrol(arguments),
        Command::Export(arguments) => export(arguments),
        Command::Answer(arguments) => say(arguments),
        Command::Renew { config } => renew_key(config),
        Command::Profile(arguments) => write_profile(arguments),
        Command::DecodeFrame => Ok(encapsulated::child::run().map(|()| Exit::Done)?),
        Command::Portal(_) => Ok(Exit::Setup),
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
    let (runtime, progress) = (runtime()?, Progress::on_terminal());
    let (mut outcomes, leave) = (Vec::new(), BTreeSet::new());
    let pulled =
        runtime.block_on(pull::pull(&config, arguments.ask_exact, &leave, &mut outcomes, now, &progress));
    let is_pulled = pulled.is_ok();
    let mut errors: Vec<PullError> = pulled.err().into_iter().collect();
    // What is here can go on, whatever became of the mailbox.
    if let Some(to) = arguments.forward.as_ref().or(config.forward.to.as_ref()) {
        errors.extend(runtime.block_on(pull::forward(&config, to, &mut outcomes, None, &progress)).err());
    }
    // An outcome is news in this run alone: it is told before anything that ends the run.
    let printed = if is_pulled || !outcomes.is_empty() { print(&outcomes, arguments) } else { Ok(()) };
    let exit = errors.iter().map(PullError::exit).fold(pull::exit(&outcomes), Exit::max);
    for error in errors {
        eprintln!("scanpost-reader: {:#}", anyhow::Error::from(error));
    }
    printed.context("cannot print")?;
    Ok(exit)
}

fn serve(arguments: &Serve) -> anyhow::Result<Exit> {
    log_of([("reader", LevelFilter::INFO), ("seal", LevelFilter::WARN), ("compressor", LevelFilter::WARN)]);
    let config = Config::load(&arguments.config).map_err(PullError::from)?;
    let to = arguments.forward.clone().or(config.forward.to.clone());
    if config.forward.keep_days.is_some() && to.is_none() {
        anyhow::bail!(
            "forward.keep_days deletes what was forwarded: say where to, by forward.to or --forward"
        );
    }
    if config.doctor.asks_for_passphrase() {
        anyhow::bail!(
            "a service is asked nothing: name a doctor.passphrase_file, or hand over the credential"
        );
    }
    // On a thread of its own: what blocks there, such as another pull at work in the folder, keeps no signal from ending it.
    let (over, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let served = runtime().and_then(|runtime| {
            Ok(runtime.block_on(pull::serve(&config, to.as_ref(), now)).map(|never| match never {})?)
        });
        let _ = over.send(served);
    });
    runtime()?.block_on(async {
        tokio::select! {
            served = ended => served.context("the service broke off")?,
            () = asked_to_end() => Ok(Exit::Done),
        }
    })
}

fn enrol(arguments: &Enrol) -> anyhow::Result<Exit> {
    log(false);
    let config = Config::load(&arguments.config).map_err(PullError::from)?;
    let mut code = zeroize::Zeroizing::new(String::new());
    match &arguments.code_file {
        Some(path) => *code = std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => {
            eprint!("The hospital's code: ");
            std::io::stdin().read_line(&mut code).context("cannot read the code")?;
        }
    }
    let enrolling = Enrolling::begin(&config, &code, time::OffsetDateTime::now_utc())?;
    println!("Read this to the hospital's administrator: {}", enrolling.fingerprint());
    let wait = std::time::Duration::from_secs(arguments.wait);
    match runtime()?.block_on(enrolling.run(&arguments.device, now(), wait))? {
        Enrolment::Waits => {
            println!("Not confirmed yet: run this again with the same code.");
            Ok(Exit::Incomplete)
        }
        Enrolment::Done { site, certificate } => {
            println!("Enrolled. Studies signed by {site} are opened from now on: {certificate}");
            Ok(Exit::Done)
        }
    }
}

fn portal(command: portal::command::Command) -> anyhow::Result<Exit> {
    let warn = LevelFilter::WARN;
    log_of([("reader", LevelFilter::INFO), ("seal", warn), ("web", warn), ("tls", warn)]);
    command.become_owner()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let shown = runtime.block_on(command.run())?;
    if !shown.is_empty() {
        writeln!(std::io::stdout(), "{shown}").context("cannot print")?;
    }
    Ok(Exit::Done)
}

fn say(arguments: &Answer) -> anyhow::Result<Exit> {
    log(false);
    let config = Config::load(&arguments.config).map_err(PullError::from)?;
    let say = match arguments.say {
        Saying::Seen => Say::Seen,
        Saying::Close => Say::Close,
        Saying::HandOver => Say::HandOver,
        Saying::CallBack => Say::CallBack,
        Saying::Words => pull::typed().context("cannot read the words")?,
    };
    runtime()?.block_on(pull::answer(&config, arguments.case, say, now))?;
    println!("The hospital is told.");
    Ok(Exit::Done)
}

fn export(arguments: &Export) -> anyhow::Result<Exit> {
    log(false);
    let config = Config::load(&arguments.config).map_err(PullError::from)?;
    let exported = pull::export(&config, arguments.case, &arguments.zip)?;
    println!("{} is written: {exported}", arguments.zip.display());
    Ok(if exported.is_whole() { Exit::Done } else { Exit::Incomplete })
}

fn renew_key(config: &std::path::Path) -> anyhow::Result<Exit> {
    log(false);
    let config = Config::load(config).map_err(PullError::from)?;
    for site in runtime()?.block_on(renew(&config, time::OffsetDateTime::now_utc()))? {
        println!("{site} is told of the new key; the old one stays for what is there.");
    }
    Ok(Exit::Done)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")
}

fn write_profile(arguments: &Profile) -> anyhow::Result<Exit> {
    let config = Config::load(&arguments.config)?;
    let password = profile::write(&config, &arguments.submission, &arguments.out)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} is written: it holds the doctor's key, so hand it over by a way that you trust and delete it.",
        arguments.out.display()
    )?;
    writeln!(out, "Password of the identity, to be told another way: {password}")?;
    Ok(Exit::Done)
}

fn log(verbose: bool) {
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::WARN };
    log_of(["reader", "seal", "compressor"].map(|ours| (ours, level)));
}

/// Only our own modules: libraries could log what they read from the network.
fn log_of<const N: usize>(ours: [(&str, LevelFilter); N]) {
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false))
        .with(Targets::new().with_targets(ours))
        .init();
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
