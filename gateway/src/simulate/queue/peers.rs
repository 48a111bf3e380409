//! Gateways, files, mails, receipts and readers, as the world has them.

use super::faults::{Act, Fault};
use super::log::Images;
use crate::queue::{Part, TokenNumber, Watch};
use serde::Serialize;
use std::fmt;

/// What a gateway is about to do. What it holds is lost when it is killed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) act: Act,
    /// Of which delivery, case, image or receipt.
    pub(super) place: usize,
    pub(super) doctor: u8,
    /// A bit for each doctor.
    pub(super) took: u8,
    pub(super) part: Part,
    /// A file, a ciphertext, a number of mails.
    pub(super) number: u32,
    /// Something more is to be done, or it is for good.
    pub(super) flag: bool,
    /// Of a trouble: it lies in received files that are damaged.
    pub(super) of_damage: bool,
    /// Where in the log it began; of looks into a mailbox, at which event.
    pub(super) since: usize,
    /// Looks in a row before this one that found nothing.
    pub(super) quiet: u8,
    /// AE title that an image is sent to.
    pub(super) destination: u8,
}

impl Task {
    pub(super) fn new(act: Act, place: usize) -> Self {
        let part = Part::Cover;
        let (doctor, took, number, flag, since, quiet, destination) = (0, 0, 0, false, 0, 0, 0);
        Self { act, place, doctor, took, part, number, flag, of_damage: false, since, quiet, destination }
    }

    pub(super) fn then(self, act: Act) -> Self {
        Self { act, ..self }
    }
}

/// A gateway; several share the queue and the spool.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    pub(super) is_up: bool,
    pub(super) is_swept: bool,
    /// After a failed fsync it takes nothing in until it was started again.
    pub(super) is_shut: bool,
    pub(super) paused_until: i64,
    /// Of its clock.
    pub(super) offset_ms: i64,
    pub(super) pending: Option<Task>,
    pub(super) leases: Vec<(usize, TokenNumber)>,
    pub(super) watches: Vec<(usize, Watch)>,
    /// After a failure.
    pub(super) waits: Vec<(usize, i64)>,
    /// Receipts that it has read since its start.
    pub(super) read: u128,
    /// Until then it has counted how long it ran.
    pub(super) counted_ms: i64,
    /// Files that nobody needs any more.
    pub(super) releases: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Received { image: u8 },
    Bundle { delivery: usize },
    Parts { delivery: usize },
}

/// A file of the spool.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) images: Images,
    pub(super) owner: usize,
    pub(super) is_synced: bool,
    pub(super) is_named: bool,
    pub(super) is_name_synced: bool,
    pub(super) is_rotten: bool,
    /// A power cut took some of it.
    pub(super) is_torn: bool,
}

impl File {
    pub(super) fn is_whole(&self) -> bool {
        self.is_named && !self.is_rotten && !self.is_torn
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Way { until_ms: i64 },
    Mailbox,
    Deleted,
}

/// A mail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mail {
    pub(super) delivery: usize,
    /// As its Message-ID has it.
    pub(super) id: u32,
    pub(super) part: Part,
    pub(super) cipher: u32,
    pub(super) images: Images,
    pub(super) doctor: u8,
    pub(super) at: At,
    pub(super) sent_ms: i64,
    pub(super) is_replayed: bool,
    /// The mailbox had the same part before.
    pub(super) is_copy: bool,
    /// It lies in another folder than the one that mails come to.
    pub(super) is_moved: bool,
    /// At which event it came into a folder of the mailbox that the gateway may read, or into one that is hidden from it.
    pub(super) since: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Fetched,
    FirstImage,
    Seen,
    Closed,
}

/// A receipt in a mailbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    pub(super) delivery: usize,
    pub(super) cipher: u32,
    pub(super) doctor: u8,
    pub(super) says: Says,
    pub(super) from_ms: i64,
}

/// A doctor's reader.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) is_awake: bool,
    pub(super) closes: bool,
    /// The gateway may delete in this mailbox.
    pub(super) gives_right: bool,
    /// But may not read in the folder that mails are moved to.
    pub(super) hides: bool,
    /// Ids of what it has shown, kept.
    pub(super) known: Vec<u32>,
    /// A cover whose parts it has fetched.
    pub(super) holds: Option<usize>,
    /// Receipts that the mailbox has not taken yet, kept.
    pub(super) owes: Vec<Receipt>,
}

/// An image at the PACS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) uid: u8,
    pub(super) content: u8,
    pub(super) is_made: bool,
    /// The PACS sends it until it is told Success.
    pub(super) is_sent: bool,
}

/// An act of a schedule, for whoever looks at one.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Happened {
    pub(super) at_ms: i64,
    /// Number of the gateway; the mail server or a reader where absent.
    pub(super) gateway: Option<usize>,
    pub(super) act: Act,
    /// Place of the delivery, case, image, mail or receipt.
    pub(super) place: Option<usize>,
    pub(super) fault: Option<Fault>,
    /// The deliveries before it.
    pub(super) states: Vec<&'static str>,
}

impl fmt::Display for Happened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.gateway.map_or("outside".into(), |gateway| format!("gateway {gateway}"));
        let place = self.place.map_or_else(String::new, |place| format!(" {place}"));
        let fault = self.fault.map_or_else(String::new, |fault| format!(", {fault:?}"));
        let seconds = self.at_ms as f64 / 1000.0;
        write!(
            formatter,
            "{seconds:>12.3} s  {who}: {:?}{place}{fault}  [{}]",
            self.act,
            self.states.join(" ")
        )
    }
}
