//! The receive service on a free port, with an intake that remembers what it was told.

use compressor::Uid;
use gateway::config::Dicom;
use gateway::receive::{AeTitle, Doors, Intake, IntakeRefusal, ReceivedInstance, serve};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The AE title that stands for somebody.
pub(crate) const CALLED: &str = "DOCTOR";

/// An intake without a journal.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) committed: Mutex<Vec<ReceivedInstance>>,
    pub(crate) refusal: Mutex<Option<IntakeRefusal>>,
    pub(crate) closed: AtomicBool,
    pub(crate) ended: Mutex<Vec<u64>>,
}

impl Intake for Desk {
    fn knows(&self, called: &AeTitle) -> bool {
        called.as_str() == CALLED
    }
    fn ready(&self, _: u64) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }
    async fn commit(&self, instance: ReceivedInstance) -> Result<(), IntakeRefusal> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if let Some(refusal) = *self.refusal.lock().unwrap() {
            return Err(refusal);
        }
        self.committed.lock().unwrap().push(instance);
        Ok(())
    }
    fn storage_failed(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
    fn association_ended(&self, association: u64) {
        self.ended.lock().unwrap().push(association);
    }
}

/// The running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) folder: PathBuf,
    pub(crate) desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
    _temp: TempDir,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Dicom)) -> Self {
        let temp = TempDir::new().unwrap();
        let folder = temp.path().join("receive");
        std::fs::create_dir(&folder).unwrap();
        Self::start_in(temp, folder, change).await
    }

    pub(crate) async fn start_in(temp: TempDir, folder: PathBuf, change: impl FnOnce(&mut Dicom)) -> Self {
        let mut config = Dicom {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            tls: None,
            port_file: None,
            hold: None,
            hold_hours: 1,
            choice_ms: 0,
            settle_ms: 0,
            silence_ms: 0,
            associations_max: 32,
            associations_of_address_max: None,
            idle_ms: 10_000,
        };
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::new(Desk::default());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(
            Doors { plain: Some(listener), tls: None },
            config,
            folder.clone(),
            Arc::clone(&desk),
            stopped,
        ));
        Self { address, folder, desk, stop, task, _temp: temp }
    }

    pub(crate) fn committed(&self) -> Vec<ReceivedInstance> {
        self.desk.committed.lock().unwrap().clone()
    }

    pub(crate) fn content(&self, instance: &ReceivedInstance) -> Vec<u8> {
        std::fs::read(self.folder.join(&instance.file)).unwrap()
    }

    /// Names in the receive folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits until this many associations ended, so that what they leave behind can be looked at.
    pub(crate) fn wait_ended(&self, associations: usize) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while self.desk.ended.lock().unwrap().len() < associations {
            assert!(std::time::Instant::now() < deadline, "an association did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The instance is in the folder byte for byte, and nothing else is said of it.
    pub(crate) fn assert_holds(&self, sop_instance: &str, transfer_syntax: &str, data_set: &[u8]) {
        let uid = Uid::parse(sop_instance).unwrap();
        let instances = self.committed();
        let instance =
            instances.iter().find(|instance| instance.sop_instance == uid).expect("instance committed");
        assert_eq!(instance.transfer_syntax.as_str(), transfer_syntax);
        assert_eq!(instance.bytes, data_set.len() as u64);
        assert_eq!(instance.sha256, <[u8; 32]>::from(Sha256::digest(data_set)));
        assert!(self.content(instance) == data_set, "the bytes of the data set changed on the way");
    }

    /// Stops the service, then does something before its folder goes.
    pub(crate) async fn stop_and(self, then: impl FnOnce()) -> std::io::Result<()> {
        self.stop.send(true).unwrap();
        let ended = self.task.await.unwrap();
        then();
        ended
    }
}
