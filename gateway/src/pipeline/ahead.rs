//! Compresses what is at rest of a study while the rest of it still arrives. What comes of it is a help and no more: it lies in files without
//! names, is gone with the process, and is taken over only where nothing of its series has changed.

use super::Pipeline;
use super::trouble::Trouble;
use super::turns::{Rank, Turns};
use crate::clock::now_ms;
use crate::compress;
use crate::journal::{DeliveryInstance, SeriesSoFar, State};
use ::seal::ids::DeliveryId;
use compressor::Uid;
use compressor::bundle::Options;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Pause between two looks at what has come of a delivery; twice as long each time that nothing has, up to the most.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_MAX: Duration = Duration::from_secs(4);
/// A series of which nothing came for so many milliseconds is taken to be here whole; twice as long for each time that it was tried.
const REST_MS: i64 = 500;
/// Times that a series is tried.
const TRIES_MAX: u32 = 5;
/// Files held open, over all deliveries that collect: each is a descriptor, of which a service has 1024 unless told otherwise.
const FILES_MAX: usize = 128;
/// Of these, for one delivery: one that waits for long leaves some to others.
const FILES_OF_DELIVERY_MAX: usize = 32;

/// What is compressed ahead, by delivery.
#[derive(Clone, Debug, Default)]
pub struct Ahead(Arc<Mutex<HashMap<DeliveryId, Collecting>>>);

#[derive(Debug, Default)]
struct Collecting {
    /// The delivery waits for its turn, and needs what is being made.
    awaits: bool,
    series: HashMap<Uid, Tried>,
}

impl Collecting {
    fn files(&self) -> usize {
        self.series.values().filter(|tried| matches!(tried.outcome, Outcome::Made(_))).count()
    }
}

#[derive(Debug)]
struct Tried {
    /// What there was of it.
    so_far: SeriesSoFar,
    times: u32,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    UnderWay,
    Made(File),
    /// Others had to go first, or something failed.
    Stopped,
}

impl Ahead {
    /// The delivery is all there and waits for its turn: what is being packed of a series that is still so goes on, anything else stops.
    pub(super) fn await_turn(&self, delivery: DeliveryId, series: &[SeriesSoFar]) {
        if let Some(collecting) = self.all().get_mut(&delivery) {
            collecting.awaits = collecting
                .series
                .values()
                .any(|tried| matches!(tried.outcome, Outcome::UnderWay) && series.contains(&tried.so_far));
        }
    }

    /// What was packed. Nothing is packed ahead of the delivery any more.
    pub(super) fn take(&self, delivery: DeliveryId) -> Vec<File> {
        let collecting = self.all().remove(&delivery).unwrap_or_default();
        let file = |tried: Tried| if let Outcome::Made(file) = tried.outcome { Some(file) } else { None };
        collecting.series.into_values().filter_map(file).collect()
    }

    /// The first series that is at rest and not packed as it is.
    fn next(&self, delivery: DeliveryId, series: &[SeriesSoFar], now_ms: i64) -> Option<SeriesSoFar> {
        let all = self.all();
        let collecting = all.get(&delivery)?;
        if collecting.files() >= FILES_OF_DELIVERY_MAX
            || all.values().map(Collecting::files).sum::<usize>() >= FILES_MAX
        {
            return None;
        }
        let is_next = |so_far: &&SeriesSoFar| {
            let tried = collecting.series.get(&so_far.series);
            let is_done =
                |tried: &Tried| tried.so_far == **so_far && !matches!(tried.outcome, Outcome::Stopped);
            let times = tried.map_or(0, |tried| tried.times);
            !tried.is_some_and(is_done) && times < TRIES_MAX && now_ms - so_far.last_at_ms >= REST_MS << times
        };
        series.iter().find(is_next).cloned()
    }

    /// A series is being packed as far as it is here; what was packed of it before is given back.
    fn begin(&self, delivery: DeliveryId, so_far: &SeriesSoFar) {
        let mut all = self.all();
        let Some(collecting) = all.get_mut(&delivery) else { return };
        let times = collecting.series.get(&so_far.series).map_or(0, |tried| tried.times) + 1;
        let tried = Tried { so_far: so_far.clone(), times, outcome: Outcome::UnderWay };
        let before = collecting.series.insert(so_far.series.clone(), tried);
        // A large file takes a while to close.
        drop(all);
        drop(before);
    }

    /// What came of it; dropped where nobody waits for it any more.
    fn end(&self, delivery: DeliveryId, so_far: &SeriesSoFar, outcome: Outcome) {
        let mut all = self.all();
        let tried = all.get_mut(&delivery).and_then(|collecting| collecting.series.get_mut(&so_far.series));
        if let Some(tried) = tried.filter(|tried| tried.so_far == *so_far) {
            tried.outcome = outcome;
        }
    }

    /// Whether deliveries wait for a turn that do not need what is made with this one.
    fn is_in_the_way(&self, delivery: DeliveryId, turns: &Turns) -> bool {
        turns.deliveries_waiting() > 0
            && !self.all().get(&delivery).is_some_and(|collecting| collecting.awaits)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<DeliveryId, Collecting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at a delivery found.
enum Found {
    /// Nothing to do; so many instances are here.
    Nothing { instances: i64 },
    /// A series at rest, which was packed.
    Series,
    /// The delivery no longer collects.
    Over,
}

/// A delivery that something is packed of; forgotten when this is dropped.
struct Registered<'a>(&'a Ahead, DeliveryId);

impl<'a> Registered<'a> {
    fn new(ahead: &'a Ahead, delivery: DeliveryId) -> Self {
        ahead.all().insert(delivery, Collecting::default());
        Self(ahead, delivery)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let collecting = self.0.all().remove(&self.1);
        drop(collecting);
    }
}

impl Pipeline {
    /// Packs one series of a delivery after the other, as they come to rest; does not return, since what was packed is kept until this is dropped.
    pub(super) async fn compress_ahead(&self, id: DeliveryId) -> Infallible {
        let _registered = Registered::new(&self.ahead, id);
        if self.config.compress.ahead {
            self.compress_series_of(id).await;
        }
        std::future::pending().await
    }

    async fn compress_series_of(&self, id: DeliveryId) {
        let (mut pause, mut before) = (LOOK, 0);
        loop {
            match self.compress_next(id).await {
                Ok(Found::Over) => return,
                Ok(Found::Series) => continue,
                Ok(Found::Nothing { instances }) => {
                    pause = if instances == before { LOOK_MAX.min(2 * pause) } else { LOOK };
                    before = instances;
                }
                Err(trouble) => {
                    // Whatever it is, the delivery itself meets it again, and says it then.
                    tracing::debug!(stage = "compress", delivery = %id, trouble = trouble.text, "not compressed ahead");
                    pause = LOOK_MAX;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn compress_next(&self, id: DeliveryId) -> Result<Found, Trouble> {
        let delivery = self.journal.delivery(id).await?;
        if delivery.state != State::Received {
            return Ok(Found::Over);
        }
        let series = self.journal.series_so_far(id).await?;
        let nothing = Found::Nothing { instances: series.iter().map(|series| series.instances).sum() };
        if self.ahead.next(id, &series, now_ms()).is_none() {
            return Ok(nothing);
        }
        let turn = self.turns.take(Rank::Ahead).await;
        // What was being packed until now is done.
        let series = self.journal.series_so_far(id).await?;
        let Some(so_far) = self.ahead.next(id, &series, now_ms()) else { return Ok(nothing) };
        let mut instances = self.journal.instances(id).await?;
        instances.retain(|instance: &DeliveryInstance| instance.series.as_ref() == Some(&so_far.series));
        if !self.spool.has_room_beside(instances.iter().map(|instance| instance.bytes).sum()) {
            return Ok(nothing);
        }
        let case_key = self.journal.case_key(delivery.case).await?;
        let key_images = self.journal.key_images(delivery.case).await?;
        let options = Options { key_images, ..self.config.compress.options() };
        let (spool, ahead, turns) = (self.spool.clone(), self.ahead.clone(), self.turns.clone());
        ahead.begin(id, &so_far);
        let packed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let stops: Arc<compress::Stops> = {
                let ahead = ahead.clone();
                Arc::new(move || ahead.is_in_the_way(id, &turns))
            };
            match compress::compress_ahead(&spool, &instances, case_key.as_ref(), &options, &stops) {
                Ok(file) => {
                    ahead.end(id, &so_far, Outcome::Made(file));
                    Ok(instances.len())
                }
                Err(error) => {
                    ahead.end(id, &so_far, Outcome::Stopped);
                    Err(error)
                }
            }
        });
        let instances = packed.await??;
        tracing::info!(stage = "compress", delivery = %id, instances, "a series was compressed while the study still arrives");
        Ok(Found::Series)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DELIVERY: DeliveryId = DeliveryId([1; 16]);

    fn uid(last: u8) -> Uid {
        Uid::parse(&format!("1.2.{last}")).unwrap()
    }

    fn so_far(series: u8, instances: i64, last_at_ms: i64) -> SeriesSoFar {
        SeriesSoFar { series: uid(series), instances, last_at_ms }
    }

    fn made() -> Outcome {
        Outcome::Made(tempfile::tempfile().unwrap())
    }

    #[test]
    fn a_series_is_packed_once_at_rest_and_again_after_ever_longer_rest() {
        let ahead = Ahead::default();
        let _registered = Registered::new(&ahead, DELIVERY);
        let next = |count, at, now| ahead.next(DELIVERY, &[so_far(1, count, at)], now).is_some();
        let mut at = 1_000;
        for (count, times) in (1..).zip(0..TRIES_MAX) {
            let rest = REST_MS << times;
            assert!(!next(count, at, at + rest - 1) && next(count, at, at + rest));
            ahead.begin(DELIVERY, &so_far(1, count, at));
            assert!(!next(count, at, at + 100 * rest), "not twice as it is, also while it is under way");
            ahead.end(DELIVERY, &so_far(1, count, at), made());
            assert!(!next(count, at, at + 100 * rest));
            at += 100 * rest;
        }
        assert!(!next(99, at, at + 1_000_000), "it was tried often enough");
        assert_eq!(ahead.take(DELIVERY).len(), 1);
    }

    #[test]
    fn what_had_to_stop_is_tried_again_and_nothing_once_the_delivery_goes() {
        let ahead = Ahead::default();
        let _registered = Registered::new(&ahead, DELIVERY);
        let one = so_far(1, 5, 0);
        let next = |now| ahead.next(DELIVERY, std::slice::from_ref(&one), now).is_some();
        ahead.begin(DELIVERY, &one);
        ahead.end(DELIVERY, &one, Outcome::Stopped);
        assert!(!next(2 * REST_MS - 1) && next(2 * REST_MS));
        assert!(ahead.take(DELIVERY).is_empty() && !next(100 * REST_MS));
    }

    #[test]
    fn what_is_packed_for_nobody_or_of_less_than_is_here_is_dropped() {
        let ahead = Ahead::default();
        let registered = Registered::new(&ahead, DELIVERY);
        ahead.begin(DELIVERY, &so_far(1, 5, 0));
        ahead.begin(DELIVERY, &so_far(1, 6, 0));
        ahead.end(DELIVERY, &so_far(1, 5, 0), made());
        assert_eq!(ahead.all().values().map(Collecting::files).sum::<usize>(), 0);
        drop(registered);
        ahead.end(DELIVERY, &so_far(1, 6, 0), made());
        assert!(ahead.all().is_empty() && ahead.take(DELIVERY).is_empty());
    }

    #[test]
    fn only_so_many_files_are_open() {
        let ahead = Ahead::default();
        let deliveries = (0..=FILES_MAX / FILES_OF_DELIVERY_MAX).map(|last| DeliveryId([last as u8; 16]));
        let registered: Vec<_> = deliveries.map(|delivery| Registered::new(&ahead, delivery)).collect();
        for Registered(_, delivery) in &registered {
            for series in 0..=FILES_OF_DELIVERY_MAX {
                let one = so_far(u8::try_from(series).unwrap(), 1, 0);
                if ahead.next(*delivery, std::slice::from_ref(&one), REST_MS).is_some() {
                    ahead.begin(*delivery, &one);
                    ahead.end(*delivery, &one, made());
                }
            }
        }
        let open: Vec<_> = registered.iter().map(|one| ahead.take(one.1).len()).collect();
        assert_eq!(
            open,
            [FILES_OF_DELIVERY_MAX, FILES_OF_DELIVERY_MAX, FILES_OF_DELIVERY_MAX, FILES_OF_DELIVERY_MAX, 0]
        );
    }

    #[tokio::test]
    async fn work_goes_on_for_the_delivery_that_needs_it_and_stops_for_others() {
        let (ahead, turns) = (Ahead::default(), Turns::default());
        let _registered = Registered::new(&ahead, DELIVERY);
        let _turn = turns.take(Rank::Ahead).await;
        ahead.begin(DELIVERY, &so_far(1, 5, 0));
        assert!(!ahead.is_in_the_way(DELIVERY, &turns));
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(Rank::Routine).await }
        });
        tokio::task::yield_now().await;
        assert!(ahead.is_in_the_way(DELIVERY, &turns), "another delivery waits");
        ahead.await_turn(DELIVERY, &[so_far(1, 6, 0)]);
        assert!(ahead.is_in_the_way(DELIVERY, &turns), "its own, which has an image more");
        ahead.await_turn(DELIVERY, &[so_far(1, 5, 0)]);
        assert!(!ahead.is_in_the_way(DELIVERY, &turns), "its own, which needs it");
        waiting.abort();
    }
}
