//! The answer to an A-ASSOCIATE-RQ: what is accepted, and what is rejected with which reason (PS3.8 9.3.2 to 9.3.4).
//!
//! dicom-ul's own acceptor takes only transfer syntaxes it knows; here every one is taken, so this is done on its PDUs.

use super::fault::Fault;
use super::sop_class::is_storage;
use super::{AeTitle, Intake};
use compressor::Uid;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult as Result_,
    AssociationRJServiceProviderASCEReason as Acse,
    AssociationRJServiceProviderPresentationReason as Presentation, AssociationRJServiceUserReason as User,
    AssociationRJSource as Source, AssociationRQ, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason as Answer, UserVariableItem,
};
use dimse::association::user_variables;
use dimse::uid;
use std::collections::BTreeMap;

/// Bit 0 of Protocol-version, the only one tested (PS3.8 9.3.2).
const PROTOCOL_VERSION_1: u16 = 0x0001;

/// This program (PS3.7 D.3.3.2), made once from a random UUID (PS3.5 B.2).
const IMPLEMENTATION_CLASS: &str = "2.25.54171905015891141036914644808646805418";
/// 1 to 16 characters (PS3.7 D.3.3.2).
const IMPLEMENTATION_VERSION: &str = concat!("SCANPOST_", env!("CARGO_PKG_VERSION"));

/// An accepted presentation context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// A storage class, else Verification.
    pub(crate) storage: bool,
    /// The transfer syntax its data sets come in.
    pub(crate) transfer_syntax: Uid,
}

/// What was agreed on.
pub(super) struct Agreement {
    pub(super) calling: AeTitle,
    pub(super) called: AeTitle,
    /// Accepted contexts by id; perhaps none.
    pub(super) contexts: BTreeMap<u8, Context>,
    /// Longest PDU the peer takes, 0 for any.
    pub(super) peer_pdu_bytes_max: u32,
    pub(super) answer: AssociationAC,
}

/// A rejection, and its reason in words.
pub(super) struct Rejection {
    pub(super) answer: AssociationRJ,
    pub(super) fault: Fault,
}

/// Answers a request.
pub(super) fn negotiate(request: AssociationRQ, intake: &impl Intake) -> Result<Agreement, Rejection> {
    if request.protocol_version & PROTOCOL_VERSION_1 == 0 {
        return Err(permanent(
            Source::ServiceProviderASCE(Acse::ProtocolVersionNotSupported),
            "protocol version not supported",
        ));
    }
    if request.application_context_name.trim_end_matches(['\0', ' ']) != uid::APPLICATION_CONTEXT {
        return Err(refuse(
            User::ApplicationContextNameNotSupported,
            "application context name not supported",
        ));
    }
    let calling = AeTitle::parse(&request.calling_ae_title)
        .map_err(|_| refuse(User::CallingAETitleNotRecognized, "the calling AE title is no AE title"))?;
    let called = AeTitle::parse(&request.called_ae_title)
        .ok()
        .filter(|called| intake.knows(called))
        .ok_or_else(|| refuse(User::CalledAETitleNotRecognized, "called AE title not recognized"))?;
    Ok(agree(request, calling, called))
}

/// The rejection for whom there is no room at the moment.
pub(super) fn congestion() -> Rejection {
    let source = Source::ServiceProviderPresentation(Presentation::TemporaryCongestion);
    Rejection {
        answer: AssociationRJ { result: Result_::Transient, source },
        fault: Fault::Rejected("temporary congestion, all associations are in use"),
    }
}

fn refuse(reason: User, words: &'static str) -> Rejection {
    permanent(Source::ServiceUser(reason), words)
}

fn permanent(source: Source, words: &'static str) -> Rejection {
    Rejection { answer: AssociationRJ { result: Result_::Permanent, source }, fault: Fault::Rejected(words) }
}

fn agree(request: AssociationRQ, calling: AeTitle, called: AeTitle) -> Agreement {
    let mut contexts = BTreeMap::new();
    let mut results = Vec::with_capacity(request.presentation_contexts.len());
    for proposed in &request.presentation_contexts {
        results.push(answer_context(proposed, &mut contexts));
    }
    Agreement {
        peer_pdu_bytes_max: pdu_bytes_max(&request.user_variables),
        contexts,
        answer: AssociationAC {
            protocol_version: PROTOCOL_VERSION_1,
            application_context_name: uid::APPLICATION_CONTEXT.to_owned(),
            called_ae_title: called.as_str().to_owned(),
            calling_ae_title: calling.as_str().to_owned(),
            presentation_contexts: results,
            user_variables: own_user_variables(),
        },
        calling,
        called,
    }
}

fn answer_context(
    proposed: &PresentationContextProposed,
    contexts: &mut BTreeMap<u8, Context>,
) -> PresentationContextResult {
    let (reason, transfer_syntax) = match judge(proposed, contexts) {
        Ok(context) => {
            let chosen = context.transfer_syntax.as_str().to_owned();
            contexts.insert(proposed.id, context);
            (Answer::Acceptance, chosen)
        }
        // The transfer syntax of a rejected context is not significant, but must be there (PS3.8 9.3.3.2).
        Err(reason) => (reason, uid::IMPLICIT_LITTLE.to_owned()),
    };
    PresentationContextResult { id: proposed.id, reason, transfer_syntax }
}

/// The first transfer syntax proposed wins: it is the one the sender likes best, and we keep its bytes as they are.
fn judge(
    proposed: &PresentationContextProposed,
    contexts: &BTreeMap<u8, Context>,
) -> Result<Context, Answer> {
    // Ids are odd and used once (PS3.8 9.3.2.2); which of two meanings a repeated one has would be a guess.
    if proposed.id.is_multiple_of(2) || contexts.contains_key(&proposed.id) {
        return Err(Answer::NoReason);
    }
    let class = Uid::parse(&proposed.abstract_syntax).map_err(|_| Answer::AbstractSyntaxNotSupported)?;
    let storage = is_storage(&class);
    if !storage && class.as_str() != uid::VERIFICATION {
        return Err(Answer::AbstractSyntaxNotSupported);
    }
    let first = proposed.transfer_syntaxes.first().ok_or(Answer::TransferSyntaxesNotSupported)?;
    let transfer_syntax = Uid::parse(first).map_err(|_| Answer::TransferSyntaxesNotSupported)?;
    Ok(Context { storage, transfer_syntax })
}

fn pdu_bytes_max(variables: &[UserVariableItem]) -> u32 {
    let announced = |item: &UserVariableItem| match item {
        UserVariableItem::MaxLength(bytes) => Some(*bytes),
        _ => None,
    };
    variables.iter().find_map(announced).unwrap_or(0)
}

/// What we say of ourselves, as acceptor and as requestor (PS3.7 D.3.3).
pub(crate) fn own_user_variables() -> Vec<UserVariableItem> {
    user_variables(IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION)
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
