//! Where studies are forwarded to.

use axum::http::Uri;
use dimse::AeTitle;
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;
use tls::authority;

/// Another system, as `--forward` names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Target {
    /// By C-STORE: `AE@host:port`.
    Association(Peer),
    /// By STOW-RS: the base URL of a DICOMweb service, `https://host/dicom-web`.
    Web(String),
}

/// An application entity on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// AE title that is called.
    pub ae_title: AeTitle,
    /// Host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Not a place to forward to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write where to forward to as AE@host:port, the AE title with 1 to 16 characters, or as https://host/dicom-web"
)]
pub struct InvalidTarget;

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        if text.contains("://") {
            let base = text.trim_end_matches('/');
            let is_url =
                base.parse().is_ok_and(|url: Uri| authority(&url).is_some() && url.query().is_none());
            return if is_url { Ok(Self::Web(base.to_owned())) } else { Err(InvalidTarget) };
        }
        let (ae_title, address) = text.rsplit_once('@').ok_or(InvalidTarget)?;
        let (host, port) = address.rsplit_once(':').ok_or(InvalidTarget)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host = !host.is_empty() && host.chars().all(|one| one.is_ascii_graphic() && one != '/');
        let port = port.parse().ok().filter(|port| *port != 0);
        match (AeTitle::parse(ae_title), is_host, port) {
            (Ok(ae_title), true, Some(port)) => {
                Ok(Self::Association(Peer { ae_title, host: host.to_owned(), port }))
            }
            _ => Err(InvalidTarget),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidTarget;

    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        text.parse()
    }
}

impl fmt::Display for Target {
    /// As it is written.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Association(Peer { ae_title, host, port }) if host.contains(':') => {
                write!(out, "{ae_title}@[{host}]:{port}")
            }
            Self::Web(base) => out.write_str(base),
            Self::Association(Peer { ae_title, host, port }) => write!(out, "{ae_title}@{host}:{port}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_back_as_they_are_written() {
        for text in [
            "ORTHANC@pacs.example:104",
            "A B@10.0.0.1:11112",
            "WS@[::1]:104",
            "https://pacs.example:8443/dicom-web",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in ["", "pacs:104", "A@pacs", "A@:104", "A@pacs:0", "A@pacs:99999", "@pacs:104", "A@a b:104"]
        {
            assert_eq!(text.parse::<Target>(), Err(InvalidTarget), "{text}");
        }
        for text in [
            "http://pacs.example/dicom-web",
            "https://user:secret@pacs.example",
            "https:///",
            "https://pacs.example/?a=b",
        ] {
            assert_eq!(text.parse::<Target>(), Err(InvalidTarget), "{text}");
        }
        assert_eq!("SEVENTEEN-LETTERS@pacs:104".parse::<Target>(), Err(InvalidTarget));
    }
}
