//! Identifiers of queries: the keys we ask with, and what a PACS answers (PS3.4 C.4.1.1.3, C.6.2.1). Flat lists in Implicit VR Little Endian.

use compressor::Uid;
use dimse::command::uid;
use dimse::elements::{Element, Elements, push};

pub(crate) const SPECIFIC_CHARACTER_SET: u32 = 0x0008_0005;
const SOP_CLASS_UID: u32 = 0x0008_0016;
const SOP_INSTANCE_UID: u32 = 0x0008_0018;
pub(crate) const QUERY_RETRIEVE_LEVEL: u32 = 0x0008_0052;
const MODALITY: u32 = 0x0008_0060;
pub(crate) const STUDY_INSTANCE_UID: u32 = 0x0020_000D;
pub(crate) const SERIES_INSTANCE_UID: u32 = 0x0020_000E;

/// An answer about another study or series means that the PACS did not understand the keys.
pub(crate) const OF_ANOTHER: &str = "an answer about another study or series";
/// Bytes of a value of CS (PS3.5 6.2).
const CODE_BYTES_MAX: usize = 16;

/// The identifier of an IMAGE-level request about one series. The empty keys are what we want to be told.
pub(crate) fn keys(study: &Uid, series: &Uid) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, SOP_CLASS_UID, b"", 0);
    push(&mut bytes, SOP_INSTANCE_UID, b"", 0);
    push(&mut bytes, QUERY_RETRIEVE_LEVEL, b"IMAGE", b' ');
    push(&mut bytes, STUDY_INSTANCE_UID, study.as_str().as_bytes(), 0);
    push(&mut bytes, SERIES_INSTANCE_UID, series.as_str().as_bytes(), 0);
    bytes
}

/// The identifier of a SERIES-level request about one study.
pub(crate) fn series_keys(study: &Uid) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, QUERY_RETRIEVE_LEVEL, b"SERIES", b' ');
    push(&mut bytes, MODALITY, b"", 0);
    push(&mut bytes, STUDY_INSTANCE_UID, study.as_str().as_bytes(), 0);
    push(&mut bytes, SERIES_INSTANCE_UID, b"", 0);
    bytes
}

/// SOP Instance UID and, if told, SOP class of an answer about this series.
///
/// One that does not repeat the keys is believed.
pub(super) fn instance(bytes: &[u8], study: &Uid, series: &Uid) -> Result<(Uid, Option<Uid>), &'static str> {
    let (mut instance, mut class) = (None, None);
    each_up_to(bytes, SERIES_INSTANCE_UID, |element| {
        match element.tag {
            SOP_CLASS_UID => class = uid(element.value),
            SOP_INSTANCE_UID => instance = uid(element.value),
            STUDY_INSTANCE_UID => same(element.value, study)?,
            SERIES_INSTANCE_UID => same(element.value, series)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((instance.ok_or("an answer without SOP Instance UID")?, class))
}

/// Series Instance UID and, if told, modality of an answer about this study.
pub(super) fn series(bytes: &[u8], study: &Uid) -> Result<(Uid, Option<String>), &'static str> {
    let (mut series, mut modality) = (None, None);
    each_up_to(bytes, SERIES_INSTANCE_UID, |element| {
        match element.tag {
            MODALITY => modality = code(element.value),
            STUDY_INSTANCE_UID => same(element.value, study)?,
            SERIES_INSTANCE_UID => series = uid(element.value),
            _ => {}
        }
        Ok(())
    })?;
    Ok((series.ok_or("an answer without Series Instance UID")?, modality))
}

/// Hands over the elements up to a tag. Tags ascend: whatever follows was not asked for.
pub(super) fn each_up_to<'a>(
    bytes: &'a [u8],
    last: u32,
    mut take: impl FnMut(Element<'a>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    for element in Elements::passing_sequences(bytes) {
        let element = element.map_err(|_| "an identifier that cannot be read")?;
        if element.tag > last {
            break;
        }
        take(element)?;
    }
    Ok(())
}

/// A value of CS (PS3.5 6.2): capitals, digits, space and underscore.
pub(crate) fn code(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\0']);
    let allowed =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ' || byte == b'_';
    ((1..=CODE_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

fn same(value: &[u8], asked: &Uid) -> Result<(), &'static str> {
    match uid(value) {
        Some(uid) if uid != *asked => Err(OF_ANOTHER),
        _ => Ok(()),
    }
}
