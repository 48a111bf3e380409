//! What is sent: generated images, or the files of a folder, under UIDs of their own in each round, or the gateway would answer from its journal.

use super::{BenchError, files_below};
use crate::duty::{slice, values};
use compressor::Uid;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject};
use dimse::uid::IMPLICIT_LITTLE;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest round, in bytes: it is held in memory, so that nothing but sending is measured.
pub(super) const BYTES_MAX: u64 = 4 << 30;
/// Least and largest of each of the four numbers whose sum is the noise of a generated pixel: 5.2 HU of standard deviation, as a head CT has.
const NOISE_HU: i16 = 4;

/// Where images come from.
pub(super) enum Study {
    /// CT of a cylinder with inserts, with noise.
    Generated {
        /// How many.
        images: u32,
        /// Rows and columns.
        size: u16,
    },
    /// Files of a folder.
    Given(Vec<PathBuf>),
}

/// One image to be sent.
pub(super) struct Image {
    pub(super) sop_class: Uid,
    pub(super) sop_instance: Uid,
    pub(super) transfer_syntax: Uid,
    pub(super) data_set: Vec<u8>,
}

impl Study {
    pub(super) fn generated(images: u32, size: u16) -> Self {
        Self::Generated { images, size }
    }

    pub(super) fn find(folder: &Path) -> Result<Self, BenchError> {
        let files = files_below(folder).map_err(|error| BenchError::Io("the study", error))?;
        if files.is_empty() { Err(BenchError::NoFile) } else { Ok(Self::Given(files)) }
    }

    pub(super) fn images(&self) -> usize {
        match self {
            Self::Generated { images, .. } => usize::try_from(*images).unwrap_or(usize::MAX),
            Self::Given(files) => files.len(),
        }
    }

    /// About: data sets of generated images have some hundred bytes more.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Generated { images, size } => u64::from(*images) * u64::from(*size).pow(2) * 2,
            Self::Given(files) => files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum(),
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Generated { images, size } => format!("{images} generated CT images of {size} x {size}"),
            Self::Given(files) => format!("{} given images", files.len()),
        }
    }

    /// All images of a round, and their Study Instance UID, which is new.
    pub(super) fn labelled(&self, now_ms: i64) -> Result<(Uid, Vec<Image>), BenchError> {
        if self.bytes() > BYTES_MAX {
            return Err(BenchError::TooMuch(self.bytes()));
        }
        let study = new_study();
        let images = match self {
            Self::Generated { images, size } => {
                (1..=*images).filter_map(|number| generate(&study, number, *size, now_ms)).collect()
            }
            Self::Given(files) => given(files, &study)?,
        };
        Ok((study, images))
    }
}

/// PS3.5 B.2, as the gateway's own tests have; not secret.
fn new_study() -> Uid {
    let number = fastrand::u128(..);
    Uid::parse(&format!("2.25.{number}")).unwrap_or_else(|_| unreachable!("44 digits and dots"))
}

/// None where the study's UID leaves no room.
pub(super) fn generate(study: &Uid, number: u32, size: u16, now_ms: i64) -> Option<Image> {
    let mut random = fastrand::Rng::with_seed(u64::from(number));
    // Water is denser by the number, which is to stay that of soft tissue.
    let mut values = values(number % 64, size);
    for value in &mut values {
        *value += (0..4).map(|_| random.i16(-NOISE_HU..=NOISE_HU)).sum::<i16>();
    }
    let at = Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(TimeZone::UTC).datetime();
    let slice = slice(study, number, at, size, &values)?;
    let transfer_syntax = Uid::parse(IMPLICIT_LITTLE).ok()?;
    Some(Image {
        sop_class: slice.sop_class,
        sop_instance: slice.sop_instance,
        transfer_syntax,
        data_set: slice.data_set,
    })
}

fn given(files: &[PathBuf], study: &Uid) -> Result<Vec<Image>, BenchError> {
    let mut series = BTreeMap::new();
    let image = |(file, number): (&PathBuf, usize)| {
        relabelled(file, number, study, &mut series).map_err(|reason| BenchError::File(number, reason))
    };
    files.iter().zip(1..).map(image).collect()
}

/// With another study, series and instance UID, and without what names the patient at the top level.
fn relabelled(
    file: &Path,
    number: usize,
    study: &Uid,
    series: &mut BTreeMap<String, usize>,
) -> Result<Image, String> {
    let mut object = dicom_object::open_file(file).map_err(|_| "it cannot be read".to_owned())?;
    let own = text(&object, tags::SERIES_INSTANCE_UID).unwrap_or_default();
    let next = series.len() + 1;
    let of = *series.entry(own).or_insert(next);
    let series = format!("{}.{of}", study.as_str());
    let instance = format!("{series}.{number}");
    put(&mut object, tags::STUDY_INSTANCE_UID, VR::UI, study.as_str());
    put(&mut object, tags::SERIES_INSTANCE_UID, VR::UI, &series);
    put(&mut object, tags::SOP_INSTANCE_UID, VR::UI, &instance);
    put(&mut object, tags::PATIENT_NAME, VR::PN, "Scanpost^Test");
    put(&mut object, tags::PATIENT_ID, VR::LO, "TEST");
    put(&mut object, tags::PATIENT_BIRTH_DATE, VR::DA, "");
    put(&mut object, tags::ACCESSION_NUMBER, VR::SH, "");
    put(&mut object, tags::STUDY_DESCRIPTION, VR::LO, "TEST, NO PATIENT");
    let mut data_set = Vec::new();
    object.write_dataset(&mut data_set).map_err(|_| "it cannot be written again".to_owned())?;
    let sop_class = object.meta().media_storage_sop_class_uid.clone();
    let uid = |text: &str| Uid::parse(text).map_err(|_| "a UID is none".to_owned());
    Ok(Image {
        sop_class: uid(&sop_class)?,
        sop_instance: uid(&instance)?,
        transfer_syntax: uid(object.meta().transfer_syntax())?,
        data_set,
    })
}

fn text(object: &InMemDicomObject, tag: dicom_core::Tag) -> Option<String> {
    Some(object.element(tag).ok()?.to_str().ok()?.into_owned())
}

fn put(object: &mut DefaultDicomObject, tag: dicom_core::Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}
