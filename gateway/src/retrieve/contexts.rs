//! The presentation contexts of a retrieval: the service, and with C-GET what may come, of which we are the SCP (PS3.7 D.3.3.4, PS3.4 C.5.3).
//!
//! An acceptor chooses one transfer syntax for each context, and can send only what is in it or what it converts. So each syntax gets a
//! context of its own where there is room, and the bytes come as the PACS keeps them.

use crate::receive::{Context, is_storage};
use compressor::Uid;
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{PresentationContextProposed, RequestorRoles, UserVariableItem};
use dimse::uid;
use std::collections::{BTreeMap, BTreeSet};

/// The context of C-GET or C-MOVE.
pub(super) const SERVICE: u8 = 1;
/// Contexts of one association: odd ids of one byte (PS3.8 9.3.2.2).
const CONTEXTS_MAX: usize = 128;

const UNCOMPRESSED: [&str; 3] = [uid::EXPLICIT_LITTLE, uid::IMPLICIT_LITTLE, uid::EXPLICIT_BIG];

/// Those that archives keep most first.
const COMPRESSED: [&str; 18] = [
    uids::JPEG_LOSSLESS_SV1,
    uids::JPEG2000_LOSSLESS,
    uids::JPEG_BASELINE8_BIT,
    uids::JPEG2000,
    uids::JPEGLS_LOSSLESS,
    uids::JPEGLS_NEAR_LOSSLESS,
    uids::RLE_LOSSLESS,
    uids::JPEG_EXTENDED12_BIT,
    uids::JPEG_LOSSLESS,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids::HTJ2K_LOSSLESS,
    uids::HTJ2K_LOSSLESS_RPCL,
    uids::HTJ2K,
    uids::MPEG4HP41,
    uids::MPEG4HP41BD,
    uids::MPEG2MPML,
    uids::HEVCMP51,
    uids::JPEG2000MC_LOSSLESS,
];

/// Storage classes of what hospitals send, for a PACS that does not name those of a study. 63 at most, so that each has two contexts.
const COMMON_CLASSES: [&str; 42] = [
    uids::CT_IMAGE_STORAGE,
    uids::MR_IMAGE_STORAGE,
    uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::ENHANCED_CT_IMAGE_STORAGE,
    uids::ENHANCED_MR_IMAGE_STORAGE,
    uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::ULTRASOUND_IMAGE_STORAGE,
    uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
    uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE,
    uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE,
    uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
    uids::NUCLEAR_MEDICINE_IMAGE_STORAGE,
    uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::DIGITAL_INTRA_ORAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::BREAST_TOMOSYNTHESIS_IMAGE_STORAGE,
    uids::ENHANCED_PET_IMAGE_STORAGE,
    uids::ENHANCED_XA_IMAGE_STORAGE,
    uids::ENHANCED_XRF_IMAGE_STORAGE,
    uids::ENHANCED_MR_COLOR_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::VL_ENDOSCOPIC_IMAGE_STORAGE,
    uids::VIDEO_ENDOSCOPIC_IMAGE_STORAGE,
    uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE,
    uids::OPHTHALMIC_PHOTOGRAPHY8_BIT_IMAGE_STORAGE,
    uids::OPHTHALMIC_TOMOGRAPHY_IMAGE_STORAGE,
    uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE,
    uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    uids::SEGMENTATION_STORAGE,
    uids::BASIC_TEXT_SR_STORAGE,
    uids::ENHANCED_SR_STORAGE,
    uids::COMPREHENSIVE_SR_STORAGE,
    uids::X_RAY_RADIATION_DOSE_SR_STORAGE,
    uids::ENCAPSULATED_PDF_STORAGE,
    uids::RAW_DATA_STORAGE,
];

/// What is proposed for a service and, with C-GET, for these storage classes; the common ones where none is named.
pub(super) fn propose(
    service: &str,
    stores: bool,
    named: &BTreeSet<Uid>,
) -> (Vec<PresentationContextProposed>, Vec<UserVariableItem>) {
    let mut proposed = vec![(service, vec![uid::IMPLICIT_LITTLE])];
    let mut classes: Vec<&str> = named.iter().filter(|class| is_storage(class)).map(Uid::as_str).collect();
    if classes.is_empty() {
        classes = COMMON_CLASSES.to_vec();
    }
    if stores {
        proposed.extend(storage(&classes));
    }
    proposed.truncate(CONTEXTS_MAX);
    let roles = proposed.iter().skip(1).map(|(class, _)| *class).collect::<BTreeSet<_>>();
    let role = RequestorRoles { scu: false, scp: true };
    let roles =
        roles.into_iter().map(|class| UserVariableItem::ScuScpRoleSelectionSubItem(class.to_owned(), role));
    let contexts = proposed.iter().zip((SERVICE..=u8::MAX).step_by(2)).map(|((class, syntaxes), id)| {
        let transfer_syntaxes = syntaxes.iter().map(|syntax| (*syntax).to_owned()).collect();
        PresentationContextProposed { id, abstract_syntax: (*class).to_owned(), transfer_syntaxes }
    });
    (contexts.collect(), roles.collect())
}

/// What may come of these classes: each syntax alone where there is room for all, else those without compression and those with.
fn storage<'a>(classes: &[&'a str]) -> Vec<(&'a str, Vec<&'static str>)> {
    let syntaxes = || UNCOMPRESSED.iter().chain(&COMPRESSED);
    let groups: Vec<Vec<&'static str>> = if classes.len() * syntaxes().count() < CONTEXTS_MAX {
        syntaxes().map(|syntax| vec![*syntax]).collect()
    } else {
        vec![UNCOMPRESSED.to_vec(), COMPRESSED.to_vec()]
    };
    groups.iter().flat_map(|group| classes.iter().map(|class| (*class, group.clone()))).collect()
}

/// The contexts that the PACS accepted for what may come.
pub(super) fn accepted(
    proposed: &[PresentationContextProposed],
    accepted: &BTreeMap<u8, Uid>,
) -> BTreeMap<u8, Context> {
    let ids = proposed.iter().map(|context| context.id).filter(|id| *id != SERVICE);
    ids.filter_map(|id| {
        let transfer_syntax = accepted.get(&id)?.clone();
        Some((id, Context { storage: true, transfer_syntax }))
    })
    .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn named_classes_have_a_context_for_each_syntax() {
        let named = BTreeSet::from([Uid::parse(uids::CT_IMAGE_STORAGE).unwrap()]);
        let (contexts, roles) = propose(uid::STUDY_ROOT_GET, true, &named);
        assert_eq!(contexts.len(), 1 + UNCOMPRESSED.len() + COMPRESSED.len());
        assert!(contexts.iter().all(|context| context.transfer_syntaxes.len() == 1 && context.id % 2 == 1));
        assert_eq!(roles.len(), 1);
        let (contexts, roles) = propose(uid::STUDY_ROOT_MOVE, false, &named);
        assert_eq!((contexts.len(), roles.len()), (1, 0));
    }

    #[test]
    fn more_than_an_association_has_room_for_is_cut() {
        let (contexts, roles) = propose(uid::STUDY_ROOT_GET, true, &BTreeSet::new());
        assert_eq!(contexts.len(), 1 + 2 * COMMON_CLASSES.len());
        assert_eq!(roles.len(), COMMON_CLASSES.len());
        let many = (0..300).map(|number| Uid::parse(&format!("1.3.6.{number}")).unwrap()).collect();
        let (contexts, _) = propose(uid::STUDY_ROOT_GET, true, &many);
        assert_eq!((contexts.len(), contexts.last().unwrap().id), (CONTEXTS_MAX, 255));
    }

    #[test]
    fn every_common_class_is_one_of_storage_and_stands_once() {
        let classes: BTreeSet<_> = COMMON_CLASSES.iter().collect();
        assert_eq!(classes.len(), COMMON_CLASSES.len());
        assert!(COMMON_CLASSES.iter().all(|class| is_storage(&Uid::parse(class).unwrap())));
    }
}
