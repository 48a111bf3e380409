//! The mail server as the gateway knows it: address, login, and up to two idle connections kept for the next piece.

use super::connection::{Connection, Dial, Mail, Outcomes, Timeouts};
use super::{Reply, SubmitError};
use crate::config::{ConfigError, Server};
use crate::dkim::{self, BodyHash, Signer};
use seal::mail::{Message, Part, Site};
use std::fmt;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tls::Trust;

/// Connections kept.
const IDLE_MAX: usize = 2;
/// An idle connection older than this is closed: servers hang up after some minutes.
const IDLE_AGE_MAX: Duration = Duration::from_secs(60);
/// An idle connection older than this is asked (NOOP) before a piece is risked on it.
const ASK_AFTER: Duration = Duration::from_secs(2);
/// After a refused login the server is left alone for so long, whatever waits: many servers lock an account that insists.
const LOGIN_PAUSE: Duration = Duration::from_secs(60);

/// A submission server with its login.
pub struct MailServer {
    host: String,
    port: u16,
    trust: Trust,
    site: Site,
    user: String,
    password: String,
    timeouts: Timeouts,
    signers: Vec<Signer>,
    idle: Mutex<Vec<Connection>>,
    login_refused: Mutex<Option<(Instant, Reply)>>,
}

impl MailServer {
    /// Reads password and roots; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(server: &Server, site: &Site, timeouts: Timeouts) -> Result<Self, ConfigError> {
        Ok(Self {
            host: server.host.clone(),
            port: server.port,
            trust: Trust::read(&server.tls())?,
            site: site.clone(),
            user: server.user.clone(),
            password: server.password()?,
            timeouts,
            signers: dkim::read(&server.dkim)?,
            idle: Mutex::default(),
            login_refused: Mutex::default(),
        })
    }

    /// Connects, logs in and hangs up: what `check` and the start of the gateway ask.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn check(&self) -> Result<(), SubmitError> {
        self.open().await?.quit().await;
        Ok(())
    }

    /// Opens the connections that a delivery will want and that are not kept already: greeting and login are over when its first piece is there. What
    /// fails here is met again, and told, by whoever sends.
    pub(super) async fn make_ready(&self) {
        locked(&self.idle).retain(|connection| connection.idle() < IDLE_AGE_MAX);
        let kept = locked(&self.idle).len();
        for _ in kept..IDLE_MAX {
            match self.open().await {
                Ok(connection) => self.keep(connection),
                Err(_) => return,
            }
        }
    }

    /// Signs a message, if there are keys to sign with. Its body is read to its end for that.
    pub(super) fn signed<R: Read>(
        &self,
        part: Part,
        message: Message,
        at: i64,
        body: impl FnOnce() -> io::Result<R>,
    ) -> Result<Message, SubmitError> {
        if self.signers.is_empty() {
            return Ok(message);
        }
        let sealed = |source| SubmitError::Sealed { part, source };
        let mut hash = BodyHash::default();
        for block in message.body_lines(body().map_err(sealed)?) {
            hash.update(&block.map_err(sealed)?);
        }
        let fields = dkim::fields(&self.signers, message.head(), &hash.finish(), at)?;
        Ok(message.with_fields(&fields))
    }

    /// Octets that the signatures of a message have.
    pub(super) fn signature_bytes(&self, message: &Message, at: i64) -> u64 {
        let digest = BodyHash::default().finish();
        dkim::fields(&self.signers, message.head(), &digest, at).map_or(0, |fields| fields.len() as u64)
    }

    pub(super) async fn deliver<R: Read + Send>(
        &self,
        mail: &Mail<'_>,
        body: impl FnOnce() -> io::Result<R>,
    ) -> Result<Outcomes, SubmitError> {
        let mut connection = self.connection().await?;
        let outcomes = connection.deliver(mail, body).await?;
        self.keep(connection);
        Ok(outcomes)
    }

    async fn connection(&self) -> Result<Connection, SubmitError> {
        while let Some(mut connection) = self.take() {
            let idle = connection.idle();
            if idle < ASK_AFTER || (idle < IDLE_AGE_MAX && connection.is_alive().await) {
                return Ok(connection);
            }
        }
        self.open().await
    }

    async fn open(&self) -> Result<Connection, SubmitError> {
        self.heed_refused_login()?;
        let Self { host, port, trust, site, user, password, timeouts, .. } = self;
        let dial = Dial { host, port: *port, trust, site, user, password, timeouts: *timeouts };
        let opened = Connection::open(&dial).await;
        if let Err(SubmitError::Login { reply, .. }) = &opened {
            *locked(&self.login_refused) = Some((Instant::now(), reply.clone()));
        }
        opened
    }

    fn heed_refused_login(&self) -> Result<(), SubmitError> {
        match &*locked(&self.login_refused) {
            Some((at, reply)) if at.elapsed() < LOGIN_PAUSE => {
                Err(SubmitError::Login { user: self.user.clone(), reply: reply.clone() })
            }
            _ => Ok(()),
        }
    }

    fn take(&self) -> Option<Connection> {
        locked(&self.idle).pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = locked(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for MailServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MailServer({}:{})", self.host, self.port)
    }
}
