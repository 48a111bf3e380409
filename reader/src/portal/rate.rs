//! How often somebody did something lately, so that nobody does it without end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A number of acts within a window, for each name.
pub(crate) struct Rate {
    most: u32,
    window: Duration,
    counts: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Rate {
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        Self { most, window, counts: Mutex::default() }
    }

    /// Counts one more; an error says how long to wait.
    pub(crate) fn count(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (since, _)| now.duration_since(*since) < self.window);
        let (since, count) = counts.entry(name.to_owned()).or_insert((now, 0));
        if *count >= self.most {
            return Err(self.window.saturating_sub(now.duration_since(*since)));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own_count_and_the_window_ends() {
        let (rate, now) = (Rate::new(2, Duration::from_secs(10)), Instant::now());
        assert!(rate.count("a", now).is_ok() && rate.count("a", now).is_ok());
        assert_eq!(rate.count("a", now + Duration::from_secs(4)), Err(Duration::from_secs(6)));
        assert!(rate.count("b", now).is_ok());
        assert!(rate.count("a", now + Duration::from_secs(10)).is_ok());
    }
}
