//! Sealing and opening whole deliveries, with openssl as the other end.

#![cfg(feature = "native")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod answers;
mod bouncy_castle;
mod delivery;
mod enrolment;
mod message;
mod openssl;
mod refusals;
mod round_trip;
mod secrets;
mod sweep;
