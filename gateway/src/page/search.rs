//! What a person looks for. It may name a patient, and addresses are kept by browsers and proxies: there it stands encrypted, under a key of the
//! session alone.

use super::session::Secret;
use super::{Refused, Shared};
use crate::journal::{JournalError, Study, StudyFilter};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seal::ids::CaseId;
use serde::{Deserialize, Serialize};

/// Characters of each part of a search: a name in one of its ways to be written.
pub(super) const CHARS_MAX: usize = 64;
const AAD: &[u8] = b"scanpost search\x01";

/// What is looked for. No `Debug`: it may be a patient's name.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) struct Search {
    /// In names, ids, accession numbers and descriptions.
    pub(super) q: String,
    /// Study date, as 2026-03-14.
    pub(super) date: String,
    /// Modality (0008,0060).
    pub(super) modality: String,
    /// Only what stands behind this study in the list.
    #[serde(skip)]
    pub(super) after: Option<CaseId>,
}

/// What an address asks for.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Of [`Search::seal`]; empty: everything.
    #[serde(default)]
    pub(super) search: String,
    after: Option<CaseId>,
}

impl Asked {
    /// None where the search was not made in this session.
    pub(super) fn open(&self, secret: &Secret) -> Option<Search> {
        if self.search.is_empty() {
            return Some(Search { after: self.after, ..Search::default() });
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(&self.search).ok()?;
        let (nonce, sealed) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = key(secret)?.open_in_place(nonce, Aad::from(AAD), sealed).ok()?;
        let search: Search = serde_json::from_slice(text).ok()?;
        Some(Search { after: self.after, ..search })
    }
}

impl Search {
    /// At most [`CHARS_MAX`] characters of each.
    pub(super) fn of(q: &str, date: &str, modality: &str) -> Self {
        let short = |text: &str| text.trim().chars().take(CHARS_MAX).collect();
        Self { q: short(q), date: short(date), modality: short(modality), after: None }
    }

    /// For an address.
    pub(super) fn seal(&self, secret: &Secret) -> Result<String, Refused> {
        let mut text = serde_json::to_vec(self).map_err(|_| Refused::Ours)?;
        let key = key(secret).ok_or(Refused::Ours)?;
        let nonce = key.seal_in_place_append_tag(Aad::from(AAD), &mut text).map_err(|_| Refused::Ours)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &text].concat()))
    }

    /// Whether it is the list as everybody sees it.
    pub(super) fn is_board(&self) -> bool {
        self.is_empty() && self.after.is_none()
    }

    /// Whether nothing is looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.q.is_empty() && self.date.is_empty() && self.modality.is_empty()
    }

    /// At most so many, the newest first.
    pub(super) async fn studies(&self, page: &Shared, limit: u32) -> Result<Vec<Study>, JournalError> {
        if self.is_empty() {
            return page.journal.studies(&StudyFilter { after: self.after, limit }).await;
        }
        let mut cases = page.index.found(&page.journal, self).await?;
        cases.truncate(limit as usize);
        page.journal.studies_at(&cases).await
    }

    /// Words, day and modality, as far as they are given.
    pub(super) fn parts(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
        (given(self.q.as_str()), given(self.date.as_str()), given(self.modality.as_str()))
    }
}

fn key(secret: &Secret) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, &secret.key_of("search")).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_opened_by_its_session_alone() {
        let (ours, other) = (Secret::random(), Secret::random());
        let asked = |search: &str| Asked { search: search.to_owned(), after: Some(CaseId([7; 16])) };
        let sealed = Search::of(" 山田 ", "2026-03-14", "MR").seal(&ours).unwrap();
        let opened = asked(&sealed).open(&ours).unwrap();
        assert_eq!(opened.parts(), (Some("山田"), Some("2026-03-14"), Some("MR")));
        assert_eq!(opened.after, Some(CaseId([7; 16])));
        assert!(asked(&sealed).open(&other).is_none());
        assert!(asked(&sealed[..sealed.len() - 2]).open(&ours).is_none());
        assert!(asked("AAAA").open(&ours).is_none());
        assert!(asked("").open(&ours).unwrap().is_empty());
        assert_eq!(Search::of(&"x".repeat(100), "", "").q.len(), CHARS_MAX);
    }
}
