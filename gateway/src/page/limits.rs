//! Limits of the page.

use std::time::Duration;
use web::rooms::Connections;

/// Some hundred screens, each with its live line and two more; a proxy or one workstation with many tabs.
pub(super) const CONNECTIONS: Connections = Connections { at_once_max: 512, of_address_max: 64 };
/// A whole request, its body and the making of the answer's head.
pub(super) const REQUEST_WAIT: Duration = Duration::from_secs(30);
/// Request body in bytes: an imported roster of some thousand lines is the largest.
pub(super) const BODY_BYTES_MAX: usize = 512 * 1024;

/// A day: who works longer signs in again (NIST SP 800-63B 2.2.3 asks for 24 h at most).
pub(super) const SESSION_MAX_MS: i64 = 12 * HOUR_MS;
/// A technician's screen stays open over a shift: a sign-in in an emergency costs a patient time.
pub(super) const TECHNICIAN_IDLE_MAX_MS: i64 = 8 * HOUR_MS;
/// Who may change accounts is gone after a quarter of an hour.
pub(super) const ADMINISTRATOR_IDLE_MAX_MS: i64 = 15 * MINUTE_MS;
/// A session is written down as seen this often at most.
pub(super) const SEEN_EVERY_MS: i64 = MINUTE_MS;

/// The time within which a press can be taken back.
pub(super) const UNDO_MS: i64 = 5_000;
/// How long link and passphrase wait in memory for who pressed: as long as an administrator's session without a request.
pub(super) const LINKS_KEPT_MS: i64 = 15 * MINUTE_MS;
/// Presses for outside recipients whose links nobody has seen: more than a hospital makes in that time.
pub(super) const UNSHOWN_MAX: usize = 64;
/// A request that waits for a press to count: until it does, and the second that its link takes, well within [`REQUEST_WAIT`].
pub(super) const LINKS_WAIT: Duration = Duration::from_secs(20);
/// Pictures made at once: each takes a core and up to 1 GiB for a moment.
pub(super) const PICTURES_AT_ONCE: usize = 2;
/// Rows of the list; older ones are found by search.
pub(super) const ROWS_MAX: u32 = 100;
/// Pause between two looks of a live line, at least.
pub(super) const LIVE_PAUSE: Duration = Duration::from_millis(250);
/// Characters of a name, id or description that are shown.
pub(super) const SHOWN_CHARS_MAX: usize = 120;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
