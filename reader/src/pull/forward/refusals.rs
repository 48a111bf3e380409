//! What was not acknowledged: each reason with how many objects.

use super::ForwardError;
use std::collections::BTreeMap;

/// Reasons so far.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<String, usize>);

impl Refusals {
    /// One more object, for this reason.
    pub(super) fn add(&mut self, words: String) {
        *self.0.entry(words).or_default() += 1;
    }

    /// An error if there was any.
    pub(super) fn result(self) -> Result<(), ForwardError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let words = self.0.into_iter().map(|(words, count)| format!("{count} {words}"));
        Err(ForwardError::Refused(words.collect()))
    }
}
