//! Limits of the portal.

use std::time::Duration;
use web::rooms::Connections;

/// 1,000 phones with a connection each, and as many again that reconnect; phones of one carrier share addresses.
pub(crate) const CONNECTIONS: Connections = Connections { at_once_max: 2048, of_address_max: 1024 };
/// Request body in bytes: wrapped keys of 32 KiB, or 4,096 ranges of at most 40 characters.
pub(crate) const BODY_BYTES_MAX: usize = 192 << 10;
/// A request, until its answer begins.
pub(crate) const REQUEST_WAIT: Duration = Duration::from_secs(60);
/// The first look into a mailbox after the start, until a request that needs it is told that it is down.
pub(crate) const FIRST_LOOK_WAIT: Duration = Duration::from_secs(5);

/// A doctor's shift (NIST SP 800-63B 2.2.3 asks for 24 h at most).
pub(crate) const DEVICE_SESSION_MAX_MS: i64 = 12 * HOUR_MS;
/// A phone that nobody looked at: the next look costs a face.
pub(crate) const DEVICE_IDLE_MAX_MS: i64 = 30 * MINUTE_MS;
/// By password and code: time enough to enrol a device.
pub(crate) const LIST_SESSION_MAX_MS: i64 = HOUR_MS;
/// See [`LIST_SESSION_MAX_MS`].
pub(crate) const LIST_IDLE_MAX_MS: i64 = 15 * MINUTE_MS;
/// A guest reads one case.
pub(crate) const LINK_SESSION_MAX_MS: i64 = 4 * HOUR_MS;
/// See [`LINK_SESSION_MAX_MS`].
pub(crate) const LINK_IDLE_MAX_MS: i64 = 30 * MINUTE_MS;
/// A session is written down as seen this often at most.
pub(crate) const SEEN_EVERY_MS: i64 = MINUTE_MS;
/// How often what lasts (ranges, events) looks whether its session still is: one that was ended ends within 5 s.
pub(crate) const SESSION_LOOK: Duration = Duration::from_secs(2);

/// Time for a face, a finger or a PIN (WebAuthn 6.1, recommended 5 min).
pub(crate) const CHALLENGE_MAX_MS: i64 = 5 * MINUTE_MS;
/// Challenges that wait: somebody who asks for more keeps nobody out for longer than their life.
pub(crate) const CHALLENGES_MAX: i64 = 20_000;
/// Devices of an account.
pub(crate) const DEVICES_MAX: u32 = 16;
/// Keys of a device as wrapped.
pub(crate) const KEYS_BYTES_MAX: usize = 32 << 10;

/// Covers that an answer to a sign-in carries.
pub(crate) const HOME_COVERS_MAX: usize = 20;
/// Their bytes.
pub(crate) const HOME_COVER_BYTES_MAX: usize = 128 << 10;
/// Covers of a mailbox that are kept in memory.
pub(crate) const COVERS_MAX: usize = 200;
/// Their bytes.
pub(crate) const COVER_BYTES_MAX: usize = 2 << 20;
/// Covers of one delivery but the first: there are others only where one was sent twice in different bytes, or somebody forges.
pub(crate) const TWINS_MAX: usize = 7;
/// Deliveries that are listed.
pub(crate) const DELIVERIES_MAX: usize = 1_000;

/// Ranges of one request.
pub(crate) const RANGES_MAX: usize = 4_096;
/// Their bytes in sum.
pub(crate) const RANGES_BYTES_MAX: u64 = 256 << 20;
/// Bytes of one part of the answer.
pub(crate) const FRAME_BYTES: u64 = 64 << 10;

/// Connections of a mailbox beside the one that idles.
pub(crate) const FETCHERS_MAX: usize = 4;
/// A fetching connection that nobody used for so long is closed.
pub(crate) const FETCHER_IDLE: Duration = Duration::from_secs(60);
/// A server that gave an answer about the quota that is none is not asked again before: each time costs a connection.
pub(crate) const QUOTA_PAUSE: Duration = Duration::from_secs(3600);
/// How long what was found of moved pieces is taken for granted, or that none were: a phone asks many times a second, and each look is a search
/// through all folders.
pub(crate) const MOVED_KEPT: Duration = Duration::from_secs(20);
/// Deliveries of which that is remembered for a mailbox.
pub(crate) const MOVED_MAX: usize = 100;

/// Messages that an account may append within [`APPENDS_WINDOW`]: receipts of a busy night.
pub(crate) const APPENDS_MAX: u32 = 200;
/// See [`APPENDS_MAX`].
pub(crate) const APPENDS_WINDOW: Duration = Duration::from_secs(600);
/// Confirmations given for one enrolment.
pub(crate) const CONFIRMATIONS_MAX: usize = 8;
/// Messages under the Message-ID of one link that are looked at: anybody may have written the others.
pub(crate) const LINK_MESSAGES_MAX: usize = 8;
/// Failed sign-ins from everywhere within [`FAILURES_WINDOW`].
pub(crate) const FAILURES_MAX: u32 = 500;
/// See [`FAILURES_MAX`].
pub(crate) const FAILURES_WINDOW: Duration = Duration::from_secs(600);
/// Covers that came longer ago, as before a restart, are not told of, seconds.
pub(crate) const PUSH_AGE_MAX: i64 = 15 * 60;
/// Seconds that a push service keeps a notice for a phone that is off: after that somebody else was called.
pub(crate) const PUSH_TTL: u32 = 4 * 3600;
/// Pause before each try to send a notice.
pub(crate) const PUSH_TRIES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(45)];
/// One try.
pub(crate) const PUSH_WAIT: Duration = Duration::from_secs(15);
/// Of a push service's answer; its status is all that counts.
pub(crate) const PUSH_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Notices on their way at once.
pub(crate) const PUSHES_AT_ONCE: usize = 16;
/// New deliveries of a mailbox that are told of within [`PUSHES_WINDOW`]: whoever writes into it cannot wake a doctor without end.
pub(crate) const PUSHES_MAX: u32 = 30;
/// See [`PUSHES_MAX`].
pub(crate) const PUSHES_WINDOW: Duration = Duration::from_secs(600);
/// Longest endpoint of a push service; real ones have some 200 characters.
pub(crate) const ENDPOINT_CHARS_MAX: usize = 1024;
/// Deliveries that are gone are remembered, so that a phone is told so.
pub(crate) const GONE_KEPT_MS: i64 = 90 * 24 * HOUR_MS;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
