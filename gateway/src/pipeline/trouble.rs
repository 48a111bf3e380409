//! What stops a stage, in one sentence that says who must act; no patient data.

use crate::audit::AuditError;
use crate::config::ConfigError;
use crate::directory::DirectoryError;
use crate::journal::{GivesUp, JournalError, MAILBOX_FULL};
use crate::query::Lasting;
use crate::retrieve::RetrieveError;
use crate::submit::{Culprit, SubmitError};
use ::seal::ids::DeliveryId;
use ::seal::limits::RECIPIENTS_MAX;
use ::seal::native::SealError;
use compressor::bundle::PackError;

/// Why a stage did not get through.
#[derive(Debug)]
pub(super) struct Trouble {
    /// One sentence: what is wrong and who must act.
    pub(super) text: String,
    /// Whether trying again will help.
    pub(super) gives_up: GivesUp,
}

impl Trouble {
    pub(super) fn doctor_not_configured(doctor: &str) -> Self {
        Self::temporary(format!(
            "doctor {doctor} is no longer in the configuration (operator: put the table back)"
        ))
    }

    pub(super) fn bundle_gone() -> Self {
        Self::permanent(
            "the bundle is gone from the spool (operator: check the disk; technician: send again)",
        )
    }

    pub(super) fn spool_unreadable(error: std::io::Error) -> Self {
        Self::temporary(format!("what was received cannot be read: {error} (operator: check the disk)"))
    }

    pub(super) fn damaged_and_nobody_to_ask(files: usize) -> Self {
        Self::of_damage(format!(
            "{}, and no PACS can be asked (operator: check the disk, and see retrieve in [pacs]; technician: send again)",
            damaged(files)
        ))
    }

    /// `why` says who must act at the PACS, or on the way to it.
    pub(super) fn damaged_and_asked_again(files: usize, why: &RetrieveError) -> Self {
        let text = format!(
            "{}, and the PACS, which is asked again, does not give what was received: {why} (operator: check the disk",
            damaged(files)
        );
        match why.lasting() {
            Lasting::Temporary => Self::temporary(text + ")"),
            Lasting::Permanent => Self::of_damage(text + "; technician: Try again once that is mended)"),
        }
    }

    /// It failed in part, there or with us.
    pub(super) fn damaged_and_not_all_given(files: usize) -> Self {
        Self::temporary(format!(
            "{}, and the PACS, which is asked again, does not give all that was received (operator: check the disk, and see the log for what failed)",
            damaged(files)
        ))
    }

    pub(super) fn damaged_anew() -> Self {
        Self::temporary(
            "received files were damaged in the spool once more, and the PACS has given them again (operator: check the disk)",
        )
    }

    pub(super) fn damaged_and_not_given_back(files: usize) -> Self {
        Self::of_damage(format!(
            "{}, and the PACS no longer has what was received (operator: check the disk; technician: Try again once the PACS has it again, or send again)",
            damaged(files)
        ))
    }

    pub(super) fn nothing_to_deliver() -> Self {
        Self::temporary(
            "assemble: no image of this study is here, and the PACS gives none (operator: see the log for its answer; technician: does it have the study?)",
        )
    }

    pub(super) fn test_not_stored() -> Self {
        Self::temporary("the study of a test cannot be stored (operator: see the log, and the disk)")
    }

    pub(super) fn nobody_to_seal_for(words: &str) -> Self {
        Self::temporary(format!("seal: {words}"))
    }

    pub(super) fn too_many_certificates(count: usize) -> Self {
        Self::temporary(format!(
            "seal: {count} certificates, at most {RECIPIENTS_MAX} fit into a cover (operator: a smaller group, or doctor revoke for devices that are gone)"
        ))
    }

    pub(super) fn sealed_pieces_gone() -> Self {
        Self::permanent(
            "the sealed pieces are gone from the spool (operator: check the disk; technician: send again)",
        )
    }

    pub(super) fn log(&self, id: DeliveryId) {
        if self.gives_up != GivesUp::No {
            tracing::error!(delivery = %id, trouble = self.text, "delivery failed");
        } else {
            tracing::warn!(delivery = %id, trouble = self.text, "delivery will be tried again");
        }
    }

    pub(super) fn log_of_notices(&self) {
        tracing::warn!(stage = "notify", trouble = self.text, "who is to be told is looked for again");
    }

    pub(super) fn ours(text: impl std::fmt::Display) -> Self {
        Self::temporary(format!("{text} (us: report this)"))
    }

    fn temporary(text: impl Into<String>) -> Self {
        Self { text: text.into(), gives_up: GivesUp::No }
    }

    fn permanent(text: impl Into<String>) -> Self {
        Self { text: text.into(), gives_up: GivesUp::Yes }
    }

    fn of_damage(text: impl Into<String>) -> Self {
        Self { text: text.into(), gives_up: GivesUp::WhileDamaged }
    }
}

fn damaged(files: usize) -> String {
    match files {
        1 => "1 received file is damaged or gone in the spool".into(),
        _ => format!("{files} received files are damaged or gone in the spool"),
    }
}

impl From<DirectoryError> for Trouble {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Journal(error) => error.into(),
            DirectoryError::Audit(error) => error.into(),
            other => Self::temporary(other.to_string()),
        }
    }
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::KeyDestroyed => Self::permanent(error.to_string()),
            _ => Self::temporary(error.to_string()),
        }
    }
}

impl From<AuditError> for Trouble {
    fn from(error: AuditError) -> Self {
        Self::temporary(error.to_string())
    }
}

impl From<ConfigError> for Trouble {
    fn from(error: ConfigError) -> Self {
        Self::temporary(error.to_string())
    }
}

impl From<PackError> for Trouble {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Io(error) => Self::temporary(format!("compress: {error} (operator: check the disk)")),
            PackError::Decoder(_) => Self::temporary(format!(
                "compress: {error} (operator: check the installation, and what else this machine has to do)"
            )),
            // What stays so is found by a look at all files of the delivery.
            PackError::SourceChanged { .. } => {
                Self::temporary(format!("compress: {error} (operator: check the disk)"))
            }
            PackError::TooLarge { .. } => {
                Self::permanent(format!("compress: {error} (technician: send fewer series at once)"))
            }
        }
    }
}

impl From<SealError> for Trouble {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Io(error) => Self::temporary(format!("seal: {error} (operator: check the disk)")),
            SealError::Key { .. } => Self::temporary(format!("seal: {error} (operator: replace it)")),
            SealError::Refused(_) => Self::permanent(format!("seal: {error} (us: report this)")),
        }
    }
}

impl From<SubmitError> for Trouble {
    fn from(error: SubmitError) -> Self {
        let by_itself = if error.is_permanent() { "then Try again" } else { "it is tried again by itself" };
        let full = format!(
            "operator: {MAILBOX_FULL}, nothing in it is deleted for this; have room made there, {by_itself}"
        );
        let who = match error.culprit() {
            Culprit::Recipient if error.is_mailbox_full() => full.as_str(),
            Culprit::MailServer => "operator of the mail server",
            Culprit::Operator => "operator: check the configuration",
            Culprit::Recipient => "operator: check the doctor's mailbox",
            Culprit::Us => "us: report this",
        };
        let make = if error.is_permanent() { Self::permanent } else { Self::temporary };
        make(format!("submit: {error} ({who})"))
    }
}

impl From<tokio::task::JoinError> for Trouble {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::temporary("a stage ended unexpectedly (us: report this with the log)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_read_otherwise_once_makes_no_dead_letter() {
        let trouble = Trouble::from(PackError::SourceChanged { index: 0 });
        assert!(
            trouble.gives_up == GivesUp::No && trouble.text.ends_with("(operator: check the disk)"),
            "{trouble:?}"
        );
    }
}
