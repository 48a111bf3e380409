//! Retrievals from Orthanc and DCMTK's dcmqrscp, and from archives that lie, die and never end.

use super::archive::{Archive, pacs};
use super::dcmtk;
use super::files::{SERIES, STUDY, Slice, slice};
use super::peer::{COMMAND, LAST, p_data};
use super::service::{CALLED, Desk, Service};
use compressor::Uid;
use dicom_dictionary_std::uids;
use dicom_ul::Pdu;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextResult, PresentationContextResultReason,
    UserVariableItem, read_pdu,
};
use dimse::elements::{Elements, push};
use gateway::audit::Audit;
use gateway::config::Pacs;
use gateway::query::{QueryError, Timeouts, instances_of_study};
use gateway::receive::AeTitle;
use gateway::retrieve::{Fetched, How, Missing, Order, Progress, RetrieveError, fetch};
use seal::native::SiteKey;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;

const SLICES: u32 = 12;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

/// Where what is fetched goes.
struct Here {
    temp: TempDir,
    desk: Arc<Desk>,
    audit: Audit,
    progress: watch::Sender<Progress>,
}

impl Here {
    fn new() -> Self {
        let temp = TempDir::new().unwrap();
        std::fs::create_dir(temp.path().join("receive")).unwrap();
        let made = rcgen::generate_simple_self_signed(["hospital.example".to_owned()]).unwrap();
        let site = SiteKey::from_pem(&made.signing_key.serialize_pem(), &made.cert.pem()).unwrap();
        let audit = Audit::open(temp.path(), Arc::new(site), "hospital.example").unwrap();
        Self { temp, desk: Arc::default(), audit, progress: watch::Sender::default() }
    }

    async fn fetch(&self, pacs: &Pacs, missing: &Missing) -> Result<Fetched, RetrieveError> {
        let (study, called) = (uid(STUDY), AeTitle::parse(CALLED).unwrap());
        let order =
            Order { pacs, study: &study, missing, called: &called, case: None, by: Some("technician") };
        let (folder, progress) = (self.temp.path().join("receive"), self.progress.clone());
        fetch(order, Arc::clone(&self.desk), &folder, &self.audit, progress).await
    }

    /// Each is there once, byte for byte.
    fn assert_holds(&self, slices: &[Slice]) {
        let committed = self.desk.committed.lock().unwrap();
        assert_eq!(committed.len(), slices.len());
        for slice in slices {
            let ours = |instance: &&_| {
                let instance: &gateway::receive::ReceivedInstance = instance;
                instance.sop_instance == uid(&slice.sop_instance)
            };
            let instance = committed.iter().find(ours).expect("instance committed");
            let bytes = std::fs::read(self.temp.path().join("receive").join(&instance.file)).unwrap();
            assert!(bytes == slice.data_set, "the bytes of {} changed on the way", slice.sop_instance);
            assert_eq!(instance.called.as_str(), CALLED);
        }
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.temp.path().join("receive")).unwrap().count()
    }

    fn trail(&self) -> String {
        std::fs::read_to_string(self.temp.path().join("audit").join("trail-000001.log")).unwrap()
    }
}

fn slices(folder: &Path, syntax: &str) -> Vec<Slice> {
    (0..SLICES).map(|number| slice(folder, number, 16, syntax)).collect()
}

fn fill(archive: &Archive, ae_title: &str, slices: &[Slice], option: &str) {
    let files: Vec<&Path> = slices.iter().map(|slice| slice.path.as_path()).collect();
    let stored = dcmtk::store(archive.address, ae_title, &[option, "-R"], &files);
    assert!(stored.success, "{}", stored.text);
}

async fn comes_whole_and_then_only_what_is_missing(
    archive: &Archive,
    ae_title: &str,
    syntax: &str,
    option: &str,
) {
    let temp = TempDir::new().unwrap();
    let slices = slices(temp.path(), syntax);
    fill(archive, ae_title, &slices, option);
    let (pacs, here) = (archive.pacs(ae_title), Here::new());
    let listed = instances_of_study(&pacs, &uid(STUDY), Timeouts::default()).await.unwrap();
    assert_eq!(listed.len(), 1);
    let series = &listed[&uid(SERIES)];
    assert_eq!((series.modality.as_deref(), series.instances.len()), (Some("CT"), slices.len()));
    let whole = here.fetch(&pacs, &Missing::between(&listed, &BTreeSet::new())).await.unwrap();
    assert_eq!((whole.stored, whole.failed, whole.status), (u64::from(SLICES), 0, 0));
    here.assert_holds(&slices);
    let (some, held) = (Here::new(), slices[2..].iter().map(|slice| uid(&slice.sop_instance)).collect());
    let missing = Missing::between(&listed, &held);
    assert_eq!(missing.instances(), 2);
    let fetched = some.fetch(&pacs, &missing).await.unwrap();
    assert_eq!((fetched.stored, fetched.failed, fetched.status), (2, 0, 0));
    some.assert_holds(&slices[..2]);
    assert_eq!(some.progress.borrow().stored, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn orthanc_gives_a_study_by_c_get_as_it_keeps_it() {
    let syntaxes = [
        (uids::EXPLICIT_VR_LITTLE_ENDIAN, "-xe"),
        (uids::JPEG2000_LOSSLESS, "-xv"),
        (uids::JPEG_BASELINE8_BIT, "-xy"),
    ];
    for (syntax, option) in syntaxes {
        let archive = Archive::orthanc();
        comes_whole_and_then_only_what_is_missing(&archive, "ORTHANC", syntax, option).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dcmqrscp_gives_a_study_by_c_get_from_the_ae_title_that_has_it() {
    let archive = Archive::dcmqrscp();
    comes_whole_and_then_only_what_is_missing(&archive, "SECOND", uids::EXPLICIT_VR_LITTLE_ENDIAN, "-xe")
        .await;
    // Its other AE title has another area, with nothing in it.
    let listed =
        instances_of_study(&archive.pacs("ARCHIVE"), &uid(STUDY), Timeouts::default()).await.unwrap();
    assert!(listed.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn c_move_brings_a_study_to_the_listener() {
    for name in ["ORTHANC", "ARCHIVE"] {
        let service = Service::start().await;
        let archive = match name {
            "ORTHANC" => Archive::orthanc_that_moves_to(CALLED, service.address),
            _ => Archive::dcmqrscp_that_moves_to(CALLED, service.address),
        };
        let temp = TempDir::new().unwrap();
        let slices = slices(temp.path(), uids::EXPLICIT_VR_LITTLE_ENDIAN);
        fill(&archive, name, &slices, "-xe");
        let pacs = Pacs { retrieve: How::Move, ..archive.pacs(name) };
        let here = Here::new();
        let fetched = here.fetch(&pacs, &Missing::study()).await.unwrap();
        assert_eq!((fetched.completed, fetched.failed, fetched.status), (SLICES, 0, 0), "{name}");
        for slice in &slices {
            service.assert_holds(&slice.sop_instance, uids::EXPLICIT_VR_LITTLE_ENDIAN, &slice.data_set);
        }
        let unknown = match name {
            "ORTHANC" => Archive::orthanc(),
            _ => Archive::dcmqrscp(),
        };
        fill(&unknown, name, &slices, "-xe");
        let refused =
            here.fetch(&Pacs { retrieve: How::Move, ..unknown.pacs(name) }, &Missing::study()).await;
        assert!(matches!(refused, Err(RetrieveError::Refused { .. })), "{name}: {refused:?}");
    }
}

/// An archive that says and does what a test tells it to.
struct Liar {
    stream: TcpStream,
    /// Context of CT in Explicit VR Little Endian.
    ct: u8,
}

impl Liar {
    /// Listens, accepts everything that one caller proposes, takes its request, and goes on with `act` on a thread.
    fn start(act: impl FnOnce(&mut Self) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut liar = Self { stream, ct: 0 };
            let Some(Pdu::AssociationRQ(request)) = liar.read() else { panic!("no request") };
            liar.accept(&request);
            // Command and identifier.
            liar.read();
            liar.read();
            act(&mut liar);
        });
        address
    }

    fn accept(&mut self, request: &AssociationRQ) {
        let is_ct = |context: &&dicom_ul::pdu::PresentationContextProposed| {
            context.abstract_syntax == uids::CT_IMAGE_STORAGE
                && context.transfer_syntaxes[0] == uids::EXPLICIT_VR_LITTLE_ENDIAN
        };
        self.ct = request.presentation_contexts.iter().find(is_ct).unwrap().id;
        let accepted = request.presentation_contexts.iter().map(|context| PresentationContextResult {
            id: context.id,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: context.transfer_syntaxes[0].clone(),
        });
        let answer = Pdu::AssociationAC(AssociationAC {
            protocol_version: 1,
            calling_ae_title: "SCANPOST".to_owned(),
            called_ae_title: "LIAR".to_owned(),
            application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
            presentation_contexts: accepted.collect(),
            user_variables: vec![UserVariableItem::MaxLength(16_384)],
        });
        let mut bytes = Vec::new();
        dicom_ul::write_pdu(&mut bytes, &answer).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next PDU; none where the gateway hung up.
    fn read(&mut self) -> Option<Pdu> {
        let mut bytes = vec![0; 6];
        self.stream.read_exact(&mut bytes).ok()?;
        let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap()) as usize;
        bytes.resize(6 + length, 0);
        self.stream.read_exact(&mut bytes[6..]).ok()?;
        read_pdu(&bytes[..], 1 << 20, true).unwrap()
    }

    /// Sends an object; the status that comes back, none where a C-CANCEL or the end came instead.
    fn store(&mut self, slice: &Slice, message_id: u16) -> Option<u16> {
        let mut command = Vec::new();
        push(&mut command, 0x0000_0002, uids::CT_IMAGE_STORAGE.as_bytes(), 0);
        push(&mut command, 0x0000_0100, &1_u16.to_le_bytes(), 0);
        push(&mut command, 0x0000_0110, &message_id.to_le_bytes(), 0);
        push(&mut command, 0x0000_0700, &0_u16.to_le_bytes(), 0);
        push(&mut command, 0x0000_0800, &1_u16.to_le_bytes(), 0);
        push(&mut command, 0x0000_1000, slice.sop_instance.as_bytes(), 0);
        let ct = self.ct;
        self.stream.write_all(&p_data(&[(ct, COMMAND | LAST, &command)])).ok()?;
        self.stream.write_all(&p_data(&[(ct, LAST, &slice.data_set)])).ok()?;
        number(&self.read()?, 0x0000_0900)
    }

    /// A response with numbers of remaining, completed and failed sub-operations.
    fn respond(&mut self, status: u16, [remaining, completed, failed]: [u16; 3]) {
        let mut command = Vec::new();
        push(&mut command, 0x0000_0100, &0x8010_u16.to_le_bytes(), 0);
        push(&mut command, 0x0000_0120, &1_u16.to_le_bytes(), 0);
        push(&mut command, 0x0000_0800, &0x0101_u16.to_le_bytes(), 0);
        push(&mut command, 0x0000_0900, &status.to_le_bytes(), 0);
        push(&mut command, 0x0000_1020, &remaining.to_le_bytes(), 0);
        push(&mut command, 0x0000_1021, &completed.to_le_bytes(), 0);
        push(&mut command, 0x0000_1022, &failed.to_le_bytes(), 0);
        let _ = self.stream.write_all(&p_data(&[(1, COMMAND | LAST, &command)]));
    }
}

fn number(pdu: &Pdu, tag: u32) -> Option<u16> {
    let Pdu::PData { data } = pdu else { return None };
    Elements::of(&data[0].data).map(Result::unwrap).find(|element| element.tag == tag)?.u16()
}

fn some_slices(count: u32) -> Vec<Slice> {
    let temp = TempDir::new().unwrap();
    (0..count).map(|number| slice(temp.path(), number, 16, uids::EXPLICIT_VR_LITTLE_ENDIAN)).collect()
}

/// A slice of another patient's study.
fn foreign(mut slice: Slice) -> Slice {
    let at = slice.data_set.windows(STUDY.len()).position(|bytes| bytes == STUDY.as_bytes()).unwrap();
    slice.data_set[at + STUDY.len() - 1] = b'9';
    slice
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_lie_change_nothing() {
    for claimed in [[0, 0, 0], [0, 60_000, 0], [9, 1, 0]] {
        let address = Liar::start(move |liar| {
            for (slice, message_id) in some_slices(3).iter().zip(1..) {
                assert_eq!(liar.store(slice, message_id), Some(0));
                liar.respond(0xFF00, [7, 60_000, 0]);
            }
            liar.respond(0, claimed);
            liar.read();
        });
        let here = Here::new();
        let fetched = here.fetch(&pacs(address, "LIAR"), &Missing::study()).await.unwrap();
        assert_eq!((fetched.stored, fetched.completed), (3, u32::from(claimed[1])));
        here.assert_holds(&some_slices(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_asked_for_is_refused_and_leaves_nothing() {
    let (told, heard) = mpsc::channel();
    let address = Liar::start(move |liar| {
        let mut slices = some_slices(2).into_iter();
        let (own, other) = (slices.next().unwrap(), foreign(slices.next().unwrap()));
        told.send([liar.store(&other, 1), liar.store(&own, 2)]).unwrap();
        liar.respond(0, [0, 2, 0]);
        liar.read();
    });
    let here = Here::new();
    let fetched = here.fetch(&pacs(address, "LIAR"), &Missing::study()).await.unwrap();
    assert_eq!(heard.recv().unwrap(), [Some(0x0124), Some(0)]);
    assert_eq!((fetched.stored, fetched.not_asked_for), (1, 1));
    assert_eq!(here.files(), 1);
    here.assert_holds(&some_slices(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_another_study_is_given_up() {
    let address = Liar::start(|liar| {
        let slice = foreign(some_slices(1).remove(0));
        let mut message_id = 0_u16;
        while liar.store(&slice, message_id).is_some() {
            message_id = message_id.wrapping_add(1);
        }
    });
    let here = Here::new();
    let fetched = here.fetch(&pacs(address, "LIAR"), &Missing::study()).await;
    assert_eq!(fetched, Err(RetrieveError::NotAskedFor));
    assert_eq!(here.files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_dies_half_way_leaves_what_is_durable_and_a_temporary_error() {
    let address = Liar::start(|liar| {
        let slices = some_slices(3);
        assert_eq!(liar.store(&slices[0], 1), Some(0));
        assert_eq!(liar.store(&slices[1], 2), Some(0));
        // Half an object.
        let whole = p_data(&[(liar.ct, LAST, &slices[2].data_set)]);
        liar.stream.write_all(&whole[..whole.len() / 2]).unwrap();
    });
    let here = Here::new();
    let error = here.fetch(&pacs(address, "LIAR"), &Missing::study()).await.unwrap_err();
    assert!(matches!(error, RetrieveError::Pacs(QueryError::Unreachable(_))), "{error:?}");
    assert_eq!(error.lasting(), gateway::query::Lasting::Temporary);
    assert_eq!(here.files(), 2);
    here.assert_holds(&some_slices(2));
    assert_eq!(here.desk.ended.lock().unwrap().len(), 1);
    let trail = here.trail();
    assert!(trail.contains("Begin Transferring") && trail.contains("technician"));
    assert!(trail.contains("cannot be reached"), "{trail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_sub_operations_that_never_end_have_an_end() {
    let silent = Liar::start(|liar| {
        liar.read();
    });
    let here = Here::new();
    let slow = Pacs { retrieve_wait_ms: 300, ..pacs(silent, "LIAR") };
    assert_eq!(here.fetch(&slow, &Missing::study()).await, Err(RetrieveError::Pacs(QueryError::Silent)));
    let (told, heard) = mpsc::channel();
    let endless = Liar::start(move |liar| {
        let slice = some_slices(1).remove(0);
        let mut message_id = 0_u16;
        while liar.store(&slice, message_id).is_some() {
            message_id = message_id.wrapping_add(1);
        }
        told.send(()).unwrap();
    });
    let started = Instant::now();
    let endless = Pacs { retrieve_total_ms: 500, ..pacs(endless, "LIAR") };
    assert_eq!(here.fetch(&endless, &Missing::study()).await, Err(RetrieveError::TooLong));
    assert!(started.elapsed() < Duration::from_secs(5));
    heard.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_retrieval_asks_the_archive_to_stop_and_aborts() {
    let (told, heard) = mpsc::channel();
    let address = Liar::start(move |liar| {
        assert_eq!(liar.store(&some_slices(1)[0], 1), Some(0));
        told.send(None).unwrap();
        // C-CANCEL for message 1, then A-ABORT.
        let cancel = liar.read().unwrap();
        told.send(number(&cancel, 0x0000_0100).zip(number(&cancel, 0x0000_0120))).unwrap();
        told.send(matches!(liar.read(), Some(Pdu::AbortRQ { .. })).then_some((0, 0))).unwrap();
    });
    let here = Arc::new(Here::new());
    let fetching = {
        let here = Arc::clone(&here);
        tokio::spawn(async move { here.fetch(&pacs(address, "LIAR"), &Missing::study()).await })
    };
    let heard = tokio::task::spawn_blocking(move || {
        heard.recv_timeout(Duration::from_secs(10)).unwrap();
        fetching.abort();
        [(); 2].map(|()| heard.recv_timeout(Duration::from_secs(10)).unwrap())
    });
    assert_eq!(heard.await.unwrap(), [Some((0x0FFF, 1)), Some((0, 0))]);
    assert_eq!(here.desk.committed.lock().unwrap().len(), 1, "what was durable stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_without_room_ends_it_and_says_so() {
    let address = Liar::start(|liar| while liar.store(&some_slices(1)[0], 1).is_some() {});
    let here = Here::new();
    here.desk.closed.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(here.fetch(&pacs(address, "LIAR"), &Missing::study()).await, Err(RetrieveError::NoRoom));
    assert_eq!(here.files(), 0);
}
