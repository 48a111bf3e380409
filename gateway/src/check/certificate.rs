//! Dates, public key and name of an X.509 certificate.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use time::OffsetDateTime;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What is looked at.
pub(super) struct Certificate {
    pub(super) not_after: OffsetDateTime,
    /// SHA-256 of the SubjectPublicKeyInfo (RFC 6698 2.1.1, selector 1, matching 1).
    pub(super) key_digest: Vec<u8>,
}

impl Certificate {
    pub(super) fn of_der(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        let not_after = certificate.validity.not_after.to_unix_duration().as_secs();
        let key = certificate.subject_public_key_info.to_der().ok()?;
        Some(Self {
            not_after: OffsetDateTime::from_unix_timestamp(i64::try_from(not_after).ok()?).ok()?,
            key_digest: digest(&SHA256, &key).as_ref().to_vec(),
        })
    }

    /// Of all in a PEM file the one that ends first; none where one of them cannot be read.
    pub(super) fn of_file(path: &Path) -> Option<Self> {
        let all: Option<Vec<Self>> = CertificateDer::pem_file_iter(path)
            .ok()?
            .map(|certificate| Self::of_der(&certificate.ok()?))
            .collect();
        all?.into_iter().min_by_key(|certificate| certificate.not_after)
    }

    /// Whole days left; negative when it has expired.
    pub(super) fn days_left(&self) -> i64 {
        (self.not_after - OffsetDateTime::now_utc()).whole_days()
    }
}

/// The first host that the first certificate of a PEM file names (RFC 6125 6.4).
pub(super) fn host_of(path: &Path) -> Option<String> {
    let der = CertificateDer::pem_file_iter(path).ok()?.next()?.ok()?;
    let certificate = x509_cert::Certificate::from_der(&der).ok()?.tbs_certificate;
    let (_, names) = certificate.get::<SubjectAltName>().ok()??;
    names.0.into_iter().find_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    })
}
