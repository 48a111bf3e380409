//! Study bundle and pixel codec: pure computation on bytes, no sockets, no clock.
//!
//! In the order of the data: [`dataset`] finds the parts of a data set, [`near`] says how far a decoded sample may be off, [`pixels`] codes samples, [`bundle`] puts every
//! instance of a study into one ordered list of segments and takes them out again (`docs/spec-bundle.md`). [`fileset`] lists files of objects for other programs.

pub mod bundle;
#[cfg(feature = "codecs")]
pub mod confinement;
pub mod dataset;
pub mod derive;
pub mod encapsulated;
pub mod fileset;
pub mod json;
pub mod limits;
#[cfg(feature = "native")]
pub mod near;
mod phi;
pub mod pixels;
#[cfg(feature = "transcode")]
pub mod transcode;
mod uid;
pub mod zstd_frame;

pub use phi::{Phi, Purpose};
pub use uid::{InvalidUid, Uid};
