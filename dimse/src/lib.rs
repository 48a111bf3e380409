//! DIMSE messages: command sets, their fields and statuses, how fragments become messages (PS3.7), and associations that we ask for.
//!
//! Nothing but [`association`] touches a socket. Bytes of a peer are read by an own linear, bounded reader ([`elements`]), never by a
//! general DICOM parser: a command set is a flat list of short elements in Implicit VR Little Endian (PS3.7 6.3.1).

pub mod ae_title;
pub mod association;
pub mod command;
pub mod elements;
pub mod error;
pub mod fragments;
pub mod limits;
pub mod store;

pub use ae_title::{AeTitle, InvalidAeTitle};
pub use association::{Association, Peer, Proposal};
pub use command::{Command, InvalidCommand};
pub use error::AssociationError;

/// Command Field (0000,0100) values (PS3.7 E.1-1).
pub mod field {
    /// C-STORE request.
    pub const C_STORE_RQ: u16 = 0x0001;
    /// C-STORE response.
    pub const C_STORE_RSP: u16 = 0x8001;
    /// C-GET request.
    pub const C_GET_RQ: u16 = 0x0010;
    /// C-FIND request.
    pub const C_FIND_RQ: u16 = 0x0020;
    /// C-FIND response.
    pub const C_FIND_RSP: u16 = 0x8020;
    /// C-MOVE request.
    pub const C_MOVE_RQ: u16 = 0x0021;
    /// C-ECHO request.
    pub const C_ECHO_RQ: u16 = 0x0030;
    /// C-ECHO response.
    pub const C_ECHO_RSP: u16 = 0x8030;
    /// C-CANCEL request: has no response.
    pub const C_CANCEL_RQ: u16 = 0x0FFF;
    /// Bit that makes a response of a request.
    pub const RESPONSE: u16 = 0x8000;
}

/// Status (0000,0900) values (PS3.7 Annex C, PS3.4 B.2.3 for storage, PS3.4 C.4.1.1.4 for queries).
pub mod status {
    /// Success (PS3.7 C.1.1).
    pub const SUCCESS: u16 = 0x0000;
    /// Processing failure (PS3.7 C.5.12).
    pub const PROCESSING_FAILURE: u16 = 0x0110;
    /// Invalid SOP instance: not a UID (PS3.7 C.5.11).
    pub const INVALID_SOP_INSTANCE: u16 = 0x0117;
    /// SOP class not supported (PS3.7 C.5.21).
    pub const SOP_CLASS_NOT_SUPPORTED: u16 = 0x0122;
    /// Not authorised (PS3.7 C.5.24).
    pub const NOT_AUTHORIZED: u16 = 0x0124;
    /// Unrecognised operation (PS3.7 C.5.24, Table C-1).
    pub const UNRECOGNIZED_OPERATION: u16 = 0x0211;
    /// Mistyped argument (PS3.7 C.5.16).
    pub const MISTYPED_ARGUMENT: u16 = 0x0212;
    /// Refused: out of resources (PS3.4 B.2.3, range A7xx).
    pub const OUT_OF_RESOURCES: u16 = 0xA700;
    /// Data set does not match the SOP class (PS3.4 B.2.3, range A9xx; identifier for queries).
    pub const DATA_SET_MISMATCH: u16 = 0xA900;
    /// Unable to calculate number of matches (PS3.4 C.4.3.1.4).
    pub const NO_NUMBER_OF_MATCHES: u16 = 0xA701;
    /// Unable to perform sub-operations (PS3.4 C.4.3.1.4).
    pub const NO_SUBOPERATIONS: u16 = 0xA702;
    /// Move destination unknown (PS3.4 C.4.2.1.5).
    pub const MOVE_DESTINATION_UNKNOWN: u16 = 0xA801;
    /// Sub-operations complete, one or more failed or with a warning (PS3.4 C.4.3.1.4).
    pub const SUBOPERATIONS_FAILED: u16 = 0xB000;
    /// Cannot understand, for queries unable to process (PS3.4 B.2.3 and C.4.1.1.4, range Cxxx).
    pub const CANNOT_UNDERSTAND: u16 = 0xC000;
    /// Matching was ended by a C-CANCEL (PS3.4 C.4.1.1.4).
    pub const CANCELLED: u16 = 0xFE00;
    /// A match follows, all optional keys supported (PS3.4 C.4.1.1.4).
    pub const PENDING: u16 = 0xFF00;
    /// A match follows, some optional keys not supported (PS3.4 C.4.1.1.4).
    pub const PENDING_WARNING: u16 = 0xFF01;
}

/// UIDs of the standard (PS3.6 Annex A).
pub mod uid {
    /// DICOM application context name, the only one there is (PS3.7 A.2.1).
    pub const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
    /// Verification SOP class (PS3.4 A.4).
    pub const VERIFICATION: &str = "1.2.840.10008.1.1";
    /// Study Root Query/Retrieve Information Model, FIND (PS3.4 C.6.2).
    pub const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
    /// Patient Root Query/Retrieve Information Model, FIND (PS3.4 C.6.1).
    pub const PATIENT_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.1.1";
    /// Study Root Query/Retrieve Information Model, MOVE (PS3.4 C.6.2).
    pub const STUDY_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
    /// Study Root Query/Retrieve Information Model, GET (PS3.4 C.6.2).
    pub const STUDY_ROOT_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
    /// Explicit VR Little Endian (PS3.5 A.2).
    pub const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
    /// Explicit VR Big Endian (PS3.5 A.3, retired).
    pub const EXPLICIT_BIG: &str = "1.2.840.10008.1.2.2";
    /// Implicit VR Little Endian, the default transfer syntax (PS3.5 10.1).
    pub const IMPLICIT_LITTLE: &str = "1.2.840.10008.1.2";
    /// Root of every UID the standard itself defines.
    pub const STANDARD_ROOT: &str = "1.2.840.10008.";
}
