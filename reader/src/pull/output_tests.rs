//! What a later run finds, and that two runs keep apart.

use super::*;
use std::sync::mpsc;
use std::time::Duration;

fn record(delivery: u8, sequence: u32) -> Record {
    Record {
        delivery: DeliveryId([delivery; 16]),
        case: CaseId([0xCA; 16]),
        sequence,
        site: "hospital.example".into(),
        signer: Digest([1; 32]),
        cover: Digest([delivery; 32]),
        recipient: None,
        completeness: Completeness::Proved { instances: 3 },
        residual_of: None,
        answers: None,
        exact: Exact::Here,
        instances: 3,
        sealed_at: 1_763_800_000,
        received: 1_763_800_060,
    }
}

fn put(output: &Output, record: &Record) {
    let folder = output.place(record.case, record.sequence);
    fs::create_dir_all(&folder).unwrap();
    durable::write_file(&folder.join(RECORD_FILE), &to_json(record).unwrap()).unwrap();
}

#[test]
fn a_placed_delivery_is_known_again() {
    let folder = tempfile::tempdir().unwrap();
    let output = Output::lock(folder.path()).unwrap();
    put(&output, &record(1, 1));
    put(&output, &record(3, 3));
    let known = output.known().unwrap();
    assert_eq!(known.placed.values().cloned().collect::<Vec<_>>(), [record(1, 1), record(3, 3)]);
    assert_eq!(known.gaps(CaseId([0xCA; 16]), 5), [2, 4]);
    assert_eq!(known.gaps(CaseId([0xCA; 16]), u32::MAX).len(), GAPS_SHOWN_MAX);
}

#[test]
fn a_sequence_number_stays_seen_when_its_folder_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let output = Output::lock(folder.path()).unwrap();
    assert!(!output.receipt_sent(record(1, 1).delivery));
    output.remember_receipt(&record(1, 1)).unwrap();
    assert!(output.receipt_sent(record(1, 1).delivery));
    let known = output.known().unwrap();
    assert!(known.placed.is_empty());
    assert_eq!(known.seen[&(CaseId([0xCA; 16]), 1)], Digest([1; 32]));
}

#[test]
fn a_record_in_the_wrong_folder_or_unreadable_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let output = Output::lock(folder.path()).unwrap();
    put(&output, &record(1, 1));
    fs::rename(output.place(CaseId([0xCA; 16]), 1), output.place(CaseId([0xCA; 16]), 2)).unwrap();
    fs::create_dir_all(output.place(CaseId([0xCA; 16]), 7)).unwrap();
    fs::create_dir_all(folder.path().join("holiday pictures")).unwrap();
    assert!(output.known().unwrap().placed.is_empty());
}

#[test]
fn sweeping_keeps_only_what_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = Output::lock(folder.path()).unwrap();
    for delivery in [DeliveryId([1; 16]), DeliveryId([2; 16])] {
        fs::create_dir_all(output.incoming(delivery)).unwrap();
    }
    output.sweep(|delivery| delivery == DeliveryId([2; 16])).unwrap();
    assert!(!output.incoming(DeliveryId([1; 16])).exists());
    assert!(output.incoming(DeliveryId([2; 16])).exists());
}

#[test]
fn a_second_run_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let first = Output::lock(folder.path()).unwrap();
    let (sender, second) = mpsc::channel();
    let root = folder.path().to_owned();
    std::thread::spawn(move || sender.send(Output::lock(&root).is_ok()));
    assert!(second.recv_timeout(Duration::from_millis(200)).is_err(), "the second did not wait");
    drop(first);
    assert!(second.recv_timeout(Duration::from_secs(5)).unwrap());
}
