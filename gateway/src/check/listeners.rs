//! Where the gateway itself listens, as its configuration says.

use crate::config::{Config, reached_at, taken};
use std::net::SocketAddr;
use std::path::PathBuf;

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

    /// Where this machine reaches it.
    pub(super) fn reached_at(&self) -> Option<SocketAddr> {
        self.address.map(reached_at)
    }
}

pub(super) fn listeners(config: &Config) -> Vec<Listener> {
    let mut found = Vec::new();
    let mut add = |key, listen, port_file: &Option<PathBuf>, speaks| {
        found.push(Listener { key, address: taken(listen, port_file.as_deref()).ok(), speaks });
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
