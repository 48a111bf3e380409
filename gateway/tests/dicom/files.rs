//! CT slices made with dicom-object, in several transfer syntaxes.

use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::TransferSyntaxIndex;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use std::path::{Path, PathBuf};

pub(crate) const STUDY: &str = "2.25.1001";
pub(crate) const SERIES: &str = "2.25.1002";

/// A slice as a file, and what of it goes over an association.
pub(crate) struct Slice {
    pub(crate) sop_instance: String,
    pub(crate) path: PathBuf,
    pub(crate) data_set: Vec<u8>,
}

/// Writes slice `number` of the series, `rows` × `rows` pixels of 16 bits.
pub(crate) fn slice(folder: &Path, number: u32, rows: u16, transfer_syntax: &str) -> Slice {
    let sop_instance = format!("2.25.2000.{number}");
    let object = object(&sop_instance, number, rows, transfer_syntax);
    let syntax = TransferSyntaxRegistry.get(transfer_syntax).unwrap();
    let mut data_set = Vec::new();
    object.write_dataset_with_ts(&mut data_set, syntax).unwrap();
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(transfer_syntax)
        .media_storage_sop_class_uid(uids::CT_IMAGE_STORAGE)
        .media_storage_sop_instance_uid(&sop_instance);
    let path = folder.join(format!("{number}.dcm"));
    object.with_meta(meta).unwrap().write_to_file(&path).unwrap();
    Slice { sop_instance, path, data_set }
}

fn object(sop_instance: &str, number: u32, rows: u16, transfer_syntax: &str) -> InMemDicomObject {
    let number_text = number.to_string();
    let texts: [(Tag, VR, &str); 12] = [
        (tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
        (tags::SOP_INSTANCE_UID, VR::UI, sop_instance),
        (tags::STUDY_DATE, VR::DA, "20260101"),
        (tags::MODALITY, VR::CS, "CT"),
        (tags::PATIENT_NAME, VR::PN, "Generated^Nobody"),
        (tags::PATIENT_ID, VR::LO, "GENERATED-1"),
        (tags::STUDY_INSTANCE_UID, VR::UI, STUDY),
        (tags::SERIES_INSTANCE_UID, VR::UI, SERIES),
        (tags::STUDY_ID, VR::SH, "1"),
        (tags::SERIES_NUMBER, VR::IS, "1"),
        (tags::INSTANCE_NUMBER, VR::IS, &number_text),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
    ];
    let mut object = InMemDicomObject::new_empty();
    for (tag, vr, text) in texts {
        object.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
    }
    let numbers = [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows),
        (tags::COLUMNS, rows),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 12),
        (tags::HIGH_BIT, 11),
        (tags::PIXEL_REPRESENTATION, 0),
    ];
    for (tag, value) in numbers {
        object.put(DataElement::new(tag, VR::US, dicom_value!(U16, [value])));
    }
    object.put(pixels(number, rows, transfer_syntax));
    object
}

/// Noise, so that nothing compresses it away; as a fragment where the transfer syntax is encapsulated (the peers here
/// pass it on undecoded).
fn pixels(number: u32, rows: u16, transfer_syntax: &str) -> DataElement<InMemDicomObject> {
    let mut state = number.wrapping_mul(2_654_435_761).max(1);
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state & 0x0FFF) as u16
    };
    let samples: Vec<u16> = (0..usize::from(rows) * usize::from(rows)).map(|_| noise()).collect();
    if TransferSyntaxRegistry.get(transfer_syntax).unwrap().is_encapsulated_pixel_data() {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        return DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new_fragments(vec![bytes]));
    }
    DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(samples.into()))
}
