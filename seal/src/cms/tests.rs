//! Beside the `der` and `cms` crates: whatever is taken of a cover is taken by them alike, and they would write it in the same bytes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::envelope::{self, AuthEnvelopedData, GcmParameters, WRAPPED_KEY_BYTES, WrappedKey, Wrapping};
use super::signed::{self, Attested, Signed};
use super::*;
use crate::certificate::POINT_BYTES;
use crate::certificate::draft::{Role, draft, finish};
use crate::elements::tests::edited;
use ::cms::content_info::ContentInfo;
use ::cms::enveloped_data::RecipientInfo;
use ::cms::signed_data::SignedData;
use der::{Decode, Encode};
use proptest::prelude::*;
use proptest::sample::Index;
use x509_cert::spki::AlgorithmIdentifierOwned;

const WHAT: &str = "the cover";
const CONTENT: &[u8] = b"what the site signs";

fn certificate() -> Certificate {
    let draft = draft(Role::Encryption, &[4; POINT_BYTES], [0x70; 16], 0, 2_900_000_000).unwrap();
    Certificate::from_der(&finish(&draft, &[0x7F; 64]).unwrap()).unwrap()
}

fn sealed(recipient: &Certificate) -> Vec<u8> {
    let wrapping =
        Wrapping::Agreement { ephemeral_point: [4; POINT_BYTES], wrapped_key: [1; WRAPPED_KEY_BYTES] };
    envelope::build(&[WrappedKey { recipient, wrapping }], &[9; 12], &[5; 200]).unwrap()
}

fn attested(signer: &Certificate) -> Vec<u8> {
    let attested = Attested::new(CONTENT, 1_795_373_465).unwrap();
    attested.build(Some(CONTENT), &[0x30; 70], signer, false).unwrap().to_vec()
}

/// The content, if the crates read the whole and would write it so.
fn content_of(der: &[u8]) -> Option<Vec<u8>> {
    let info = ContentInfo::from_der(der).ok().filter(|info| info.to_der().unwrap() == der)?;
    info.content.to_der().ok()
}

/// What stands behind the first recipient info is for other people, and not looked at here.
fn is_envelope(der: &[u8]) -> bool {
    let read = |content: &[u8]| {
        let data = AuthEnvelopedData::from_der(content).ok()?;
        let parameters = data.content.algorithm.parameters?.to_der().ok()?;
        GcmParameters::from_der(&parameters).ok()?;
        let infos = data.recipient_infos.value();
        let info = RecipientInfo::decode(&mut SliceReader::new(infos).ok()?).ok()?;
        let RecipientInfo::Kari(agreement) = &info else { return None };
        AlgorithmIdentifierOwned::from_der(&agreement.key_enc_alg.parameters.as_ref()?.to_der().ok()?)
            .ok()?;
        let info = info.to_der().ok()?;
        (data.to_der().ok()? == content && infos.starts_with(&info)).then_some(())
    };
    content_of(der).is_some_and(|content| read(&content).is_some())
}

fn is_signed(der: &[u8], ours: &Signed<'_>) -> bool {
    let read = |content: &[u8]| {
        let data = SignedData::from_der(content).ok().filter(|data| data.to_der().unwrap() == content)?;
        let [info] = data.signer_infos.0.as_slice() else { return None };
        let message = info.signed_attrs.as_ref()?.to_der().ok()?;
        let said = data.encap_content_info.econtent.as_ref()?.value();
        let same = said == ours.content
            && message == ours.verification.message
            && info.signature.as_bytes() == ours.verification.signature;
        same.then_some(())
    };
    content_of(der).is_some_and(|content| read(&content).is_some())
}

/// How many of these are taken.
fn taken(all: impl Iterator<Item = Vec<u8>>, take: impl Fn(&[u8]) -> bool) -> usize {
    all.filter(|bytes| take(bytes)).count()
}

fn take_envelope(bytes: &[u8], recipient: &Certificate) -> bool {
    let is_taken = envelope::parse(bytes, recipient).is_ok();
    assert!(!is_taken || is_envelope(bytes), "taken here alone: {bytes:02x?}");
    is_taken
}

/// The name of a signer is not looked into: it must be that of a pinned certificate, byte by byte.
fn take_signed(bytes: &[u8], signer: &Certificate) -> bool {
    let Ok(signed) = signed::parse(bytes, WHAT) else { return false };
    if signed.candidates(std::slice::from_ref(signer)).is_err() {
        return false;
    }
    assert!(is_signed(bytes, &signed), "taken here alone: {bytes:02x?}");
    true
}

/// With one byte replaced by each other one.
fn changed(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places = (0..whole.len()).flat_map(|at| (1..=255_u8).map(move |change| (at, change)));
    places.map(|(at, change)| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= change;
        bytes
    })
}

fn cut_or_longer(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..whole.len()).map(|bytes| whole[..bytes].to_vec());
    cut.chain([[whole, &[0]].concat(), [whole, &[5, 0]].concat(), [whole, whole].concat()])
}

#[test]
fn a_cover_with_an_element_too_many_or_too_few_is_taken_only_as_the_crates_take_it() {
    let (recipient, signer) = (certificate(), certificate());
    let (sealed, attested) = (edited(&sealed(&recipient)), edited(&attested(&signer)));
    assert!(sealed.len() > 100 && attested.len() > 100, "{} {}", sealed.len(), attested.len());
    let sealed_taken = taken(sealed.into_iter(), |bytes| take_envelope(bytes, &recipient));
    let attested_taken = taken(attested.into_iter(), |bytes| take_signed(bytes, &signer));
    assert!(sealed_taken < 10 && attested_taken < 10, "{sealed_taken} {attested_taken}");
}

#[test]
fn a_cover_with_a_byte_changed_is_taken_only_as_the_crates_take_it() {
    let (recipient, signer) = (certificate(), certificate());
    let (sealed, attested) = (sealed(&recipient), attested(&signer));
    assert!(take_envelope(&sealed, &recipient) && take_signed(&attested, &signer));
    // Ciphertext, nonce, tag, point and wrapped key may say anything; of what is signed, the signature.
    let sealed_taken = taken(changed(&sealed), |bytes| take_envelope(bytes, &recipient));
    assert!(sealed_taken > 200 * 255, "{sealed_taken}");
    let attested_taken = taken(changed(&attested), |bytes| take_signed(bytes, &signer));
    assert!(attested_taken >= 70 * 255, "{attested_taken}");
    assert_eq!(taken(cut_or_longer(&sealed), |bytes| take_envelope(bytes, &recipient)), 0);
    assert_eq!(taken(cut_or_longer(&attested), |bytes| take_signed(bytes, &signer)), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Bytes put in the place of others, of any length: lengths and tags that contain each other no longer agree, or do so by a second spelling.
    #[test]
    fn a_cover_with_bytes_replaced_is_taken_only_as_the_crates_take_it(
        at in any::<Index>(), out in 0_usize..6, new in proptest::collection::vec(any::<u8>(), 0..6)
    ) {
        let (recipient, signer) = (certificate(), certificate());
        let splice = |mut bytes: Vec<u8>| {
            let at = at.index(bytes.len());
            let end = (at + out).min(bytes.len());
            drop(bytes.splice(at..end, new.iter().copied()));
            bytes
        };
        take_envelope(&splice(sealed(&recipient)), &recipient);
        take_signed(&splice(attested(&signer)), &signer);
    }
}
