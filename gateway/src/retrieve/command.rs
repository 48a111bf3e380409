//! `scanpost-gateway pacs`: asks and fetches by hand while no gateway works on the state folder, to see that a PACS answers as it should.

use super::{Fetched, Missing, Order, Progress, RetrieveError, fetch};
use crate::assemble::Collector;
use crate::audit::{self, Audit};
use crate::config::{Config, ConfigError, Pacs};
use crate::journal::{Journal, JournalError};
use crate::query::{Asking, Found, FoundStudy, Limits, QueryError, Series, StudyKeys, Timeouts};
use crate::receive::AeTitle;
use crate::serve::{ServeError, spool_keys};
use crate::spool::Spool;
use clap::{Args, Subcommand};
use compressor::dataset::on_screen;
use compressor::{Phi, Purpose, Uid};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use time::Date;
use time::macros::format_description;
use tokio::sync::{mpsc, watch};

/// Characters of a text on a line.
const TEXT_CHARACTERS_MAX: usize = 64;

/// What is to be done.
#[derive(Subcommand)]
pub enum Action {
    /// Show studies that match. Names of patients are shown: to whoever runs this. The audit trail has the question.
    Find(Find),
    /// Show which series and instances the PACS lists of a study.
    List {
        /// Study Instance UID.
        study: String,
    },
    /// Fetch what the PACS lists of a study into the spool; the gateway delivers it at its next start.
    Fetch {
        /// Study Instance UID.
        study: String,
        /// AE title under which it is received: a destination, or the one of `[dicom] hold`.
        #[arg(long, value_name = "AE_TITLE")]
        called: String,
        /// Fetch without asking first what the PACS lists.
        #[arg(long)]
        unlisted: bool,
    },
}

/// What is looked for.
#[derive(Args)]
pub struct Find {
    /// Patient's name; `*` and `?` are wildcards.
    #[arg(long, value_parser = phi)]
    name: Option<Phi<String>>,
    /// Patient ID.
    #[arg(long, value_parser = phi)]
    id: Option<Phi<String>>,
    /// Accession number.
    #[arg(long, value_parser = phi)]
    accession: Option<Phi<String>>,
    /// First study date.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    from: Option<Date>,
    /// Last study date.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    to: Option<Date>,
    /// A modality of the study.
    #[arg(long)]
    modality: Option<String>,
    /// Studies that are taken at most.
    #[arg(long)]
    most: Option<usize>,
}

/// Why nothing was found or fetched.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The question.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The retrieval.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// State folder, keys, spool.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A gateway works on the state folder: it alone writes trail and spool.
    #[error("a gateway works here (operator: stop it first, or look for studies on its page)")]
    Busy,
    /// `--pacs`, a UID or an AE title.
    #[error("{0}")]
    Argument(&'static str),
}

/// Does it; the text to print comes back.
///
/// # Errors
/// [`CommandError`].
pub async fn run(
    config: Config,
    name: Option<&str>,
    action: Action,
    json: bool,
) -> Result<String, CommandError> {
    let pacs = pacs(&config, name)?.clone();
    let spool = Spool::open(&config.state).map_err(at(&config.state))?;
    let _lock = spool.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => CommandError::Busy,
        _ => CommandError::Serve(at(&config.state)(error)),
    })?;
    let key = Arc::new(config.seal.site_key()?);
    let audit = Audit::open(&config.state, key, &config.site).map_err(at(&audit::folder(&config.state)))?;
    let by = format!("user {}", rustix::process::getuid().as_raw());
    let asking = Asking { pacs: &pacs, audit: &audit, by: Some(&by) };
    match action {
        Action::Find(find) => {
            let most = find.most;
            let limits =
                Limits { answers_max: most.unwrap_or(Limits::default().answers_max), ..Limits::default() };
            Ok(shown(&asking.studies(&find.keys(), limits).await?, json))
        }
        Action::List { study } => {
            let listed = asking.instances_of_study(&uid(&study)?, Timeouts::default()).await?;
            Ok(shown_list(&listed, json))
        }
        Action::Fetch { study, called, unlisted } => {
            let study = uid(&study)?;
            let missing = match unlisted {
                true => Missing::study(),
                false => {
                    let listed = asking.instances_of_study(&study, Timeouts::default()).await?;
                    Missing::between(&listed, &BTreeSet::new())
                }
            };
            let fetched = into_spool(config, &spool, &asking, &study, &missing, &called).await?;
            Ok(shown_fetched(fetched, missing.instances(), json))
        }
    }
}

async fn into_spool(
    config: Config,
    spool: &Spool,
    asking: &Asking<'_>,
    study: &Uid,
    missing: &Missing,
    called: &str,
) -> Result<Fetched, CommandError> {
    let called = AeTitle::parse(called).map_err(|_| CommandError::Argument("--called is no AE title"))?;
    let config = Arc::new(config);
    let masters = spool_keys(&config).map_err(ServeError::from)?;
    let journal = Journal::open_under(config.database()?, masters).await?;
    let encrypted = config.spool.encryption == crate::config::Encryption::On;
    let (begun, _) = mpsc::unbounded_channel();
    let audit = asking.audit.clone();
    let collector = Collector::new(config, journal, spool.clone(), audit, encrypted, begun);
    if !crate::receive::Intake::knows(&collector, &called) {
        return Err(CommandError::Argument(
            "--called is no destination and not the AE title of [dicom] hold",
        ));
    }
    let order = Order { pacs: asking.pacs, study, missing, called: &called, case: None, by: asking.by };
    let progress = watch::Sender::new(Progress::default());
    Ok(fetch(order, Arc::new(collector), &spool.receive(), asking.audit, progress).await?)
}

fn pacs<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a Pacs, CommandError> {
    match name {
        Some(name) => {
            config.pacs.get(name).ok_or(CommandError::Argument("--pacs names no [pacs.NAME] table"))
        }
        None if config.pacs.len() == 1 => {
            config.pacs.values().next().ok_or(CommandError::Argument("there is no [pacs.NAME] table"))
        }
        None => Err(CommandError::Argument("name the PACS by --pacs")),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap wants a result")]
fn phi(text: &str) -> Result<Phi<String>, std::convert::Infallible> {
    Ok(Phi::new(text.to_owned()))
}

impl Find {
    fn keys(self) -> StudyKeys {
        StudyKeys {
            name: self.name.unwrap_or_default(),
            patient_id: self.id.unwrap_or_default(),
            accession: self.accession.unwrap_or_default(),
            from: self.from,
            to: self.to,
            modality: self.modality,
            study: None,
        }
    }
}

fn shown(found: &Found, as_json: bool) -> String {
    if as_json {
        let studies: Vec<Value> = found.studies.iter().map(as_value).collect();
        return pretty(&json!({ "studies": studies, "truncated": found.truncated }));
    }
    let mut lines: Vec<String> = found.studies.iter().map(line).collect();
    if found.truncated {
        lines.push("there are more: look for something narrower".into());
    }
    lines.join("\n")
}

fn as_value(study: &FoundStudy) -> Value {
    let texts = study.banner.texts(Purpose::Show).map(|(name, text)| (name.to_owned(), text.into()));
    let mut value: serde_json::Map<String, Value> = texts.collect();
    value.insert("study".into(), study.study.as_str().into());
    value.insert("modalities".into(), study.modalities.clone().into());
    value.insert("series_claimed".into(), study.series_claimed.into());
    value.insert("instances_claimed".into(), study.instances_claimed.into());
    value.into()
}

fn line(study: &FoundStudy) -> String {
    let texts = study.banner.texts(Purpose::Show).map(|(_, text)| on_screen(text, TEXT_CHARACTERS_MAX));
    format!("{} {} {}", study.study, study.modalities.join(","), texts.collect::<Vec<_>>().join(" | "))
}

fn shown_list(listed: &BTreeMap<Uid, Series>, as_json: bool) -> String {
    if as_json {
        let series: serde_json::Map<String, Value> = listed
            .iter()
            .map(|(uid, series)| {
                let instances: Vec<&str> = series.instances.keys().map(Uid::as_str).collect();
                (uid.as_str().to_owned(), json!({ "modality": series.modality, "instances": instances }))
            })
            .collect();
        return pretty(&series.into());
    }
    let line = |(uid, series): (&Uid, &Series)| {
        let modality = series.modality.as_deref().unwrap_or("?");
        format!("{uid} {modality} {} instances", series.instances.len())
    };
    listed.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn shown_fetched(fetched: Fetched, listed: usize, as_json: bool) -> String {
    let Fetched { completed, failed, warning, remaining, status, stored, not_asked_for } = fetched;
    if as_json {
        return pretty(&json!({
            "listed": listed, "stored": stored, "not_asked_for": not_asked_for, "status": format!("{status:04X}"),
            "claimed": { "completed": completed, "failed": failed, "warning": warning, "remaining": remaining },
        }));
    }
    format!(
        "{stored} stored of {listed} listed; the PACS claims {completed} done, {failed} failed, status {status:04X}"
    )
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn uid(text: &str) -> Result<Uid, CommandError> {
    Uid::parse(text).map_err(|_| CommandError::Argument("that is no UID"))
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| "write YYYY-MM-DD".to_owned())
}

fn at(path: &Path) -> impl Fn(io::Error) -> ServeError + '_ {
    move |error| ServeError::Io { what: path.display().to_string(), error }
}
