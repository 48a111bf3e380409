//! Where a journal is kept: in a file, or in a database on a PostgreSQL server.

use super::JournalError;
use super::sql::{Pool, server, sqlite_options};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Where a journal is kept.
#[derive(Clone)]
pub enum Database {
    /// An SQLite file.
    File(PathBuf),
    /// A database on a PostgreSQL server.
    Postgres(Box<Server>),
}

/// A database on a PostgreSQL server. No `Debug`: it holds a password.
#[derive(Clone)]
pub struct Server {
    pub(super) options: PgConnectOptions,
    /// Which start of a gateway this is; none for a command beside it.
    pub(super) start: Option<i64>,
    /// Longest wait for an answer.
    pub(super) answer_max: Duration,
}

impl Server {
    /// Whether it keeps what it acknowledges.
    ///
    /// # Errors
    /// [`JournalError::Setting`]; others of [`JournalError`].
    pub(crate) async fn check(&self) -> Result<(), JournalError> {
        server::connected(self).await.map(drop)
    }
}

impl Database {
    /// A database by its URL, `postgresql://USER:PASSWORD@HOST/DATABASE?sslrootcert=FILE`. The server of another machine must show a certificate that
    /// bears its name, whatever the URL says.
    ///
    /// # Errors
    /// What is wrong with it, without any of it.
    pub fn postgres(url: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "write a URL like postgresql://scanpost:PASSWORD@db.hospital.example/scanpost";
        let is_named = ["postgresql://", "postgres://"].iter().any(|scheme| url.starts_with(scheme));
        let options: PgConnectOptions = url.parse().map_err(|_| WRONG)?;
        if !is_named || options.get_database().is_none() {
            return Err(WRONG);
        }
        let options = options.application_name("scanpost-gateway");
        let options = if is_here(&options) { options } else { options.ssl_mode(PgSslMode::VerifyFull) };
        let (options, answer_max) = (server::with_limits(options), server::ANSWER_MAX);
        Ok(Self::Postgres(Box::new(Server { options, start: None, answer_max })))
    }

    /// Makes the schema, or brings it up to date, and opens it for writing. That of a server which was taken is up to date.
    pub(super) async fn open(&self) -> Result<Pool, JournalError> {
        match self {
            Self::File(path) => Pool::sqlite(sqlite_options(path).create_if_missing(true)).await,
            Self::Postgres(server) => {
                if server.start.is_none() {
                    Box::pin(server::ready(server)).await?;
                }
                Box::pin(Pool::postgres(server)).await
            }
        }
    }

    /// Opens what is there; the schema stays as it is.
    pub(super) async fn open_read_only(&self) -> Result<Pool, JournalError> {
        match self {
            Self::File(path) => Pool::sqlite_as_it_is(sqlite_options(path).read_only(true)).await,
            Self::Postgres(server) => Box::pin(Pool::postgres(server)).await,
        }
    }

    /// Returns once no gateway works with the database: at once with a file, which one machine has. A server that is not there is waited for.
    ///
    /// # Errors
    /// [`JournalError`], where the server is set wrongly, or does not let us in.
    pub async fn wait(&self) -> Result<(), JournalError> {
        match self {
            Self::File(_) => Ok(()),
            Self::Postgres(server) => Box::pin(server::wait(server)).await,
        }
    }

    /// Takes the database for a gateway, which is the only one to work with it. A file is taken with its folder (`Spool::lock`).
    ///
    /// # Errors
    /// [`JournalError::Held`]; others of [`JournalError`].
    pub async fn take(self, others: Others) -> Result<(Self, Hold), JournalError> {
        match self {
            Self::File(_) => Ok((self, Hold(None))),
            Self::Postgres(server) => {
                let (start, lost) = Box::pin(server::take(&server, others)).await?;
                let hold = Hold(Some((start, lost)));
                Ok((Self::Postgres(Box::new(Server { start: Some(start.number), ..*server })), hold))
            }
        }
    }

    /// Notes that this start has taken the state folder.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn note_taken(&self) -> Result<(), JournalError> {
        match self {
            Self::File(_) => Ok(()),
            Self::Postgres(server) => Box::pin(server::note_taken(server)).await,
        }
    }
}

/// The start of a gateway, among all with a database on a server.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Its number.
    pub number: i64,
    /// That of the last one which took the state folder that several machines reach; 0 where none has.
    pub taken: i64,
}

/// What becomes of the journal when this gateway no longer reaches its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// It waits for it.
    None,
    /// Others wait for the journal: this one ends.
    Wait,
}

/// That this gateway is the only one, until it is dropped.
pub struct Hold(Option<(Start, JoinHandle<JournalError>)>);

impl Hold {
    /// Which start it is; none for a file.
    pub fn start(&self) -> Option<Start> {
        self.0.as_ref().map(|(start, _)| *start)
    }

    /// Returns once another gateway has taken the journal over, or may have, and never while none has.
    pub async fn lost(&mut self) -> JournalError {
        match &mut self.0 {
            Some((_, lost)) => lost.await.unwrap_or(JournalError::Lost),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((_, lost)) = &self.0 {
            lost.abort();
        }
    }
}

/// Whether nothing between us and the server leaves this machine.
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || is_loopback()
}
