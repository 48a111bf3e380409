//! The doctor's side: find covers in the mailbox, fetch, verify, open, unpack, receipt.
//!
//! In the order of the data: [`config`] says where and with which keys, [`enrol`] makes them known, [`pull`] does the rest, once or for as long as it is
//! let. [`profile`] sets up a phone that has only a mail program; [`portal`] stands between a phone's browser and the mailbox; [`service`] is what both that
//! run for long share.

pub mod config;
pub mod enrol;
pub mod key_folder;
pub mod portal;
pub mod profile;
pub mod pull;
pub mod service;
