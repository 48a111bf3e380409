//! Which cases the trail has as ended or withdrawn: it outlives a journal that is put back from a backup.

use super::command::{attributes, details};
use super::message::{CASE_ENDED, CASE_WITHDRAWN, DELETION_PROOF};
use super::walk::{Fault, walk};
use crate::journal::{Ended, EndedAgain};
use seal::ids::{CaseId, DeliveryId};
use seal::native::Certificate;
use seal::statement;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// What the signature of a proof of deletion begins with (SPEC mail 11).
pub(crate) const PURPOSE_OF_PROOF: &str = "scanpost deletion";

/// Of a proof, what is needed here.
#[derive(Deserialize)]
struct Proof {
    case: CaseId,
    deliveries: BTreeSet<DeliveryId>,
    how: String,
    by: Option<String>,
}

/// Every case that has ended by the trail in `folder`, where the trail is as the site wrote it, and where it is not: what stands behind that, nobody knows.
///
/// # Errors
/// Where a file cannot be read.
pub(crate) fn endings(
    folder: &Path,
    site: &Certificate,
) -> io::Result<(BTreeMap<CaseId, EndedAgain>, Vec<Fault>)> {
    let mut found: BTreeMap<CaseId, EndedAgain> = BTreeMap::new();
    let walked = walk(folder, site, &mut |_, text| {
        for (kind, value) in details(text) {
            let ending = match kind {
                DELETION_PROOF => of_proof(&value, site),
                CASE_ENDED | CASE_WITHDRAWN => of_words(kind, &value, text),
                _ => None,
            };
            let Some((case, mut ending)) = ending else { continue };
            // An end tells more than a withdrawal, and the proof of it more than the words of each delivery.
            if let Some(before) = found.remove(&case) {
                ending.deliveries.extend(before.deliveries);
            }
            found.insert(case, ending);
        }
    })?;
    Ok((found, walked.faults))
}

fn of_proof(value: &[u8], site: &Certificate) -> Option<(CaseId, EndedAgain)> {
    let (signature, content) = statement::split(value, "proof").ok()?;
    let Proof { case, deliveries, how, by } = serde_json::from_slice(content).ok()?;
    let how = Some(Ended::parse(&how).ok()?);
    let is_genuine = site.verifies_statement(PURPOSE_OF_PROOF, content, signature);
    is_genuine.then_some((case, EndedAgain { how, by, deliveries }))
}

/// The case, one of its deliveries, and how it ended, where it was not withdrawn.
fn of_words(kind: &str, value: &[u8], text: &str) -> Option<(CaseId, EndedAgain)> {
    let mut words = std::str::from_utf8(value).ok()?.split(' ');
    let (case, delivery) = (CaseId::parse(words.next()?)?, DeliveryId::parse(words.next()?)?);
    let how = match kind {
        CASE_ENDED => Some(Ended::parse(words.next()?).ok()?),
        _ => None,
    };
    let by = attributes(text, "UserID").next().unwrap_or_default().to_owned();
    let by = Some(by).filter(|_| matches!(how, None | Some(Ended::Closed)));
    Some((case, EndedAgain { how, by, deliveries: BTreeSet::from([delivery]) }))
}
