//! Which studies a PACS has: keys of a STUDY-level query, and its answers (PS3.4 C.6.1.1, C.6.2.1). Whatever tells of a patient is `Phi`.

use super::find::{End, Finder};
use super::identifier::{QUERY_RETRIEVE_LEVEL, SPECIFIC_CHARACTER_SET, STUDY_INSTANCE_UID, code, each_up_to};
use super::{Limits, QueryError, Root};
use crate::config::Pacs;
use compressor::dataset::{Banner, CharacterSet, Delimiters, PersonName};
use compressor::{Phi, Purpose, Uid};
use dimse::command::uid;
use dimse::elements::push;
use std::collections::BTreeSet;
use time::Date;
use time::macros::format_description;

const STUDY_DATE: u32 = 0x0008_0020;
const STUDY_TIME: u32 = 0x0008_0030;
const ACCESSION_NUMBER: u32 = 0x0008_0050;
const MODALITIES_IN_STUDY: u32 = 0x0008_0061;
const STUDY_DESCRIPTION: u32 = 0x0008_1030;
const PATIENT_NAME: u32 = 0x0010_0010;
const PATIENT_ID: u32 = 0x0010_0020;
const PATIENT_BIRTH_DATE: u32 = 0x0010_0030;
const PATIENT_SEX: u32 = 0x0010_0040;
const SERIES_IN_STUDY: u32 = 0x0020_1206;
const INSTANCES_IN_STUDY: u32 = 0x0020_1208;

/// Modalities named of one study; real ones have a handful.
pub(crate) const MODALITIES_MAX: usize = 16;
/// Patients whose studies are asked for one after the other, in Patient Root without a patient id.
const PATIENTS_MAX: usize = 50;

/// What is looked for; empty or absent keys match everything. `*` and `?` are wildcards in texts (PS3.4 C.2.2.2.4).
#[derive(Clone, Default)]
pub struct StudyKeys {
    /// Patient's name.
    pub name: Phi<String>,
    /// Patient ID.
    pub patient_id: Phi<String>,
    /// Accession number.
    pub accession: Phi<String>,
    /// First study date.
    pub from: Option<Date>,
    /// Last study date.
    pub to: Option<Date>,
    /// A modality of the study, as `CT`.
    pub modality: Option<String>,
    /// The study itself.
    pub study: Option<Uid>,
}

/// A study as the PACS tells of it.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundStudy {
    /// Study Instance UID.
    pub study: Uid,
    /// Patient and study.
    pub banner: Banner,
    /// Modalities in Study (0008,0061).
    pub modalities: Vec<String>,
    /// Number of Study Related Series (0020,1206), if told. A claim.
    pub series_claimed: Option<u32>,
    /// Number of Study Related Instances (0020,1208), if told. A claim.
    pub instances_claimed: Option<u32>,
}

/// The answer of a PACS.
#[derive(Clone, Default)]
pub struct Found {
    /// The studies, each once, in the order of the answers.
    pub studies: Vec<FoundStudy>,
    /// There are more than were taken.
    pub truncated: bool,
}

impl Found {
    pub(crate) fn add(&mut self, study: FoundStudy) {
        if self.studies.iter().all(|known| known.study != study.study) {
            self.studies.push(study);
        }
    }
}

/// Asks on one association; `true` with the answer where the PACS did not heed our C-CANCEL.
pub(super) async fn find(
    finder: &mut Finder,
    pacs: &Pacs,
    keys: &StudyKeys,
    root: Root,
    limits: Limits,
) -> Result<(Found, bool), QueryError> {
    let mut found = Found::default();
    for name in ways_to_write(keys.name.expose_for(Purpose::Show)) {
        let keys = StudyKeys { name, ..keys.clone() };
        let end = match root {
            Root::Patient if !names_one(keys.patient_id.expose_for(Purpose::Show)) => {
                by_patients(finder, pacs, &keys, limits, &mut found).await?
            }
            _ => by_study(finder, pacs, &keys, limits, &mut found).await?,
        };
        if end == End::Unheeded {
            return Ok((found, true));
        }
        if !found.studies.is_empty() {
            break;
        }
    }
    Ok((found, false))
}

async fn by_study(
    finder: &mut Finder,
    pacs: &Pacs,
    keys: &StudyKeys,
    limits: Limits,
    found: &mut Found,
) -> Result<End, QueryError> {
    let left = limits.answers_max.saturating_sub(found.studies.len());
    let identifier = keys.identifier(pacs)?;
    let end = finder.find(&identifier, left, |answer| study(answer).map(|study| found.add(study))).await?;
    found.truncated |= end != End::All;
    Ok(end)
}

/// Patient Root is a tree: below a patient that was named exactly lie the studies (PS3.4 C.6.1.1.1).
async fn by_patients(
    finder: &mut Finder,
    pacs: &Pacs,
    keys: &StudyKeys,
    limits: Limits,
    found: &mut Found,
) -> Result<End, QueryError> {
    let mut patients = BTreeSet::new();
    let end = finder
        .find(&keys.patient_identifier(pacs)?, PATIENTS_MAX, |answer| {
            patients.extend(patient_id(answer)?);
            Ok(())
        })
        .await?;
    found.truncated |= end != End::All;
    if end == End::Unheeded {
        return Ok(end);
    }
    for patient_id in patients {
        let of_patient = StudyKeys { patient_id: Phi::new(patient_id), name: Phi::default(), ..keys.clone() };
        let end = by_study(finder, pacs, &of_patient, limits, found).await?;
        if end == End::Unheeded {
            return Ok(end);
        }
    }
    Ok(End::All)
}

/// A text that is no ASCII may stand in any of the three groups of a name (PS3.5 6.2.1): as it is, then as ideographs, then by its sound.
fn ways_to_write(name: &str) -> Vec<Phi<String>> {
    let ways: &[&str] = if name.is_ascii() || name.contains('=') { &[""] } else { &["", "=", "=="] };
    ways.iter().map(|before| Phi::new(format!("{before}{name}"))).collect()
}

fn names_one(patient_id: &str) -> bool {
    !patient_id.is_empty() && !patient_id.contains(['*', '?'])
}

impl StudyKeys {
    /// The identifier of a STUDY-level request: the keys, and empty what we want to be told.
    ///
    /// # Errors
    /// [`QueryError::NotWritable`], [`QueryError::Keys`].
    pub fn identifier(&self, pacs: &Pacs) -> Result<Vec<u8>, QueryError> {
        let set = pacs.character_set;
        let text = |text: &Phi<String>| set.encode(written(text.expose_for(Purpose::Show))?);
        let mut bytes = Vec::new();
        push(&mut bytes, SPECIFIC_CHARACTER_SET, set.term().as_bytes(), b' ');
        push(&mut bytes, STUDY_DATE, self.dates().as_bytes(), b' ');
        push(&mut bytes, STUDY_TIME, b"", b' ');
        push(&mut bytes, ACCESSION_NUMBER, &text(&self.accession)?, b' ');
        push(&mut bytes, QUERY_RETRIEVE_LEVEL, b"STUDY", b' ');
        push(&mut bytes, MODALITIES_IN_STUDY, self.modality()?.as_bytes(), b' ');
        push(&mut bytes, STUDY_DESCRIPTION, b"", b' ');
        push(&mut bytes, PATIENT_NAME, &text(&self.name)?, b' ');
        push(&mut bytes, PATIENT_ID, &text(&self.patient_id)?, b' ');
        push(&mut bytes, PATIENT_BIRTH_DATE, b"", b' ');
        push(&mut bytes, PATIENT_SEX, b"", b' ');
        push(&mut bytes, STUDY_INSTANCE_UID, self.study.as_ref().map_or("", Uid::as_str).as_bytes(), 0);
        push(&mut bytes, SERIES_IN_STUDY, b"", b' ');
        push(&mut bytes, INSTANCES_IN_STUDY, b"", b' ');
        Ok(bytes)
    }

    /// The identifier of a PATIENT-level request: whose studies are asked for then.
    fn patient_identifier(&self, pacs: &Pacs) -> Result<Vec<u8>, QueryError> {
        let set = pacs.character_set;
        let text = |text: &Phi<String>| set.encode(written(text.expose_for(Purpose::Show))?);
        let mut bytes = Vec::new();
        push(&mut bytes, SPECIFIC_CHARACTER_SET, set.term().as_bytes(), b' ');
        push(&mut bytes, QUERY_RETRIEVE_LEVEL, b"PATIENT", b' ');
        push(&mut bytes, PATIENT_NAME, &text(&self.name)?, b' ');
        push(&mut bytes, PATIENT_ID, &text(&self.patient_id)?, b' ');
        Ok(bytes)
    }

    /// Range matching (PS3.4 C.2.2.2.5).
    pub(crate) fn dates(&self) -> String {
        let day = |date: Option<Date>| {
            date.and_then(|date| date.format(format_description!("[year][month][day]")).ok())
                .unwrap_or_default()
        };
        match (self.from, self.to) {
            (None, None) => String::new(),
            (from, to) if from == to => day(from),
            (from, to) => format!("{}-{}", day(from), day(to)),
        }
    }

    pub(crate) fn modality(&self) -> Result<&str, QueryError> {
        match &self.modality {
            None => Ok(""),
            Some(modality) if code(modality.as_bytes()).as_ref() == Some(modality) => Ok(modality),
            Some(_) => Err(QueryError::Keys),
        }
    }
}

/// Keys end where a control character or a second value would begin.
pub(crate) fn written(text: &str) -> Result<&str, QueryError> {
    let forbidden = |character: char| character.is_control() || character == '\\';
    if text.len() > KEY_BYTES_MAX || text.contains(forbidden) { Err(QueryError::Keys) } else { Ok(text) }
}

/// Longest key, in bytes of UTF-8: three groups of a name with 64 characters each (PS3.5 6.2, VR PN).
const KEY_BYTES_MAX: usize = 3 * 64 * 4;

/// The Patient ID of an answer, if it has one.
fn patient_id(answer: &[u8]) -> Result<Option<String>, &'static str> {
    let (mut set, mut id) = (CharacterSet::default(), String::new());
    each_up_to(answer, PATIENT_ID, |element| {
        match element.tag {
            SPECIFIC_CHARACTER_SET => set = CharacterSet::of(element.value),
            PATIENT_ID => {
                id = set.decode(element.value, Delimiters::Text).trim_matches([' ', '\0']).to_owned()
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(Some(id).filter(|id| names_one(id)))
}

/// A study of an answer. Its texts are read by the character set that it names (PS3.3 C.12.1.1.2).
fn study(answer: &[u8]) -> Result<FoundStudy, &'static str> {
    let (mut set, mut uid_told, mut banner) = (CharacterSet::default(), None, Banner::default());
    let (mut modalities, mut series_claimed, mut instances_claimed) = (Vec::new(), None, None);
    each_up_to(answer, INSTANCES_IN_STUDY, |element| {
        let value = element.value;
        let text = || Phi::new(set.decode(value, Delimiters::Text).trim_matches([' ', '\0']).to_owned());
        match element.tag {
            SPECIFIC_CHARACTER_SET => set = CharacterSet::of(value),
            STUDY_DATE => banner.study_date = text(),
            STUDY_TIME => banner.study_time = text(),
            ACCESSION_NUMBER => banner.accession = text(),
            MODALITIES_IN_STUDY => modalities = codes(value),
            STUDY_DESCRIPTION => banner.study_description = text(),
            PATIENT_NAME => banner.name = PersonName::decode(value, set),
            PATIENT_ID => banner.patient_id = text(),
            PATIENT_BIRTH_DATE => banner.birth_date = text(),
            PATIENT_SEX => banner.sex = text(),
            STUDY_INSTANCE_UID => uid_told = uid(value),
            SERIES_IN_STUDY => series_claimed = number(value),
            INSTANCES_IN_STUDY => instances_claimed = number(value),
            _ => {}
        }
        Ok(())
    })?;
    let study = uid_told.ok_or("an answer without Study Instance UID")?;
    Ok(FoundStudy { study, banner, modalities, series_claimed, instances_claimed })
}

fn codes(value: &[u8]) -> Vec<String> {
    value.split(|byte| *byte == b'\\').filter_map(code).take(MODALITIES_MAX).collect()
}

/// A value of IS.
fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.trim_matches([' ', '\0']).parse().ok()
}

#[cfg(test)]
#[path = "studies_tests.rs"]
mod tests;
