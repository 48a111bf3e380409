//! Asks a PACS which studies it has, and which instances a study or a series (C-FIND SCU; PS3.4 C.4.1, C.6).
//!
//! What the PACS answers is read by the bounded readers of [`dimse`].

mod answers;
pub(crate) mod association;
mod audited;
mod character_set;
mod error;
mod find;
pub(crate) mod identifier;
pub(crate) mod studies;

pub use audited::Asking;
pub use character_set::CharacterSet;
pub use error::{Lasting, QueryError};
use identifier::{keys, series_keys};
pub use studies::{Found, FoundStudy, StudyKeys};

use crate::config::{Dicomweb, Pacs};
use crate::dicomweb;
use crate::receive::limits::{ANSWERS_MAX, RESPONSES_MAX, SERIES_MAX};
use crate::retrieve::How;
use compressor::Uid;
use dimse::uid;
use find::{End, Finder};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::timeout;

/// How long a query may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, and for each PDU of the PACS.
    pub wait: Duration,
    /// For the whole query.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 10 s without a word, since some archives think that long; 60 s in all, since a doctor waits.
    fn default() -> Self {
        Self { wait: Duration::from_secs(10), total: Duration::from_secs(60) }
    }
}

/// How much may be answered, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Studies that are taken; then the PACS is asked to stop.
    pub answers_max: usize,
    /// Times.
    pub timeouts: Timeouts,
}

impl Default for Limits {
    fn default() -> Self {
        Self { answers_max: ANSWERS_MAX, timeouts: Timeouts::default() }
    }
}

/// A Query/Retrieve information model (PS3.4 C.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// Studies at the top.
    #[default]
    Study,
    /// Patients at the top, their studies below.
    Patient,
}

impl Root {
    fn find_class(self) -> &'static str {
        match self {
            Self::Study => uid::STUDY_ROOT_FIND,
            Self::Patient => uid::PATIENT_ROOT_FIND,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Study => "C-FIND in Study Root",
            Self::Patient => "C-FIND in Patient Root",
        }
    }
}

/// A series as the PACS lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Modality, if told.
    pub modality: Option<String>,
    /// SOP Instance UIDs, with their SOP class where told.
    pub instances: BTreeMap<Uid, Option<Uid>>,
}

/// The studies that match. Dropped before it returns, the association is aborted in order.
///
/// # Errors
/// [`QueryError`]; then nothing is known.
pub async fn studies(pacs: &Pacs, keys: &StudyKeys, root: Root, limits: Limits) -> Result<Found, QueryError> {
    let asked = async {
        if let Some(web) = asked_by_web(pacs) {
            return dicomweb::studies(web, keys, limits).await;
        }
        let mut finder = Finder::connect(pacs, root, limits.timeouts.wait).await?;
        let (found, unheeded) = studies::find(&mut finder, pacs, keys, root, limits).await?;
        if unheeded {
            finder.abort().await
        } else {
            finder.release().await
        };
        Ok(found)
    };
    timeout(limits.timeouts.total, asked).await.map_err(|_| QueryError::Silent)?
}

/// What the PACS holds of a study: each series with its instances.
///
/// # Errors
/// [`QueryError`]; then nothing is known about the study.
pub async fn instances_of_study(
    pacs: &Pacs,
    study: &Uid,
    timeouts: Timeouts,
) -> Result<BTreeMap<Uid, Series>, QueryError> {
    let asked = async {
        if let Some(web) = asked_by_web(pacs) {
            return dicomweb::instances_of_study(web, study, timeouts).await;
        }
        let mut finder = Finder::connect(pacs, Root::Study, timeouts.wait).await?;
        let mut listed: BTreeMap<Uid, Series> = BTreeMap::new();
        let keys = series_keys(study);
        let end = finder.find(&keys, SERIES_MAX, |answer| {
            let (series, modality) = identifier::series(answer, study)?;
            listed.entry(series).or_default().modality = modality;
            Ok(())
        });
        whole(end.await?)?;
        let mut left = RESPONSES_MAX;
        for (uid, series) in &mut listed {
            let taken = instances(&mut finder, study, uid, left).await?;
            left -= taken.len();
            series.instances = taken;
        }
        finder.release().await;
        Ok(listed)
    };
    timeout(timeouts.total, asked).await.map_err(|_| QueryError::Silent)?
}

/// A PACS from which studies are fetched by DICOMweb is asked by DICOMweb.
fn asked_by_web(pacs: &Pacs) -> Option<&Dicomweb> {
    pacs.dicomweb.as_ref().filter(|_| pacs.retrieve == How::Dicomweb)
}

/// The SOP Instance UIDs that the PACS holds of one series.
///
/// # Errors
/// [`QueryError`]; then nothing is known about the series.
pub async fn instances_of_series(
    pacs: &Pacs,
    study: &Uid,
    series: &Uid,
    timeouts: Timeouts,
) -> Result<BTreeSet<Uid>, QueryError> {
    let asked = async {
        if let Some(web) = asked_by_web(pacs) {
            let listed = dicomweb::instances_of_study(web, study, timeouts).await?;
            let series = listed.get(series).map(|series| series.instances.keys().cloned().collect());
            return Ok(series.unwrap_or_default());
        }
        let mut finder = Finder::connect(pacs, Root::Study, timeouts.wait).await?;
        let listed = instances(&mut finder, study, series, RESPONSES_MAX).await?;
        finder.release().await;
        Ok(listed.into_keys().collect())
    };
    timeout(timeouts.total, asked).await.map_err(|_| QueryError::Silent)?
}

async fn instances(
    finder: &mut Finder,
    study: &Uid,
    series: &Uid,
    answers_max: usize,
) -> Result<BTreeMap<Uid, Option<Uid>>, QueryError> {
    let mut listed = BTreeMap::new();
    let keys = keys(study, series);
    let end = finder.find(&keys, answers_max, |answer| {
        let (instance, class) = identifier::instance(answer, study, series)?;
        listed.insert(instance, class);
        Ok(())
    });
    whole(end.await?)?;
    Ok(listed)
}

/// Half a list proves nothing.
fn whole(end: End) -> Result<(), QueryError> {
    if end == End::All { Ok(()) } else { Err(QueryError::TooMany) }
}
