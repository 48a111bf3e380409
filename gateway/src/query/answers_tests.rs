//! Answers of a PACS, well formed and not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::super::identifier;
use super::*;
use crate::dimse::elements::push;

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

fn after(identifier: &[u8]) -> Result<BTreeSet<Uid>, QueryError> {
    let (study, series) = (uid("1.2"), uid("1.2.3"));
    let mut answers = Answers::new(&study, &series, 1, 1);
    answers.take(response(status::PENDING_WARNING, true))?;
    let (first, second) = identifier.split_at(identifier.len() / 2);
    answers.take(Event::DataSet(first, false))?;
    answers.take(Event::DataSet(second, true))?;
    assert!(answers.take(response(status::SUCCESS, false))?);
    Ok(answers.into_instances())
}

#[test]
fn what_we_ask_with_is_in_order_and_even() {
    let keys = identifier::keys(&uid("1.2"), &uid("1.2.3"));
    assert_eq!(keys.len(), 4 * 8 + 6 + 4 + 6);
    assert_eq!(
        identifier::instance(&keys, &uid("1.2"), &uid("1.2.3")),
        Err("an answer without SOP Instance UID")
    );
}

#[test]
fn an_answer_names_its_instance_keys_repeated_or_not() {
    let full = answer(&[
        (0x0008_0018, "1.9"),
        (0x0008_0052, "IMAGE "),
        (0x0020_000D, "1.2"),
        (0x0020_000E, "1.2.3"),
    ]);
    assert_eq!(after(&full), Ok(BTreeSet::from([uid("1.9")])));
    assert_eq!(after(&answer(&[(0x0008_0018, "1.9")])), Ok(BTreeSet::from([uid("1.9")])));
}

#[test]
fn other_series_missing_instances_and_garbage_are_malformed() {
    for wrong in [
        answer(&[(0x0008_0018, "1.9"), (0x0020_000E, "1.2.4")]),
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
    let (study, series) = (uid("1.2"), uid("1.2.3"));
    let take = |event| Answers::new(&study, &series, 1, 1).take(event);
    assert_eq!(take(response(0xA700, false)), Err(QueryError::Failed { status: 0xA700 }));
    assert_eq!(take(response(status::CANCELLED, false)), Err(QueryError::Failed { status: 0xFE00 }));
    assert!(matches!(take(response(status::PENDING, false)), Err(QueryError::Malformed(_))));
    assert!(matches!(take(response(status::SUCCESS, true)), Err(QueryError::Malformed(_))));
    let Event::Command(_, command) = response(status::SUCCESS, false) else { unreachable!() };
    assert!(matches!(take(Event::Command(3, command.clone())), Err(QueryError::Malformed(_))));
    let other = Command { responds_to: Some(2), ..command };
    assert!(matches!(take(Event::Command(1, other)), Err(QueryError::Malformed(_))));
}

#[test]
fn endless_answers_end() {
    let (study, series) = (uid("1.2"), uid("1.2.3"));
    let mut answers = Answers::new(&study, &series, 1, 1);
    for _ in 0..RESPONSES_MAX {
        answers.take(response(status::PENDING, true)).unwrap();
    }
    assert_eq!(answers.take(response(status::PENDING, true)), Err(QueryError::TooMany));
}
