//! What a reader needs to know whose images these are, and of what: the patient banner, as UTF-8 whatever the data set is written in.

mod screen;

pub use screen::on_screen;

use super::charset::{CharacterSet, Delimiters};
use crate::json::Json;
use crate::limits::BANNER_TEXT_BYTES_MAX;
use crate::phi::{Phi, Purpose};

/// Patient, study and series as the data sets of one series name them. A text is empty where there is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Banner {
    /// Patient's Name (0010,0010).
    pub name: PersonName,
    /// Patient ID (0010,0020).
    pub patient_id: Phi<String>,
    /// Patient's Birth Date (0010,0030).
    pub birth_date: Phi<String>,
    /// Patient's Sex (0010,0040).
    pub sex: Phi<String>,
    /// Accession Number (0008,0050).
    pub accession: Phi<String>,
    /// Study Date (0008,0020).
    pub study_date: Phi<String>,
    /// Study Time (0008,0030).
    pub study_time: Phi<String>,
    /// Study Description (0008,1030).
    pub study_description: Phi<String>,
    /// Series Description (0008,103E).
    pub series_description: Phi<String>,
    /// Body Part Examined (0018,0015).
    pub body_part: Phi<String>,
    /// Protocol Name (0018,1030).
    pub protocol: Phi<String>,
    /// Image Type (0008,0008), values parted by `\\`; of a series empty where its instances are of several kinds (value 3).
    pub image_type: Phi<String>,
}

/// A person's name: three ways to write it, components parted by `^` (PS3.5 6.2, VR PN).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PersonName {
    /// In letters.
    pub alphabetic: Phi<String>,
    /// In ideographs: kanji, hanja, hanzi.
    pub ideographic: Phi<String>,
    /// By its sound: kana, hangul.
    pub phonetic: Phi<String>,
}

impl std::fmt::Debug for Banner {
    /// That there is one.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Banner")
    }
}

impl Banner {
    /// The texts that are there, with the names they have in the manifest (SPEC 4.2) and in reports.
    pub fn texts(&self, purpose: Purpose) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("name_alphabetic", &self.name.alphabetic),
            ("name_ideographic", &self.name.ideographic),
            ("name_phonetic", &self.name.phonetic),
            ("patient_id", &self.patient_id),
            ("birth_date", &self.birth_date),
            ("sex", &self.sex),
            ("accession", &self.accession),
            ("study_date", &self.study_date),
            ("study_time", &self.study_time),
            ("study_description", &self.study_description),
            ("series_description", &self.series_description),
        ]
        .into_iter()
        .filter_map(move |(name, text)| told(name, text, purpose))
    }

    /// [`Self::texts`], and what the images of a series show, which is no word to know or to find a patient by.
    pub fn texts_and_contents(&self, purpose: Purpose) -> impl Iterator<Item = (&'static str, &str)> {
        let contents =
            [("body_part", &self.body_part), ("protocol", &self.protocol), ("image_type", &self.image_type)];
        self.texts(purpose)
            .chain(contents.into_iter().filter_map(move |(name, text)| told(name, text, purpose)))
    }

    /// Leaves what the images show out where another instance of the series shows something else: a scanogram among the slices does not make them one.
    pub fn keep_common(&mut self, other: &Self) {
        let kind = |banner: &Self| {
            banner.image_type.expose_for(Purpose::Compare).split('\\').nth(2).map(str::to_owned)
        };
        if kind(self) != kind(other) {
            self.image_type = Phi::default();
        }
        for (own, other) in [(&mut self.body_part, &other.body_part), (&mut self.protocol, &other.protocol)] {
            if own.expose_for(Purpose::Compare) != other.expose_for(Purpose::Compare) {
                *own = Phi::default();
            }
        }
    }

    /// Whether two banners may be of one patient: name, id and birth date are equal, where both have them.
    pub fn is_same_patient(&self, other: &Self) -> bool {
        let pairs = [
            (&self.name.alphabetic, &other.name.alphabetic),
            (&self.patient_id, &other.patient_id),
            (&self.birth_date, &other.birth_date),
        ];
        pairs
            .map(|(one, another)| (one.expose_for(Purpose::Compare), another.expose_for(Purpose::Compare)))
            .iter()
            .all(|(one, another)| one.is_empty() || another.is_empty() || one == another)
    }
}

/// Texts of a banner on their way in; names as in [`Banner::texts`]. One that is longer than a scan gives is refused.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub struct BannerTexts {
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
    body_part: Text,
    protocol: Text,
    image_type: Text,
}

/// A text by its name, if it is there.
fn told<'b>(name: &'static str, text: &'b Phi<String>, purpose: Purpose) -> Option<(&'static str, &'b str)> {
    Some((name, text.expose_for(purpose).as_str())).filter(|(_, text)| !text.is_empty())
}

/// A text not longer than a scan gives.
#[derive(Default, serde::Deserialize)]
#[serde(try_from = "String")]
struct Text(Phi<String>);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = (text.len(), Phi::new(text));
        if text.0 <= BANNER_TEXT_BYTES_MAX { Ok(Self(text.1)) } else { Err("text of a banner too long") }
    }
}

impl BannerTexts {
    /// Reads them; none where one comes twice, or is too long.
    pub(crate) fn read(json: &mut Json<'_>) -> Option<Self> {
        let (mut told, mut seen) = (Self::default(), Vec::new());
        json.object(&mut |name, json| {
            let place = match name {
                "name_alphabetic" => &mut told.name_alphabetic,
                "name_ideographic" => &mut told.name_ideographic,
                "name_phonetic" => &mut told.name_phonetic,
                "patient_id" => &mut told.patient_id,
                "birth_date" => &mut told.birth_date,
                "sex" => &mut told.sex,
                "accession" => &mut told.accession,
                "study_date" => &mut told.study_date,
                "study_time" => &mut told.study_time,
                "study_description" => &mut told.study_description,
                "series_description" => &mut told.series_description,
                "body_part" => &mut told.body_part,
                "protocol" => &mut told.protocol,
                "image_type" => &mut told.image_type,
                _ => return json.skip(),
            };
            *place = Text::try_from(json.text()?).ok()?;
            let is_first = !seen.iter().any(|known| known == name);
            seen.push(name.to_owned());
            is_first.then_some(())
        })?;
        Some(told)
    }
}

impl From<BannerTexts> for Banner {
    fn from(told: BannerTexts) -> Self {
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
            body_part: told.body_part.0,
            protocol: told.protocol.0,
            image_type: told.image_type.0,
        }
    }
}

impl PersonName {
    /// Of the value of an element (PS3.5 6.2.1).
    pub fn decode(value: &[u8], set: CharacterSet) -> Self {
        let text = Phi::new(set.decode(value, Delimiters::PersonName));
        let mut groups = text.expose_for(Purpose::Seal).splitn(3, '=');
        let mut group = || Phi::new(trimmed(groups.next().unwrap_or_default()));
        Self { alphabetic: group(), ideographic: group(), phonetic: group() }
    }
}

/// Text of an element that is no name.
pub(super) fn text(value: &[u8], set: CharacterSet) -> Phi<String> {
    Phi::new(trimmed(&set.decode(value, Delimiters::Text)))
}

/// Without what fills a value up to even length, and spaces that mean nothing (PS3.5 6.2).
fn trimmed(text: &str) -> String {
    text.trim_matches([' ', '\0']).to_owned()
}
