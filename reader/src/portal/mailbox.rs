//! One mailbox: a connection that idles and keeps the list of what lies there, and a few that fetch.

mod contents;
mod fetchers;
mod moved;
mod quota;
mod watch;

pub(crate) use contents::{Contents, Cover, Delivery};
pub(crate) use watch::{Hears, Told};

use super::limits::FIRST_LOOK_WAIT;
use super::refused::Refused;
use fetchers::Fetchers;
use moved::Moved;
use seal::ids::DeliveryId;
use seal::mail::Address;
use seal::mailbox::{Found, MailboxConfig, MailboxError};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch as signal;

/// A mailbox of the configuration.
pub(crate) struct Watched {
    /// Its name in the configuration.
    pub(crate) name: String,
    login: MailboxConfig,
    from: Address,
    state: RwLock<State>,
    changes: signal::Sender<()>,
    fetchers: Fetchers,
    moved: Moved,
}

#[derive(Clone)]
enum State {
    /// Not read yet since the start.
    Starting,
    Here(Arc<Contents>),
    /// It cannot be read; true: the operator must act. What was known of it last.
    Down(bool, Option<Arc<Contents>>),
}

impl Watched {
    pub(crate) fn new(name: String, login: MailboxConfig, from: Address) -> Self {
        let fetchers = Fetchers::new(login.clone());
        Self {
            name,
            login,
            from,
            state: RwLock::new(State::Starting),
            changes: signal::channel(()).0,
            fetchers,
            moved: Moved::default(),
        }
    }

    /// What lies there. Right after the start it waits for the first look: a phone is not told that a mailbox is down which nobody has tried yet.
    ///
    /// # Errors
    /// [`Refused::MailboxDown`].
    pub(crate) async fn contents(&self) -> Result<Arc<Contents>, Refused> {
        let mut changes = self.changes();
        let _ = tokio::time::timeout(FIRST_LOOK_WAIT, changes.wait_for(|()| !self.is_starting())).await;
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Here(contents) => Ok(contents.clone()),
            State::Starting => Err(Refused::MailboxDown(false)),
            State::Down(operator, _) => Err(Refused::MailboxDown(*operator)),
        }
    }

    /// Marked after each change.
    pub(crate) fn changes(&self) -> signal::Receiver<()> {
        self.changes.subscribe()
    }

    /// At most `octets` octets of a body from `offset`, as they lie there.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub(crate) async fn body_range(
        &self,
        found: &Found,
        offset: u64,
        octets: u32,
    ) -> Result<Vec<u8>, MailboxError> {
        let mut lent = self.fetchers.lend().await?;
        loop {
            let done = lent.mailbox()?.body_range(found, offset, octets).await;
            if let Some(done) = lent.settle(done).await {
                return done;
            }
        }
    }

    /// Octets of a body.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub(crate) async fn body_octets(&self, found: &Found) -> Result<u64, MailboxError> {
        let mut lent = self.fetchers.lend().await?;
        loop {
            let done = lent.mailbox()?.body_octets(found).await;
            if let Some(done) = lent.settle(done).await {
                return done;
            }
        }
    }

    /// A whole body without its base64.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub(crate) async fn body(&self, found: &Found, bytes_max: u64) -> Result<Vec<u8>, MailboxError> {
        let mut lent = self.fetchers.lend().await?;
        loop {
            let mut body = Vec::new();
            let done = lent.mailbox()?.fetch_body(found, &mut body, bytes_max).await.map(|_| body);
            if let Some(done) = lent.settle(done).await {
                return done;
            }
        }
    }

    /// Puts a message into the first folder.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub(crate) async fn append(
        &self,
        id: seal::mail::MessageId,
        at: i64,
        body: &[u8],
    ) -> Result<(), MailboxError> {
        let unsendable = MailboxError::Unsendable { what: "date" };
        let message = seal::mail::Message::new(id, &self.from, at, body.len() as u64);
        let message = message.map_err(|_| unsendable)?;
        let lines: Vec<Vec<u8>> =
            message.lines(body).collect::<Result<_, _>>().map_err(MailboxError::Disk)?;
        let (folder, whole) = (self.first_folder(), lines.concat());
        let mut lent = self.fetchers.lend().await?;
        loop {
            let done = lent.mailbox()?.append(folder, &whole).await;
            if let Some(done) = lent.settle(done).await {
                return done;
            }
        }
    }

    fn first_folder(&self) -> &str {
        self.login.folders.first().map_or("INBOX", String::as_str)
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.changes.send_replace(());
    }

    fn is_starting(&self) -> bool {
        matches!(*self.state.read().unwrap_or_else(PoisonError::into_inner), State::Starting)
    }

    fn known(&self) -> Option<Arc<Contents>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Starting => None,
            State::Here(contents) => Some(contents.clone()),
            State::Down(_, contents) => contents.clone(),
        }
    }
}

impl Contents {
    /// The delivery of this id.
    pub(crate) fn delivery(&self, id: DeliveryId) -> Option<&Delivery> {
        self.deliveries.iter().find(|delivery| delivery.id == id)
    }
}
