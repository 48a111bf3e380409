//! Which cases the trail has as ended or withdrawn: it outlives a journal that is put back from a backup.

use super::command::{attributes, details};
use super::message::{CASE_ENDED, CASE_WITHDRAWN, DELETION_PROOF};
use super::walk::walk;
use crate::journal::{Ended, EndedAgain};
use seal::ids::CaseId;
use seal::native::Certificate;
use seal::statement;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What the signature of a proof of deletion begins with (SPEC mail 11).
pub(crate) const PURPOSE_OF_PROOF: &str = "scanpost deletion";

/// Of a proof, what is needed here.
#[derive(Deserialize)]
struct Proof {
    case: CaseId,
    how: String,
    by: Option<String>,
}

/// Every case that has ended by the trail in `folder`, where the trail is as the site wrote it.
///
/// # Errors
/// Where a file cannot be read.
pub(crate) fn endings(folder: &Path, site: &Certificate) -> io::Result<BTreeMap<CaseId, EndedAgain>> {
    let mut found = BTreeMap::new();
    walk(folder, site, &mut |_, text| {
        for (kind, value) in details(text) {
            let ending = match kind {
                DELETION_PROOF => of_proof(&value, site),
                CASE_ENDED => of_word(&value, first_user(text)),
                CASE_WITHDRAWN => {
                    let case = std::str::from_utf8(&value).ok().and_then(CaseId::parse);
                    case.map(|case| (case, EndedAgain { how: None, by: Some(first_user(text)) }))
                }
                _ => None,
            };
            // An end tells more than a withdrawal, and the proof of it more than the word.
            if let Some((case, ending)) = ending {
                found.insert(case, ending);
            }
        }
    })?;
    Ok(found)
}

fn of_proof(value: &[u8], site: &Certificate) -> Option<(CaseId, EndedAgain)> {
    let (signature, content) = statement::split(value, "proof").ok()?;
    let proof: Proof = serde_json::from_slice(content).ok()?;
    let how = Ended::parse(&proof.how).ok()?;
    let is_genuine = site.verifies_statement(PURPOSE_OF_PROOF, content, signature);
    is_genuine.then_some((proof.case, EndedAgain { how: Some(how), by: proof.by }))
}

/// The case and how it ended, in two words.
fn of_word(value: &[u8], by: String) -> Option<(CaseId, EndedAgain)> {
    let (case, how) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let how = Ended::parse(how).ok()?;
    let by = (how == Ended::Closed).then_some(by);
    Some((CaseId::parse(case)?, EndedAgain { how: Some(how), by }))
}

fn first_user(text: &str) -> String {
    attributes(text, "UserID").next().unwrap_or_default().to_owned()
}
