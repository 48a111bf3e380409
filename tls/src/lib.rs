//! The one place that makes TLS configurations and connections: rustls, TLS 1.3, and 1.2 with AEAD suites only where the operator
//! says `tls12 = true`. There is no way from a plain connection to TLS, so nothing can be stripped.
//!
//! Knows no mail, no DICOM and no study: the notifier may depend on it. Client side: [`Trust`]; server side: [`Listener`].

mod client;
mod error;
mod files;
#[cfg(feature = "https")]
mod https;
mod living;
mod server;
mod stream;

pub use client::{FixedTrust, Trust};
pub use error::{TlsError, bounded};
pub use files::{ClientFiles, ServerFiles};
#[cfg(feature = "https")]
pub use https::{Https, HttpsError, authority};
pub use server::{AcceptError, Accepted, HTTP2, Listener, Served};
pub use stream::{Seen, Stream};

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// What TLS 1.3 asks for, and nothing below it.
const TLS13_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
/// The exception. rustls has no suites for TLS 1.2 but ECDHE with AES-GCM or ChaCha20-Poly1305.
const TLS13_AND_TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    if tls12 { TLS13_AND_TLS12 } else { TLS13_ONLY }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
