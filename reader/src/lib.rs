//! The doctor's side: find covers in the mailbox, fetch, verify, open, unpack, receipt.
//!
//! In the order of the data: [`config`] says where and with which keys, [`enrol`] makes them known, [`pull`] does the rest.

pub mod config;
pub mod enrol;
pub mod key_folder;
pub mod pull;
