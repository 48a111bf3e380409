//! QIDO-RS: which studies, and which instances a study has (PS3.18 10.6), from the DICOM JSON model (PS3.18 F).

use super::client::Client;
use crate::config::Dicomweb;
use crate::query::identifier::{OF_ANOTHER, code};
use crate::query::studies::{MODALITIES_MAX, written};
use crate::query::{Found, FoundStudy, Limits, QueryError, Series, StudyKeys, Timeouts};
use crate::receive::limits::{JSON_BYTES_MAX, QIDO_PAGE, RESPONSES_MAX};
use compressor::dataset::{Banner, PersonName};
use compressor::{Phi, Purpose, Uid};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::fmt::Write;

const JSON: &str = "application/dicom+json";

/// Attributes by tag.
type Answer = BTreeMap<String, Attribute>;

#[derive(Deserialize)]
struct Attribute {
    #[serde(default, rename = "Value")]
    values: Vec<JsonValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonValue {
    Text(String),
    Number(u32),
    Name {
        #[serde(default, rename = "Alphabetic")]
        alphabetic: String,
        #[serde(default, rename = "Ideographic")]
        ideographic: String,
        #[serde(default, rename = "Phonetic")]
        phonetic: String,
    },
    Other(IgnoredAny),
}

/// As [`crate::query::studies`].
pub(crate) async fn studies(web: &Dicomweb, keys: &StudyKeys, limits: Limits) -> Result<Found, QueryError> {
    let mut client = Client::new(web, limits.timeouts.wait)?;
    let asked = format!("/studies?{}", query(keys, limits.answers_max.saturating_add(1))?);
    let answers = page(&mut client, &asked).await?;
    let mut found = Found { truncated: answers.len() > limits.answers_max, ..Found::default() };
    for answer in answers.iter().take(limits.answers_max) {
        found.add(study(answer).map_err(QueryError::Malformed)?);
    }
    Ok(found)
}

/// As [`crate::query::instances_of_study`], in pages.
pub(crate) async fn instances_of_study(
    web: &Dicomweb,
    study: &Uid,
    timeouts: Timeouts,
) -> Result<BTreeMap<Uid, Series>, QueryError> {
    let mut client = Client::new(web, timeouts.wait)?;
    let (mut listed, mut offset): (BTreeMap<Uid, Series>, usize) = (BTreeMap::new(), 0);
    loop {
        let asked = format!(
            "/studies/{study}/instances?includefield=00080060&includefield=0020000E&limit={QIDO_PAGE}&offset={offset}"
        );
        let answers = page(&mut client, &asked).await?;
        if answers.is_empty() {
            return Ok(listed);
        }
        let mut new = 0;
        for answer in &answers {
            let (series, modality, instance, class) =
                instance(answer, study).map_err(QueryError::Malformed)?;
            let series = listed.entry(series).or_default();
            series.modality = modality.or(series.modality.take());
            new += usize::from(series.instances.insert(instance, class).is_none());
        }
        // A server that pays no heed to `offset` cannot show that its list is whole.
        if new == 0 {
            return Err(QueryError::Malformed("the same page again"));
        }
        offset += answers.len();
        if offset > RESPONSES_MAX {
            return Err(QueryError::TooMany);
        }
    }
}

async fn page(client: &mut Client, below: &str) -> Result<Vec<Answer>, QueryError> {
    let body = client.get(below, JSON).await?.into_body();
    let bytes = client.whole(body, JSON_BYTES_MAX).await?;
    // 204: nothing matches (PS3.18 10.6.3.1).
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&bytes).map_err(|_| QueryError::Malformed("what is no DICOM JSON"))
}

/// The keys as query parameters (PS3.18 8.3.4). What they hold never gets into a log: URLs are not logged.
pub(crate) fn query(keys: &StudyKeys, limit: usize) -> Result<String, QueryError> {
    let mut query = format!("limit={limit}");
    let texts =
        [("PatientName", &keys.name), ("PatientID", &keys.patient_id), ("AccessionNumber", &keys.accession)];
    for (name, text) in texts {
        parameter(&mut query, name, written(text.expose_for(Purpose::Show))?);
    }
    parameter(&mut query, "StudyDate", &keys.dates());
    parameter(&mut query, "ModalitiesInStudy", keys.modality()?);
    parameter(&mut query, "StudyInstanceUID", keys.study.as_ref().map_or("", Uid::as_str));
    // Study Description, Number of Study Related Series and Instances.
    query.push_str("&includefield=00081030&includefield=00201206&includefield=00201208");
    Ok(query)
}

fn parameter(query: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let _ = write!(query, "&{name}=");
    for byte in value.bytes() {
        // RFC 3986 2.3; the wildcard `*` as it is.
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' => {
                query.push(char::from(byte))
            }
            _ => drop(write!(query, "%{byte:02X}")),
        }
    }
}

fn study(answer: &Answer) -> Result<FoundStudy, &'static str> {
    let study = uid(answer, "0020000D").ok_or("an answer without Study Instance UID")?;
    let text = |tag| Phi::new(text(answer, tag).unwrap_or_default().to_owned());
    let banner = Banner {
        name: name(answer),
        patient_id: text("00100020"),
        birth_date: text("00100030"),
        sex: text("00100040"),
        accession: text("00080050"),
        study_date: text("00080020"),
        study_time: text("00080030"),
        study_description: text("00081030"),
        ..Banner::default()
    };
    let modalities = values(answer, "00080061").filter_map(|value| match value {
        JsonValue::Text(text) => code(text.as_bytes()),
        _ => None,
    });
    Ok(FoundStudy {
        study,
        banner,
        modalities: modalities.take(MODALITIES_MAX).collect(),
        series_claimed: number(answer, "00201206"),
        instances_claimed: number(answer, "00201208"),
    })
}

type Instance = (Uid, Option<String>, Uid, Option<Uid>);

fn instance(answer: &Answer, study: &Uid) -> Result<Instance, &'static str> {
    if uid(answer, "0020000D").is_some_and(|told| told != *study) {
        return Err(OF_ANOTHER);
    }
    let series = uid(answer, "0020000E").ok_or("an answer without Series Instance UID")?;
    let instance = uid(answer, "00080018").ok_or("an answer without SOP Instance UID")?;
    let modality = text(answer, "00080060").and_then(|text| code(text.as_bytes()));
    Ok((series, modality, instance, uid(answer, "00080016")))
}

fn values<'a>(answer: &'a Answer, tag: &str) -> impl Iterator<Item = &'a JsonValue> {
    answer.get(tag).into_iter().flat_map(|attribute| &attribute.values)
}

fn text<'a>(answer: &'a Answer, tag: &str) -> Option<&'a str> {
    values(answer, tag).find_map(|value| match value {
        JsonValue::Text(text) => Some(text.trim_matches([' ', '\0'])),
        _ => None,
    })
}

fn uid(answer: &Answer, tag: &str) -> Option<Uid> {
    Uid::parse(text(answer, tag)?).ok()
}

/// `quirk_number_as_text`: some servers write numbers of VR IS as text.
fn number(answer: &Answer, tag: &str) -> Option<u32> {
    values(answer, tag).find_map(|value| match value {
        JsonValue::Number(number) => Some(*number),
        JsonValue::Text(text) => text.trim().parse().ok(),
        _ => None,
    })
}

fn name(answer: &Answer) -> PersonName {
    let told = values(answer, "00100010").find_map(|value| match value {
        JsonValue::Name { alphabetic, ideographic, phonetic } => {
            let group = |text: &String| Phi::new(text.trim_matches([' ', '\0']).to_owned());
            Some(PersonName {
                alphabetic: group(alphabetic),
                ideographic: group(ideographic),
                phonetic: group(phonetic),
            })
        }
        _ => None,
    });
    told.unwrap_or_default()
}

#[cfg(test)]
#[path = "qido_tests.rs"]
mod tests;
