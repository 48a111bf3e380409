//! Why an association broke, who must act, and what the peer is told (PS3.8 9.3.8).

use dicom_ul::pdu::{AbortRQServiceProviderReason as Reason, AbortRQSource, Pdu};
use dimse::fragments::Disorder;
use std::io;

/// Who can do something about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhoMustAct {
    /// Whoever runs the sending device or PACS.
    Modality,
    /// Whoever runs this gateway and its network.
    Operator,
    /// We: a defect of this program.
    Us,
}

impl WhoMustAct {
    /// The word for log lines.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Modality => "modality",
            Self::Operator => "operator",
            Self::Us => "us",
        }
    }
}

/// Why an association broke. Holds no value of the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The first bytes are no A-ASSOCIATE-RQ.
    #[error("the peer does not speak DICOM")]
    NotDicom,
    /// The peer sent A-ABORT.
    #[error("the peer aborted")]
    PeerAborted,
    /// The connection ended without release or abort.
    #[error("the connection was cut")]
    Cut,
    /// The peer sent nothing, or took nothing, for too long.
    #[error("the peer was silent for too long")]
    Silent,
    /// A PDU announces more bytes than its kind may have.
    #[error("a PDU is longer than allowed")]
    PduTooLong,
    /// A PDU of an unknown type (PS3.8 9.3.1).
    #[error("a PDU of an unknown type")]
    UnknownPdu,
    /// A PDU that may not come in this state (PS3.8 9.2.3).
    #[error("a PDU that may not come now")]
    UnexpectedPdu,
    /// A PDU whose content cannot be read.
    #[error("a PDU that cannot be read")]
    MalformedPdu,
    /// A fragment of a presentation context that was not accepted.
    #[error("a message on a presentation context that was not accepted")]
    UnknownContext,
    /// Fragments that make no message.
    #[error("{0}")]
    Disorder(#[from] Disorder),
    /// The service is being stopped.
    #[error("the service is being stopped")]
    Stopping,
    /// A PDU of ours could not be built.
    #[error("an answer could not be built")]
    Unbuildable,
    /// The association was rejected, with the reason of PS3.8 9.3.4.
    #[error("rejected: {0}")]
    Rejected(&'static str),
}

impl Fault {
    /// Who can do something about it.
    pub(super) fn who_must_act(&self) -> WhoMustAct {
        match self {
            Self::Cut | Self::Silent | Self::Stopping | Self::Rejected(_) => WhoMustAct::Operator,
            Self::Unbuildable => WhoMustAct::Us,
            _ => WhoMustAct::Modality,
        }
    }

    /// The A-ABORT that tells the peer, where there is anybody left to tell.
    pub(super) fn abort(&self) -> Option<Pdu> {
        let reason = match self {
            Self::PeerAborted | Self::Cut | Self::Rejected(_) => return None,
            Self::Silent | Self::Stopping | Self::Unbuildable => Reason::ReasonNotSpecified,
            Self::NotDicom | Self::UnknownPdu => Reason::UnrecognizedPdu,
            Self::UnexpectedPdu => Reason::UnexpectedPdu,
            Self::PduTooLong | Self::MalformedPdu => Reason::InvalidPduParameter,
            Self::UnknownContext | Self::Disorder(_) => Reason::UnexpectedPduParameter,
        };
        Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) })
    }
}

impl From<io::Error> for Fault {
    /// Errors of a socket: either time ran out or the connection is gone.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Silent,
            _ => Self::Cut,
        }
    }
}
