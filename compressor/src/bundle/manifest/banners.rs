//! Banners as the sealed manifest writes them, one for each series (SPEC 4.2): the one place where text becomes a banner, and back.

use crate::bundle::{Series, UnpackError};
use crate::dataset::{Banner, PersonName};
use crate::limits::BANNER_TEXT_BYTES_MAX;
use crate::phi::Phi;
use serde::Deserialize;

/// Texts of a banner on their way in; names as in [`Banner::texts`].
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    name_alphabetic: Text,
    name_ideographic: Text,
    name_phonetic: Text,
    patient_id: Text,
    birth_date: Text,
    sex: Text,
    accession: Text,
    study_date: Text,
    study_time: Text,
    study_description: Text,
    series_description: Text,
}

/// A text not longer than a scan gives.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct Text(Phi<String>);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = (text.len(), Phi::new(text));
        if text.0 <= BANNER_TEXT_BYTES_MAX { Ok(Self(text.1)) } else { Err("text of a banner too long") }
    }
}

impl From<Told> for Banner {
    fn from(told: Told) -> Self {
        Self {
            name: PersonName {
                alphabetic: told.name_alphabetic.0,
                ideographic: told.name_ideographic.0,
                phonetic: told.name_phonetic.0,
            },
            patient_id: told.patient_id.0,
            birth_date: told.birth_date.0,
            sex: told.sex.0,
            accession: told.accession.0,
            study_date: told.study_date.0,
            study_time: told.study_time.0,
            study_description: told.study_description.0,
            series_description: told.series_description.0,
        }
    }
}

/// Gives each series its banner. Bundles of earlier programs have none.
pub(super) fn give(banners: Vec<Told>, series: &mut [Series]) -> Result<(), UnpackError> {
    super::require(
        banners.is_empty() || banners.len() == series.len(),
        "banners are not those of the series",
    )?;
    for (series, banner) in series.iter_mut().zip(banners) {
        series.banner = banner.into();
    }
    Ok(())
}
