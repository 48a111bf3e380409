//! Queries against Orthanc, DCMTK's dcmqrscp, and archives that answer nonsense.

use super::archive::{Archive, free_address, pacs};
use super::dcmtk;
use super::files::{SERIES, STUDY, slice};
use super::peer::{COMMAND, LAST, p_data};
use compressor::Uid;
use dicom_dictionary_std::uids;
use dicom_ul::Pdu;
use dicom_ul::pdu::{
    AssociationAC, PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};
use dimse::elements::push;
use gateway::config::Pacs;
use gateway::query::{Lasting, QueryError, Timeouts, instances_of_series};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SLICES: u32 = 25;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

async fn ask(pacs: &Pacs, series: &str) -> Result<BTreeSet<Uid>, QueryError> {
    let timeouts = Timeouts { wait: Duration::from_secs(5), total: Duration::from_secs(20) };
    instances_of_series(pacs, &uid(STUDY), &uid(series), timeouts).await
}

/// Fills the archive and asks it; returns what was stored too.
async fn filled_and_asked(archive: &Archive, ae_title: &str) -> (BTreeSet<Uid>, BTreeSet<Uid>) {
    let temp = TempDir::new().unwrap();
    let slices: Vec<_> =
        (0..SLICES).map(|number| slice(temp.path(), number, 16, uids::EXPLICIT_VR_LITTLE_ENDIAN)).collect();
    let files: Vec<&Path> = slices.iter().map(|slice| slice.path.as_path()).collect();
    let stored = dcmtk::store(archive.address, ae_title, &["-xe", "-R"], &files);
    assert!(stored.success, "{}", stored.text);
    let sent = slices.iter().map(|slice| uid(&slice.sop_instance)).collect();
    (sent, ask(&archive.pacs(ae_title), SERIES).await.unwrap())
}

async fn says_what_a_series_holds(archive: &Archive, ae_title: &str) {
    let (sent, found) = filled_and_asked(archive, ae_title).await;
    assert_eq!(found, sent);
    assert_eq!(ask(&archive.pacs(ae_title), "2.25.404").await, Ok(BTreeSet::new()));
    assert_eq!(ask(&archive.pacs("OTHER"), SERIES).await, Err(QueryError::Refused(Lasting::Permanent)));
}

#[tokio::test(flavor = "multi_thread")]
async fn orthanc_says_what_a_series_holds() {
    says_what_a_series_holds(&Archive::orthanc(), "ORTHANC").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dcmqrscp_says_what_a_series_holds() {
    says_what_a_series_holds(&Archive::dcmqrscp(), "ARCHIVE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_queries_and_one_that_is_down_are_told_apart() {
    let service = super::service::Service::start().await;
    assert_eq!(
        ask(&pacs(service.address, super::service::CALLED), SERIES).await,
        Err(QueryError::NotOffered("C-FIND in Study Root"))
    );
    let down = ask(&pacs(free_address(), "ANY"), SERIES).await.unwrap_err();
    assert_eq!(down, QueryError::Unreachable(std::io::ErrorKind::ConnectionRefused));
    assert_eq!(down.lasting(), Lasting::Temporary);
}

/// Accepts one association, waits for the request, then sends these bytes and stays silent.
fn responder(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_pdu(&mut stream);
        let mut accepted = Vec::new();
        dicom_ul::write_pdu(&mut accepted, &acceptance()).unwrap();
        stream.write_all(&accepted).unwrap();
        read_pdu(&mut stream);
        read_pdu(&mut stream);
        let _ = stream.write_all(&bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    address
}

fn read_pdu(stream: &mut TcpStream) {
    let mut header = [0; 6];
    stream.read_exact(&mut header).unwrap();
    let mut body = vec![0; u32::from_be_bytes(header[2..].try_into().unwrap()) as usize];
    stream.read_exact(&mut body).unwrap();
}

fn acceptance() -> Pdu {
    Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        calling_ae_title: "SCANPOST".to_owned(),
        called_ae_title: "ANY".to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![PresentationContextResult {
            id: 1,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: uids::IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        }],
        user_variables: vec![UserVariableItem::MaxLength(16_384)],
    })
}

fn response(status: u16, data_set: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, 0x0000_0100, &0x8020_u16.to_le_bytes(), 0);
    push(&mut bytes, 0x0000_0120, &1_u16.to_le_bytes(), 0);
    push(&mut bytes, 0x0000_0800, &if data_set { 1_u16 } else { 0x0101 }.to_le_bytes(), 0);
    push(&mut bytes, 0x0000_0900, &status.to_le_bytes(), 0);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_an_error_and_never_a_listing() {
    let pending = response(0xFF00, true);
    let mut foreign = Vec::new();
    push(&mut foreign, 0x0008_0018, b"1.2.3", 0);
    push(&mut foreign, 0x0020_000E, b"1.2.999", 0);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no DICOM", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("oversize PDU", vec![4, 0, 0x7F, 0xFF, 0xFF, 0xFF]),
        ("unknown PDU", vec![9, 0, 0, 0, 0, 1, 0]),
        ("release", vec![5, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
        ("data first", p_data(&[(1, LAST, b"x")])),
        ("garbage command", p_data(&[(1, COMMAND | LAST, &[0xA5; 40])])),
        ("other context", p_data(&[(3, COMMAND | LAST, &response(0, false))])),
        ("garbage identifier", p_data(&[(1, COMMAND | LAST, &pending), (1, LAST, &[0xA5; 33])])),
        ("foreign series", p_data(&[(1, COMMAND | LAST, &pending), (1, LAST, &foreign)])),
        ("no identifier", p_data(&[(1, COMMAND | LAST, &response(0xFF00, false))])),
    ];
    for (name, bytes) in cases {
        let result = ask(&pacs(responder(bytes), "ANY"), SERIES).await;
        assert!(matches!(result, Err(QueryError::Malformed(_))), "{name}: {result:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_statuses_aborts_cuts_and_silence_have_their_own_errors() {
    let failing = responder(p_data(&[(1, COMMAND | LAST, &response(0xA700, false))]));
    assert_eq!(ask(&pacs(failing, "ANY"), SERIES).await, Err(QueryError::Failed { status: 0xA700 }));
    let aborting = responder(vec![7, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    assert_eq!(ask(&pacs(aborting, "ANY"), SERIES).await, Err(QueryError::Aborted));
    let timeouts = Timeouts { wait: Duration::from_millis(300), total: Duration::from_secs(5) };
    let silent = pacs(responder(Vec::new()), "ANY");
    let (study, series) = (uid(STUDY), uid(SERIES));
    assert_eq!(instances_of_series(&silent, &study, &series, timeouts).await, Err(QueryError::Silent));
}

/// One valid answer every 50 ms for ever: each wait is short, the whole is not.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_never_ends_is_left_after_the_total_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endless = pacs(listener.local_addr().unwrap(), "ANY");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_pdu(&mut stream);
        let mut accepted = Vec::new();
        dicom_ul::write_pdu(&mut accepted, &acceptance()).unwrap();
        stream.write_all(&accepted).unwrap();
        let mut identifier = Vec::new();
        push(&mut identifier, 0x0008_0018, b"1.2.3", 0);
        let answer = p_data(&[(1, COMMAND | LAST, &response(0xFF00, true)), (1, LAST, &identifier)]);
        while stream.write_all(&answer).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let timeouts = Timeouts { wait: Duration::from_secs(5), total: Duration::from_millis(600) };
    let started = Instant::now();
    let (study, series) = (uid(STUDY), uid(SERIES));
    assert_eq!(instances_of_series(&endless, &study, &series, timeouts).await, Err(QueryError::Silent));
    assert!(started.elapsed() < Duration::from_secs(3));
}
