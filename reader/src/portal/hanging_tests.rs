//! The table that the sample shows, and rows that are refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::config::Settings;
use super::of_site;
use std::path::Path;

/// `[portal]` of the sample, as an operator takes the signs of comment from it.
fn sample() -> String {
    let text = include_str!("../../../deploy/reader.sample.toml");
    let (_, portal) = text.split_once("# [portal]\n").expect("the sample has a portal");
    let lines = portal.lines().map(|line| line.strip_prefix("# ").unwrap_or(line.trim_start_matches('#')));
    format!("[portal]\n{}\n", lines.collect::<Vec<_>>().join("\n"))
        .replace("client_ca", "# client_ca")
        .replace("guests", "# guests")
}

/// What is said of a table.
fn load(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reader.toml");
    std::fs::write(&path, text).unwrap();
    Settings::load(Path::new(&path)).map_err(|error| error.to_string())
}

/// A portal without a table, and these rows behind it.
fn with(rows: &str) -> Result<Settings, String> {
    let base = r#"[portal]
listen = "127.0.0.1:443"
certificate = "a.pem"
key = "a.key"
origin = "https://scans.example"
state = "state"
sites = ["site.pem"]
[portal.mailboxes.tanaka]
host = "imap.example"
user = "tanaka@example.org"
password_file = "password"
"#;
    load(&format!("{base}{rows}"))
}

#[test]
fn the_sample_has_a_table_that_loads() {
    let settings = load(&sample()).unwrap();
    assert!(settings.hanging.len() >= 2);
    assert_eq!(settings.mailboxes.len(), 1);
}

#[test]
fn a_row_reaches_the_app_as_it_was_written() {
    let row = r#"[[portal.hanging]]
name = "頭部CT"
sites = ["hospital.example"]
modality = ["CT"]
words = ["頭", "head"]
series = ["5mm"]
unless = ["頸"]
windows = ["as_sent", "stroke"]
place = "first"
begin = "last"
beside = ["bone"]
[[portal.hanging]]
name = "拡散強調"
modality = ["MR"]
begin = "highest_b"
"#;
    let told = serde_json::to_value(with(row).unwrap().hanging).unwrap();
    let whole = serde_json::json!({
        "name": "頭部CT", "sites": ["hospital.example"], "modality": ["CT"], "words": ["頭", "head"],
        "series": ["5mm"], "unless": ["頸"], "windows": ["as_sent", "stroke"], "place": "first",
        "begin": "last", "beside": ["bone"],
    });
    let least = serde_json::json!({"name": "拡散強調", "modality": ["MR"], "begin": "highest_b"});
    assert_eq!(told, serde_json::json!([whole, least]));
}

#[test]
fn a_wrong_row_is_refused_and_named() {
    let second = |row: &str| {
        format!("[[portal.hanging]]\nname = \"a\"\nmodality = [\"CR\"]\n[[portal.hanging]]\n{row}\n")
    };
    let many = "\"x\",".repeat(41);
    let long = "x".repeat(65);
    for (row, words) in [
        ("name = \"\"", "row 2 (\"\"): name: 1 to 40"),
        ("name = \"b\\nc\"", "row 2 (\"b\\nc\"): name: 1 to 40"),
        ("name = \"b\\u202Ec\"", "row 2 (\"b\\u{202e}c\"): name: 1 to 40"),
        ("name = \"b\"\nsites = [\"Our Hospital\"]", "row 2 (\"b\"): sites: each is the name of a site"),
        ("name = \"b\"\nmodality = [\"ct\"]", "modality: each as in DICOM, in capitals"),
        ("name = \"b\"\nwords = [\" \"]", "words, series, unless, beside: each of 1 to 64"),
        (&format!("name = \"b\"\nbeside = [\"{long}\"]"), "words, series, unless, beside: each of 1 to 64"),
        (&format!("name = \"b\"\nseries = [{many}]"), "at most 40 each"),
        ("name = \"b\"\nwindows = [\"brain\"]", "windows are of CT alone"),
        ("name = \"b\"\nmodality = [\"CT\", \"MR\"]\nwindows = [\"brain\"]", "windows are of CT alone"),
        ("name = \"b\"\nmodality = [\"CT\"]\nwindows = [\"brain\", \"as_sent\"]", "as_sent stands first"),
        ("name = \"b\"\nmodality = [\"CT\"]\nwindows = [\"brain\", \"brain\"]", "windows: each once"),
        ("name = \"b\"\nmodality = [\"CT\"]\nbegin = \"highest_b\"", "highest_b is of MR alone"),
        ("name = \"b\"\nwords = [\"_\"]", "a letter or figure among them"),
        ("name = \"b\"\nmodality = [\"CT \"]", "modality: each as in DICOM, in capitals"),
    ] {
        let said = with(&second(row)).unwrap_err();
        assert!(said.contains("[[portal.hanging]] row 2") && said.contains(words), "{row}: {said}");
    }
}

/// The file's line, and what may stand there.
#[test]
fn what_no_row_can_say_is_refused_with_its_line() {
    let row = |line: &str| format!("[[portal.hanging]]\nname = \"a\"\nmodality = [\"CT\"]\n{line}\n");
    for (line, words) in [
        ("windows = [\"brian\"]", "unknown variant `brian`, expected one of `as_sent`, `brain`"),
        ("windw = [\"brain\"]", "unknown field `windw`"),
        ("place = \"top\"", "unknown variant `top`, expected `first` or `last`"),
        ("begin = \"high\"", "unknown variant `high`, expected one of `first`"),
        ("name = \"b\"", "duplicate key"),
    ] {
        let said = with(&row(line)).unwrap_err();
        assert!(said.contains("line 15") && said.contains(words), "{line}: {said}");
    }
    let said = with("[[portal.hanging]]\nmodality = [\"CT\"]\n").unwrap_err();
    assert!(said.contains("missing field `name`"), "{said}");
}

#[test]
fn a_row_that_can_never_count_is_refused() {
    let table = |first: &str, second: &str| {
        with(&format!(
            "[[portal.hanging]]\nname = \"a\"\n{first}\n[[portal.hanging]]\nname = \"b\"\n{second}\n"
        ))
    };
    let said = table("begin = \"first\"", "modality = [\"CT\"]").unwrap_err();
    assert!(said.contains("row 2 (\"b\"): never counts"), "{said}");
    assert!(table("sites = [\"a.example\"]", "sites = [\"a.example\"]").is_err());
    // Another site's, or one that asks something.
    assert!(table("sites = [\"a.example\"]", "sites = [\"b.example\"]").is_ok());
    assert!(table("sites = [\"a.example\"]", "modality = [\"CT\"]").is_ok());
    assert!(table("unless = [\"head\"]", "modality = [\"CT\"]").is_ok());
}

#[test]
fn a_table_has_an_end() {
    let rows = |count| "[[portal.hanging]]\nname = \"a\"\nmodality = [\"CT\"]\n".repeat(count);
    assert!(with(&rows(100)).is_ok());
    assert!(with(&rows(101)).unwrap_err().contains("row 101 (\"a\"): is one too many"));
    let word = format!("\"{}\"", "頭".repeat(64));
    let row = format!("[[portal.hanging]]\nname = \"a\"\nwords = [{}]\n", vec![word; 40].join(","));
    assert!(with(&row.repeat(8)).is_ok());
    assert!(with(&row.repeat(9)).unwrap_err().contains("row 9 (\"a\"): is one too many"));
}

#[test]
fn a_guest_is_told_the_rows_of_one_site_and_no_other_name() {
    let rows = "[[portal.hanging]]\nname = \"a\"\nmodality = [\"CT\"]\nsites = [\"a.example\", \"b.example\"]\n[[portal.hanging]]\nname = \"b\"\nsites = [\"b.example\"]\n[[portal.hanging]]\nname = \"c\"\n";
    let told = serde_json::to_value(of_site(&with(rows).unwrap().hanging, "a.example")).unwrap();
    assert_eq!(told, serde_json::json!([{"name": "a", "modality": ["CT"]}, {"name": "c"}]));
}
