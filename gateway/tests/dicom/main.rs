//! The DICOM side against DCMTK, Orthanc, and peers that break the rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod archive;
mod dcmtk;
mod files;
mod hostile;
mod limits;
mod messages;
mod peer;
mod query;
mod retrieve;
mod service;
mod storing;
