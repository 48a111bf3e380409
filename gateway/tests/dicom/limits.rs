//! Limits of number, time and memory, leftovers of a crash, and an orderly stop.

use super::dcmtk;
use super::peer::{COMMAND, CT, LAST, Peer, store_request};
use super::service::{CALLED, Service};
use dicom_dictionary_std::uids;
use dicom_ul::Pdu;
use dimse::status;
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn one_association_too_many_is_told_to_come_back() {
    let service = Service::start_with(|dicom| dicom.associations_max = 1).await;
    let peer = Peer::associate(service.address);
    let turned_away = dcmtk::echo(service.address, CALLED);
    assert!(!turned_away.success);
    assert!(turned_away.text.contains("Temporary Congestion"), "{}", turned_away.text);
    peer.release();
    service.wait_ended(1);
    // The place is free once the connection is closed on both sides.
    let deadline = Instant::now() + Duration::from_secs(5);
    while !dcmtk::echo(service.address, CALLED).success {
        assert!(Instant::now() < deadline, "the place was not given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_is_aborted_and_a_slow_one_is_not() {
    let service = Service::start_with(|dicom| dicom.idle_ms = 400).await;
    let mut silent = Peer::associate(service.address);
    let mut slow = Peer::associate(service.address);
    slow.send_values(&[(CT, COMMAND | LAST, &store_request("1.2.3.1"))]);
    for byte in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        slow.send_values(&[(CT, if byte == 9 { LAST } else { 0 }, &[byte])]);
    }
    assert_eq!(slow.status(), status::SUCCESS);
    service.assert_holds("1.2.3.1", uids::EXPLICIT_VR_LITTLE_ENDIAN, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(matches!(silent.receive(), Some(Pdu::AbortRQ { .. })));
    slow.release();
}

/// 256 MiB through one association; the memory of the whole test process stays far below.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_never_held_in_memory() {
    const PIECE: usize = 120_000;
    const PIECES: usize = (256 << 20) / PIECE;
    const MEMORY_KIB_MAX: u64 = 64 << 10;
    let service = Service::start().await;
    let mut peer = Peer::associate(service.address);
    peer.send_values(&[(CT, COMMAND | LAST, &store_request("1.2.3.1"))]);
    let piece = vec![7; PIECE];
    for _ in 0..PIECES {
        peer.send_values(&[(CT, 0, &piece)]);
    }
    peer.send_values(&[(CT, LAST, b"")]);
    assert_eq!(peer.status(), status::SUCCESS);
    assert_eq!(service.committed()[0].bytes, (PIECE * PIECES) as u64);
    let peak = memory_peak_kib();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
}

fn memory_peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_crash_go_and_everything_else_stays() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("receive");
    std::fs::create_dir(&folder).unwrap();
    let finished = "0123456789abcdef0123456789abcdef";
    for name in [finished, &format!("{finished}.part"), "note.part"] {
        std::fs::write(folder.join(name), b"x").unwrap();
    }
    let service = Service::start_in(temp, folder, |_| {}).await;
    assert!(dcmtk::echo(service.address, CALLED).success);
    let mut files = service.files();
    files.sort();
    assert_eq!(files, [finished, "note.part"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_associations_and_keeps_what_was_acknowledged() {
    let service = Service::start().await;
    let mut peer = Peer::associate(service.address);
    assert_eq!(peer.store("1.2.3.1", b"kept"), status::SUCCESS);
    peer.send_values(&[(CT, COMMAND | LAST, &store_request("1.2.3.2")), (CT, 0, b"half")]);
    let (folder, desk) = (service.folder.clone(), service.desk.clone());
    let watch = std::thread::spawn(move || peer.receive());
    let started = Instant::now();
    // The folder must outlive the service here, which owns it.
    let kept = TempDir::new().unwrap();
    service.stop_and(|| std::fs::rename(&folder, kept.path().join("receive")).unwrap()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(watch.join().unwrap(), Some(Pdu::AbortRQ { .. })));
    assert_eq!(std::fs::read_dir(kept.path().join("receive")).unwrap().count(), 1);
    assert_eq!(desk.committed.lock().unwrap().len(), 1);
}
