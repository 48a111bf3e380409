//! Limits of the page.

use std::time::Duration;

/// Connections at once: some hundred screens, each with its live line and two more.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// Of these, connections from one address: a proxy or one workstation with many tabs.
pub(super) const CONNECTIONS_OF_ADDRESS_MAX: usize = 64;
/// TLS handshake.
pub(super) const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// A whole request head, and the pause between two requests.
pub(super) const HEAD_WAIT: Duration = Duration::from_secs(20);
/// A whole request, its body and the making of the answer's head.
pub(super) const REQUEST_WAIT: Duration = Duration::from_secs(30);
/// Bytes sent that the peer does not acknowledge.
pub(super) const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);
/// Request head in bytes: cookies and a search, with room.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Request headers.
pub(super) const HEADERS_MAX: usize = 64;
/// Request body in bytes: an imported roster of some thousand lines is the largest.
pub(super) const BODY_BYTES_MAX: usize = 512 * 1024;
/// Pause after `accept` failed, as when no file descriptor is left.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A day: who works longer signs in again (NIST SP 800-63B 2.2.3 asks for 24 h at most).
pub(super) const SESSION_MAX_MS: i64 = 12 * HOUR_MS;
/// A technician's screen stays open over a shift: a sign-in in an emergency costs a patient time.
pub(super) const TECHNICIAN_IDLE_MAX_MS: i64 = 8 * HOUR_MS;
/// Who may change accounts is gone after a quarter of an hour.
pub(super) const ADMINISTRATOR_IDLE_MAX_MS: i64 = 15 * MINUTE_MS;
/// A session is written down as seen this often at most.
pub(super) const SEEN_EVERY_MS: i64 = MINUTE_MS;

/// Failed sign-ins of an account before it must wait.
pub(super) const FAILURES_FREE: u32 = 5;
/// Wait after one more, doubled with each further one.
pub(super) const FAILURE_WAIT_MS: i64 = 30_000;
/// Longest such wait: nobody can lock a technician out for a night.
pub(super) const FAILURE_WAIT_MAX_MS: i64 = 15 * MINUTE_MS;
/// Failed sign-ins of one address within [`ADDRESS_WINDOW`].
pub(super) const ADDRESS_FAILURES_MAX: u32 = 20;
/// See [`ADDRESS_FAILURES_MAX`].
pub(super) const ADDRESS_WINDOW: Duration = Duration::from_secs(600);
/// Addresses remembered for that.
pub(super) const ADDRESSES_MAX: usize = 4096;
/// Passwords hashed at once: 19 MiB and a core each.
pub(super) const HASHES_MAX: usize = 2;

/// Shortest password: long, and no rules beside that (NIST SP 800-63B 3.1.1.2).
pub(super) const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password in bytes.
pub(super) const PASSWORD_BYTES_MAX: usize = 256;

/// The time within which a press can be taken back.
pub(super) const UNDO_MS: i64 = 5_000;
/// Rows of the list; older ones are found by search.
pub(super) const ROWS_MAX: u32 = 100;
/// Pause between two looks of a live line, at least.
pub(super) const LIVE_PAUSE: Duration = Duration::from_millis(250);
/// Characters of a name, id or description that are shown.
pub(super) const SHOWN_CHARS_MAX: usize = 120;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
