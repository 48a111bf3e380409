//! `[pacs.NAME]`: who is asked for studies, and how they are fetched.

use super::{ConfigError, is_ae_title};
use crate::query::{CharacterSet, Root};
use crate::retrieve::How;
use serde::Deserialize;
use std::time::Duration;
use tls::ClientFiles;

/// `[pacs.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pacs {
    /// Its AE title: the one that is called for queries, and under which it sends.
    pub ae_title: String,
    /// Host name or address, and port.
    pub address: String,
    /// Our AE title when we call it.
    #[serde(default = "own_ae_title_default")]
    pub own_ae_title: String,
    /// Further AE titles under which it sends.
    #[serde(default)]
    pub sends_as: Vec<String>,
    /// AE title that is called to fetch, where that is another one.
    pub retrieve_ae_title: Option<String>,
    /// How instances that are missing are fetched.
    #[serde(default)]
    pub retrieve: How,
    /// The information model in which studies are looked for.
    #[serde(default)]
    pub root: Root,
    /// In which character set it is asked for names.
    #[serde(default)]
    pub character_set: CharacterSet,
    /// Silence of the PACS after which a retrieval is given up, in milliseconds.
    #[serde(default = "retrieve_wait_ms_default")]
    pub retrieve_wait_ms: u64,
    /// Longest retrieval, in milliseconds.
    #[serde(default = "retrieve_total_ms_default")]
    pub retrieve_total_ms: u64,
    /// Set where it must speak TLS (PS3.15 B.12).
    pub tls: Option<ClientFiles>,
}

impl Pacs {
    /// Its host name or address, as in its certificate, and its port.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.address.rsplit_once(':')?;
        Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
    }

    /// Whether it calls itself by this AE title when it sends.
    pub fn is_called(&self, ae_title: &str) -> bool {
        self.ae_title == ae_title || self.sends_as.iter().any(|other| other == ae_title)
    }

    /// AE title that is called to fetch.
    pub fn retrieve_ae_title(&self) -> &str {
        self.retrieve_ae_title.as_deref().unwrap_or(&self.ae_title)
    }

    /// [`Self::retrieve_wait_ms`].
    pub fn retrieve_wait(&self) -> Duration {
        Duration::from_millis(self.retrieve_wait_ms)
    }

    /// [`Self::retrieve_total_ms`].
    pub fn retrieve_total(&self) -> Duration {
        Duration::from_millis(self.retrieve_total_ms)
    }

    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        let wrong = |key: String, reason| Err(ConfigError::Value { key, reason });
        let titles = [&self.ae_title, &self.own_ae_title].into_iter().chain(&self.retrieve_ae_title);
        if !titles.chain(&self.sends_as).all(|title| is_ae_title(title)) {
            return wrong(
                format!("pacs.{name}"),
                "an AE title has 1 to 16 characters, no backslash (PS3.5 6.2)",
            );
        }
        if self.host_and_port().is_none() {
            return wrong(format!("pacs.{name}.address"), "write host:port");
        }
        if self.retrieve_wait_ms == 0 || self.retrieve_total_ms == 0 {
            return wrong(format!("pacs.{name}"), "a time of 0 ms leaves none to fetch");
        }
        Ok(())
    }
}

fn own_ae_title_default() -> String {
    "SCANPOST".to_owned()
}

/// A minute: an archive may fetch a study from tape before it says a word.
fn retrieve_wait_ms_default() -> u64 {
    60_000
}

/// Half an hour: 10 GB at 50 Mbit/s.
fn retrieve_total_ms_default() -> u64 {
    30 * 60_000
}
