//! Key images: what is to be seen first, as the sender marked it or a key object of the study names it (SPEC 4.5).

use super::Source;
use crate::Uid;
use crate::dataset::Outline;
use crate::limits::KEY_OBJECT_BYTES_MAX;
use std::collections::BTreeSet;
use std::io::{self, Read};

/// Key Object Selection Document (PS3.4 B.5).
const KEY_OBJECT: &str = "1.2.840.10008.5.1.4.1.1.88.59";
/// Titles of key objects that name what is not to be looked at (PS3.16 CID 7010): rejected for quality or for the patient's safety, wrong worklist
/// entry, quality issue, retention expired.
const NOT_TO_BE_SEEN: [&[u8]; 5] = [b"113001", b"113010", b"113037", b"113038", b"113039"];

/// The instances that a source names, where it is a key object of what is to be seen.
///
/// No parser: a UID stands in a data set as a run of digits and dots, and what is named without being here does no harm.
///
/// # Errors
/// The source cannot be read.
pub(super) fn named(source: &Source<'_>, outline: &Outline, named: &mut BTreeSet<Uid>) -> io::Result<()> {
    let announced = source.announced.as_ref().map(|(class, _)| class);
    let class = outline.sop_class.as_ref().or(announced);
    if class.is_none_or(|class| class.as_str() != KEY_OBJECT) || source.bytes > KEY_OBJECT_BYTES_MAX {
        return Ok(());
    }
    let mut bytes = Vec::new();
    (source.open)()?.take(KEY_OBJECT_BYTES_MAX).read_to_end(&mut bytes)?;
    let runs = || bytes.split(|byte| !byte.is_ascii_digit() && *byte != b'.').filter(|run| run.len() > 4);
    if runs().any(|run| NOT_TO_BE_SEEN.contains(&run)) {
        return Ok(());
    }
    let texts = runs().filter_map(|run| std::str::from_utf8(run).ok());
    // Of its own UIDs none is that of an image.
    named.extend(
        texts
            .filter_map(|text| Uid::parse(text).ok())
            .filter(|uid| Some(uid) != outline.sop_instance.as_ref()),
    );
    Ok(())
}
