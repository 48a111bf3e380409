//! Why a retrieval ended early, whether trying again can help, and who must act.

use crate::query::{Lasting, QueryError};
use crate::receive::Fault;
use dimse::{AssociationError, status};

/// Why a retrieval ended before the PACS said that it is done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetrieveError {
    /// The PACS, or the way to it.
    #[error(transparent)]
    Pacs(#[from] QueryError),
    /// It answered with a failure.
    #[error("the PACS does not give the study, status {status:04X}{}", words(*status))]
    Refused {
        /// Status (0000,0900).
        status: u16,
    },
    /// It took longer than `retrieve_total_ms`.
    #[error(
        "the PACS did not give the study in time (operator: check its load, or raise retrieve_total_ms in [pacs])"
    )]
    TooLong,
    /// We have no room or no journal.
    #[error("the gateway has no room or no journal (operator: see the gateway's log)")]
    NoRoom,
    /// The PACS sent too much that was not asked for.
    #[error("the PACS sends what it was not asked for (PACS: ask its maker)")]
    NotAskedFor,
    /// `retrieve = "none"`.
    #[error("nothing is fetched from this PACS (operator: see retrieve in [pacs])")]
    Off,
    /// Our receive folder.
    #[error("the receive folder cannot be opened (operator: check the disk)")]
    Folder,
    /// A defect of this program.
    #[error("a retrieval ended by a defect of this program (us: report this with the log)")]
    Defect,
}

impl RetrieveError {
    /// Whether trying again can help.
    pub fn lasting(&self) -> Lasting {
        match self {
            Self::Pacs(error) => error.lasting(),
            Self::Refused { status: status::MOVE_DESTINATION_UNKNOWN } => Lasting::Permanent,
            Self::Refused { status } => QueryError::Failed { status: *status }.lasting(),
            Self::TooLong | Self::NoRoom => Lasting::Temporary,
            Self::NotAskedFor | Self::Off | Self::Folder | Self::Defect => Lasting::Permanent,
        }
    }
}

impl From<AssociationError> for RetrieveError {
    fn from(error: AssociationError) -> Self {
        Self::Pacs(error.into())
    }
}

impl From<Fault> for RetrieveError {
    fn from(fault: Fault) -> Self {
        Self::Pacs(QueryError::Malformed(match fault {
            Fault::UnknownContext => "an object in a presentation context that was not accepted",
            _ => "a message that may not come now",
        }))
    }
}

fn words(status: u16) -> &'static str {
    match status {
        status::MOVE_DESTINATION_UNKNOWN => " (PACS: register the AE title and address of our listener)",
        status::NO_NUMBER_OF_MATCHES | status::NO_SUBOPERATIONS | status::OUT_OF_RESOURCES => {
            " (PACS: it lacks resources, see its log)"
        }
        _ => " (PACS: see its log)",
    }
}
