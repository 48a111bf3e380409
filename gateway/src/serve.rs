//! Start-up: read keys, open journal and spool, start the listener, the inbound process and the pipeline.

use crate::assemble::Collector;
use crate::audit::{self, Audit, AuditError, Message};
use crate::clock::now_ms;
use crate::config::{Config, ConfigError, Encryption};
use crate::directory::DirectoryError;
use crate::journal::{Device, Journal, JournalError, Others, Standing};
use crate::notify::Notifier;
use crate::page::Page;
use crate::pipeline::{Ahead, Pipeline, Telling, Turns};
use crate::receive::Doors;
use crate::seal::{POLICY_LOSSLESS, Sealer};
use crate::smime::Renderer;
use crate::spool::{FileKey, MasterKeyError, Spool, create_anew, sync_folder};
use crate::submit::Submitter;
use crate::takeover::{self, TakeoverError};
use crate::{backup, directory, journal, pulled, receive, upgrade};
use ::seal::native::{Certificate, SealError, SiteKey, check_recipients};
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tls::Listener;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

/// Records of the inbound process that may wait.
const RECORDS_WAITING_MAX: usize = 64;

/// Pause between two looks at what the inbound process is to be told: the journal changes with each image that comes.
const REQUEST_PAUSE: Duration = Duration::from_millis(300);

/// Why the gateway could not start or had to stop: the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The key of the spool.
    #[error(transparent)]
    SpoolKey(#[from] MasterKeyError),
    /// The directory of doctors.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A key or certificate.
    #[error(transparent)]
    Key(#[from] SealError),
    /// The audit trail.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A restore that was cut short.
    #[error(transparent)]
    State(#[from] upgrade::UpgradeError),
    /// A state folder that several machines reach.
    #[error(transparent)]
    Taken(#[from] TakeoverError),
    /// A part of the gateway that never ends has ended: what it does would be missed.
    #[error("{0} has ended unexpectedly (us: report this with the log)")]
    Ended(&'static str),
    /// A file or a socket.
    #[error("{what}: {error}")]
    Io {
        /// Which one.
        what: String,
        /// Why.
        error: io::Error,
    },
}

/// Whether a gateway that is to take over could: its keys are read before it waits for that, and read again when it does.
///
/// # Errors
/// [`ServeError`].
pub async fn wait(config: &Config) -> Result<(), ServeError> {
    spool_keys(config)?;
    config.seal.site_key()?;
    Ok(config.database()?.wait().await?)
}

/// Runs the gateway until it is told to stop (SIGTERM, SIGINT). Whatever is under way goes on at the next start.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(mut config: Config) -> Result<(), ServeError> {
    warn_of_exceptions(&config);
    warn_of_quirks(&config);
    let encrypted = config.spool.encryption == Encryption::On;
    let masters = spool_keys(&config)?;
    let others = if config.journal.shared_state { Others::Wait } else { Others::None };
    let (database, mut hold) = config.database()?.take(others).await?;
    let taken = match hold.start() {
        Some(start) if others == Others::Wait => Some(takeover::take(&config.state, start)?),
        _ => None,
    };
    if let Some(taken) = &taken {
        config.state.clone_from(&taken.place);
        database.note_taken().await?;
    }
    let config = Arc::new(config);
    let spool = Spool::open(&config.state).map_err(at(&config.state))?;
    let _lock = match taken {
        Some(taken) => taken.lock,
        None => spool.lock().map_err(at(&spool.lock_path()))?,
    };
    upgrade::refuse_half_restored(&config.state)?;
    let key = Arc::new(config.seal.site_key()?);
    let audit =
        Audit::open(&config.state, key.clone(), &config.site).map_err(at(&audit::folder(&config.state)))?;
    audit.record(Message::application(true)).await?;
    let journal = Journal::open_under(database.clone(), masters).await?;
    directory::take_configured(&config, &journal).await?;
    let restored = backup::settle(&config, &journal, &audit, key.certificate()).await?;
    let swept = spool.sweep(&journal).await?;
    let unfinished = journal.unfinished().await?;
    let (begun_sender, begun) = mpsc::unbounded_channel();
    let collector = Arc::new(Collector::new(
        config.clone(),
        journal.clone(),
        spool.clone(),
        audit.clone(),
        encrypted,
        begun_sender,
    ));
    check_covers(&config, &key, &journal.devices().await?)?;
    let pipeline = Arc::new(Pipeline {
        sealer: Arc::new(sealer(&config, key)?),
        submitter: Submitter::new(&config)?,
        notifier: Notifier::new(&config)?,
        collector: collector.clone(),
        audit: audit.clone(),
        audited: Mutex::default(),
        endings: AsyncMutex::default(),
        journal: journal.clone(),
        spool: spool.clone(),
        config: config.clone(),
        turns: Turns::default(),
        ahead: Ahead::default(),
        driven: Mutex::default(),
        telling: Telling::default(),
    });
    if let Some(seen) = restored {
        // Before anybody is told: who has opened a delivery is not told of it again.
        for record in &seen {
            pipeline.take_surely(record).await;
        }
        journal.settled().await?;
    }
    let (requests_sender, requests) = watch::channel(inbound_request(&config, &journal).await?);
    let changes = journal::changes(&database).await?;
    let (stop, stopped) = watch::channel(false);
    let page = page(&config, &pipeline, changes.clone(), stopped.clone()).await?;
    // Last: whoever finds the DICOM port open finds the page, too.
    let doors = doors(&config).await?;
    tracing::info!(stage = "receive", swept, unfinished = unfinished.len(), "listening for DICOM");
    let (records_sender, records) = mpsc::channel(RECORDS_WAITING_MAX);
    let (enrolments_sender, enrolments) = mpsc::channel(RECORDS_WAITING_MAX);
    let sinks = pulled::Sinks { records: records_sender, enrolments: enrolments_sender };
    tokio::spawn(check_mail_server(pipeline.clone()));
    tokio::spawn(pipeline.clone().drop_residuals());
    tokio::spawn(pipeline.clone().drop_held());
    tokio::spawn(pipeline.clone().destroy_keys());
    tokio::spawn(pipeline.clone().escalate(changes.clone()));
    tokio::spawn(pipeline.clone().start_after_silence());
    let over_cases = pipeline.clone().watch_over_cases(changes.clone());
    let telling = pipeline.clone().tell(changes.clone());
    let duty = pipeline.clone().keep_duty(changes.clone());
    tokio::spawn(directory::warn(config.clone(), journal.clone()));
    tokio::spawn(upgrade::drop_copies(config.state.clone()));
    tokio::spawn(directory::audit_all(journal.clone(), audit.clone(), changes.clone()));
    if let Some(server) = config.audit.syslog.clone() {
        tokio::spawn(audit::forward(audit::folder(&config.state), server, audit.clone()));
    }
    let mut received =
        tokio::spawn(receive::serve(doors, config.dicom.clone(), spool.receive(), collector, stopped));
    let ended = tokio::select! {
        told = told_to_stop() => told.map_err(at(Path::new("signals"))),
        lost = hold.lost() => Err(lost.into()),
        _ = tokio::spawn(over_cases) => Err(ServeError::Ended("the watch over cases")),
        _ = tokio::spawn(pipeline.clone().run(unfinished, begun)) => Err(ServeError::Ended("the pipeline")),
        _ = tokio::spawn(pulled::watch(requests, sinks)) => Err(ServeError::Ended("the watch over receipts")),
        _ = tokio::spawn(directory::take_records(journal.clone(), enrolments)) => Err(ServeError::Ended("the intake of enrolments")),
        _ = tokio::spawn(follow_journal(config.clone(), journal, changes, requests_sender)) => Err(ServeError::Ended("the watch over the directory")),
        _ = tokio::spawn(pipeline.take_records(records)) => Err(ServeError::Ended("the intake of receipts")),
        _ = tokio::spawn(duty) => Err(ServeError::Ended("the tests of who is on duty")),
        _ = tokio::spawn(telling) => Err(ServeError::Ended("the sending of notices")),
        _ = tokio::spawn(page) => Err(ServeError::Ended("the technician's page")),
        _ = &mut received => return Err(ServeError::Ended("the DICOM listener")),
    };
    let _ = stop.send(true);
    let _ = received.await;
    // The trail is another one's.
    if !matches!(ended, Err(ServeError::Journal(JournalError::Lost | JournalError::Silent))) {
        audit.close(Message::application(false)).await?;
    }
    tracing::info!("stopped");
    ended
}

/// TLS 1.2 and a key without encryption are exceptions that somebody chose: each start says so.
fn warn_of_exceptions(config: &Config) {
    if config.seal.plain_keys {
        tracing::warn!(
            act = "operator",
            "[seal] plain_keys = true: whoever gets at the disk can sign as this site"
        );
    }
    let servers = config.servers().filter(|(_, server)| server.tls12).map(|(table, _)| table.to_owned());
    let pacs = config.pacs.iter().filter(|(_, pacs)| pacs.tls.as_ref().is_some_and(|tls| tls.tls12));
    let pacs = pacs.map(|(name, _)| format!("pacs.{name}.tls"));
    let dicom = config.dicom.tls.iter().filter(|tls| tls.files.tls12).map(|_| "dicom.tls".to_owned());
    let syslog =
        config.audit.syslog.iter().filter(|syslog| syslog.tls.tls12).map(|_| "audit.syslog.tls".to_owned());
    let web = config.pacs.iter().filter_map(|(name, pacs)| Some((name, pacs.dicomweb.as_ref()?)));
    for (name, _) in web.clone().filter(|(_, web)| web.url.starts_with("http:")) {
        tracing::warn!(
            name,
            act = "operator",
            "[pacs.NAME.dicomweb] plain = true: images and password go in the clear"
        );
    }
    let web = web.filter(|(_, web)| web.tls12).map(|(name, _)| format!("pacs.{name}.dicomweb"));
    let channels = config.channels.iter().filter(|(_, channel)| channel.tls12);
    let channels = channels.map(|(name, _)| format!("channels.{name}"));
    for table in servers.chain(channels).chain(pacs).chain(web).chain(dicom).chain(syslog) {
        tracing::warn!(table, act = "operator", "tls12 = true: TLS 1.2 is allowed, 1.3 would be safer");
    }
}

/// So is encryption that does not show what was changed.
fn warn_of_quirks(config: &Config) {
    for (name, _) in config.doctors.iter().filter(|(_, doctor)| doctor.quirk_cbc_recipient) {
        tracing::warn!(
            doctor = name,
            act = "operator",
            "quirk_cbc_recipient: this doctor's mails are encrypted without authentication and hold key images alone"
        );
    }
}

/// The master key of the spool; two while it is being changed. None where the operator chose to keep it plain, which is said each time, and
/// named none for what was encrypted before.
pub(crate) fn spool_keys(config: &Config) -> Result<Vec<FileKey>, MasterKeyError> {
    let off = config.spool.encryption == Encryption::Off;
    if off {
        tracing::warn!(
            "[spool] encryption is off: received images lie in plain on the disk (operator: name a key_file, or encrypt the disk)"
        );
    }
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let found = match FileKey::masters(config.spool.key_file.as_deref(), credentials.as_deref()) {
        Err(MasterKeyError::Missing) if off => Ok(Vec::new()),
        found => found,
    };
    if found.as_ref().is_ok_and(|keys| keys.len() > 1) {
        tracing::warn!(
            "a change of the spool's key is not finished (operator: scanpost-gateway spool rotate-key)"
        );
    }
    found
}

/// Says at start, not at the first study, that the mail server cannot be used; the gateway runs on and tries again.
async fn check_mail_server(pipeline: Arc<Pipeline>) {
    if let Err(error) = pipeline.submitter.check().await {
        tracing::error!(stage = "submit", %error, "the mail server cannot be used now");
        pipeline.alert_of_server(&error);
    }
}

pub(crate) async fn inbound_request(
    config: &Config,
    journal: &Journal,
) -> Result<pulled::Request, ServeError> {
    let withdrawn = journal.mails_to_remove(now_ms()).await?;
    Ok(pulled::inbound_request(config, &journal.devices().await?, &withdrawn)?)
}

/// Tells the inbound process when the directory changed or a delivery was withdrawn. Ends when the journal is no longer looked at.
async fn follow_journal(
    config: Arc<Config>,
    journal: Journal,
    mut changes: watch::Receiver<()>,
    requests: watch::Sender<pulled::Request>,
) {
    while changes.changed().await.is_ok() {
        match inbound_request(&config, &journal).await {
            Ok(request) => {
                requests.send_if_modified(|current| {
                    let changed = *current != request;
                    *current = request;
                    changed
                });
            }
            Err(error) => tracing::warn!(stage = "pulled", %error, "the directory cannot be read now"),
        }
        tokio::time::sleep(REQUEST_PAUSE).await;
    }
}

async fn doors(config: &Config) -> Result<Doors, ServeError> {
    let dicom = &config.dicom;
    let tls = match &dicom.tls {
        None => None,
        Some(tls) => {
            let listener = Arc::new(Listener::read(&tls.files).map_err(ConfigError::Tls)?);
            Some((listen(tls.listen, tls.port_file.as_deref()).await?, listener))
        }
    };
    let plain = match dicom.listen {
        None => None,
        Some(address) => Some(listen(address, dicom.port_file.as_deref()).await?),
    };
    Ok(Doors { plain, tls })
}

/// Serves the page once it is run; where none is configured it never ends.
async fn page(
    config: &Arc<Config>,
    pipeline: &Arc<Pipeline>,
    changes: watch::Receiver<()>,
    stopped: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + Send + 'static, ServeError> {
    let mut served = None;
    if let Some(settings) = &config.page {
        let tls = settings.tls().map(|files| Listener::read(&files).map(Arc::new)).transpose();
        let tls = tls.map_err(ConfigError::Tls)?;
        let listener = bind(settings.listen, settings.port_file.as_deref()).await?;
        tracing::info!(tls = tls.is_some(), "the technician's page is open");
        let page = Page::new(settings.clone(), pipeline.clone(), changes, stopped);
        served = Some(page.serve(listener, tls));
    }
    Ok(async move {
        match served {
            Some(served) => served.await,
            None => std::future::pending().await,
        }
    })
}

async fn listen(address: SocketAddr, port_file: Option<&Path>) -> Result<TcpListener, ServeError> {
    let listener = bind(address, port_file).await?;
    let local = listener.local_addr().map_err(at(Path::new("the DICOM port")))?;
    tracing::info!(stage = "receive", address = %local, "a DICOM port is open");
    Ok(listener)
}

async fn bind(address: SocketAddr, port_file: Option<&Path>) -> Result<TcpListener, ServeError> {
    let named = |error| ServeError::Io { what: format!("listening on {address}"), error };
    let listener = TcpListener::bind(address).await.map_err(named)?;
    let local = listener.local_addr().map_err(named)?;
    if let Some(path) = port_file {
        fs::write(path, local.port().to_string()).map_err(at(path))?;
    }
    Ok(listener)
}

fn sealer(config: &Config, key: Arc<SiteKey>) -> Result<Sealer, ServeError> {
    Ok(Sealer {
        site: config.site.clone(),
        key,
        content_secret: content_secret(&config.state.join("content.key"))?,
        piece_bytes_max: config.seal.piece_bytes_max,
        message_bytes_max: config.smime.message_bytes_max,
        renderer: Renderer::of_this_program(),
    })
}

/// The longest cover for each destination, at start and not at the first study.
fn check_covers(config: &Config, key: &SiteKey, devices: &[Device]) -> Result<(), ConfigError> {
    for (ae_title, destination) in &config.destinations {
        let is_theirs = |device: &&Device| {
            device.standing == Standing::Active
                && destination.doctors.contains(&device.doctor)
                && !config.is_mail_program(&device.doctor)
        };
        let recipients: Vec<Certificate> =
            devices.iter().filter(is_theirs).map(|device| device.recipient.certificate().clone()).collect();
        if recipients.is_empty() {
            continue;
        }
        check_recipients(key, &config.site, POLICY_LOSSLESS, &recipients).map_err(|_| ConfigError::Value {
            key: format!("destinations.{ae_title}"),
            reason: "the certificates of its doctors do not fit into one cover: name fewer, revoke devices that are gone, or give them P-256 keys",
        })?;
    }
    Ok(())
}

/// The secret that keys content digests; made at the first start.
fn content_secret(path: &Path) -> Result<[u8; 32], ServeError> {
    if let Ok(secret) = fs::read(path) {
        let wrong =
            |_| ServeError::Io { what: path.display().to_string(), error: io::ErrorKind::InvalidData.into() };
        return secret.try_into().map_err(wrong);
    }
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| at(path)(io::ErrorKind::Other.into()))?;
    write_secret(path, &secret).map_err(at(path))?;
    Ok(secret)
}

/// Temp file, fsync, rename, fsync of the folder: a kill leaves the whole secret or none.
fn write_secret(path: &Path, secret: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = create_anew(&unfinished)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

async fn told_to_stop() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    Ok(())
}

fn at(path: &Path) -> impl Fn(io::Error) -> ServeError + '_ {
    move |error| ServeError::Io { what: path.display().to_string(), error }
}
