//! Keys of a study, and answers that are right, wrong and damaged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use dimse::elements::Elements;
use proptest::prelude::*;
use time::macros::date;

fn pacs(character_set: &str) -> Pacs {
    toml::from_str(&format!("ae_title = \"P\"\naddress = \"p:104\"\ncharacter_set = \"{character_set}\""))
        .unwrap()
}

fn answer(set: &str, name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, SPECIFIC_CHARACTER_SET, set.as_bytes(), b' ');
    push(&mut bytes, MODALITIES_IN_STUDY, b"CT\\SR\\no code", b' ');
    push(&mut bytes, PATIENT_NAME, name, b' ');
    push(&mut bytes, STUDY_INSTANCE_UID, b"1.2.3", 0);
    push(&mut bytes, SERIES_IN_STUDY, b"2 ", b' ');
    push(&mut bytes, INSTANCES_IN_STUDY, b"-1", b' ');
    bytes
}

#[test]
fn keys_stand_in_order_in_the_character_set_of_the_pacs() {
    let keys = StudyKeys {
        name: Phi::new("山田*".into()),
        from: Some(date!(2026 - 11 - 01)),
        modality: Some("MR".into()),
        ..StudyKeys::default()
    };
    for (set, term, name) in [
        ("ISO_IR 192", &b"ISO_IR 192"[..], "山田*".as_bytes()),
        ("ISO 2022 IR 87", b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B*"),
    ] {
        let identifier = keys.identifier(&pacs(set)).unwrap();
        let value = |tag| {
            let mut elements = Elements::of(&identifier).map(Result::unwrap);
            elements.find(|element| element.tag == tag).unwrap().value.trim_ascii_end().to_vec()
        };
        assert_eq!((value(SPECIFIC_CHARACTER_SET), value(PATIENT_NAME)), (term.to_vec(), name.to_vec()));
        assert_eq!((value(STUDY_DATE), value(MODALITIES_IN_STUDY)), (b"20261101-".to_vec(), b"MR".to_vec()));
    }
    assert_eq!(keys.identifier(&pacs("ISO_IR 100")), Err(QueryError::NotWritable));
}

#[test]
fn keys_that_would_be_two_values_are_refused() {
    for name in ["A\\B", "A\nB", &"x".repeat(KEY_BYTES_MAX + 1)] {
        let keys = StudyKeys { name: Phi::new(name.into()), ..StudyKeys::default() };
        assert_eq!(keys.identifier(&pacs("ISO_IR 192")), Err(QueryError::Keys));
    }
}

#[test]
fn an_answer_is_read_by_its_own_character_set_and_its_numbers_are_claims() {
    let kanji = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
    let told = study(&answer("\\ISO 2022 IR 87", kanji)).unwrap();
    let texts: Vec<_> = told.banner.texts(Purpose::Show).map(|(_, text)| text.to_owned()).collect();
    assert_eq!(texts, ["Yamada^Tarou", "山田^太郎", "やまだ^たろう"]);
    assert_eq!(told.modalities, ["CT", "SR"]);
    assert_eq!((told.series_claimed, told.instances_claimed), (Some(2), None));
    // Shift JIS under the name of UTF-8 is shown as what it is: unreadable.
    let wrong = study(&answer("ISO_IR 192", b"\x8e\x52\x93\x63")).unwrap();
    assert!(wrong.banner.name.alphabetic.expose_for(Purpose::Show).contains('\u{fffd}'));
}

#[test]
fn a_name_outside_ascii_may_stand_in_each_group() {
    let ways = |name| -> Vec<String> {
        ways_to_write(name).iter().map(|way| way.expose_for(Purpose::Show).clone()).collect()
    };
    assert_eq!(ways("山田*"), ["山田*", "=山田*", "==山田*"]);
    assert_eq!(ways("Yamada*"), ["Yamada*"]);
    assert_eq!(ways("=山田*"), ["=山田*"]);
}

proptest! {
    #[test]
    fn any_change_ends(at in 0_usize..200, byte: u8, cut in 0_usize..200) {
        let mut bytes = answer("ISO_IR 192", "山田".as_bytes());
        if let Some(changed) = bytes.get_mut(at) { *changed = byte; }
        bytes.truncate(cut);
        let _ = study(&bytes);
        let _ = patient_id(&bytes);
    }
}
