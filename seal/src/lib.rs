//! Both ends of the wire contract (`docs/spec-mail.md`): seal at the hospital, open at the doctor.
//!
//! [`cover`], [`index`], [`piece`], [`mail`], [`receipt`], [`answer`], [`statement`], [`enrol`] and [`link`] parse and lay out bytes without any key and build for WASM; they
//! are the only parser. What needs a primitive says so as data ([`cms`]), and `native` answers with aws-lc-rs.

pub mod answer;
pub mod certificate;
pub mod cms;
pub mod cover;
pub mod ecdsa;
mod elements;
pub mod enrol;
pub mod error;
pub mod ids;
pub mod index;
pub mod limits;
pub mod link;
pub mod mail;
#[cfg(feature = "mailbox")]
pub mod mailbox;
#[cfg(feature = "native")]
pub mod native;
pub mod piece;
pub mod receipt;
pub mod statement;
