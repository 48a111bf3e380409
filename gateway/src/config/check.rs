//! `[check]`: what `scanpost-gateway check` asks, and what it is to find.

use serde::Deserialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use tls::ClientFiles;

/// A day and two hours: a nightly job that takes its time.
const BACKUP_HOURS_MAX: u32 = 26;

/// `[check]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    /// DNS resolver to ask; the first one of /etc/resolv.conf where absent.
    pub resolver: Option<SocketAddr>,
    /// Web server to ask for the MTA-STS policy instead of the one that the DNS names: before that is published, or from a network with names
    /// of its own.
    pub policy_server: Option<SocketAddr>,
    /// PEM file with the only roots to trust for that server, for the web servers of `hosts` and for our own page; the system's roots where
    /// absent.
    pub ca: Option<PathBuf>,
    /// Hosts that are the hospital's own, and may be asked for services that nobody should offer. A mail server of the configuration is
    /// none by that alone: it may be a provider's.
    pub hosts: Vec<String>,
    /// Ports of this machine that may be open to the network, beside those of the gateway.
    pub ports: Vec<Port>,
    /// SNTP server (`host:port`) to compare the clock with; the system's word is taken where absent.
    pub time_server: Option<String>,
    /// File that the backup job touches when it is done.
    pub backup_stamp: Option<PathBuf>,
    /// How old that file may be, in hours.
    pub backup_hours_max: u32,
    /// Areas that are somebody else's, such as `tlsa` where the mail server is a provider's.
    pub skip: Vec<String>,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            resolver: None,
            policy_server: None,
            ca: None,
            hosts: Vec::new(),
            ports: Vec::new(),
            time_server: None,
            backup_stamp: None,
            backup_hours_max: BACKUP_HOURS_MAX,
            skip: Vec::new(),
        }
    }
}

impl Check {
    /// Whom to trust of the web servers that are asked.
    pub(crate) fn tls(&self) -> ClientFiles {
        ClientFiles { ca: self.ca.clone(), ..ClientFiles::default() }
    }

    /// Whether an area is left to others.
    pub fn skips(&self, area: &str) -> bool {
        self.skip.iter().any(|skipped| skipped == area)
    }
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port as in `22/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Whose.
    pub protocol: Protocol,
}

impl TryFrom<String> for Port {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WORDS: &str = "a port is written as \"22/tcp\" or \"123/udp\"";
        let (number, protocol) = text.split_once('/').ok_or(WORDS)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(WORDS),
        };
        Ok(Self { number: number.parse().map_err(|_| WORDS)?, protocol })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(formatter, "{}/{protocol}", self.number)
    }
}
