//! A DICOM file around data-set bytes: preamble, fresh meta group, then the bytes as they come (PS3.10 7.1).

use compressor::bundle::{Instance, Unpacking};
use dicom_object::FileMetaTableBuilder;
use std::io::{self, Write};

/// 128 bytes whose use is open (PS3.10 7.1); zero, so that nothing of ours lies in them.
const PREAMBLE: [u8; 128] = [0; 128];
/// PS3.10 7.1.
const PREFIX: &[u8; 4] = b"DICM";
/// This program (PS3.7 D.3.3.2): one random UUID under the root 2.25 (PS3.5 B.2).
pub(crate) const IMPLEMENTATION_CLASS_UID: &str = "2.25.6835306940567093794406024995256350049";
/// At most 16 characters (PS3.7 D.3.3.2).
pub(crate) const IMPLEMENTATION_VERSION_NAME: &str = concat!("SCANPOST_", env!("CARGO_PKG_VERSION"));

/// What the bytes of an instance need to be a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// A data set: preamble and meta group go in front.
    DataSet,
    /// A whole file already: packed from files (SPEC 1.1).
    WholeFile,
    /// Not identified as a SOP instance: written as it is.
    Opaque,
}

impl Wrapping {
    /// What `instance` needs.
    pub(crate) fn of(instance: &Instance) -> Self {
        match (&instance.name, &instance.sop_class, &instance.sop_instance) {
            (Some(_), Some(_), Some(_)) => Self::WholeFile,
            (None, Some(_), Some(_)) => Self::DataSet,
            _ => Self::Opaque,
        }
    }
}

/// File name below the folder of a delivery: `s01/0001.dcm`. Made of our own numbers alone.
pub(crate) fn name(instance: &Instance, series_index: u32, instance_index: u32) -> (String, String) {
    let conflict = if instance.conflict { "-conflict" } else { "" };
    let extension = if Wrapping::of(instance) == Wrapping::Opaque { "bin" } else { "dcm" };
    let number = u64::from(instance_index) + 1;
    (format!("s{:02}", u64::from(series_index) + 1), format!("{number:04}{conflict}.{extension}"))
}

/// Writes what stands before the data set: preamble, prefix, meta group in Explicit VR Little Endian (PS3.10 7.1).
///
/// # Errors
/// Any I/O error.
pub(crate) fn write_front(out: &mut dyn Write, unpacking: &Unpacking<'_>) -> io::Result<()> {
    let (Some(class), Some(uid)) = (&unpacking.instance.sop_class, &unpacking.sop_instance) else {
        return Err(io::Error::other("an instance without SOP class or instance UID has no meta group"));
    };
    out.write_all(&front(class.as_str(), uid.as_str(), unpacking.transfer_syntax.as_str())?)
}

/// Preamble and meta group of a file.
///
/// # Errors
/// UIDs that no meta group can hold.
pub(crate) fn front(class: &str, instance: &str, transfer_syntax: &str) -> io::Result<Vec<u8>> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(class)
        .media_storage_sop_instance_uid(instance)
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
        .implementation_version_name(IMPLEMENTATION_VERSION_NAME)
        .build()
        .map_err(io::Error::other)?;
    let mut front = [PREAMBLE.as_slice(), PREFIX].concat();
    meta.write(&mut front).map_err(io::Error::other)?;
    Ok(front)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use compressor::Uid;
    use compressor::bundle::Series;
    use compressor::dataset::Banner;

    fn instance(identified: bool, conflict: bool) -> Instance {
        let uid = |text| identified.then(|| Uid::parse(text).unwrap());
        Instance {
            sop_class: uid("1.2.840.10008.5.1.4.1.1.4"),
            sop_instance: uid("1.2.3.4"),
            head_bytes: 0,
            bulk_bytes: 0,
            tail_bytes: 0,
            sha256: String::new(),
            decoded_sha256: None,
            image: None,
            compressed: None,
            carried: None,
            conflict,
            name: None,
        }
    }

    fn series() -> Series {
        Series {
            study: None,
            series: None,
            modality: None,
            transfer_syntax: Uid::parse("1.2.840.10008.1.2.1").unwrap(),
            near: 0,
            max_error: 0,
            rmse: 0.0,
            block_error: 0.0,
            sigma: None,
            ratio: None,
            reference_only: false,
            reason: None,
            banner: Banner::default(),
            mixed_patients: false,
            key_images: 0,
            instances: vec![],
        }
    }

    fn front(instance: &Instance, renamed: Option<&str>) -> io::Result<Vec<u8>> {
        let mut file = Vec::new();
        let renamed = renamed.map(|uid| Uid::parse(uid).unwrap());
        let sop_instance = renamed.or(instance.sop_instance.clone());
        let (series, transfer_syntax) = (&series(), series().transfer_syntax);
        let unpacking =
            Unpacking { series, instance, series_index: 0, instance_index: 0, sop_instance, transfer_syntax };
        write_front(&mut file, &unpacking)?;
        Ok(file)
    }

    #[test]
    fn names_are_our_own_numbers() {
        let names = |instance: &Instance, s, i| {
            let (folder, file) = name(instance, s, i);
            format!("{folder}/{file}")
        };
        assert_eq!(names(&instance(true, false), 0, 0), "s01/0001.dcm");
        assert_eq!(names(&instance(true, true), 1, 41), "s02/0042-conflict.dcm");
        assert_eq!(names(&instance(false, false), 99, 99_999), "s100/100000.bin");
        assert_eq!(names(&instance(false, true), 0, u32::MAX), "s01/4294967296-conflict.bin");
    }

    #[test]
    fn another_reader_takes_the_file_and_the_data_set_bytes_follow() {
        let mut file = front(&instance(true, false), None).unwrap();
        // (0008,0018) UI "1.2.3.4": explicit VR little endian, padded to even length.
        let data_set = b"\x08\x00\x18\x00UI\x08\x001.2.3.4\0";
        file.extend_from_slice(data_set);
        assert!(file.starts_with(&[0; 128]) && &file[128..132] == b"DICM");
        let object = dicom_object::from_reader(&file[128..]).unwrap();
        assert_eq!(object.meta().media_storage_sop_class_uid(), "1.2.840.10008.5.1.4.1.1.4");
        assert_eq!(object.meta().media_storage_sop_instance_uid(), "1.2.3.4");
        assert_eq!(object.meta().transfer_syntax(), "1.2.840.10008.1.2.1");
        assert_eq!(object.meta().implementation_class_uid(), IMPLEMENTATION_CLASS_UID);
        // Group length counts from behind its own element to the data set (PS3.10 7.1).
        let group_bytes = u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
        assert_eq!(&file[144 + group_bytes..], data_set);
    }

    #[test]
    fn a_derived_image_has_its_new_name_in_the_meta_group() {
        let file = front(&instance(true, false), Some("2.25.7")).unwrap();
        let object =
            dicom_object::from_reader(&[&file[128..], b"\x08\x00\x18\x00UI\x06\x002.25.7"].concat()[..])
                .unwrap();
        assert_eq!(object.meta().media_storage_sop_instance_uid(), "2.25.7");
    }

    #[test]
    fn the_implementation_fits_its_elements() {
        assert!(Uid::parse(IMPLEMENTATION_CLASS_UID).is_ok());
        assert!(IMPLEMENTATION_VERSION_NAME.len() <= 16);
    }

    #[test]
    fn what_is_no_sop_instance_gets_no_meta_group() {
        assert_eq!(Wrapping::of(&instance(false, false)), Wrapping::Opaque);
        assert!(front(&instance(false, false), None).is_err());
        let packed = Instance { name: Some("a/b.dcm".into()), ..instance(true, false) };
        assert_eq!(Wrapping::of(&packed), Wrapping::WholeFile);
    }
}
