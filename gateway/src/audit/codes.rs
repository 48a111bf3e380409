//! Coded values of audit messages (PS3.16 CID 400 to 405, PS3.15 A.5.2).

/// A code with its system and meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) code: &'static str,
    pub(super) system: &'static str,
    pub(super) meaning: &'static str,
}

const fn dcm(code: &'static str, meaning: &'static str) -> Code {
    Code { code, system: "DCM", meaning }
}

impl Code {
    // CID 400, event IDs.
    pub(super) const APPLICATION_ACTIVITY: Self = dcm("110100", "Application Activity");
    pub(super) const BEGIN_TRANSFERRING: Self = dcm("110102", "Begin Transferring DICOM Instances");
    pub(super) const INSTANCES_TRANSFERRED: Self = dcm("110104", "DICOM Instances Transferred");
    pub(super) const STUDY_DELETED: Self = dcm("110105", "DICOM Study Deleted");
    pub(super) const EXPORT: Self = dcm("110106", "Export");
    pub(super) const QUERY: Self = dcm("110112", "Query");
    pub(super) const SECURITY_ALERT: Self = dcm("110113", "Security Alert");
    pub(super) const USER_AUTHENTICATION: Self = dcm("110114", "User Authentication");
    /// DICOM has no code for it: a private one, as A.5 allows.
    pub(super) const NOTICE: Self = Self { code: "NOTICE", system: "99SCANPOST", meaning: "Notice sent" };
    /// As [`Self::NOTICE`].
    pub(super) const EXACT_ASKED: Self =
        Self { code: "EXACT", system: "99SCANPOST", meaning: "Exact files asked for" };

    /// As [`Self::NOTICE`].
    pub(super) const PRESSED: Self =
        Self { code: "PRESSED", system: "99SCANPOST", meaning: "Delivery asked for" };
    /// As [`Self::NOTICE`].
    pub(super) const WISHED: Self =
        Self { code: "WISHED", system: "99SCANPOST", meaning: "Word about a delivery" };
    /// As [`Self::NOTICE`].
    pub(super) const WITHDRAWN: Self =
        Self { code: "WITHDRAWN", system: "99SCANPOST", meaning: "Delivery withdrawn" };

    /// A.5.3.6: somebody looked at a study.
    pub(super) const INSTANCES_ACCESSED: Self = dcm("110103", "DICOM Instances Accessed");
    /// As [`Self::NOTICE`].
    pub(super) const SEEN: Self = Self { code: "SEEN", system: "99SCANPOST", meaning: "Acknowledged" };
    /// As [`Self::NOTICE`].
    pub(super) const ANSWERED: Self =
        Self { code: "ANSWERED", system: "99SCANPOST", meaning: "Answered by a doctor" };

    // CID 401, event types.
    pub(super) const APPLICATION_START: Self = dcm("110120", "Application Start");
    pub(super) const APPLICATION_STOP: Self = dcm("110121", "Application Stop");
    pub(super) const LOGIN: Self = dcm("110122", "Login");
    pub(super) const LOGOUT: Self = dcm("110123", "Logout");
    pub(super) const NODE_AUTHENTICATION: Self = dcm("110126", "Node Authentication");
    pub(super) const RESTRICTED_FUNCTION: Self = dcm("110132", "Use of Restricted Function");
    pub(super) const USER_SECURITY_CHANGED: Self = dcm("110137", "User Security Attributes Changed");
    /// What else is suspicious: a private one.
    pub(super) const RECEIPT_REFUSED: Self =
        Self { code: "RECEIPT", system: "99SCANPOST", meaning: "Receipt refused" };
    pub(super) const SPOOL_DAMAGED: Self =
        Self { code: "SPOOL", system: "99SCANPOST", meaning: "Received files damaged" };
    pub(super) const RESTORED: Self =
        Self { code: "RESTORED", system: "99SCANPOST", meaning: "Restored from a backup" };
    pub(super) const TRAIL_DAMAGED: Self =
        Self { code: "TRAIL", system: "99SCANPOST", meaning: "Audit trail damaged" };

    /// What kind of access it was: private ones.
    pub(super) const FIRST_IMAGE: Self =
        Self { code: "FIRSTIMAGE", system: "99SCANPOST", meaning: "First image shown" };
    pub(super) const READING: Self =
        Self { code: "READING", system: "99SCANPOST", meaning: "Images were on the screen" };

    // CID 402, roles.
    pub(super) const APPLICATION: Self = dcm("110150", "Application");
    pub(super) const LAUNCHER: Self = dcm("110151", "Application Launcher");
    pub(super) const DESTINATION: Self = dcm("110152", "Destination Role ID");
    pub(super) const SOURCE: Self = dcm("110153", "Source Role ID");
    pub(super) const DESTINATION_MEDIA: Self = dcm("110154", "Destination Media");

    // CID 404, ids of objects; the patient's is one of RFC 3881 5.5.4.
    pub(super) const STUDY_INSTANCE_UID: Self = dcm("110180", "Study Instance UID");
    pub(super) const SOP_CLASS_UID: Self = dcm("110181", "SOP Class UID");
    pub(super) const NODE_ID: Self = dcm("110182", "Node ID");
    pub(super) const PATIENT_NUMBER: Self = Self { code: "2", system: "RFC-3881", meaning: "Patient Number" };

    // CID 405, media.
    pub(super) const EMAIL: Self = dcm("110031", "Email");
}
