//! Where the gateway itself listens, as its configuration says.

use crate::config::Config;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Dicom,
    DicomTls,
    Http,
    Https,
}

/// One of our own.
pub(super) struct Listener {
    /// Its key in the configuration.
    pub(super) key: &'static str,
    /// As it was asked for, with the port that was really taken; none of that where it does not run.
    pub(super) address: Option<SocketAddr>,
    pub(super) speaks: Speaks,
}

impl Listener {
    /// Whether it is a web server.
    pub(super) fn is_web(&self) -> bool {
        matches!(self.speaks, Speaks::Http | Speaks::Https)
    }

    /// Where this machine reaches it: a wildcard is no address to connect to.
    pub(super) fn reached_at(&self) -> Option<SocketAddr> {
        let address = self.address?;
        Some(match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
            IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
            _ => address,
        })
    }
}

pub(super) fn listeners(config: &Config) -> Vec<Listener> {
    let mut found = Vec::new();
    let mut add = |key, listen, port_file: &Option<_>, speaks| {
        found.push(Listener { key, address: taken(listen, port_file.as_deref()), speaks });
    };
    if let Some(listen) = config.dicom.listen {
        add("dicom.listen", listen, &config.dicom.port_file, Speaks::Dicom);
    }
    if let Some(tls) = &config.dicom.tls {
        add("dicom.tls.listen", tls.listen, &tls.port_file, Speaks::DicomTls);
    }
    if let Some(page) = &config.page {
        let speaks = if page.plain { Speaks::Http } else { Speaks::Https };
        add("page.listen", page.listen, &page.port_file, speaks);
    }
    found
}

/// A port of 0 is whichever the system gave, and stands in the port file.
fn taken(listen: SocketAddr, port_file: Option<&Path>) -> Option<SocketAddr> {
    if listen.port() != 0 {
        return Some(listen);
    }
    let port = std::fs::read_to_string(port_file?).ok()?.trim().parse().ok()?;
    Some(SocketAddr::new(listen.ip(), port))
}
