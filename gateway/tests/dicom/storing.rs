//! What DCMTK sends is held byte for byte, whatever its transfer syntax and however many send at once.

use super::dcmtk;
use super::files::{Slice, slice};
use super::service::{CALLED, Service};
use dicom_dictionary_std::uids;
use std::path::Path;
use tempfile::TempDir;

const ROWS: u16 = 128;

#[tokio::test(flavor = "multi_thread")]
async fn echoscu_is_answered_where_the_called_title_is_known() {
    let service = Service::start().await;
    let known = dcmtk::echo(service.address, CALLED);
    assert!(known.success, "{}", known.text);
    let unknown = dcmtk::echo(service.address, "NOBODY");
    assert!(!unknown.success);
    assert!(unknown.text.contains("Called AE Title Not Recognized"), "{}", unknown.text);
    assert!(service.files().is_empty());
}

/// The syntaxes: option of storescu, UID. Pixel data of the encapsulated ones is passed on as it is.
const SYNTAXES: [(&str, &str); 8] = [
    ("-xe", uids::EXPLICIT_VR_LITTLE_ENDIAN),
    ("-xi", uids::IMPLICIT_VR_LITTLE_ENDIAN),
    ("-xb", "1.2.840.10008.1.2.2"),
    ("-xr", uids::RLE_LOSSLESS),
    ("-xs", uids::JPEG_LOSSLESS_SV1),
    ("-xt", uids::JPEGLS_LOSSLESS),
    ("-xv", uids::JPEG2000_LOSSLESS),
    ("-xy", uids::JPEG_BASELINE8_BIT),
];

#[tokio::test(flavor = "multi_thread")]
async fn storescu_is_taken_in_every_transfer_syntax() {
    let (service, temp) = (Service::start().await, TempDir::new().unwrap());
    for (number, (option, syntax)) in (1..).zip(SYNTAXES) {
        let sent = slice(temp.path(), number, ROWS, syntax);
        let ran = dcmtk::store(service.address, CALLED, &[option], &[&sent.path]);
        assert!(ran.success, "{syntax}: {}", ran.text);
        service.assert_holds(&sent.sop_instance, syntax, &sent.data_set);
    }
    assert_eq!(service.files().len(), SYNTAXES.len());
    let first = &service.committed()[0];
    assert_eq!(first.sop_class.as_str(), uids::CT_IMAGE_STORAGE);
    assert_eq!((first.calling.as_str(), first.called.as_str()), ("PACS", CALLED));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_senders_at_once_lose_nothing() {
    let (service, temp) = (Service::start().await, TempDir::new().unwrap());
    let slices: Vec<Slice> =
        (0..60).map(|number| slice(temp.path(), number, ROWS, uids::EXPLICIT_VR_LITTLE_ENDIAN)).collect();
    let senders: Vec<_> = slices
        .chunks(3)
        .map(|slices| {
            let files: Vec<&Path> = slices.iter().map(|slice| slice.path.as_path()).collect();
            dcmtk::start_storing(service.address, CALLED, &["-xe", "-R"], &files)
        })
        .collect();
    for ran in senders.into_iter().map(dcmtk::wait) {
        assert!(ran.success, "{}", ran.text);
    }
    for slice in &slices {
        service.assert_holds(&slice.sop_instance, uids::EXPLICIT_VR_LITTLE_ENDIAN, &slice.data_set);
    }
    assert_eq!(service.files().len(), slices.len());
    service.wait_ended(20);
    let committed = service.committed();
    let mut associations: Vec<_> = committed.iter().map(|instance| instance.association).collect();
    associations.sort_unstable();
    associations.dedup();
    assert_eq!(associations.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn storescu_goes_on_after_a_refusal() {
    let (service, temp) = (Service::start().await, TempDir::new().unwrap());
    let sent = slice(temp.path(), 1, ROWS, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    *service.desk.refusal.lock().unwrap() = Some(gateway::receive::IntakeRefusal::OutOfResources);
    let refused = dcmtk::store(service.address, CALLED, &["-xe", "-nh"], &[&sent.path, &sent.path]);
    assert_eq!(refused.text.matches("Refused: OutOfResources").count(), 2, "{}", refused.text);
    assert!(service.files().is_empty() && service.committed().is_empty());
}
