//! Encapsulated pixel data (PS3.5 A.4): which is decoded, where its frames lie, and what decodes them: a process of its own at the hospital, and a viewer's
//! sandbox ([`pictures`]).
//!
//! Codestreams are foreign bytes, and some decoders are C++ or C turned into Rust. So a process of its own decodes each frame
//! ([`child`]), without files, sockets or signals, and without memory or time beyond its need; this side ([`FrameDecoder`]) takes the frame or a reason.

#[cfg(feature = "codecs")]
pub mod child;
#[cfg(any(feature = "codecs", feature = "pictures"))]
mod codestream;
#[cfg(feature = "native")]
mod decoder;
#[cfg(feature = "native")]
mod fragments;
#[cfg(feature = "pictures")]
pub mod pictures;
#[cfg(feature = "native")]
pub mod process;
#[cfg(feature = "native")]
mod request;
mod syntax;
#[cfg(all(test, feature = "codecs"))]
mod tests;

#[cfg(feature = "native")]
pub use decoder::{COMMAND, FrameDecoder};
#[cfg(feature = "native")]
pub use fragments::{FrameIndex, index};
pub use syntax::{Codestream, Syntax};

#[cfg(any(feature = "native", feature = "pictures"))]
use crate::dataset::element;
use serde::{Deserialize, Serialize};

/// Tag and length of an item.
#[cfg(any(feature = "native", feature = "pictures"))]
const ITEM_HEAD_BYTES: usize = 8;
/// Encapsulated data sets are Explicit VR Little Endian (PS3.5 A.4).
#[cfg(any(feature = "native", feature = "pictures"))]
const SYNTAX: element::Syntax = element::Syntax { explicit: true, big_endian: false };

/// Why a frame was not decoded. Its text names no value of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotDecoded {
    /// Items that are no fragments, or that no offset table parts into frames.
    #[error("fragments cannot be told apart by frames")]
    Fragments,
    /// A frame or a codestream larger than one that is decoded.
    #[error("frame or codestream too large")]
    TooLarge,
    /// The decoder says that the bytes are no codestream of their transfer syntax.
    #[error("codestream damaged, or not of its transfer syntax")]
    Damaged,
    /// Rows, columns, samples, sign or bits of codestream and data set differ.
    #[error("codestream does not fit the data set")]
    Shape,
    /// Of a transfer syntax without loss, and yet it lost.
    #[error("codestream lost something")]
    Lossy,
    /// The process died, or answered with anything but a frame: a limit of memory, or a fault.
    #[error("decoder failed")]
    Failed,
    /// The process was stopped.
    #[error("decoder took too long")]
    Time,
    /// The process could not be started: the operator must look at the installation.
    #[error("decoder could not be started")]
    Start,
}
