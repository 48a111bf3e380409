//! Why a delivery, or the whole run, did not end well: sorted by who must act.

use crate::config::ConfigError;
use compressor::bundle::UnpackError;
use seal::mailbox::MailboxError;
use seal::native::SealError;
use std::io;

/// Exit code of `scanpost-reader pull`; where several fit, the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything in the mailbox is here.
    #[default]
    Done = 0,
    /// Something has not arrived whole yet: try again.
    Incomplete = 2,
    /// Something was refused: changed on the way, an unknown site, not for this doctor.
    Refused = 3,
    /// The mailbox cannot be reached, its certificate or the login is wrong, or it broke off.
    Mailbox = 4,
    /// Configuration, keys or disk of this machine.
    Setup = 5,
    /// Something that is here was not forwarded, and waits.
    Forward = 6,
}

/// See [`Exit`] for who must act.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The disk.
    #[error("{what}: {source}")]
    Output {
        /// What could not be done.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The mailbox.
    #[error("mailbox: {0}")]
    Mailbox(#[from] MailboxError),
    /// The doctor's key fails.
    #[error(transparent)]
    Key(SealError),
    /// Pieces that are not in the mailbox yet.
    #[error("{}", missing_words(.missing, *.pieces))]
    Incomplete {
        /// Their numbers, from 1.
        missing: Vec<u32>,
        /// How many pieces the delivery has.
        pieces: u32,
    },
    /// What is wanted cannot be had from here.
    #[error("{0}")]
    Unavailable(String),
    /// Exact files are asked for of a case that is not here.
    #[error("no delivery of that case is in the output folder: pull it first")]
    UnknownCase,
    /// What came is not genuine, damaged or not for us.
    #[error("refused: {0}")]
    Refused(String),
}

impl PullError {
    /// The exit code that tells it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Incomplete { .. } | Self::Unavailable(_) => Exit::Incomplete,
            Self::Refused(_) => Exit::Refused,
            Self::Mailbox(_) => Exit::Mailbox,
            Self::Config(_) | Self::Output { .. } | Self::Key(_) | Self::UnknownCase => Exit::Setup,
        }
    }

    /// For `map_err`: a disk error, and what could not be done.
    pub(crate) fn output(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Output { what, source }
    }
}

impl From<SealError> for PullError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Refused(refusal) => Self::Refused(refusal.to_string()),
            SealError::Io(source) => Self::Output { what: "cannot read what has arrived", source },
            key @ SealError::Key { .. } => Self::Key(key),
        }
    }
}

impl From<UnpackError> for PullError {
    fn from(error: UnpackError) -> Self {
        match error {
            // A segment that fails its digest or tag comes as InvalidData; every other kind is this machine's disk.
            UnpackError::Io(source) if source.kind() != io::ErrorKind::InvalidData => {
                Self::Output { what: "cannot unpack", source }
            }
            damaged => Self::Refused(damaged.to_string()),
        }
    }
}

/// Pieces named in one line; more are counted.
const MISSING_SHOWN_MAX: usize = 5;

fn missing_words(missing: &[u32], pieces: u32) -> String {
    let list = missing.iter().map(u32::to_string).collect::<Vec<_>>();
    match list.as_slice() {
        [one] => format!("piece {one} of {pieces} has not arrived yet"),
        [first, ..] if list.len() > MISSING_SHOWN_MAX => {
            format!("{} of {pieces} pieces have not arrived yet, the first is {first}", list.len())
        }
        several => format!("pieces {} of {pieces} have not arrived yet", several.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use seal::native::Refusal;

    #[test]
    fn missing_pieces_are_named() {
        let words =
            |missing: &[u32], pieces| PullError::Incomplete { missing: missing.to_vec(), pieces }.to_string();
        assert_eq!(words(&[3], 7), "piece 3 of 7 has not arrived yet");
        assert_eq!(words(&[3, 5], 7), "pieces 3, 5 of 7 have not arrived yet");
        assert_eq!(words(&[2, 3, 4, 5, 6, 7], 7), "6 of 7 pieces have not arrived yet, the first is 2");
    }

    #[test]
    fn errors_go_to_who_must_act() {
        let damaged = UnpackError::Io(io::Error::new(io::ErrorKind::InvalidData, "tag"));
        assert_eq!(PullError::from(damaged).exit(), Exit::Refused);
        let full = UnpackError::Io(io::Error::new(io::ErrorKind::StorageFull, "full"));
        assert_eq!(PullError::from(full).exit(), Exit::Setup);
        assert_eq!(PullError::from(SealError::Refused(Refusal::NotForUs)).exit(), Exit::Refused);
        assert!(Exit::Setup > Exit::Mailbox && Exit::Refused > Exit::Incomplete);
    }
}
