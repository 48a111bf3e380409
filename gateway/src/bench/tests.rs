//! What is refused, and how figures are made of values.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use compressor::dataset::{Encoding, outline};
use dicom_core::{DataElement, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

const SAMPLE: &str = include_str!("../../../deploy/gateway.sample.toml");

fn with(duty: &str, destinations: &str) -> Config {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{SAMPLE}\n{duty}\n{destinations}")).unwrap();
    Config::load(file.path()).unwrap()
}

#[test]
fn nothing_goes_where_a_doctor_would_be_told() {
    let duty = "[duty]\ndaily_to = \"constancy\"\n[doctors.constancy]\nmailbox = \"c@mail.example\"\nfolder = \"INBOX\"\nphone = \"it@mail.example\"";
    let only = "[destinations.BENCH]\ndoctors = [\"constancy\"]";
    let mixed = "[destinations.MIXED]\ndoctors = [\"constancy\", \"tanaka\"]";
    let chosen = |config: &Config, named| destination(config, named).map(str::to_owned);
    let config = with(duty, &format!("{only}\n{mixed}"));
    assert_eq!(chosen(&config, None).unwrap(), "BENCH");
    assert_eq!(chosen(&config, Some("BENCH")).unwrap(), "BENCH");
    for refused in ["MIXED", "DR_TANAKA", "NOBODY"] {
        assert!(matches!(chosen(&config, Some(refused)), Err(BenchError::NotForTests(_))), "{refused}");
    }
    let two = with(duty, &format!("{only}\n[destinations.BENCH2]\ndoctors = [\"constancy\"]"));
    assert!(matches!(chosen(&two, None), Err(BenchError::SeveralDestinations(_))));
    assert!(matches!(chosen(&with("", ""), None), Err(BenchError::NoDestination)));
}

#[test]
fn the_95th_percentile_is_the_bad_end_of_rates_and_of_times() {
    let values: Vec<f64> = (1..=100).map(f64::from).collect();
    let cost = Measure::of("compress", "s", false, values.clone()).unwrap();
    let rate = Measure::of("received", "images/s", true, values).unwrap();
    assert_eq!((cost.p50, cost.p95), (50.0, 95.0));
    assert_eq!((rate.p50, rate.p95), (51.0, 6.0));
    assert_eq!(Measure::of("pulled", "s", false, Vec::new()), None);
}

#[test]
fn each_round_is_a_study_of_its_own_and_its_images_have_noise() {
    let study = Study::generated(2, 64);
    let ((first, images), (second, _)) = (study.labelled(0).unwrap(), study.labelled(0).unwrap());
    assert_ne!(first, second);
    let pixels = |image: &study::Image| image.data_set[image.data_set.len() - 2 * 64 * 64..].to_vec();
    let mut values: Vec<_> = pixels(&images[0]).chunks_exact(2).map(<[u8]>::to_vec).collect();
    values.sort();
    values.dedup();
    assert!(values.len() > 30, "a study without noise would compress as none does: {}", values.len());
    assert_ne!(pixels(&images[0]), pixels(&images[1]));
}

#[test]
fn a_given_image_names_nobody_at_the_top_level() {
    let folder = tempfile::tempdir().unwrap();
    let text = |tag, vr, value: &str| DataElement::new(tag, vr, dicom_core::PrimitiveValue::from(value));
    let object = InMemDicomObject::from_element_iter([
        text(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.2"),
        text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4"),
        text(tags::PATIENT_NAME, VR::PN, "Yamada^Tarou"),
        text(tags::PATIENT_ID, VR::LO, "PATIENT-7"),
        text(tags::PATIENT_BIRTH_DATE, VR::DA, "19700101"),
        text(tags::ACCESSION_NUMBER, VR::SH, "A-4711"),
        text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3"),
        text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.1"),
        DataElement::new(tags::ROWS, VR::US, dicom_value!(U16, [4])),
    ]);
    let meta = FileMetaTableBuilder::new().transfer_syntax("1.2.840.10008.1.2.1");
    object.with_meta(meta).unwrap().write_to_file(folder.path().join("one.dcm")).unwrap();
    let (study, images) = Study::find(folder.path()).unwrap().labelled(0).unwrap();
    let image = &images[0];
    for named in ["Yamada", "PATIENT-7", "19700101", "A-4711", "1.2.3.4", "1.2.3.1"] {
        assert!(!image.data_set.windows(named.len()).any(|bytes| bytes == named.as_bytes()), "{named}");
    }
    let encoding = Encoding::of_transfer_syntax(&image.transfer_syntax);
    let bytes = image.data_set.len() as u64;
    let read = outline(&mut io::Cursor::new(&image.data_set), bytes, encoding).unwrap();
    assert_eq!(read.study, Some(study));
    fs::write(folder.path().join("two"), "no DICOM").unwrap();
    assert!(matches!(Study::find(folder.path()).unwrap().labelled(0), Err(BenchError::File(2, _))));
}

#[test]
fn the_plot_has_a_row_for_each_measure_and_escapes_what_is_not_ours() {
    let mut report = Report::begin(Part::Compress, &Study::generated(1, 32), 1);
    report.machine.processor = "A & B <C>".to_owned();
    let measure = |name, values| Measure::of(name, "s", false, values).unwrap();
    report.measures = vec![measure("compress", vec![1.0, 2.0]), measure("seal", vec![4.0])];
    let svg = plot::svg(&report);
    assert_eq!((svg.matches("<circle").count(), svg.matches("#7aa6c2").count()), (3, 2));
    assert!(svg.contains("A &amp; B &lt;C>") && !svg.contains("<C>"));
    // The longest of a unit is as long as can be; the other by its share.
    assert!(svg.contains("width=\"460.0\"") && svg.contains("width=\"115.0\""), "{svg}");
}
