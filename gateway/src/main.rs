//! `scanpost-gateway`: the hospital's agent.

use anyhow::Context;
use clap::{Parser, Subcommand};
use compressor::encapsulated;
use gateway::audit;
use gateway::backup;
use gateway::bench;
use gateway::config::Config;
use gateway::directory;
use gateway::duty::DutyReport;
use gateway::journal::{Database, DeliveryReport, Journal};
use gateway::page;
use gateway::retrieve;
use gateway::setup;
use gateway::simulate;
use gateway::smime::render;
use gateway::spool;
use gateway::upgrade;
use seal::ids::Digest;
use seal::native::Certificate;
use serde::Serialize;
use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Parser)]
#[command(
    name = "scanpost-gateway",
    version,
    about = "Takes studies from the PACS and posts them, sealed, to the doctor"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run: listen for DICOM and deliver.
    Serve {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Set a site up: ask the few questions, make keys and configuration, say what others have to enter or publish, check all of it.
    Setup(Box<setup::Arguments>),
    /// Show where each delivery stands.
    Deliveries {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show who on duty is not reachable, and what became of the last tests.
    Duty {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The directory of doctors: by which keys each is reached. Beside a running gateway or without one.
    Doctor {
        /// Configuration file.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        action: directory::command::Action,
    },
    /// Who may use the technician's page. Beside a running gateway or without one.
    Account {
        /// Configuration file.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        action: page::command::Action,
    },
    /// Systems that use the page's interface for programs. Beside a running gateway or without one.
    Token {
        /// Configuration file.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        action: page::token::TokenAction,
    },
    /// The spool's key, while no gateway works here.
    Spool {
        /// Configuration file.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        action: spool::Action,
    },
    /// Copy all that the gateway knows to a new folder, while it runs. Patients' data lie in it under the spool's key alone.
    Backup {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// A folder that is not there yet.
        #[arg(long)]
        to: PathBuf,
        /// Also what opens it: keys without a passphrase, passphrases, passwords, the spool's key. Else they are named, to be kept elsewhere.
        #[arg(long)]
        with_secrets: bool,
    },
    /// Put a backup back into an empty state folder, and the configuration where it is missing.
    Restore {
        /// Configuration file, or where it is to be.
        #[arg(long)]
        config: PathBuf,
        /// Folder of the backup.
        #[arg(long)]
        from: PathBuf,
        /// Folder of the machine's own audit trail, where that outlived the journal.
        #[arg(long)]
        audit: Option<PathBuf>,
        /// SHA-256 of the site's certificate in DER, from your records: needed where no certificate is on the machine.
        #[arg(long, value_parser = fingerprint)]
        site_sha256: Option<Digest>,
    },
    /// Run a night of cases with random failures through the rules of escalation, alarm and end, and have the log of it judged; or, with --queue, schedules
    /// of kills, power cuts, lost replies and clocks that jump through the rules of the queue. Sends nothing.
    Simulate {
        /// Whose settings; without it those of the documentation.
        #[arg(long, conflicts_with_all = ["queue", "replay"])]
        config: Option<PathBuf>,
        /// How many.
        #[arg(long, default_value_t = 10_000, conflicts_with_all = ["queue", "replay"])]
        cases: u32,
        /// The same seed is the same night, or the same schedules; without it one is drawn and told.
        #[arg(long)]
        seed: Option<u64>,
        /// Plants a bug, which must be found.
        #[arg(long, conflicts_with_all = ["queue", "replay"])]
        bug: Option<simulate::Bug>,
        /// Schedules of the queue.
        #[arg(long)]
        queue: bool,
        /// How many; of one alone every act is printed.
        #[arg(long, default_value_t = 20_000, requires = "queue")]
        schedules: u64,
        /// Plants a bug in the queue, which must be found.
        #[arg(long, value_name = "BUG", requires = "queue")]
        queue_bug: Option<simulate::QueueBug>,
        /// Instead, ask whether what this journal says of each delivery is a path of the queue's rules.
        #[arg(long, value_name = "JOURNAL", conflicts_with = "queue")]
        replay: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask a PACS, and fetch from it, by hand, while no gateway works here.
    Pacs {
        /// Configuration file.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        /// Which `[pacs.NAME]`, where there are several.
        #[arg(long, global = true, value_name = "NAME")]
        pacs: Option<String>,
        /// Print JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        action: retrieve::command::Action,
    },
    /// Send generated or given images through the running gateway, to a mailbox of tests alone, or pack them beside it, and say how fast that was.
    Bench(Box<bench::Arguments>),
    /// Decode the frame on standard input; started by `serve` for each compressed frame.
    #[command(name = encapsulated::COMMAND, hide = true)]
    DecodeFrame,
    /// Render the DICOM file on standard input as a JPEG; started by `serve` for each picture of a mail.
    #[command(name = render::COMMAND, hide = true)]
    RenderImage,
    /// The same, little; started by `serve` for each picture of the page.
    #[command(name = render::THUMBNAIL_COMMAND, hide = true)]
    RenderThumbnail,
    /// The audit trail: who moved which study of which patient where.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Check what the gateway depends on, and print the DNS records to publish. Exit code 2: something must be mended.
    Check {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// DNS resolver, `address:port`, instead of that of `[check]`.
        #[arg(long)]
        resolver: Option<SocketAddr>,
        /// Write a page for the hospital's files, HTML, in Japanese and English.
        #[arg(long)]
        report: Option<PathBuf>,
    },
    /// Read mailboxes for receipts; started by `serve`, which talks to it over standard input and output.
    #[command(hide = true)]
    Inbound {
        /// Instead, try from within what the sandbox is there to refuse, and print JSON.
        #[arg(long, num_args = 3, value_names = ["ALLOWED", "ELSEWHERE", "STATE"])]
        probe: Option<Vec<String>>,
        /// With --probe: leave out one of both layers.
        #[arg(long, requires = "probe", value_parser = ["landlock", "seccomp"])]
        without: Option<String>,
    },
}

/// Exit code: 0 the trail is as it was written; 3 it is not, and the first bad line is named; 1 it could not be read.
#[derive(Subcommand)]
enum AuditCommand {
    /// Show every message. Ids of patients are among them.
    List {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON, a line a message.
        #[arg(long)]
        json: bool,
    },
    /// Find any line that was changed, added, removed or moved, and a trail that was cut off.
    Verify {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Exit code of a trail that is not as it was written.
const EXIT_DAMAGED: u8 = 3;

/// `check` found something that must be mended.
const EXIT_MEND: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("scanpost-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Audit { command } => return show_audit(command),
        Command::Check { config, json, resolver, report } => {
            return on_runtime(check(&load(&config)?, resolver, json, report.as_deref()));
        }
        Command::Setup(arguments) => {
            on_runtime(setup::finish(setup::prepare(*arguments)?, &mut std::io::stdout()))?
        }
        Command::Serve { config } => {
            on_runtime(serve(open(Some(&config))?, &config)).context("serve")?;
        }
        Command::Deliveries { config, json } => on_runtime(deliveries(&load(&config)?, json))?,
        Command::Bench(arguments) => on_runtime(measure(&load(&arguments.config)?, &arguments))?,
        Command::Duty { config, json } => on_runtime(duty(&load(&config)?, json))?,
        Command::Doctor { config, action } => {
            let config = open(config.as_deref())?;
            println!("{}", on_runtime(upgraded(&config, directory::command::run(&config, action)))?);
        }
        Command::Account { config, action } => {
            let config = open(config.as_deref())?;
            println!("{}", on_runtime(upgraded(&config, page::command::run(&config, action)))?);
        }
        Command::Token { config, action } => {
            let config = open(config.as_deref())?;
            println!("{}", on_runtime(upgraded(&config, page::token::run(&config, action)))?);
        }
        Command::Spool { config, action } => {
            let config = open(config.as_deref())?;
            println!("{}", on_runtime(upgraded(&config, spool::run(&config, action)))?);
        }
        Command::Backup { config: file, to, with_secrets } => {
            let config = open(Some(&file))?;
            let work = backup::backup(&config, &file, &to, with_secrets);
            println!("{}", on_runtime(upgraded(&config, work))?);
        }
        Command::Restore { config, from, audit, site_sha256 } => {
            restore(&config, &from, audit.as_deref(), site_sha256)?;
        }
        Command::Simulate { replay: Some(journal), json, .. } => return on_runtime(replay(&journal, json)),
        Command::Simulate { queue: true, schedules, seed, queue_bug: bug, json, .. } => {
            let seed = seed.unwrap_or_else(simulate::any_seed);
            let report = simulate::simulate_queue(simulate::Schedules { schedules, seed, bug });
            return show_simulated(&report, json, report.violations > 0);
        }
        Command::Simulate { config, cases, seed, bug, json, .. } => {
            let settings = config.map(|config| load(&config)).transpose()?;
            let settings = settings.as_ref().map_or_else(simulate::Settings::default, simulate::Settings::of);
            let report = simulate::simulate(cases, seed.unwrap_or_else(simulate::any_seed), settings, bug);
            return show_simulated(&report, json, report.violations > 0);
        }
        Command::Pacs { config, pacs, json, action } => {
            let config = open(config.as_deref())?;
            let work = retrieve::command::run(config.clone(), pacs.as_deref(), action, json);
            println!("{}", on_runtime(upgraded(&config, work))?);
        }
        // Not on a runtime of several threads: it confines the only one it has.
        Command::Inbound { probe, without } => {
            inbound(probe.as_deref(), without.as_deref()).context("inbound")?;
        }
        Command::DecodeFrame => encapsulated::child::run().context("decode-frame")?,
        Command::RenderImage => render::run().context("render-image")?,
        Command::RenderThumbnail => render::run_thumbnail().context("render-thumbnail")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// As `openssl x509 -fingerprint -sha256` prints it, or as we do.
fn fingerprint(text: &str) -> Result<Digest, &'static str> {
    Digest::parse(&text.replace(':', "").to_lowercase()).ok_or("64 hex digits, with or without colons")
}

/// As root where root runs it: it reads what root alone may, and what it makes belongs to whom the folders belong to.
fn restore(file: &Path, from: &Path, audit: Option<&Path>, expected: Option<Digest>) -> anyhow::Result<()> {
    let found = backup::Found::read(from)?;
    let here = file.exists().then(|| load(file)).transpose()?;
    let site = found.verify(here.as_ref(), expected)?;
    let state = here.map_or_else(|| found.configuration(), Ok)?.state;
    backup::refuse_what_is_there(&state)?;
    for path in found.put_configuration(file)? {
        println!("put back: {}", path.display());
    }
    let config = load(file)?;
    println!("{}", on_runtime(backup::restore(&config, &found, site, audit))?);
    Ok(())
}

async fn check(
    config: &Config,
    resolver: Option<SocketAddr>,
    json: bool,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let report = gateway::check::check(config, resolver).await;
    // First what was found: a report that cannot be written takes none of it away.
    show(&report, json)?;
    if let Some(file) = file {
        let page = gateway::check::disclosure(config, &report, time::OffsetDateTime::now_utc());
        gateway::check::file_away(file, &page)
            .with_context(|| format!("write the report {}", file.display()))?;
    }
    Ok(if report.must_be_mended() { ExitCode::from(EXIT_MEND) } else { ExitCode::SUCCESS })
}

fn on_runtime<T, E: Into<anyhow::Error>>(work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T> {
    // Only our own modules: libraries could log what they read from the network.
    let ours = ["gateway", "seal", "notifier", "compressor", "tls"].map(|ours| (ours, LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false))
        .with(Targets::new().with_targets(ours))
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // Stages that still compute are not waited for: the journal takes them up again.
    runtime.shutdown_background();
    done.map_err(Into::into)
}

async fn replay(journal: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let journal = Journal::open_read_only(Database::File(journal.to_owned())).await?;
    let report = simulate::replay(&journal).await?;
    show_simulated(&report, json, !report.wrong.is_empty())
}

fn show_simulated(
    report: &(impl Serialize + Display),
    json: bool,
    is_violated: bool,
) -> anyhow::Result<ExitCode> {
    println!("{}", if json { serde_json::to_string(report)? } else { report.to_string() });
    Ok(if is_violated { ExitCode::from(simulate::EXIT_VIOLATED) } else { ExitCode::SUCCESS })
}

fn show_audit(command: AuditCommand) -> anyhow::Result<ExitCode> {
    let (config, listed, json) = match command {
        AuditCommand::List { config, json } => (load(&config)?, true, json),
        AuditCommand::Verify { config, json } => (load(&config)?, false, json),
    };
    let site = Certificate::from_pem(&gateway::config::read(&config.seal.certificate)?)?;
    let folder = audit::folder(&config.state);
    let mut out = std::io::stdout().lock();
    let verdict = match listed {
        true => audit::list(&folder, &site, json, &mut |line| writeln!(out, "{line}")),
        false => audit::verify(&folder, &site),
    }
    .with_context(|| format!("the trail in {} cannot be read", folder.display()))?;
    match (&verdict.fault, listed, json) {
        (_, false, true) => writeln!(out, "{}", serde_json::to_string_pretty(&verdict)?)?,
        (None, false, false) => writeln!(
            out,
            "intact: {} messages, signed up to {}, chain {}",
            verdict.messages, verdict.anchored, verdict.hash
        )?,
        (Some(fault), _, _) => {
            for fault in std::iter::once(fault).chain(&verdict.later) {
                eprintln!(
                    "DAMAGED at message {}, {} line {}: {} (operator: find out who did it; keep these files)",
                    fault.message, fault.file, fault.line, fault.reason
                );
            }
        }
        (None, true, _) => {}
    }
    Ok(if verdict.intact { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DAMAGED) })
}

fn inbound(probe: Option<&[String]>, without: Option<&str>) -> anyhow::Result<()> {
    use gateway::pulled::inbound;
    let Some([allowed, elsewhere, state]) = probe else { return Ok(inbound::run()?) };
    let layers =
        inbound::Layers { landlock: without != Some("landlock"), seccomp: without != Some("seccomp") };
    let probed = inbound::probe(allowed.parse()?, elsewhere.parse()?, Path::new(state), layers)?;
    println!("{}", serde_json::to_string(&probed)?);
    Ok(())
}

/// Where other gateways work with the same journal, once they are gone, and as `file` says then: that may be after months.
async fn serve(mut config: Config, file: &Path) -> anyhow::Result<()> {
    if config.journal.shared_state {
        gateway::serve::wait(&config).await?;
        config = load(file)?;
    }
    upgraded(&config, gateway::serve::serve(config.clone())).await
}

/// For what writes into the state folder: as its owner from here on.
fn open(path: Option<&Path>) -> anyhow::Result<Config> {
    let config = load(path.context("--config FILE is missing")?)?;
    // Where none has been taken yet, the folder that it will lie in.
    let is_new = config.journal.shared_state && !config.state.exists();
    let state = config.state.parent().filter(|_| is_new).unwrap_or(&config.state);
    keyfile::become_owner_of(state)
        .with_context(|| format!("cannot work as the owner of {}", config.state.display()))?;
    Ok(config)
}

/// Work on a journal that this version may have to migrate.
async fn upgraded<T, E: Into<anyhow::Error>>(
    config: &Config,
    work: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T> {
    upgrade::prepare(config).await?;
    work.await.map_err(Into::into)
}

fn load(path: &Path) -> anyhow::Result<Config> {
    Config::load(path).context("the configuration cannot be used")
}

async fn duty(config: &Config, json: bool) -> anyhow::Result<()> {
    show(&DutyReport::read(&read_only(config).await?).await?, json)
}

async fn measure(config: &Config, arguments: &bench::Arguments) -> anyhow::Result<()> {
    show(&bench::run(config, arguments).await?, arguments.is_json())
}

fn show(report: &(impl Serialize + Display), json: bool) -> anyhow::Result<()> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(report)?),
        false => print!("{report}"),
    }
    Ok(())
}

async fn read_only(config: &Config) -> anyhow::Result<Journal> {
    Journal::open_read_only(config.database()?).await.context("is the gateway running here?")
}

async fn deliveries(config: &Config, json: bool) -> anyhow::Result<()> {
    let reports = read_only(config).await?.report().await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
        return Ok(());
    }
    reports.iter().for_each(|report| println!("{}", line(report)));
    Ok(())
}

fn line(report: &DeliveryReport) -> String {
    let what = match report.residual_of {
        Some(base) => format!("residual of {base}, asked for by {}", asked(report)),
        None => format!("{:>5} instances {:>12} bytes", report.instances, report.received_bytes),
    };
    let words: String =
        report.trouble.iter().chain(&report.remark).map(|words| format!(": {words}")).collect();
    format!("{} {:<10} {what} to {}{words}", report.id, report.state, report.destination)
}

fn asked(report: &DeliveryReport) -> String {
    let asked = report.doctors.iter().filter(|doctor| doctor.exact_asked_at.is_some());
    asked.map(|doctor| doctor.doctor.as_str()).collect::<Vec<_>>().join(", ")
}
