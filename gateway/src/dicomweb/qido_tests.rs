//! Answers of a server, well formed and not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

const ANSWER: &str = r#"[{
    "00080061": {"vr": "CS", "Value": ["MR", "SR", "<b>"]},
    "00081110": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2"]}}]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}]},
    "00100030": {"vr": "DA"},
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00201206": {"vr": "IS", "Value": [2]},
    "00201208": {"vr": "IS", "Value": ["150"]}
}]"#;

fn first(text: &str) -> Result<FoundStudy, &'static str> {
    let answers: Vec<Answer> = serde_json::from_str(text).map_err(|_| "no JSON")?;
    study(answers.first().ok_or("nothing")?)
}

#[test]
fn a_study_is_told_with_its_name_in_three_groups() {
    let study = first(ANSWER).unwrap();
    assert_eq!(study.study.as_str(), "1.2.3");
    assert_eq!(study.modalities, ["MR", "SR"]);
    assert_eq!((study.series_claimed, study.instances_claimed), (Some(2), Some(150)));
    let texts: Vec<_> = study.banner.texts(Purpose::Show).collect();
    let expected = [
        ("name_alphabetic", "Yamada^Tarou"),
        ("name_ideographic", "山田^太郎"),
        ("name_phonetic", "やまだ^たろう"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn an_answer_without_uid_or_of_another_study_is_refused() {
    assert!(first("[{}]").is_err());
    assert!(first(&ANSWER.replace("1.2.3", "../etc")).is_err());
    let answers: Vec<Answer> = serde_json::from_str(ANSWER).unwrap();
    assert_eq!(instance(&answers[0], &Uid::parse("1.9").unwrap()), Err(OF_ANOTHER));
}

#[test]
fn keys_are_escaped() {
    let keys = StudyKeys {
        name: Phi::new("山*&limit=9".into()),
        modality: Some("CT".into()),
        ..StudyKeys::default()
    };
    let asked = query(&keys, 5).unwrap();
    assert!(
        asked.starts_with("limit=5&PatientName=%E5%B1%B1*%26limit%3D9&ModalitiesInStudy=CT&includefield="),
        "{asked}"
    );
    let odd = StudyKeys { modality: Some("CT&x=y".into()), ..StudyKeys::default() };
    assert_eq!(query(&odd, 5), Err(QueryError::Keys));
}

proptest! {
    #[test]
    fn any_change_ends(at in 0_usize..600, byte: u8) {
        let mut bytes = ANSWER.as_bytes().to_vec();
        if let Some(changed) = bytes.get_mut(at) { *changed = byte; }
        if let Ok(answers) = serde_json::from_slice::<Vec<Answer>>(&bytes) {
            for answer in &answers { let _ = study(answer); }
        }
    }
}
