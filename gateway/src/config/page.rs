//! `[page]`: the technician's page on the hospital network.

use super::{ConfigError, wrong};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use tls::ServerFiles;

/// `[page]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Address and port to listen on, inside the hospital.
    pub listen: SocketAddr,
    /// Where the port really taken is written as text, for a port of 0.
    pub port_file: Option<PathBuf>,
    /// Our certificate and the chain above it, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PEM, mode 0600.
    pub key: Option<PathBuf>,
    /// Serves without TLS, on a loopback address alone: for trying out, or behind a proxy on this machine.
    #[serde(default)]
    pub plain: bool,
    /// Who needs a one-time code beside the password.
    #[serde(default)]
    pub second_factor: SecondFactor,
    /// Time zone of the site, by its IANA name: by it the roster's days begin.
    #[serde(default = "time_zone_default")]
    pub time_zone: String,
}

/// `[page] second_factor`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// Everyone.
    #[default]
    Everyone,
    /// Administrators and auditors; technicians where they were given one.
    Administrators,
}

impl Page {
    /// The files of its TLS; none where it is plain.
    pub fn tls(&self) -> Option<ServerFiles> {
        let (certificate, key) = (self.certificate.clone()?, self.key.clone()?);
        Some(ServerFiles { certificate, key, client_ca: None, crl: None, tls12: false })
    }

    /// The time zone, once [`Page::check`] has found it.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get(&self.time_zone).unwrap_or(jiff::tz::TimeZone::UTC)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let has_tls = self.certificate.is_some() || self.key.is_some();
        if self.plain && (has_tls || !self.listen.ip().is_loopback()) {
            return wrong(
                "page.plain".into(),
                "only on a loopback address, and without certificate and key: leave it out to serve HTTPS",
            );
        }
        if !self.plain && self.tls().is_none() {
            return wrong("page.certificate".into(), "name certificate and key: the page is served over TLS");
        }
        if jiff::tz::TimeZone::get(&self.time_zone).is_err() {
            return wrong(
                "page.time_zone".into(),
                "no such time zone on this machine: write a name like Asia/Tokyo, and install tzdata",
            );
        }
        Ok(())
    }
}

fn time_zone_default() -> String {
    "Asia/Tokyo".to_owned()
}

/// That of a site without a page.
pub(super) fn zone_default() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::get(&time_zone_default()).unwrap_or(jiff::tz::TimeZone::UTC)
}
