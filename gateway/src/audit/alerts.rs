//! How many security alerts are kept: anybody in the hospital's network can cause them, and must neither fill the disk nor hide what is
//! worth another alert.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Alerts of the same words kept in a minute: enough to see who it is.
pub(super) const MINUTE_MAX: u64 = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// And in an hour: at some 1 kB each and a dozen words that a stranger can cause, 17 MB a day at most.
const HOUR_MAX: u64 = 60;
const HOUR: Duration = Duration::from_secs(3600);
/// How long alerts that were not kept wait until their number is told.
const TOLD_AFTER: Duration = Duration::from_secs(600);

/// A budget for each words of an alert, which are constants.
#[derive(Default)]
pub(super) struct Budgets(BTreeMap<String, Budget>);

#[derive(Default)]
struct Budget {
    minute: Span,
    hour: Span,
    dropped: u64,
    /// When the first of these was.
    since: Option<Instant>,
}

#[derive(Default)]
struct Span {
    began: Option<Instant>,
    kept: u64,
}

impl Span {
    fn has_room(&mut self, now: Instant, length: Duration, most: u64) -> bool {
        if self.began.is_none_or(|began| now.duration_since(began) >= length) {
            *self = Self { began: Some(now), kept: 0 };
        }
        self.kept < most
    }
}

impl Budgets {
    /// Whether an alert of these words is kept.
    pub(super) fn keeps(&mut self, words: &str, now: Instant) -> bool {
        let budget = self.0.entry(words.to_owned()).or_default();
        let room =
            [budget.minute.has_room(now, MINUTE, MINUTE_MAX), budget.hour.has_room(now, HOUR, HOUR_MAX)];
        let keeps = room == [true, true];
        if keeps {
            budget.minute.kept += 1;
            budget.hour.kept += 1;
        } else {
            budget.dropped += 1;
            budget.since.get_or_insert(now);
        }
        keeps
    }

    /// Words and number of alerts that were not kept, once they have waited; all of them where `at_once`.
    pub(super) fn dropped(&mut self, now: Instant, at_once: bool) -> Vec<(String, u64)> {
        let waited = |budget: &Budget| {
            budget.since.is_some_and(|since| at_once || now.duration_since(since) >= TOLD_AFTER)
        };
        let due = self.0.iter_mut().filter(|(_, budget)| waited(budget));
        due.map(|(words, budget)| {
            budget.since = None;
            (words.clone(), std::mem::take(&mut budget.dropped))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_budgets_of_their_own_and_what_is_dropped_is_told() {
        let (mut budgets, begun) = (Budgets::default(), Instant::now());
        let kept = |budgets: &mut Budgets, words, seconds| {
            (0..1000).filter(|_| budgets.keeps(words, begun + Duration::from_secs(seconds))).count() as u64
        };
        assert_eq!(kept(&mut budgets, "no DICOM", 0), MINUTE_MAX);
        assert_eq!(kept(&mut budgets, "unknown AE title", 0), MINUTE_MAX, "junk hides nothing else");
        assert_eq!(kept(&mut budgets, "no DICOM", 59), 0);
        assert_eq!(kept(&mut budgets, "no DICOM", 60), MINUTE_MAX);
        assert_eq!(kept(&mut budgets, "no DICOM", 120), HOUR_MAX - 2 * MINUTE_MAX);
        assert_eq!(kept(&mut budgets, "no DICOM", 3599), 0, "the hour is full");
        assert_eq!(kept(&mut budgets, "no DICOM", 3600), MINUTE_MAX);
        let after = begun + TOLD_AFTER;
        let whole = 6000 - HOUR_MAX - MINUTE_MAX;
        let told = [("no DICOM".to_owned(), whole), ("unknown AE title".to_owned(), 1000 - MINUTE_MAX)];
        assert_eq!(budgets.dropped(begun + Duration::from_secs(599), false), []);
        assert_eq!(budgets.dropped(after, false), told);
        assert_eq!(budgets.dropped(after, true), []);
        assert!(!budgets.keeps("no DICOM", begun + Duration::from_secs(3601)));
        assert_eq!(budgets.dropped(begun + Duration::from_secs(3601), true), [("no DICOM".to_owned(), 1)]);
    }
}
