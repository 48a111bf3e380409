//! The head of a DICOM file as its bytes come: preamble and meta group (PS3.10 7.1), of which only what follows is kept.

use compressor::Uid;
use dimse::command::uid;

const PREAMBLE_BYTES: usize = 128;
const PREFIX: &[u8] = b"DICM";
/// (0002,0000) UL with 4 bytes, in Explicit VR Little Endian.
const GROUP_LENGTH: &[u8] = &[2, 0, 0, 0, b'U', b'L', 4, 0];
/// Where the meta group begins behind its length.
const META_AT: usize = PREAMBLE_BYTES + PREFIX.len() + GROUP_LENGTH.len() + 4;
/// Longest meta group, in bytes: private information may make one of some kB.
const META_BYTES_MAX: usize = 64 << 10;
/// VRs with two reserved bytes and a length of four (PS3.5 7.1.2) that may stand in a meta group.
const LONG_VRS: [&[u8; 2]; 4] = [b"OB", b"UN", b"UT", b"UC"];

/// What the meta group says of the data set behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// (0002,0002).
    pub(super) sop_class: Uid,
    /// (0002,0003).
    pub(super) sop_instance: Uid,
    /// (0002,0010).
    pub(super) transfer_syntax: Uid,
}

/// The head of a file, as far as it came.
#[derive(Default)]
pub(super) struct Head(Vec<u8>);

impl Head {
    /// Takes bytes. With the last one of the head: what it says, and the first bytes of the data set.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Meta, &'a [u8])>, &'static str> {
        let mut rest = bytes;
        for _ in 0..2 {
            let missing = self.whole()?.saturating_sub(self.0.len());
            let Some((needed, behind)) = rest.split_at_checked(missing) else {
                self.0.extend_from_slice(rest);
                return Ok(None);
            };
            self.0.extend_from_slice(needed);
            rest = behind;
        }
        let meta = meta(self.0.get(META_AT..).unwrap_or_default())?;
        Ok(Some((meta, rest)))
    }

    /// How long the head is, as far as that is known.
    fn whole(&self) -> Result<usize, &'static str> {
        let Some(front) = self.0.get(..META_AT) else { return Ok(META_AT) };
        let (prefix, length) = front.split_at(META_AT - 4);
        let is_file = prefix
            .get(PREAMBLE_BYTES..)
            .is_some_and(|bytes| bytes.strip_prefix(PREFIX).is_some_and(|bytes| bytes == GROUP_LENGTH));
        let length = length.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        match usize::try_from(length) {
            Ok(length) if is_file && length <= META_BYTES_MAX => Ok(META_AT + length),
            _ => Err("a part that is no DICOM file"),
        }
    }
}

fn meta(mut bytes: &[u8]) -> Result<Meta, &'static str> {
    const DAMAGED: &str = "a DICOM file with a damaged meta group";
    let (mut sop_class, mut sop_instance, mut transfer_syntax) = (None, None, None);
    while !bytes.is_empty() {
        let (&[g0, g1, e0, e1, v0, v1, l0, l1], rest) = bytes.split_first_chunk().ok_or(DAMAGED)?;
        let (length, rest) = if LONG_VRS.contains(&&[v0, v1]) {
            let (length, rest) = rest.split_first_chunk().ok_or(DAMAGED)?;
            (u32::from_le_bytes(*length), rest)
        } else {
            (u32::from(u16::from_le_bytes([l0, l1])), rest)
        };
        let length = usize::try_from(length).map_err(|_| DAMAGED)?;
        let (value, rest) = rest.split_at_checked(length).ok_or(DAMAGED)?;
        match (u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1])) {
            (2, 0x0002) => sop_class = uid(value),
            (2, 0x0003) => sop_instance = uid(value),
            (2, 0x0010) => transfer_syntax = uid(value),
            (2, _) => {}
            _ => return Err(DAMAGED),
        }
        bytes = rest;
    }
    match (sop_class, sop_instance, transfer_syntax) {
        (Some(sop_class), Some(sop_instance), Some(transfer_syntax)) => {
            Ok(Meta { sop_class, sop_instance, transfer_syntax })
        }
        _ => Err("a DICOM file that does not say what it is"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use dicom_object::FileMetaTableBuilder;
    use proptest::prelude::*;

    fn file() -> Vec<u8> {
        let mut bytes = vec![0; PREAMBLE_BYTES];
        bytes.extend_from_slice(PREFIX);
        let meta = FileMetaTableBuilder::new()
            .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.2")
            .media_storage_sop_instance_uid("1.2.3")
            .transfer_syntax("1.2.840.10008.1.2.1")
            .build()
            .unwrap();
        meta.write(&mut bytes).unwrap();
        bytes.extend_from_slice(b"the data set");
        bytes
    }

    /// What comes out of a file in pieces of so many bytes.
    fn read(file: &[u8], piece: usize) -> Result<(Option<Meta>, Vec<u8>), &'static str> {
        let (mut head, mut meta, mut data_set) = (Head::default(), None, Vec::new());
        for bytes in file.chunks(piece) {
            if meta.is_some() {
                data_set.extend_from_slice(bytes);
            } else if let Some((told, rest)) = head.take(bytes)? {
                meta = Some(told);
                data_set.extend_from_slice(rest);
            }
        }
        Ok((meta, data_set))
    }

    #[test]
    fn preamble_and_meta_group_go_whatever_the_pieces_are() {
        let file = file();
        for piece in 1..=file.len() {
            let (meta, data_set) = read(&file, piece).unwrap();
            assert_eq!(data_set, b"the data set", "{piece}");
            let meta = meta.unwrap();
            assert_eq!(
                (meta.sop_instance.as_str(), meta.transfer_syntax.as_str()),
                ("1.2.3", "1.2.840.10008.1.2.1")
            );
        }
    }

    #[test]
    fn what_is_no_file_is_refused_early() {
        assert!(read(&vec![b'x'; 4096], 100).is_err());
        let mut endless = file();
        endless[META_AT - 4..META_AT].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&endless, 100), Err("a part that is no DICOM file"));
        let mut short = file();
        short[META_AT - 4..META_AT].copy_from_slice(&0_u32.to_le_bytes());
        assert_eq!(read(&short, 100), Err("a DICOM file that does not say what it is"));
        assert_eq!(read(&file()[..200], 7).unwrap(), (None, Vec::new()));
    }

    proptest! {
        #[test]
        fn any_change_ends(at in 0_usize..400, byte: u8, piece in 1_usize..500) {
            let mut file = file();
            if let Some(changed) = file.get_mut(at) { *changed = byte; }
            let _ = read(&file, piece);
        }
    }
}
