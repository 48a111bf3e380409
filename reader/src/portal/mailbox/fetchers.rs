//! Connections that fetch: a few for each mailbox, whoever waits first is served first.

use crate::portal::limits::{FETCHER_IDLE, FETCHERS_MAX};
use seal::mailbox::{Mailbox, MailboxConfig, MailboxError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) struct Fetchers {
    login: MailboxConfig,
    turns: Semaphore,
    free: Mutex<Vec<(Mailbox, Instant)>>,
}

/// A connection for one piece of work.
pub(crate) struct Lent<'a> {
    fetchers: &'a Fetchers,
    mailbox: Option<Mailbox>,
    /// It served others before, and may have been closed by the server since.
    is_old: bool,
    _turn: SemaphorePermit<'a>,
}

impl Fetchers {
    pub(crate) fn new(login: MailboxConfig) -> Self {
        Self { login, turns: Semaphore::new(FETCHERS_MAX), free: Mutex::default() }
    }

    pub(crate) async fn lend(&self) -> Result<Lent<'_>, MailboxError> {
        let turn = self.turns.acquire().await.map_err(|_| MailboxError::Lost { during: "FETCH" })?;
        let old = self.take();
        let is_old = old.is_some();
        let mailbox = match old {
            Some(mailbox) => mailbox,
            None => Mailbox::connect(&self.login).await?,
        };
        Ok(Lent { fetchers: self, mailbox: Some(mailbox), is_old, _turn: turn })
    }

    /// Closes connections that nobody used for a while.
    pub(crate) fn sweep(&self) {
        self.free().retain(|(_, since)| since.elapsed() < FETCHER_IDLE);
    }

    fn take(&self) -> Option<Mailbox> {
        self.sweep();
        self.free().pop().map(|(mailbox, _)| mailbox)
    }

    fn free(&self) -> MutexGuard<'_, Vec<(Mailbox, Instant)>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent<'_> {
    pub(crate) fn mailbox(&mut self) -> Result<&mut Mailbox, MailboxError> {
        self.mailbox.as_mut().ok_or(MailboxError::Lost { during: "FETCH" })
    }

    /// What was done; none if an old connection was lost, or sees an old folder, and a fresh one is here for another try.
    pub(crate) async fn settle<T>(
        &mut self,
        done: Result<T, MailboxError>,
    ) -> Option<Result<T, MailboxError>> {
        if self.is_old && matches!(done, Err(MailboxError::Lost { .. } | MailboxError::Gone)) {
            self.is_old = false;
            match Mailbox::connect(&self.fetchers.login).await {
                Ok(fresh) => self.mailbox = Some(fresh),
                Err(error) => return Some(Err(error)),
            }
            return None;
        }
        // After any other error the connection is closed.
        if matches!(done, Ok(_) | Err(MailboxError::Gone))
            && let Some(mailbox) = self.mailbox.take()
        {
            self.fetchers.free().push((mailbox, Instant::now()));
        }
        Some(done)
    }
}
