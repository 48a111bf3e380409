//! No field of gateway, seal, reader or compressor that tells of a patient is bare text (DESIGN 7): it is a `Phi`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

/// Parts of a field's name that say that it tells of a patient.
const TELLING: [&str; 9] =
    ["patient", "birth", "accession", "told", "study_desc", "series_desc", "person", "referring", "banner"];
/// Where a text leaves its wrapper on purpose: into the sealed manifest, into reports that somebody asked for by `--banner`, and to other
/// systems of the hospital that show a token.
const WAYS_OUT: [(&str, &str); 4] = [
    ("compressor/src/bundle/manifest/encoder.rs", "banners"),
    ("compressor/src/bin/scanpost-pack/report.rs", "banner"),
    ("reader/src/pull/report.rs", "banners"),
    ("gateway/src/page/api/studies.rs", "patient"),
];
/// What is text to anybody who has it.
const BARE: [&str; 5] = ["String", "&str", "&'static str", "Vec<u8>", "Cow<"];

#[test]
fn no_field_that_tells_of_a_patient_is_bare_text() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    let mut fields = 0;
    let mut ways = [false; WAYS_OUT.len()];
    for folder in ["compressor/src", "seal/src", "gateway/src", "reader/src"] {
        for path in sources(&top.join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let Some((name, kind)) = field(line) else { continue };
                fields += 1;
                if !TELLING.iter().any(|part| name.contains(part)) || !is_bare(kind) {
                    continue;
                }
                match WAYS_OUT.iter().position(|(file, field)| path.ends_with(file) && name == *field) {
                    Some(way) => ways[way] = true,
                    None => found.push(format!("{}:{number}: {}", path.display(), line.trim())),
                }
            }
        }
    }
    assert!(fields > 500, "the search does not see fields any more: {fields}");
    assert!(ways.iter().all(|used| *used), "a way out is not there any more: take it off the list");
    assert!(found.is_empty(), "wrap these in Phi:\n{}", found.join("\n"));
}

#[test]
fn the_search_finds_what_it_is_for() {
    let bare = |line| {
        field(line).is_some_and(|(name, kind)| TELLING.iter().any(|t| name.contains(t)) && is_bare(kind))
    };
    assert!(
        bare("    pub patient_id: String,")
            && bare("    accession: Option<String>,")
            && bare("    birth_date: &'a str,")
    );
    assert!(
        !bare("    pub patient_id: Phi<String>,")
            && !bare("    pub mixed_patients: bool,")
            && !bare("    let patient_id: String = x;")
    );
}

/// Name and type of a field.
fn field(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().trim_end_matches(',');
    let line = line
        .strip_prefix("pub(crate) ")
        .or(line.strip_prefix("pub(super) "))
        .or(line.strip_prefix("pub "))
        .unwrap_or(line);
    let (name, kind) = line.split_once(": ")?;
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (is_name && !kind.contains(['(', '=', '"'])).then_some((name, kind))
}

fn is_bare(kind: &str) -> bool {
    let lifetime = kind.starts_with("&'") && kind.ends_with(" str");
    !kind.contains("Phi<") && (lifetime || BARE.iter().any(|bare| kind.contains(bare)))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    rust.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}
