//! Messages as the standard allows them, and the statuses they get.

use super::peer::{COMMAND, CT, LAST, Peer, UNKNOWN_SYNTAX, UNKNOWN_SYNTAX_UID, VERIFICATION};
use super::peer::{command, echo_request, p_data, store_request};
use super::service::Service;
use dicom_dictionary_std::uids;
use dimse::status;
use gateway::receive::IntakeRefusal;
use std::sync::atomic::Ordering;

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;

#[tokio::test(flavor = "multi_thread")]
async fn fragments_may_be_cut_everywhere_and_be_empty() {
    let service = Service::start().await;
    let mut peer = Peer::associate(service.address);
    let request = store_request("1.2.3.1");
    let (head, tail) = request.split_at(11);
    peer.send_values(&[(CT, COMMAND, head), (CT, COMMAND, b"")]);
    peer.send_values(&[(CT, COMMAND | LAST, tail), (CT, 0, b"odd"), (CT, 0, b"")]);
    peer.send_values(&[(CT, LAST, b"and even")]);
    assert_eq!(peer.status(), status::SUCCESS);
    service.assert_holds("1.2.3.1", EXPLICIT, b"oddand even");
    peer.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_in_one_pdu_are_all_answered() {
    let service = Service::start().await;
    let mut peer = Peer::associate(service.address);
    let (one, two) = (store_request("1.2.3.1"), store_request("1.2.3.2"));
    peer.send_values(&[
        (CT, COMMAND | LAST, &one),
        (CT, LAST, b"1"),
        (VERIFICATION, COMMAND | LAST, &echo_request()),
        (CT, COMMAND | LAST, &two),
        (CT, LAST, b"2"),
    ]);
    assert_eq!([peer.status(), peer.status(), peer.status()], [0, 0, 0]);
    service.assert_holds("1.2.3.2", EXPLICIT, b"2");
    peer.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_transfer_syntax_is_kept_as_it_came() {
    let service = Service::start().await;
    let mut peer = Peer::associate(service.address);
    peer.send_values(&[
        (UNKNOWN_SYNTAX, COMMAND | LAST, &store_request("1.2.3.9")),
        (UNKNOWN_SYNTAX, LAST, b"\x01\xFF"),
    ]);
    assert_eq!(peer.status(), status::SUCCESS);
    service.assert_holds("1.2.3.9", UNKNOWN_SYNTAX_UID, b"\x01\xFF");
    peer.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_served_get_the_status_of_the_standard() {
    let service = Service::start().await;
    let mut peer = Peer::associate(service.address);
    let ct = uids::CT_IMAGE_STORAGE;
    let cases: [(u8, Vec<u8>, bool, u16); 8] = [
        (CT, command(0x0020, ct, None, true), true, status::UNRECOGNIZED_OPERATION),
        (CT, command(0x0130, ct, None, false), false, status::UNRECOGNIZED_OPERATION),
        (CT, command(0x0001, ct, Some("not a uid"), true), true, status::INVALID_SOP_INSTANCE),
        (CT, command(0x0001, ct, None, true), true, status::INVALID_SOP_INSTANCE),
        (CT, command(0x0001, "no class", Some("1.2.3"), true), true, status::SOP_CLASS_NOT_SUPPORTED),
        (CT, command(0x0001, ct, Some("1.2.3"), false), false, status::CANNOT_UNDERSTAND),
        (VERIFICATION, command(0x0001, ct, Some("1.2.3"), true), true, status::SOP_CLASS_NOT_SUPPORTED),
        (VERIFICATION, echo_request(), false, status::SUCCESS),
    ];
    for (context, request, data_set, expected) in cases {
        peer.send_values(&[(context, COMMAND | LAST, &request)]);
        if data_set {
            peer.send_values(&[(context, LAST, b"skipped")]);
        }
        assert_eq!(peer.status(), expected);
    }
    peer.release();
    assert!(service.files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_is_ignored() {
    let service = Service::start().await;
    let mut peer = Peer::associate(service.address);
    peer.send_values(&[(CT, COMMAND | LAST, &command(0x0FFF, uids::CT_IMAGE_STORAGE, None, false))]);
    assert_eq!(peer.store("1.2.3.1", b"after"), status::SUCCESS);
    peer.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_a_lost_folder_leave_the_association_usable() {
    let service = Service::start().await;
    let mut peer = Peer::associate(service.address);
    *service.desk.refusal.lock().unwrap() = Some(IntakeRefusal::CannotUnderstand);
    assert_eq!(peer.store("1.2.3.1", b"refused"), status::CANNOT_UNDERSTAND);
    *service.desk.refusal.lock().unwrap() = None;
    service.desk.closed.store(true, Ordering::Relaxed);
    assert_eq!(peer.store("1.2.3.2", b"not now"), status::OUT_OF_RESOURCES);
    service.desk.closed.store(false, Ordering::Relaxed);
    assert!(service.files().is_empty());

    let away = service.folder.with_extension("away");
    std::fs::rename(&service.folder, &away).unwrap();
    assert_eq!(peer.store("1.2.3.3", b"nowhere"), status::OUT_OF_RESOURCES);
    std::fs::rename(&away, &service.folder).unwrap();
    assert_eq!(peer.store("1.2.3.4", b"back again"), status::SUCCESS);
    service.assert_holds("1.2.3.4", EXPLICIT, b"back again");
    assert_eq!(service.committed().len(), 1);
    peer.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_fits_the_smallest_pdu_a_peer_takes() {
    let service = Service::start().await;
    let mut peer = Peer::connect(service.address);
    let mut request = super::peer::request(super::service::CALLED);
    request.user_variables = vec![dicom_ul::pdu::UserVariableItem::MaxLength(64)];
    peer.send(&dicom_ul::Pdu::AssociationRQ(request));
    peer.receive().unwrap();
    peer.send_bytes(&p_data(&[(CT, COMMAND | LAST, &store_request("1.2.3.1")), (CT, LAST, b"x")]));
    let (mut command, mut last) = (Vec::new(), false);
    while !last {
        let Some(dicom_ul::Pdu::PData { data }) = peer.receive() else { panic!("no response") };
        assert!(data[0].data.len() + 6 <= 64);
        command.extend_from_slice(&data[0].data);
        last = data[0].is_last;
    }
    let parsed = dimse::Command::parse(&command).unwrap();
    assert_eq!((parsed.status, parsed.responds_to), (Some(status::SUCCESS), Some(9)));
}
