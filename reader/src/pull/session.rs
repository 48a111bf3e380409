//! The mailbox over a connection that is made when it is needed, and made anew after it broke.

use seal::ids::DeliveryId;
use seal::mail::{MessageId, Part};
use seal::mailbox::{Fill, Found, ImapUid, Mailbox, MailboxConfig, MailboxError};
use std::io::Write;
use std::time::Duration;

/// A login and, while it works, a connection.
pub(crate) struct Session {
    login: MailboxConfig,
    mailbox: Option<Mailbox>,
    /// Connecting failed once: whatever is left to do need not wait for that again.
    gone: bool,
}

impl Session {
    /// Connects with the first call.
    pub(crate) fn new(login: MailboxConfig) -> Self {
        Self { login, mailbox: None, gone: false }
    }

    /// A second connection to the same mailbox.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.login.clone())
    }

    /// Connects unless connected.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub(crate) async fn connect(&mut self) -> Result<&mut Mailbox, MailboxError> {
        let mailbox = match self.mailbox.take() {
            Some(mailbox) => mailbox,
            None if self.gone => return Err(MailboxError::Lost { during: "an earlier command" }),
            None => {
                self.gone = true;
                Mailbox::connect(&self.login).await?
            }
        };
        self.gone = false;
        Ok(self.mailbox.insert(mailbox))
    }

    /// The covers in all folders.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub(crate) async fn covers(&mut self) -> Result<Vec<Found>, MailboxError> {
        self.find(".cover@", |id| id.part() == Part::Cover).await
    }

    /// Every message of a delivery in all folders.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub(crate) async fn parts_of(&mut self, delivery: DeliveryId) -> Result<Vec<Found>, MailboxError> {
        self.find(&format!("<{delivery}."), |id| id.delivery() == delivery).await
    }

    /// Pieces of a delivery that were moved to folders that are not configured; none where those cannot be searched: what is in its place is fetched
    /// all the same.
    pub(crate) async fn moved_pieces(&mut self, delivery: DeliveryId) -> Vec<Found> {
        let moved = match self.connect().await {
            Ok(mailbox) => mailbox.moved_pieces(delivery).await,
            Err(error) => Err(error),
        };
        self.checked(moved).unwrap_or_else(|error| {
            tracing::warn!(%error, "other folders cannot be searched for pieces that are not in their place");
            Vec::new()
        })
    }

    /// Fetches the bytes of a message, at most `bytes_max`.
    ///
    /// # Errors
    /// [`MailboxError`]; see [`is_of_message`].
    pub(crate) async fn fetch(
        &mut self,
        found: &Found,
        sink: &mut (dyn Write + Send),
        bytes_max: u64,
    ) -> Result<u64, MailboxError> {
        let fetched = self.connect().await?.fetch_body(found, sink, bytes_max).await;
        self.checked(fetched)
    }

    /// Appends a message to the folder.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub(crate) async fn append(&mut self, folder: &str, message: &[u8]) -> Result<(), MailboxError> {
        let appended = self.connect().await?.append(folder, message).await;
        self.checked(appended)
    }

    /// How full the mailbox is, by its first folder; none where the server does not say, or says what is of no use. The last question: the
    /// connection may be of no use afterwards.
    pub(crate) async fn fill(&mut self) -> Option<Fill> {
        let folder = self.login.folders.first()?;
        let fill = self.mailbox.as_mut()?.fill(folder).await;
        fill.inspect_err(|error| tracing::debug!(%error, "how full the mailbox is cannot be asked")).ok()?
    }

    /// Waits in the first folder until something changes there, at most `wait`; gives whether it did. After [`Self::covers`] alone.
    ///
    /// # Errors
    /// [`MailboxError::Refused`] from a server without IDLE; the connection stays.
    pub(crate) async fn idle(&mut self, wait: Duration) -> Result<bool, MailboxError> {
        let Some(mailbox) = self.mailbox.as_mut() else {
            return Err(MailboxError::Lost { during: "an earlier command" });
        };
        mailbox.idle(wait).await
    }

    /// Says goodbye.
    pub(crate) async fn close(&mut self) {
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.logout().await;
        }
    }

    /// A folder that is not there, such as Junk on many servers, holds nothing; but one of the folders must be there. The first is looked at last, and is the
    /// one that stays open.
    async fn find(
        &mut self,
        needle: &str,
        wanted: impl Fn(&MessageId) -> bool,
    ) -> Result<Vec<Found>, MailboxError> {
        let (mut all, mut missing) = (Vec::new(), Vec::new());
        for folder in self.login.folders.clone().iter().rev() {
            let found = self.connect().await?.find(folder, ImapUid(1), needle).await;
            match self.checked(found) {
                Err(error @ MailboxError::NoFolder { .. }) => missing.push(error),
                found => {
                    let mut found = found?;
                    found.append(&mut all);
                    all = found;
                }
            }
        }
        if let (true, Some(error)) = (missing.len() == self.login.folders.len(), missing.into_iter().next()) {
            return Err(error);
        }
        all.retain(|found| wanted(&found.id));
        Ok(all)
    }

    /// Drops the connection after an error that is not about one message or folder: whatever comes on it next could be
    /// the answer to something else.
    fn checked<T>(&mut self, result: Result<T, MailboxError>) -> Result<T, MailboxError> {
        if let Err(error) = &result
            && !is_of_message(error)
            && !matches!(error, MailboxError::NoFolder { .. } | MailboxError::Quota { .. })
        {
            self.mailbox = None;
        }
        result
    }
}

/// Whether the error tells of one message alone, so that another one with the same Message-ID may be the genuine one.
pub(crate) fn is_of_message(error: &MailboxError) -> bool {
    matches!(error, MailboxError::TooLarge { .. } | MailboxError::NotBase64 | MailboxError::Gone)
}
