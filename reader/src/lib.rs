//! The doctor's side: find covers in the mailbox, fetch, verify, open, unpack, receipt.
//!
//! In the order of the data: [`config`] says where and with which keys, [`pull`] does the rest.

pub mod config;
pub mod pull;
