//! Command sets against dicom-object, in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use dicom_core::{VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;

fn element(
    tag: dicom_core::Tag,
    vr: VR,
    value: impl Into<dicom_core::PrimitiveValue>,
) -> dicom_core::DataElement<InMemDicomObject> {
    dicom_core::DataElement::new(tag, vr, value.into())
}

fn written(elements: Vec<dicom_core::DataElement<InMemDicomObject>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    InMemDicomObject::command_from_element_iter(elements)
        .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
        .unwrap();
    bytes
}

fn store_request() -> Vec<u8> {
    written(vec![
        element(tags::AFFECTED_SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.4"),
        element(tags::COMMAND_FIELD, VR::US, dicom_value!(U16, [0x0001])),
        element(tags::MESSAGE_ID, VR::US, dicom_value!(U16, [7])),
        element(tags::PRIORITY, VR::US, dicom_value!(U16, [2])),
        element(tags::COMMAND_DATA_SET_TYPE, VR::US, dicom_value!(U16, [1])),
        element(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, "1.2.3.4"),
        element(tags::MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE, VR::AE, "PACS"),
        element(tags::MOVE_ORIGINATOR_MESSAGE_ID, VR::US, dicom_value!(U16, [9])),
    ])
}

#[test]
fn a_store_request_of_dicom_rs_is_understood() {
    let command = Command::parse(&store_request()).unwrap();
    assert_eq!(command.field, field::C_STORE_RQ);
    assert_eq!(command.message_id, Some(7));
    assert_eq!(command.sop_class.unwrap().as_str(), "1.2.840.10008.5.1.4.1.1.4");
    assert_eq!(command.sop_instance.unwrap().as_str(), "1.2.3.4");
    assert!(command.data_set);
}

#[test]
fn our_response_is_understood_by_dicom_rs() {
    let response = Command::parse(&store_request()).unwrap().response(status::OUT_OF_RESOURCES, "no room");
    let object =
        InMemDicomObject::read_dataset_with_ts(&response[..], &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    let number = |tag| object.element(tag).unwrap().to_int::<u32>().unwrap();
    assert_eq!(number(tags::COMMAND_GROUP_LENGTH), u32::try_from(response.len() - 12).unwrap());
    assert_eq!(number(tags::COMMAND_FIELD), 0x8001);
    assert_eq!(number(tags::MESSAGE_ID_BEING_RESPONDED_TO), 7);
    assert_eq!(number(tags::COMMAND_DATA_SET_TYPE), 0x0101);
    assert_eq!(number(tags::STATUS), 0xA700);
    assert_eq!(object.element(tags::ERROR_COMMENT).unwrap().to_str().unwrap(), "no room");
    assert_eq!(object.element(tags::AFFECTED_SOP_INSTANCE_UID).unwrap().to_str().unwrap(), "1.2.3.4");
}

#[test]
fn success_carries_no_comment() {
    let response = Command::parse(&store_request()).unwrap().response(status::SUCCESS, "unused");
    assert!(Elements::of(&response).all(|element| element.unwrap().tag != ERROR_COMMENT));
}

#[test]
fn a_command_without_its_field_or_with_a_foreign_group_is_refused() {
    let mut bytes = Vec::new();
    push_u16(&mut bytes, COMMAND_DATA_SET_TYPE, NO_DATA_SET);
    assert_eq!(Command::parse(&bytes), Err(InvalidCommand::Missing(COMMAND_FIELD)));
    push_u16(&mut bytes, 0x0008_0005, 0);
    assert_eq!(Command::parse(&bytes), Err(InvalidCommand::ForeignGroup(0x0008_0005)));
}

#[test]
fn a_value_that_is_no_uid_is_left_out() {
    let mut bytes = Vec::new();
    push(&mut bytes, AFFECTED_SOP_CLASS_UID, b"../../etc", 0);
    push_u16(&mut bytes, COMMAND_FIELD, field::C_STORE_RQ);
    push_u16(&mut bytes, COMMAND_DATA_SET_TYPE, DATA_SET);
    assert_eq!(Command::parse(&bytes).unwrap().sop_class, None);
}

#[test]
fn our_store_request_is_understood_by_dicom_rs() {
    let uid = |text| Uid::parse(text).unwrap();
    let request = super::store_request(&uid("1.2.840.10008.5.1.4.1.1.4"), &uid("1.2.3.4"), 9);
    let object =
        InMemDicomObject::read_dataset_with_ts(&request[..], &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    let number = |tag| object.element(tag).unwrap().to_int::<u32>().unwrap();
    assert_eq!((number(tags::COMMAND_FIELD), number(tags::MESSAGE_ID)), (1, 9));
    assert_ne!(number(tags::COMMAND_DATA_SET_TYPE), 0x0101, "a data set follows");
    assert_eq!(object.element(tags::AFFECTED_SOP_INSTANCE_UID).unwrap().to_str().unwrap(), "1.2.3.4");
    let command = Command::parse(&request).unwrap();
    assert_eq!((command.field, command.data_set), (field::C_STORE_RQ, true));
}
