//! `scanpost-gateway audit list|verify`.

use super::walk::{Verdict, Walked, walk};
use crate::hex::hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compressor::dataset::on_screen;
use compressor::{Phi, Purpose};
use seal::native::Certificate;
use serde::Serialize;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Characters of one text on a line.
const SHOWN_CHARACTERS_MAX: usize = 64;

/// A line that a running gateway is writing is whole after this time.
const WRITTEN_AFTER: Duration = Duration::from_millis(500);

/// Checks the whole trail in `folder` against the site's certificate, also while the gateway writes it.
///
/// # Errors
/// Where a file cannot be read.
pub fn verify(folder: &Path, site: &Certificate) -> io::Result<Verdict> {
    let verdict = check(folder, site)?;
    if verdict.intact {
        return Ok(verdict);
    }
    std::thread::sleep(WRITTEN_AFTER);
    check(folder, site)
}

pub(super) fn check(folder: &Path, site: &Certificate) -> io::Result<Verdict> {
    let Walked { end, faults, .. } = walk(folder, site, &mut |_, _| ())?;
    let mut faults = faults.into_iter();
    let fault = faults.next();
    Ok(Verdict {
        intact: fault.is_none(),
        messages: end.number,
        anchored: end.anchored,
        hash: hex(&end.hash),
        fault,
        later: faults.collect(),
    })
}

/// One message as `audit list` shows it; ids of patients are among `objects`.
#[derive(Serialize)]
struct Listed<'l> {
    number: u64,
    at: &'l str,
    event: &'l str,
    /// `EventOutcomeIndicator`: 0 success, 4 and 8 failures.
    outcome: &'l str,
    participants: Vec<&'l str>,
    objects: Vec<&'l str>,
    /// When a reading began and ended, and its seconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reading: Vec<String>,
}

/// Gives every message that can be checked as a line of text, or of JSON, to `out`: those behind damage too, once the gateway went on.
///
/// # Errors
/// Where a file cannot be read, or as `out` says.
pub fn list(
    folder: &Path,
    site: &Certificate,
    json: bool,
    out: &mut dyn FnMut(&str) -> io::Result<()>,
) -> io::Result<Verdict> {
    let mut printed = Ok(());
    walk(folder, site, &mut |number, text| {
        if printed.is_ok() {
            printed = line(number, text, json).and_then(|line| out(line.expose_for(Purpose::Show)));
        }
    })?;
    printed?;
    verify(folder, site)
}

fn line(number: u64, text: &str, json: bool) -> io::Result<Phi<String>> {
    let first = |name| attributes(text, name).next().unwrap_or_default();
    let listed = Listed {
        number,
        at: first("EventDateTime"),
        event: first("originalText"),
        outcome: first("EventOutcomeIndicator"),
        participants: attributes(text, "UserID").collect(),
        objects: attributes(text, "ParticipantObjectID").collect(),
        reading: reading(text),
    };
    if json {
        return Ok(Phi::new(serde_json::to_string(&listed)?));
    }
    let shown = |texts: &[&str]| {
        texts.iter().map(|text| on_screen(text, SHOWN_CHARACTERS_MAX)).collect::<Vec<_>>().join(", ")
    };
    Ok(Phi::new(
        format!(
            "{number:>8} {} {} {}: {}; {}",
            listed.at,
            listed.outcome,
            listed.event,
            shown(&listed.participants),
            shown(&listed.objects)
        ) + &listed.reading.iter().map(|detail| format!("; {detail}")).collect::<String>(),
    ))
}

/// "Reading Start 2026-…" and so on, of a message that tells how long a study was on a screen.
pub(super) fn reading(text: &str) -> Vec<String> {
    details(text)
        .filter(|(kind, _)| kind.starts_with("Reading "))
        .filter_map(|(kind, value)| Some(format!("{kind} {}", String::from_utf8(value).ok()?)))
        .collect()
}

/// What else a message says of its study, by type.
pub(super) fn details(text: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    let details = attributes(text, "type").zip(attributes(text, "value"));
    details.filter_map(|(kind, value)| Some((kind, STANDARD.decode(value).ok()?)))
}

/// Values of an attribute in XML that this program wrote: as they stand there, with entities.
pub(super) fn attributes<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let opening = format!(" {name}=\"");
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&opening)?;
        let (value, left) = after.split_once('"')?;
        rest = left;
        Some(value)
    })
}
