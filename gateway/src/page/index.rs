//! What a search goes through: the words of the newest studies, read once after each change for all screens, and each patient's once for all.

use super::limits::LIVE_PAUSE;
use super::search::Search;
use crate::journal::{Journal, JournalError, Listed};
use compressor::Purpose;
use compressor::dataset::Banner;
use seal::ids::CaseId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, watch};

/// Studies that a search goes through, the newest: some megabytes of words.
const SEARCHED_MAX: u32 = 5_000;

/// The words of all studies that are listed.
pub(super) struct Index(Mutex<Known>);

struct Known {
    changes: watch::Receiver<()>,
    read_at: Option<Instant>,
    listed: Arc<Vec<Listed>>,
    words: Arc<HashMap<CaseId, Words>>,
}

/// Of one study, as they are compared. No `Debug`: they are a patient's.
#[derive(Clone)]
struct Words {
    texts: Vec<String>,
    study_date: String,
}

impl Index {
    /// Nothing is read yet. `changes` is marked after each change of the journal.
    pub(super) fn new(changes: watch::Receiver<()>) -> Self {
        Self(Mutex::new(Known { changes, read_at: None, listed: Arc::default(), words: Arc::default() }))
    }

    /// Cases that are looked for, the newest first.
    pub(super) async fn found(
        &self,
        journal: &Journal,
        search: &Search,
    ) -> Result<Vec<CaseId>, JournalError> {
        let (listed, words) = {
            let mut known = self.0.lock().await;
            known.renew(journal).await?;
            (known.listed.clone(), known.words.clone())
        };
        let first = match search.after {
            None => 0,
            Some(after) => {
                listed.iter().position(|study| study.case == after).map_or(listed.len(), |place| place + 1)
            }
        };
        let rest = listed.iter().skip(first);
        let sought = Sought::of(search);
        let is_sought = |study: &&Listed| words.get(&study.case).is_some_and(|words| sought.is(study, words));
        Ok(rest.filter(is_sought).map(|study| study.case).collect())
    }
}

impl Known {
    async fn renew(&mut self, journal: &Journal) -> Result<(), JournalError> {
        let is_young = self.read_at.is_some_and(|at| at.elapsed() < LIVE_PAUSE);
        if is_young || self.read_at.is_some() && !self.changes.has_changed().unwrap_or(true) {
            return Ok(());
        }
        // Marked before the journal is read: a change meanwhile is seen by the next search.
        self.changes.mark_unchanged();
        let listed = journal.searched(SEARCHED_MAX).await?;
        let fresh: Vec<CaseId> =
            listed.iter().map(|study| study.case).filter(|case| !self.words.contains_key(case)).collect();
        let cards = if fresh.is_empty() { HashMap::new() } else { journal.cards(&fresh).await? };
        if !cards.is_empty() || self.words.len() > listed.len() {
            // What is deleted in the journal is forgotten here too.
            let kept = listed.iter().filter_map(|study| self.words.get_key_value(&study.case));
            let kept = kept.map(|(case, words)| (*case, words.clone()));
            let words = kept.chain(cards.iter().map(|(case, card)| (*case, Words::of(card)))).collect();
            self.words = Arc::new(words);
        }
        (self.listed, self.read_at) = (Arc::new(listed), Some(Instant::now()));
        Ok(())
    }
}

impl Words {
    fn of(card: &Banner) -> Self {
        Self {
            texts: card.texts(Purpose::Compare).map(|(_, text)| folded(text)).collect(),
            study_date: card.study_date.expose_for(Purpose::Compare).clone(),
        }
    }
}

struct Sought<'a> {
    words: String,
    date: String,
    modality: &'a str,
}

impl<'a> Sought<'a> {
    fn of(search: &'a Search) -> Self {
        let date = search.date.chars().filter(char::is_ascii_digit).collect();
        Self { words: folded(&search.q), date, modality: &search.modality }
    }

    fn is(&self, study: &Listed, words: &Words) -> bool {
        (self.modality.is_empty() || study.modalities.contains(self.modality))
            && (self.date.is_empty() || words.study_date == self.date)
            && self.words.split_whitespace().all(|word| words.texts.iter().any(|text| text.contains(word)))
    }
}

/// Small letters, and components of a name parted by a space.
fn folded(text: &str) -> String {
    text.replace(['^', '\u{3000}'], " ").to_lowercase()
}
