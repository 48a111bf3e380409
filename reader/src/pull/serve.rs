//! Pulls by itself whatever comes, and sends it on: for a second hospital, or a workstation at home.
//!
//! One connection looks into the mailbox and idles there; where it sees something new, a pull is run as anybody could run it. So what holds for a pull holds
//! here: it can be cut off anywhere, and the next goes on. Mailbox, forwarding and deletion have pauses of their own: none waits for another that is down.

mod told;

use super::forward::{Forwarding, Pass, delete_forwarded, forward};
use super::{Exit, Outcome, Progress, PullError, Session, State, Target, pull};
use crate::config::Config;
use crate::service::{IDLE_WAIT, POLL_PAUSE, RETRY_PAUSE, RETRY_PAUSE_MAX};
use seal::ids::DeliveryId;
use seal::mailbox::{ImapUid, MailboxError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use told::{Part, Told};

/// Longest pause before what was refused is looked at again: it is fetched anew each time.
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(600);
/// Longest pause before what another system did not take is sent again.
const FORWARD_PAUSE_MAX: Duration = Duration::from_secs(300);
/// After so long forwarding pauses for a look into the mailbox, once the delivery under way is through.
const FORWARD_TIME: Duration = Duration::from_secs(30);
/// Pause between two looks for images that were kept long enough.
const DELETION_PAUSE: Duration = Duration::from_secs(3600);
/// News that comes at once is looked at at once: a study is many messages.
const NEWS_PAUSE: Duration = Duration::from_millis(200);
const DAY_SECONDS: i64 = 86_400;

/// Pulls what comes, forwards it to `to`, and deletes what was forwarded when its time is over, until it is dropped. `now` gives seconds since 1970-01-01 UTC.
///
/// # Errors
/// [`PullError::Config`] where configuration or keys cannot be used at the start; what goes wrong later is logged, and tried again.
pub async fn serve(config: &Config, to: Option<&Target>, now: fn() -> i64) -> Result<Infallible, PullError> {
    config.keys()?;
    config.mailbox_login()?;
    config.address()?;
    let begin = Instant::now();
    let mut service = Service {
        config,
        to,
        now,
        progress: Progress::on_terminal(),
        told: Told::default(),
        watch: None,
        heard: false,
        seen: None,
        mailbox: Pause::new(RETRY_PAUSE_MAX),
        owes: true,
        incomplete: BTreeSet::new(),
        refused: HashMap::new(),
        looked_at: begin,
        forwards: true,
        forwarding: Pause::new(FORWARD_PAUSE_MAX),
        pass: Pass::new(FORWARD_TIME),
        deletion_at: begin,
    };
    loop {
        service.look_and_pull().await;
        service.forward().await;
        service.delete();
        service.wait().await;
    }
}

/// The covers that lie in the mailbox.
type Covers = BTreeMap<(String, u32, ImapUid), DeliveryId>;

/// When something is tried again, ever later.
struct Pause {
    at: Instant,
    next: Duration,
    max: Duration,
}

impl Pause {
    fn new(max: Duration) -> Self {
        Self { at: Instant::now(), next: RETRY_PAUSE, max }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    fn failed(&mut self) {
        self.at = Instant::now() + self.next;
        self.next = (self.next * 2).min(self.max);
    }

    fn succeeded(&mut self) {
        *self = Self::new(self.max);
    }
}

struct Service<'a> {
    config: &'a Config,
    to: Option<&'a Target>,
    now: fn() -> i64,
    progress: Progress,
    told: Told,
    /// The connection that looks and idles.
    watch: Option<Session>,
    /// Something changed since the last look, or may have.
    heard: bool,
    /// What the mailbox held at the last pull.
    seen: Option<Covers>,
    /// Of looks and pulls that failed.
    mailbox: Pause,
    /// A pull is wanted whatever the mailbox holds: the first, or after one that failed in part.
    owes: bool,
    /// Deliveries whose pieces have not all arrived.
    incomplete: BTreeSet<DeliveryId>,
    refused: HashMap<DeliveryId, Pause>,
    /// The last pull.
    looked_at: Instant,
    /// Something may wait to be forwarded.
    forwards: bool,
    forwarding: Pause,
    pass: Pass,
    deletion_at: Instant,
}

impl Service<'_> {
    async fn look_and_pull(&mut self) {
        if !self.mailbox.is_over() {
            return;
        }
        let is_well = match self.look_and_pull_once().await {
            Ok(is_well) => {
                self.told.well(Part::Mailbox);
                is_well
            }
            Err(error) => {
                self.watch = None;
                self.told.trouble(Part::Mailbox, &error);
                false
            }
        };
        if is_well { self.mailbox.succeeded() } else { self.mailbox.failed() }
    }

    /// Gives whether all that could be done was.
    async fn look_and_pull_once(&mut self) -> Result<bool, PullError> {
        let covers = self.look().await?;
        if self.is_due(&covers) { self.pull(covers).await } else { Ok(true) }
    }

    async fn look(&mut self) -> Result<Covers, PullError> {
        let watch = match &mut self.watch {
            Some(watch) => watch,
            none => none.insert(Session::new(self.config.mailbox_login()?)),
        };
        let found = watch.covers().await?;
        Ok(found
            .into_iter()
            .map(|one| ((one.folder, one.uid_validity, one.uid), one.id.delivery()))
            .collect())
    }

    fn is_due(&mut self, covers: &Covers) -> bool {
        let (heard, is_later) =
            (std::mem::take(&mut self.heard), self.looked_at + IDLE_WAIT <= Instant::now());
        self.owes
            || self.seen.as_ref() != Some(covers)
            || (!self.incomplete.is_empty() && (heard || is_later))
            || self.refused.values().any(Pause::is_over)
    }

    /// As [`Self::look_and_pull_once`].
    async fn pull(&mut self, covers: Covers) -> Result<bool, PullError> {
        // A server may allow one connection.
        if let Some(mut watch) = self.watch.take() {
            watch.close().await;
        }
        let of = |covers: &Covers, id: DeliveryId| -> Covers {
            covers.iter().filter(|(_, of)| **of == id).map(|(at, of)| (at.clone(), *of)).collect()
        };
        // One whose covers are gone, or others, is another.
        let before = self.seen.as_ref();
        self.refused.retain(|id, _| {
            let there = of(&covers, *id);
            !there.is_empty() && before.is_some_and(|before| of(before, *id) == there)
        });
        let leave = self.refused.iter().filter(|(_, pause)| !pause.is_over()).map(|(id, _)| *id).collect();
        self.owes = true;
        let mut outcomes = Vec::new();
        let pulled = pull(self.config, None, &leave, &mut outcomes, self.now, &self.progress).await;
        self.note(&outcomes);
        self.told.of_deliveries(&outcomes);
        pulled?;
        self.owes = outcomes.iter().any(|outcome| matches!(outcome.exit, Exit::Mailbox | Exit::Setup));
        (self.seen, self.looked_at) = (Some(covers), Instant::now());
        Ok(!self.owes)
    }

    fn note(&mut self, outcomes: &[Outcome]) {
        let of = |state| outcomes.iter().filter(move |outcome| outcome.state == state);
        self.incomplete = of(State::Incomplete).map(|outcome| outcome.delivery).collect();
        for outcome in of(State::Refused) {
            self.refused.entry(outcome.delivery).or_insert_with(|| Pause::new(REFUSED_PAUSE_MAX)).failed();
        }
        for outcome in of(State::Pulled) {
            self.refused.remove(&outcome.delivery);
            self.forwards = true;
            self.forwarding.succeeded();
        }
    }

    async fn forward(&mut self) {
        let Some(to) = self.to.filter(|_| self.forwards && self.forwarding.is_over()) else { return };
        let mut outcomes = Vec::new();
        let sent = forward(self.config, to, &mut outcomes, Some(&mut self.pass), &self.progress).await;
        self.told.of_deliveries(&outcomes);
        match sent {
            Err(error) => {
                self.told.trouble(Part::Forwarding, &error);
                self.forwarding.failed();
                return;
            }
            // The rest at once, behind a look into the mailbox.
            Ok(Forwarding::GoesOn) => {}
            Ok(Forwarding::Waits) => self.forwarding.failed(),
            Ok(Forwarding::Over) => {
                self.forwards = false;
                self.forwarding.succeeded();
            }
        }
        self.told.well(Part::Forwarding);
        if self.config.forward.keep_days == Some(0) && !outcomes.is_empty() {
            self.deletion_at = Instant::now();
        }
    }

    fn delete(&mut self) {
        let (Some(to), Some(days)) = (self.to, self.config.forward.keep_days) else { return };
        if Instant::now() < self.deletion_at {
            return;
        }
        self.deletion_at = Instant::now() + DELETION_PAUSE;
        let (deleted, failed) =
            delete_forwarded(self.config, to, (self.now)() - i64::from(days) * DAY_SECONDS);
        if deleted > 0 {
            tracing::info!(deliveries = deleted, "images that were forwarded are deleted here");
        }
        match failed {
            Some(error) => self.told.trouble(Part::Deletion, &error),
            None => self.told.well(Part::Deletion),
        }
    }

    /// Until something changes in the mailbox, or something is to be tried again.
    async fn wait(&mut self) {
        let mut at: Vec<Instant> = self.refused.values().map(|pause| pause.at).collect();
        at.push(Instant::now() + IDLE_WAIT);
        at.extend((self.forwards && self.to.is_some()).then_some(self.forwarding.at));
        at.extend((self.watch.is_none() || self.owes).then_some(self.mailbox.at));
        let wait = at.into_iter().min().map_or(IDLE_WAIT, |at| at.saturating_duration_since(Instant::now()));
        let Some(watch) = self.watch.as_mut().filter(|_| !wait.is_zero()) else {
            return sleep(wait).await;
        };
        match watch.idle(wait).await {
            Ok(heard) => {
                self.heard = heard;
                if heard {
                    sleep(NEWS_PAUSE).await;
                }
            }
            Err(MailboxError::Refused { .. }) => sleep(wait.min(POLL_PAUSE)).await,
            // What came meanwhile was not heard.
            Err(_) => {
                self.heard = true;
                self.watch = None;
                sleep(RETRY_PAUSE).await;
            }
        }
    }
}
