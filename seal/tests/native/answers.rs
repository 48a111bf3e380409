//! Answers: sealed by a device for one delivery, opened by the site's key for it and by nothing else.

use crate::delivery::{DELIVERY, NOW, Party};
use compressor::{Phi, Purpose};
use seal::answer::{Answer, SEALED_BYTES, SealedAnswer, Words};
use seal::ids::{DeliveryId, Digest};
use seal::native::{AnswerKey, open_signed_receipt, seal_answer, sign_receipt, verify_receipt};
use seal::receipt::{Receipt, ReceiptKind};

fn answered(doctor: &Party, site: &AnswerKey, text: &str) -> Receipt {
    let recipient = doctor.certificate().digest();
    let receipt = Receipt::new(ReceiptKind::Answer, DELIVERY, Digest([7; 32]), recipient, NOW + 60);
    let answer = Answer::Words(Words::new(Phi::new(text.to_owned())).unwrap());
    let sealed = seal_answer(&answer, &receipt, &site.point().unwrap()).unwrap();
    Receipt { sealed: Some(sealed), ..receipt }
}

#[test]
fn an_answer_comes_back_and_its_signature_is_proved_from_the_fields_alone() {
    let (doctor, site) = (Party::new("doctor"), AnswerKey::generate().unwrap());
    // Through what the journal keeps.
    let kept = AnswerKey::from_bytes(&*site.to_bytes().unwrap()).unwrap();
    let receipt = answered(&doctor, &site, "正中偏位あり。すぐ行きます");
    let der = sign_receipt(&receipt, &doctor.doctor()).unwrap();
    let signed = open_signed_receipt(&der, &[doctor.recipient()]).unwrap();
    assert_eq!(signed.receipt, receipt);
    verify_receipt(&signed, &doctor.recipient()).unwrap();
    let Ok(Answer::Words(words)) = kept.open(&signed.receipt) else { panic!("not opened") };
    assert_eq!(words.expose_for(Purpose::Compare), "正中偏位あり。すぐ行きます");
    assert!(!der.windows(9).any(|part| part == "正中偏".as_bytes()), "nothing of it is plain");
}

#[test]
fn two_answers_of_the_same_words_look_different_and_equally_long() {
    let (doctor, site) = (Party::new("doctor"), AnswerKey::generate().unwrap());
    let (one, other) = (answered(&doctor, &site, "ok"), answered(&doctor, &site, &"あ".repeat(100)));
    assert_ne!(one.sealed, answered(&doctor, &site, "ok").sealed);
    let lengths = [one, other].map(|receipt| receipt.sealed.unwrap().0.len());
    assert_eq!(lengths, [SEALED_BYTES; 2]);
}

#[test]
fn an_answer_opens_nowhere_else() {
    let (doctor, site) = (Party::new("doctor"), AnswerKey::generate().unwrap());
    let receipt = answered(&doctor, &site, "ok");
    assert!(site.open(&receipt).is_ok());
    assert!(AnswerKey::generate().unwrap().open(&receipt).is_err(), "the key of another delivery");
    // What it is bound to: whoever lifts it out of a receipt and signs it as an own one has nothing.
    let moved = [
        Receipt { delivery: DeliveryId([1; 16]), ..receipt.clone() },
        Receipt { cover: Digest([1; 32]), ..receipt.clone() },
        Receipt { recipient: Digest([1; 32]), ..receipt.clone() },
        Receipt { sealed: None, ..receipt.clone() },
    ];
    for receipt in moved {
        assert!(site.open(&receipt).is_err());
    }
    for at in [0, 1, 64, 65, 300, SEALED_BYTES - 1] {
        let mut bytes = receipt.sealed.clone().unwrap().0;
        bytes[at] ^= 1;
        let changed = Receipt { sealed: Some(SealedAnswer(bytes)), ..receipt.clone() };
        assert!(site.open(&changed).is_err(), "byte {at}");
    }
}
