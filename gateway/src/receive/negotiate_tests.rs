//! Requests and the answers they get.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::super::{IntakeRefusal, ReceivedInstance};
use super::*;
use dicom_dictionary_std::uids;

struct OnlyDoctor;

impl Intake for OnlyDoctor {
    fn knows(&self, called: &AeTitle) -> bool {
        called.as_str() == "DOCTOR"
    }
    fn ready(&self, _: u64) -> bool {
        true
    }
    async fn commit(&self, _: ReceivedInstance) -> Result<(), IntakeRefusal> {
        Ok(())
    }
    fn storage_failed(&self) {}
    fn association_ended(&self, _: u64) {}
}

fn proposed(id: u8, class: &str, syntaxes: &[&str]) -> PresentationContextProposed {
    PresentationContextProposed {
        id,
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: syntaxes.iter().map(|&syntax| syntax.to_owned()).collect(),
    }
}

fn request() -> AssociationRQ {
    AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "PACS".to_owned(),
        called_ae_title: "DOCTOR".to_owned(),
        application_context_name: uid::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![
            proposed(1, uids::CT_IMAGE_STORAGE, &["1.2.3.4.5.999", uid::IMPLICIT_LITTLE]),
            proposed(3, uids::STORAGE_COMMITMENT_PUSH_MODEL, &[uid::IMPLICIT_LITTLE]),
            proposed(5, uid::VERIFICATION, &[uid::IMPLICIT_LITTLE]),
            proposed(7, "1.3.12.2.1107.5.9.1", &["1.2.840.113619.5.2"]),
            proposed(9, uids::CT_IMAGE_STORAGE, &[]),
            proposed(10, uids::CT_IMAGE_STORAGE, &[uid::IMPLICIT_LITTLE]),
            proposed(1, uids::MR_IMAGE_STORAGE, &[uid::IMPLICIT_LITTLE]),
            proposed(11, "not a uid", &[uid::IMPLICIT_LITTLE]),
        ],
        user_variables: vec![UserVariableItem::MaxLength(16_384)],
    }
}

#[test]
fn every_storage_class_and_transfer_syntax_is_taken_the_first_one_wins() {
    let agreement = negotiate(request(), &OnlyDoctor).ok().unwrap();
    assert_eq!(agreement.contexts.keys().copied().collect::<Vec<_>>(), [1, 5, 7]);
    assert_eq!(agreement.contexts[&1].transfer_syntax.as_str(), "1.2.3.4.5.999");
    assert!(agreement.contexts[&7].storage && !agreement.contexts[&5].storage);
    assert_eq!(agreement.peer_pdu_bytes_max, 16_384);
    let answers: Vec<_> =
        agreement.answer.presentation_contexts.iter().map(|result| result.reason.clone()).collect();
    assert_eq!(
        answers,
        [
            Answer::Acceptance,
            Answer::AbstractSyntaxNotSupported,
            Answer::Acceptance,
            Answer::Acceptance,
            Answer::TransferSyntaxesNotSupported,
            Answer::NoReason,
            Answer::NoReason,
            Answer::AbstractSyntaxNotSupported,
        ]
    );
}

#[test]
fn the_four_rejections_have_the_codes_of_the_standard() {
    let reject = |change: fn(&mut AssociationRQ)| {
        let mut request = request();
        change(&mut request);
        negotiate(request, &OnlyDoctor).err().unwrap().answer.source
    };
    assert_eq!(
        reject(|request| request.called_ae_title = "NOBODY".to_owned()),
        Source::ServiceUser(User::CalledAETitleNotRecognized)
    );
    assert_eq!(
        reject(|request| request.calling_ae_title.clear()),
        Source::ServiceUser(User::CallingAETitleNotRecognized)
    );
    assert_eq!(
        reject(|request| request.application_context_name = "1.2".to_owned()),
        Source::ServiceUser(User::ApplicationContextNameNotSupported)
    );
    assert_eq!(
        reject(|request| request.protocol_version = 2),
        Source::ServiceProviderASCE(Acse::ProtocolVersionNotSupported)
    );
}

#[test]
fn no_room_is_a_transient_rejection() {
    let rejection = congestion().answer;
    assert_eq!(rejection.result, Result_::Transient);
    assert_eq!(rejection.source, Source::ServiceProviderPresentation(Presentation::TemporaryCongestion));
}
