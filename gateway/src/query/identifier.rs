//! Identifiers of an IMAGE-level query: the keys we ask with, and what a PACS answers (PS3.4 C.4.1.1.3, C.6.2.1).

use crate::dimse::command::uid;
use crate::dimse::elements::{Elements, push};
use compressor::Uid;

const SOP_INSTANCE_UID: u32 = 0x0008_0018;
const QUERY_RETRIEVE_LEVEL: u32 = 0x0008_0052;
const STUDY_INSTANCE_UID: u32 = 0x0020_000D;
const SERIES_INSTANCE_UID: u32 = 0x0020_000E;

/// The identifier of the request, in Implicit VR Little Endian. The empty key is what we want to be told.
pub fn keys(study: &Uid, series: &Uid) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, SOP_INSTANCE_UID, b"", 0);
    push(&mut bytes, QUERY_RETRIEVE_LEVEL, b"IMAGE", b' ');
    push(&mut bytes, STUDY_INSTANCE_UID, study.as_str().as_bytes(), 0);
    push(&mut bytes, SERIES_INSTANCE_UID, series.as_str().as_bytes(), 0);
    bytes
}

/// The SOP Instance UID of an answer about this series.
///
/// An answer about another study or series means that the PACS did not understand the keys; one that does not repeat
/// them is believed.
pub(super) fn instance(bytes: &[u8], study: &Uid, series: &Uid) -> Result<Uid, &'static str> {
    let mut instance = None;
    for element in Elements::of(bytes) {
        let element = element.map_err(|_| "an identifier that cannot be read")?;
        match element.tag {
            SOP_INSTANCE_UID => instance = uid(element.value),
            STUDY_INSTANCE_UID => same(element.value, study)?,
            SERIES_INSTANCE_UID => same(element.value, series)?,
            // Tags ascend: whatever follows was not asked for, and may be a sequence.
            tag if tag > SERIES_INSTANCE_UID => break,
            _ => {}
        }
    }
    instance.ok_or("an answer without SOP Instance UID")
}

fn same(value: &[u8], asked: &Uid) -> Result<(), &'static str> {
    match uid(value) {
        Some(uid) if uid != *asked => Err("an answer about another study or series"),
        _ => Ok(()),
    }
}
