//! Who sends notices: one task for each notice that is due, so that no channel waits for another.

use super::trouble::Trouble;
use super::{Pipeline, random};
use crate::clock::now_ms;
use crate::journal::{DueNotice, GivesUp, State, TEST_AE_TITLE};
use crate::notify::{new_ways, tells_at_ms};
use crate::submit::retry;
use notifier::{MustAct, NoticeError};
use seal::ids::DeliveryId;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Longest pause between two looks: where nothing changes, and after an error.
const LOOK: Duration = Duration::from_secs(30);
/// Notices under way by one channel: a server takes some at once, and one that hangs must not collect connections.
const UNDER_WAY_MAX: usize = 8;

/// Delivery, doctor and channel of a notice.
type Key = (DeliveryId, String, String);

/// What is under way, and a bell for whoever looks after it.
#[derive(Default)]
pub struct Telling {
    under_way: Arc<Mutex<BTreeSet<Key>>>,
    bell: Arc<Notify>,
}

/// A notice under way; dropped, it is not any more.
struct UnderWay {
    key: Key,
    all: Arc<Mutex<BTreeSet<Key>>>,
    bell: Arc<Notify>,
}

impl Telling {
    /// Somebody is to be told: looks at once.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// None where this one is under way, or enough others of its channel are.
    fn begin(&self, due: &DueNotice) -> Option<UnderWay> {
        let key = (due.delivery, due.doctor.clone(), due.channel.clone());
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = all.iter().filter(|(.., channel)| *channel == due.channel).count() >= UNDER_WAY_MAX;
        (!is_full && all.insert(key.clone())).then(|| UnderWay {
            key,
            all: self.under_way.clone(),
            bell: self.bell.clone(),
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.bell.notify_one();
    }
}

impl Pipeline {
    /// Sends notices for ever. `changes` is marked after each change of the journal.
    pub async fn tell(self: Arc<Self>, mut changes: watch::Receiver<()>) {
        if let Err(error) = self.journal.try_notices_now(now_ms()).await {
            Trouble::from(error).log_of_notices();
        }
        loop {
            changes.mark_unchanged();
            let wait = match self.tell_due().await {
                Ok(Some(at_ms)) => Duration::from_millis((at_ms - now_ms()).max(1).unsigned_abs()).min(LOOK),
                Ok(None) => LOOK,
                Err(trouble) => {
                    trouble.log_of_notices();
                    tokio::time::sleep(retry::FIRST_DELAY).await;
                    continue;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.telling.bell.notified() => {}
                changed = changes.changed() => if changed.is_err() { tokio::time::sleep(retry::FIRST_DELAY).await },
            }
        }
    }

    /// Begins whatever is to be sent now; gives when the next is.
    async fn tell_due(self: &Arc<Self>) -> Result<Option<i64>, Trouble> {
        let now = now_ms();
        let mut next: Option<i64> = None;
        let mut not_before = |at_ms: i64| next = Some(next.map_or(at_ms, |next| next.min(at_ms)));
        for untold in self.journal.untold().await? {
            let awake_at_ms = self.awake_at_ms(untold.delivery, &untold.doctor, now).await?;
            match tells_at_ms(&untold, &self.config).max(awake_at_ms) {
                at_ms if at_ms > now => not_before(at_ms),
                _ => {
                    let ways = new_ways(&untold, &self.config);
                    self.journal.begin_notices(&untold, &ways, now).await?;
                }
            }
        }
        for due in self.journal.due_notices().await? {
            let at_ms = self.awake_at_ms(due.delivery, &due.doctor, now).await?.max(due.next_try_ms);
            if at_ms > now {
                not_before(at_ms);
            } else if let Some(under_way) = self.telling.begin(&due) {
                let pipeline = self.clone();
                tokio::spawn(async move {
                    pipeline.tell_one(&due).await;
                    drop(under_way);
                });
            }
        }
        Ok(next)
    }

    /// When the doctor may be woken for a delivery: now, or when quiet hours are over.
    async fn awake_at_ms(&self, delivery: DeliveryId, doctor: &str, now: i64) -> Result<i64, Trouble> {
        // Few have quiet hours: the delivery is not asked for where it does not matter.
        if self.config.awake_at_ms(doctor, false, now) == now {
            return Ok(now);
        }
        let delivery = self.journal.delivery(delivery).await?;
        // Whether one is awake is what a test at the start of duty asks.
        let wakes = delivery.urgent || delivery.destination == TEST_AE_TITLE;
        Ok(self.config.awake_at_ms(doctor, wakes, now))
    }

    /// Sends one notice and says what came of it, again and again where the journal or the trail cannot be written: what a channel took is
    /// not sent once more for that.
    async fn tell_one(self: &Arc<Self>, due: &DueNotice) {
        let delivery = match self.journal.is_still_due(due).await {
            // It was sent between the reading of what is due and this one's begin.
            Ok(false) => return,
            Ok(true) => self.journal.delivery(due.delivery).await,
            Err(error) => Err(error),
        };
        let sent = match delivery {
            Ok(delivery) => self.notifier.send(due, delivery.urgent, &self.config).await,
            Err(error) => {
                Trouble::from(error).log(due.delivery);
                return tokio::time::sleep(retry::FIRST_DELAY).await;
            }
        };
        let mut failures = 0;
        while let Err(trouble) = self.told(due, sent.as_ref().err()).await {
            trouble.log(due.delivery);
            failures += 1;
            tokio::time::sleep(retry::delay(failures, random())).await;
        }
        // The delivery may have waited for this one.
        self.start(due.delivery);
    }

    async fn told(&self, due: &DueNotice, failed: Option<&NoticeError>) -> Result<(), Trouble> {
        let Some(error) = failed else {
            self.audit_notified(due).await?;
            self.journal.notice_accepted(due, now_ms()).await?;
            tracing::info!(stage = "notify", delivery = %due.delivery, doctor = due.doctor, channel = due.channel, "notified");
            return Ok(());
        };
        let (permanent, channel) = (error.is_permanent(), due.channel.as_str());
        tracing::warn!(stage = "notify", delivery = %due.delivery, doctor = due.doctor, channel, permanent, act = act(error), "{error}");
        self.alert_of_notice(channel, error);
        if permanent && !due.was_refused {
            self.audit_notice_refused(due).await?;
        }
        let wait = retry::delay(due.attempts + 1, random());
        let wait = error.retry_after().unwrap_or_default().max(wait).min(retry::DELAY_MAX);
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        self.journal.notice_failed(due, error, now_ms().saturating_add(wait_ms)).await?;
        self.not_notified(due, error).await
    }

    /// A doctor whom no channel has reached is the delivery's trouble.
    async fn not_notified(&self, due: &DueNotice, error: &NoticeError) -> Result<(), Trouble> {
        let waits = self.journal.not_notified(due.delivery).await?.contains(&due.doctor);
        if waits && self.journal.delivery(due.delivery).await?.state == State::Submitted {
            let text =
                format!("notify: {error} (doctor {} by channel {}; {})", due.doctor, due.channel, act(error));
            self.journal.troubled(due.delivery, &text, GivesUp::No, now_ms()).await?;
            self.alarm_of_lasting(due.delivery).await;
        }
        Ok(())
    }
}

fn act(error: &NoticeError) -> &'static str {
    match error.must_act() {
        MustAct::Operator => "operator",
        MustAct::Server => "operator of the notice server",
    }
}
