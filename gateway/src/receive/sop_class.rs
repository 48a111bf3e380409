//! Which abstract syntaxes are taken: everything that can be stored, and Verification.

use compressor::Uid;
use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;
use dimse::uid;

/// Media Storage Directory: in the dictionary as a storage class, but a file of a disc, never sent (PS3.4 I).
const MEDIA_STORAGE_DIRECTORY: &str = "1.2.840.10008.1.3.10";

/// Whether objects of this class may be stored: a storage class of PS3.4 B.5, retired ones too, or a private class.
///
/// A standard UID this dictionary does not know yet is refused: it cannot be told from a service.
pub(crate) fn is_storage(class: &Uid) -> bool {
    let class = class.as_str();
    if !class.starts_with(uid::STANDARD_ROOT) {
        return true;
    }
    StandardSopClassDictionary.by_uid(class).is_some_and(|entry| names_storage(entry.name))
        && class != MEDIA_STORAGE_DIRECTORY
}

/// "CT Image Storage", "Digital X-Ray Image Storage - For Presentation", "… Storage SOP Class (Retired)".
fn names_storage(name: &str) -> bool {
    let name = name.trim_end_matches(" (Retired)").trim_end_matches(" SOP Class");
    ["", " - For Presentation", " - For Processing", " - Trial"]
        .iter()
        .any(|ending| name.strip_suffix(ending).is_some_and(|stem| stem.ends_with(" Storage")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use dicom_dictionary_std::uids;

    fn stored(uid: &str) -> bool {
        is_storage(&Uid::parse(uid).unwrap())
    }

    #[test]
    fn storage_classes_of_every_kind_are_taken() {
        for class in [
            uids::CT_IMAGE_STORAGE,
            uids::MR_IMAGE_STORAGE,
            uids::ENHANCED_MR_IMAGE_STORAGE,
            uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
            uids::SEGMENTATION_STORAGE,
            uids::ENCAPSULATED_PDF_STORAGE,
            uids::ULTRASOUND_IMAGE_STORAGE,
            "1.2.840.10008.5.1.4.1.1.6",
            "1.2.840.10008.5.1.4.1.1.88.1",
            "1.3.46.670589.11.0.0.12.1",
        ] {
            assert!(stored(class), "{class}");
        }
    }

    #[test]
    fn services_are_not_taken() {
        for class in [
            uids::VERIFICATION,
            uids::STORAGE_COMMITMENT_PUSH_MODEL,
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
            uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND,
            MEDIA_STORAGE_DIRECTORY,
            "1.2.840.10008.99.1",
        ] {
            assert!(!stored(class), "{class}");
        }
    }
}
