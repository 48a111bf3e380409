//! Every limit of the DICOM side in one place, but for those of PDUs and messages ([`dimse::limits`]): a named number, its unit and its reason.

use std::time::Duration;
use web::rooms::Connections;

/// Longest A-ASSOCIATE-RQ, in bytes: 128 contexts (PS3.8 9.3.2.2, odd ids) with 40 transfer syntaxes of 44 bytes each.
pub const ASSOCIATE_BYTES_MAX: usize = 256 << 10;
/// Longest body of any other PDU, in bytes; the standard's own have 4 (PS3.8 9.3.4, 9.3.6 to 9.3.8).
pub const OTHER_PDU_BYTES_MAX: usize = 1 << 10;
/// Longest data set, in bytes: a whole-slide or long ultrasound object is below 4 GiB, where a native value ends.
pub const OBJECT_BYTES_MAX: u64 = 16 << 30;
/// Buffer between data set fragments and file, in bytes: gathers the 16 KiB fragments of ordinary senders; those of
/// 128 KiB pass it by.
pub const WRITE_BUFFER_BYTES: usize = 64 << 10;
/// Time a connection has for its whole A-ASSOCIATE-RQ (ARTIM timer, PS3.8 9.1.5), and for ours to be taken.
pub const ASSOCIATE_WAIT: Duration = Duration::from_secs(10);
/// How soon a waiting association notices that the service is being stopped.
pub const STOP_NOTICED: Duration = Duration::from_millis(200);
/// Time to wait for the peer to close after our abort, rejection or release, so that it reads them (PS3.8 9.2.3, Sta13).
pub const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Bytes read and thrown away while waiting for that.
pub const CLOSE_BYTES_MAX: usize = 4 << 20;
/// Associations at once, whatever the configuration says: each has a thread of tokio's blocking pool, which has 512.
pub const ASSOCIATIONS_MAX: usize = 256;
/// Connections above the limits of associations that are told so at once, each on a thread for [`ASSOCIATE_WAIT`] at most; further ones are just
/// closed. One address cannot take all of them, so that whoever floods keeps no other sender from its answer.
pub const TURNED_AWAY: Connections = Connections { at_once_max: 128, of_address_max: 64 };
/// Pause after a failed accept (no file descriptors left, for instance), so that the loop does not spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Answers of one query, a study series of 100,000 instances being beyond anything real.
pub const RESPONSES_MAX: usize = 100_000;
/// Studies taken of one search, unless the caller wants fewer: more than a person reads.
pub const ANSWERS_MAX: usize = 500;
/// Series of one study; real ones have up to some hundreds.
pub const SERIES_MAX: usize = 5_000;
/// Longest identifier of one answer, in bytes: four short keys and what a PACS adds.
pub const IDENTIFIER_BYTES_MAX: usize = 64 << 10;
/// Instances that are asked for in one page of QIDO-RS: some 1 MB of JSON.
pub const QIDO_PAGE: usize = 1_000;
/// Longest answer of QIDO-RS, in bytes: a page whose entries have 16 kB each.
pub const JSON_BYTES_MAX: usize = 16 << 20;
/// Longest list of failed instances behind a retrieval's last answer, in bytes: 65,535 UIDs, which is as far as its counters go.
pub const FAILED_LIST_BYTES_MAX: usize = 65_535 * 65;
/// Objects that a PACS may send though nobody asked for them, before a retrieval is given up: one may be a mistake of its index.
pub const NOT_ASKED_FOR_MAX: u64 = 16;
/// How long a PACS has to heed our C-CANCEL.
pub const CANCEL_WAIT: Duration = Duration::from_secs(2);
