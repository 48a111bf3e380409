//! DICOMweb, the second way to a PACS: QIDO-RS to ask, WADO-RS to fetch (PS3.18 10.4, 10.6), over HTTPS.
//!
//! Answers are bounded: JSON in pages, studies as a stream of parts, of which each goes straight into the spool.

mod client;
mod multipart;
mod part10;
mod qido;
mod wado;

pub(crate) use qido::{instances_of_study, studies};
pub(crate) use wado::fetch;
