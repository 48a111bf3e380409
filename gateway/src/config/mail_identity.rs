//! In whose name mails leave.

use super::{ConfigError, Server, is_domain, wrong};
use serde::Deserialize;
use std::path::PathBuf;

/// `[[submit.dkim]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    /// Domain that signs: that of the sender address, or one above it.
    pub domain: String,
    /// Name under which the public key is published.
    pub selector: String,
    /// The private key, PKCS#8 PEM, Ed25519 or RSA from 2048 bits, mode 0600.
    pub key: PathBuf,
}

impl Server {
    /// Sender address of mails.
    pub fn sender(&self) -> &str {
        self.from.as_deref().unwrap_or(&self.user)
    }

    /// Right side of the sender address.
    pub fn sender_domain(&self) -> &str {
        self.sender().rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// RFC 7489 3.1: a signature of another domain than the sender's says nothing to whoever checks.
    pub(super) fn check_dkim(&self, table: &str) -> Result<(), ConfigError> {
        let sender = self.sender_domain().to_ascii_lowercase();
        for dkim in &self.dkim {
            let domain = dkim.domain.to_ascii_lowercase();
            if !is_domain(&dkim.domain) || !is_domain(&dkim.selector) {
                return wrong(
                    format!("{table}.dkim"),
                    "domain and selector are letters, digits, hyphens and dots",
                );
            }
            if sender != domain && !sender.ends_with(&format!(".{domain}")) {
                return wrong(
                    format!("{table}.dkim"),
                    "domain must be that of the sender address, or one above it",
                );
            }
        }
        Ok(())
    }
}
