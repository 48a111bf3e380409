//! What is told at the end: a line a delivery for people, a list for machines.

use super::error::{Exit, PullError};
use super::exact::Exact;
use super::forward::Forwarded;
use super::output::Record;
use compressor::Purpose;
use compressor::bundle::Note;
use compressor::dataset::{Banner, on_screen};
use seal::ids::{CaseId, DeliveryId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Put into its place by this run.
    Pulled,
    /// Was in its place before.
    AlreadyPulled,
    /// A residual that this doctor did not ask for: it stays in the mailbox.
    Left,
    /// Not all pieces have arrived.
    Incomplete,
    /// Not genuine, damaged, or not for this doctor.
    Refused,
    /// The mailbox or this machine failed.
    Failed,
}

/// Seconds spent on each step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Fetching cover and pieces.
    pub fetch: f64,
    /// Checking pieces against the cover.
    pub open: f64,
    /// Decrypting, decoding, writing.
    pub unpack: f64,
    /// Signing and appending the receipt.
    pub receipt: f64,
}

/// What happened to one delivery.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The delivery, as its messages name it.
    pub delivery: DeliveryId,
    /// Its case; none while no cover of it could be opened.
    pub case: Option<CaseId>,
    /// Its place in the case.
    pub sequence: Option<u32>,
    /// Where it stands.
    pub state: State,
    /// Where its files are as they came; none while it is not in its place.
    pub exact: Option<Exact>,
    /// Instances in its folder.
    pub instances: Option<u32>,
    /// Bytes of cover and pieces before base64, fetched by this run.
    pub bytes_mail: u64,
    /// Seconds of each step.
    pub seconds: Seconds,
    /// Its folder, once it is in its place.
    pub folder: Option<PathBuf>,
    /// How far it was forwarded, where this run had something to forward.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forwarded: Vec<Forwarded>,
    /// What went wrong.
    pub reason: Option<String>,
    /// What the reader of the images should know.
    pub notes: Vec<String>,
    /// Whose images each series shows, of a delivery that this run put into its place. Goes into [`banners`] alone.
    #[serde(skip)]
    pub banners: Vec<Banner>,
    /// What the hospital has to say, of a delivery that this run put into its place. As [`Self::banners`].
    #[serde(skip)]
    pub note: Option<Note>,
    /// Exit code that tells what went wrong.
    #[serde(skip)]
    pub exit: Exit,
}

impl Outcome {
    /// A delivery of which only the id is known.
    pub(crate) fn new(delivery: DeliveryId, state: State) -> Self {
        Self {
            delivery,
            case: None,
            sequence: None,
            state,
            exact: None,
            instances: None,
            bytes_mail: 0,
            seconds: Seconds::default(),
            folder: None,
            forwarded: Vec::new(),
            reason: None,
            notes: Vec::new(),
            banners: Vec::new(),
            note: None,
            exit: Exit::Done,
        }
    }

    /// Notes where the delivery is.
    pub(crate) fn placed(&mut self, record: &Record, folder: PathBuf) {
        (self.case, self.sequence) = (Some(record.case), Some(record.sequence));
        (self.instances, self.folder, self.exact) =
            (Some(record.instances), Some(folder), Some(record.exact));
    }

    /// Notes what went wrong. A delivery that is in its place stays pulled, whatever happens to its receipt.
    pub(crate) fn fail(&mut self, error: &PullError) {
        self.reason = Some(error.to_string());
        self.exit = error.exit();
        if !matches!(self.state, State::Pulled | State::AlreadyPulled) {
            self.state = match error.exit() {
                Exit::Incomplete => State::Incomplete,
                Exit::Refused => State::Refused,
                Exit::Done | Exit::Mailbox | Exit::Setup | Exit::Forward => State::Failed,
            };
        }
    }

    /// Notes what is not there though the rest is.
    pub(crate) fn miss(&mut self, exit: Exit, words: String) {
        self.notes.push(words);
        self.exit = self.exit.max(exit);
    }

    /// Whether there is nothing new to tell.
    pub(super) fn is_quiet(&self) -> bool {
        self.state == State::AlreadyPulled && self.reason.is_none() && self.notes.is_empty()
    }
}

impl Seconds {
    fn sum(self) -> f64 {
        self.fetch + self.open + self.unpack + self.receipt
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "delivery {}: ", self.delivery)?;
        match (self.state, &self.reason) {
            (State::Pulled | State::AlreadyPulled, reason) => {
                self.write_pulled(out)?;
                reason.iter().try_for_each(|reason| write!(out, "; the receipt was not sent: {reason}"))?;
            }
            (State::Left, None) => out.write_str("exact files of a study that is here: pull --exact")?,
            (_, Some(reason)) => out.write_str(reason)?,
            (state, None) => write!(out, "{state:?}")?,
        }
        self.notes.iter().try_for_each(|note| write!(out, "; {note}"))
    }
}

impl Outcome {
    fn write_pulled(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances = self.instances.unwrap_or_default();
        if self.state == State::AlreadyPulled {
            return write!(out, "{instances} instances, pulled before");
        }
        let megabytes = self.bytes_mail as f64 / 1e6;
        write!(out, "{instances} instances, {megabytes:.1} MB, {:.1} s", self.seconds.sum())?;
        self.folder.iter().try_for_each(|folder| write!(out, ", in {}", folder.display()))
    }
}

/// Characters of a note: all of one in letters.
const NOTE_CHARACTERS_MAX: usize = 4096;
/// Characters of a text on a line; a group of a name and a description have 64 (PS3.5 6.2).
const SHOWN_CHARACTERS_MAX: usize = 64;

/// An outcome with whose images it brought, for machines whose owner asked for it.
#[derive(Serialize)]
pub struct Told<'o> {
    #[serde(flatten)]
    outcome: &'o Outcome,
    banners: Vec<BTreeMap<&'static str, &'o str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'o str>,
}

/// Outcomes with names and ids of patients.
pub fn told<'o>(outcomes: &'o [Outcome]) -> Vec<Told<'o>> {
    let of = |outcome: &'o Outcome| Told {
        outcome,
        banners: outcome.banners.iter().map(texts).collect(),
        note: outcome.note.as_ref().map(|note| note.expose_for(Purpose::Show)),
    };
    outcomes.iter().map(of).collect()
}

fn texts(banner: &Banner) -> BTreeMap<&'static str, &str> {
    banner.texts(Purpose::Show).collect()
}

/// The lines for a doctor who asked whose images came: one for each different banner of a delivery.
pub fn banner_lines(outcomes: &[Outcome]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for outcome in outcomes {
        let first = lines.len();
        for banner in &outcome.banners {
            let line = format!("delivery {}: {}", outcome.delivery, banner_line(banner));
            if !lines.iter().skip(first).any(|other| *other == line) {
                lines.push(line);
            }
        }
        if let Some(note) = &outcome.note {
            let words = on_screen(note.expose_for(Purpose::Show), NOTE_CHARACTERS_MAX);
            lines.push(format!("delivery {}: the hospital says: {words}", outcome.delivery));
        }
    }
    lines
}

/// Everything but the description of the series.
fn banner_line(banner: &Banner) -> String {
    let texts = banner.texts(Purpose::Show).filter(|(name, _)| *name != "series_description");
    let shown = texts.map(|(_, text)| on_screen(text, SHOWN_CHARACTERS_MAX)).collect::<Vec<_>>();
    if shown.is_empty() { "no patient named".to_owned() } else { shown.join(", ") }
}

/// The lines for people: one for each delivery with news, and one that counts the others.
pub fn lines(outcomes: &[Outcome]) -> Vec<String> {
    let (quiet, news): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.is_quiet());
    let mut lines: Vec<String> = news.iter().map(ToString::to_string).collect();
    match (quiet.len(), news.is_empty()) {
        (0, true) => lines.push("nothing in the mailbox".into()),
        (0, false) => {}
        (1, _) => lines.push("1 delivery was pulled before".into()),
        (count, _) => lines.push(format!("{count} deliveries were pulled before")),
    }
    lines
}

/// The exit code of the whole run.
pub fn exit(outcomes: &[Outcome]) -> Exit {
    outcomes.iter().map(|outcome| outcome.exit).max().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn pulled() -> Outcome {
        let seconds = Seconds { fetch: 1.0, open: 0.25, unpack: 0.5, receipt: 0.25 };
        let folder = Some("scans/ca/0001".into());
        Outcome { instances: Some(240), bytes_mail: 12_345_678, seconds, folder, ..new(State::Pulled) }
    }

    fn new(state: State) -> Outcome {
        Outcome::new(DeliveryId([0xAB; 16]), state)
    }

    #[test]
    fn a_pulled_delivery_is_one_line() {
        let line =
            "delivery abababababababababababababababab: 240 instances, 12.3 MB, 2.0 s, in scans/ca/0001";
        assert_eq!(lines(&[pulled()]), [line]);
        assert_eq!(exit(&[pulled()]), Exit::Done);
    }

    #[test]
    fn what_is_not_new_is_counted() {
        assert_eq!(lines(&[]), ["nothing in the mailbox"]);
        let before = new(State::AlreadyPulled);
        assert_eq!(lines(&[before.clone(), before]), ["2 deliveries were pulled before"]);
    }

    #[test]
    fn the_worst_decides_the_exit_code() {
        let mut refused = new(State::Failed);
        refused.fail(&PullError::Refused("piece 2 was changed".into()));
        assert_eq!(refused.state, State::Refused);
        assert!(refused.to_string().ends_with(": refused: piece 2 was changed"));
        let mut incomplete = new(State::Failed);
        incomplete.fail(&PullError::Incomplete { missing: vec![3], pieces: 7 });
        assert_eq!((incomplete.state, incomplete.exit), (State::Incomplete, Exit::Incomplete));
        assert_eq!(exit(&[pulled(), refused, incomplete]), Exit::Refused);
    }

    #[test]
    fn patients_are_named_to_who_asks_alone() {
        let mut outcome = pulled();
        let text = |text: &str| compressor::Phi::new(text.to_owned());
        let banner =
            Banner { patient_id: text("4711\u{1b}[2J"), series_description: text("t1"), ..Banner::default() };
        let other = Banner { series_description: text("t2"), ..banner.clone() };
        outcome.banners = vec![banner, other];
        let outcomes = [outcome];
        let silent =
            [lines(&outcomes).join("\n"), serde_json::to_string(&outcomes).unwrap(), format!("{outcomes:?}")];
        assert!(silent.iter().all(|text| !text.contains("4711")), "{silent:?}");
        let line = "delivery abababababababababababababababab: 4711\u{fffd}[2J";
        assert_eq!(banner_lines(&outcomes), [line]);
        let json = serde_json::to_value(told(&outcomes)).unwrap();
        assert_eq!(json[0]["banners"][1]["series_description"], "t2");
        assert_eq!(json[0]["state"], "pulled");
    }

    #[test]
    fn a_lost_receipt_does_not_unpull() {
        let mut outcome = pulled();
        outcome.fail(&PullError::Output { what: "cannot remember", source: std::io::Error::other("disk") });
        assert_eq!((outcome.state, outcome.exit), (State::Pulled, Exit::Setup));
        assert!(outcome.to_string().contains("; the receipt was not sent: cannot remember: disk"));
    }

    #[test]
    fn the_list_for_machines_has_the_names_documented() {
        let json = serde_json::to_value([pulled()]).unwrap();
        assert_eq!(json[0]["state"], "pulled");
        assert_eq!(json[0]["bytes_mail"], 12_345_678);
        assert_eq!(json[0]["seconds"]["unpack"], 0.5);
        assert_eq!(json[0]["delivery"], "abababababababababababababababab");
    }
}
