//! notify: tells each doctor, in constant words and by each of the doctor's channels, that something waits. Goes when the cover was seen
//! in the mailbox, or after `cover_seen_ms`: a notice must not come before the images, nor stay away because nobody could look.

mod channels;
mod escalation;

pub use escalation::{Aged, Escalation, Next, Raise, Rules, Standing, ends};

use crate::clock::time_of;
use crate::config::{Config, ConfigError, Way};
use crate::journal::{DueNotice, Untold};
use notifier::{Accepted, Channel, Notice, NoticeError, NoticeId, Urgency};
use std::collections::BTreeMap;

/// Sends notices through the channels of the configuration.
pub struct Notifier {
    channels: BTreeMap<String, Box<dyn Channel>>,
}

impl Notifier {
    /// Reads secrets and roots; connects to nothing yet. Needs a runtime around it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { channels: channels::open(config)? })
    }

    /// Sends one notice, once.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub async fn send(
        &self,
        due: &DueNotice,
        is_urgent: bool,
        config: &Config,
    ) -> Result<Accepted, NoticeError> {
        let gone = |what: &str| NoticeError::Configuration {
            reason: format!("{what} is no longer in the configuration"),
        };
        let channel = self.channels.get(&due.channel).ok_or_else(|| gone("the channel"))?;
        let doctor = config.doctors.get(&due.doctor).ok_or_else(|| gone("the doctor"))?;
        let way = doctor.ways().find(|way| way.channel == due.channel).ok_or_else(|| gone("this way"))?;
        let notice = Notice {
            id: NoticeId(due.notice),
            at: time_of(due.began_at_ms),
            urgency: if is_urgent { Urgency::Urgent } else { Urgency::Routine },
        };
        channel.send(&notice, &way.to, doctor.language).await
    }
}

/// When a doctor may be told, in milliseconds since 1970-01-01 UTC. Nobody waits for a cover in the mailboxes of mail programs and guests.
pub fn tells_at_ms(untold: &Untold, config: &Config) -> i64 {
    if untold.cover_seen || !config.sends_receipts(&untold.doctor) {
        return i64::MIN;
    }
    let wait_ms = i64::try_from(config.notify.cover_seen_ms).unwrap_or(i64::MAX);
    untold.submitted_at_ms.saturating_add(wait_ms)
}

/// The ways by which a doctor is to be told now and was not yet; none for one who is not in the configuration.
pub fn new_ways(untold: &Untold, config: &Config) -> Vec<Way> {
    let is_new = |way: &Way| {
        way.level <= untold.level && untold.told_level.is_none_or(|told_level| way.level > told_level)
    };
    config
        .doctors
        .get(&untold.doctor)
        .map(|doctor| doctor.ways().filter(is_new).collect())
        .unwrap_or_default()
}
