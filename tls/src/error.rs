//! Why no TLS connection came about, and which side must do what.

use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
use std::io;
use std::path::PathBuf;

/// Characters of a reason that are kept in an error.
const REASON_CHARS_MAX: usize = 200;

/// Why no TLS connection came about, by who must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Network or server down: try again.
    #[error("{host}:{port} cannot be reached: {reason}")]
    Unreachable {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Operating system's words.
        reason: String,
    },
    /// The server's certificate is not one we may trust.
    #[error("the certificate of {host}:{port} is refused: {reason}")]
    Certificate {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Why, and who must do what.
        reason: String,
    },
    /// What answers does not speak TLS as we need it.
    #[error("{host}:{port} does not speak TLS from the first byte as required: {reason}")]
    Handshake {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Why, and who must do what.
        reason: String,
    },
    /// The server wants a client certificate, or refuses ours.
    #[error("{host}:{port} {reason}")]
    ClientCertificate {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// What it wants, and who must do what.
        reason: &'static str,
    },
    /// Operator: a file of roots, certificates, keys or revocation lists cannot be used.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// File, or `system`.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Operator: a private key that others may read.
    #[error("{path} may be read by others: chmod 600 it", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// Operator: not a host name.
    #[error("{host:?} is not a host name")]
    HostName {
        /// As configured.
        host: String,
    },
}

impl TlsError {
    /// Whether it can pass without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// The TLS error behind a failed read or write, if there is one: in TLS 1.3 a server refuses a client's certificate only after
    /// the client's handshake is done, so that this shows where its first words were awaited.
    pub fn behind(error: &(dyn std::error::Error + 'static), host: &str, port: u16) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let tls = inside.and_then(|inside| inside.downcast_ref()).or_else(|| error.downcast_ref());
            if let Some(tls) = tls {
                return Some(of_tls(host, port, tls));
            }
            next = error.source();
        }
        None
    }
}

pub(crate) fn unreachable(host: &str, port: u16, error: &io::Error) -> TlsError {
    TlsError::Unreachable { host: host.to_owned(), port, reason: bounded(&error.to_string()) }
}

pub(crate) fn refused(host: &str, port: u16, error: &io::Error) -> TlsError {
    TlsError::behind(error, host, port).unwrap_or_else(|| unreachable(host, port, error))
}

fn of_tls(host: &str, port: u16, error: &Error) -> TlsError {
    let host = host.to_owned();
    match error {
        Error::InvalidCertificate(bad) => {
            TlsError::Certificate { host, port, reason: certificate_words(bad) }
        }
        Error::NoCertificatesPresented => TlsError::Certificate {
            host,
            port,
            reason: "it shows none (server: install a certificate)".to_owned(),
        },
        Error::AlertReceived(alert) => match client_certificate_words(*alert) {
            Some(reason) => TlsError::ClientCertificate { host, port, reason },
            None => TlsError::Handshake { host, port, reason: alert_words(*alert) },
        },
        Error::InvalidMessage(_) => {
            let reason = "it answers in plain text (operator: name the port with TLS from the first byte, 465 or 993 for mail; \
                          server: offer it; STARTTLS does not exist here)";
            TlsError::Handshake { host, port, reason: reason.to_owned() }
        }
        Error::PeerIncompatible(_) => TlsError::Handshake { host, port, reason: version_words() },
        other => TlsError::Handshake { host, port, reason: bounded(&other.to_string()) },
    }
}

fn version_words() -> String {
    "it offers no TLS 1.3 (server: enable it; operator: tls12 = true takes 1.2 with AEAD suites as an exception, nothing older)"
        .to_owned()
}

fn alert_words(alert: Alert) -> String {
    match alert {
        Alert::ProtocolVersion => version_words(),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            "no version and cipher suite in common (server: enable TLS 1.3, or in 1.2 ECDHE with AES-GCM or ChaCha20-Poly1305)".to_owned()
        }
        Alert::UnrecognisedName => "it does not know this name (operator: correct host)".to_owned(),
        other => format!("it ends the handshake with alert {other:?} (server: see its log)"),
    }
}

/// RFC 8446 6.2: alerts by which a server judges the client's certificate.
fn client_certificate_words(alert: Alert) -> Option<&'static str> {
    Some(match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            "demands a client certificate (operator: set client_certificate and client_key)"
        }
        Alert::UnknownCA => {
            "does not know the authority of our client certificate (operator: get one from its authority)"
        }
        Alert::CertificateExpired => "says that our client certificate has expired (operator: renew it)",
        Alert::CertificateRevoked => "says that our client certificate is revoked (operator: get a new one)",
        Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied => {
            "refuses our client certificate (operator: get one that it takes; server: see its log)"
        }
        _ => return None,
    })
}

fn certificate_words(bad: &Bad) -> String {
    let words = match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "it has expired (server: renew it; operator: check the clock here)"
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "it is not valid yet (operator: check the clock here; server: check when it begins)"
        }
        Bad::Revoked => "it is revoked (server: get a new one)",
        Bad::UnknownIssuer => {
            "it comes from no authority that we trust (operator: put the root of its authority into ca; if it should be trusted \
             already, somebody stands between)"
        }
        Bad::UnknownRevocationStatus => {
            "crl says nothing about its authority (operator: put the lists of every authority in its chain into crl)"
        }
        Bad::ExpiredRevocationList | Bad::ExpiredRevocationListContext { .. } => {
            "the revocation list is out of date (operator: fetch a new one into crl)"
        }
        Bad::BadSignature => {
            "a signature is wrong: of another authority with the same name, or by a key that is too weak, such as RSA below 2048 bits \
             (server: get a new one; if it is as it should be, somebody stands between)"
        }
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed by a weak or unknown algorithm, such as SHA-1 (server: get a new one)"
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "it is for another name (operator: correct host; server: get one for this name)"
        }
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "it is not for TLS servers (server: get one with extended key usage serverAuth)"
        }
        // An authority's own certificate among them, which `openssl req -x509` makes.
        other => {
            return format!(
                "it is not one of a server ({}) (server: get one that an authority issued for this name)",
                bounded(&other.to_string())
            );
        }
    };
    words.to_owned()
}

/// A foreign text cut to a bearable length, control characters escaped.
pub fn bounded(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("SMTP")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn a_tls_error_is_found_behind_what_others_wrap_it_in() {
        let alert = || io::Error::other(Error::AlertReceived(Alert::CertificateRequired));
        let demands = |found: Option<TlsError>| matches!(found, Some(TlsError::ClientCertificate { .. }));
        assert!(demands(TlsError::behind(&alert(), "mail.example", 465)));
        assert!(demands(TlsError::behind(&Wrapped(alert()), "mail.example", 465)));
        let cut = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(TlsError::behind(&Wrapped(cut), "mail.example", 465), None);
        assert_eq!(TlsError::behind(&io::Error::other("other words"), "mail.example", 465), None);
    }

    #[test]
    fn foreign_words_are_cut_and_cannot_steer_a_terminal() {
        assert_eq!(bounded(&"x".repeat(10_000)).len(), REASON_CHARS_MAX);
        assert_eq!(bounded("a\u{1b}[31m\r\n"), "a\\u{1b}[31m\\r\\n");
    }
}
