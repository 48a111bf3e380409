//! Answers of a PACS, well formed and not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::super::identifier;
use super::*;
use compressor::Uid;
use dimse::command::Suboperations;
use dimse::elements::push;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn response(status: u16, data_set: bool) -> Event<'static> {
    Event::Command(
        1,
        Command {
            field: field::C_FIND_RSP,
            message_id: None,
            responds_to: Some(1),
            sop_class: None,
            sop_instance: None,
            status: Some(status),
            data_set,
            suboperations: Suboperations::default(),
        },
    )
}

fn answer(elements: &[(u32, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, value) in elements {
        push(&mut bytes, *tag, value.as_bytes(), 0);
    }
    bytes
}

fn after(identifier: &[u8]) -> Result<Uid, QueryError> {
    let mut answers = Answers::new(1, 1);
    assert_eq!(answers.take(response(status::PENDING_WARNING, true))?, Told::Nothing);
    let (first, second) = identifier.split_at(identifier.len() / 2);
    assert_eq!(answers.take(Event::DataSet(first, false))?, Told::Nothing);
    let Told::Match(identifier) = answers.take(Event::DataSet(second, true))? else { unreachable!() };
    assert_eq!(answers.take(response(status::SUCCESS, false))?, Told::Over { cancelled: false });
    let read = identifier::instance(&identifier, &uid("1.2"), &uid("1.2.3"));
    read.map(|(instance, _)| instance).map_err(QueryError::Malformed)
}

#[test]
fn what_we_ask_with_is_in_order_and_even() {
    let keys = identifier::keys(&uid("1.2"), &uid("1.2.3"));
    assert_eq!(keys.len(), 5 * 8 + 6 + 4 + 6);
    assert_eq!(
        identifier::instance(&keys, &uid("1.2"), &uid("1.2.3")),
        Err("an answer without SOP Instance UID")
    );
    let keys = identifier::series_keys(&uid("1.2"));
    assert_eq!(identifier::series(&keys, &uid("1.2")), Err("an answer without Series Instance UID"));
}

#[test]
fn an_answer_names_its_instance_keys_repeated_or_not() {
    let full = answer(&[
        (0x0008_0016, "1.8"),
        (0x0008_0018, "1.9"),
        (0x0008_0052, "IMAGE "),
        (0x0020_000D, "1.2"),
        (0x0020_000E, "1.2.3"),
    ]);
    assert_eq!(after(&full), Ok(uid("1.9")));
    let class = identifier::instance(&full, &uid("1.2"), &uid("1.2.3")).unwrap().1;
    assert_eq!(class, Some(uid("1.8")));
    assert_eq!(after(&answer(&[(0x0008_0018, "1.9")])), Ok(uid("1.9")));
}

#[test]
fn a_series_is_told_with_its_modality() {
    let full = answer(&[(0x0008_0060, "MR"), (0x0020_000D, "1.2"), (0x0020_000E, "1.2.3")]);
    assert_eq!(identifier::series(&full, &uid("1.2")), Ok((uid("1.2.3"), Some("MR".into()))));
    let other = answer(&[(0x0020_000D, "1.3"), (0x0020_000E, "1.2.3")]);
    assert_eq!(identifier::series(&other, &uid("1.2")), Err(identifier::OF_ANOTHER));
    let odd = answer(&[(0x0008_0060, "<b>"), (0x0020_000E, "1.2.3")]);
    assert_eq!(identifier::series(&odd, &uid("1.2")), Ok((uid("1.2.3"), None)));
}

#[test]
fn other_series_missing_instances_and_garbage_are_malformed() {
    for wrong in [
        answer(&[(0x0008_0018, "1.9"), (0x0020_000E, "1.2.4")]),
        answer(&[(0x0008_0018, "1.9"), (0x0020_000D, "1.3")]),
        answer(&[(0x0008_0018, "not a uid")]),
        answer(&[]),
        vec![8, 0, 0x18, 0, 0xFF, 0xFF, 0xFF, 0x7F, 1],
        vec![0; IDENTIFIER_BYTES_MAX + 2],
    ] {
        assert!(matches!(after(&wrong), Err(QueryError::Malformed(_))));
    }
}

#[test]
fn statuses_and_foreign_messages() {
    let take = |event| Answers::new(1, 1).take(event);
    assert_eq!(take(response(0xA700, false)), Err(QueryError::Failed { status: 0xA700 }));
    assert_eq!(take(response(status::CANCELLED, false)), Ok(Told::Over { cancelled: true }));
    assert!(matches!(take(response(status::PENDING, false)), Err(QueryError::Malformed(_))));
    assert!(matches!(take(response(status::SUCCESS, true)), Err(QueryError::Malformed(_))));
    let Event::Command(_, command) = response(status::SUCCESS, false) else { unreachable!() };
    assert!(matches!(take(Event::Command(3, command.clone())), Err(QueryError::Malformed(_))));
    let other = Command { responds_to: Some(2), ..command };
    assert!(matches!(take(Event::Command(1, other)), Err(QueryError::Malformed(_))));
}
