//! notify: tells each doctor's phone, in constant words, that something waits. Goes when the cover was seen in the mailbox, or
//! after `cover_seen_ms`: a notice must not come before the images, nor stay away because nobody could look.

mod escalation;

pub use escalation::{Next, Standing, next};

use crate::clock::now_ms;
use crate::config::{Config, ConfigError, Server};
use crate::dkim;
use crate::journal::{DeliveryRow, Journal, JournalError, Recipient};
use notifier::{Channel, MailChannel, MailServer, Notice, NoticeError, NoticeId, Urgency};
use seal::ids::DeliveryId;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tls::Trust;

/// Pause between two looks into the journal for the cover.
const COVER_POLL: Duration = Duration::from_millis(50);

/// Sends notices through the channel of the configuration.
pub struct Notifier {
    channel: MailChannel,
    cover_seen: Duration,
}

/// Why a doctor was not notified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The channel.
    #[error(transparent)]
    Notice(#[from] NoticeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Operator.
    #[error("doctor {doctor} is no longer in the configuration")]
    DoctorUnknown {
        /// Name.
        doctor: String,
    },
}

impl Notifier {
    /// Reads password and roots; connects to nothing yet. Needs a runtime around it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let server = config.notify.server.as_ref().unwrap_or(&config.submit);
        let channel = channel(server, &config.site)?;
        Ok(Self { channel, cover_seen: Duration::from_millis(config.notify.cover_seen_ms) })
    }

    /// Sends the notice to every doctor of the delivery who has none yet and for whom the mail server took all of it. All are
    /// tried before an error is given back: one doctor's wrong address does not silence the others. No refusal ends the delivery,
    /// since its study lies in the mailbox: it is tried again, ever more slowly, until the address is mended.
    ///
    /// # Errors
    /// The first [`NotifyError`].
    pub async fn notify(
        &self,
        delivery: &DeliveryRow,
        config: &Config,
        journal: &Journal,
    ) -> Result<(), NotifyError> {
        self.wait_for_cover(delivery.id, config, journal).await?;
        let mut failed: Option<NotifyError> = None;
        for recipient in pending(delivery.id, journal).await? {
            // A mail program shows the message itself; a phone beside it is a choice.
            if config.doctors.get(&recipient.doctor).is_some_and(|doctor| doctor.phone.is_empty()) {
                continue;
            }
            match self.send(&recipient, delivery, config).await {
                Ok(()) => journal.notified(delivery.id, &recipient.doctor, now_ms()).await?,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn send(
        &self,
        recipient: &Recipient,
        delivery: &DeliveryRow,
        config: &Config,
    ) -> Result<(), NotifyError> {
        let doctor = recipient.doctor.clone();
        let doctor = config.doctors.get(&doctor).ok_or(NotifyError::DoctorUnknown { doctor })?;
        let notice = Notice {
            id: NoticeId(recipient.notice),
            at: OffsetDateTime::now_utc(),
            urgency: if config.is_urgent(delivery) { Urgency::Urgent } else { Urgency::Routine },
        };
        self.channel.send(&notice, &doctor.phone, doctor.language).await?;
        Ok(())
    }

    /// Nobody waits for a cover in the mailboxes of mail programs and guests.
    async fn wait_for_cover(
        &self,
        delivery: DeliveryId,
        config: &Config,
        journal: &Journal,
    ) -> Result<(), JournalError> {
        let began = Instant::now();
        let seen = |recipient: &Recipient| recipient.cover_seen || !config.sends_receipts(&recipient.doctor);
        while began.elapsed() < self.cover_seen {
            if pending(delivery, journal).await?.iter().all(seen) {
                break;
            }
            tokio::time::sleep(COVER_POLL).await;
        }
        Ok(())
    }
}

async fn pending(delivery: DeliveryId, journal: &Journal) -> Result<Vec<Recipient>, JournalError> {
    let mut recipients = journal.recipients(delivery).await?;
    // The turn of one who stood behind is over once somebody has opened it.
    let is_opened = recipients.iter().any(|recipient| recipient.opened);
    recipients.retain(|recipient| {
        recipient.is_told && recipient.submitted && !recipient.notified && !(recipient.escalated && is_opened)
    });
    Ok(recipients)
}

fn signing(server: &Server) -> Result<Option<notifier::Sign>, ConfigError> {
    let signers = dkim::read(&server.dkim)?;
    let sign = move |mail: &[u8], at: i64| dkim::fields_of(&signers, mail, at).ok();
    Ok((!server.dkim.is_empty()).then_some(Box::new(sign) as notifier::Sign))
}

fn channel(server: &Server, site: &str) -> Result<MailChannel, ConfigError> {
    let password = server.password()?;
    let mail_server = MailServer {
        host: &server.host,
        port: server.port,
        user: &server.user,
        password: &password,
        trust: Trust::read(&server.tls())?,
        sign: signing(server)?,
        from: server.sender(),
        site,
    };
    MailChannel::new(mail_server).map_err(|_| ConfigError::Value {
        key: "notify.server".into(),
        reason: "the sender is not a mail address",
    })
}
