//! In whose name mails leave, and what `scanpost-gateway check` asks about it.

use super::{ConfigError, Server, is_domain, wrong};
use serde::Deserialize;
use std::net::SocketAddr;
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

/// `[check]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    /// DNS resolver to ask; the first one of /etc/resolv.conf where absent.
    pub resolver: Option<SocketAddr>,
    /// Web server to ask for the MTA-STS policy instead of the one that the DNS names: before that is published, or from a network with names
    /// of its own.
    pub policy_server: Option<SocketAddr>,
    /// PEM file with the only roots to trust for that server; the system's roots where absent.
    pub ca: Option<PathBuf>,
    /// Areas that are somebody else's, such as `tlsa` where the mail server is a provider's.
    pub skip: Vec<String>,
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
