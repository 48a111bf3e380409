//! One test's world: a mailbox store, a site, a doctor, and the reader that is run for real.

use crate::dovecot::{Dovecot, PASSWORD};
use crate::site::{Delivery, Keypair, Plan};
use seal::ids::DeliveryId;
use seal::mail::{Part, RecipientTag};
use seal::mailbox::Found;
use seal::native::{Recipient, open_receipt};
use seal::receipt::{Receipt, ReceiptKind};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const DOCTOR: &str = "doctor@lab.test";

pub(crate) struct Clinic {
    pub(crate) dovecot: Dovecot,
    pub(crate) site: Keypair,
    pub(crate) doctor: Keypair,
    folder: tempfile::TempDir,
}

/// What the reader said.
pub(crate) struct Run {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Clinic {
    pub(crate) fn new() -> Self {
        let clinic = Self {
            dovecot: Dovecot::start(),
            site: Keypair::new("site"),
            doctor: Keypair::new("doctor"),
            folder: tempfile::tempdir().unwrap(),
        };
        clinic.write_password(PASSWORD);
        clinic.configure(|text| text);
        clinic
    }

    /// Writes the configuration, changed by `change`.
    pub(crate) fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = format!(
            "output = \"scans\"\nsites = [{:?}]\n[doctor]\nkey = {:?}\ncertificate = {:?}\nplain_keys = true\naddress = \"{DOCTOR}\"\n\
             [mailbox]\nhost = \"localhost\"\nport = {}\nuser = \"{DOCTOR}\"\npassword_file = \"password\"\nca = {:?}\n",
            self.site.certificate_path(),
            self.doctor.key(),
            self.doctor.certificate_path(),
            self.dovecot.port(),
            self.dovecot.ca(),
        );
        fs::write(self.config(), change(text)).unwrap();
    }

    pub(crate) fn write_password(&self, password: &str) {
        let path = self.folder.path().join("password");
        fs::write(&path, format!("{password}\n")).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    pub(crate) fn seal(&self, plan: Plan, slices: &[Vec<u8>]) -> Delivery {
        Delivery::of_slices(plan, &self.site, &self.doctor, slices)
    }

    /// Slices within a bound, cut before the residual, or the residual alone of the bundle that `residual_of` is said to have brought.
    pub(crate) fn seal_cut(
        &self,
        plan: Plan,
        slices: &[Vec<u8>],
        residual_of: Option<DeliveryId>,
    ) -> Delivery {
        Delivery::cut(plan, &self.site, &self.doctor, slices, residual_of)
    }

    pub(crate) fn put(&self, mails: &[Vec<u8>]) {
        mails.iter().for_each(|mail| self.dovecot.put(DOCTOR, "INBOX", mail));
    }

    /// Runs `scanpost-reader pull`, lines for people.
    pub(crate) fn pull(&self) -> Run {
        self.run(&[])
    }

    /// Runs `scanpost-reader pull --json`; gives exit code and list.
    pub(crate) fn pull_json(&self) -> (i32, serde_json::Value) {
        let run = self.run(&["--json"]);
        (run.exit, serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.err)))
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scanpost-reader"));
        command.arg("pull").arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let done = self.command().args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { exit: done.status.code().unwrap(), out: text(done.stdout), err: text(done.stderr) }
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.folder.path().join("scans")
    }

    pub(crate) fn place(&self, plan: Plan) -> PathBuf {
        self.output().join(plan.case().to_string()).join(format!("{:04}", plan.sequence))
    }

    pub(crate) fn marker(&self, plan: Plan) -> PathBuf {
        self.output().join(".state").join(plan.delivery().to_string()).join("receipt-sent")
    }

    /// Asserts that nothing is in any final place.
    pub(crate) fn assert_nothing_placed(&self) {
        let names = fs::read_dir(self.output()).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        let visible: Vec<_> = names.filter(|name| !name.to_string_lossy().starts_with('.')).collect();
        assert!(visible.is_empty(), "{visible:?}");
    }

    /// Receipts in the mailbox of `user` that the doctor signed.
    pub(crate) fn receipts(&self, user: &str, plan: Plan) -> Vec<Receipt> {
        let signers = [Recipient::new(self.doctor.certificate(), None).unwrap()];
        let opened = self
            .receipt_mails(user, plan)
            .into_iter()
            .map(|found| open_receipt(&self.dovecot.fetch(user, &found), &signers));
        opened.filter_map(Result::ok).collect()
    }

    fn receipt_mails(&self, user: &str, plan: Plan) -> Vec<Found> {
        let recipient = RecipientTag::of(&self.doctor.certificate().digest());
        let part = Part::Receipt { kind: ReceiptKind::Fetched, recipient };
        let found = self.dovecot.with(user, async |mailbox| mailbox.parts_of(plan.delivery()).await.unwrap());
        found.into_iter().filter(|found| found.id.part() == part).collect()
    }

    /// Every file and folder of the output with its inode, size and time of change.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, (u64, u64, i64, i64)> {
        let mut all = BTreeMap::new();
        note(&self.output(), &mut all);
        all
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("reader.toml")
    }
}

fn note(path: &Path, all: &mut BTreeMap<PathBuf, (u64, u64, i64, i64)>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    all.insert(path.to_owned(), (metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec()));
    if metadata.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| note(&entry.unwrap().path(), all));
    }
}
