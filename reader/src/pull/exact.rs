//! Files as they came: where they can be had, asking the site for them, and joining a residual with its bundle.

use super::Run;
use super::covers::{self, Opened};
use super::error::{Exit, PullError};
use super::output::Record;
use super::report::{Outcome, State};
use crate::config::Images;
use compressor::bundle::{Joined, Manifest, Wanted, read_manifest};
use seal::cover::Cover;
use seal::ids::{CaseId, DeliveryId};
use seal::mail::Part;
use seal::mailbox::Found;
use seal::native::OpenedPieces;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use time::OffsetDateTime;

/// Where the files of a delivery are as they came, bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Exact {
    /// They are those in the folder.
    Here,
    /// The mails of the delivery give them: `pull --exact`.
    #[default]
    InMailbox,
    /// The site keeps what is missing: `pull --ask-exact CASE`.
    OnRequest {
        /// Until when at least, seconds since 1970-01-01 UTC.
        until: i64,
    },
    /// Nowhere: the site made or kept nothing that gives them back.
    Never,
}

impl Exact {
    /// Of a delivery that brought `segments` segments and is unpacked as `images` says.
    pub(crate) fn of(cover: &Cover, manifest: &Manifest, segments: u32, images: Images) -> Self {
        match cover.residual_until {
            _ if !manifest.is_bounded() => Self::Here,
            _ if manifest.has_residual() && segments == manifest.all_segments() => match images {
                Images::Exact => Self::Here,
                Images::Shown => Self::InMailbox,
            },
            Some(until) if manifest.has_residual() && segments == manifest.first_residual() => {
                Self::OnRequest { until }
            }
            _ => Self::Never,
        }
    }
}

const NEVER: &str = "exact files cannot be had: the site keeps nothing that gives them back; a day after it was first sent, it can send the study again without loss (near = 0)";

impl Run<'_> {
    /// Says how the exact files of a delivery that was placed as shown can be had, and counts them as missing where they are wanted.
    pub(super) fn note_exact(&self, record: &Record, outcome: &mut Outcome) {
        let words = match record.exact {
            Exact::Here => return,
            Exact::InMailbox => "exact files are in the mailbox: pull --exact".to_owned(),
            Exact::OnRequest { .. } if self.residual_placed(record.delivery) => return,
            Exact::OnRequest { .. } if self.waiting.contains(&record.delivery) => {
                "exact files are in the mailbox: pull --exact".to_owned()
            }
            Exact::OnRequest { .. } if self.output.exact_asked(record.delivery) => {
                "exact files were asked for and have not come yet".to_owned()
            }
            Exact::OnRequest { until } if until < (self.now)() => over_words(until),
            Exact::OnRequest { until } => {
                let (case, until) = (record.case, moment(until));
                format!("exact files can be asked for until {until}: pull --ask-exact {case}")
            }
            Exact::Never => NEVER.to_owned(),
        };
        match self.images {
            Images::Exact => outcome.miss(Exit::Incomplete, words),
            Images::Shown => outcome.notes.push(words),
        }
    }

    /// Asks the site for the exact files of every delivery of a case that lacks them.
    ///
    /// # Errors
    /// [`PullError::UnknownCase`].
    pub(super) async fn ask(&mut self, case: CaseId, outcomes: &mut Vec<Outcome>) -> Result<(), PullError> {
        let of_case = self.known.placed.values().filter(|record| record.case == case);
        let records: Vec<Record> = of_case.filter(|record| record.residual_of.is_none()).cloned().collect();
        if records.is_empty() {
            return Err(PullError::UnknownCase);
        }
        for record in records {
            let at = outcomes.iter().position(|outcome| outcome.delivery == record.delivery);
            let at = at.unwrap_or_else(|| {
                let mut outcome = Outcome::new(record.delivery, State::AlreadyPulled);
                outcome.placed(&record, self.output.place(record.case, record.sequence));
                outcomes.push(outcome);
                outcomes.len() - 1
            });
            let asked = self.ask_for(&record).await;
            let Some(outcome) = outcomes.get_mut(at) else { continue };
            match asked {
                Ok(words) => outcome.notes.push(words),
                Err(error) => outcome.miss(error.exit(), format!("exact files were not asked for: {error}")),
            }
        }
        Ok(())
    }

    async fn ask_for(&mut self, record: &Record) -> Result<String, PullError> {
        match record.exact {
            Exact::Here => Ok("its files are exact already".into()),
            Exact::InMailbox => Ok("nothing to ask for: pull --exact writes exact files".into()),
            Exact::Never => Err(PullError::Unavailable(NEVER.into())),
            Exact::OnRequest { .. } if self.residual_placed(record.delivery) => {
                Ok("its exact files are here already".into())
            }
            Exact::OnRequest { .. } if self.waiting.contains(&record.delivery) => {
                Ok("nothing to ask for: pull --exact writes exact files".into())
            }
            Exact::OnRequest { until } if until < (self.now)() => {
                Err(PullError::Unavailable(over_words(until)))
            }
            Exact::OnRequest { .. } => {
                self.receipts.ask(&mut self.session, record).await?;
                Ok("exact files are asked for: a later pull brings them".into())
            }
        }
    }

    /// Whether a residual that this doctor may have is wanted by who runs this.
    pub(super) fn wants_residual_of(&self, base: DeliveryId) -> bool {
        self.images == Images::Exact || self.output.exact_asked(base)
    }

    fn residual_placed(&self, base: DeliveryId) -> bool {
        self.known.placed.values().any(|record| record.residual_of == Some(base))
    }

    /// Joins a residual with the bundle that it completes, of which the mailbox must still hold all mails.
    pub(super) async fn join(
        &mut self,
        opened: &Opened,
        base: DeliveryId,
        outcome: &mut Outcome,
    ) -> Result<Record, PullError> {
        let files = self.fetch(&opened.verified.cover, outcome).await?;
        let bundle = self.bundle_of(opened, base).await?;
        let bundle_files = self.fetch_again(&bundle, outcome).await?;
        let record = self.unpack_joined(opened, &files, &bundle, &bundle_files, outcome)?;
        std::fs::remove_dir_all(self.output.incoming(base))
            .map_err(PullError::output("cannot remove the pieces"))?;
        Ok(record)
    }

    async fn bundle_of(&mut self, residual: &Opened, base: DeliveryId) -> Result<Opened, PullError> {
        let mut found = self.session.parts_of(base).await?;
        found.retain(|found| found.id.part() == Part::Cover);
        let bundle = self.open_again(base, &found).await?;
        let of = |opened: &Opened| (opened.verified.cover.case, opened.verified.signer);
        if of(&bundle) != of(residual) {
            return Err(PullError::Refused(
                "the residual belongs to a delivery of another case or site".into(),
            ));
        }
        Ok(bundle)
    }

    fn unpack_joined(
        &self,
        opened: &Opened,
        files: &[PathBuf],
        bundle: &Opened,
        bundle_files: &[PathBuf],
        outcome: &mut Outcome,
    ) -> Result<Record, PullError> {
        let mut residual = OpenedPieces::open(&opened.verified, files)?;
        let mut pieces = OpenedPieces::open(&bundle.verified, bundle_files)?;
        let manifest = read_manifest(&mut pieces)?;
        let segments = residual.segments();
        let mut joined = Joined::new(&mut pieces, &manifest, &mut residual, segments)?;
        let record = self.record(opened, &manifest, Exact::Here);
        let target = self.output.place(record.case, record.sequence);
        self.put(&record, target, &manifest, &mut joined, Wanted::Exact, outcome)?;
        Ok(record)
    }

    /// Writes the exact files of a delivery that lies in its place as shown, beside these, from what the mailbox still holds.
    pub(super) async fn exact_beside(
        &mut self,
        record: &Record,
        candidates: &[Found],
        outcome: &mut Outcome,
    ) -> Result<(), PullError> {
        let opened = self.open_again(record.delivery, candidates).await?;
        if opened.verified.digest != record.cover {
            return Err(PullError::Refused("the cover is not the one that was pulled".into()));
        }
        let files = self.fetch_again(&opened, outcome).await?;
        let mut pieces = OpenedPieces::open(&opened.verified, &files)?;
        let manifest = read_manifest(&mut pieces)?;
        let record = self.record(&opened, &manifest, Exact::Here);
        let target = self.output.exact_place(record.case, record.sequence);
        self.put(&record, target, &manifest, &mut pieces, Wanted::Exact, outcome)
    }

    async fn open_again(&mut self, delivery: DeliveryId, candidates: &[Found]) -> Result<Opened, PullError> {
        if candidates.is_empty() {
            return Err(PullError::Unavailable(gone_words()));
        }
        covers::open(&mut self.session, delivery, candidates, self.keys).await
    }

    /// Pieces that were here once and are not any more will not arrive.
    async fn fetch_again(
        &mut self,
        opened: &Opened,
        outcome: &mut Outcome,
    ) -> Result<Vec<PathBuf>, PullError> {
        match self.fetch(&opened.verified.cover, outcome).await {
            Err(PullError::Incomplete { .. }) => Err(PullError::Unavailable(gone_words())),
            fetched => fetched,
        }
    }
}

fn gone_words() -> String {
    "mails of the study are no longer in the mailbox: ask the site to send it again, a day after the first time".into()
}

fn over_words(until: i64) -> String {
    format!(
        "the site kept what gives exact files until {}: ask it to send the study again, a day after the first time",
        moment(until)
    )
}

/// `2026-11-28 02:14 UTC`.
fn moment(seconds: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else { return "an unknown time".into() };
    let (year, month, day) = at.to_calendar_date();
    format!("{year}-{:02}-{day:02} {:02}:{:02} UTC", u8::from(month), at.hour(), at.minute())
}
