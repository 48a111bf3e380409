//! Orders in which fragments may and may not come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::super::{command, field, uid};
use super::*;

fn of_command(bytes: &[u8], last: bool) -> Pdv<'_> {
    Pdv { context: 1, command: true, last, bytes }
}

fn of_data(bytes: &[u8], last: bool) -> Pdv<'_> {
    Pdv { context: 1, command: false, last, bytes }
}

#[test]
fn a_command_cut_anywhere_is_put_together() {
    let request = command::request(field::C_FIND_RQ, uid::STUDY_ROOT_FIND, 1, None);
    for cut in 0..=request.len() {
        let mut messages = Messages::default();
        assert_eq!(messages.take(of_command(&request[..cut], false)), Ok(Event::Waiting));
        let event = messages.take(of_command(&request[cut..], true)).unwrap();
        assert!(matches!(event, Event::Command(1, command) if command.data_set));
        assert_eq!(messages.take(of_data(b"", false)), Ok(Event::DataSet(b"", false)));
        assert_eq!(messages.take(of_data(b"x", true)), Ok(Event::DataSet(b"x", true)));
        assert!(messages.at_rest());
    }
}

#[test]
fn wrong_order_and_interleaving_are_refused() {
    let request = command::request(field::C_FIND_RQ, uid::STUDY_ROOT_FIND, 1, None);
    let mut messages = Messages::default();
    assert_eq!(messages.take(of_data(b"x", true)), Err(Disorder::WrongKind));
    messages.take(of_command(&request, true)).unwrap();
    assert_eq!(messages.take(of_command(&request, true)), Err(Disorder::WrongKind));
    assert_eq!(messages.take(Pdv { context: 3, ..of_data(b"x", true) }), Err(Disorder::Interleaved));
}

#[test]
fn endless_commands_and_empty_fragments_are_refused() {
    let mut messages = Messages::default();
    let piece = vec![0; COMMAND_BYTES_MAX];
    messages.take(of_command(&piece, false)).unwrap();
    assert_eq!(messages.take(of_command(b"x", false)), Err(Disorder::CommandTooLong));
    let mut messages = Messages::default();
    for _ in 0..EMPTY_FRAGMENTS_MAX {
        messages.take(of_command(b"", false)).unwrap();
    }
    assert_eq!(messages.take(of_command(b"", false)), Err(Disorder::Empty));
}

#[test]
fn a_pdu_holds_several_values_and_a_torn_one_is_seen() {
    let mut body = Vec::new();
    push_pdv_header(&mut body, 5, true, true, 2);
    body.extend_from_slice(b"ab");
    push_pdv_header(&mut body, 5, false, false, 0);
    let pdvs: Vec<_> = Pdvs(&body).map(Result::unwrap).collect();
    assert_eq!(pdvs[0], Pdv { context: 5, command: true, last: true, bytes: b"ab" });
    assert_eq!(pdvs[1], Pdv { context: 5, command: false, last: false, bytes: b"" });
    assert_eq!(Pdvs(&body[..body.len() - 1]).last(), Some(Err(Disorder::TornValue)));
    assert_eq!(Pdvs(&[0, 0, 0, 1, 1, 3]).last(), Some(Err(Disorder::TornValue)));
}

proptest::proptest! {
    #[test]
    fn any_body_ends(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut messages = Messages::default();
        for pdv in Pdvs(&body) {
            let Ok(pdv) = pdv else { break };
            if messages.take(pdv).is_err() { break }
        }
    }
}
