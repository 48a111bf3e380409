//! So many in so long, and no more.

use std::time::{Duration, Instant};

/// Counts within a period that begins with the first after the last one ended.
pub(super) struct Paced {
    most: u32,
    period: Duration,
    began: Option<Instant>,
    count: u32,
}

impl Paced {
    pub(super) fn new(most: u32, period: Duration) -> Self {
        Self { most, period, began: None, count: 0 }
    }

    /// Counts one; false if it is beyond the most of this period.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        let over = |began: Instant| now.duration_since(began) >= self.period;
        if self.began.is_none_or(over) {
            (self.began, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= self.most
    }

    /// Whether the last one was the first beyond the most.
    pub(super) fn first_refused(&self) -> bool {
        self.count == self.most.saturating_add(1)
    }

    pub(super) fn period(&self) -> Duration {
        self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_period_begins_anew() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut paced = Paced::new(2, second);
        assert!(paced.allows(start) && paced.allows(start));
        assert!(!paced.allows(start) && paced.first_refused());
        assert!(!paced.allows(start + second / 2) && !paced.first_refused());
        assert!(paced.allows(start + second));
    }
}
