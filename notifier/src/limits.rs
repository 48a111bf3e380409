//! Limits of the channels.

use std::time::Duration;

/// Longest wait for the connection to a mail server, and for it to take the notice, which is small.
pub(crate) const MAIL_WAIT: Duration = Duration::from_secs(60);
/// Longest wait for connection and answer of an HTTP server: services answer within seconds, and the next try is not to come late.
pub(crate) const HTTP_WAIT: Duration = Duration::from_secs(20);
/// Bytes of an HTTP answer that are read: services answer with a receipt of some hundred.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Longest run of a program: one that dials a pager's modem takes half a minute.
pub(crate) const PROGRAM_WAIT: Duration = Duration::from_secs(60);
