//! `[[portal.hanging]]`: how a site wants its cases to be met, one row for each kind of series. It is checked here and applied in the app.

use crate::config::ConfigError;
use compressor::dataset::on_screen;
use seal::mail::Site;
use serde::{Deserialize, Serialize};

/// Rows of the table, and their bytes as JSON: it travels with each sign-in.
const ROWS_MAX: usize = 100;
const TABLE_BYTES_MAX: usize = 64 << 10;
/// Entries of one list.
const LIST_MAX: usize = 40;
/// Characters of a name: it stands on the picture.
const NAME_CHARACTERS_MAX: usize = 40;
/// Characters of a word: a description has 64 (PS3.5 6.2, VR LO).
const WORD_CHARACTERS_MAX: usize = 64;
/// Characters of a modality (PS3.5 6.2, VR CS).
const CODE_CHARACTERS_MAX: usize = 16;

/// What the first row that fits a series says counts for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// What the app calls it, on the picture.
    name: String,
    /// Names of the sites it is for; of all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sites: Vec<String>,
    /// Modality (0008,0060), one of them; any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    modality: Vec<String>,
    /// One of them in Body Part Examined, Study or Series Description or Protocol Name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<String>,
    /// One of them in the Series Description, or the Protocol Name of a series without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    series: Vec<String>,
    /// None of them where `words` are looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unless: Vec<String>,
    /// The first is seen at once, the others are offered before the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    windows: Vec<Window>,
    /// Among the series of the case: by number where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// Where in the series: in the middle where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    begin: Option<Begin>,
    /// Words of the series that stands beside it, where there is room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    beside: Vec<String>,
}

/// The names of `viewer/window.js`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Window {
    AsSent,
    Brain,
    Stroke,
    Bone,
    Lung,
    Mediastinum,
    Abdomen,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    First,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Begin {
    First,
    Middle,
    Last,
    /// The middle of the images with the highest b-value.
    HighestB,
}

/// Checks what the types leave open.
///
/// # Errors
/// [`ConfigError::Hanging`], which names the row.
pub(crate) fn checked(rows: &[Row]) -> Result<(), ConfigError> {
    let wrong = |at: usize, row: &Row, what| {
        Err(ConfigError::Hanging { row: at + 1, name: row.name.escape_debug().to_string(), what })
    };
    let mut bytes = 0;
    for (at, row) in rows.iter().enumerate() {
        if let Some(what) = row.fault() {
            return wrong(at, row, what);
        }
        if rows.iter().take(at).any(|before| before.fits_all_that(row)) {
            return wrong(at, row, "never counts: a row before it fits every series; move it up");
        }
        bytes += serde_json::to_vec(row).map_or(0, |json| json.len());
        if at >= ROWS_MAX || bytes > TABLE_BYTES_MAX {
            return wrong(at, row, "is one too many: the table has at most 100 rows, and 64 KiB in all");
        }
    }
    Ok(())
}

/// Rows that may count for images of a site, none of which names another.
pub(crate) fn of_site(rows: &[Row], site: &str) -> Vec<Row> {
    let of = rows.iter().filter(|row| row.sites.is_empty() || row.sites.iter().any(|own| own == site));
    of.map(|row| Row { sites: Vec::new(), ..row.clone() }).collect()
}

impl Row {
    /// What must be mended, and how.
    fn fault(&self) -> Option<&'static str> {
        let of =
            |modality: &str| self.modality.iter().all(|own| own == modality) && !self.modality.is_empty();
        let lists = [&self.words, &self.series, &self.unless, &self.beside];
        let is_word =
            |word: &String| is_text(word, WORD_CHARACTERS_MAX) && word.chars().any(char::is_alphanumeric);
        let faults = [
            (
                !is_text(&self.name, NAME_CHARACTERS_MAX),
                "name: 1 to 40 characters that can be read; it stands on the picture",
            ),
            (
                !self.sites.iter().all(|site| Site::parse(site).is_some()),
                "sites: each is the name of a site, `site` of its gateway",
            ),
            (
                !self.modality.iter().all(|one| is_code(one)),
                "modality: each as in DICOM, in capitals, such as CT or MR",
            ),
            (
                !lists.iter().all(|list| list.iter().all(is_word)),
                "words, series, unless, beside: each of 1 to 64 characters, a letter or figure among them",
            ),
            (
                lists.iter().chain(&[&self.sites, &self.modality]).any(|list| list.len() > LIST_MAX),
                "sites, modality, words, series, unless, beside: at most 40 each; make two rows of it",
            ),
            (
                !self.windows.is_empty() && !of("CT"),
                "windows are of CT alone: write modality = [\"CT\"], or leave windows out",
            ),
            (
                self.windows.iter().skip(1).any(|window| *window == Window::AsSent),
                "windows: as_sent stands first or not at all; it is always offered",
            ),
            (
                self.windows
                    .iter()
                    .enumerate()
                    .any(|(at, own)| self.windows.iter().take(at).any(|one| one == own)),
                "windows: each once",
            ),
            (
                self.begin == Some(Begin::HighestB) && !of("MR"),
                "begin: highest_b is of MR alone: write modality = [\"MR\"], or begin = \"middle\"",
            ),
        ];
        faults.into_iter().find(|(is_wrong, _)| *is_wrong).map(|(_, what)| what)
    }

    /// Whether it asks nothing, of any site of another row.
    fn fits_all_that(&self, other: &Self) -> bool {
        let asks = [&self.modality, &self.words, &self.series, &self.unless];
        let is_of_its_sites = self.sites.is_empty()
            || (!other.sites.is_empty() && other.sites.iter().all(|site| self.sites.contains(site)));
        asks.iter().all(|list| list.is_empty()) && is_of_its_sites
    }
}

/// Something to read, in one line and one direction.
fn is_text(text: &str, characters_max: usize) -> bool {
    !text.trim().is_empty() && on_screen(text, characters_max) == text
}

/// PS3.5 6.2, VR CS.
fn is_code(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_ ".contains(&byte);
    is_text(text, CODE_CHARACTERS_MAX) && text.trim() == text && text.bytes().all(allowed)
}

#[cfg(test)]
#[path = "hanging_tests.rs"]
mod tests;
