//! Pulls by itself whatever comes, and sends it on: for a second hospital, or a workstation at home.
//!
//! Each round is a pull as anybody could run it, so that what holds for one holds here: it can be cut off anywhere, and the next goes on.

use super::{Exit, Outcome, Progress, PullError, State, Target, delete_forwarded, forward, pull};
use crate::config::Config;
use crate::service::{IDLE_WAIT, POLL_PAUSE, RETRY_PAUSE, RETRY_PAUSE_MAX};
use seal::ids::DeliveryId;
use seal::mailbox::{Mailbox, MailboxError};
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest pause before what has not arrived whole, or was refused, is looked at again where nothing new is heard of: what is damaged is fetched each time.
const AGAIN_PAUSE_MAX: Duration = Duration::from_secs(600);
/// Pause between two looks for images that were kept long enough.
const DELETION_PAUSE: Duration = Duration::from_secs(3600);
const DAY_SECONDS: i64 = 86_400;

/// Pulls what comes, forwards it to `to`, and deletes what was forwarded when its time is over, until it is dropped. `now` gives seconds since 1970-01-01 UTC.
///
/// # Errors
/// [`PullError`] where the configuration or the keys cannot be used, in the first round; what goes wrong later is logged, and tried again.
pub async fn serve(config: &Config, to: Option<&Target>, now: fn() -> i64) -> Result<Infallible, PullError> {
    let mut rounds = Rounds {
        config,
        to,
        now,
        progress: Progress::on_terminal(),
        told: Told::default(),
        held: HashMap::new(),
        forwards: true,
        deletion_at: Instant::now(),
    };
    let (mut watched, mut pause, mut is_first) = (None, RETRY_PAUSE, true);
    loop {
        // Before the round: what comes during it is news to the IDLE behind it.
        if watched.is_none() {
            watched = watch(config).await.inspect_err(|error| tracing::debug!("cannot watch: {error}")).ok();
        }
        let is_settled = rounds.one().await.or_else(|error| match error {
            error @ PullError::Config(_) if is_first => Err(error),
            error => {
                rounds.told.of_the_run(&error);
                Ok(false)
            }
        })?;
        is_first = false;
        let wait = if is_settled { IDLE_WAIT.min(rounds.until_again()) } else { pause };
        pause = if is_settled { RETRY_PAUSE } else { (pause * 2).min(RETRY_PAUSE_MAX) };
        let heard = wait_for_news(&mut watched, wait).await;
        if heard {
            rounds.held.values_mut().for_each(|held| held.again_at = Instant::now());
        }
    }
}

/// A connection with the first folder open.
async fn watch(config: &Config) -> Result<Mailbox, PullError> {
    let login = config.mailbox_login()?;
    let mut mailbox = Mailbox::connect(&login).await?;
    if let Some(first) = login.folders.first() {
        mailbox.open_folder(first).await?;
    }
    Ok(mailbox)
}

/// Gives whether something changed there. A connection that is of no use any more is dropped.
async fn wait_for_news(watched: &mut Option<Mailbox>, wait: Duration) -> bool {
    let Some(mailbox) = watched else {
        sleep(wait).await;
        return false;
    };
    match mailbox.idle(wait).await {
        Ok(heard) => heard,
        Err(MailboxError::Refused { .. }) => {
            sleep(wait.min(POLL_PAUSE)).await;
            false
        }
        Err(_) => {
            *watched = None;
            sleep(RETRY_PAUSE).await;
            false
        }
    }
}

/// A delivery that is not looked at before a time.
struct Held {
    again_at: Instant,
    pause: Duration,
}

struct Rounds<'a> {
    config: &'a Config,
    to: Option<&'a Target>,
    now: fn() -> i64,
    progress: Progress,
    told: Told,
    /// What has not arrived whole, or was refused.
    held: HashMap<DeliveryId, Held>,
    /// Something may wait to be forwarded.
    forwards: bool,
    deletion_at: Instant,
}

impl Rounds<'_> {
    /// Gives whether nothing waits for another try.
    async fn one(&mut self) -> Result<bool, PullError> {
        let at = Instant::now();
        let leave: BTreeSet<DeliveryId> =
            self.held.iter().filter(|(_, held)| held.again_at > at).map(|(id, _)| *id).collect();
        let pulled = pull(self.config, None, &leave, self.now, &self.progress).await;
        let (mut outcomes, failed) = match pulled {
            Ok(outcomes) => (outcomes, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        self.hold(&outcomes);
        self.forwards |= !outcomes.iter().all(Outcome::is_quiet);
        if let (Some(to), true) = (self.to, self.forwards) {
            // What is here goes on, whatever became of the mailbox.
            let sent = forward(self.config, to, &mut outcomes, &self.progress).await;
            self.forwards = sent.is_err() || outcomes.iter().any(|outcome| outcome.exit == Exit::Forward);
            self.told.of_deliveries(&outcomes);
            sent?;
        } else {
            self.told.of_deliveries(&outcomes);
        }
        self.delete_what_is_over()?;
        match failed {
            Some(error) => Err(error),
            None => {
                self.told.run_is_well();
                Ok(outcomes.iter().all(|outcome| outcome.exit == Exit::Done || is_held(outcome)))
            }
        }
    }

    fn hold(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            if !is_held(outcome) {
                self.held.remove(&outcome.delivery);
                continue;
            }
            let before = self.held.get(&outcome.delivery);
            let pause = before.map_or(RETRY_PAUSE, |held| (held.pause * 2).min(AGAIN_PAUSE_MAX));
            self.held.insert(outcome.delivery, Held { again_at: Instant::now() + pause, pause });
        }
    }

    /// Until the first that is held is looked at again.
    fn until_again(&self) -> Duration {
        let first = self.held.values().map(|held| held.again_at).min();
        first.map_or(IDLE_WAIT, |at| at.saturating_duration_since(Instant::now()).max(RETRY_PAUSE))
    }

    fn delete_what_is_over(&mut self) -> Result<(), PullError> {
        let (Some(to), Some(days)) = (self.to, self.config.forward.keep_days) else { return Ok(()) };
        if Instant::now() < self.deletion_at {
            return Ok(());
        }
        let deleted = delete_forwarded(self.config, to, (self.now)() - i64::from(days) * DAY_SECONDS)?;
        if deleted > 0 {
            tracing::info!(deliveries = deleted, "images that were forwarded are deleted here");
        }
        // With none to keep, at once after each that was forwarded.
        self.deletion_at = Instant::now() + if days == 0 { Duration::ZERO } else { DELETION_PAUSE };
        Ok(())
    }
}

fn is_held(outcome: &Outcome) -> bool {
    matches!(outcome.state, State::Incomplete | State::Refused)
}

/// What was said, so that a round that meets the same again says nothing.
#[derive(Default)]
struct Told {
    /// Reason and notes of deliveries that are not well.
    deliveries: HashMap<DeliveryId, BTreeSet<String>>,
    run: Option<String>,
}

impl Told {
    fn of_deliveries(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes.iter().filter(|outcome| !outcome.is_quiet()) {
            let told = self.deliveries.entry(outcome.delivery).or_default();
            let words: BTreeSet<String> = outcome.reason.iter().chain(&outcome.notes).cloned().collect();
            if outcome.state == State::Pulled || !words.is_subset(told) {
                match outcome.exit {
                    Exit::Done => tracing::info!("{outcome}"),
                    _ => tracing::warn!("{outcome}"),
                }
            }
            told.extend(words);
            // What is well is not met again.
            if outcome.exit == Exit::Done {
                self.deliveries.remove(&outcome.delivery);
            }
        }
    }

    fn of_the_run(&mut self, error: &PullError) {
        let words = error.to_string();
        if self.run.as_ref() != Some(&words) {
            tracing::error!(act = "operator", "nothing can be pulled now, it is tried again: {words}");
            self.run = Some(words);
        }
    }

    fn run_is_well(&mut self) {
        if self.run.take().is_some() {
            tracing::info!("the mailbox can be read again");
        }
    }
}
