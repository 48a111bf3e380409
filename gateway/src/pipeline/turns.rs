//! Whose turn it is: one delivery at a time is compressed or sealed, urgent ones go before others that wait, and what nobody waits for yet goes last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Who goes before whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// An urgent delivery.
    Urgent,
    /// Any other.
    Routine,
    /// Work on a study that is not here whole.
    Ahead,
}

impl Rank {
    /// Of a delivery.
    pub fn of(urgent: bool) -> Self {
        if urgent { Self::Urgent } else { Self::Routine }
    }
}

/// Hands out turns, one at a time: each delivery holds about 100 MiB, and takes all cores it is given.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    taken: bool,
    urgent: VecDeque<oneshot::Sender<Turn>>,
    routine: VecDeque<oneshot::Sender<Turn>>,
    ahead: VecDeque<oneshot::Sender<Turn>>,
}

/// A turn; it goes to the next one when this is dropped.
#[derive(Debug)]
pub struct Turn(Turns);

impl Turns {
    /// Waits for a turn.
    pub async fn take(&self, rank: Rank) -> Turn {
        let called = {
            let mut waiting = self.waiting();
            if !waiting.taken {
                waiting.taken = true;
                return Turn(self.clone());
            }
            let (call, called) = oneshot::channel();
            waiting.of(rank).push_back(call);
            called
        };
        match called.await {
            Ok(turn) => turn,
            // Nobody drops a caller without calling.
            Err(_) => std::future::pending().await,
        }
    }

    /// Deliveries that wait for their turn.
    pub fn deliveries_waiting(&self) -> usize {
        let waiting = self.waiting();
        let calls = waiting.urgent.iter().chain(&waiting.routine);
        calls.filter(|call| !call.is_closed()).count()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn of(&mut self, rank: Rank) -> &mut VecDeque<oneshot::Sender<Turn>> {
        match rank {
            Rank::Urgent => &mut self.urgent,
            Rank::Routine => &mut self.routine,
            Rank::Ahead => &mut self.ahead,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut waiting = self.0.waiting();
            let next = [Rank::Urgent, Rank::Routine, Rank::Ahead]
                .into_iter()
                .find_map(|rank| waiting.of(rank).pop_front());
            waiting.taken = next.is_some();
            next
        };
        if let Some(next) = next {
            // A turn for one who has gone meanwhile is dropped here, and goes on.
            let _ = next.send(Self(self.0.clone()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn urgent_goes_before_routine_and_that_before_ahead_and_one_that_left_holds_up_nobody() {
        let turns = Turns::default();
        let (told, mut order) = mpsc::unbounded_channel();
        let first = turns.take(Rank::Ahead).await;
        let mut waiting = Vec::new();
        let all = [
            ("ahead", Rank::Ahead),
            ("routine", Rank::of(false)),
            ("gone", Rank::Urgent),
            ("urgent", Rank::of(true)),
        ];
        for (name, rank) in all {
            let (turns, told) = (turns.clone(), told.clone());
            waiting.push(tokio::spawn(async move {
                let _turn = turns.take(rank).await;
                told.send(name).unwrap();
            }));
            tokio::task::yield_now().await;
        }
        assert_eq!(turns.deliveries_waiting(), 3);
        waiting.remove(2).abort();
        tokio::task::yield_now().await;
        assert_eq!(turns.deliveries_waiting(), 2);
        drop(first);
        for name in ["urgent", "routine", "ahead"] {
            assert_eq!(order.recv().await, Some(name));
        }
        drop(turns.take(Rank::Routine).await);
    }
}
