//! One spelling only, for what the decoder would pass over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::agreement::shared_info;
use super::*;
use ::cms::enveloped_data::RecipientInfo;
use der::{Decode, Tagged};

/// Of one recipient info alone.
fn key_of(info: &[u8], recipient: &Certificate) -> Result<Option<KeyRequest>, Refusal> {
    key_for(&Elements::of(info).element().ok_or(MALFORMED)?, recipient)
}

fn certificate() -> Certificate {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    Certificate::from_der(certificate.der()).unwrap()
}

fn info_for(recipient: &Certificate) -> Vec<u8> {
    let mut ephemeral_point = [7; POINT_BYTES];
    ephemeral_point[0] = 4;
    let key = WrappedKey {
        recipient,
        wrapping: Wrapping::Agreement { ephemeral_point, wrapped_key: [1; WRAPPED_KEY_BYTES] },
    };
    recipient_info(&key).unwrap().to_der().unwrap()
}

#[test]
fn a_recipient_info_is_read_as_written() {
    let recipient = certificate();
    let request = key_of(&info_for(&recipient), &recipient).unwrap().unwrap();
    let KeyRequest::Agreement(request) = request else { panic!("{request:?}") };
    assert_eq!((request.ephemeral_point[1], request.wrapped_key), (7, [1; WRAPPED_KEY_BYTES]));
    assert_eq!(request.shared_info, shared_info(None).unwrap());
    assert_eq!(key_of(&info_for(&recipient), &certificate()), Ok(None));
}

/// RFC 5753 7.2 by hand: the wrap algorithm, then `[2]` with 256 bits.
#[test]
fn shared_info_is_that_of_the_standard() {
    let expected = b"\x30\x15\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2d\xa2\x06\x04\x04\0\0\x01\0";
    assert_eq!(shared_info(None).unwrap(), expected);
    let with_ukm = shared_info(Some(b"u")).unwrap();
    assert_eq!(&with_ukm[15..20], b"\xa0\x03\x04\x01u");
}

#[test]
fn fields_that_the_decoder_passes_over_are_refused() {
    let recipient = certificate();
    let info = info_for(&recipient);
    let outer = AnyRef::from_der(&info).unwrap();
    let mut fields = Elements::of(outer.value());
    let (version, originator) = (fields.element().unwrap().whole, fields.element().unwrap().whole);
    let rest = &outer.value()[version.len() + originator.len()..];
    let stuffed = [version, originator, b"\xa0\x00", rest].concat();
    let stuffed = AnyRef::new(outer.tag(), &stuffed).unwrap().to_der().unwrap();
    assert!(RecipientInfo::from_der(&stuffed).is_ok());
    assert_eq!(key_of(&stuffed, &recipient), Err(Refusal::Malformed(COVER)));
}
