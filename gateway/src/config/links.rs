//! `[links]`: on which terms somebody outside, who has no account, may open one study.

use super::{ConfigError, wrong};
use serde::Deserialize;

/// Longest life of a link, in hours: 30 days, as a residual is kept.
const HOURS_MAX: u32 = 30 * 24;
/// More would be as good as no limit.
const USES_MAX: u16 = 1000;
/// Wrong passphrases: 77 bits bear any number, but a person at a telephone needs few.
const TRIES_MAX: u16 = 100;

/// `[links]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// Where the portal is reached, `https://…`; the link is `/l/` and 32 hex digits below it.
    pub portal_url: String,
    /// How long a link is good, in hours.
    #[serde(default = "hours_default")]
    pub hours: u32,
    /// How often it may be opened.
    #[serde(default = "uses_default")]
    pub uses: u16,
    /// How many wrong passphrases end it.
    #[serde(default = "tries_default")]
    pub tries: u16,
}

impl Links {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let host = self.portal_url.strip_prefix("https://").unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@');
        if host.is_empty() || !host.bytes().all(is_plain) {
            return wrong("links.portal_url".into(), "write https:// and the host of the portal");
        }
        if !(1..=HOURS_MAX).contains(&self.hours) {
            return wrong("links.hours".into(), "must be 1 to 720");
        }
        if !(1..=USES_MAX).contains(&self.uses) || !(1..=TRIES_MAX).contains(&self.tries) {
            return wrong("links.uses".into(), "uses must be 1 to 1000, tries 1 to 100");
        }
        Ok(())
    }
}

/// Three days: a weekend.
fn hours_default() -> u32 {
    72
}

/// Some looks on some devices.
fn uses_default() -> u16 {
    20
}

fn tries_default() -> u16 {
    10
}
