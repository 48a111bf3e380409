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

    /// An error if there was any, with what `ended` the sending before it was through.
    pub(super) fn result(self, ended: Result<(), ForwardError>) -> Result<(), ForwardError> {
        if self.0.is_empty() {
            return ended;
        }
        let words = self.0.into_iter().map(|(words, count)| format!("{count} {words}")).collect();
        Err(match ended {
            Ok(()) => ForwardError::Refused(words),
            Err(error) => ForwardError::Ended(words, Box::new(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_told_with_what_ended_the_sending() {
        let refused = || {
            let mut refusals = Refusals::default();
            ["a", "b", "b"].into_iter().for_each(|words| refusals.add(words.to_owned()));
            refusals
        };
        let words = vec!["1 a".to_owned(), "2 b".to_owned()];
        assert_eq!(refused().result(Ok(())), Err(ForwardError::Refused(words)));
        let gone = ForwardError::Http(503);
        let both = refused().result(Err(gone.clone()));
        let told = both.as_ref().map_err(ToString::to_string);
        assert_eq!(told, Err(format!("1 a; 2 b; then {gone}")));
        // Deliveries behind it meet what ended it, not what was refused of this one.
        assert_eq!(both.as_ref().err().and_then(ForwardError::of_the_peer), Some(&gone));
        assert_eq!(Refusals::default().result(Err(gone.clone())), Err(gone));
        assert_eq!(Refusals::default().result(Ok(())), Ok(()));
    }
}
