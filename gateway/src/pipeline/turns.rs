//! Whose turn it is: one delivery at a time is compressed or sealed, and urgent ones go before others that wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Hands out turns, one at a time: each delivery holds about 100 MiB, and takes all cores it is given.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    taken: bool,
    urgent: VecDeque<oneshot::Sender<Turn>>,
    others: VecDeque<oneshot::Sender<Turn>>,
}

/// A turn; it goes to the next one when this is dropped.
#[derive(Debug)]
pub struct Turn(Turns);

impl Turns {
    /// Waits for a turn.
    pub async fn take(&self, urgent: bool) -> Turn {
        let called = {
            let mut waiting = self.waiting();
            if !waiting.taken {
                waiting.taken = true;
                return Turn(self.clone());
            }
            let (call, called) = oneshot::channel();
            if urgent { &mut waiting.urgent } else { &mut waiting.others }.push_back(call);
            called
        };
        match called.await {
            Ok(turn) => turn,
            // Nobody drops a caller without calling.
            Err(_) => std::future::pending().await,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut waiting = self.0.waiting();
            let next = waiting.urgent.pop_front().or_else(|| waiting.others.pop_front());
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
    async fn an_urgent_delivery_goes_before_others_that_wait_and_one_that_left_holds_up_nobody() {
        let turns = Turns::default();
        let (told, mut order) = mpsc::unbounded_channel();
        let first = turns.take(false).await;
        let mut waiting = Vec::new();
        for (name, urgent) in [("routine", false), ("gone", true), ("urgent", true)] {
            let (turns, told) = (turns.clone(), told.clone());
            waiting.push(tokio::spawn(async move {
                let _turn = turns.take(urgent).await;
                told.send(name).unwrap();
            }));
            tokio::task::yield_now().await;
        }
        waiting.remove(1).abort();
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!((order.recv().await, order.recv().await), (Some("urgent"), Some("routine")));
        drop(turns.take(false).await);
    }
}
