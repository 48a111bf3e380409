//! Peers that break off or break the rules: told so where possible, nothing of theirs kept, the service lives.

use super::dcmtk;
use super::peer::{COMMAND, CT, LAST, Peer, REFUSED, UNKNOWN_SYNTAX};
use super::peer::{command, echo_request, p_data, request, store_request};
use super::service::{CALLED, Service};
use dicom_dictionary_std::uids;
use dicom_ul::Pdu;
use dicom_ul::pdu::{AbortRQServiceProviderReason as Reason, AbortRQSource};
use std::io::Write;
use std::net::Shutdown;

fn aborted(reason: Reason) -> Option<Pdu> {
    Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) })
}

/// A peer in the middle of an object's data set.
fn half_sent(service: &Service) -> Peer {
    let mut peer = Peer::associate(service.address);
    peer.send_values(&[(CT, COMMAND | LAST, &store_request("1.2.3.1")), (CT, 0, &[7; 100_000])]);
    peer
}

async fn assert_alive(service: &Service) {
    assert!(service.files().is_empty(), "something was left behind");
    assert!(service.committed().is_empty(), "something was stored");
    let echo = dcmtk::echo(service.address, CALLED);
    assert!(echo.success, "{}", echo.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_sent_object_is_dropped_however_it_breaks_off() {
    let service = Service::start().await;
    half_sent(&service).send(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser });
    drop(half_sent(&service));
    let mut torn = half_sent(&service);
    let pdu = p_data(&[(CT, LAST, &[9; 5_000])]);
    torn.send_bytes(&pdu[..2_500]);
    torn.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(torn.receive(), None);
    service.wait_ended(3);
    assert_alive(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_rules_in_the_middle_of_an_object_are_answered_with_an_abort() {
    let cases: Vec<(&str, Vec<u8>, Reason)> = vec![
        ("unknown PDU type", vec![0x42, 0, 0, 0, 0, 4, 0, 0, 0, 0], Reason::UnrecognizedPdu),
        ("garbage", vec![0xA5; 64], Reason::UnrecognizedPdu),
        ("oversize PDU", vec![4, 0, 0x7F, 0xFF, 0xFF, 0xFF], Reason::InvalidPduParameter),
        ("one byte too many", vec![4, 0, 0, 2, 0, 1], Reason::InvalidPduParameter),
        ("release now", vec![5, 0, 0, 0, 0, 4, 0, 0, 0, 0], Reason::UnexpectedPdu),
        ("release response", vec![6, 0, 0, 0, 0, 4, 0, 0, 0, 0], Reason::UnexpectedPdu),
        ("second request", associate_request(), Reason::UnexpectedPdu),
        ("interleaved", p_data(&[(UNKNOWN_SYNTAX, 0, b"x")]), Reason::UnexpectedPduParameter),
        (
            "command again",
            p_data(&[(CT, COMMAND | LAST, &store_request("1.2"))]),
            Reason::UnexpectedPduParameter,
        ),
        ("torn value", vec![4, 0, 0, 0, 0, 8, 0, 0, 1, 0, CT, 0, 1, 2], Reason::UnexpectedPduParameter),
        ("value of length 1", vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 1, CT, 0], Reason::UnexpectedPduParameter),
    ];
    let service = Service::start().await;
    let number = cases.len();
    for (name, bytes, reason) in cases {
        let mut peer = half_sent(&service);
        peer.send_bytes(&bytes);
        assert_eq!(peer.receive(), aborted(reason), "{name}");
        assert_eq!(peer.receive(), None, "{name}");
    }
    service.wait_ended(number);
    assert_alive(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_rules_between_objects_are_answered_with_an_abort() {
    let response = command(0x8001, uids::CT_IMAGE_STORAGE, None, false);
    let long = vec![0; 60_000];
    let cases: Vec<(&str, Vec<u8>, Reason)> = vec![
        ("data first", p_data(&[(CT, LAST, b"x")]), Reason::UnexpectedPduParameter),
        (
            "a refused context",
            p_data(&[(REFUSED, COMMAND | LAST, &echo_request())]),
            Reason::UnexpectedPduParameter,
        ),
        ("no context", p_data(&[(99, COMMAND | LAST, &echo_request())]), Reason::UnexpectedPduParameter),
        ("a response", p_data(&[(CT, COMMAND | LAST, &response)]), Reason::UnexpectedPdu),
        ("no command", p_data(&[(CT, COMMAND | LAST, b"\0\0\0\0")]), Reason::UnexpectedPduParameter),
        (
            "endless command",
            p_data(&[(CT, COMMAND, &long), (CT, COMMAND, &long)]),
            Reason::UnexpectedPduParameter,
        ),
        ("empty fragments", p_data(&[(CT, COMMAND, &[][..]); 100]), Reason::UnexpectedPduParameter),
    ];
    let service = Service::start().await;
    for (name, bytes, reason) in cases {
        let mut peer = Peer::associate(service.address);
        peer.send_bytes(&bytes);
        assert_eq!(peer.receive(), aborted(reason), "{name}");
    }
    assert_alive(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_dicom_is_told_so() {
    let service = Service::start().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03",
        &[1; 8],
    ] {
        let mut peer = Peer::connect(service.address);
        peer.send_bytes(bytes);
        assert_eq!(peer.receive(), aborted(Reason::UnrecognizedPdu));
        assert_eq!(peer.receive(), None);
    }
    let mut peer = Peer::connect(service.address);
    peer.send(&Pdu::ReleaseRQ);
    assert_eq!(peer.receive(), aborted(Reason::UnexpectedPdu));
    let mut lying = associate_request();
    *lying.last_mut().unwrap() ^= 0xFF;
    let end = lying.len() - 20;
    lying[2..6].copy_from_slice(&((end - 6) as u32).to_be_bytes());
    let mut peer = Peer::connect(service.address);
    peer.send_bytes(&lying[..end]);
    assert_eq!(peer.receive(), aborted(Reason::InvalidPduParameter));
    drop(Peer::connect(service.address));
    assert!(service.desk.ended.lock().unwrap().is_empty(), "none of these was an association");
    assert_alive(&service).await;
}

/// Every association request cut short or with one byte changed ends in an answer or an end, never in a crash.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_requests_never_stop_the_service() {
    let service = Service::start_with(|dicom| {
        (dicom.associations_max, dicom.associations_of_address_max) = (256, Some(256))
    })
    .await;
    let whole = associate_request();
    for place in (6..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[place] = damaged[place].wrapping_add(0x81);
        let mut peer = Peer::connect(service.address);
        peer.send_bytes(&damaged);
        let _ = peer.0.shutdown(Shutdown::Write);
        while peer.receive().is_some() {}
    }
    assert_alive(&service).await;
}

fn associate_request() -> Vec<u8> {
    let mut bytes = Vec::new();
    dicom_ul::write_pdu(&mut bytes, &Pdu::AssociationRQ(request(CALLED))).unwrap();
    bytes.flush().unwrap();
    bytes
}
