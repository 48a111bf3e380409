//! Preamble and meta group for data sets that came over an association without them (PS3.10 7.1).

use compressor::Uid;
use compressor::bundle::Unpacking;

/// Preamble: zeros where no application profile says otherwise.
const PREAMBLE_BYTES: usize = 128;
/// Implementation Class UID: 2.25 and a UUID drawn once for this program (PS3.5 B.2).
const IMPLEMENTATION_CLASS: &str = "2.25.75882554810295917236246718709459982931";

/// The bytes in front of the data set of an instance.
pub(crate) fn file_start(unpacking: &Unpacking<'_>) -> Vec<u8> {
    let mut group = Vec::new();
    // File Meta Information Version, VR OB.
    group.extend_from_slice(b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01");
    put_uid(&mut group, 0x0002, unpacking.instance.sop_class.as_ref().map_or("", Uid::as_str));
    put_uid(&mut group, 0x0003, unpacking.sop_instance.as_ref().map_or("", Uid::as_str));
    put_uid(&mut group, 0x0010, unpacking.transfer_syntax.as_str());
    put_uid(&mut group, 0x0012, IMPLEMENTATION_CLASS);
    let mut start = vec![0; PREAMBLE_BYTES];
    start.extend_from_slice(b"DICM\x02\0\0\0UL\x04\0");
    start.extend_from_slice(&(group.len() as u32).to_le_bytes());
    start.extend_from_slice(&group);
    start
}

/// An element (0002,`element`) of VR UI, padded to even length (PS3.5 9.1).
fn put_uid(group: &mut Vec<u8>, element: u16, uid: &str) {
    let padding = uid.len() % 2;
    group.extend_from_slice(&0x0002_u16.to_le_bytes());
    group.extend_from_slice(&element.to_le_bytes());
    group.extend_from_slice(b"UI");
    group.extend_from_slice(&((uid.len() + padding) as u16).to_le_bytes());
    group.extend_from_slice(uid.as_bytes());
    group.extend(std::iter::repeat_n(0, padding));
}
