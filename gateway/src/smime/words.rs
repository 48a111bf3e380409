//! What stands in the message beside pictures and files, in the doctor's language. It is signed and encrypted like them, so it may name the patient.

use super::Archive;
use super::survey::{Series, Survey};
use compressor::Purpose;
use compressor::dataset::{Banner, on_screen};
use notifier::Language;
use seal::cover::Completeness;
use std::fmt::Write;

/// Series that are listed; a study with more is told by their number.
const LISTED_MAX: usize = 100;

/// Characters of one value; a name has three times 64 (PS3.5 6.2), each in a line of its own here.
const TEXT_CHARS_MAX: usize = 80;

/// What the words are about.
pub(super) struct Facts<'a> {
    pub(super) survey: &'a Survey,
    /// For each series in order, the place of the image that is shown, from 1; none where there is no picture.
    pub(super) pictured: &'a [Option<usize>],
    pub(super) archive: &'a Archive,
    pub(super) completeness: Completeness,
    pub(super) site: &'a str,
    pub(super) mailbox: &'a str,
    pub(super) delivery: String,
    /// RFC 3339, UTC.
    pub(super) sent: String,
}

/// The text, lines parted by LF.
pub(super) fn text(facts: &Facts<'_>, language: Language) -> String {
    let mut text = String::new();
    let ja = language == Language::Japanese;
    let mut line = |english: String, japanese: String| {
        text.push_str(if ja { &japanese } else { &english });
        text.push('\n');
    };
    line(
        format!("Images from {} for {}", facts.site, facts.mailbox),
        format!("{} から {} への画像", facts.site, facts.mailbox),
    );
    line(
        format!("Sent {}, delivery {}", facts.sent, facts.delivery),
        format!("送信 {}、配信番号 {}", facts.sent, facts.delivery),
    );
    line(String::new(), String::new());
    for banner in patients(facts.survey) {
        let told = whose(banner);
        line(format!("Patient: {told}"), format!("患者: {told}"));
    }
    let (english, japanese) = complete(facts.completeness);
    line(english, japanese.to_string());
    line(String::new(), String::new());
    for (index, series) in facts.survey.series.iter().take(LISTED_MAX).enumerate() {
        let shown = facts.pictured.get(index).copied().flatten();
        let (english, japanese) = one_series(index, series, shown);
        line(english, japanese);
    }
    if facts.survey.series.len() > LISTED_MAX {
        let more = facts.survey.series.len() - LISTED_MAX;
        line(format!("and {more} further series"), format!("ほか {more} シリーズ"));
    }
    line(String::new(), String::new());
    line(
        "The pictures are for orientation, not for diagnosis: one image a series, 8 bits, compressed with loss.".into(),
        "画像(JPEG)は参照用で、診断には使えません。各シリーズ1枚、8ビット、非可逆圧縮です。".into(),
    );
    let (english, japanese) = archive(facts);
    line(english, japanese);
    if facts.survey.others > 0 {
        let others = facts.survey.others;
        line(
            format!(
                "{others} objects that are no images (reports, presentation states and the like) are not in this mail."
            ),
            format!(
                "画像以外のオブジェクト(レポート、表示状態など) {others} 件は、このメールに含まれていません。"
            ),
        );
    }
    text
}

fn complete(completeness: Completeness) -> (String, String) {
    match completeness {
        Completeness::Proved { instances } => (
            format!("Complete: {instances} of {instances} instances, as the PACS lists them."),
            format!("完全: {instances}/{instances} 件(PACSの一覧と一致)。"),
        ),
        Completeness::Partial { instances, listed } => (
            format!("INCOMPLETE: {instances} of {listed} instances arrived."),
            format!("不完全: {listed} 件中 {instances} 件のみ届いています。"),
        ),
        Completeness::NotProved { instances } => (
            format!("{instances} instances; whether that is all of them is not proved."),
            format!("{instances} 件。全件かどうかは確認されていません。"),
        ),
    }
}

fn one_series(index: usize, series: &Series, shown: Option<usize>) -> (String, String) {
    let number = index + 1;
    let outline = series.first().map(|image| &image.outline);
    let modality = outline.and_then(|outline| outline.modality.as_deref()).unwrap_or("?");
    let described = outline.map(|outline| {
        on_screen(outline.banner.series_description.expose_for(Purpose::Show), TEXT_CHARS_MAX)
    });
    let described = described.unwrap_or_default();
    let images = series.images.len();
    let (mut english, mut japanese) = (
        format!("Series {number}: {modality} {described}, {images} images, "),
        format!("シリーズ {number}: {modality} {described}、{images} 枚、"),
    );
    let _ = match shown {
        Some(place) => write!(english, "image {place} is {}", super::picture_name(number))
            .and_then(|()| write!(japanese, "{place} 枚目が {}", super::picture_name(number))),
        None => write!(english, "no picture").and_then(|()| write!(japanese, "画像(JPEG)なし")),
    };
    (english, japanese)
}

fn archive(facts: &Facts<'_>) -> (String, String) {
    let images = facts.survey.images().count();
    match facts.archive {
        Archive::Zip(_) => (
            format!("DICOM.ZIP holds all {images} images as DICOM files with a DICOMDIR."),
            format!("DICOM.ZIP に全 {images} 枚のDICOMファイルとDICOMDIRが入っています。"),
        ),
        Archive::TooLarge { bytes_max } => (
            format!(
                "The DICOM files are not in this mail: they take more than the {} kB that a mail may have. Ask the hospital for them.",
                bytes_max / 1000
            ),
            format!(
                "DICOMファイルは、メールの上限 {} kB を超えるため含まれていません。病院にお問い合わせください。",
                bytes_max / 1000
            ),
        ),
        Archive::Withheld => (
            "The DICOM files are not in this mail: your mail program cannot open mails whose encryption shows every change. Ask the hospital for them.".into(),
            "お使いのメールソフトは改ざんを検知できる暗号に対応していないため、DICOMファイルは含まれていません。病院にお問い合わせください。".into(),
        ),
        Archive::NoImages => {
            ("There are no images in this delivery.".into(), "この配信に画像は含まれていません。".into())
        }
    }
}

/// Each patient that the images name; more than one is a mistake already, and must be seen.
fn patients(survey: &Survey) -> Vec<&Banner> {
    let mut patients: Vec<&Banner> = Vec::new();
    for banner in survey.images().map(|image| &image.outline.banner) {
        if !patients.iter().any(|known| known.is_same_patient(banner)) {
            patients.push(banner);
        }
    }
    patients
}

fn whose(banner: &Banner) -> String {
    let Banner { name, patient_id, birth_date, sex, accession, study_date, study_description, .. } = banner;
    let texts = [
        &name.ideographic,
        &name.phonetic,
        &name.alphabetic,
        patient_id,
        birth_date,
        sex,
        accession,
        study_date,
        study_description,
    ];
    let shown = texts.map(|text| on_screen(text.expose_for(Purpose::Show), TEXT_CHARS_MAX));
    shown.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" / ")
}
