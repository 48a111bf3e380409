//! `[smime]`: messages for recipients who have only a mail program.

use super::{ConfigError, wrong};
use serde::Deserialize;

/// Octets of a mail that nearly every provider takes: iCloud and Exchange Online stop at 20 and 35 MB, Gmail at 25.
const MESSAGE_BYTES_MAX: usize = 20_000_000;
/// A message is made in memory, some three times: no gateway should hold more for one mail.
const MESSAGE_BYTES_CEILING: usize = 64_000_000;
/// Pictures alone need that much.
const MESSAGE_BYTES_FLOOR: usize = 1_000_000;

/// `[smime]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smime {
    /// Largest mail with headers and base64, in bytes; the DICOM files stay out of one that would be larger.
    pub message_bytes_max: usize,
}

impl Default for Smime {
    fn default() -> Self {
        Self { message_bytes_max: MESSAGE_BYTES_MAX }
    }
}

impl Smime {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if (MESSAGE_BYTES_FLOOR..=MESSAGE_BYTES_CEILING).contains(&self.message_bytes_max) {
            return Ok(());
        }
        wrong("smime.message_bytes_max".into(), "must be 1000000 to 64000000")
    }
}
